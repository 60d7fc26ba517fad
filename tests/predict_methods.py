"""Methods for the tests of ``stvg predict``, named there as ``predict_methods.py:Class``."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from stvg.config import Config
from stvg.data import find_benchmark
from stvg.data.base import BoxRecord, TimeRecord
from stvg.geometry.boxes import clip_boxes
from stvg.methods.base import Method, Plan
from stvg.types import Interval, Prediction, Tube
from stvg.video import SamplingPlan

HERE = Path(__file__)


class Options(Config):
    """What the methods are told."""

    sleep_s: float = 0.0
    fail: str = ""
    shift: int = 0


class Perfect(Method):
    """Answers with the target; ``model`` is ``benchmark=annotations``.

    Of a part of a video it knows only where the part lies in the whole, as the annotation says.
    """

    name = "perfect"
    options = Options

    def __init__(self, records, config):
        self.records, self.config, self.calls = records, config, []

    @classmethod
    def create(cls, model=None, assignments=()):
        benchmark, _, annotations = model.partition("=")
        records = {each.id: each for each in find_benchmark(benchmark).read(Path(annotations))}
        return cls(records, Options.from_assignments(assignments))

    def plan(self, meta, query):
        return Plan(SamplingPlan(count=4, long_side=32))

    def encode(self, clip, query, target=None, *, seed=0):
        return query.id, int(clip.frames.sum())

    def run(self, encoded):
        self.calls.append([id_ for id_, _ in encoded])
        time.sleep(self.config.sleep_s)
        failing = [id_ for id_, _ in encoded if self.config.fail and self.config.fail in id_]
        if failing:
            raise RuntimeError(f"cannot think about {failing[0]}")
        return [f"{id_}: {pixels}" for id_, pixels in encoded]

    def decode(self, output, clip, query):
        tube = self.tube(self.records[query.id], clip.meta)
        return Prediction(query, clip.meta, tube, self.name, "none", answer=output)

    def tube(self, record, meta):
        if isinstance(record, TimeRecord):
            interval = Interval(*record.windows[0])
            box = [0, 0, meta.width, meta.height]
            return Tube(interval, [interval.start_s], [box])
        if isinstance(record, BoxRecord):
            scale = np.array([meta.width / record.width, meta.height / record.height] * 2)
            return Tube(Interval(0, 1), [0.0], [record.box * scale])
        start, end = (each - record.segment[0] for each in record.span)
        frames = record.first_box_frame + np.arange(len(record.boxes)) - record.segment[0]
        known = np.isfinite(record.boxes).all(axis=1)
        scale = np.array([meta.width / record.width, meta.height / record.height] * 2)
        boxes = clip_boxes(record.boxes[known] * scale, meta.width, meta.height)
        return Tube(meta.span_of(start, end), meta.times_s[frames[known]], boxes)


class Late(Perfect):
    """Perfect, but every answer begins a frame late; to see that a wrong answer is seen."""

    def tube(self, record, meta):
        tube = super().tube(record, meta)
        return Tube(
            Interval(float(tube.times_s[1]), tube.interval.end_s), tube.times_s[1:], tube.boxes[1:]
        )


def reference(name: str = "Perfect") -> str:
    """How a command line names one of the methods."""
    return f"{HERE}:{name}"
