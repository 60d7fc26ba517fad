"""Where queries stand, which frames their boxes stand for, and boxes as a tube.

A video has T sampled frames and S steps; a query gives N boxes for its step. The S * N boxes, in
their order, are *slots*, and each stands for a few frames.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stvg.geometry.boxes import clip_boxes, convert_boxes, interpolate_boxes
from stvg.text import View
from stvg.types import FloatArray, Interval, Tube

Slots = Sequence[range]
"""Numbers of the sampled frames that each box stands for; empty where a step is filled up."""


@dataclass(frozen=True, slots=True)
class Spots:
    """Where a prompt holds what the decoder looks at.

    Attributes:
        first: Place of the first token of the video.
        steps: Steps S of the video.
        tokens: Visual tokens K of a step; behind them stands its query, where queries are tokens.
        sentence: Places of the sentence's tokens, at least one.
    """

    first: int
    steps: int
    tokens: int
    sentence: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """What the decoder is asked, and what is right.

    Attributes:
        spots: Where it looks.
        goals: Box of each slot, ``xyxy`` as shares of the frame's sides, (S * N, 4), NaN where
            there is nothing to learn; None without a target.
    """

    spots: Spots
    goals: FloatArray | None = None

    @property
    def counts(self) -> Mapping[str, int]:
        """Losses of boxes are means over the queries that have any."""
        return {"box": int(self.goals is not None and bool(np.isfinite(self.goals).any()))}


def slots_of(frames: int, step_frames: int, query: str) -> Slots:
    """The slots of a video.

    Args:
        frames: Sampled frames T.
        step_frames: Frames of a step of the model.
        query: What a query stands for, as in ``SpaceVllmConfig``.

    Example:
        >>> [slots_of(3, 2, query) for query in ("frame", "step", "pair")]
        [[range(0, 1), range(1, 2), range(2, 3)], [range(0, 2), range(2, 3)],
         [range(0, 1), range(1, 2), range(2, 3), range(3, 3)]]
    """
    if query == "frame":
        return [range(number, number + 1) for number in range(frames)]
    starts = range(0, frames, step_frames)
    if query == "step":
        return [range(start, min(start + step_frames, frames)) for start in starts]
    numbers = range(len(starts) * step_frames)
    return [range(number, min(number + 1, max(frames, number))) for number in numbers]


def goals_of(target: Tube, view: View, slots: Slots) -> FloatArray:
    """The right box of each slot: the mean over its frames that lie in the interval and have one.

    A frame has a box where one was annotated while the frame counts.

    Returns:
        ``xyxy`` as shares of the frame's sides, (S * N, 4); NaN where there is nothing to learn.
    """
    first, end = view.frames_near(target.interval)
    is_known = np.zeros(len(view), np.bool_)
    is_known[[view.frame_at(time_s) for time_s in target.times_s]] = True
    boxes = interpolate_boxes(target.times_s, target.boxes, view.times_s)  # (T, 4)
    boxes = clip_boxes(boxes, *view.size) / np.tile(view.size, 2)
    is_known &= (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    goals = np.full((len(slots), 4), np.nan)
    for number, slot in enumerate(slots):
        frames = [frame for frame in slot if first <= frame < end and is_known[frame]]
        if frames:
            goals[number] = boxes[frames].mean(axis=0)
    return goals


def tube_of(boxes: FloatArray, interval: Interval, view: View, slots: Slots) -> Tube:
    """The boxes of the frames in an interval, as a tube.

    A box stands for the mean time of those frames of its slot that lie in the interval. Where none
    does, the frame that counts in the middle of the interval gives the only box.

    Args:
        boxes: Centre and size of each slot as shares of the frame's sides, (S * N, 4) in [0, 1].
        interval: When, inside the video.
        view: How the model saw the video.
        slots: Which frames each box stands for.
    """
    middle_s = (interval.start_s + interval.end_s) / 2
    first, end = view.frames_in(interval)
    is_between = first == end
    if is_between:
        first, end = view.frame_at(middle_s), view.frame_at(middle_s) + 1
    chosen = {
        number: float(view.times_s[inside].mean())
        for number, slot in enumerate(slots)
        if (inside := [frame for frame in slot if first <= frame < end])
    }
    times_s = [middle_s] if is_between else list(chosen.values())
    corners = convert_boxes(boxes[list(chosen)], "cxcywh", "xyxy") * np.tile(view.size, 2)
    return Tube(interval, np.array(times_s), clip_boxes(corners, *view.size))
