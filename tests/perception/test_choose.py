"""Detectors by what a user types, and detections as values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stvg.errors import UsageError, WeightsError
from stvg.perception.blobs import BlobDetector
from stvg.perception.choose import load_detector, only_classes
from stvg.perception.detect import Detections

BOXES = np.array([[0, 0, 4, 4], [5, 5, 9, 9], [1, 1, 2, 2]], float)


def three() -> Detections:
    return Detections(BOXES, np.array([0.9, 0.5, 0.2]), ("dog", "cat", "dog"))


@pytest.mark.parametrize(
    ("which", "rows"),
    [
        (np.array([True, False, True]), [0, 2]),  # a mask
        (np.array([2, 0]), [2, 0]),  # rows in an order
        (np.array([], int), []),
        (np.array([False, False, False]), []),
    ],
)
def test_keep(which: np.ndarray, rows: list[int]) -> None:
    kept = three().keep(which)
    np.testing.assert_array_equal(kept.boxes, BOXES[rows].reshape(-1, 4))
    assert kept.scores.tolist() == [three().scores[row] for row in rows]
    assert kept.labels == tuple(three().labels[row] for row in rows)
    assert len(kept) == len(rows)


def test_keep_of_nothing() -> None:
    nothing = Detections(np.zeros((0, 4)), np.zeros(0), ())
    assert len(nothing.keep(np.array([], bool))) == 0


def write_detector(folder: Path, body: str = "") -> Path:
    path = folder / "mine.py"
    path.write_text(
        f"""
import numpy as np
from stvg.perception.detect import Detections

class Mine:
    name, classes, long_side = "mine", ("dog", "cat"), 64

    def __init__(self, threshold):
        self.threshold = threshold

    def detect(self, frames, words=()):
        boxes = np.array([[0, 0, 4, 4], [5, 5, 9, 9]], float)
        return [Detections(boxes, np.array([0.9, 0.5]), ("dog", "cat")) for _ in frames]

def nothing(threshold):
    return threshold
{body}
"""
    )
    return path


def test_a_detector_of_ones_own(tmp_path: Path) -> None:
    detector = load_detector(f"{write_detector(tmp_path)}:Mine", threshold=0.25)
    assert detector.name == "mine"
    assert detector.threshold == 0.25  # type: ignore[attr-defined]
    (found,) = detector.detect(np.zeros((1, 10, 10, 3), np.uint8))
    assert found.labels == ("dog", "cat")


def test_what_is_no_detector_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="found one without name, classes, long_side, detect"):
        load_detector(f"{write_detector(tmp_path)}:nothing")


def test_only_some_classes(tmp_path: Path) -> None:
    detector = load_detector(f"{write_detector(tmp_path)}:Mine")
    dogs = only_classes(detector, ["dog"])
    assert (dogs.name, dogs.classes, dogs.long_side) == ("mine", ("dog",), 64)
    first, second = dogs.detect(np.zeros((2, 10, 10, 3), np.uint8))
    for found in (first, second):
        assert found.labels == ("dog",)
        np.testing.assert_array_equal(found.boxes, [[0, 0, 4, 4]])
    with pytest.raises(UsageError, match="mine has no class 'dgo'; did you mean 'dog'"):
        only_classes(detector, ["cat", "dgo"])


def test_only_some_classes_of_a_detector_without_classes() -> None:
    class Open:
        name, classes, long_side = "open", None, 64

        def detect(self, frames: object, words: object = ()) -> list[Detections]:
            raise NotImplementedError

    with pytest.raises(UsageError, match="open has no classes of its own"):
        only_classes(Open(), ["dog"])


def test_blobs() -> None:
    detector = load_detector("blobs", threshold=0.5)
    assert detector == BlobDetector(0.5)
    assert detector.classes == ("ball", "box", "triangle", "thing")


@pytest.mark.parametrize("threshold", [-0.1, 1.0, float("nan")])
def test_thresholds_outside_the_range(threshold: float) -> None:
    with pytest.raises(UsageError, match=r"threshold in \[0, 1\)"):
        load_detector("blobs", threshold=threshold)


@pytest.mark.parametrize(
    ("name", "error", "reason"),
    [
        ("yolox_nan", UsageError, "there is no detector 'yolox_nan', did you mean 'yolox_nano'?"),
        ("", UsageError, "there is no detector ''"),
        ("a/b/c", UsageError, "there is no detector 'a/b/c'"),  # neither a folder nor a hub id
        ("missing.onnx", WeightsError, "expected a YOLOX .onnx file at missing.onnx, found none"),
        ("missing.py:Class", UsageError, "expected a Python file at missing.py, found none"),
    ],
)
def test_names_that_mean_nothing(name: str, error: type[Exception], reason: str) -> None:
    with pytest.raises(error) as caught:
        load_detector(name)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
