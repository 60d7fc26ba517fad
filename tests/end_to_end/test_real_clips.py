"""The main job on natural video: real clips, real weights, boxes checked by eye."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stvg
from stvg.geometry.boxes import paired_iou
from stvg.types import Prediction

pytestmark = [pytest.mark.shared, pytest.mark.usefixtures("yolox_weights")]

# All sentences on a clip are asked in one call, as a user would.
SENTENCES = {
    "01_dog.mp4": (
        "the dog", "the woman in jeans", "the elephant", "the dog runs to the right",
        "the dog comes back", "what does the woman play with?", "the man in a red shirt",
        "the skipping rope",
    ),
    "05_default_juggle.mp4": (
        "the ball", "the man juggling a ball", "the elephant", "what is the man juggling?",
        "who is juggling the ball?",
    ),
    "04_coffee.mp4": ("the blue cup", "a person in white", "the red cup", "the dog"),
    "bedroom.mp4": (
        "the bed", "the girl in a blue skirt", "who is crouching?", "the child with brown shorts",
    ),
    "02_cups.mp4": ("the yellow ball", "a person in an orange shirt", "the dog"),
}  # fmt: skip


@cache
def answers(shared: Path, clip: str) -> dict[str, Prediction]:
    found = stvg.ground(shared / "real" / clip, SENTENCES[clip], method="track_match")
    return dict(zip(SENTENCES[clip], found, strict=True))


def listed_boxes(shared: Path) -> list[tuple[str, str, list[dict[str, Any]]]]:
    videos = json.loads((shared / "real" / "boxes.json").read_text())["videos"]
    return [(clip, query, boxes) for clip, by_query in videos.items() for query, boxes
            in by_query.items()]  # fmt: skip


def test_tubes_lie_on_the_objects(shared_data: Path) -> None:
    means = {}
    for clip, query, listed in listed_boxes(shared_data):
        tube = answers(shared_data, clip)[query].tube
        assert tube is not None, f"{query} in {clip} was not found"
        boxes = tube.at([entry["time_s"] + 1e-3 for entry in listed])
        assert np.isfinite(boxes).all(), f"{query} in {clip} misses a listed time"
        means[query] = paired_iou(boxes, np.array([entry["box"] for entry in listed])).mean()
    assert len(means) == 4
    assert min(means.values()) >= 0.7, means


@pytest.mark.parametrize(
    ("clip", "one", "other"),
    [
        ("05_default_juggle.mp4", "the man juggling a ball", "the ball"),
        ("01_dog.mp4", "the woman in jeans", "the dog"),
        ("04_coffee.mp4", "the blue cup", "a person in white"),
        ("bedroom.mp4", "the girl in a blue skirt", "the child with brown shorts"),
    ],
)
def test_different_sentences_different_tubes(
    clip: str, one: str, other: str, shared_data: Path
) -> None:
    first, second = answers(shared_data, clip)[one].tube, answers(shared_data, clip)[other].tube
    assert first is not None
    assert second is not None
    assert first.iou(second) < 0.3


@pytest.mark.parametrize(
    ("clip", "one", "same"),
    [
        ("05_default_juggle.mp4", "what is the man juggling?", "the ball"),
        ("05_default_juggle.mp4", "who is juggling the ball?", "the man juggling a ball"),
        ("01_dog.mp4", "what does the woman play with?", "the dog"),
    ],
)
def test_questions_are_answered_with_the_thing_asked_for(
    clip: str, one: str, same: str, shared_data: Path
) -> None:
    first, second = answers(shared_data, clip)[one].tube, answers(shared_data, clip)[same].tube
    assert first is not None
    assert second is not None
    assert first.iou(second) > 0.95


@pytest.mark.parametrize(
    ("clip", "query", "reason"),
    [
        ("01_dog.mp4", "the elephant", "saw no 'elephant'"),
        ("05_default_juggle.mp4", "the elephant", "saw no 'elephant'"),
        ("04_coffee.mp4", "the dog", "saw no 'dog'"),
        ("02_cups.mp4", "the dog", "saw no 'dog'"),
        ("01_dog.mp4", "the man in a red shirt", "red (upper)"),
        ("04_coffee.mp4", "the red cup", "red (whole)"),
        ("01_dog.mp4", "the skipping rope", "not among the 80 classes"),
    ],
)
def test_what_is_not_there_is_not_found(
    clip: str, query: str, reason: str, shared_data: Path
) -> None:
    answer = answers(shared_data, clip)[query]
    assert answer.is_empty
    assert reason in answer.warnings[0]


def test_motion_words_give_the_time(shared_data: Path) -> None:
    """By eye: the dog runs out to the right from 1.3 to 2.5 s and is back in view at 3.6 s."""
    right = answers(shared_data, "01_dog.mp4")["the dog runs to the right"].tube
    back = answers(shared_data, "01_dog.mp4")["the dog comes back"].tube
    assert right is not None
    assert back is not None
    assert 0.7 < right.interval.start_s < 1.7
    assert 2.1 < right.interval.end_s < 2.8
    assert 3.2 < back.interval.start_s < 3.9
    assert back.interval.end_s < 5.2


def test_clothes_tell_two_children_apart(shared_data: Path) -> None:
    """By eye: at 5.0 s the girl stands at the right of the boy, who wears brown shorts."""
    girl = answers(shared_data, "bedroom.mp4")["the girl in a blue skirt"].tube
    boy = answers(shared_data, "bedroom.mp4")["the child with brown shorts"].tube
    assert girl is not None
    assert boy is not None
    assert girl.at(5.0)[0, 0] > boy.at(5.0)[0, 2] - 60
    crouching = answers(shared_data, "bedroom.mp4")["who is crouching?"].tube
    assert crouching is not None
    assert 3.3 < crouching.interval.start_s < 4.3
