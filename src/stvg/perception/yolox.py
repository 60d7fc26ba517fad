"""YOLOX (Ge et al., 2021, arXiv:2107.08430) through onnxruntime.

Reads the ``.onnx`` files that the authors publish: input ``images`` (1, 3, S, S) float32, BGR in
0..255, the picture in the top-left corner and the rest filled with 114; output (1, A, 5 + C) with
raw centre offsets and logarithmic sizes on the grids of strides 8, 16 and 32, an objectness and C
class scores. Boxes are decoded as in section 2.1 of the paper and thinned by class-wise
suppression.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from stvg.errors import UsageError, WeightsError
from stvg.extras import require
from stvg.geometry.boxes import clip_boxes, nms
from stvg.perception.coco import COCO_CLASSES
from stvg.perception.detect import Detections
from stvg.perception.weights import Weights, get_weights
from stvg.progress import Progress, no_progress
from stvg.types import ByteArray, FloatArray

# Checksums are written down only for files that were checked; others are given by their path.
PUBLISHED: dict[str, Weights] = {
    "yolox_nano": Weights(
        file="yolox_nano.onnx",
        url="https://github.com/Megvii-BaseDetection/YOLOX/releases/download/0.1.1rc0/yolox_nano.onnx",
        sha256="e8af074932d4ed7e232278e3055cefcdea3edf178874a3694ae292649fb464dd",
        size=3_678_356,
        licence="Apache-2.0",
    )
}
_STRIDES = (8, 16, 32)
_FILL = 114
_NMS_IOU = 0.5
_FAR_OFF = 4.0  # cells; centres lie within one or two cells of their own, on average


@dataclass(frozen=True, slots=True)
class YoloxDetector:
    """A YOLOX network with its decoding.

    Attributes:
        name: Shown in results, the file's stem.
        classes: Names of the C classes.
        long_side: S, the side of the network's square input in pixels.
    """

    name: str
    classes: tuple[str, ...]
    long_side: int
    threshold: float
    session: Any

    @classmethod
    def load(
        cls,
        name: str,
        *,
        threshold: float = 0.1,
        threads: int = 0,
        progress: Progress = no_progress,
    ) -> YoloxDetector:
        """Load published weights by name, or any YOLOX ``.onnx`` file by path.

        Raises:
            MissingExtraError: If onnxruntime does not import.
            WeightsError: If the file cannot be had, is no ONNX model, or has another shape.
        """
        runtime = require("onnxruntime", "perception", "the YOLOX detector")
        path = get_weights(PUBLISHED[name], progress) if name in PUBLISHED else Path(name)
        if not path.is_file():
            raise WeightsError(f"expected a YOLOX .onnx file at {path}, found none")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        try:
            session = runtime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            # onnxruntime raises classes of its own that share no base but Exception.
            reason = " ".join(str(error).split())
            raise WeightsError(f"{path} is not a model that onnxruntime reads: {reason}") from error
        side, classes = _input_and_classes(session, path)
        detector = cls(path.stem, classes, side, threshold, session)
        detector._refuse_decoded(path)
        return detector

    def detect(self, frames: ByteArray, words: Sequence[str] = ()) -> list[Detections]:
        """Find objects of the known classes; see :class:`stvg.perception.detect.Detector`."""
        del words  # the classes are fixed
        if frames.ndim != 4 or frames.shape[-1] != 3:
            raise UsageError(f"expected frames (B, H, W, 3), found {frames.shape}")
        return [self._detect_one(frame) for frame in frames]

    def _detect_one(self, frame: ByteArray) -> Detections:
        height, width = frame.shape[:2]
        picture, ratio = letterbox(frame, self.long_side)
        boxes, scores = decode_output(self._run(picture), self.long_side)  # (A, 4), (A, C)
        best = scores.argmax(axis=1)
        confidence = scores.max(axis=1)
        found = confidence > self.threshold
        boxes, best, confidence = boxes[found] / ratio, best[found], confidence[found]
        boxes = clip_boxes(boxes, width, height)
        kept = [
            np.flatnonzero(best == kind)[
                nms(boxes[best == kind], confidence[best == kind], _NMS_IOU)
            ]
            for kind in np.unique(best)
        ]
        order = np.concatenate(kept) if kept else np.zeros(0, np.int64)
        order = order[np.argsort(-confidence[order], kind="stable")]
        return Detections(
            boxes[order], confidence[order], tuple(self.classes[kind] for kind in best[order])
        )

    def _run(self, picture: ByteArray) -> FloatArray:
        """Raw output (A, 5 + C) float32 for an RGB square (S, S, 3) uint8."""
        inputs = picture[..., ::-1].transpose(2, 0, 1)[None].astype(np.float32)  # (1, 3, S, S)
        (raw,) = self.session.run(None, {self.session.get_inputs()[0].name: inputs})
        return np.asarray(raw[0])

    def _refuse_decoded(self, path: Path) -> None:
        """Try a plain picture: a model with the decoding inside gives centres in pixels."""
        raw = self._run(np.full((self.long_side, self.long_side, 3), _FILL, np.uint8))
        if not np.abs(raw[:, :2]).mean() < _FAR_OFF:
            raise WeightsError(
                f"expected raw centre offsets from {path}, found values of "
                f"{np.abs(raw[:, :2]).mean():.0f} on average; export the model without the "
                "decoding inside (in YOLOX without --decode_in_inference)"
            )


def letterbox(frame: ByteArray, side: int) -> tuple[ByteArray, float]:
    """Fit a picture into the top-left corner of a square.

    Args:
        frame: RGB (H, W, 3) uint8.
        side: Side S of the square in pixels.

    Returns:
        The square (S, S, 3) uint8 filled with 114 elsewhere, and the factor from pixels of
        ``frame`` to pixels of the square.
    """
    height, width = frame.shape[:2]
    ratio = side / max(height, width)
    size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    if size != (width, height):
        frame = np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BILINEAR))
    square = np.full((side, side, 3), _FILL, np.uint8)
    square[: size[1], : size[0]] = frame
    return square, ratio


def decode_output(raw: FloatArray, side: int) -> tuple[FloatArray, FloatArray]:
    """Boxes and class scores from the network's raw output.

    Args:
        raw: (A, 5 + C): centre offsets in cells, logarithm of the size in cells, objectness,
            class scores; rows in the order of strides 8, 16, 32, row by row.
        side: Side of the input in pixels, a multiple of 32.

    Returns:
        Boxes ``xyxy`` in pixels of the input (A, 4) and scores (A, C), objectness times class.
    """
    grid, stride_of = _grid(side)
    centres = (raw[:, :2] + grid) * stride_of
    half = np.exp(raw[:, 2:4]) * stride_of / 2
    boxes = np.concatenate([centres - half, centres + half], axis=1).astype(np.float64)
    return boxes, (raw[:, 4:5] * raw[:, 5:]).astype(np.float64)


@lru_cache(maxsize=4)
def _grid(side: int) -> tuple[FloatArray, FloatArray]:
    """Column and row of every cell (A, 2), and the stride of its grid in pixels (A, 1)."""
    cells, strides = [], []
    for stride in _STRIDES:
        count = side // stride
        rows, columns = np.mgrid[:count, :count]
        cells.append(np.stack([columns, rows], axis=-1).reshape(-1, 2))
        strides.append(np.full((count * count, 1), stride))
    return np.concatenate(cells).astype(np.float64), np.concatenate(strides).astype(np.float64)


def _input_and_classes(session: Any, path: Path) -> tuple[int, tuple[str, ...]]:
    """Input side and class names of a session; refuses what does not look like YOLOX."""
    inputs = [(value.type, *value.shape) for value in session.get_inputs()]
    outputs = [tuple(value.shape) for value in session.get_outputs()]
    match inputs, outputs:
        case [("tensor(float)", 1 | str(), 3, int(side), int(other))], [(_, rows, int(columns))]:
            fits = side == other and side > 0 and side % 32 == 0 and columns > 5
        case _:
            fits = False
    if not fits:
        raise WeightsError(
            "expected a YOLOX model with one float input (1, 3, S, S), S a multiple of 32, and one "
            f"output (1, A, 5 + C), found inputs {inputs} and outputs {outputs} in {path}"
        )
    anchors = sum((side // stride) ** 2 for stride in _STRIDES)
    if rows != anchors:
        raise WeightsError(
            f"expected {anchors} rows on strides 8, 16 and 32 for input side {side}, found {rows} "
            f"in {path}; models with other strides are not supported"
        )
    if columns - 5 == len(COCO_CLASSES):
        return side, COCO_CLASSES
    return side, tuple(f"class {number}" for number in range(columns - 5))
