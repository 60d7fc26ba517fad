"""Joining the pieces of one object that a tracker lost hold of.

A tracker gives an object that leaves the picture, hides or moves too fast a new number when it
comes back, and where objects meet it may go on with the wrong one. So what has one number is first
cut where the object was missed for a while, and where its colours change at once while something
else begins or ends that has the colours it had, or gets. Then pieces that follow each other in time
are compared by colour, class, size and place, and the cheapest consistent set of "this piece goes
on as that one" is chosen at once (linear assignment), as in tracklet association by network flow
(Zhang et al., CVPR 2008). The costs are ours.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from pydantic import Field

from stvg.config import Config
from stvg.perception.appearance import similarity
from stvg.types import FloatArray, IntArray, VideoMeta

_NEVER = 1e6
_COLUMNS = ("frames", "boxes", "scores", "labels", "colours")
_HOLE_S = 0.1  # a piece is cut where the tracker missed the object for longer ...
_HOLE_LOOKS = 2  # ... and in at least so many looked-at frames
_SURE_S = 0.5  # a piece of this length counts fully
_EDGE_BOXES = 8  # boxes at the end of a piece that describe how it looked there
_FEWEST_BOXES = 4  # on both sides of a change of colours
_CHANGED = 0.35  # likeness of the colours before and after below which it may be another object
_ALIKE = 0.5  # likeness from which one object may have gone on as the other


@dataclass(slots=True)
class Fragment:
    """Boxes that belong to one object, while they are collected.

    Attributes:
        frames: Source frame numbers, increasing.
        boxes: ``xyxy`` in pixels of the original frame.
        scores: Detector confidences.
        labels: Class names.
        colours: Colour descriptions (3, 11).
        number: What the tracker called it.
    """

    frames: list[int] = field(default_factory=list)
    boxes: list[FloatArray] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    colours: list[FloatArray] = field(default_factory=list)
    number: int = -1

    def extend(self, other: Fragment) -> None:
        """Append the boxes of a later fragment."""
        for name in _COLUMNS:
            getattr(self, name).extend(getattr(other, name))

    def part(self, first: int, end: int) -> Fragment:
        """The boxes ``[first, end)`` of the list."""
        columns = {name: getattr(self, name)[first:end] for name in _COLUMNS}
        return Fragment(**columns, number=self.number)

    @property
    def label_shares(self) -> dict[str, float]:
        """Share of the summed confidence by class name, largest first; sums to 1."""
        sums: dict[str, float] = defaultdict(float)
        for label, score in zip(self.labels, self.scores, strict=True):
            sums[label] += max(score, 1e-6)  # a detector may be sure of nothing
        total = sum(sums.values())
        ranked = sorted(sums.items(), key=lambda item: -item[1])
        return {label: value / total for label, value in ranked}


class JoinConfig(Config):
    """How willing pieces are joined; costs are added up and compared with ``max_cost``."""

    max_gap_s: float = Field(
        4.0, ge=0, description="longest absence in seconds; 0 leaves all as the tracker gave it"
    )
    max_cost: float = Field(1.0, gt=0, description="a join that costs more is not made")
    colour_cost: float = Field(1.2, ge=0, description="for colours with nothing in common")
    label_cost: float = Field(0.3, ge=0, description="for classes with nothing in common")
    size_cost: float = Field(0.25, ge=0, description="for each factor e between the areas")
    place_cost: float = Field(
        0.25, ge=0, description="for each reach (own size, growing with the absence) of distance"
    )
    gap_cost: float = Field(0.05, ge=0, description="for each second of absence")
    same_number_gain: float = Field(
        0.3, ge=0, description="taken off when the tracker too held the pieces for one object"
    )


def join_fragments(
    fragments: Sequence[Fragment],
    meta: VideoMeta,
    config: JoinConfig,
    looks: IntArray | None = None,
) -> list[Fragment]:
    """Chain the pieces that show one object.

    Args:
        fragments: What the tracker gave one number each; they are not changed. They are cut first
            (see the top of this file), so that two objects which the tracker confused can be told
            apart again.
        meta: The video, for times.
        config: Costs.
        looks: Numbers of the frames that the detector looked at, (T,) increasing; default all.

    Returns:
        Pieces in the order of their first frames; every box of the input is in exactly one.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching

    looks = np.arange(meta.frames) if looks is None else looks
    times_s = meta.times_s
    pieces = [fragment.part(0, len(fragment.frames)) for fragment in fragments if fragment.frames]
    if config.max_gap_s > 0:
        pieces = _cut(pieces, times_s, looks, config.max_gap_s)
    pieces.sort(key=lambda piece: piece.frames[0])
    count = len(pieces)
    if count < 2 or config.max_gap_s == 0:
        return pieces
    step_s = float(np.median(np.diff(times_s[looks]))) if len(looks) > 1 else _SURE_S
    sure_boxes = _SURE_S / max(step_s, 1e-3)
    evidence = [min(1.0, len(piece.frames) / sure_boxes) for piece in pieces]
    starts_s = times_s[[piece.frames[0] for piece in pieces]]
    # Row i goes on as column j, or as nothing (column count + i). Only what is possible is listed;
    # all costs are raised by the same amount, because a listed cost must not be 0.
    raised = 1.0 + config.same_number_gain
    rows, columns, costs = [], [], []
    for i, first in enumerate(pieces):
        rows.append(i)
        columns.append(count + i)
        costs.append(config.max_cost + raised)
        end_s = times_s[first.frames[-1]]
        soonest, latest = np.searchsorted(starts_s, [end_s, end_s + config.max_gap_s], side="right")
        for j in range(int(soonest), int(latest)):
            gain = config.max_cost - join_cost(first, pieces[j], meta, config)
            if gain > 0:  # long pieces speak louder than flickers
                rows.append(i)
                columns.append(j)
                costs.append(config.max_cost - gain * evidence[i] * evidence[j] + raised)
    possible = csr_array((costs, (rows, columns)), shape=(count, 2 * count))
    chosen = zip(*min_weight_full_bipartite_matching(possible), strict=True)
    return _chain(pieces, {int(i): int(j) for i, j in chosen if j < count})


def join_cost(first: Fragment, second: Fragment, meta: VideoMeta, config: JoinConfig) -> float:
    """Cost of saying that ``second`` is ``first`` again; huge when it cannot be.

    Args:
        first: The earlier piece.
        second: The later piece, beginning after ``first`` ends.
        meta: The video.
        config: Costs.
    """
    gap_s = float(meta.times_s[second.frames[0]] - meta.times_s[first.frames[-1]])
    if gap_s > config.max_gap_s:
        return _NEVER
    likeness = _likeness(first.colours[-_EDGE_BOXES:], second.colours[:_EDGE_BOXES])
    shares = first.label_shares, second.label_shares
    common = sum(min(share, shares[1].get(label, 0.0)) for label, share in shares[0].items())
    before, after = first.boxes[-1], second.boxes[0]
    size_before, size_after = _size(before), _size(after)
    distance = _distance(first, after, gap_s, meta)
    reach = (size_before + size_after) / 2 * (1 + 2 * gap_s)
    return float(
        config.colour_cost * (1 - likeness)
        + config.label_cost * (1 - common)
        + config.size_cost * abs(2 * np.log(size_after / size_before))
        + config.place_cost * distance / reach
        + config.gap_cost * gap_s
        - config.same_number_gain * (first.number == second.number)
    )


def _chain(pieces: Sequence[Fragment], next_of: dict[int, int]) -> list[Fragment]:
    """Whole objects from pieces and the piece that each goes on as."""
    joined = []
    for start in sorted(set(range(len(pieces))) - set(next_of.values())):
        whole, place = Fragment(number=pieces[start].number), start
        whole.extend(pieces[place])
        while place in next_of:
            place = next_of[place]
            whole.extend(pieces[place])
        joined.append(whole)
    return joined


def _cut(
    fragments: Sequence[Fragment], times_s: FloatArray, looks: IntArray, max_gap_s: float
) -> list[Fragment]:
    """Pieces without holes, and without changes of colour where an object may have been swapped."""
    seen = [np.searchsorted(looks, fragment.frames) for fragment in fragments]
    gaps_s = [np.diff(times_s[fragment.frames]) for fragment in fragments]
    holes = [
        np.flatnonzero((np.diff(look) > _HOLE_LOOKS) & (gap > _HOLE_S)) + 1
        for look, gap in zip(seen, gaps_s, strict=True)
    ]
    changes = [_colour_changes(np.array(fragment.colours)) for fragment in fragments]
    borders = [
        _Border(look, number, fragment, int(place))
        for number, (fragment, look) in enumerate(zip(fragments, seen, strict=True))
        for place in {0, len(look), *holes[number], *changes[number]}
    ]
    pieces = []
    for number, fragment in enumerate(fragments):
        cuts = {int(place) for place in holes[number]}
        for place in changes[number]:
            change = _Border(seen[number], number, fragment, place)
            if gaps_s[number][place - 1] <= max_gap_s and any(map(change.fits, borders)):
                cuts.add(place)
        edges = [0, *sorted(cuts), len(fragment.frames)]
        pieces += [fragment.part(a, b) for a, b in itertools.pairwise(edges)]
    return pieces


@dataclass(frozen=True, slots=True)
class _Border:
    """A place in a fragment before which it begins, ends, has a hole or changes its colours.

    Attributes:
        looks: Places of the fragment's frames among the looked-at ones, (N,).
        number: Which fragment.
        fragment: The fragment.
        place: From 0 to N.
    """

    looks: IntArray
    number: int
    fragment: Fragment
    place: int

    def fits(self, other: _Border) -> bool:
        """Whether what was before this border may be what is after the other, or the reverse."""
        around = other.looks[max(other.place - 1, 0) : other.place + 1]
        near = (abs(around - self.looks[self.place]) <= _EDGE_BOXES).any()
        if other.number == self.number or not near:
            return False
        pairs = ((self._before, other._after), (other._before, self._after))
        return any(len(a) and len(b) and _likeness(a, b) > _ALIKE for a, b in pairs)

    @property
    def _before(self) -> list[FloatArray]:
        return self.fragment.colours[max(self.place - _EDGE_BOXES, 0) : self.place]

    @property
    def _after(self) -> list[FloatArray]:
        return self.fragment.colours[self.place : self.place + _EDGE_BOXES]


def _likeness(before: Sequence[FloatArray], after: Sequence[FloatArray]) -> float:
    """Likeness in [0, 1] of the mean of some colour descriptions with that of others."""
    return similarity(np.mean(before, axis=0), np.mean(after, axis=0))


def _colour_changes(colours: FloatArray) -> list[int]:
    """Places before which colours (N, 3, 11) were unlike those after, the clearest of each run."""
    count = len(colours)
    places = np.arange(_FEWEST_BOXES, count - _FEWEST_BOXES + 1)
    if not len(places):
        return []
    sums = np.concatenate([np.zeros((1, *colours.shape[1:])), colours.cumsum(axis=0)])
    first, end = np.maximum(places - _EDGE_BOXES, 0), np.minimum(places + _EDGE_BOXES, count)
    before = (sums[places] - sums[first]) / (places - first)[:, None, None]  # (P, 3, 11)
    after = (sums[end] - sums[places]) / (end - places)[:, None, None]
    likeness = np.minimum(before, after).sum(axis=2).mean(axis=1)  # (P,) as in similarity
    found: list[int] = []
    for place in places[np.argsort(likeness, kind="stable")][: int((likeness < _CHANGED).sum())]:
        if all(abs(int(place) - other) > _EDGE_BOXES for other in found):
            found.append(int(place))
    return found


def _size(box: FloatArray) -> float:
    """Square root of the area in pixels, at least 1."""
    return float(max(np.sqrt((box[2] - box[0]) * (box[3] - box[1])), 1.0))


def _centre(box: FloatArray) -> FloatArray:
    return (box[:2] + box[2:]) / 2


def _distance(first: Fragment, after: FloatArray, gap_s: float, meta: VideoMeta) -> float:
    """Pixels from where the first piece would have gone to where the second begins.

    The smaller of standing still and going on at the last speed: things that leave the picture
    turn round, things that are hidden for a moment go on.
    """
    still = float(np.linalg.norm(_centre(after) - _centre(first.boxes[-1])))
    if len(first.frames) < 2:
        return still
    back = min(len(first.frames), 5)
    elapsed = float(meta.times_s[first.frames[-1]] - meta.times_s[first.frames[-back]])
    speed = (_centre(first.boxes[-1]) - _centre(first.boxes[-back])) / max(elapsed, 1e-3)
    gone_on = _centre(first.boxes[-1]) + speed * gap_s
    return min(still, float(np.linalg.norm(_centre(after) - gone_on)))
