"""What becomes of the boxes that a detector found of a sentence's subject: refined, or dropped.

The last two of the four steps by which SpaceVLLM (arXiv:2503.13983) makes tubes: the interval is
tightened to the first and last sight of the subject, and samples that are too short, too long, too
crowded or that jump are dropped. The paper does not say whether a crowded frame or a jump ends a
sample; here a crowded frame is left out, a sample ends where too many of its frames are, and of a
sample that jumps the longer part is kept. Pure functions.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from pydantic import Field

from stvg.config import Config
from stvg.geometry.boxes import box_area
from stvg.types import BoolArray, FloatArray, IntArray

from .rows import UnusableError

_HAIR_S = 1e-9  # seconds: sums of frame times may end a rounding error below a limit


class Limits(Config):
    """When a sample is kept; the paper's values, but for ``most_crowded``, which is ours."""

    confidence: float = Field(
        0.3, ge=0, le=1, description="a box of less confidence counts as not seen"
    )
    shortest_s: float = Field(2.0, gt=0, description="shorter samples are dropped, seconds")
    longest_s: float = Field(120.0, gt=0, description="longer samples are dropped, seconds")
    most_boxes: int = Field(3, ge=1, description="a frame with more boxes is crowded")
    most_crowded: float = Field(
        0.2, ge=0, le=1, description="a sample with a larger share of crowded frames is dropped"
    )
    area_factor: float = Field(
        2.0, gt=1, description="a box that grows or shrinks by more from frame to frame jumps"
    )


@dataclass(frozen=True, slots=True, eq=False)
class Sights:
    """The frames in which a subject was found.

    Attributes:
        frames: Their numbers, (N,) ascending.
        boxes: ``xyxy`` pixels, (N, 4).
        scores: Confidence, (N,) in [0, 1].
        counts: Boxes of anything that was looked for in each of the frames, (N,).
        fps: Frames a second.
    """

    frames: IntArray
    boxes: FloatArray
    scores: FloatArray
    counts: IntArray
    fps: float

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def seconds(self) -> float:
        """From the first sight to the end of the last one's frame; 0 without any."""
        return float(self.frames[-1] - self.frames[0] + 1) / self.fps if len(self) else 0.0

    def keep(self, which: BoolArray | slice) -> Sights:
        """The sights that a mask (N,) or a slice selects."""
        return Sights(
            self.frames[which], self.boxes[which], self.scores[which], self.counts[which], self.fps
        )


def refine(seen: Sights, limits: Limits) -> Sights:
    """The sights that are kept of a sample; its interval is from the first to the last.

    Raises:
        UnusableError: If the sample is dropped.

    Example:
        >>> frames = np.arange(30)
        >>> boxes = np.tile([0.0, 0.0, 10.0, 10.0], (30, 1))
        >>> seen = Sights(frames, boxes, np.ones(30), np.ones(30, int), fps=10.0)
        >>> refine(seen, Limits()).seconds
        3.0
    """
    sure = seen.keep(seen.scores >= limits.confidence)
    if not len(sure):
        raise UnusableError("subject not found")
    if sure.seconds < limits.shortest_s - _HAIR_S:
        raise UnusableError("too short")
    if sure.seconds > limits.longest_s + _HAIR_S:
        raise UnusableError("too long")
    crowded = sure.counts > limits.most_boxes
    if crowded.mean() > limits.most_crowded:
        raise UnusableError("too crowded")
    kept = max(parts_between_jumps(sure.keep(~crowded), limits.area_factor), key=_seconds)
    if kept.seconds < limits.shortest_s - _HAIR_S:
        raise UnusableError("box jumps")
    return kept


def parts_between_jumps(seen: Sights, factor: float) -> list[Sights]:
    """The sights cut wherever the area of the box changes by more than a factor.

    Example:
        >>> boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 20], [0, 0, 10, 41]], float)
        >>> seen = Sights(np.arange(3), boxes, np.ones(3), np.ones(3, int), fps=10.0)
        >>> [part.frames.tolist() for part in parts_between_jumps(seen, 2.0)]
        [[0, 1], [2]]
    """
    areas = box_area(seen.boxes)
    before, after = areas[:-1], areas[1:]
    jumps = np.maximum(before, after) > factor * np.minimum(before, after)
    edges = [0, *(np.flatnonzero(jumps) + 1).tolist(), len(seen)]
    return [seen.keep(slice(first, end)) for first, end in pairwise(edges)]


def _seconds(seen: Sights) -> float:
    return seen.seconds
