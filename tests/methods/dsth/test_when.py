"""The interval from attention over time: published reference values, and ours by hand."""

from __future__ import annotations

import numpy as np
import pytest

from stvg.geometry.tubes import viou
from stvg.methods.dsth.when import fit_interval, grow_window
from stvg.types import Interval, Tube


@pytest.mark.parametrize(
    ("signal", "keep", "expected"),
    [
        ([0.1, 0.2, 0.9, 0.8, 0.3, 0.85, 0.4, 0.1, 0, 0], 5, (2, 6)),
        ([0.9, 0.1, 0.2, 0.3], 3, (0, 2)),  # the peak at the edge
        (np.linspace(0.1, 1, 20), 11, (9, 19)),  # rising
        ([0.0, 0.0, 0.9, 0.0, 0.0], 3, (2, 4)),  # equal neighbours: the right one
        ([0.5, 0.7], 9, (0, 1)),  # all there is
        ([0.3], 1, (0, 0)),
    ],
)
def test_growth(signal: list[float], keep: int, expected: tuple[int, int]) -> None:
    assert grow_window(np.array(signal), keep) == expected


def test_growth_of_the_released_code_stops_at_equal_neighbours() -> None:
    signal = np.array([0.0, 0.0, 0.9, 0.0, 0.0])
    assert grow_window(signal, 3, ties_stop=True) == (2, 2)


def released_growth(signal: list[float], threshold: int) -> tuple[int, int]:
    """The loop as the released code counts: until more than ``threshold`` frames are inside."""
    left = right = signal.index(max(signal))
    count = 1
    while count <= threshold:
        before = -100 if left == 0 else signal[left - 1]
        after = -100 if right == len(signal) - 1 else signal[right + 1]
        if before == after:
            break
        left, right = (left - 1, right) if before > after else (left, right + 1)
        count += 1
    return left, right


def test_growth_is_the_released_loop_with_one_less() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        signal = rng.random(12) * (rng.random(12) > 0.3)  # with zeros
        keep = int(rng.integers(1, 13))
        expected = released_growth(signal.tolist(), keep - 1)
        assert grow_window(signal, keep, ties_stop=True) == expected


@pytest.mark.parametrize(
    ("signal", "expected"),
    [
        # logarithms base 2 are 0 2 3 1 3 0 0 0, mean 9/8: 7/8 + 15/8 - 1/8 + 15/8 is the most
        ([1, 4, 8, 2, 8, 1, 1, 1], (1, 4)),
        ([1, 4, 8, 2, 8, 1, 0, 1], (1, 4)),  # out of sight
        # 0 3 0 0 0 3 3 0: two pieces, the larger is taken, for the dip costs more than it joins
        ([1, 8, 1, 1, 1, 8, 8, 1], (5, 6)),
        ([8, 8, 1, 1], (0, 1)),
        ([2, 2, 2], (0, 2)),  # no rise
        ([0, 0], (0, 1)),  # never seen
        ([0, 5, 5, 0], (1, 2)),  # out of sight is less than anything seen
        ([3], (0, 0)),
    ],
)
def test_fitted_stretch(signal: list[float], expected: tuple[int, int]) -> None:
    assert fit_interval(np.array(signal, float)) == expected


def test_fitted_stretch_does_not_depend_on_scale() -> None:
    signal = np.random.default_rng(1).random(20) + 0.01
    assert fit_interval(signal) == fit_interval(signal * 1e-3)


@pytest.mark.parametrize(("end", "expected"), [(1, 0.30), (0, 0.28)])
def test_reference_values_of_viou(end: int, expected: float) -> None:
    """Truth 10 to 19, answer 12 to 25, boxes that overlap by 0.6; ends inside or not."""

    def tube(first: int, last: int, right: float) -> Tube:
        frames = np.arange(first, last + end)
        boxes = np.tile([0.0, 0.0, right, 10.0], (len(frames), 1))
        return Tube(Interval(first, last + end), frames, boxes)

    assert viou(tube(10, 19, 10.0), tube(12, 25, 6.0)) == pytest.approx(expected)
