"""Boxes in torch: what losses of methods are made of."""

from __future__ import annotations

import torch
from torch import Tensor


def to_centre(corners: Tensor) -> Tensor:
    """Corners ``xyxy`` (..., 4) as centre and size."""
    low, high = corners[..., :2], corners[..., 2:]
    return torch.cat([(low + high) / 2, high - low], dim=-1)


def overlaps(boxes: Tensor, goals: Tensor) -> tuple[Tensor, Tensor]:
    """IoU, 0 for two boxes without area, and generalised IoU (arXiv 1902.09630).

    Args:
        boxes: Centre and size, (..., 4).
        goals: Corners ``xyxy``, broadcastable to them.
    """
    low, high = boxes[..., :2] - boxes[..., 2:] / 2, boxes[..., :2] + boxes[..., 2:] / 2
    from_, to = goals[..., :2], goals[..., 2:]
    shared = (torch.minimum(high, to) - torch.maximum(low, from_)).clamp(min=0).prod(-1)
    either = boxes[..., 2:].prod(-1) + (to - from_).prod(-1) - shared
    hull = (torch.maximum(high, to) - torch.minimum(low, from_)).prod(-1)
    overlap = shared / either.clamp(min=1e-9)
    return overlap, overlap - (hull - either) / hull.clamp(min=1e-9)


def box_losses(found: Tensor, goals: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Distance, 1 - generalised IoU and IoU of boxes in the same row, as DETR has them.

    Args:
        found: Centre and size as shares of the frame's sides, (M, 4).
        goals: Corners ``xyxy`` as shares, (M, 4), with an area.

    Returns:
        Sum of the absolute differences of centre and size, 1 - generalised IoU (0 to 2), and IoU,
        which has no gradient, (M,) each.
    """
    overlap, general = overlaps(found, goals)
    return (found - to_centre(goals)).abs().sum(-1), 1 - general, overlap.detach()
