"""Prediction JSON, ``stvg.prediction/1``: the answer to one query, a box for every frame.

What ``stvg ground --out`` writes. A file can also hold the answers to
several queries on one video, ``stvg.predictions/1``: a list of the same documents.

The file holds what a reader of the answer needs. Scores of single boxes, and form and id of the
query, are not in it. Numbers are written in full, so that reading gives back exactly what
was written. docs/formats.md has an example and all fields.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
from pydantic import AfterValidator, ConfigDict, Field, model_validator

from stvg.errors import FormatError
from stvg.geometry.tubes import densify
from stvg.types import Interval, Prediction, Query, Tube, VideoMeta

from .documents import (
    Checked,
    FieldError,
    build,
    clean_text,
    read_document,
    require_json,
    write_document,
)
from .parts import FrameNumber, MaskPart, VideoPart, Xyxy

FORMAT: Final = "stvg.prediction/1"
LIST_FORMAT: Final = "stvg.predictions/1"


def _require_sentence(text: str) -> str:
    """Refuse an empty query."""
    if not text.strip():
        raise ValueError(f"expected a sentence, found {text!r:.60}")
    return text


class FrameBox(Checked):
    """The box in one frame."""

    frame: FrameNumber = Field(description="Number of the frame in the source video, from 0.")
    time_s: float = Field(ge=0, description="Presentation time of the frame, seconds.")
    xyxy: Xyxy = Field(
        description="[x1, y1, x2, y2] in pixels of the original frame, right and bottom edge "
        "exclusive, inside the frame, x1 <= x2 and y1 <= y2."
    )
    kind: Literal["predicted", "interpolated"] = Field(
        description='"predicted" where the method gave a box, "interpolated" where it was filled '
        "in."
    )
    mask: MaskPart | None = Field(
        default=None, description="Mask of the answer in this frame, or null. Optional."
    )


class PredictionFile(Checked):
    """One prediction as it stands in a file."""

    model_config = ConfigDict(title=FORMAT)

    format: Literal["stvg.prediction/1"] = Field(description="Kind and version of the document.")
    video: VideoPart = Field(description="Which video.")
    query: Annotated[str, AfterValidator(_require_sentence)] = Field(
        description="The sentence that was asked, not empty.", json_schema_extra={"pattern": r"\S"}
    )
    start_s: float | None = Field(
        ge=0, description="Start of the interval, seconds; null when nothing was found."
    )
    end_s: float | None = Field(
        ge=0, description="End of the interval (exclusive), seconds; null when nothing was found."
    )
    score: float | None = Field(
        ge=0, le=1, description="Confidence, 0 to 1; null when the method has none."
    )
    boxes: list[FrameBox] = Field(
        description="One box for every frame that is first shown in the interval, in order; empty "
        "when nothing was found."
    )
    method: str = Field(description="Name of the method.")
    model: str = Field(description="Name of the model, detector or checkpoint.")
    answer: str | None = Field(description="The text that a language model wrote, or null.")
    timing_s: dict[str, Annotated[float, Field(ge=0)]] = Field(
        description="Seconds spent, by stage of the work."
    )
    warnings: list[str] = Field(
        description="What a reader must know; says why when nothing was found."
    )
    details: Annotated[dict[str, Any], AfterValidator(require_json)] = Field(
        default_factory=dict,
        description="What the method has to show for its answer: any JSON object. Optional.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> PredictionFile:
        if self.start_s is None or self.end_s is None:
            self._require_nothing()
        else:
            self._require_dense(self.start_s, self.end_s)
        return self

    def _require_nothing(self) -> None:
        """What holds when nothing was found."""
        if self.start_s is not None or self.end_s is not None or self.boxes:
            raise ValueError(
                "expected start_s, end_s and boxes together: two numbers and a box for every "
                f"frame, or null, null and [], found {self.start_s}, {self.end_s} and "
                f"{len(self.boxes)} boxes"
            )
        if not self.warnings:
            raise FieldError("warnings", "expected the reason why nothing was found, found []")

    def _require_dense(self, start_s: float, end_s: float) -> None:
        """What holds of the boxes when something was found."""
        if not start_s < end_s or not self.boxes:
            raise ValueError(
                "expected start_s < end_s and a box for every frame between them, found "
                f"[{start_s}, {end_s}) and {len(self.boxes)} boxes"
            )
        if start_s == 0 and self.boxes[0].frame != 0:
            raise FieldError(
                "boxes[0].frame",
                f"expected 0, because frame 0 is shown at 0 s, found {self.boxes[0].frame}",
            )
        for index, box in enumerate(self.boxes):
            place = f"boxes[{index}]"
            self.video.require_frame(box.frame, f"{place}.frame")
            self.video.require_inside(box.xyxy, f"{place}.xyxy")
            if box.mask is not None:
                self.video.require_size(box.mask, f"{place}.mask")
            if not start_s <= box.time_s < end_s or (box.time_s == 0) != (box.frame == 0):
                raise FieldError(
                    f"{place}.time_s",
                    f"expected a time in the interval [{start_s}, {end_s}), 0 for frame 0 and only "
                    f"for it, found {box.time_s} for frame {box.frame}",
                )
        for index, (previous, box) in enumerate(pairwise(self.boxes), start=1):
            if box.frame != previous.frame + 1:
                raise FieldError(
                    f"boxes[{index}].frame",
                    f"expected {previous.frame + 1}, because every frame has a box, found "
                    f"{box.frame}",
                )
            if box.time_s <= previous.time_s:
                raise FieldError(
                    f"boxes[{index}].time_s",
                    f"expected a time after {previous.time_s}, found {box.time_s}",
                )


class PredictionsFile(Checked):
    """Several predictions as they stand in one file."""

    model_config = ConfigDict(title=LIST_FORMAT)

    format: Literal["stvg.predictions/1"] = Field(description="Kind and version of the document.")
    predictions: list[PredictionFile] = Field(
        description="One stvg.prediction/1 document a query, in the order of the queries."
    )


def write_prediction(prediction: Prediction, path: str | Path) -> None:
    """Write one prediction.

    Frames of the interval for which the tube has no box are filled in and marked as such; see
    :func:`stvg.geometry.tubes.densify`.

    Args:
        prediction: The answer. ``prediction.video`` says when each frame is shown.
        path: The file to write; appears whole or not at all.

    Raises:
        UsageError: If no frame lies in the interval, or a value has no place in the format (a
            score outside [0, 1], details that are not JSON, a mask of another size than the video).
        OutputError: If the file cannot be written.

    Example:
        >>> import tempfile
        >>> from fractions import Fraction
        >>> video = VideoMeta("dog.mp4", 100, 50, Fraction(2), 2.0, 4)
        >>> tube = Tube(Interval(0.5, 1.5), [0.5, 1.0], [[0, 0, 9, 9], [1, 0, 9, 9]])
        >>> path = Path(tempfile.mkdtemp()) / "dog.json"
        >>> write_prediction(Prediction(Query("the dog"), video, tube, "by_hand", "none"), path)
        >>> read_prediction(path).tube.boxes.tolist()
        [[0.0, 0.0, 9.0, 9.0], [1.0, 0.0, 9.0, 9.0]]
    """
    write_document(_file_of(prediction), path)


def write_predictions(predictions: Iterable[Prediction], path: str | Path) -> None:
    """Write several predictions into one file.

    Args:
        predictions: The answers, in the order of their queries.
        path: The file to write; appears whole or not at all.

    Raises:
        UsageError: As :func:`write_prediction`.
        OutputError: If the file cannot be written.
    """
    parts = [_file_of(prediction) for prediction in predictions]
    write_document(PredictionsFile(format=LIST_FORMAT, predictions=parts), path)


def read_prediction(path: str | Path) -> Prediction:
    """Read the one prediction in a file.

    The times of the frames in the interval are known afterwards; those of other frames of the
    video are estimated (see :func:`read_predictions`).

    Args:
        path: A file of :func:`write_prediction`, or a list with one prediction.

    Raises:
        UsageError: If there is no such file.
        FormatError: If it is of another kind or version, not in order, or holds not exactly one
            prediction; names file, field, and line and column where it is not JSON.

    Example:
        >>> read_prediction("missing.json")
        Traceback (most recent call last):
        ...
        stvg.errors.UsageError: cannot read missing.json: there is no such file; ...
    """
    predictions = read_predictions(path)
    if len(predictions) != 1:
        queries = ", ".join(repr(each.query.text) for each in predictions[:3])
        raise FormatError(
            f"{path} holds {len(predictions)} predictions ({queries}), but exactly one was "
            "expected; keep the one you mean in a file of its own"
        )
    return predictions[0]


def read_predictions(path: str | Path) -> list[Prediction]:
    """Read all predictions in a file, one or a list.

    The file has the times of the frames in the interval. Where they differ from a constant frame
    rate, ``video.frame_times_s`` is set: exact inside the interval, and outside spread evenly
    between the interval and the start and end of the video.

    Args:
        path: A file of :func:`write_prediction` or :func:`write_predictions`.

    Returns:
        The predictions in the order of the file.

    Raises:
        UsageError: If there is no such file.
        FormatError: As :func:`read_prediction`.
    """
    models: dict[str, type[PredictionFile] | type[PredictionsFile]] = {
        FORMAT: PredictionFile,
        LIST_FORMAT: PredictionsFile,
    }
    document = read_document(path, models)
    parts = document.predictions if isinstance(document, PredictionsFile) else [document]
    return [_prediction_of(part) for part in parts]


def _file_of(prediction: Prediction) -> PredictionFile:
    """A prediction as it stands in a file."""
    boxes = [] if prediction.tube is None else _dense_boxes(prediction.tube, prediction.video)
    interval = None if prediction.tube is None else prediction.tube.interval
    optional = {} if prediction.details is None else {"details": dict(prediction.details)}
    return build(
        PredictionFile,
        "the prediction",
        format=FORMAT,
        video=VideoPart.of(prediction.video),
        query=prediction.query.text,
        start_s=None if interval is None else float(interval.start_s),
        end_s=None if interval is None else float(interval.end_s),
        score=None if prediction.score is None else float(prediction.score),
        boxes=boxes,
        method=prediction.method,
        model=prediction.model,
        answer=prediction.answer,
        timing_s={stage: float(spent_s) for stage, spent_s in prediction.timing_s.items()},
        warnings=[clean_text(warning) for warning in prediction.warnings],
        **optional,
    )


def _dense_boxes(tube: Tube, video: VideoMeta) -> list[FrameBox]:
    """A box for every frame of the interval."""
    dense = densify(tube, video.times_s)
    assert dense.interpolated is not None  # densify always says which boxes were filled in
    frames = np.flatnonzero(tube.interval.mask(video.times_s))
    edge = np.array([video.width, video.height] * 2, np.float64)
    rows = zip(
        frames.tolist(),
        dense.times_s.tolist(),
        np.clip(dense.boxes, 0.0, edge).tolist(),
        dense.interpolated.tolist(),
        [None] * len(frames) if dense.masks is None else dense.masks,
        strict=True,
    )
    return [
        FrameBox(
            frame=frame,
            time_s=time_s,
            xyxy=xyxy,
            kind="interpolated" if is_interpolated else "predicted",
            **({} if mask is None else {"mask": MaskPart.of(mask)}),
        )
        for frame, time_s, xyxy, is_interpolated, mask in rows
    ]


def _prediction_of(part: PredictionFile) -> Prediction:
    """A prediction from how it stands in a file."""
    return Prediction(
        query=Query(part.query),
        video=_video_of(part),
        tube=_tube_of(part),
        method=part.method,
        model=part.model,
        score=part.score,
        answer=part.answer,
        timing_s=part.timing_s,
        warnings=tuple(part.warnings),
        details=part.details if "details" in part.model_fields_set else None,
    )


def _tube_of(part: PredictionFile) -> Tube | None:
    """The tube, or None when nothing was found."""
    if part.start_s is None or part.end_s is None:
        return None
    masks = tuple(None if box.mask is None else box.mask.rle() for box in part.boxes)
    return Tube(
        interval=Interval(part.start_s, part.end_s),
        times_s=np.array([box.time_s for box in part.boxes]),
        boxes=np.array([box.xyxy for box in part.boxes], np.float64),
        interpolated=np.array([box.kind == "interpolated" for box in part.boxes]),
        masks=masks if any(masks) else None,
    )


def _video_of(part: PredictionFile) -> VideoMeta:
    """The video, with what the boxes say about the times of its frames."""
    meta = part.video.meta()
    if part.start_s is None or part.end_s is None:
        return meta
    first, last = part.boxes[0].frame, part.boxes[-1].frame
    known_s = np.array([box.time_s for box in part.boxes])
    constant_s = np.arange(first - 1, last + 2) / float(meta.fps)  # with a frame on either side
    starts_there = constant_s[0] < part.start_s
    ends_there = constant_s[-1] >= part.end_s or last + 1 == meta.frames
    if np.array_equal(constant_s[1:-1], known_s) and starts_there and ends_there:
        return meta
    rest = meta.frames - 1 - last
    end_s = max(meta.duration_s, part.end_s + rest / float(meta.fps))
    before_s = np.linspace(0, part.start_s, first, endpoint=False)
    after_s = np.linspace(part.end_s, end_s, rest, endpoint=False)
    return replace(meta, frame_times_s=np.concatenate([before_s, known_s, after_s]))
