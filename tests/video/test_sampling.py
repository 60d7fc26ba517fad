"""Sampling plans: times and sizes worked out by hand, and every contradiction refused."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stvg.errors import UsageError
from stvg.types import Interval, VideoMeta
from stvg.video import SamplingPlan
from stvg.video.sampling import fit_size

TEN_SECONDS = VideoMeta("ten.mp4", 1280, 720, Fraction(10), 10.0, 100)
VARIABLE = VideoMeta(
    "variable.mp4",
    640,
    360,
    Fraction(5, 4),
    4.0,
    5,
    frame_times_s=np.array([0.0, 0.5, 0.6, 2.0, 3.5]),
)


@pytest.mark.parametrize(
    ("meta", "plan", "times"),
    [
        pytest.param(
            TEN_SECONDS, {"count": 4}, [1.25, 3.75, 6.25, 8.75], id="middles of four quarters"
        ),
        pytest.param(TEN_SECONDS, {"count": 1}, [5.0], id="one frame: the middle"),
        pytest.param(
            TEN_SECONDS,
            {"count": 2, "interval": Interval(2, 4)},
            [2.5, 3.5],
            id="middles of two halves of an interval",
        ),
        pytest.param(
            TEN_SECONDS,
            {"count": 4, "spread": "ends"},
            [0.0, 3.3, 6.6, 9.9],
            id="ends: first to last frame",
        ),
        pytest.param(
            TEN_SECONDS, {"count": 1, "spread": "ends"}, [0.0], id="ends, one frame: the first"
        ),
        pytest.param(
            TEN_SECONDS,
            {"count": 3, "spread": "ends", "interval": Interval(1, 2)},
            [1.0, 1.45, 1.9],
            id="ends of an interval: its last frame begins at 1.9",
        ),
        pytest.param(
            VARIABLE,
            {"count": 2, "spread": "ends"},
            [0.0, 3.5],
            id="ends of a variable rate: the last frame, not duration - 1 / fps",
        ),
        pytest.param(
            VARIABLE,
            {"count": 2, "spread": "ends", "interval": Interval(2.5, 3.0)},
            [2.5, 2.5],
            id="no frame begins in the interval: its start",
        ),
        pytest.param(TEN_SECONDS, {"fps": Fraction(1, 3)}, [0, 3, 6, 9], id="every third second"),
        pytest.param(
            TEN_SECONDS,
            {"fps": 2, "interval": Interval(1, 2.5)},
            [1.0, 1.5, 2.0],
            id="the end is not part of it",
        ),
        pytest.param(TEN_SECONDS, {"fps": 0.01}, [0.0], id="slower than the video: one frame"),
        pytest.param(
            TEN_SECONDS,
            {"fps": 1, "max_frames": 2},
            [2.5, 7.5],
            id="more than max_frames: uniform instead",
        ),
        pytest.param(
            TEN_SECONDS,
            {"fps": 1, "max_frames": 10},
            list(range(10)),
            id="exactly max_frames: as asked",
        ),
        pytest.param(
            TEN_SECONDS, {"times_s": [7, 2.5, 7]}, [2.5, 7.0], id="any order, repeats dropped"
        ),
        pytest.param(
            TEN_SECONDS,
            {"times_s": [1, 2, 3], "interval": Interval(2, 3)},
            [2.0],
            id="listed times inside the interval",
        ),
        pytest.param(
            TEN_SECONDS, {"times_s": [10.05]}, [10.05], id="one frame past the end is allowed"
        ),
        pytest.param(VARIABLE, {}, [0.0, 0.5, 0.6, 2.0, 3.5], id="every frame"),
        pytest.param(
            VARIABLE, {"interval": Interval(0.5, 2.0)}, [0.5, 0.6], id="every frame that begins"
        ),
        pytest.param(
            VARIABLE,
            {"interval": Interval(2.2, 2.3)},
            [2.2],
            id="interval within one frame: that frame",
        ),
        pytest.param(
            TEN_SECONDS, {"max_frames": 2}, [2.5, 7.5], id="every frame, but only two: uniform"
        ),
        pytest.param(
            TEN_SECONDS,
            {"count": 2, "interval": Interval(8, 99)},
            [8.5, 9.5],
            id="an interval past the end is clipped",
        ),
    ],
)
def test_times(meta: VideoMeta, plan: dict[str, Any], times: list[float]) -> None:
    found = SamplingPlan(**plan).times(meta)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, times, atol=1e-12)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"count": 3, "interval": Interval(10, 12)}, r"lasts 10.000 s, found \[10, 12\)"),
        ({"count": 3, "interval": Interval(2, 2)}, r"found \[2, 2\)"),
        ({"times_s": [3.0, 10.2]}, r"lasts 10.000 s, found 10.200 s"),
        ({"times_s": [3.0], "interval": Interval(4, 5)}, r"none of the 1 times"),
    ],
)
def test_times_outside_the_video_are_refused(plan: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        SamplingPlan(**plan).times(TEN_SECONDS)


@pytest.mark.parametrize(
    ("plan", "needed_s"),
    [({"count": 4}, 8.75), ({"times_s": [3.0]}, 3.0), ({}, 10.0), ({"max_frames": 2}, 10.0)],
)
def test_needed_until(plan: dict[str, Any], needed_s: float) -> None:
    assert SamplingPlan(**plan).needed_until_s(TEN_SECONDS) == pytest.approx(needed_s)
    assert SamplingPlan(**plan).needed_until_s(TEN_SECONDS) < 10.0 or needed_s < 10.0


@settings(deadline=None)
@given(
    count=st.integers(1, 400),
    start_s=st.floats(0, 9.9),
    length_s=st.floats(0.01, 20),
    spread=st.sampled_from(["centres", "ends"]),
)
def test_uniform_times_lie_in_the_stretch_evenly(
    count: int, start_s: float, length_s: float, spread: Any
) -> None:
    interval = Interval(start_s, start_s + length_s)
    times = SamplingPlan(count=count, interval=interval, spread=spread).times(TEN_SECONDS)
    assert len(times) == count
    assert times[0] >= start_s
    assert times[-1] < min(interval.end_s, 10.0)
    if count > 2:
        np.testing.assert_allclose(np.diff(times), np.diff(times).mean(), atol=1e-9)


@pytest.mark.parametrize(
    ("source", "rule", "size"),
    [
        pytest.param((1280, 720), {}, (1280, 720), id="no rule: as it is"),
        pytest.param((1280, 720), {"long_side": 448}, (448, 252), id="long side"),
        pytest.param((720, 1280), {"long_side": 448}, (252, 448), id="long side, upright"),
        pytest.param((320, 240), {"long_side": 448}, (320, 240), id="small: not enlarged"),
        pytest.param(
            (320, 240), {"long_side": 640, "enlarge": True}, (640, 480), id="enlarged when asked"
        ),
        pytest.param((1920, 1080), {"pixel_budget": 518_400}, (960, 540), id="a quarter"),
        pytest.param(
            (1280, 720), {"long_side": 448, "multiple_of": 28}, (448, 252), id="fits multiples"
        ),
        # 640 / 28 = 22.9 -> 23 would be 644 > 640; so both go down: 22 and 360 / 28 = 12.9 -> 12
        pytest.param((640, 360), {"multiple_of": 28}, (616, 336), id="nearest would enlarge"),
        pytest.param(
            (640, 360), {"multiple_of": 28, "enlarge": True}, (644, 364), id="nearest may enlarge"
        ),
        # 650 / 28 = 23.2 -> 23, 370 / 28 = 13.2 -> 13: nearest is smaller, no limit broken
        pytest.param((650, 370), {"multiple_of": 28}, (644, 364), id="nearest is lower"),
        # 447.2 x 223.6: nearest 448 x 224 = 100,352 is over the budget
        pytest.param(
            (1000, 500),
            {"pixel_budget": 100_000, "multiple_of": 28},
            (420, 196),
            id="nearest breaks the budget",
        ),
        pytest.param((10, 400), {"multiple_of": 28}, (28, 392), id="at least one multiple"),
        pytest.param((1921, 1081), {"long_side": 1921}, (1921, 1081), id="odd sizes stay"),
        pytest.param(
            (1280, 720),
            {"long_side": 640, "pixel_budget": 57_600},
            (320, 180),
            id="two limits: the tighter one",
        ),
        pytest.param((1280, 720), {"fixed_size": (100, 50)}, (100, 50), id="a fixed size"),
    ],
)
def test_size(source: tuple[int, int], rule: dict[str, Any], size: tuple[int, int]) -> None:
    meta = VideoMeta("video.mp4", *source, Fraction(10), 1.0, 10)
    assert SamplingPlan(**rule).size(meta) == size


@settings(deadline=None)
@given(
    width=st.integers(1, 4000),
    height=st.integers(1, 4000),
    long_side=st.none() | st.integers(64, 2000),
    budget=st.none() | st.integers(64 * 64, 2_000_000),
    multiple_of=st.sampled_from([1, 2, 14, 28, 32]),
)
def test_size_keeps_the_limits(
    width: int, height: int, long_side: int | None, budget: int | None, multiple_of: int
) -> None:
    wide, high = fit_size(
        width, height, long_side=long_side, pixel_budget=budget, multiple_of=multiple_of
    )
    assert wide % multiple_of == high % multiple_of == 0
    assert wide <= max(width, multiple_of)
    assert high <= max(height, multiple_of)
    if multiple_of not in (wide, high):  # a side of one multiple may break a limit
        assert long_side is None or max(wide, high) <= long_side
        assert budget is None or wide * high <= budget


@pytest.mark.parametrize(
    ("fields", "parts"),
    [
        ({"count": 0}, ["count must be at least 1, found 0"]),
        ({"count": 2, "fps": 1.0}, ["one of count, fps and times_s, not count and fps"]),
        ({"fps": 0}, ["fps must be a positive number"]),
        ({"fps": float("nan")}, ["fps must be a positive number"]),
        ({"times_s": []}, ["times_s must hold at least one time"]),
        ({"times_s": [1.0, -0.5]}, ["times_s must be seconds from 0 on, found -0.5"]),
        ({"times_s": [float("inf")]}, ["found inf"]),
        ({"max_frames": 0}, ["max_frames must be at least 1"]),
        ({"count": 9, "max_frames": 4}, ["9 frames are asked for, but max_frames is 4"]),
        ({"times_s": [1, 2, 3], "max_frames": 2}, ["3 frames are asked for"]),
        ({"spread": "middle"}, ['"centres" or "ends", found \'middle\'']),
        ({"long_side": 0}, ["long_side must be at least 1 pixel"]),
        ({"multiple_of": 0}, ["multiple_of must be at least 1"]),
        ({"long_side": 20, "multiple_of": 28}, ["long_side 20 is smaller than one multiple"]),
        ({"pixel_budget": 700, "multiple_of": 28}, ["pixel_budget 700 is smaller"]),
        ({"fixed_size": (64, 64), "long_side": 64}, ["no room for another size rule"]),
        ({"fixed_size": (64, 0)}, ["a width and a height of at least 1, found (64, 0)"]),
        (
            {"count": -1, "fps": -2, "long_side": -3},
            ["not count and fps", "found -1", "found -2", "found -3"],
        ),
    ],
)
def test_contradictions_are_reported_together(fields: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        SamplingPlan(**fields)
    assert all(part in str(caught.value) for part in parts)
    assert str(caught.value).startswith("this sampling plan cannot be carried out: ")


def test_plans_are_values() -> None:
    plan = SamplingPlan(times_s=np.array([1.0, 2.0]), fixed_size=[64, 32])  # type: ignore[arg-type]
    assert plan == SamplingPlan(times_s=(1.0, 2.0), fixed_size=(64, 32))
    assert hash(plan) == hash(SamplingPlan(times_s=[1, 2], fixed_size=(64, 32)))


def test_a_rate_far_below_one_frame_gives_the_first() -> None:
    assert SamplingPlan(fps=1e-9).times(TEN_SECONDS).tolist() == [0.0]
