"""A fresh model so small that a step takes milliseconds, recipes and clips for it."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")
pytest.importorskip("accelerate", reason="the train extra is not installed")
torch.set_num_threads(1)

from stvg.backbones.qwen import QwenBackbone  # noqa: E402
from stvg.data.world import FPS, ClipPlan, draw_clip  # noqa: E402
from stvg.methods.text_box import Method as TextBox  # noqa: E402
from stvg.methods.text_box.config import TextBoxConfig  # noqa: E402
from stvg.train.fresh import FreshConfig, fresh_model, fresh_tokenizer  # noqa: E402
from stvg.train.recipe import Recipe  # noqa: E402
from stvg.types import Clip, Interval, Tube, VideoMeta  # noqa: E402

SIZES = {"hidden": 32, "layers": 2, "inner": 64, "tower_hidden": 32, "tower_depth": 2,
         "tower_inner": 64}  # fmt: skip
WORLD = {"kind": "world", "clips": 4, "steps": 8, "queries": 2, "seed": 3, "numbered": 0.25}
TEXT_BOX = {"grammar": "compact", "frames": 16, "side": 64, "query_first": True,
            "even_steps": True, "max_new_tokens": 64}  # fmt: skip
"""Options of text_box for a model of the world."""


@cache
def tokenizer() -> Any:
    return fresh_tokenizer()


def backbone(seed: int = 0) -> QwenBackbone:
    """A fresh model with its tokenizer."""
    return QwenBackbone(fresh_model(FreshConfig.of({**SIZES, "seed": seed})), tokenizer())


def recipe(out: Path, **changes: Any) -> Recipe:
    """A few steps on a few clips."""
    values = {
        "out": str(out), "fresh": SIZES, "tasks": [WORLD], "samples": 24, "workers": 0,
        "threads": 1, "log_every": 1, "save_every": 2,
        "optimiser": {"lr": 3e-3, "warmup": 8, "tower": 0.5},
    }  # fmt: skip
    return Recipe.of({**values, **changes})


def text_box(model: QwenBackbone, **options: Any) -> TextBox:
    return TextBox(model, TextBoxConfig.of({**TEXT_BOX, **options}))


def drawn(plan: ClipPlan, side: int = 64) -> tuple[Clip, np.ndarray]:
    """A planned clip as training draws it, and the boxes of its figures in pixels, (N, T, 4)."""
    large = draw_clip(plan, 2 * side)
    fine = large.frames.astype(np.uint16)
    rows = fine[:, ::2] + fine[:, 1::2]
    frames = ((rows[:, :, ::2] + rows[:, :, 1::2]) // 4).astype(np.uint8)
    count = len(frames)
    meta = VideoMeta("clip.mp4", side, side, Fraction(FPS), count / FPS, count)
    return Clip(meta, frames, np.arange(count) / FPS, np.arange(count)), large.boxes / 2


def tube_of(boxes: np.ndarray, start: int, end: int) -> Tube:
    """The frames ``[start, end)`` of a figure's boxes (T, 4) as a tube."""
    frames = np.arange(start, end)
    frames = frames[np.isfinite(boxes[frames, 0])]
    return Tube(Interval(start / FPS, end / FPS), frames / FPS, boxes[frames])
