"""Intervals: hand-computed answers, and counting of grid cells as reference."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stvg.errors import UsageError
from stvg.geometry.intervals import (
    intersect_intervals,
    interval_iou,
    interval_iou_matrix,
    merge_intervals,
)
from stvg.types import Interval

NAN = float("nan")

whole_intervals = st.tuples(st.integers(0, 20), st.integers(0, 20)).map(
    lambda ends: Interval(min(ends), max(ends))
)


def cells(interval):
    """The whole seconds of an interval with whole ends."""
    return set(range(int(interval.start_s), int(interval.end_s)))


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((0, 4), (0, 4), 1.0),  # equal
        ((0, 4), (2, 6), 1 / 3),  # two of six seconds shared
        ((0, 10), (2, 4), 0.2),  # one inside the other
        ((0, 4), (4, 8), 0.0),  # touch: half-open, nothing shared
        ((0, 1), (9, 10), 0.0),  # far apart
        ((3, 3), (3, 3), 0.0),  # both empty, at the same time
        ((0, 4), (2, 2), 0.0),  # an empty one inside
        ((0.5, 1.0), (0.75, 1.0), 0.5),  # parts of seconds
    ],
)
def test_interval_iou(a, b, expected):
    assert interval_iou(Interval(*a), Interval(*b)) == pytest.approx(expected)
    assert interval_iou(Interval(*b), Interval(*a)) == pytest.approx(expected)


@given(whole_intervals, whole_intervals)
def test_interval_iou_counts_seconds(a, b):
    union = cells(a) | cells(b)
    expected = len(cells(a) & cells(b)) / len(union) if union else 0.0
    assert interval_iou(a, b) == pytest.approx(expected)


def test_matrix_holds_every_pair():
    a, b = [[0, 4], [2, 6]], [[0, 4], [2, 6], [9, 10]]
    np.testing.assert_allclose(interval_iou_matrix(a, b), [[1, 1 / 3, 0], [1 / 3, 1, 0]])


@pytest.mark.parametrize(
    "row",
    [
        [5, 1],  # ends before it starts
        [NAN, 4],  # no start
        [0, NAN],  # no end
        [0, float("inf")],  # no end either
    ],
)
def test_what_is_no_interval_overlaps_nothing(row):
    assert interval_iou_matrix([row], [[0, 4], row]).tolist() == [[0.0, 0.0]]


def test_matrix_of_empty_input_is_an_empty_matrix():
    assert interval_iou_matrix([], [[0, 1]]).shape == (0, 1)
    assert interval_iou_matrix([[0, 1]], []).shape == (1, 0)


@pytest.mark.parametrize("bad", [[0, 1], [[0, 1, 2]], [[[0, 1]]]])
def test_matrix_refuses_other_shapes(bad):
    with pytest.raises(UsageError, match=r"\(N, 2\)"):
        interval_iou_matrix(bad, [[0, 1]])


def test_matrix_does_not_change_its_arguments():
    rows = np.array([[0.0, NAN]])
    interval_iou_matrix(rows, rows)
    assert rows[0, 0] == 0.0


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((0, 4), (2, 6), (2, 4)),  # overlap
        ((0, 9), (2, 4), (2, 4)),  # inside
        ((0, 4), (4, 8), None),  # touch
        ((0, 1), (5, 6), None),  # apart
        ((2, 2), (0, 9), None),  # empty
    ],
)
def test_intersect(a, b, expected):
    wanted = None if expected is None else Interval(*expected)
    assert intersect_intervals(Interval(*a), Interval(*b)) == wanted
    assert intersect_intervals(Interval(*b), Interval(*a)) == wanted


@pytest.mark.parametrize(
    ("intervals", "max_gap_s", "expected"),
    [
        ([], 0, []),  # nothing
        ([(1, 2)], 0, [(1, 2)]),  # one
        ([(5, 6), (0, 2), (1, 3)], 0, [(0, 3), (5, 6)]),  # overlap, out of order
        ([(0, 2), (2, 3)], 0, [(0, 3)]),  # touch
        ([(0, 9), (2, 3)], 0, [(0, 9)]),  # inside: the end does not move back
        ([(0, 1), (2, 3), (5, 6)], 1, [(0, 3), (5, 6)]),  # a gap of exactly one second is bridged
        ([(0, 1), (2, 3), (5, 6)], 2, [(0, 6)]),  # so are both
    ],
)
def test_merge(intervals, max_gap_s, expected):
    merged = merge_intervals([Interval(*ends) for ends in intervals], max_gap_s)
    assert merged == [Interval(*ends) for ends in expected]


@pytest.mark.parametrize("gap", [-0.1, NAN])
def test_merge_refuses_a_gap_below_zero(gap):
    with pytest.raises(UsageError, match="at least 0 s"):
        merge_intervals([], gap)


@given(st.lists(whole_intervals, max_size=6))
def test_merge_covers_the_same_seconds_without_overlap(intervals):
    merged = merge_intervals(intervals)
    assert set().union(*map(cells, merged)) == set().union(*map(cells, intervals))
    assert all(a.end_s < b.start_s for a, b in pairwise(merged))
