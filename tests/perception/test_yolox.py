"""YOLOX: decoding by hand-worked numbers, files that are none, and real clips."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from stvg.errors import UsageError, WeightsError
from stvg.geometry.boxes import box_iou
from stvg.perception.choose import load_detector
from stvg.perception.coco import COCO_CLASSES
from stvg.perception.yolox import YoloxDetector, decode_output, letterbox
from stvg.types import ByteArray, FloatArray
from stvg.video import SamplingPlan, probe, read_clip

SIDE = 32
ROWS = 21  # 4 x 4 cells of 8 pixels, 2 x 2 of 16, one of 32


def blank(count: int, width: int = SIDE, height: int = SIDE) -> ByteArray:
    return np.zeros((count, height, width, 3), np.uint8)


def raw_output(*entries: tuple[int, list[float]], classes: int = 2) -> FloatArray:
    """Network output (21, 5 + classes) that is silent but for some rows."""
    raw = np.zeros((ROWS, 5 + classes), np.float32)
    for row, values in entries:
        raw[row] = values
    return raw


def save_model(
    path: Path,
    raw: FloatArray,
    *,
    shape: tuple[int | str, ...] = (1, 3, SIDE, SIDE),
    element: int = TensorProto.FLOAT,
    outputs: int = 1,
) -> Path:
    """An ONNX model that takes pictures of a shape and always gives ``raw`` (1, A, 5 + C)."""
    constant = numpy_helper.from_array(np.asarray(raw, np.float32)[None], "raw")
    graph = helper.make_graph(
        [helper.make_node("Constant", [], [f"output{i}"], value=constant) for i in range(outputs)],
        "always the same",
        [helper.make_tensor_value_info("images", element, shape)],
        [
            helper.make_tensor_value_info(f"output{i}", TensorProto.FLOAT, (1, *np.shape(raw)))
            for i in range(outputs)
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, path)
    return path


class SetSession:
    """Stands where onnxruntime stands; keeps its input and gives an output set by hand."""

    def __init__(self, raw: FloatArray) -> None:
        self.raw = raw
        self.inputs: dict[str, Any] = {}

    def get_inputs(self) -> list[Any]:
        return [type("Input", (), {"name": "images"})]

    def run(self, names: None, inputs: dict[str, Any]) -> list[FloatArray]:
        self.inputs = inputs
        return [self.raw[None]]


# ------------------------------------------------------------------------------------- letterbox


@pytest.mark.parametrize(
    ("width", "height", "ratio", "filled"),
    [
        (32, 32, 1.0, (32, 32)),  # fits as it is
        (64, 32, 0.5, (32, 16)),  # wide: the lower half stays empty
        (20, 40, 0.8, (16, 32)),  # high: the right half stays empty
        (8, 4, 4.0, (32, 16)),  # small pictures grow
        (320, 3, 0.1, (32, 1)),  # never less than a row
    ],
)
def test_letterbox(width: int, height: int, ratio: float, filled: tuple[int, int]) -> None:
    square, factor = letterbox(np.full((height, width, 3), 200, np.uint8), SIDE)
    assert square.shape == (SIDE, SIDE, 3)
    assert square.dtype == np.uint8
    assert factor == pytest.approx(ratio)
    inside = np.zeros((SIDE, SIDE), bool)
    inside[: filled[1], : filled[0]] = True
    assert (square[inside] == 200).all()
    assert (square[~inside] == 114).all()


def test_letterbox_leaves_pixels_alone_that_fit() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (20, SIDE, 3)).astype(np.uint8)
    square, _ = letterbox(picture, SIDE)
    np.testing.assert_array_equal(square[:20], picture)


# -------------------------------------------------------------------------------------- decoding


@pytest.mark.parametrize(
    ("row", "values", "box"),
    [
        (0, [0.5, 0.5, np.log(2), np.log(2)], [-4, -4, 12, 12]),  # cell (0, 0) of 8: 16 wide
        (6, [0.0, 0.0, 0.0, np.log(0.5)], [12, 6, 20, 10]),  # column 2, row 1 of 8
        (15, [1.0, 1.0, 0.0, 0.0], [28, 28, 36, 36]),  # last cell of 8, its lower right corner
        (17, [0.0, 0.5, 0.0, 0.0], [8, 0, 24, 16]),  # column 1, row 0 of 16
        (19, [0.25, 0.5, 0.0, np.log(2)], [12, 8, 28, 40]),  # column 1, row 1 of 16
        (20, [0.5, 0.5, 0.0, -np.log(2)], [0, 8, 32, 24]),  # the cell of 32
    ],
)
def test_decoding(row: int, values: list[float], box: list[float]) -> None:
    raw = raw_output((row, [*values, 0.5, 0.2, 0.8]))
    boxes, scores = decode_output(raw, SIDE)
    assert boxes.shape == (ROWS, 4)
    np.testing.assert_allclose(boxes[row], box, atol=1e-5)
    np.testing.assert_allclose(scores[row], [0.1, 0.4], atol=1e-6)  # objectness times class
    assert (np.delete(scores, row, axis=0) == 0).all()


def test_decoding_every_cell_like_a_loop() -> None:
    side = 64
    raw = np.random.default_rng(0).normal(size=(64 + 16 + 4, 6))
    expected = []
    for stride in (8, 16, 32):
        for line in range(side // stride):
            for column in range(side // stride):
                x, y, width, height = raw[len(expected), :4]
                middle = np.array([column + x, line + y]) * stride
                half = np.exp([width, height]) * stride / 2
                expected.append([*(middle - half), *(middle + half)])
    np.testing.assert_allclose(decode_output(raw, side)[0], expected)


# ------------------------------------------------------------------------------------- detection


@pytest.fixture
def detector(tmp_path: Path) -> YoloxDetector:
    return YoloxDetector.load(str(save_model(tmp_path / "two.onnx", raw_output())), threads=1)


def detect(detector: YoloxDetector, raw: FloatArray, width: int = SIDE, height: int = SIDE) -> Any:
    (found,) = replace(detector, session=SetSession(raw)).detect(blank(1, width, height))
    return found


def test_suppression_within_a_class(detector: YoloxDetector) -> None:
    box = [0.5, 0.5, np.log(2), np.log(2)]
    shifted = [0.6, 0.5, np.log(2), np.log(2)]
    raw = raw_output(
        (5, [*box, 1.0, 0.8, 0.0]),  # centre (12, 12), 16 wide, first class
        (6, [-0.4, 0.5, *box[2:], 1.0, 0.7, 0.0]),  # nearly the same place, first class: goes
        (9, [*shifted, 1.0, 0.0, 0.6]),  # overlaps, second class: stays
        (10, [1.5, 1.5, 0.0, 0.0, 0.9, 0.5, 0.0]),  # elsewhere, first class: stays
        (15, [*box, 1.0, 0.09, 0.05]),  # below the threshold of 0.1
    )
    found = detect(detector, raw)
    assert found.labels == ("class 0", "class 1", "class 0")
    np.testing.assert_allclose(found.scores, [0.8, 0.6, 0.45], atol=1e-6)
    np.testing.assert_allclose(
        found.boxes, [[4, 4, 20, 20], [4.8, 12, 20.8, 28], [24, 24, 32, 32]], atol=1e-4
    )


def test_the_surest_class_of_a_box_wins(detector: YoloxDetector) -> None:
    found = detect(detector, raw_output((5, [0.5, 0.5, 0.0, 0.0, 1.0, 0.5, 0.9])))
    assert found.labels == ("class 1",)
    np.testing.assert_allclose(found.scores, [0.9], atol=1e-6)


def test_boxes_in_pixels_of_the_frame(detector: YoloxDetector) -> None:
    """The frame of 64 x 48 is halved for the network: boxes double, and are cut at the edge."""
    raw = raw_output((20, [0.5, 0.25, 0.0, 0.0, 0.9, 0.0, 0.9]))  # centre (16, 8), 32 wide
    found = detect(detector, raw, width=64, height=48)
    np.testing.assert_allclose(found.boxes, [[0, 0, 64, 48]], atol=1e-4)
    small = raw_output((5, [0.5, 0.5, 0.0, 0.0, 0.9, 0.0, 0.9]))  # centre (12, 12), 8 wide
    found = detect(detector, small, width=64, height=48)
    np.testing.assert_allclose(found.boxes, [[16, 16, 32, 32]], atol=1e-4)


def test_nothing_found(detector: YoloxDetector) -> None:
    (found,) = detector.detect(blank(1))
    assert len(found) == 0
    assert found.boxes.shape == (0, 4)
    assert detector.detect(blank(0)) == []


def test_the_network_sees_blue_green_red_from_0_to_255(detector: YoloxDetector) -> None:
    session = SetSession(raw_output())
    frame = np.zeros((1, 16, 32, 3), np.uint8)
    frame[...] = (250, 120, 10)
    replace(detector, session=session).detect(frame)
    seen = session.inputs["images"]
    assert seen.shape == (1, 3, SIDE, SIDE)
    assert seen.dtype == np.float32
    assert seen[0, :, 0, 0].tolist() == [10, 120, 250]
    assert seen[0, :, 31, 31].tolist() == [114, 114, 114]


def test_a_single_picture_is_refused(detector: YoloxDetector) -> None:
    with pytest.raises(UsageError, match=r"expected frames \(B, H, W, 3\), found \(32, 32, 3\)"):
        detector.detect(blank(1)[0])


# ----------------------------------------------------------------------------------------- files


def test_a_model_of_ones_own(tmp_path: Path) -> None:
    raw = raw_output((5, [0.5, 0.5, 0.0, 0.0, 1.0, 0.0, 0.7]))
    loaded = load_detector(str(save_model(tmp_path / "mine.onnx", raw)), threshold=0.5, threads=1)
    assert loaded.name == "mine"
    assert loaded.classes == ("class 0", "class 1")
    assert loaded.long_side == SIDE
    first, second = loaded.detect(blank(2))
    assert first.labels == second.labels == ("class 1",)
    np.testing.assert_allclose(first.boxes, [[8, 8, 16, 16]], atol=1e-4)
    assert len(replace(loaded, threshold=0.7).detect(blank(1))[0]) == 0


def test_eighty_classes_are_those_of_coco(tmp_path: Path) -> None:
    raw = raw_output((0, [0.0] * 5 + [0.0] * 16 + [1.0] + [0.0] * 63), classes=80)
    path = save_model(tmp_path / "coco.onnx", raw, shape=("batch", 3, SIDE, SIDE))
    loaded = YoloxDetector.load(str(path), threads=1)
    assert loaded.classes == COCO_CLASSES
    assert loaded.classes[16] == "dog"


def test_coco_has_eighty_classes() -> None:
    assert len(COCO_CLASSES) == len(set(COCO_CLASSES)) == 80
    # first, last and the ends of some rows of the list on cocodataset.org
    places = {
        0: "person",
        24: "backpack",
        32: "sports ball",
        46: "banana",
        62: "tv",
        79: "toothbrush",
    }
    assert {place: COCO_CLASSES[place] for place in places} == places


def decoded(path: Path) -> None:
    """As exported with the decoding inside: centres and sizes in pixels."""
    boxes, _ = decode_output(raw_output(), SIDE)
    raw = raw_output()
    raw[:, :2] = (boxes[:, :2] + boxes[:, 2:]) / 2
    raw[:, 2:4] = boxes[:, 2:] - boxes[:, :2]
    save_model(path, raw)


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (lambda path: None, "found none"),  # no such file
        (lambda path: path.write_bytes(b""), "not a model that onnxruntime reads"),
        (lambda path: path.write_bytes(b"GIF89a" * 99), "not a model that onnxruntime reads"),
        (  # a classifier: no grid of boxes
            lambda path: save_model(path, np.zeros(10)),
            "expected a YOLOX model with one float input",
        ),
        (  # not square
            lambda path: save_model(path, raw_output(), shape=(1, 3, 32, 64)),
            "expected a YOLOX model with one float input",
        ),
        (  # size left open
            lambda path: save_model(path, raw_output(), shape=(1, 3, "height", "width")),
            "expected a YOLOX model with one float input",
        ),
        (  # pictures in half precision
            lambda path: save_model(path, raw_output(), element=TensorProto.FLOAT16),
            "expected a YOLOX model with one float input",
        ),
        (  # several pictures at once
            lambda path: save_model(path, raw_output(), shape=(8, 3, SIDE, SIDE)),
            "expected a YOLOX model with one float input",
        ),
        (  # two outputs
            lambda path: save_model(path, raw_output(), outputs=2),
            "expected a YOLOX model with one float input",
        ),
        (  # no class
            lambda path: save_model(path, np.zeros((ROWS, 5))),
            "expected a YOLOX model with one float input",
        ),
        (  # another set of strides
            lambda path: save_model(path, raw_output()[:20]),
            "expected 21 rows on strides 8, 16 and 32 for input side 32, found 20",
        ),
        (decoded, "expected raw centre offsets"),
    ],
)
def test_files_that_are_no_yolox(write: Any, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.onnx"
    write(path)
    with pytest.raises(WeightsError) as caught:
        load_detector(str(path), threads=1)
    message = str(caught.value)
    assert reason in message
    assert str(path) in message
    assert "\n" not in message


# ------------------------------------------------------------------------------------ real clips


@pytest.mark.shared
@pytest.mark.parametrize(
    ("clip", "thing", "labels"),
    [
        ("01_dog.mp4", "the dog", {"dog"}),
        ("01_dog.mp4", "the woman in jeans", {"person"}),
        ("05_default_juggle.mp4", "the ball", {"sports ball", "frisbee"}),
        ("05_default_juggle.mp4", "the man juggling a ball", {"person"}),
    ],
)
def test_real_objects_are_found(
    clip: str, thing: str, labels: set[str], yolox_weights: Path, shared_data: Path
) -> None:
    detector = load_detector("yolox_nano", threads=1)
    truth = json.loads((shared_data / "real" / "boxes.json").read_text())["videos"][clip][thing]
    frames = read_clip(
        probe(shared_data / "real" / clip),
        SamplingPlan(times_s=[item["time_s"] for item in truth], long_side=detector.long_side),
    )
    assert len(frames) == len(truth) >= 9
    for item, found in zip(truth, detector.detect(frames.frames), strict=True):
        overlaps = box_iou([item["box"]], found.boxes * frames.scale)[0]
        best = int(overlaps.argmax())
        assert overlaps[best] > 0.8, f"frame {item['frame']}"
        assert found.labels[best] in labels
        assert found.scores[best] > 0.5
