"""Drafts for a cold start: the true boxes, somewhat wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from stvg.geometry.boxes import clip_boxes
from stvg.methods.stvg_o1.config import DraftConfig
from stvg.types import Tube


def draft_of(target: Tube, size: tuple[int, int], config: DraftConfig, seed: int) -> Tube:
    """A tube that a model could have written at first sight.

    One shift, one factor on widths and one on heights for the whole track, and a small error of
    each corner in each box.

    Args:
        target: The truth.
        size: Width and height of the frame in pixels; the boxes stay inside it.
        config: How much.
        seed: Decides what is drawn at random.

    Returns:
        The same times with other boxes; a box of which nothing would be left stays as it is.
    """
    dice = np.random.default_rng(seed)
    boxes = target.boxes
    sides = boxes[:, 2:] - boxes[:, :2]  # (N, 2)
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2 + dice.normal(0, config.shift, 2) * sides
    half = sides * dice.uniform(config.smallest, config.largest, 2) / 2
    moved = np.concatenate([middles - half, middles + half], axis=1)
    moved += dice.normal(0, config.jitter, moved.shape) * np.tile(sides, 2)
    moved = clip_boxes(moved, *size)
    is_left = (moved[:, 2:] > moved[:, :2]).all(axis=1, keepdims=True)
    return replace(target, boxes=np.where(is_left, moved, boxes))
