"""Boxes around two objects, divided again: places worked out by hand."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from stvg.perception.merged import divide_merged
from stvg.types import Track, VideoMeta

VIDEO = VideoMeta("v.mp4", 200, 100, Fraction(10), 1.0, 10)


def track(number: int, boxes: dict[int, list[int]]) -> Track:
    return Track(number, "red", list(boxes), list(boxes.values()), [0.9] * len(boxes))


def divide(*tracks: Track, borders: tuple[int, ...] = (0, 10)) -> list[dict[int, list[float]]]:
    found = divide_merged(tracks, VIDEO, np.arange(10), borders)
    return [dict(zip(t.frames.tolist(), t.boxes.tolist(), strict=True)) for t in found]


def test_one_comes_up_to_the_other_and_both_are_one_box() -> None:
    """A (20 x 20) goes right by 10 a frame, B rests; from frame 3 on one box is around both."""
    a = track(1, {0: [0, 40, 20, 60], 1: [10, 40, 30, 60], 2: [20, 40, 40, 60],
                  3: [30, 40, 70, 60], 4: [40, 40, 70, 60]})  # fmt: skip
    b = track(2, {n: [50, 40, 70, 60] for n in range(3)})
    first, second = divide(a, b)
    assert first[3] == [30, 40, 50, 60]
    assert second[3] == [50, 40, 70, 60]
    assert first[4] == [40, 40, 60, 60]
    assert second[4] == [50, 40, 70, 60]
    (_, added) = divide_merged([a, b], VIDEO, np.arange(10), (0, 10))
    assert added.scores.tolist() == [0.9, 0.9, 0.9, 0, 0]


def test_apart_only_in_the_end() -> None:
    """The same backwards: together in the first frames, told apart by what comes later."""
    a = track(1, {0: [40, 40, 70, 60], 1: [30, 40, 70, 60], 2: [20, 40, 40, 60],
                  3: [10, 40, 30, 60]})  # fmt: skip
    b = track(2, {2: [50, 40, 70, 60], 3: [50, 40, 70, 60]})
    first, second = divide(a, b)
    assert first[1] == [30, 40, 50, 60]
    assert second[1] == [50, 40, 70, 60]
    assert first[0] == [40, 40, 60, 60]
    assert second[0] == [50, 40, 70, 60]


def test_a_box_that_grows_alone_is_left_alone() -> None:
    a = track(1, {0: [0, 40, 20, 60], 1: [0, 20, 60, 80]})
    b = track(2, {0: [150, 40, 170, 60]})  # lost, but elsewhere
    assert divide(a, b) == [{0: [0, 40, 20, 60], 1: [0, 20, 60, 80]}, {0: [150, 40, 170, 60]}]


def test_a_box_over_an_object_that_is_still_seen_is_left_alone() -> None:
    a = track(1, {0: [30, 40, 50, 60], 1: [30, 40, 70, 60]})
    b = track(2, {0: [50, 40, 70, 60], 1: [50, 40, 70, 60]})
    assert divide(a, b)[0][1] == [30, 40, 70, 60]


def test_nothing_is_expected_across_a_cut() -> None:
    a = track(1, {0: [30, 40, 50, 60], 1: [30, 40, 70, 60]})
    b = track(2, {0: [50, 40, 70, 60]})
    assert divide(a, b, borders=(0, 1, 10))[0][1] == [30, 40, 70, 60]


def test_no_tracks() -> None:
    assert divide_merged([], VIDEO, np.arange(10), (0, 10)) == ()
