"""Which frames the decoder is given, what is right in them, and boxes as a tube."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from stvg.geometry.boxes import box_iou, clip_boxes, convert_boxes, interpolate_boxes
from stvg.text import View
from stvg.types import ByteArray, FloatArray, IntArray, Interval, Tube, VideoMeta


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """Where the bridge stands, and what the decoder is to learn.

    Attributes:
        first: Place of the token that calls boxes, in front of the vectors; None before there is
            an answer.
        words: Tokens of the sentence, for decoders that see nothing else.
        frames: Numbers of the sampled frames to learn from, (F,) int64.
        times_s: When they are shown, (F,).
        goals: The right box in each, ``xyxy`` as shares of the frame's sides, (F, 4); NaN where
            nothing is to be found.
        elsewhere: The object where it is seen though nothing is to be found, (F, 4) likewise; NaN
            where there is a right box.
        video: Where a detector reads frames of its own; None without one.
        begins: Number in its file of the first frame of the video.
        pixels: These frames as it sees them, (F, H, W, 3) uint8; None without one.
    """

    first: int | None
    words: tuple[int, ...]
    frames: IntArray
    times_s: FloatArray
    goals: FloatArray
    elsewhere: FloatArray
    video: VideoMeta | None = None
    begins: int = 0
    pixels: ByteArray | None = None

    @property
    def counts(self) -> Mapping[str, int]:
        """Losses of boxes are means over the frames with a right one."""
        return {"space": int(np.isfinite(self.goals).all(-1).sum())}


def choose_frames(
    target: Tube,
    outside: Tube | None,
    view: View,
    counts: tuple[int, int],
    dice: np.random.Generator,
) -> IntArray:
    """Sampled frames to learn from: of the event, spread over it, and others.

    Frames of the event are those that count in the interval and have a box; of every equal share of
    them one is drawn. Others have no box of the target, and are rather those in which the object is
    not known to be seen. If there are fewer than asked for, all are taken.

    Args:
        target: The right tube.
        outside: The same object at other times, where that is known.
        view: How the model saw the video.
        counts: How many of either.
        dice: For what is random.

    Returns:
        Their numbers, ascending, (F,) int64.
    """
    first, end = view.frames_near(target.interval)
    known = frames_with_box(target, view)
    event = [number for number in range(first, end) if number in known]
    if len(event) > counts[0]:
        event = [int(dice.choice(share)) for share in np.array_split(event, counts[0])]
    seen = frames_with_box(outside, view)
    others = [n for n in range(len(view)) if not (first <= n < end or n in known)]
    others = sorted(dice.permutation(others).tolist(), key=lambda number: number in seen)
    return np.sort(np.array([*event, *others[: counts[1]]], np.int64))


def frames_with_box(tube: Tube | None, view: View) -> set[int]:
    """Sampled frames that count while a box of the tube is shown."""
    return set() if tube is None else {view.frame_at(time_s) for time_s in tube.times_s}


def boxes_at(tube: Tube | None, view: View, frames: IntArray) -> FloatArray:
    """Boxes of a tube in sampled frames as shares of the frame's sides, (F, 4).

    NaN in frames in which it has none, or none inside the picture.
    """
    boxes = np.full((len(frames), 4), np.nan)
    known = frames_with_box(tube, view)
    has = np.array([number in known for number in frames], np.bool_)
    if tube is None or not has.any():
        return boxes
    found = interpolate_boxes(tube.times_s, tube.boxes, view.times_s[frames[has]])
    found = clip_boxes(found, *view.size) / np.tile(view.size, 2)
    found[~(found[:, 2:] > found[:, :2]).all(axis=1)] = np.nan
    boxes[has] = found
    return boxes


def frames_of(interval: Interval, view: View) -> tuple[IntArray, FloatArray]:
    """Sampled frames that lie in an interval, and the times that their boxes stand for.

    Where none does, the frame that counts in its middle stands for that.
    """
    first, end = view.frames_in(interval)
    if first == end:
        middle_s = (interval.start_s + interval.end_s) / 2
        return np.array([view.frame_at(middle_s)]), np.array([middle_s])
    return np.arange(first, end), view.times_s[first:end]


def tube_of(
    boxes: FloatArray, scores: FloatArray, times_s: FloatArray, interval: Interval, view: View
) -> Tube:
    """Boxes as a tube.

    Args:
        boxes: Centre and size as shares of the frame's sides, (F, 4) in [0, 1].
        scores: Their confidence, (F,) in [0, 1].
        times_s: When, inside the interval, (F,).
        interval: Inside the video.
        view: How the model saw the video.
    """
    corners = convert_boxes(boxes, "cxcywh", "xyxy") * np.tile(view.size, 2)
    return Tube(interval, times_s, clip_boxes(corners, *view.size), scores)


def smoothed(boxes: FloatArray, scores: FloatArray, *, best: int = 5) -> IntArray:
    """The path through candidates that costs least: -log of a score, and 1 - IoU from box to box.

    Args:
        boxes: Centre and size of the candidates of each frame, (F, K, 4).
        scores: Their confidence, (F, K) in (0, 1].
        best: Candidates of a frame that come into question.

    Returns:
        The candidate of each frame, (F,) int64.
    """
    order = np.argsort(-scores, axis=1)[:, :best]  # (F, B)
    rows = np.arange(len(scores))[:, None]
    chosen = boxes[rows, order]  # (F, B, 4)
    corners = convert_boxes(chosen.reshape(-1, 4), "cxcywh", "xyxy").reshape(chosen.shape)
    costs = -np.log(np.maximum(scores[rows, order], 1e-9))
    total, came_from = costs[0], []
    for frame in range(1, len(costs)):
        steps = total[:, None] + 1 - box_iou(corners[frame - 1], corners[frame])  # (B, B)
        came_from.append(steps.argmin(axis=0))
        total = steps.min(axis=0) + costs[frame]
    place = int(total.argmin())
    path = [place]
    for step in reversed(came_from):
        place = int(step[place])
        path.append(place)
    found: IntArray = order[np.arange(len(order)), path[::-1]]
    return found
