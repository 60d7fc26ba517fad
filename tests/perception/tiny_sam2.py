"""A tiny random SAM 2 video model of the real ``transformers`` classes, saved as the hub holds it.

The heads that say whether an object is there, and how bright its mask is, are set so that objects
stay there: random ones lose them in the next frame.
"""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the models extra is not installed")
transformers = pytest.importorskip("transformers", reason="the models extra is not installed")

SIDE = 64
_WIDTH = 128  # of features; the model's code wants more than the 64 of its memories


def save_sam2(folder: Path) -> Path:
    """Pictures of 64 x 64 pixels, masks of 16 x 16."""
    from transformers.models.sam2.configuration_sam2 import Sam2HieraDetConfig, Sam2VisionConfig

    torch.manual_seed(0)
    backbone = Sam2HieraDetConfig(
        hidden_size=8, num_attention_heads=1, image_size=[SIDE, SIDE],
        blocks_per_stage=[1, 1, 2, 1], embed_dim_per_stage=[8, 16, 32, 64],
        num_attention_heads_per_stage=[1, 1, 1, 1],
        window_size_per_stage=[4, 4, 4, 4], global_attention_blocks=[3],
        window_positional_embedding_background_size=[4, 4],
    )  # fmt: skip
    vision = Sam2VisionConfig(
        backbone_config=backbone, backbone_channel_list=[64, 32, 16, 8],
        backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]], fpn_hidden_size=_WIDTH,
    )  # fmt: skip
    config = transformers.Sam2VideoConfig(
        vision_config=vision,
        prompt_encoder_config={
            "hidden_size": _WIDTH, "image_size": SIDE, "patch_size": 16, "mask_input_channels": 4,
        },
        mask_decoder_config={
            "hidden_size": _WIDTH, "mlp_dim": 16, "num_attention_heads": 2,
            "iou_head_hidden_dim": 16,
        },
        image_size=SIDE, memory_attention_hidden_size=_WIDTH, memory_attention_num_layers=1,
        memory_attention_feed_forward_hidden_size=32, memory_attention_rope_feat_sizes=[4, 4],
        memory_encoder_hidden_size=_WIDTH, memory_encoder_output_channels=64,
        mask_downsampler_embed_dim=_WIDTH, memory_fuser_embed_dim=_WIDTH,
        memory_fuser_intermediate_dim=16, memory_fuser_num_layers=1,
    )  # fmt: skip
    model = transformers.Sam2VideoModel(config).eval()
    torch.nn.init.constant_(model.mask_decoder.pred_obj_score_head.proj_out.bias, 4.0)
    model.save_pretrained(folder)
    return folder
