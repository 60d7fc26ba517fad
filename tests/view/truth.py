"""The clip that tests of the page show, what is true about it, and a method that knows it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from stvg.config import Config
from stvg.data.world import draw_clip, plan_clip
from stvg.methods.base import Method, Plan
from stvg.types import Prediction, Tube

HERE = Path(__file__)
CLIP, SPLIT, SIDE = 21, "val", 256


def true_tube(sentence: Any, drawn: Any) -> tuple[np.ndarray, np.ndarray]:
    """Frames (N,) and boxes (N, 4) of what a sentence of the clip is about."""
    frames = np.arange(sentence.start, sentence.end)
    boxes = drawn.boxes[sentence.figure, frames]
    seen = np.isfinite(boxes[:, 0])
    return frames[seen], boxes[seen]


class Options(Config):
    """What the method is told.

    Attributes:
        go: A file that it waits for before it answers; none for at once.
    """

    go: str = ""


class Truth(Method):
    """Knows the clip, and answers when it may."""

    name = "truth"
    options = Options

    def __init__(self, go):
        self.go = go

    @classmethod
    def create(cls, model=None, assignments=()):
        return cls(Options.from_assignments(assignments).go)

    def plan(self, meta, query):
        return Plan()

    def encode(self, clip, query, target=None, *, seed=0):
        return query.text

    def run(self, encoded):
        while self.go and not Path(self.go).exists():
            time.sleep(0.02)
        return list(encoded)

    def decode(self, output, clip, query):
        plan, meta = plan_clip(CLIP, split=SPLIT), clip.meta
        (sentence,) = (each for each in plan.sentences if each.text == output)
        frames, boxes = true_tube(sentence, draw_clip(plan, SIDE))
        span = meta.span_of(int(frames[0]), int(frames[-1]) + 1)
        return Prediction(
            query, meta, Tube(span, meta.times_s[frames], boxes), self.name, "world", score=0.9
        )


def offer(go: Path | None = None) -> str:
    """How the method is offered."""
    return f"{HERE}:Truth" + (f",go={go}" if go else "")
