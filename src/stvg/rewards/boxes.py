"""How well the boxes of an answer agree with the truth where both are there: R_spa of STVG-o1.

arXiv 2511.21375, spatial reward: over the steps ``i`` that prediction and truth share,
``R_spa(B) = mean over i of (GIoU(b_i, g_i) - ||b_i - g_i||_1)``, and 0 where they share none. The
paper says neither how L1 is normalised nor whether it is a sum or a mean; both are ours here:
coordinates are divided by the frame's sides, and the mean of the four is the default.

Taken literally the formula pays a model for missing the event: a box that is poor costs up to 1 (or
5), no overlap in time costs nothing. The guard, also ours: a step is never below ``spatial_floor``,
and no overlap is worth as little. Omitting a box is worth the same, so it cannot pay either.
"""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from stvg.config import Config
from stvg.geometry.boxes import clip_boxes, generalized_iou, interpolate_boxes
from stvg.geometry.intervals import intersect_intervals
from stvg.text import Parsed
from stvg.types import FloatArray, Interval, Tube


class BoxConfig(Config):
    """Options of the spatial and of the think reward.

    The paper's formula without our guard: ``spatial_floor: null, empty_overlap_value: 0``.
    """

    giou: bool = Field(True, description="whether GIoU counts")
    l1: bool = Field(True, description="whether the distance of the corners counts")
    l1_reduction: Literal["mean", "sum"] = Field(
        "mean", description="mean or sum of the four differences, in sides of the frame"
    )
    spatial_floor: float | None = Field(
        -1.0, le=0, description="least value of a step; null for none"
    )
    empty_overlap_value: float = Field(
        -1.0, le=0, description="value of a list that shares no time with the truth"
    )
    missing_box_value: float = Field(-1.0, le=0, description="value of a step without a box")
    unreadable_value: float = Field(
        0.0, le=0, description="spatial reward of an answer that lacks a part of the grammar"
    )

    @model_validator(mode="after")
    def _has_a_term(self) -> Self:
        if not (self.giou or self.l1):
            raise ValueError("giou and l1 are both false: nothing is left of the spatial reward")
        return self

    @property
    def list_bounds(self) -> tuple[float, float]:
        """Lowest and highest value of one list of boxes."""
        worst = -float(self.giou) - (4.0 if self.l1_reduction == "sum" else 1.0) * self.l1
        floor = worst if self.spatial_floor is None else max(worst, self.spatial_floor)
        low = min(floor, self.empty_overlap_value, self.missing_box_value)
        return low, 1.0 if self.giou else 0.0


def list_score(
    parsed: Parsed, target: Tube, size: tuple[int, int], config: BoxConfig
) -> tuple[float, str]:
    """R_spa of one list of boxes.

    Args:
        parsed: The list: a draft or the final boxes, with an interval.
        target: The truth.
        size: Width and height of the frame in pixels, what boxes are normalised with.
        config: Options.

    Returns:
        Value in ``config.list_bounds`` and its reason.
    """
    if parsed.interval is None or intersect_intervals(parsed.interval, target.interval) is None:
        return config.empty_overlap_value, "no time in common"
    times, rows = _shared_steps(parsed, parsed.interval, target.interval)
    values = np.full(len(times), config.missing_box_value)
    found = rows >= 0
    if parsed.tube is not None and found.any():
        true = interpolate_boxes(target.times_s, target.boxes, times[found])
        values[found] = step_values(parsed.tube.boxes[rows[found]], true, size, config)
    value = float(values.mean()) if len(values) else config.missing_box_value
    missing = int((~found).sum())
    told = f"{value:.3f} over {len(times)} steps"
    return value, f"{told}, {missing} without a box" if missing else told


def step_values(
    boxes: FloatArray, true: FloatArray, size: tuple[int, int], config: BoxConfig
) -> FloatArray:
    """The term of each step.

    Args:
        boxes: Of the answer, (N, 4) ``xyxy`` pixels.
        true: Of the truth, (N, 4) ``xyxy`` pixels; what leaves the frame is cut off.
        size: Width and height of the frame in pixels.
        config: Options.

    Returns:
        (N,): GIoU minus L1, each where it counts, at least ``spatial_floor``.
    """
    sides = np.array([*size, *size], np.float64)
    a, b = clip_boxes(boxes, *size) / sides, clip_boxes(true, *size) / sides
    values = np.zeros(len(a))
    if config.giou:
        values += generalized_iou(a, b)
    if config.l1:
        apart = np.abs(a - b)
        values -= apart.mean(axis=1) if config.l1_reduction == "mean" else apart.sum(axis=1)
    return values if config.spatial_floor is None else np.maximum(values, config.spatial_floor)


def _shared_steps(
    parsed: Parsed, interval: Interval, other: Interval
) -> tuple[FloatArray, FloatArray]:
    """The steps of an answer that share time with another interval.

    Each step has the part of the answer's interval that is nearest to it; so two intervals that
    meet share a step, however short they are.

    Returns:
        Times (N,) of the steps, moved into the other interval; rows (N,) of their boxes in the
        tube, -1 where there is none.
    """
    own = np.array([]) if parsed.tube is None else parsed.tube.times_s
    steps = np.array(parsed.form.steps_s) if parsed.form.steps_s else own
    if not len(steps):
        return np.array([]), np.array([], np.int64)
    borders = np.concatenate([[interval.start_s], (steps[:-1] + steps[1:]) / 2, [interval.end_s]])
    rows = np.full(len(steps), -1, np.int64)
    for row in range(len(own) - 1, -1, -1):  # of several boxes of a step the first one
        rows[np.abs(steps - own[row]).argmin()] = row
    shared = np.minimum(borders[1:], other.end_s) > np.maximum(borders[:-1], other.start_s)
    return np.clip(steps[shared], other.start_s, other.end_s), rows[shared]
