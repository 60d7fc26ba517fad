"""A detector without weights: bright figures on a soft, dull background.

For drawn scenes such as the clips of :mod:`stvg.data.world`; not for natural video. It knows
nothing of what can be in them but this: a figure is compact, it has one strong colour, and what is
white or dark on it touches that colour. So the pixels of each colour word and the white and dark
ones next to them are grouped into patches; a patch with a neck is two figures of one colour that
touch; patches on both sides of an upright plain strip (something that stands in front) are one
figure. What is partly hidden has the box of what shows of it: what time can tell, one frame cannot.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from stvg.errors import UsageError
from stvg.extras import require
from stvg.perception.appearance import lab_from_rgb
from stvg.perception.detect import Detections
from stvg.types import BoolArray, ByteArray, FloatArray, IntArray

HUES: dict[str, float] = {
    "red": 34, "orange": 63, "yellow": 90, "green": 143, "teal": 207, "blue": 295, "purple": 318,
    "pink": 350,
}  # fmt: skip
"""Colour words and the middle of their hues in CIELAB, degrees."""

_CHROMA = 30.0  # of CIELAB, from which a pixel has a colour
_LIGHT, _DARK = 90.0, 18.0  # L* beyond which a pixel without a colour may belong to a figure
_NEUTRAL, _NOTHING = len(HUES), -1
_SMALLEST = 0.0015  # share of the picture that is a figure,
_LEAST_COLOUR = 0.2  # of which at least this share has its colour
_NECK = 0.75  # width of a neck, of the thinner of two parts, below which they are two figures
_THINNEST = 0.45  # of the thickest part of a patch, below which a part is no figure of its own
_PLAIN = 4.0  # grey levels by which a strip that stands in front varies from top to bottom


@dataclass(frozen=True, slots=True)
class FigureDetector:
    """Figures on a dull background; see :class:`stvg.perception.detect.Detector`."""

    threshold: float = 0.1
    name: ClassVar[str] = "figures"
    classes: ClassVar[tuple[str, ...]] = tuple(HUES)
    long_side: ClassVar[int] = 128

    def detect(self, frames: ByteArray, words: Sequence[str] = ()) -> list[Detections]:
        """Find figures in RGB frames (B, H, W, 3) uint8; the confidence is how solid each is."""
        del words  # the classes are fixed
        if frames.ndim != 4 or frames.shape[-1] != 3:
            raise UsageError(f"expected frames (B, H, W, 3), found {frames.shape}")
        return [self._detect_one(frame) for frame in frames]

    def _detect_one(self, frame: ByteArray) -> Detections:
        ndimage = require("scipy.ndimage", "perception", "the figure detector")
        strips = _strips(frame)
        tones = _tones(frame, strips, ndimage)  # (H, W)
        owners = _owners(tones, ndimage)
        smallest = _SMALLEST * tones.size
        boxes, scores, labels = [], [], []
        for hue, label in enumerate(HUES):
            mask = owners == hue
            if mask.sum() < smallest:
                continue
            for strip in strips:  # what shows on both sides goes on behind it
                both = mask[:, [strip.start - 1]] & mask[:, [strip.stop]]
                mask[:, strip] |= both
            for box, share in _figures(ndimage.binary_fill_holes(mask), tones == hue, ndimage):
                boxes.append(_behind(box, strips))
                scores.append(share)
                labels.append(label)
        found = Detections(
            np.array(boxes, np.float64).reshape(-1, 4), np.array(scores, np.float64), tuple(labels)
        )
        return found.keep(found.scores > self.threshold)


def _strips(frame: ByteArray) -> list[slice]:
    """Runs of columns that are plain from top to bottom, but for those at the picture's edges."""
    plain = frame.std(axis=0).max(axis=-1) < _PLAIN  # (W,)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], plain, [False]]).astype(np.int8)))
    runs = [slice(int(a) - 1, int(b) + 1) for a, b in edges.reshape(-1, 2)]  # soft edges and all
    return [run for run in runs if run.start > 0 and run.stop < len(plain)]


def _behind(box: list[int], strips: Sequence[slice]) -> list[int]:
    """The box of a figure beside a strip, continued behind it until it is as wide as high."""
    left, top, right, bottom = box
    for strip in strips:
        hidden = min(max(bottom - top - (right - left), 0), strip.stop - strip.start)
        if right == strip.start:
            right += hidden
        elif left == strip.stop:
            left -= hidden
    return [left, top, right, bottom]


def _tones(frame: ByteArray, strips: Sequence[slice], ndimage: Any) -> NDArray[np.int8]:
    """Of each pixel the number of its hue, or that it is white or dark, or nothing, (H, W).

    Threads of one hue, as they lie where two colours meet, count as white or dark.
    """
    tones: NDArray[np.int8] = _table()[frame[..., 0] >> 3, frame[..., 1] >> 3, frame[..., 2] >> 3]
    tones[
        ndimage.binary_closing(np.pad(tones >= 0, 2), np.ones((3, 3)))[2:-2, 2:-2] & (tones < 0)
    ] = _NEUTRAL
    for strip in strips:
        tones[:, strip] = _NOTHING
    for hue in range(len(HUES)):
        mask = tones == hue
        if mask.any():
            tones[mask & ~ndimage.binary_opening(mask, np.ones((2, 2)))] = _NEUTRAL
    return tones


def _owners(tones: NDArray[np.int8], ndimage: Any) -> NDArray[np.int8]:
    """The hue that each pixel belongs to, white and dark ones to the nearest that they touch."""
    coloured = (tones >= 0) & (tones < _NEUTRAL)
    if not coloured.any():
        return np.full_like(tones, _NOTHING)
    groups, _ = ndimage.label(tones >= 0, np.ones((3, 3)))
    belongs = np.isin(groups, np.unique(groups[coloured])) & (tones >= 0)
    rows, columns = ndimage.distance_transform_edt(
        ~coloured, return_distances=False, return_indices=True
    )
    return np.where(belongs, tones[rows, columns], _NOTHING).astype(np.int8)


def _figures(
    mask: BoolArray, coloured: BoolArray, ndimage: Any
) -> Iterator[tuple[list[int], float]]:
    """Boxes ``xyxy`` of the connected patches of a mask, cut at necks, and how solid they are."""
    groups, _ = ndimage.label(mask, np.ones((3, 3)))
    for number, (rows, columns) in enumerate(ndimage.find_objects(groups), start=1):
        patch = np.pad(groups[rows, columns] == number, 1)
        own = np.pad(coloured[rows, columns], 1) & patch
        for part in _cut_at_necks(patch, own, ndimage):
            area = int(part.sum())
            if area < _SMALLEST * mask.size or own[part].mean() < _LEAST_COLOUR:
                continue
            down, across = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
            left, top = columns.start - 1 + across[0], rows.start - 1 + down[0]
            right, bottom = columns.start + across[-1], rows.start + down[-1]
            share = area / float((right - left) * (bottom - top))
            yield [int(left), int(top), int(right), int(bottom)], share


def _cut_at_necks(patch: BoolArray, coloured: BoolArray, ndimage: Any) -> list[BoolArray]:
    """The figures (h, w) in a patch: one for each thick part, with what is nearest to it."""
    depth = ndimage.distance_transform_edt(patch)
    seeds, count = _seeds(depth, coloured, ndimage)
    if count < 2:
        return [patch]
    rows, columns = ndimage.distance_transform_edt(
        seeds == 0, return_distances=False, return_indices=True
    )
    nearest = seeds[rows, columns]
    return [patch & (nearest == seed) for seed in range(1, count + 1)]


def _seeds(depth: FloatArray, coloured: BoolArray, ndimage: Any) -> tuple[IntArray, int]:
    """The thick parts of a patch that only necks hold together, numbered from 1, and how many.

    Args:
        depth: Pixels to the edge of the patch, (h, w).
        coloured: Where it has its colour, (h, w).
        ndimage: The module of SciPy.
    """
    thickest = depth.max()
    best, most = np.zeros(depth.shape, np.int64), 1
    for level in np.arange(1.0, _NECK * thickest):
        parts, count = ndimage.label(depth > level)
        if count <= most:
            continue
        peaks = np.zeros(count + 1)
        np.maximum.at(peaks, parts, depth)
        sizes = np.bincount(parts.ravel(), minlength=count + 1)
        colour = np.bincount(parts.ravel(), coloured.ravel(), count + 1) / np.maximum(sizes, 1)
        good = (peaks * _NECK >= level) & (peaks >= _THINNEST * thickest)
        good &= colour >= _LEAST_COLOUR
        good[0] = False
        if good.sum() > most:
            most = int(good.sum())
            best = np.where(good, np.cumsum(good), 0)[parts]
    return best, most


@cache
def _table() -> NDArray[np.int8]:
    """Tone of the centres of 32 x 32 x 32 cells of sRGB; see :func:`_tones`."""
    centres = (np.arange(32) * 8 + 4).astype(np.uint8)
    lab = lab_from_rgb(np.stack(np.meshgrid(centres, centres, centres, indexing="ij"), axis=-1))
    hue = np.degrees(np.arctan2(lab[..., 2], lab[..., 1]))
    away = np.abs((hue[..., None] - np.array(list(HUES.values())) + 180) % 360 - 180)
    strong = np.hypot(lab[..., 1], lab[..., 2]) >= _CHROMA
    extreme = (lab[..., 0] > _LIGHT) | (lab[..., 0] < _DARK)
    return np.where(strong, away.argmin(axis=-1), np.where(extreme, _NEUTRAL, _NOTHING)).astype(
        np.int8
    )
