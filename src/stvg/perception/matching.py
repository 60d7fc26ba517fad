"""Which number is meant: from the annotated tube of a query to a track.

STVG-R1 (arXiv:2602.11730) labels a query with the track that overlaps the target best in most of
the annotated frames. Its released code counts any overlap above zero, so a target that was never
found is labelled with whoever stands near; and it drops queries without any label in silence. Here
a frame votes only from a minimum overlap on, the winner must be clear, good and there to be seen,
and a query that gets no number gets the reason instead.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field

from stvg.config import Config
from stvg.errors import UsageError
from stvg.geometry.boxes import paired_iou
from stvg.types import FloatArray, IntArray, Track, Tracks

NO_TRACKS = "no object was found in the video"
NO_OVERLAP = "no object overlaps the target enough"
NOT_CLEAR = "the votes are divided"
NOT_GOOD = "the best object fits badly"
NOT_SEEN = "the best object is seen in too few frames"
NO_TARGET = "the annotation has no box"


class MatchConfig(Config):
    """When a track counts as the target. Values are ours."""

    min_iou: float = Field(0.3, gt=0, le=1, description="overlap from which a frame votes")
    min_share: float = Field(
        0.5, ge=0, le=1, description="share of the votes that the winner has at least"
    )
    min_mean_iou: float = Field(
        0.5, ge=0, le=1, description="mean overlap in the frames that voted for the winner"
    )
    min_seen: float = Field(
        0.5, ge=0, le=1, description="share of the annotated frames in which the winner has a box"
    )


@dataclass(frozen=True, slots=True)
class Match:
    """The number of a query's target, or why it has none.

    Attributes:
        id: Id of the track, or None.
        reason: Why there is none, one of this module's reasons; empty where there is one.
        best_id: The track with the most votes, even where it is no match; None without votes.
        vote_share: Share of the votes that it has, in [0, 1].
        mean_iou: Mean overlap in the frames that voted for it, in [0, 1].
        seen_share: Share of the annotated frames in which it has a box, in [0, 1].
        ceiling: Mean overlap over all annotated frames, 0 where it has no box: the vIoU of a right
            answer at the right time. Of the match; 0 where there is none.
    """

    id: int | None
    reason: str = ""
    best_id: int | None = None
    vote_share: float = 0.0
    mean_iou: float = 0.0
    seen_share: float = 0.0
    ceiling: float = 0.0


def match_target(
    frames: ArrayLike,
    boxes: ArrayLike,
    tracks: Tracks | Sequence[Track],
    config: MatchConfig | None = None,
) -> Match:
    """The track that shows a query's target.

    Args:
        frames: Annotated frames of the video within the true interval, (N,).
        boxes: The target in them, ``xyxy`` pixels of the original frame, (N, 4); a row that is not
            finite does not count as annotated.
        tracks: The objects of the video.
        config: When a track counts.

    Returns:
        The match. A frame votes for the lower id of tracks with equal overlaps. Of tracks with
        equally many votes the one with the larger overlap wins, then the one with the lower id.

    Raises:
        UsageError: If shapes disagree.

    Example:
        >>> tracks = [Track(4, "dog", [0, 1, 2], [[0, 0, 10, 10]] * 3, [1, 1, 1])]
        >>> match_target([1, 2], [[0, 0, 10, 8], [0, 0, 10, 10]], tracks)
        Match(id=4, reason='', best_id=4, vote_share=1.0, mean_iou=0.9, seen_share=1.0, ceiling=0.9)
        >>> match_target([1, 2], [[50, 0, 60, 8], [50, 0, 60, 10]], tracks).reason
        'no object overlaps the target enough'
    """
    config = config or MatchConfig()
    wanted, target = np.asarray(frames, np.int64), np.asarray(boxes, np.float64).reshape(-1, 4)
    if wanted.shape != (len(target),):
        raise UsageError(
            f"expected a box for each annotated frame, found frames {wanted.shape} and boxes "
            f"{target.shape}"
        )
    known = np.isfinite(target).all(axis=1)
    wanted, target = wanted[known], target[known]
    objects = sorted(
        tracks.tracks if isinstance(tracks, Tracks) else tracks, key=lambda track: track.id
    )
    if not len(wanted) or not objects:
        return Match(None, NO_TRACKS if len(wanted) else NO_TARGET)
    overlaps = np.stack([_overlaps(track, wanted, target) for track in objects])  # (K, N)
    counted = overlaps.max(axis=0) >= config.min_iou
    if not counted.any():
        return Match(None, NO_OVERLAP)
    votes = Counter(overlaps.argmax(axis=0)[counted].tolist())
    best = min(votes, key=lambda row: (-votes[row], -overlaps[row].sum(), objects[row].id))
    own = counted & (overlaps.argmax(axis=0) == best)
    share = votes[best] / int(counted.sum())
    mean_iou = float(overlaps[best, own].mean())
    seen = float(np.isin(wanted, objects[best].frames).mean())
    reason = ""
    if share < config.min_share:
        reason = NOT_CLEAR
    elif mean_iou < config.min_mean_iou:
        reason = NOT_GOOD
    elif seen < config.min_seen:
        reason = NOT_SEEN
    number = objects[best].id
    ceiling = 0.0 if reason else float(overlaps[best].mean())
    return Match(None if reason else number, reason, number, share, mean_iou, seen, ceiling)


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of a set of queries a front end makes answerable.

    Attributes:
        queries: How many queries have a target.
        matched: How many of them have a number.
        ceiling: Mean over all of them of the best vIoU that naming a number can give at the right
            time, 0 for a query without a number.
        ceiling_of_matched: The same over those that have one.
        reasons: Why the others have none -> how many.
        unmatched: Ids of the queries without a number, with the reason.
    """

    queries: int
    matched: int
    ceiling: float
    ceiling_of_matched: float
    reasons: dict[str, int]
    unmatched: tuple[tuple[str, str], ...]


def summarise(matches: Sequence[tuple[str, Match]]) -> Coverage:
    """Count matches.

    Args:
        matches: Id of each query and its match; those without an annotated box are left out.

    Example:
        >>> found = summarise([("a", Match(1, ceiling=0.8)), ("b", Match(None, NO_OVERLAP))])
        >>> found.matched, found.ceiling, found.ceiling_of_matched, found.unmatched
        (1, 0.4, 0.8, (('b', 'no object overlaps the target enough'),))
    """
    asked = [(name, match) for name, match in matches if match.reason != NO_TARGET]
    good = [match.ceiling for _, match in asked if match.id is not None]
    unmatched = tuple((name, match.reason) for name, match in asked if match.id is None)
    return Coverage(
        len(asked),
        len(good),
        sum(good) / max(len(asked), 1),
        sum(good) / max(len(good), 1),
        dict(Counter(reason for _, reason in unmatched).most_common()),
        unmatched,
    )


def _overlaps(track: Track, frames: IntArray, boxes: FloatArray) -> FloatArray:
    """Overlap of a track with boxes in frames, (N,), 0 where it has none."""
    found = np.zeros(len(frames))
    place = np.minimum(np.searchsorted(track.frames, frames), len(track) - 1)
    there = track.frames[place] == frames
    found[there] = paired_iou(track.boxes[place[there]], boxes[there])
    return found
