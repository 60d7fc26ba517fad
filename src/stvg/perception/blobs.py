"""A detector without weights: patches that stand out from a plain background.

For drawn clips, screen recordings of games and the like; not for natural video. Pixels that differ
from the picture's commonest colour are grouped into connected patches, each is named by its
outline: ``ball``, ``box``, ``triangle`` or, where none fits, ``thing``. It runs offline in a
few milliseconds a frame, which makes it the detector of the demo and of tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np

from stvg.errors import UsageError
from stvg.extras import require
from stvg.perception.appearance import lab_from_rgb
from stvg.perception.detect import Detections
from stvg.types import BoolArray, ByteArray, FloatArray

_FAR = 18.0  # CIELAB distance from the commonest colour that stands out
_SMALLEST = 12  # pixels of a patch
# Share of its bounding box that an outline fills.
_BALL, _TRIANGLE, _BOX = np.pi / 4, 0.5, 1.0
_MISFIT = 0.09
_FLAT = 0.7  # share of a side of the bounding box along which a triangle lies


@dataclass(frozen=True, slots=True)
class BlobDetector:
    """Patches on a plain background; see :class:`stvg.perception.detect.Detector`."""

    threshold: float = 0.1
    name: ClassVar[str] = "blobs"
    classes: ClassVar[tuple[str, ...]] = ("ball", "box", "triangle", "thing")
    long_side: ClassVar[int] = 320

    def detect(self, frames: ByteArray, words: Sequence[str] = ()) -> list[Detections]:
        """Find patches in RGB frames (B, H, W, 3) uint8."""
        del words  # the classes are fixed
        if frames.ndim != 4 or frames.shape[-1] != 3:
            raise UsageError(f"expected frames (B, H, W, 3), found {frames.shape}")
        return [self._detect_one(frame) for frame in frames]

    def _detect_one(self, frame: ByteArray) -> Detections:
        ndimage = require("scipy.ndimage", "perception", "the blob detector")
        levels = frame >> 3  # 32 of each primary colour
        cells = (levels[..., 0].astype(np.int64) << 10) | (levels[..., 1].astype(np.int64) << 5)
        cells |= levels[..., 2]  # (H, W)
        commonest = np.bincount(cells.ravel(), minlength=32**3).argmax()
        distance = np.linalg.norm(_cell_colours() - _cell_colours()[commonest], axis=-1)
        stands_out = (distance > _FAR)[cells]  # (H, W)
        patches, _ = ndimage.label(ndimage.binary_opening(stands_out))
        boxes, scores, labels = [], [], []
        for number, place in enumerate(ndimage.find_objects(patches), start=1):
            patch = patches[place] == number
            if patch.sum() < _SMALLEST:
                continue
            rows, columns = place
            boxes.append([columns.start, rows.start, columns.stop, rows.stop])
            label, score = name_outline(patch)
            labels.append(label)
            scores.append(score)
        found = Detections(
            np.array(boxes, np.float64).reshape(-1, 4), np.array(scores), tuple(labels)
        )
        return found.keep(found.scores > self.threshold)


def name_outline(patch: BoolArray) -> tuple[str, float]:
    """Name and fit in (0, 1] of a patch by the share of its bounding box that it fills.

    Args:
        patch: The pixels of the patch within its bounding box, (h, w) bool.
    """
    height, width = patch.shape
    fill = float(patch.mean())
    candidates = {"ball": _BALL, "triangle": _TRIANGLE, "box": _BOX}
    if not 0.8 < width / height < 1.25:
        del candidates["ball"]  # a ball is as wide as high
    if not _is_triangular(patch):
        del candidates["triangle"]
    label = min(candidates, key=lambda name: abs(candidates[name] - fill))
    misfit = abs(candidates[label] - fill)
    return (label, 1.0 - misfit) if misfit < _MISFIT else ("thing", 0.9)


def _is_triangular(patch: BoolArray) -> bool:
    """Whether a patch lies along a side of its box (no diamond) and tapers evenly (no L)."""
    borders = (patch[:2], patch[-2:], patch[:, :2].T, patch[:, -2:].T)
    lies = max(border.mean(axis=1).max() for border in borders) >= _FLAT
    widths = np.sort(patch.mean(axis=1))
    even = (np.arange(len(widths)) + 0.5) / len(widths)
    return bool(lies and np.abs(widths - even).mean() < _MISFIT)


@cache
def _cell_colours() -> FloatArray:
    """CIELAB colours of the centres of 32 x 32 x 32 cells of sRGB, (32768, 3), red slowest."""
    centres = (np.arange(32) * 8 + 4).astype(np.uint8)
    return lab_from_rgb(
        np.stack(np.meshgrid(centres, centres, centres, indexing="ij"), -1)
    ).reshape(-1, 3)
