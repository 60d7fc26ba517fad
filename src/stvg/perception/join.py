"""Joining the pieces of one object that a tracker lost hold of.

A tracker gives an object that leaves the picture, hides or moves too fast a new number when it
comes back. Here pieces that follow each other in time are compared by colour, class, size and
place, and the cheapest consistent set of "this piece goes on as that one" is chosen at once
(linear assignment), as in tracklet association by network flow (Zhang et al., CVPR 2008). The
costs are ours.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
from pydantic import Field

from stvg.config import Config
from stvg.perception.appearance import similarity
from stvg.types import FloatArray, VideoMeta

_NEVER = 1e6
_COLUMNS = ("frames", "boxes", "scores", "labels", "colours")
_HOLE_S = 0.1  # a piece is cut where the tracker missed the object for longer
_EDGE_BOXES = 8  # boxes at the end of a piece that describe how it looked there


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
            sums[label] += score
        total = sum(sums.values())
        ranked = sorted(sums.items(), key=lambda item: -item[1])
        return {label: value / total for label, value in ranked}


class JoinConfig(Config):
    """How willing pieces are joined; costs are added up and compared with ``max_cost``."""

    max_gap_s: float = Field(4.0, ge=0, description="longest absence in seconds; 0 joins nothing")
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
    fragments: list[Fragment], meta: VideoMeta, config: JoinConfig
) -> list[Fragment]:
    """Chain the pieces that show one object.

    Args:
        fragments: What the tracker gave one number each; they are not changed. Where it missed the
            object for more than a tenth of a second they are cut first, so that two objects which
            the tracker confused can be told apart again.
        meta: The video, for times.
        config: Costs.

    Returns:
        As many pieces or fewer; every box of the input is in exactly one of them.
    """
    from scipy.optimize import linear_sum_assignment

    pieces = [piece for fragment in fragments for piece in _cut(fragment, meta)]
    pieces.sort(key=lambda piece: piece.frames[0])
    count = len(pieces)
    if count < 2:
        return pieces
    cost = np.full((count, 2 * count), _NEVER)
    for i, first in enumerate(pieces):
        cost[i, count + i] = config.max_cost  # going on as nothing
        for j, second in enumerate(pieces):
            if first.frames[-1] < second.frames[0]:
                gain = config.max_cost - join_cost(first, second, meta, config)
                if gain > 0:  # long pieces speak louder than flickers
                    cost[i, j] = config.max_cost - gain * _evidence(first) * _evidence(second)
    rows, columns = linear_sum_assignment(cost)
    next_of = {int(i): int(j) for i, j in zip(rows, columns, strict=True) if j < count}
    next_of = {i: j for i, j in next_of.items() if cost[i, j] < config.max_cost}
    joined = []
    for start in sorted(set(range(count)) - set(next_of.values())):
        whole, place = Fragment(), start
        whole.extend(pieces[place])
        while place in next_of:
            place = next_of[place]
            whole.extend(pieces[place])
        joined.append(whole)
    return joined


def join_cost(first: Fragment, second: Fragment, meta: VideoMeta, config: JoinConfig) -> float:
    """Cost of saying that ``second`` is ``first`` again; huge when it cannot be.

    Args:
        first: The earlier piece.
        second: The later piece, beginning after ``first`` ends.
        meta: The video.
        config: Costs.
    """
    times = meta.times_s
    gap_s = float(times[second.frames[0]] - times[first.frames[-1]])
    if gap_s > config.max_gap_s:
        return _NEVER
    likeness = similarity(
        np.mean(first.colours[-_EDGE_BOXES:], axis=0), np.mean(second.colours[:_EDGE_BOXES], axis=0)
    )
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


def _cut(fragment: Fragment, meta: VideoMeta) -> list[Fragment]:
    """Pieces without holes; a hole is longer than a tenth of a second and than two steps."""
    times = meta.times_s[np.array(fragment.frames, int)]
    if len(times) < 2:
        return [fragment] if len(times) else []
    steps = np.diff(times)
    cuts = np.flatnonzero(steps > max(_HOLE_S, 2.5 * float(np.min(steps)))) + 1
    edges = [0, *(int(cut) for cut in cuts), len(times)]
    return [fragment.part(a, b) for a, b in itertools.pairwise(edges)]


def _evidence(piece: Fragment) -> float:
    """How much a piece counts, in (0, 1]: all from half a second at 30 frames a second on."""
    return min(1.0, len(piece.frames) / 15)


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
