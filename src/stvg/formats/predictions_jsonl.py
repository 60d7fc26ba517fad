"""Predictions JSONL: the answers to the queries of a benchmark, one line a query.

What ``stvg evaluate`` reads. Frames are numbers in the source video,
spans half-open. A query that failed has a line too, with ``error`` set, so that it is counted. The
file grows line by line over hours and survives a killed process: a half-written last line is
recognised, and removed when the run is resumed. docs/formats.md has an example and all fields.

Reading holds one line in memory at a time. The lines are parsed and checked by pydantic's compiled
validator, in about a microsecond a box; the checks between fields are on arrays.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any

import numpy as np
from pydantic import ConfigDict, Field, ValidationError

from stvg.errors import FormatError, OutputError, UsageError
from stvg.types import RLE, FloatArray, IntArray, Prediction

from .atomic import check_writable
from .documents import (
    BYTE_ORDER_MARK,
    Checked,
    FieldError,
    build,
    clean_text,
    describe,
    syntax_place,
    unreadable,
)
from .parts import FOUR_NUMBERS, MAX_FRAMES, ONLY_FRAME_KEYS, FrameKey, FrameNumber, MaskPart

_TITLE = "predictions JSONL"
_GZIP = b"\x1f\x8b"


class PredictionLine(Checked):
    """The answer to one query as it stands in a file."""

    model_config = ConfigDict(title=_TITLE)

    id: str = Field(min_length=1, description="Name of the query in its benchmark.")
    span_frames: Annotated[list[FrameNumber], Field(min_length=2, max_length=2)] | None = Field(
        description="[first, end) of the answer, frame numbers in the source video, from 0, end "
        "exclusive; null when nothing was found."
    )
    boxes: Annotated[
        dict[FrameKey, Annotated[list[float], FOUR_NUMBERS]],
        Field(json_schema_extra=ONLY_FRAME_KEYS),
    ] = Field(
        description="[x1, y1, x2, y2] by frame number: pixels of the original frame, right and "
        "bottom edge exclusive, x1 <= x2 and y1 <= y2. Frames outside the span are allowed."
    )
    answer: str | None = Field(
        default=None, description="The text that a language model wrote, or null. Optional."
    )
    error: str | None = Field(
        default=None,
        description="Why the query could not be answered, or null. With an error there is no span "
        "and no box. Optional.",
    )
    masks: Annotated[dict[FrameKey, MaskPart], Field(json_schema_extra=ONLY_FRAME_KEYS)] = Field(
        default_factory=dict, description="Mask by frame number. Optional."
    )
    span_s: Annotated[list[float], Field(min_length=2, max_length=2)] | None = Field(
        default=None,
        description="[start, end] of the answer in seconds, for benchmarks of time. Optional.",
    )
    windows: list[Annotated[list[float], Field(min_length=3, max_length=3)]] | None = Field(
        default=None,
        description="[start, end, score] in seconds, the best first: several answers to one query "
        "(QVHighlights). Optional.",
    )
    saliency: list[float] | None = Field(
        default=None,
        description="A score for every 2 seconds of the video (QVHighlights). Optional.",
    )


class AnswerLine(PredictionLine):
    """A line as ``stvg evaluate`` reads it: what a benchmark does not ask for may be absent."""

    span_frames: Annotated[list[FrameNumber], Field(min_length=2, max_length=2)] | None = None
    boxes: dict[FrameKey, Annotated[list[float], FOUR_NUMBERS]] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class PredictionRecord:
    """The answer to one query of a benchmark, in frames of the source video.

    Attributes:
        id: Name of the query in its benchmark, not empty.
        span_frames: First frame and end (exclusive), 0-based; None when nothing was found.
        frames: Numbers of the frames that have a box, (N,) int64, strictly increasing.
        boxes: ``xyxy`` pixels of the original frame, (N, 4), finite, corners in order.
        answer: The text that a language model wrote, or None.
        error: Why the query could not be answered, or None.
        masks: COCO RLE by frame number, or None when there are no masks.
        span_s: Start and end in seconds, for benchmarks of time alone, or None.
        windows: Start, end and score of several answers, the best first, (K, 3), or None.
        saliency: Score of every 2 seconds of the video, (C,), or None.

    Raises:
        UsageError: If shapes disagree, frames do not increase, a box has its corners reversed,
            the span is empty, or there is an error and an answer at once.

    Example:
        >>> PredictionRecord("q1", (10, 12), [10, 11], [[0, 0, 9, 9], [1, 0, 9, 9]]).span_frames
        (10, 12)
    """

    id: str
    span_frames: tuple[int, int] | None
    frames: IntArray
    boxes: FloatArray
    answer: str | None = None
    error: str | None = None
    masks: Mapping[int, RLE] | None = None
    span_s: tuple[float, float] | None = None
    windows: FloatArray | None = None
    saliency: FloatArray | None = None

    def __post_init__(self) -> None:
        frames = np.asarray(self.frames, np.int64)
        boxes = np.asarray(self.boxes, np.float64).reshape(-1, 4)
        if frames.shape != (len(boxes),) or not (np.diff(frames) > 0).all():
            raise UsageError(
                f"the answer to {self.id!r} needs frame numbers (N,) that increase and boxes "
                f"(N, 4), found {frames.shape} and {boxes.shape}"
            )
        problem = _problem(self.span_frames, frames, boxes, self.error)
        if problem is not None:
            raise UsageError(f"the answer to {self.id!r}, field {problem.field}: {problem}")
        object.__setattr__(self, "frames", frames)
        object.__setattr__(self, "boxes", boxes)


def record_of(prediction: Prediction) -> PredictionRecord:
    """A prediction in the frames of its video.

    Args:
        prediction: An answer in seconds to a query with an id. Boxes go to the frame that is on
            screen at their time.

    Returns:
        The record to write. Its span is the frames that are first shown in the interval.

    Raises:
        UsageError: If the query has no id, no frame is first shown in the interval, or two boxes
            fall on one frame.

    Example:
        >>> from fractions import Fraction
        >>> from stvg.types import Interval, Query, Tube, VideoMeta
        >>> video = VideoMeta("dog.mp4", 100, 50, Fraction(2), 2.0, 4)
        >>> tube = Tube(Interval(0.5, 1.5), [0.5, 1.0], [[0, 0, 9, 9], [1, 0, 9, 9]])
        >>> query = Query("the dog", id="q1")
        >>> record = record_of(Prediction(query, video, tube, "by_hand", "none"))
        >>> record.span_frames, record.frames.tolist()
        ((1, 3), [1, 2])
    """
    id_, tube, video = prediction.query.id, prediction.tube, prediction.video
    if id_ is None:
        raise UsageError(
            "the answer to a benchmark query needs its id, found none for "
            f"{prediction.query.text!r:.60}; give it as Query(text, id=...)"
        )
    if tube is None:
        nowhere = np.zeros(0, np.int64)
        return PredictionRecord(id_, None, nowhere, np.zeros((0, 4)), prediction.answer)
    shown = np.flatnonzero(tube.interval.mask(video.times_s))
    if not len(shown):
        raise UsageError(
            f"the answer to {id_!r} holds no frame: none is first shown in "
            f"[{tube.interval.start_s}, {tube.interval.end_s}) s; make it at least one frame long"
        )
    frames = video.frame_at(tube.times_s)
    masks = None
    if tube.masks is not None:
        pairs = zip(frames.tolist(), tube.masks, strict=True)
        masks = {frame: rle for frame, rle in pairs if rle is not None}
    span = (int(shown[0]), int(shown[-1]) + 1)
    return PredictionRecord(id_, span, frames, tube.boxes, prediction.answer, masks=masks)


def read_predictions_jsonl(path: str | Path) -> Iterator[PredictionRecord]:
    """Read the answers one after the other, holding one in memory at a time.

    Empty lines are passed over.

    Args:
        path: The file.

    Yields:
        The records in the order of the file, ids all different.

    Raises:
        UsageError: If there is no such file.
        FormatError: At the first line that is not in order or repeats an id; names file, line,
            field. A half-written last line is named as such.

    Example:
        >>> list(read_predictions_jsonl("missing.jsonl"))
        Traceback (most recent call last):
        ...
        stvg.errors.UsageError: cannot read missing.jsonl: there is no such file; ...
    """
    line_of: dict[str, int] = {}
    for number, line in _lines(path):
        record = _record_of_line(line, f"{path}, line {number}")
        if record.id in line_of:
            raise FormatError(
                f"{path}, line {number}, field id: expected every query once, found {record.id!r} "
                f"again, which line {line_of[record.id]} answers; remove one of the two lines"
            )
        line_of[record.id] = number
        yield record


def iter_lines(path: str | Path) -> Iterator[tuple[int, bytes]]:
    """The lines of a file that are not empty, with their numbers from 1.

    Raises:
        UsageError: If there is no such file.
    """
    return _lines(path)


def parse_answer_line(line: bytes, place: str) -> AnswerLine:
    """One line, each field checked by itself.

    What is checked between fields (corners in order, ends in order, ids that differ) is left to
    the caller: evaluation counts some of it and goes on.

    Args:
        line: The bytes of the line.
        place: File and line, the start of the message of an error.

    Raises:
        FormatError: If the line is not JSON or has a field of a wrong kind; a half-written last
            line is named as such.
    """
    try:
        return AnswerLine.model_validate_json(line.rstrip(b"\r\n"))
    except ValidationError as error:
        raise FormatError(f"{place}, {_line_problem(error, line)}") from error


class PredictionsWriter:
    """Appends answers to a file, each whole and at once, so that a killed run loses none.

    Args:
        path: The file. Its folder must exist.
        resume: Keep the answers that the file holds and add to them; a half-written last line is
            removed. Otherwise the file must not hold anything yet.

    Attributes:
        done: Ids that the file answers already; they cannot be written again.
        repaired: What was removed from the end of the file, one sentence for the user, or None.

    Raises:
        OutputError: If the file cannot be written, or holds answers and ``resume`` is off.
        FormatError: If the file that is to be resumed is not in order before its last line.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "answers.jsonl"
        >>> with PredictionsWriter(path) as writer:
        ...     writer.write(PredictionRecord("q1", (3, 4), [3], [[0, 0, 9, 9]]))
        >>> with PredictionsWriter(path, resume=True) as writer:
        ...     sorted(writer.done)
        ['q1']
    """

    def __init__(self, path: str | Path, *, resume: bool = False) -> None:
        self.path = Path(path)
        self.done: set[str] = set()
        self.repaired: str | None = None
        check_writable(self.path)
        if self.path.exists() and self.path.stat().st_size:
            if not resume:
                raise OutputError(
                    f"cannot write {self.path}: it holds answers already; resume the run to add to "
                    "them, or choose another name"
                )
            self.repaired = _repair(self.path)
            self.done.update(record.id for record in read_predictions_jsonl(self.path))
        self._file: io.FileIO = self.path.open("ab", buffering=0)

    def __enter__(self) -> PredictionsWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; nothing is lost when this is not called."""
        self._file.close()

    def write(self, record: PredictionRecord) -> None:
        """Append one answer; when this returns, a kill of the process does not lose it.

        Args:
            record: The answer. Numbers are written in full.

        Raises:
            UsageError: If the id was answered before, or a value has no place in the format.
            OutputError: If the disk is full; the file then ends with the answer before.
        """
        if record.id in self.done:
            raise UsageError(f"{self.path} answers the query {record.id!r} already")
        line = _line_of_record(record)
        end = self._file.seek(0, io.SEEK_END)
        try:
            written = self._file.write(line)
            while written < len(line):
                written += self._file.write(line[written:])
        except BaseException as error:
            with suppress(OSError):  # what stays is a cut line, which resuming removes
                self._file.truncate(end)
            if not isinstance(error, OSError):
                raise
            raise OutputError(
                f"cannot write {self.path}: {error.strerror}; the answers before {record.id!r} are "
                "safe, free some space and resume the run"
            ) from error
        self.done.add(record.id)


def _problem(
    span: tuple[int, int] | None, frames: IntArray, boxes: FloatArray, error: str | None
) -> FieldError | None:
    """What is wrong between the fields of a record, or None."""
    if error is not None and (span is not None or len(frames)):
        return FieldError("error", f"expected an error or an answer, found both: {error!r:.60}")
    if span is not None and not 0 <= span[0] < span[1] <= MAX_FRAMES:
        return FieldError(
            "span_frames", f"expected [first, end) with 0 <= first < end, found {list(span)}"
        )
    good = (boxes[:, :2] <= boxes[:, 2:]).all(axis=1) & np.isfinite(boxes).all(axis=1)
    if not good.all():
        bad = int(np.argmin(good))
        return FieldError(
            f'boxes["{frames[bad]}"]',
            f"expected corners in order, x1 <= x2 and y1 <= y2, found {boxes[bad].tolist()}",
        )
    return None


def _lines(path: str | Path) -> Iterator[tuple[int, bytes]]:
    """The lines of a file that are not empty, with their numbers from 1."""
    try:
        with Path(path).open("rb") as file:
            for number, line in enumerate(file, start=1):
                text = line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line
                if text.strip():
                    yield number, text
    except OSError as error:
        raise unreadable(path, error) from error


def _record_of_line(line: bytes, place: str) -> PredictionRecord:
    """The record in one line of a file."""
    try:
        part = PredictionLine.model_validate_json(line.rstrip(b"\r\n"))
    except ValidationError as error:
        raise FormatError(f"{place}, {_line_problem(error, line)}") from error
    frames = np.array([int(frame) for frame in part.boxes], np.int64)
    boxes = np.array(list(part.boxes.values()), np.float64).reshape(-1, 4)
    order = np.argsort(frames)
    frames, boxes = frames[order], boxes[order]
    span = None if part.span_frames is None else (part.span_frames[0], part.span_frames[1])
    problem = _problem(span, frames, boxes, part.error)
    if problem is not None:
        raise FormatError(
            f"{place}, field {problem.field}: {problem}; docs/formats.md describes {_TITLE}"
        )
    masks = None
    if "masks" in part.model_fields_set:
        masks = {int(frame): mask.rle() for frame, mask in part.masks.items()}
    return PredictionRecord(
        part.id,
        span,
        frames,
        boxes,
        part.answer,
        part.error,
        masks,
        span_s=None if part.span_s is None else (part.span_s[0], part.span_s[1]),
        windows=None if part.windows is None else np.reshape(part.windows, (-1, 3)),
        saliency=None if part.saliency is None else np.array(part.saliency, np.float64),
    )


def _line_problem(error: ValidationError, line: bytes) -> str:
    """What is wrong with a line that does not fit the model."""
    first = error.errors(include_url=False)[0]
    if first["type"] != "json_invalid":
        if b'"format"' in line and first["type"] in {"missing", "extra_forbidden"}:
            return (
                'expected one answer a line, found a document with a field "format"; it may be a '
                "prediction or tracks file, which is another format"
            )
        return describe(error, PredictionLine)
    reason, _, column = syntax_place(first["msg"])
    if line.startswith(_GZIP):
        return "the file is compressed with gzip; unpack it first (gunzip)"
    if not line.endswith(b"\n"):
        return (
            f"column {column}: the line is cut off, {reason}; the run that wrote it was probably "
            "stopped: resume it, or remove the line"
        )
    return (
        f"column {column}: not a JSON object on one line, {reason}; correct the line or write the "
        "file again (UTF-8, no NaN, no Infinity)"
    )


def _line_of_record(record: PredictionRecord) -> bytes:
    """One line of a file, checked as a reader will check it."""
    keys = [str(frame) for frame in record.frames.tolist()]
    optional: dict[str, Any] = {}
    if record.masks is not None:
        optional["masks"] = {str(frame): MaskPart.of(rle) for frame, rle in record.masks.items()}
    if record.span_s is not None:
        optional["span_s"] = [float(end) for end in record.span_s]
    if record.windows is not None:
        optional["windows"] = np.asarray(record.windows, np.float64).tolist()
    if record.saliency is not None:
        optional["saliency"] = np.asarray(record.saliency, np.float64).tolist()
    part = build(
        PredictionLine,
        f"the answer to {record.id!r}",
        id=record.id,
        span_frames=None if record.span_frames is None else [int(f) for f in record.span_frames],
        boxes=dict(zip(keys, record.boxes.tolist(), strict=True)),
        answer=record.answer,
        error=record.error,
        **optional,
    )
    document = part.model_dump(exclude_unset=True)
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return clean_text(text).encode() + b"\n"


def _repair(path: Path) -> str | None:
    """Remove a half-written last line; finish one that lacks only its line end."""
    with path.open("rb+") as file:
        start, number = 0, 0
        line = b""
        for number, line in enumerate(file, start=1):  # noqa: B007  both are needed afterwards
            start += len(line)
        if not line or line.endswith(b"\n"):
            return None
        try:
            PredictionLine.model_validate_json(line)
        except ValidationError as error:
            if error.errors(include_url=False)[0]["type"] != "json_invalid":
                return None  # whole but wrong: reading the file says what is wrong
            file.truncate(start - len(line))
            return (
                f"removed line {number} of {path}, which was cut off after {len(line)} bytes; its "
                "query is answered again"
            )
        file.write(b"\n")
        return None
