"""Which frames of a video a method wants, and how large: the sampling plan.

A plan is written before the video is known ("16 frames, long side 448") and answers two questions
once its meta data is there: at which times, and at what size. It opens no file and decodes
nothing; :mod:`stvg.video.reader` carries it out. Which picture is on screen at a time is the
business of :meth:`stvg.types.VideoMeta.frame_at`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np

from stvg.errors import UsageError
from stvg.types import FloatArray, Interval, VideoMeta

TIME_TOLERANCE_S = 1e-4
"""As in :meth:`stvg.types.VideoMeta.frame_at`: times that went through text still match."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingPlan:
    """What a method asks for: times and a size. Without any argument: every frame, full size.

    At most one of ``count``, ``fps`` and ``times_s`` may be given; with none of them the plan is
    every frame. All of it is restricted to ``interval`` (clipped to the video) where there is one;
    below, ``[start, end)`` is that stretch, else the whole video.

    Attributes:
        count: This many times, uniformly spread (see ``spread``). A short video shows the same
            frame at several of them; the reader delivers it once.
        fps: Times ``start + k / fps`` while they lie before ``end``; the first is ``start``.
        times_s: Exactly these times in seconds (in any order; sorted, repeats dropped), those
            outside ``interval`` left out. A time may overshoot the video's end by one frame.
        interval: The stretch of the video to look at.
        max_frames: Upper limit for ``fps`` and for every frame: where they ask for more, this
            many uniformly spread times take their place.
        spread: Where uniform times lie. ``centres`` (default) cuts ``[start, end)`` into T equal
            segments and takes the middle of each: ``start + (k + 1/2) (end - start) / T``.
            ``ends`` goes from ``start`` to the last frame that begins before ``end``, both
            included: ``start + k (last - start) / (T - 1)``; one time alone is ``start``.
        long_side: The longer side has at most this many pixels.
        pixel_budget: A frame has at most this many pixels.
        multiple_of: Width and height are multiples of this. They go to the nearest multiple
            where that breaks no limit, else both to the next lower one; never below one multiple,
            even where a limit asks for less.
        enlarge: Whether a small video is scaled up to the limits, and whether rounding to
            multiples may enlarge. Off by default: no side grows (unless to one multiple).
        fixed_size: Exactly this (width, height); instead of all other size rules, and the
            aspect ratio is the caller's business.

    Raises:
        UsageError: If the fields contradict each other; one message names every problem.

    Example:
        >>> meta = VideoMeta("dog.mp4", 1280, 720, Fraction(10), 4.0, 40)
        >>> plan = SamplingPlan(count=4, long_side=448, multiple_of=28)
        >>> plan.times(meta).tolist()
        [0.5, 1.5, 2.5, 3.5]
        >>> plan.size(meta)
        (448, 252)
    """

    count: int | None = None
    fps: Fraction | float | None = None
    times_s: Sequence[float] | None = None
    interval: Interval | None = None
    max_frames: int | None = None
    spread: Literal["centres", "ends"] = "centres"
    long_side: int | None = None
    pixel_budget: int | None = None
    multiple_of: int = 1
    enlarge: bool = False
    fixed_size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.times_s is not None:
            times = tuple(float(time) for time in np.asarray(self.times_s, np.float64).ravel())
            object.__setattr__(self, "times_s", times)
        if self.fixed_size is not None:
            object.__setattr__(self, "fixed_size", tuple(self.fixed_size))
        problems = _time_problems(self) + _size_problems(self)
        if problems:
            raise UsageError("this sampling plan cannot be carried out: " + "; ".join(problems))

    def times(self, meta: VideoMeta) -> FloatArray:
        """The times asked for, (T,) float64 seconds, T >= 1, not decreasing.

        Args:
            meta: The video.

        Raises:
            UsageError: If the interval or the times lie outside the video.
        """
        start_s, end_s = self._stretch(meta)
        if self.times_s is not None:
            return self._explicit(meta, start_s, end_s)
        if self.count is not None:
            return self._uniform(meta, start_s, end_s, self.count)
        if self.fps is not None:
            fps = Fraction(self.fps)
            wanted = max(1, math.ceil((end_s - start_s) * float(fps) - 1e-6))
            steps = np.arange(wanted) * float(fps.denominator) / float(fps.numerator)
            times = np.asarray(start_s + steps, np.float64)
        else:
            shown = meta.times_s + TIME_TOLERANCE_S
            times = meta.times_s[(shown >= start_s) & (shown < end_s)]
            if not len(times):  # the interval lies within one frame
                times = np.array([start_s])
        if self.max_frames is not None and len(times) > self.max_frames:
            return self._uniform(meta, start_s, end_s, self.max_frames)
        return times

    def needed_until_s(self, meta: VideoMeta) -> float:
        """The last moment in seconds at which the plan looks at the video.

        That is the last of the times; of every frame, the very end of the stretch, because frames
        may be missing there.
        """
        if self.count is None and self.fps is None and self.times_s is None:
            return math.nextafter(self._stretch(meta)[1], 0.0)
        return float(self.times(meta)[-1])

    def size(self, meta: VideoMeta) -> tuple[int, int]:
        """Width and height in pixels of the frames to deliver.

        Args:
            meta: The video; its size is the shown one, after rotation.
        """
        if self.fixed_size is not None:
            return self.fixed_size
        return fit_size(
            meta.width,
            meta.height,
            long_side=self.long_side,
            pixel_budget=self.pixel_budget,
            multiple_of=self.multiple_of,
            enlarge=self.enlarge,
        )

    def _stretch(self, meta: VideoMeta) -> tuple[float, float]:
        """Start and end in seconds of the part of the video that the plan looks at."""
        if self.interval is None:
            return 0.0, meta.duration_s
        start_s = max(0.0, self.interval.start_s)
        end_s = min(meta.duration_s, self.interval.end_s)
        if start_s >= end_s:
            raise UsageError(
                f"expected an interval that shares some time with {meta.name}, which lasts "
                f"{meta.duration_s:.3f} s, found [{self.interval.start_s:g}, "
                f"{self.interval.end_s:g}); choose one inside the video"
            )
        return start_s, end_s

    def _explicit(self, meta: VideoMeta, start_s: float, end_s: float) -> FloatArray:
        """The listed times, checked against the video."""
        times = np.array(sorted(set(self.times_s or ())))
        latest_s = meta.duration_s + float(1 / meta.fps)
        if times[-1] > latest_s:
            raise UsageError(
                f"expected times inside {meta.name}, which lasts {meta.duration_s:.3f} s, found "
                f"{times[-1]:.3f} s; leave out the times behind the end"
            )
        if self.interval is not None:
            times = times[(times + TIME_TOLERANCE_S >= start_s) & (times < end_s)]
            if not len(times):
                raise UsageError(
                    f"none of the {len(self.times_s or ())} times of the plan lies in its "
                    f"interval [{start_s:g}, {end_s:g}); choose other times or drop the interval"
                )
        return times

    def _uniform(self, meta: VideoMeta, start_s: float, end_s: float, count: int) -> FloatArray:
        """``count`` times spread over the stretch, (count,)."""
        if self.spread == "centres":
            middles = start_s + (np.arange(count) + 0.5) * ((end_s - start_s) / count)
            return np.asarray(middles, np.float64)
        begun = meta.times_s[meta.times_s + TIME_TOLERANCE_S < end_s]
        last_s = max(start_s, float(begun[-1])) if len(begun) else start_s
        return np.linspace(start_s, last_s, count)


def fit_size(
    width: int,
    height: int,
    *,
    long_side: int | None = None,
    pixel_budget: int | None = None,
    multiple_of: int = 1,
    enlarge: bool = False,
) -> tuple[int, int]:
    """The size a picture gets under the limits, its aspect ratio kept up to rounding.

    Args:
        width: Pixels of the source.
        height: Pixels of the source.
        long_side: Most pixels of the longer side, or None.
        pixel_budget: Most pixels in all, or None.
        multiple_of: Both sides become multiples of this.
        enlarge: Whether to scale up to the limits, and to round up beyond the source.

    Returns:
        Width and height, each at least ``multiple_of``.

    Example:
        >>> fit_size(1920, 1080, long_side=640)
        (640, 360)
        >>> fit_size(1000, 500, pixel_budget=100_000, multiple_of=28)
        (420, 196)
    """
    scales = [1.0] if not enlarge else []
    if long_side is not None:
        scales.append(long_side / max(width, height))
    if pixel_budget is not None:
        scales.append(math.sqrt(pixel_budget / (width * height)))
    scale = min(scales, default=1.0)

    def fits(wide: int, high: int) -> bool:
        grows = wide > max(width, multiple_of) or high > max(height, multiple_of)
        return (
            (long_side is None or max(wide, high) <= long_side)
            and (pixel_budget is None or wide * high <= pixel_budget)
            and (enlarge or not grows)
        )

    units = [width * scale / multiple_of, height * scale / multiple_of]
    nearest_width, nearest_height = (max(1, round(unit)) * multiple_of for unit in units)
    if fits(nearest_width, nearest_height):
        return nearest_width, nearest_height
    lower_width, lower_height = (max(1, math.floor(unit + 1e-9)) * multiple_of for unit in units)
    return lower_width, lower_height


def _time_problems(plan: SamplingPlan) -> list[str]:
    """What is wrong with the choice of times, in words."""
    problems = []
    given = [name for name in ("count", "fps", "times_s") if getattr(plan, name) is not None]
    if len(given) > 1:
        problems.append(f"choose one of count, fps and times_s, not {' and '.join(given)}")
    for name in ("count", "max_frames"):
        value = getattr(plan, name)
        if value is not None and value < 1:
            problems.append(f"{name} must be at least 1, found {value}")
    if plan.fps is not None and not (math.isfinite(plan.fps) and plan.fps > 0):
        problems.append(f"fps must be a positive number of frames per second, found {plan.fps}")
    if plan.times_s is not None:
        if not plan.times_s:
            problems.append("times_s must hold at least one time")
        wrong = [time for time in plan.times_s if not (math.isfinite(time) and time >= 0)]
        if wrong:
            problems.append(f"times_s must be seconds from 0 on, found {wrong[0]}")
    asked = plan.count if plan.count is not None else len(plan.times_s or ())
    if plan.max_frames is not None and asked > plan.max_frames:
        problems.append(f"{asked} frames are asked for, but max_frames is {plan.max_frames}")
    if plan.spread not in ("centres", "ends"):
        problems.append(f'spread must be "centres" or "ends", found {plan.spread!r}')
    return problems


def _size_problems(plan: SamplingPlan) -> list[str]:
    """What is wrong with the size rule, in words."""
    problems = []
    for name in ("long_side", "pixel_budget", "multiple_of"):
        value = getattr(plan, name)
        if value is not None and value < 1:
            problems.append(f"{name} must be at least 1 pixel, found {value}")
    if plan.long_side is not None and 1 <= plan.long_side < plan.multiple_of:
        problems.append(
            f"long_side {plan.long_side} is smaller than one multiple of {plan.multiple_of} pixels"
        )
    if plan.pixel_budget is not None and 1 <= plan.pixel_budget < plan.multiple_of**2:
        problems.append(
            f"pixel_budget {plan.pixel_budget} is smaller than one square of multiple_of "
            f"{plan.multiple_of} pixels"
        )
    if plan.fixed_size is not None:
        rules = (plan.long_side, plan.pixel_budget) != (None, None) or plan.multiple_of != 1
        if rules or plan.enlarge:
            problems.append("fixed_size leaves no room for another size rule: give only one")
        if len(plan.fixed_size) != 2 or min(plan.fixed_size) < 1:
            problems.append(
                f"fixed_size must be a width and a height of at least 1, found {plan.fixed_size}"
            )
    return problems
