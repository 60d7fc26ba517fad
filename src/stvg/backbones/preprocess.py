"""From frames to the pixel rows that the Qwen2-VL family reads, without torchvision.

The vision tower of the family wants a video cut into patches of ``temporal_patch`` frames by
``patch`` x ``patch`` pixels, one row a patch, the rows of ``merge`` x ``merge`` neighbouring
patches (which become one token) next to each other. The order of everything is that of
``patchify`` in transformers' ``video_processing_qwen2_vl``: rows by (step, token row, token column,
row in token, column in token), values in a row by (colour, frame, y, x). A video whose number of
frames is not a multiple of ``temporal_patch`` is filled up with its last frame; an image is a video
of one frame.

The official processors normalise first and move floats around; here the bytes are moved and then
normalised, on the host (``normalise``) or, with a quarter of the transfer, on the device
(``normalise_on_device``). The values are those of the official processors to float rounding.

Resizing is not done here: a :class:`stvg.types.Clip` comes at the size its sampling plan asked
for, and :func:`smart_size` is the family's own rule for choosing it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stvg.errors import UsageError
from stvg.types import ByteArray, IntArray

VIDEO_MIN_PIXELS = 128 * 28 * 28
"""Fewest pixels of a video frame in the official video processor of Qwen2-VL and Qwen2.5-VL."""

VIDEO_MAX_PIXELS = 768 * 28 * 28
"""Most pixels of a video frame in the official video processor of Qwen2-VL and Qwen2.5-VL."""

_MOST_ELONGATED = 200

Grid = tuple[int, int, int]
"""Patches of a video in time, height and width, before merging."""


@dataclass(frozen=True, slots=True)
class PatchLayout:
    """How a model of the family cuts and scales pixels.

    Attributes:
        patch: Side of a patch in model pixels.
        merge: This many patches in a row and in a column become one token.
        temporal_patch: Frames that one patch covers.
        mean: Mean of each colour on the scale [0, 1]; the default is CLIP's, as in all releases.
        std: Standard deviation of each colour on the scale [0, 1], likewise.

    Raises:
        UsageError: If a size is below 1, or a standard deviation is not positive.
    """

    patch: int = 14
    merge: int = 2
    temporal_patch: int = 2
    mean: tuple[float, float, float] = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[float, float, float] = (0.26862954, 0.26130258, 0.27577711)

    def __post_init__(self) -> None:
        if min(self.patch, self.merge, self.temporal_patch) < 1 or min(self.std) <= 0:
            raise UsageError(
                "a patch layout needs sizes of at least 1 and positive standard deviations, found "
                f"{self}"
            )

    @classmethod
    def of(cls, vision_config: Any) -> PatchLayout:
        """The layout that the ``vision_config`` of a model asks for, with CLIP's mean and std."""
        return cls(
            int(vision_config.patch_size),
            int(vision_config.spatial_merge_size),
            int(vision_config.temporal_patch_size),
        )

    @property
    def cell(self) -> int:
        """Side in model pixels of what one token shows; frame sides are multiples of it."""
        return self.patch * self.merge

    @property
    def row_length(self) -> int:
        """Values in a row of pixels: colours x frames x patch x patch."""
        return 3 * self.temporal_patch * self.patch**2


def smart_size(
    width: int,
    height: int,
    *,
    multiple: int = 28,
    min_pixels: int = VIDEO_MIN_PIXELS,
    max_pixels: int = VIDEO_MAX_PIXELS,
) -> tuple[int, int]:
    """The size that the family's processors resize a frame to; exactly their ``smart_resize``.

    Both sides become the nearest multiple (halves to the even one); where that leaves the limits,
    both are scaled by the same factor and rounded away from the limit. A frame much thinner than
    ``multiple`` can stay above ``max_pixels``, since no side goes below one multiple.

    Args:
        width: Pixels.
        height: Pixels.
        multiple: Both sides of the result are multiples of this (``PatchLayout.cell``).
        min_pixels: Fewest pixels of the result, at least 1.
        max_pixels: Most pixels of the result.

    Returns:
        Width and height (the functions of transformers give height first).

    Raises:
        UsageError: If a number is below 1, the limits are reversed, or one side is over 200 times
            the other.

    Example:
        >>> smart_size(1280, 720)
        (1008, 560)
        >>> smart_size(64, 64, multiple=16, min_pixels=1)
        (64, 64)
    """
    if min(width, height, multiple, min_pixels) < 1 or min_pixels > max_pixels:
        raise UsageError(
            "expected sizes of at least 1 and pixel limits in order, found "
            f"{width}x{height}, multiple {multiple}, {min_pixels} to {max_pixels} pixels"
        )
    if max(width, height) / min(width, height) > _MOST_ELONGATED:
        raise UsageError(
            f"the model takes frames whose longer side is at most {_MOST_ELONGATED} times the "
            f"shorter, found {width}x{height}"
        )
    new_width = round(width / multiple) * multiple
    new_height = round(height / multiple) * multiple
    if new_width * new_height > max_pixels:
        shrink = math.sqrt((height * width) / max_pixels)
        new_width = max(multiple, math.floor(width / shrink / multiple) * multiple)
        new_height = max(multiple, math.floor(height / shrink / multiple) * multiple)
    elif new_width * new_height < min_pixels:
        grow = math.sqrt(min_pixels / (height * width))
        new_width = math.ceil(width * grow / multiple) * multiple
        new_height = math.ceil(height * grow / multiple) * multiple
    return new_width, new_height


def video_inputs(
    frames: ByteArray, layout: PatchLayout, *, keep_bytes: bool = False
) -> tuple[NDArray[Any], IntArray]:
    """What the model takes as ``pixel_values_videos`` and ``video_grid_thw``, for one video.

    Args:
        frames: RGB at model size, (T, H, W, 3) uint8, T >= 1, H and W multiples of the cell.
        layout: How the model cuts and scales.
        keep_bytes: Leave the pixels as bytes, to be normalised on the device.

    Returns:
        Pixels (S, D), float32 normalised or uint8, one row a patch, S = t h w patches and D =
        ``layout.row_length``; and the grid (1, 3) int64 of patches (t, h, w).

    Raises:
        UsageError: As :func:`patchify`.
    """
    patches, grid = patchify(frames, layout)
    pixels = patches if keep_bytes else normalise(patches, layout)
    return pixels, np.array([grid], np.int64)


def patchify(frames: ByteArray, layout: PatchLayout) -> tuple[ByteArray, Grid]:
    """Reorder the bytes of a video into rows, one a patch.

    Args:
        frames: RGB at model size, (T, H, W, 3) uint8, T >= 1, H and W multiples of the cell.
        layout: How the model cuts.

    Returns:
        Rows (S, D) uint8 and the grid of patches (t, h, w), S = t h w.

    Raises:
        UsageError: If the frames have another shape or type.

    Example:
        >>> rows, grid = patchify(np.zeros((3, 28, 56, 3), np.uint8), PatchLayout())
        >>> rows.shape, grid
        ((16, 1176), (2, 2, 4))
    """
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or not frames.size:
        raise UsageError(
            f"expected frames (T, H, W, 3) uint8 with T >= 1, found {frames.shape} {frames.dtype}"
        )
    count, height, width, _ = frames.shape
    if height % layout.cell or width % layout.cell:
        raise UsageError(
            f"the sides of frames must be multiples of {layout.cell} pixels for this model, found "
            f"{width}x{height}; let the sampling plan resize them (multiple_of={layout.cell})"
        )
    missing = -count % layout.temporal_patch
    if missing:
        frames = np.concatenate([frames, np.repeat(frames[-1:], missing, axis=0)])
    merge, patch = layout.merge, layout.patch
    steps, rows, columns = (
        len(frames) // layout.temporal_patch,
        height // layout.cell,
        width // layout.cell,
    )
    shape = (steps, layout.temporal_patch, rows, merge, patch, columns, merge, patch, 3)
    moved = frames.reshape(shape).transpose(0, 2, 5, 3, 6, 8, 1, 4, 7)
    grid = (steps, rows * merge, columns * merge)
    return np.ascontiguousarray(moved).reshape(-1, layout.row_length), grid  # (S, D)


def unpatchify(rows: ByteArray, grid: Grid, layout: PatchLayout) -> ByteArray:
    """The frames that :func:`patchify` made rows of.

    Args:
        rows: (S, D) uint8, S = t h w.
        grid: Patches in time, height and width.
        layout: How the model cuts.

    Returns:
        (T, H, W, 3) uint8; T is a multiple of the frames of a step.

    Example:
        >>> frames = np.arange(2 * 28 * 56 * 3, dtype=np.uint32).astype(np.uint8)
        >>> frames = frames.reshape(2, 28, 56, 3)
        >>> rows, grid = patchify(frames, PatchLayout())
        >>> bool((unpatchify(rows, grid, PatchLayout()) == frames).all())
        True
    """
    (steps, height, width), merge, patch = grid, layout.merge, layout.patch
    tall, wide, deep = height // merge, width // merge, layout.temporal_patch
    shape = (steps, tall, wide, merge, merge, 3, deep, patch, patch)
    moved = rows.reshape(shape).transpose(0, 6, 1, 3, 7, 2, 4, 8, 5)
    return np.ascontiguousarray(moved).reshape(steps * deep, height * patch, width * patch, 3)


def normalise(patches: ByteArray, layout: PatchLayout) -> NDArray[np.float32]:
    """Bytes to the values the model was trained on: ``(byte / 255 - mean) / std`` per colour.

    Args:
        patches: Rows of :func:`patchify`, (S, D) uint8.
        layout: Mean and standard deviation of each colour.

    Returns:
        (S, D) float32, about -1.8 to 2.2.
    """
    scale, shift = _scale_and_shift(layout)
    values = np.empty((len(patches), 3, patches.shape[1] // 3), np.float32)
    np.multiply(patches.reshape(values.shape), scale[:, None], out=values, dtype=np.float32)
    values += shift[:, None]
    return values.reshape(patches.shape)


def normalise_on_device(patches: Any, layout: PatchLayout) -> Any:
    """:func:`normalise` for a tensor, where it lies.

    Args:
        patches: Rows of :func:`patchify` as a torch tensor, (S, D) uint8, on any device.
        layout: Mean and standard deviation of each colour.

    Returns:
        A tensor (S, D) float32 on the same device; cast it to the model's type only afterwards.
    """
    import torch

    scale, shift = (
        torch.from_numpy(array).to(patches.device)[:, None] for array in _scale_and_shift(layout)
    )
    values = patches.view(len(patches), 3, -1).to(torch.float32)
    return values.mul_(scale).add_(shift).view(patches.shape)


def _scale_and_shift(layout: PatchLayout) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Factor and summand of each colour, (3,) each, that normalise a byte."""
    mean, std = np.array(layout.mean), np.array(layout.std)
    return (1 / (255 * std)).astype(np.float32), (-mean / std).astype(np.float32)
