"""Objects across cuts, by looks alone."""

from __future__ import annotations

import numpy as np
import pytest

from stvg.perception.appearance import COLOURS
from stvg.perception.join import Fragment
from stvg.perception.rejoin import Look, join_shots, link_shots
from stvg.types import FloatArray


def colours(*names: str) -> FloatArray:
    """Equal shares of some colours, in all three parts."""
    found = np.zeros((3, 11))
    for name in names:
        found[:, COLOURS.index(name)] += 1 / len(names)  # type: ignore[arg-type]
    return found


RED, BLUE, RED_AND_BLUE = colours("red"), colours("blue"), colours("red", "blue")


def look(shade: FloatArray, label: str = "person") -> Look:
    return Look(label, shade)


@pytest.mark.parametrize(
    ("shots", "chains"),
    [
        ([], []),
        ([[], [look(RED)]], [[(1, 0)]]),
        # two people change places in the list
        (
            [[look(RED), look(BLUE)], [look(BLUE), look(RED)]],
            [[(0, 0), (1, 1)], [(0, 1), (1, 0)]],
        ),
        # another class is another object
        ([[look(RED)], [look(RED, "car")]], [[(0, 0)], [(1, 0)]]),
        # two who look alike: neither is clearly the one before
        ([[look(RED)], [look(RED), look(RED)]], [[(0, 0)], [(1, 0)], [(1, 1)]]),
        # half alike is not enough
        ([[look(RED)], [look(RED_AND_BLUE)]], [[(0, 0)], [(1, 0)]]),
        # away for a shot
        ([[look(RED)], [look(BLUE)], [look(RED)]], [[(0, 0), (2, 0)], [(1, 0)]]),
    ],
)
def test_links(shots: list[list[Look]], chains: list[list[tuple[int, int]]]) -> None:
    assert link_shots(shots, 0.8) == chains


def test_nothing_is_linked_at_one() -> None:
    assert link_shots([[look(RED)], [look(RED)]], 1.0) == [[(0, 0)], [(1, 0)]]


def piece(start: int, shade: FloatArray, number: int) -> Fragment:
    box = np.array([0.0, 0, 10, 10])
    return Fragment(
        [start, start + 1], [box, box], [0.9, 0.9], ["person"] * 2, [shade, shade], number
    )


def test_every_box_is_in_exactly_one_object_and_the_input_stays() -> None:
    shots = [[piece(0, RED, 1), piece(0, BLUE, 2)], [piece(2, BLUE, 1)]]
    joined = join_shots(shots, 0.8)
    assert [whole.frames for whole in joined] == [[0, 1], [0, 1, 2, 3]]
    assert [len(each.frames) for shot in shots for each in shot] == [2, 2, 2]
