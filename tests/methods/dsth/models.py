"""Small random models for the tests of ``dsth``."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the models extra is not installed")
transformers = pytest.importorskip("transformers", reason="the models extra is not installed")

from stvg.backbones.prefix import Features  # noqa: E402
from stvg.backbones.qwen import QwenBackbone  # noqa: E402
from stvg.train.fresh import FreshConfig, fresh_model, fresh_tokenizer  # noqa: E402

torch.set_num_threads(1)


def small_backbone() -> QwenBackbone:
    """Three layers, the vocabulary of the embedded model; no weight wants a gradient."""
    torch.manual_seed(0)
    config = FreshConfig(hidden=32, layers=3, inner=32, tower_hidden=32, tower_inner=32)
    return QwenBackbone(fresh_model(config).requires_grad_(False), fresh_tokenizer(), "random")


def small_qwen2() -> QwenBackbone:
    """A Qwen2-VL of the same sizes."""
    like = small_backbone()
    sizes, marks = like.model.config, ("image_token_id", "video_token_id")
    text = sizes.text_config.to_dict() | {"model_type": "qwen2_vl_text"}
    config = transformers.Qwen2VLConfig(
        text_config=text,
        vision_config={
            "depth": 1, "embed_dim": 32, "hidden_size": 32, "num_heads": 2, "patch_size": 8,
            "mlp_ratio": 1,
        },
        tie_word_embeddings=True,
        **{mark: getattr(sizes, mark) for mark in marks},
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.Qwen2VLForConditionalGeneration(config).eval().requires_grad_(False)
    return QwenBackbone(model, like.tokenizer, "random")


def noise(backbone: QwenBackbone, *, steps: int = 3) -> Features:
    """Visual tokens at random, four by four a step."""
    size = backbone.model.config.text_config.hidden_size
    generator = torch.Generator().manual_seed(1)
    tokens: Any = torch.randn(steps * 16, size, generator=generator)
    return Features(tokens.to(backbone.model.dtype), (steps, 8, 8))
