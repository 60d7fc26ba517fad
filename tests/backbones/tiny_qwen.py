"""Random two-layer models of the real Qwen classes, their tokenizer and a video for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stvg.backbones.preprocess import video_inputs
from stvg.backbones.qwen import QwenBackbone

torch = pytest.importorskip("torch", reason="the models extra is not installed")
transformers = pytest.importorskip("transformers", reason="the models extra is not installed")
torch.set_num_threads(1)

SPECIALS = ("<pad>", "<eos>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>",
            "<|video_pad|>", "<unk>")  # fmt: skip
PAD, EOS, VISION_START, VISION_END, IMAGE_PAD, VIDEO_PAD, _ = range(len(SPECIALS))
WORDS = tuple(f"word{number}" for number in range(83))
VOCABULARY = len(SPECIALS) + len(WORDS)
TEXT = {
    "vocab_size": VOCABULARY, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
    "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 2048,
    "initializer_range": 0.1, "eos_token_id": EOS, "bos_token_id": None, "pad_token_id": PAD,
    "rope_parameters": {
        "rope_type": "default", "rope_theta": 10000.0, "mrope_section": [6, 5, 5],
    },
}  # fmt: skip
MARKS: dict[str, Any] = {
    "image_token_id": IMAGE_PAD, "video_token_id": VIDEO_PAD,
    "vision_start_token_id": VISION_START, "vision_end_token_id": VISION_END,
    "tie_word_embeddings": False,
}  # fmt: skip


def tiny_config(**text: Any) -> Any:
    """Two layers, head size 32, patches of 8 pixels, two positions a second."""
    return transformers.Qwen2_5_VLConfig(
        text_config={**TEXT, **text},
        vision_config={
            "depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2,
            "patch_size": 8, "out_hidden_size": 64, "window_size": 32, "tokens_per_second": 2,
            "fullatt_block_indexes": [1], "initializer_range": 0.1,
        },
        **MARKS,
    )  # fmt: skip


def tiny_model(seed: int = 0, **text: Any) -> Any:
    """A random model in float32."""
    torch.manual_seed(seed)
    return transformers.Qwen2_5_VLForConditionalGeneration(tiny_config(**text)).eval()


def tiny_qwen2(seed: int = 0) -> Any:
    """A random Qwen2-VL of the same sizes in float32."""
    config = transformers.Qwen2VLConfig(
        text_config=TEXT,
        vision_config={
            "depth": 2, "embed_dim": 32, "hidden_size": 64, "num_heads": 2, "patch_size": 8,
            "mlp_ratio": 2, "initializer_range": 0.1,
        },
        **MARKS,
    )  # fmt: skip
    torch.manual_seed(seed)
    return transformers.Qwen2VLForConditionalGeneration(config).eval()


def tiny_tokenizer() -> Any:
    """Words by white space."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    names = [*SPECIALS, *WORDS]
    words = models.WordLevel({name: i for i, name in enumerate(names)}, unk_token="<unk>")
    core = Tokenizer(words)
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    core.add_special_tokens(list(SPECIALS))
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token="<eos>", pad_token="<pad>", unk_token="<unk>"
    )


def save_tiny(folder: Path) -> Path:
    """A folder as the hub holds it: configuration, weights, tokenizer."""
    tiny_model().save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def video_of(backbone: QwenBackbone, *, count: int = 6, seed: int = 0) -> tuple[Any, Any]:
    """Bytes and grid of a video of noise, 64 x 48 pixels: 12 tokens a step of two frames."""
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 256, (count, 48, 64, 3), dtype=np.uint8)
    return video_inputs(frames, backbone.layout, keep_bytes=True)


def framed(tokens: int, pad: int = VIDEO_PAD) -> list[int]:
    """Placeholders between their frames."""
    return [VISION_START, *[pad] * tokens, VISION_END]


def words(seed: int, count: int) -> list[int]:
    """Words at random."""
    rng = np.random.default_rng(seed)
    return [int(i) for i in rng.integers(len(SPECIALS), VOCABULARY, count)]
