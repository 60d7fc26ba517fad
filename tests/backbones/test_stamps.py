"""Words between the steps of a video: where they stand, and that nothing else moves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stvg.backbones.positions import TEXT, VIDEO, Block, PositionRule, positions
from stvg.errors import UsageError
from stvg.types import IntArray

RULES = (PositionRule(), PositionRule(convention="installed"), PositionRule(is_timed=False))


def placed(block: Block, rule: PositionRule, before: int = 2, after: int = 3) -> IntArray:
    """Positions (3, L) of words, a video and words."""
    words = [np.zeros(count, np.int64) for count in (before, after)]
    types = np.concatenate([words[0], block.types(rule.merge), words[1]])
    return positions(types, [block], rule).ids[:, 0]


def test_positions_by_hand() -> None:
    """Two steps of 1 by 2 tokens, a second apart, with two words and one."""
    block = Block((2, 2, 4), stamps=(2, 1))
    assert block.types(2).tolist() == [VIDEO, VIDEO, TEXT, TEXT, VIDEO, VIDEO, TEXT]
    assert placed(block, PositionRule(), before=1, after=2).tolist() == [
        [0, 1, 1, 1, 1, 3, 3, 3, 5, 6],
        [0, 1, 1, 2, 3, 1, 1, 2, 5, 6],
        [0, 1, 2, 3, 4, 1, 2, 3, 5, 6],
    ]


def test_pushing_words_by_hand() -> None:
    """Each step is a video of its own with text behind it."""
    block = Block((2, 2, 4), stamps=(2, 1), pushes=True)
    assert placed(block, PositionRule(), before=1, after=2).tolist() == [
        [0, 1, 1, 3, 4, 5, 5, 7, 8, 9],
        [0, 1, 1, 3, 4, 5, 5, 7, 8, 9],
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    ]


@given(
    steps=st.integers(1, 6), rows=st.integers(1, 4), columns=st.integers(1, 4),
    seconds=st.sampled_from([0.1, 0.5, 1.0, 2.7]), queries=st.integers(0, 2), data=st.data(),
    rule=st.sampled_from(RULES),
)  # fmt: skip
def test_nothing_moves_and_nothing_collides(
    steps: int, rows: int, columns: int, seconds: float, queries: int, data: st.DataObject,
    rule: PositionRule,
) -> None:  # fmt: skip
    lengths = st.lists(st.integers(0, 5), min_size=steps, max_size=steps)
    stamps = tuple(data.draw(lengths.filter(any)))
    grid = (steps, 2 * rows, 2 * columns)
    block = Block(grid, seconds, queries=queries, stamps=stamps)
    found = placed(block, rule)
    plain = placed(Block(grid, seconds, queries=queries), rule)
    is_shown = np.concatenate([[False] * 2, block.types(2) == VIDEO, [False] * 3])
    before = np.arange(found.shape[1]) < 2
    expected = plain[:, 2:-3]
    np.testing.assert_array_equal(found[:, is_shown], expected)
    np.testing.assert_array_equal(found[:, before], plain[:, :2])
    visual = set(map(tuple, found[:, is_shown].T.tolist()))
    stamped = found[:, 2:-3][:, ~is_shown[2:-3]]
    own = list(map(tuple, stamped.T.tolist()))
    assert len(own) == sum(stamps)
    assert visual.isdisjoint(own)
    behind = found[:, -3:]
    np.testing.assert_array_equal(behind[0], behind[1])
    np.testing.assert_array_equal(behind[0], behind[2])
    np.testing.assert_array_equal(np.diff(behind[0]), 1)
    assert behind.min() > stamped[1:].max()
    if rule.convention == "checkpoint":
        assert behind.min() == 1 + found[:, :-3].max()
    step_of = np.repeat(np.arange(steps), stamps)
    firsts = found[0, is_shown].reshape(steps, -1)[:, 0]
    np.testing.assert_array_equal(stamped[0], firsts[step_of])  # at the time of their step


def test_words_that_are_missing_are_told() -> None:
    block = Block((2, 2, 4), stamps=(1, 1))
    types = np.array([0, VIDEO, VIDEO, VIDEO, VIDEO, 0])
    with pytest.raises(UsageError, match="with the words between its steps at token 1"):
        positions(types, [block], PositionRule())
