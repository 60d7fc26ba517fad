"""How a model sees a clip: which times, sizes and steps its answers speak of.

Answers name sampled frames, steps of vision tokens or pixels of the model's frames; tubes are in
seconds and pixels of the original frame. A :class:`View` holds what is needed to go between the
two and knows no grammar and no model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stvg.errors import UsageError
from stvg.types import Clip, FloatArray, Interval

_SHORTEST_S = 1e-6
"""What the last frame lasts at least, for streams that say it ends when it begins."""


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """The T frames of a clip as a model sees them.

    Frame ``i`` counts for the time from border ``i`` to border ``i + 1``: half-way between the
    moment at which the frame before it leaves the screen and the moment at which it appears.

    Attributes:
        times_s: Presentation time of each sampled frame, (T,) strictly increasing, T >= 1.
        borders_s: Where each frame begins to count and the last one ends, (T + 1,) strictly
            increasing, ``borders_s[i] <= times_s[i] < borders_s[i + 1]``.
        size: Width and height of the original frame in pixels.
        model_size: Width and height of the frames that the model sees.
        frames_per_step: Frames that one vision token covers, at least 1.

    Raises:
        UsageError: If there are no frames, or times, borders and sizes are not as above.

    Example:
        >>> view = View([0.5, 1.5, 2.5], [0.0, 1.0, 2.0, 3.0], (640, 480), (224, 168))
        >>> len(view), view.steps, view.nearest_border(1.2)
        (3, 2, 1)
        >>> view.interval(1, 3), view.box_time_s(0, 1, 3)
        (Interval(start_s=1.0, end_s=3.0), 1.5)
    """

    times_s: FloatArray
    borders_s: FloatArray
    size: tuple[int, int]
    model_size: tuple[int, int]
    frames_per_step: int = 2

    def __post_init__(self) -> None:
        for name in ("times_s", "borders_s"):
            array = np.array(getattr(self, name), np.float64)
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        times, borders = self.times_s, self.borders_s
        if times.ndim != 1 or not len(times) or borders.shape != (len(times) + 1,):
            raise UsageError(
                "a view needs T >= 1 times (T,) and borders (T + 1,), found "
                f"{times.shape} and {borders.shape}"
            )
        ordered = (borders[:-1] <= times) & (times < borders[1:])
        if not ordered.all() or not np.isfinite(borders).all() or not (np.diff(borders) > 0).all():
            raise UsageError(
                "every frame of a view must lie between its borders, which increase, found times "
                f"{times.tolist()} and borders {borders.tolist()}"
            )
        if min(*self.size, *self.model_size, self.frames_per_step) < 1:
            raise UsageError(
                "a view needs sizes and frames per step of at least 1, found "
                f"{self.size}, {self.model_size} and {self.frames_per_step}"
            )

    @classmethod
    def of(cls, clip: Clip, frames_per_step: int = 2) -> View:
        """The view of a clip whose frames have the size that the model sees.

        Raises:
            UsageError: If the clip is empty.
        """
        if not len(clip):
            raise UsageError("expected a clip with frames, found none; sample at least one")
        leaves_s = clip.meta.frame_ends_s[clip.frame_indices]
        borders = (leaves_s[:-1] + clip.times_s[1:]) / 2
        end_s = max(float(clip.meta.duration_s), float(clip.times_s[-1]) + _SHORTEST_S)
        return cls(
            clip.times_s,
            np.concatenate([[0.0], borders, [end_s]]),
            (clip.meta.width, clip.meta.height),
            clip.size,
            frames_per_step,
        )

    def __len__(self) -> int:
        return len(self.times_s)

    @property
    def end_s(self) -> float:
        """End of the video in seconds, the last border."""
        return float(self.borders_s[-1])

    @property
    def steps(self) -> int:
        """Vision tokens in time: frames by ``frames_per_step``, rounded up."""
        return -(-len(self) // self.frames_per_step)

    def step_frames(self, step: int) -> range:
        """Numbers of the frames of a step; the last step may have fewer than the others."""
        first = step * self.frames_per_step
        return range(first, min(first + self.frames_per_step, len(self)))

    def steps_touched(self, first: int, end: int) -> range:
        """The steps that have one of the frames ``[first, end)``, ``first < end``."""
        return range(first // self.frames_per_step, (end - 1) // self.frames_per_step + 1)

    def interval(self, first: int, end: int) -> Interval:
        """When the frames ``[first, end)`` count, ``0 <= first < end <= T``."""
        return Interval(float(self.borders_s[first]), float(self.borders_s[end]))

    def box_time_s(self, step: int, first: int, end: int) -> float:
        """The time that the box of a touched step stands for in an answer ``[first, end)``.

        The mean time of those frames of the step that lie in the answer.
        """
        frames = self.step_frames(step)
        inside = self.times_s[max(frames.start, first) : min(frames.stop, end)]
        return float(inside.mean())

    def nearest_border(self, time_s: float) -> int:
        """Number of the border nearest to a time, the earlier of two equally near."""
        return int(np.abs(self.borders_s - time_s).argmin())

    def frame_at(self, time_s: float) -> int:
        """The frame that counts at a time; before the video the first, behind it the last."""
        found = int(np.searchsorted(self.borders_s, time_s, side="right")) - 1
        return min(max(found, 0), len(self) - 1)

    def frames_near(self, interval: Interval) -> tuple[int, int]:
        """First and end ``[first, end)`` of the frames that come nearest to an interval.

        By the borders nearest to its ends; where both are the same, the one frame in its middle.
        """
        first, end = self.nearest_border(interval.start_s), self.nearest_border(interval.end_s)
        if first == end:
            first = self.frame_at((interval.start_s + interval.end_s) / 2)
            end = first + 1
        return first, end

    def frames_in(self, interval: Interval) -> tuple[int, int]:
        """First and end ``[first, end)`` of the frames whose time lies in an interval.

        ``first == end`` where there is none. Inverse of :meth:`interval`.
        """
        first, end = np.searchsorted(self.times_s, [interval.start_s, interval.end_s], side="left")
        return int(first), int(end)
