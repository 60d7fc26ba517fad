"""Which number is meant: votes by hand."""

from __future__ import annotations

import numpy as np
import pytest

from stvg.errors import UsageError
from stvg.perception import matching
from stvg.perception.matching import Match, MatchConfig, match_target, summarise
from stvg.types import Track

TARGET = [[0, 0, 10, 10]] * 4  # frames 0 to 3
SAME = [0, 0, 10, 10]
HALF = [0, 0, 10, 5]  # overlap 0.5
THIRD = [0, 0, 10, 30]  # overlap 1/3
FIFTH = [0, 0, 10, 2]  # overlap 0.2
AWAY = [50, 50, 60, 60]


def track(number: int, frames: list[int], boxes: list[list[int]]) -> Track:
    return Track(number, "dog", frames, boxes, np.ones(len(frames)))


@pytest.mark.parametrize(
    ("tracks", "expected"),
    [
        # one object everywhere
        ([track(7, [0, 1, 2, 3], [SAME] * 4)], Match(7, "", 7, 1.0, 1.0, 1.0, 1.0)),
        # three votes to one; its own mean is 1, the ceiling counts the frame it loses
        (
            [track(1, [0, 1, 2, 3], [SAME] * 3 + [HALF]), track(2, [3], [SAME])],
            Match(1, "", 1, 0.75, 1.0, 1.0, 0.875),
        ),
        # an overlap of 0.2 does not vote: only half of the frames do
        (
            [track(1, [0, 1, 2, 3], [HALF, HALF, FIFTH, FIFTH])],
            Match(1, "", 1, 1.0, 0.5, 1.0, 0.35),
        ),
        # it votes, but fits badly
        (
            [track(1, [0, 1, 2, 3], [THIRD] * 4)],
            Match(None, matching.NOT_GOOD, 1, 1.0, 1 / 3, 1.0, 0.0),
        ),
        # never overlaps: the release would call this a match where the overlap is above zero
        ([track(1, [0, 1, 2, 3], [FIFTH] * 4)], Match(None, matching.NO_OVERLAP)),
        ([track(1, [0, 1], [AWAY] * 2)], Match(None, matching.NO_OVERLAP)),
        # good, but seen in one frame of four
        ([track(1, [2], [SAME])], Match(None, matching.NOT_SEEN, 1, 1.0, 1.0, 0.25, 0.0)),
        ([], Match(None, matching.NO_TRACKS)),
    ],
)
def test_votes(tracks: list[Track], expected: Match) -> None:
    found = match_target([0, 1, 2, 3], TARGET, tracks)
    assert (found.id, found.reason, found.best_id) == (
        expected.id, expected.reason, expected.best_id,
    )  # fmt: skip
    numbers = (found.vote_share, found.mean_iou, found.seen_share, found.ceiling)
    assert numbers == pytest.approx(
        (expected.vote_share, expected.mean_iou, expected.seen_share, expected.ceiling)
    )


def test_three_objects_with_a_third_of_the_votes_each_are_not_clear() -> None:
    tracks = [track(n, [n], [SAME]) for n in (0, 1, 2)]
    found = match_target([0, 1, 2], TARGET[:3], tracks, MatchConfig(min_seen=0))
    assert (found.reason, found.best_id) == (matching.NOT_CLEAR, 0)
    assert found.vote_share == pytest.approx(1 / 3)


def test_of_equally_many_votes_the_larger_overlap_wins() -> None:
    tracks = [track(1, [0, 1], [HALF] * 2), track(2, [2, 3], [SAME] * 2)]
    assert match_target([0, 1, 2, 3], TARGET, tracks).id == 2


def test_equal_tracks_are_told_apart_by_their_ids_alone() -> None:
    tracks = [track(n, [0, 1, 2, 3], [SAME] * 4) for n in (5, 2)]
    assert match_target([0, 1, 2, 3], TARGET, tracks).id == 2
    assert match_target([0, 1, 2, 3], TARGET, tracks[::-1]).id == 2


def test_missing_boxes_are_no_annotation() -> None:
    nothing = [[np.nan] * 4] * 2
    assert match_target([0, 1], nothing, [track(1, [0], [SAME])]).reason == matching.NO_TARGET
    mixed = [*nothing, SAME]
    assert match_target([0, 1, 2], mixed, [track(1, [2], [SAME])]).id == 1


def test_shapes_must_agree() -> None:
    with pytest.raises(UsageError, match="a box for each annotated frame"):
        match_target([0, 1], [SAME], [])


def test_summary_counts_and_lists_what_has_no_number() -> None:
    found = summarise(
        [
            ("a", Match(1, ceiling=0.9)),
            ("b", Match(None, matching.NOT_SEEN)),
            ("c", Match(2, ceiling=0.6)),
            ("d", Match(None, matching.NOT_SEEN)),
            ("e", Match(None, matching.NO_TARGET)),  # nothing to be answered
        ]
    )
    assert (found.queries, found.matched) == (4, 2)
    assert found.ceiling == pytest.approx(0.375)
    assert found.ceiling_of_matched == pytest.approx(0.75)
    assert found.reasons == {matching.NOT_SEEN: 2}
    assert [name for name, _ in found.unmatched] == ["b", "d"]


def test_summary_of_nothing() -> None:
    assert summarise([]).ceiling == 0.0
