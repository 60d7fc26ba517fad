"""What the maps mean: which object, how much attention it draws over time, and the interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stvg.methods.dsth.candidates import Candidates
from stvg.methods.dsth.config import DsthConfig
from stvg.methods.dsth.highlight import Highlight, choose_token, likeness
from stvg.methods.dsth.when import fit_interval, grow_window
from stvg.methods.dsth.where import attention_inside, cell_weights, score_objects
from stvg.types import Clip, FloatArray, Interval

_LATTICE = 8
"""Points to a cell, each way, at which attention inside a box is looked up."""
_LEAST = 1e-4
"""Added to the highest attention that the signal is divided by, as published."""


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """Which object, and when it is looked at.

    Attributes:
        scores: Of P objects, (P,).
        best: The object with the highest.
        signal: How much attention it draws in each of F frames, (F,) in [0, 1].
        tokens: Whose attention said where, and when; None for the mean of all.
        peaks: The highest relative attention of each token, for where and for when, (R,) each.
        where: The map that says where, at least 0, (T, rows, columns).
        times_s: Seconds, the mean over the frames of each step of the map, (T,).
        consistency: Likeness of the maps forwards and in reverse; None without a reverse.
    """

    scores: FloatArray
    best: int
    signal: FloatArray
    tokens: tuple[int | None, int | None]
    peaks: tuple[FloatArray, FloatArray]
    where: FloatArray
    times_s: FloatArray
    consistency: float | None


def decide(
    looks: Highlight,
    action: Highlight,
    back: Highlight | None,
    clip: Clip,
    candidates: Candidates,
    config: DsthConfig,
    joined: int,
) -> Decision:
    """Choose an object by its looks and follow the attention on it by its action.

    Args:
        looks: For how the target looks.
        action: For what it does.
        back: As ``looks``, with the steps in reverse; None where that is not asked.
        clip: F frames.
        candidates: The objects, at least one box a frame.
        config: How to decide.
        joined: Frames that the model joins to one step.
    """
    meta = clip.meta
    summed = looks.relative if back is None else looks.relative + back.relative
    space, token, peaks = choose_token(summed, config.token)
    time, time_token, time_peaks = choose_token(action.relative, config.time_token)
    rows, columns = space.shape[1:]
    boxes_cells = candidates.boxes * ([columns / meta.width, rows / meta.height] * 2)
    steps = np.arange(len(clip)) // (1 if config.repeat_frames else joined)
    pixels = (meta.height, meta.width) if config.mask == "pixels" else None
    scores = score_objects(space, cell_weights(boxes_cells, rows, columns, pixels), steps)
    best = int(scores.argmax())
    points = pixels or (_LATTICE * rows, _LATTICE * columns)
    signal = attention_inside(time, boxes_cells[best], steps, points)
    alike = None
    if back is not None:
        both = (looks.relative, back.relative)
        alike = likeness(*(each.mean(0) if token is None else each[token] for each in both))
    times_s = np.bincount(steps, clip.times_s) / np.bincount(steps)
    return Decision(
        scores, best, signal / (signal.max() + _LEAST), (token, time_token), (peaks, time_peaks),
        space, times_s, alike,
    )  # fmt: skip


def interval_of(clip: Clip, signal: FloatArray, config: DsthConfig) -> Interval:
    """From the first frame that is kept to the last, or to the one that is seen next.

    The published rule ends with the last kept frame itself.

    Args:
        clip: F frames.
        signal: Attention over them, (F,).
        config: Which rule.
    """
    frames, meta = clip.frame_indices, clip.meta
    if config.time == "window":
        keep = max(round(config.keep * len(signal)), 1)
        first, last = grow_window(signal, keep, ties_stop=config.ties_stop)
        return meta.span_of(int(frames[first]), int(frames[last]) + 1)
    first, last = fit_interval(signal)
    end = int(frames[last + 1]) if last + 1 < len(frames) else meta.frames
    return meta.span_of(int(frames[first]), end)
