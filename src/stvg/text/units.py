"""Coordinates as the whole numbers that models write: percent, thousandths, model pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from stvg.geometry.boxes import clip_boxes
from stvg.types import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Units:
    """How many units the frame's sides have, and which whole numbers may be written.

    Attributes:
        across: Units from the left to the right edge of the frame.
        down: Units from the top to the bottom edge.
        last_x: Largest number written for an x; ``across`` unless digits are short.
        last_y: Largest number written for a y.

    Example:
        >>> percent = Units(100, 100, 100, 100)
        >>> percent.write([[0, 24, 320, 240.4]], (640, 480)).tolist()
        [[0, 5, 50, 50]]
        >>> percent.read([0, 5, 50, 50], (640, 480)).tolist()
        [0.0, 24.0, 320.0, 240.0]
    """

    across: int
    down: int
    last_x: int
    last_y: int

    def write(self, boxes: ArrayLike, size: tuple[int, int]) -> IntArray:
        """Boxes in pixels as whole units.

        Args:
            boxes: ``xyxy`` pixels of the original frame, (N, 4), finite; what leaves the frame is
                cut off.
            size: Width and height of the original frame.

        Returns:
            (N, 4) with ``0 <= x1 < x2 <= last_x`` and the same for y: each edge goes to the
            nearest unit, and what would have no extent then gets the unit around its middle.
        """
        units = clip_boxes(boxes, *size) / self._pixels(size)
        low = np.floor(units + 0.5)[:, :2]
        high = np.floor(units + 0.5)[:, 2:]
        last = np.array([self.last_x, self.last_y], np.float64)
        low, high = np.minimum(low, last), np.minimum(high, last)
        middle = np.minimum(np.floor((units[:, :2] + units[:, 2:]) / 2), last - 1)
        thin = high <= low
        low, high = np.where(thin, middle, low), np.where(thin, middle + 1, high)
        return np.concatenate([low, high], axis=1).astype(np.int64)

    def read(self, numbers: ArrayLike, size: tuple[int, int]) -> FloatArray:
        """Numbers (..., 4) in units, whatever they are, as pixels of the original frame."""
        pixels: FloatArray = np.asarray(numbers, np.float64) * self._pixels(size)
        return pixels

    def choices(self, earlier: Sequence[int]) -> range:
        """What may be written as the next of x1, y1, x2, y2 behind the ``earlier`` ones."""
        last = (self.last_x, self.last_y)[len(earlier) % 2]
        if len(earlier) < 2:
            return range(last)
        return range(earlier[-2] + 1, last + 1)

    def _pixels(self, size: tuple[int, int]) -> FloatArray:
        """Original pixels in a unit, for each of x1, y1, x2, y2."""
        return np.array([size[0] / self.across, size[1] / self.down] * 2)
