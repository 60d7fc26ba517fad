"""Views of random clips and tubes in them, for property tests."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from hypothesis import strategies as st

from stvg.text.view import View
from stvg.types import Clip, FloatArray, Interval, Tube, VideoMeta


@st.composite
def views(draw: st.DrawFn, most_frames: int = 24) -> View:
    """Irregular times with long gaps, odd sizes, any number of frames a step."""
    gaps = draw(
        st.lists(
            st.sampled_from([0.004, 0.02, 1 / 30, 0.1, 1001 / 24000, 0.7, 13.0]),
            min_size=1, max_size=40,
        )
    )  # fmt: skip
    ends = np.cumsum(gaps)
    times = np.concatenate([[0.0], ends[:-1]])
    numbers = st.integers(0, len(times) - 1)
    chosen = sorted(draw(st.sets(numbers, min_size=1, max_size=most_frames)))
    sides = st.tuples(st.integers(9, 2000), st.integers(9, 1500))
    width, height = draw(sides)
    meta = VideoMeta("v.mp4", width, height, Fraction(25), float(ends[-1]), len(times), times)
    model_width, model_height = draw(sides)
    pictures = np.broadcast_to(np.uint8(0), (len(chosen), model_height, model_width, 3))
    clip = Clip(meta, pictures, times[chosen], np.array(chosen, np.int64))
    return View.of(clip, draw(st.integers(1, 4)))


@dataclass(frozen=True)
class Scene:
    """A view, and a tube in it from the border ``first`` to the border ``end``."""

    view: View
    first: int
    end: int
    tube: Tube

    def unit_px(self, across: int, down: int) -> FloatArray:
        """Pixels of one of so many units of the sides, (4,)."""
        width, height = self.view.size
        return np.array([width / across, height / down] * 2)


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    """Tubes of a few boxes, some thinner than a unit, some filling the frame."""
    view = draw(views())
    first = draw(st.integers(0, len(view) - 1))
    end = draw(st.integers(first + 1, len(view)))
    interval = view.interval(first, end)
    shares = sorted(draw(st.sets(st.sampled_from(np.arange(0, 1, 0.1).tolist()), min_size=1)))
    times = interval.start_s + np.array(shares) * interval.duration_s
    share = st.sampled_from([0.0, 1.0]) | st.floats(0, 1)
    corners = draw(
        st.lists(st.tuples(share, share, share, share), min_size=len(times), max_size=len(times))
    )
    x1, y1, x2, y2 = np.array(corners).T
    boxes = np.stack(
        [np.minimum(x1, x2), np.minimum(y1, y2), np.maximum(x1, x2), np.maximum(y1, y2)]
    )
    pixels = boxes.T * np.array([*view.size, *view.size])
    return Scene(view, first, end, Tube(Interval(interval.start_s, interval.end_s), times, pixels))
