"""Losses of boxes: distance of centre and size, and generalised IoU, as DETR has them."""

from __future__ import annotations

import torch
from torch import Tensor


def box_losses(found: Tensor, goals: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Distance, 1 - GIoU and IoU of boxes in the same row.

    Args:
        found: Centre and size as shares of the frame's sides, (M, 4).
        goals: Corners ``xyxy`` as shares, (M, 4), with an area.

    Returns:
        Sum of the absolute differences of centre and size, 1 - generalised IoU (0 to 2), and IoU,
        (M,) each.
    """
    low, high = goals[:, :2], goals[:, 2:]  # (M, 2)
    distance = (found - torch.cat([(low + high) / 2, high - low], dim=-1)).abs().sum(-1)  # (M,)
    corners = torch.cat([found[:, :2] - found[:, 2:] / 2, found[:, :2] + found[:, 2:] / 2], dim=-1)
    shared = torch.minimum(corners[:, 2:], high) - torch.maximum(corners[:, :2], low)  # (M, 2)
    both = shared.clamp(min=0).prod(-1)  # (M,)
    either = found[:, 2:].prod(-1) + (high - low).prod(-1) - both  # (M,)
    hull = (torch.maximum(corners[:, 2:], high) - torch.minimum(corners[:, :2], low)).prod(-1)
    overlap = both / either
    return distance, 1 - overlap + (hull - either) / hull, overlap.detach()
