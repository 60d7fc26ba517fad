"""One object in several shots: joined by its looks alone.

Across a cut place and size say nothing, so what is left is the class and the colours
(:mod:`stvg.perception.appearance`). Two people in dark suits look alike to it; so an object is
taken for one of an earlier shot only if each is clearly the other's best match. What is joined
wrongly is worse than what is not joined: it gives two people one number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stvg.perception.appearance import similarity
from stvg.perception.join import Fragment
from stvg.types import FloatArray

_LEAD = 0.1  # of likeness, over the next best match


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """How an object looks in a shot.

    Attributes:
        label: Its class.
        colours: Mean of its colour descriptions, (3, 11).
    """

    label: str
    colours: FloatArray


def link_shots(shots: Sequence[Sequence[Look]], same_look: float) -> list[list[tuple[int, int]]]:
    """Which objects of shots that follow each other are one.

    Args:
        shots: The objects of each shot, in order of time.
        same_look: Likeness of colours in (0, 1] from which two objects may be one; 1 joins none.

    Returns:
        For each object the places where it is: number of the shot and of the object in it, in order
        of time. An object is compared as it looked in the last shot that it was in.

    Example:
        >>> red, blue = np.zeros((3, 11)), np.zeros((3, 11))
        >>> red[:, 3] = blue[:, 7] = 1
        >>> link_shots([[Look("dog", red)], [Look("dog", blue), Look("dog", red)]], 0.8)
        [[(0, 0), (1, 1)], [(1, 0)]]
    """
    chains: list[list[tuple[int, int]]] = []
    for number, shot in enumerate(shots):
        known = [shots[chain[-1][0]][chain[-1][1]] for chain in chains]
        likeness = np.array(
            [[_likeness(before, after) for after in shot] for before in known]
        ).reshape(len(known), len(shot))
        rows = [_clear_match(likeness, column, same_look) for column in range(len(shot))]
        for column, row in enumerate(rows):
            if row is None or same_look >= 1:
                chains.append([(number, column)])
            else:
                chains[row].append((number, column))
    return chains


def join_shots(shots: Sequence[Sequence[Fragment]], same_look: float) -> list[Fragment]:
    """Join the objects of shots that follow each other.

    Args:
        shots: The objects of each shot, in order of time; they are not changed.
        same_look: As in :func:`link_shots`.

    Returns:
        Objects in the order of their first frames; every box of the input is in exactly one.
    """
    looks = [
        [Look(next(iter(p.label_shares)), np.mean(p.colours, axis=0)) for p in shot]
        for shot in shots
    ]
    joined = []
    for chain in link_shots(looks, same_look):
        pieces = [shots[shot][row] for shot, row in chain]
        whole = Fragment(number=pieces[0].number)
        for piece in pieces:
            whole.extend(piece)
        joined.append(whole)
    return sorted(joined, key=lambda piece: piece.frames[0])


def _likeness(before: Look, after: Look) -> float:
    """Likeness of two looks in [0, 1]; 0 for other classes."""
    return similarity(before.colours, after.colours) if before.label == after.label else 0.0


def _clear_match(likeness: FloatArray, column: int, least: float) -> int | None:
    """The row that a column matches, each of them clearly the other's best; or None."""
    if not len(likeness):
        return None
    row = int(likeness[:, column].argmax())
    best = likeness[row, column]
    rivals = np.concatenate([np.delete(likeness[:, column], row), np.delete(likeness[row], column)])
    clear = best >= least and (not len(rivals) or best - rivals.max() >= _LEAD)
    return row if clear else None
