"""The model that benchmarks of language models share."""

from __future__ import annotations

from typing import Any

import torch
import transformers

VOCABULARY = 1024
VISION_START, VISION_END, IMAGE, VIDEO = 1020, 1021, 1022, 1023


def make_model() -> Any:
    """A random model in the proportions of Qwen2.5-VL-7B; without a stop token."""
    torch.manual_seed(0)
    config = transformers.Qwen2_5_VLConfig(
        text_config={
            "vocab_size": VOCABULARY, "hidden_size": 256, "intermediate_size": 704,
            "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2,
            "max_position_embeddings": 8192, "initializer_range": 0.05, "eos_token_id": None,
            "bos_token_id": None, "pad_token_id": 0,
            "rope_parameters": {
                "rope_type": "default", "rope_theta": 1e6, "mrope_section": [8, 12, 12],
            },
        },
        vision_config={
            "depth": 4, "hidden_size": 80, "intermediate_size": 212, "num_heads": 2,
            "out_hidden_size": 256, "tokens_per_second": 2, "fullatt_block_indexes": [3],
            "initializer_range": 0.05,
        },
        image_token_id=IMAGE, video_token_id=VIDEO, vision_start_token_id=VISION_START,
        vision_end_token_id=VISION_END, tie_word_embeddings=False,
    )  # fmt: skip
    return transformers.Qwen2_5_VLForConditionalGeneration(config).eval()
