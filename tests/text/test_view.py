"""How a model sees a clip: borders, steps and the frames that an interval means."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from stvg.errors import UsageError
from stvg.text.view import View
from stvg.types import Clip, Interval, VideoMeta


def clip_of(indices: list[int], *, frame_times_s: Any = None, duration_s: float = 2.0) -> Clip:
    """Frames of a video of 20 frames at 10 a second (or at given times), 64 x 48 pixels."""
    times = None if frame_times_s is None else np.array(frame_times_s, np.float64)
    frames = 20 if times is None else len(times)
    meta = VideoMeta("v.mp4", 640, 480, Fraction(10), duration_s, frames, times)
    pictures = np.zeros((len(indices), 48, 64, 3), np.uint8)
    return Clip(meta, pictures, meta.times_s[indices], np.array(indices, np.int64))


def test_sizes_are_those_of_the_video_and_of_the_clip() -> None:
    view = View.of(clip_of([0, 5, 9]), 2)
    assert (view.size, view.model_size) == ((640, 480), (64, 48))
    assert (len(view), view.steps) == (3, 2)


BORDERS = [
    # sampled frames, frame times, duration, borders
    ([0, 1, 2, 3], [0, 0.1, 0.3, 0.7], 1.0, [0, 0.1, 0.3, 0.7, 1.0]),  # every frame: their times
    ([0, 2], [0, 1, 2, 3], 4.0, [0, 1.5, 4]),  # frame 0 leaves at 1, frame 2 comes at 2
    ([1, 3], [0, 1, 2, 3], 4.0, [0, 2.5, 4]),  # counting begins at 0, whenever the first was taken
    ([0, 3], [0, 0.25, 0.5, 5.25], 6.0, [0, 2.75, 6]),  # irregular: on screen until 0.25, then 5.25
    ([2], [0, 1, 2, 3], 4.0, [0, 4]),  # a single frame counts for all of the video
    ([3], [0, 1, 2, 3], 3.0, [0, 3.000001]),  # the video ends when its last frame begins
]


@pytest.mark.parametrize(("indices", "times", "duration_s", "borders"), BORDERS)
def test_borders(
    indices: list[int], times: list[float], duration_s: float, borders: list[float]
) -> None:
    view = View.of(clip_of(indices, frame_times_s=times, duration_s=duration_s))
    assert view.borders_s.tolist() == borders


def test_a_constant_rate_needs_no_frame_times() -> None:
    view = View.of(clip_of([0, 5, 10, 15]))
    # frame 0 leaves at 0.1, frame 5 comes at 0.5
    assert view.borders_s.tolist() == pytest.approx([0, 0.3, 0.8, 1.3, 2.0])


WHOLE = View([0.5, 1.5, 2.5, 3.5, 4.5], np.arange(6.0), (10, 10), (10, 10), 2)


def test_steps_and_their_frames() -> None:
    assert [list(WHOLE.step_frames(step)) for step in range(WHOLE.steps)] == [[0, 1], [2, 3], [4]]
    assert list(WHOLE.steps_touched(1, 3)) == [0, 1]
    assert list(WHOLE.steps_touched(2, 4)) == [1]


def test_box_time_is_the_mean_of_the_frames_inside() -> None:
    assert WHOLE.box_time_s(0, 0, 5) == 1.0  # frames 0 and 1
    assert WHOLE.box_time_s(0, 1, 5) == 1.5  # frame 1 alone
    assert WHOLE.box_time_s(1, 0, 3) == 2.5  # frame 2 alone
    assert WHOLE.box_time_s(2, 0, 5) == 4.5  # the last step has one frame


FRAMES = [
    # interval, frames whose borders are nearest, frames whose time lies inside
    ((0.0, 5.0), (0, 5), (0, 5)),
    ((1.0, 3.0), (1, 3), (1, 3)),
    ((1.4, 2.6), (1, 3), (1, 3)),
    ((1.6, 2.4), (2, 3), (2, 2)),  # both ends at border 2: the frame in the middle; none begins
    ((0.5, 1.5), (0, 1), (0, 1)),  # between two borders the earlier; frame 1 is not inside
    ((4.9, 9.0), (4, 5), (5, 5)),  # behind the end
    ((2.0, 2.0), (2, 3), (2, 2)),  # empty
]


@pytest.mark.parametrize(("ends", "near", "inside"), FRAMES)
def test_frames_of_an_interval(
    ends: tuple[float, float], near: tuple[int, int], inside: tuple[int, int]
) -> None:
    assert WHOLE.frames_near(Interval(*ends)) == near
    assert WHOLE.frames_in(Interval(*ends)) == inside


def test_frame_at_a_time() -> None:
    times = [-1.0, 0.0, 0.99, 1.0, 4.99, 5.0, 99.0]
    assert [WHOLE.frame_at(time_s) for time_s in times] == [0, 0, 0, 1, 4, 4, 4]


BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"times_s": [], "borders_s": [0.0]}, "needs T >= 1 times"),
    ({"times_s": [1.0], "borders_s": [0.0]}, "needs T >= 1 times"),
    ({"times_s": [1.0, 1.0], "borders_s": [0.0, 1.0, 2.0]}, "between its borders"),
    ({"times_s": [1.0], "borders_s": [0.0, 1.0]}, "between its borders"),
    ({"times_s": [1.0], "borders_s": [0.0, float("inf")]}, "between its borders"),
    ({"times_s": [1.0], "borders_s": [0.0, 2.0], "size": (0, 4)}, "at least 1"),
    ({"times_s": [1.0], "borders_s": [0.0, 2.0], "frames_per_step": 0}, "at least 1"),
]


@pytest.mark.parametrize(("fields", "message"), BROKEN)
def test_what_a_view_refuses(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        View(**{"size": (4, 4), "model_size": (4, 4), **fields})


def test_an_empty_clip_has_no_view() -> None:
    with pytest.raises(UsageError, match="expected a clip with frames"):
        View.of(clip_of([]))
