"""A method of your own in one file: a box around all that moves, for as long as anything moves.

A method says what it wants to see (``plan``), what its model is given (``encode``), what the model
says (``run``) and what that means (``decode``). Every command takes it as ``file.py:Class``:

    stvg ground clip.mp4 "what moves?" --method examples/own_method.py:Motion
    python examples/own_method.py demo
"""
# ruff: noqa: D101, D102

import sys
from pathlib import Path

import numpy as np

import stvg
from stvg.config import Config
from stvg.data.world import draw_clip, plan_clip
from stvg.data.world.files import write_clip
from stvg.methods.base import Method, Plan
from stvg.video import SamplingPlan


class Motion(Method):
    name, options = "motion", Config  # a subclass of Config with fields has options

    @classmethod
    def create(cls, model=None, assignments=()):
        cls.options.from_assignments(assignments)  # refuses what is not there
        return cls()

    def plan(self, meta, query):
        return Plan(SamplingPlan(count=16, long_side=128))

    def encode(self, clip, query, target=None, *, seed=0):
        return np.abs(np.diff(clip.frames.astype(int), axis=0)).max(axis=-1)  # (T - 1, H, W)

    def run(self, encoded):
        return [change > 40 for change in encoded]

    def decode(self, output, clip, query):
        steps = np.flatnonzero(output.any(axis=(1, 2)))
        if not len(steps):
            return stvg.Prediction(query, clip.meta, None, self.name, "none", warnings=("still",))
        rows = [np.argwhere(output[step]) for step in steps]  # (pixels, 2) as y, x
        boxes = [np.concatenate([row.min(0)[::-1], row.max(0)[::-1] + 1]) for row in rows]
        start, end = clip.frame_indices[steps[0]], clip.frame_indices[steps[-1] + 1] + 1
        tube = stvg.Tube(clip.meta.span_of(start, end), clip.times_s[steps], boxes * clip.scale)
        return stvg.Prediction(query, clip.meta, tube, self.name, "none")


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    video = folder / "clip.mp4"
    write_clip(video, draw_clip(plan_clip(21, split="val"), 256))
    print(stvg.load(Motion.create()).ground(video, "what moves?").tube.interval)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
