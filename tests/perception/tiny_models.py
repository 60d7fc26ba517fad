"""Tiny random detectors of the real ``transformers`` classes, saved as the hub holds them.

Every function writes a folder with configuration, weights, ``preprocessor_config.json`` in the form
of the published models, and a tokenizer where the model reads words.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the models extra is not installed")
transformers = pytest.importorskip("transformers", reason="the models extra is not installed")

CLASSES = ("person", "dog", "N/A", "cup")  # a gap, as in the numbering of COCO

# Grounding DINO's code knows the numbers of its separators: they must stand where BERT has them.
BERT_TOKENS = {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]", 1012: ".",
               1029: "?"}  # fmt: skip
BERT_WORDS = ("red", "blue", "cup", "dog", "skate", "##board", "st", "bernard", "a", "the")


def save_detr(folder: Path, *, image_processor: dict[str, Any] | None = None) -> Path:
    """DETR: softmax over its classes and one for nothing; sides from 32 to 64 pixels."""
    torch.manual_seed(0)
    config = transformers.DetrConfig(
        use_timm_backbone=False, use_pretrained_backbone=False, backbone=None,
        backbone_config=_resnet(), num_queries=6, d_model=16, encoder_layers=1, decoder_layers=1,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=16,
        decoder_ffn_dim=16, **_labels(),
    )  # fmt: skip
    model = transformers.DetrForObjectDetection(config)
    model.class_labels_classifier.bias.data[CLASSES.index("N/A")] = -9  # as a trained model has it
    return _save(
        folder,
        model,
        image_processor
        or {
            "image_processor_type": "DetrImageProcessor",
            "size": {"shortest_edge": 32, "longest_edge": 64},
        },
    )


def save_rt_detr(folder: Path) -> Path:
    """RT-DETR: sigmoid per class, the best boxes over all classes; 64 x 64 pixels."""
    torch.manual_seed(1)
    backbone = transformers.RTDetrResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], layer_type="basic",
        out_features=["stage2", "stage3", "stage4"], out_indices=[2, 3, 4],
    )  # fmt: skip
    config = transformers.RTDetrConfig(
        backbone_config=backbone, use_pretrained_backbone=False, use_timm_backbone=False,
        encoder_hidden_dim=16, encoder_in_channels=[8, 16, 16], feat_strides=[8, 16, 32],
        encoder_layers=1, encoder_ffn_dim=16, encoder_attention_heads=2, d_model=16,
        num_queries=6, decoder_in_channels=[16, 16, 16], decoder_ffn_dim=16, num_feature_levels=3,
        decoder_n_points=2, decoder_layers=2, decoder_attention_heads=2, num_denoising=0,
        hidden_expansion=1.0, anchor_image_size=None, **_labels(),
    )  # fmt: skip
    return _save(
        folder,
        transformers.RTDetrForObjectDetection(config),
        {"image_processor_type": "RTDetrImageProcessor", "size": {"height": 64, "width": 64}},
    )


def save_owlv2(folder: Path, *, half: bool = False) -> Path:
    """OWLv2: one text a word; pictures padded to a square of 64 pixels."""
    torch.manual_seed(2)
    config = transformers.Owlv2Config(
        text_config={
            "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2,
            "num_attention_heads": 2, "vocab_size": 520, "max_position_embeddings": 16,
            "bos_token_id": 512, "eos_token_id": 513, "pad_token_id": 0,
        },
        vision_config={
            "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2,
            "num_attention_heads": 2, "image_size": 64, "patch_size": 16,
        },
        projection_dim=16,
    )  # fmt: skip
    model = transformers.Owlv2ForObjectDetection(config)
    _save_clip_tokenizer(folder)
    return _save(
        folder,
        model.half() if half else model,
        {"image_processor_type": "Owlv2ImageProcessor", "size": {"height": 64, "width": 64}},
    )


def save_grounding_dino(folder: Path) -> Path:
    """Grounding DINO: one sentence of all words; sides from 32 to 64 pixels."""
    torch.manual_seed(3)
    config = transformers.GroundingDinoConfig(
        backbone_config=transformers.SwinConfig(
            embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 1, 1], window_size=4,
            image_size=64, out_features=["stage2", "stage3", "stage4"], out_indices=[2, 3, 4],
        ),
        use_pretrained_backbone=False,
        use_timm_backbone=False,
        text_config=transformers.BertConfig(
            vocab_size=len(_bert_vocabulary()), hidden_size=32, num_hidden_layers=1,
            num_attention_heads=2, intermediate_size=16, max_position_embeddings=64,
        ),
        d_model=32, encoder_layers=1, encoder_ffn_dim=16, encoder_attention_heads=2,
        decoder_layers=2, decoder_ffn_dim=16, decoder_attention_heads=2, num_queries=6,
        max_text_len=24, num_feature_levels=3, encoder_n_points=2, decoder_n_points=2,
    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(_bert_vocabulary()) + "\n")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "BertTokenizer", "do_lower_case": True})
    )
    return _save(
        folder,
        transformers.GroundingDinoForObjectDetection(config),
        {
            "image_processor_type": "GroundingDinoImageProcessor",
            "size": {"shortest_edge": 32, "longest_edge": 64},
        },
    )


def _resnet() -> Any:
    return transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], layer_type="basic",
        out_features=["stage4"],
    )  # fmt: skip


def _labels() -> dict[str, Any]:
    return {
        "id2label": dict(enumerate(CLASSES)),
        "label2id": {name: number for number, name in enumerate(CLASSES)},
    }


def _save(folder: Path, model: Any, image_processor: dict[str, Any]) -> Path:
    for name, values in model.named_parameters():
        if "bbox" in name or "box_head" in name:  # fresh heads give one box, or one too large
            values.data = torch.randn(values.shape) / (4 if "bbox" in name else 16)
    model.eval().save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(image_processor))
    return folder


def _bert_vocabulary() -> list[str]:
    words = [f"[unused{number}]" for number in range(1030)]
    for number, token in BERT_TOKENS.items():
        words[number] = token
    return words + list(BERT_WORDS)


def _save_clip_tokenizer(folder: Path) -> None:
    """A CLIP tokenizer that knows letters only: 256 bytes, 256 bytes that end a word, two marks."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    letters = list(bytes_to_unicode().values())
    tokens = [
        *letters,
        *(f"{letter}</w>" for letter in letters),
        "<|startoftext|>",
        "<|endoftext|>",
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "CLIPTokenizer", "pad_token": "!", "model_max_length": 16})
    )
