"""Figures on dull backgrounds, drawn here and by the world."""

from __future__ import annotations

import numpy as np
import pytest

from stvg.data.world import draw_clip, plan_clip
from stvg.errors import UsageError
from stvg.geometry.boxes import box_iou
from stvg.perception.choose import load_detector
from stvg.perception.detect import Detections
from stvg.perception.figures import FigureDetector
from stvg.types import ByteArray

RED, GREEN, WHITE, DARK, GREY = (214, 40, 40), (46, 160, 67), (250, 250, 246), (28, 28, 34), 130


def picture(*patches: tuple[tuple[int, int, int, int], tuple[int, int, int]]) -> ByteArray:
    """Boxes (left, top, right, bottom) of a colour on grey with soft texture, 128 x 128."""
    texture = np.random.default_rng(0).normal(0, 6, (16, 16)).repeat(8, 0).repeat(8, 1)
    rgb = np.repeat((GREY + texture)[..., None], 3, axis=2).astype(np.uint8)
    for (left, top, right, bottom), colour in patches:
        rgb[top:bottom, left:right] = colour
    return rgb


def look(*patches: tuple[tuple[int, int, int, int], tuple[int, int, int]]) -> Detections:
    (found,) = FigureDetector().detect(picture(*patches)[None])
    return found


def boxes_of(found: Detections) -> list[list[float]]:
    return sorted(found.boxes.tolist())


def test_by_name() -> None:
    assert load_detector("figures").name == "figures"


def test_nothing_on_a_plain_background() -> None:
    assert len(look()) == 0
    assert len(FigureDetector().detect(np.zeros((0, 8, 8, 3), np.uint8))) == 0


def test_two_colours_side_by_side_are_two_figures() -> None:
    found = look(((10, 20, 40, 50), RED), ((40, 20, 70, 50), GREEN))
    assert boxes_of(found) == [[10, 20, 40, 50], [40, 20, 70, 50]]
    assert sorted(found.labels) == ["green", "red"]


@pytest.mark.parametrize("other", [WHITE, DARK])
def test_white_and_dark_parts_belong_to_the_colour_they_touch(other: tuple[int, int, int]) -> None:
    found = look(((10, 20, 40, 30), other), ((10, 30, 40, 50), RED))
    assert boxes_of(found) == [[10, 20, 40, 50]]


def test_white_alone_is_no_figure() -> None:
    assert len(look(((10, 20, 40, 50), WHITE))) == 0


def test_a_belt_does_not_cut_a_figure() -> None:
    found = look(
        ((10, 20, 40, 30), RED), ((10, 30, 40, 40), WHITE), ((10, 40, 40, 50), RED)
    )  # fmt: skip
    assert boxes_of(found) == [[10, 20, 40, 50]]


def test_two_of_one_colour_with_a_neck_are_two() -> None:
    found = look(((10, 20, 40, 50), RED), ((40, 45, 70, 75), RED))
    assert len(found) == 2
    overlap = box_iou(found.boxes, [[10, 20, 40, 50], [40, 45, 70, 75]])
    assert overlap.max(axis=0).min() > 0.8


def test_what_shows_on_both_sides_of_a_strip_is_one() -> None:
    found = look(((40, 20, 70, 50), RED), ((50, 0, 60, 128), (72, 74, 80)))
    assert boxes_of(found) == [[40, 20, 70, 50]]


def test_a_figure_half_behind_a_strip_is_as_wide_as_high() -> None:
    found = look(((40, 20, 70, 50), RED), ((60, 0, 74, 128), (72, 74, 80)))
    (box,) = boxes_of(found)
    assert box == pytest.approx([40, 20, 70, 50], abs=1)


def test_in_the_world_figures_that_stand_apart_are_found() -> None:
    """Standard level, val: every figure that no other touches and no screen hides."""
    good = total = 0
    for index in range(80):
        plan = plan_clip(index, split="val")
        drawn = draw_clip(plan, 128, masks=True, frames=[0])
        assert drawn.masks is not None
        (found,) = FigureDetector().detect(drawn.frames)
        boxes, shown = drawn.boxes[:, 0], drawn.masks[:, 0].sum(axis=(1, 2))
        wide = boxes + np.array([-4, -4, 4, 4])
        alone = (box_iou(wide, wide) > 0).sum(axis=1) == 1
        for box, here, pixels in zip(boxes, alone, shown, strict=True):
            area = (box[2] - box[0]) * (box[3] - box[1])
            if np.isfinite(box).all() and here and pixels > 0.4 * area:
                total += 1
                good += bool(len(found)) and bool(box_iou(found.boxes, [box]).max() > 0.5)
    assert total > 80
    assert good / total >= 0.97


def test_wrong_shape() -> None:
    with pytest.raises(UsageError, match=r"\(B, H, W, 3\)"):
        FigureDetector().detect(np.zeros((8, 8, 3), np.uint8))
