"""Answers as objects of supervision and FiftyOne."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

import stvg
from stvg.errors import MissingExtraError
from stvg.geometry.masks import encode_masks
from stvg.types import Prediction
from tests.export.scenes import BALL, BOX, answer, ball, nothing

needs_supervision = pytest.mark.skipif(
    find_spec("supervision") is None, reason="supervision (extra perception) is not installed"
)


@pytest.fixture
def answers() -> list[Prediction]:
    """The ball on frames 5 to 9, nothing, a box without a score on frames 8 to 10."""
    box = answer(BOX, 8, 11, {8: [0, 0, 20, 10]}, score=None)
    return [ball(), nothing("the cat"), box]


@needs_supervision
def test_supervision(answers: list[Prediction]) -> None:
    found = dict(stvg.to_supervision(answers))
    assert sorted(found) == [5, 6, 7, 8, 9, 10]
    assert found[5].xyxy.tolist() == [[10, 20, 30, 40]]
    assert found[5].confidence.tolist() == [0.5]
    both = found[8]
    assert both.xyxy.tolist() == [[40, 20, 60, 40], [0, 0, 20, 10]]
    assert both.tracker_id.tolist() == [1, 3]
    assert both.class_id.tolist() == [0, 2]
    assert both["class_name"].tolist() == [BALL, BOX]
    assert both.confidence is None  # the box has none
    assert list(stvg.to_supervision(nothing("the cat"))) == []


@needs_supervision
def test_supervision_masks() -> None:
    masks = np.zeros((2, 100, 200), np.bool_)
    masks[0, :10, :20] = True
    masks[1, 50:, :] = True
    tube = answer(BOX, 0, 2, {0: [0, 0, 20, 10], 1: [0, 0, 20, 10]}).tube
    whole = replace(ball(), tube=replace(tube, masks=tuple(encode_masks(masks))))
    found = dict(stvg.to_supervision(whole))
    assert [int(found[frame].mask.sum()) for frame in (0, 1)] == [200, 10000]
    part = replace(ball(), tube=replace(tube, masks=(encode_masks(masks)[0], None)))
    assert [seen.mask is None for _, seen in stvg.to_supervision(part)] == [False, True]


@pytest.mark.skipif(find_spec("fiftyone") is None, reason="fiftyone is not installed")
def test_fiftyone(answers: list[Prediction]) -> None:
    """Frames and supports count from 1, boxes are shares of 200 x 100 pixels."""
    sample = stvg.to_fiftyone(answers)
    assert sample.media_type == "video"
    first, second = sample["when"].detections
    assert (first.label, first.support, first.confidence) == (BALL, [6, 10], 0.5)
    assert (second.label, second.support, second.confidence) == (BOX, [9, 11], None)
    found = sample.frames[9]["where"].detections
    assert [each.label for each in found] == [BALL, BOX]
    assert [each.index for each in found] == [1, 3]
    assert found[0].bounding_box == pytest.approx([0.2, 0.2, 0.1, 0.2])
    assert sorted(sample.frames) == [6, 7, 8, 9, 10, 11]


@pytest.mark.skipif(find_spec("fiftyone") is not None, reason="fiftyone is installed")
def test_without_fiftyone(answers: list[Prediction]) -> None:
    with pytest.raises(MissingExtraError, match="pip install fiftyone"):
        stvg.to_fiftyone(answers)
