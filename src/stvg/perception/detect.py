"""What a detector is: pictures in, labelled boxes out.

Every detector fills the same :class:`Detections` in pixels of the picture it was given;
:mod:`stvg.perception.choose` finds one by what a user types.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from stvg.types import BoolArray, ByteArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """What one picture shows.

    Attributes:
        boxes: ``xyxy`` pixels of the given picture, (N, 4), inside it.
        scores: Confidence, (N,) in [0, 1].
        labels: Name of each box's class, N long.
    """

    boxes: FloatArray
    scores: FloatArray
    labels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def keep(self, which: BoolArray | IntArray) -> Detections:
        """The boxes that a mask (N,) or indices (M,) select."""
        chosen = np.arange(len(self))[which]
        return Detections(
            self.boxes[chosen], self.scores[chosen], tuple(self.labels[i] for i in chosen)
        )


class Detector(Protocol):
    """What every detector offers.

    Attributes:
        name: Shown in results.
        classes: The class names it knows, or None when any words may be asked for.
        long_side: Longer side in pixels of the pictures it works best on.
    """

    @property
    def name(self) -> str:
        """Shown in results."""

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Class names it knows, or None for any words."""

    @property
    def long_side(self) -> int:
        """Longer side in pixels of the pictures it works best on."""

    def detect(self, frames: ByteArray, words: Sequence[str] = ()) -> list[Detections]:
        """Find objects.

        Args:
            frames: RGB (B, H, W, 3) uint8.
            words: What to look for; needed when ``classes`` is None, ignored otherwise.

        Returns:
            One :class:`Detections` a frame.
        """
