"""Answers as evaluation takes them: every kind of task, faults that can be forgiven noted.

A file of predictions is checked here in two steps. What cannot be understood (no JSON, a box of
five numbers, NaN, a frame or an id twice) is an error with file and line. What has a meaning in the
published evaluators, however odd (reversed corners, a span that ends before it starts), is kept
as it is and noted in :attr:`Answer.faults`; the ledger of :mod:`stvg.evaluate.ledger` counts it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from stvg.errors import FormatError, UsageError
from stvg.formats.box_text import take_boxes
from stvg.formats.predictions_jsonl import (
    AnswerLine,
    PredictionRecord,
    iter_lines,
    parse_answer_line,
)
from stvg.types import RLE, FloatArray, IntArray

REVERSED_CORNERS = "box with reversed corners"
REVERSED_SPAN = "span that is empty or ends before it starts"


@dataclass(slots=True, eq=False)
class Answer:
    """The answer to one query, nothing about it repaired.

    Attributes:
        id: Name of the query.
        place: Where it stands, ``file, line 7``; for messages.
        span_frames: First frame and end (exclusive), 0-based; the end may lie before the start.
            None when nothing was found.
        frames: Frames that have a box, (N,) int64, strictly increasing.
        boxes: ``xyxy`` pixels, (N, 4), finite; corners may be reversed.
        text: What a language model wrote, or None.
        error: Why the query was not answered, or None.
        span_s: Start and end in seconds, or None.
        windows: ``[start_s, end_s, score]``, (K, 3), or None.
        saliency: Score of every 2 s of the video, (C,), or None.
        masks: COCO RLE by position of the frame, or None.
        faults: What is odd about it, ``(name, detail, how often)``.
    """

    id: str
    place: str = "an answer"
    span_frames: tuple[float, float] | None = None
    frames: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    boxes: FloatArray = field(default_factory=lambda: np.zeros((0, 4)))
    text: str | None = None
    error: str | None = None
    span_s: tuple[float, float] | None = None
    windows: FloatArray | None = None
    saliency: FloatArray | None = None
    masks: Mapping[int, RLE] | None = None
    faults: tuple[tuple[str, str, int], ...] = ()

    @property
    def has_tube(self) -> bool:
        """Whether a span or a box was answered."""
        return self.span_frames is not None or len(self.frames) > 0


AnswerLike = Answer | PredictionRecord | Mapping[str, Any]
"""What the Python interface takes as an answer; a mapping has the fields of a line of JSONL."""


def read_answers(source: str | Path | Iterable[AnswerLike]) -> Iterator[Answer]:
    """Answers of a predictions JSONL or from memory, one after the other.

    Args:
        source: A file, or answers.

    Yields:
        The answers in their order, ids all different.

    Raises:
        UsageError: If there is no such file, or something in memory is not an answer.
        FormatError: At the first line that cannot be understood or repeats an id.

    Example:
        >>> [answer.span_s for answer in read_answers([{"id": "a", "span_s": [1, 2.5]}])]
        [(1.0, 2.5)]
    """
    place_of: dict[str, str] = {}
    for answer in _all(source):
        if answer.id in place_of:
            raise FormatError(
                f"{answer.place}, field id: expected every query once, found {answer.id!r} again, "
                f"which {place_of[answer.id]} answers; remove one of the two"
            )
        place_of[answer.id] = answer.place
        yield answer


def filled(answer: Answer) -> Answer:
    """The answer with boxes interpolated linearly between its first and last one.

    Nothing is added before the first or after the last box.
    """
    if len(answer.frames) < 2:
        return answer
    frames = np.arange(answer.frames[0], answer.frames[-1] + 1)
    columns = [np.interp(frames, answer.frames, column) for column in answer.boxes.T]
    return _copy(answer, frames, np.stack(columns, axis=1))


def held(answer: Answer) -> Answer:
    """The answer with each box repeated until the next one, the last to the end of the span."""
    if not len(answer.frames):
        return answer
    end = int(answer.frames[-1]) + 1
    if answer.span_frames is not None:
        end = max(end, int(answer.span_frames[1]))
    frames = np.arange(answer.frames[0], end)
    rows = np.searchsorted(answer.frames, frames, side="right") - 1
    return _copy(answer, frames, answer.boxes[rows])


_TEMP = r"<TEMP-(\d{3})>"
_BOX_TOKENS = re.compile(
    _TEMP + r":\s*\[<WIDTH-(\d{3})><HEIGHT-(\d{3})><WIDTH-(\d{3})><HEIGHT-(\d{3})>\]"
)
_SPAN_TOKENS = re.compile(r"\{" + _TEMP + _TEMP + r"\}")
_BOX_TEXT = re.compile(r"\[(\d*\.?\d+),\s?(\d*\.?\d+),\s?(\d*\.?\d+),\s?(\d*\.?\d+)\]")
_SPAN_TEXT = re.compile(r"\{(\d*\.?\d+),(\d*\.?\d+)\}")


def llava_st_tokens(
    text: str,
) -> tuple[tuple[int, int] | None, dict[int, tuple[int, int, int, int]]]:
    """Span and boxes that LLaVA-ST wrote with its number tokens, all 0 to 99.

    Args:
        text: For example ``{<TEMP-040><TEMP-045>} <TEMP-040>: [<WIDTH-012><HEIGHT-027>...]``.

    Returns:
        The span's two time tokens, or None; the four box tokens by time token, where a later box
        replaces an earlier one for the same time.

    Example:
        >>> llava_st_tokens("{<TEMP-040><TEMP-045>}")
        ((40, 45), {})
    """
    found = _SPAN_TOKENS.search(text)
    span = None if found is None else (int(found[1]), int(found[2]))
    boxes = {}
    for token in _BOX_TOKENS.finditer(text):
        x1, y1, x2, y2 = (int(token[group]) for group in (2, 3, 4, 5))
        boxes[int(token[1])] = (x1, y1, x2, y2)
    return span, boxes


def llava_st_box(text: str) -> FloatArray | None:
    """The first ``[x1,y1,x2,y2]`` in an answer, shares of the picture, (4,); None without one.

    Example:
        >>> llava_st_box("It is [0.12, 0.2, 0.5, 0.7].").tolist()
        [0.12, 0.2, 0.5, 0.7]
    """
    found = _BOX_TEXT.search(text)
    return None if found is None else np.array([float(number) for number in found.groups()])


def llava_st_span(text: str) -> tuple[float, float] | None:
    """The first ``{start,end}`` in an answer, shares of the video, or None.

    Blanks inside the braces make it unreadable, as for the authors.

    Example:
        >>> llava_st_span("{0.2,0.6}"), llava_st_span("{ 0.2 , 0.6 }")
        ((0.2, 0.6), None)
    """
    found = _SPAN_TEXT.search(text)
    return None if found is None else (float(found[1]), float(found[2]))


def _copy(answer: Answer, frames: IntArray, boxes: FloatArray) -> Answer:
    """The same answer with other boxes."""
    values = {name: getattr(answer, name) for name in Answer.__slots__}
    return Answer(**{**values, "frames": frames.astype(np.int64), "boxes": boxes})


def _all(source: str | Path | Iterable[AnswerLike]) -> Iterator[Answer]:
    """Answers without the check for repeated ids."""
    if isinstance(source, str | Path):
        for number, line in iter_lines(source):
            yield _of_line(line, f"{source}, line {number}")
        return
    for number, item in enumerate(source, start=1):
        if isinstance(item, Answer):
            yield item
        elif isinstance(item, PredictionRecord):
            yield _of_record(item)
        elif isinstance(item, Mapping):
            yield _of_mapping(item, f"prediction {number}")
        else:
            raise UsageError(
                "expected predictions as a file, PredictionRecord or mappings with the fields of "
                f"docs/formats.md, found {type(item).__name__} {item!r:.60}"
            )


def _of_mapping(item: Mapping[str, Any], place: str) -> Answer:
    """An answer from the fields of a line, checked as a line is."""
    try:
        text = json.dumps(dict(item))
    except (TypeError, ValueError) as error:
        raise UsageError(f"{place}: expected JSON values only, {error}") from error
    return _of_line(text.encode() + b"\n", place)


def _of_record(record: PredictionRecord) -> Answer:
    """An answer from a checked record."""
    return Answer(
        id=record.id,
        place=f"the answer to {record.id!r}",
        span_frames=record.span_frames,
        frames=record.frames,
        boxes=record.boxes,
        text=record.answer,
        error=record.error,
        span_s=record.span_s,
        windows=record.windows,
        saliency=record.saliency,
        masks=record.masks,
    )


def _of_line(line: bytes, place: str) -> Answer:
    """An answer from a line; notes what is odd about it."""
    part, frames, boxes = _parsed(line, place)
    if part.error is None and not part.model_fields_set & _ANSWERS:
        raise FormatError(
            f"{place}: expected an answer, found none of {', '.join(sorted(_ANSWERS))}; "
            "docs/formats.md describes predictions JSONL"
        )
    span = None if part.span_frames is None else (part.span_frames[0], part.span_frames[1])
    if part.error is not None and (len(frames) or any(_values(part))):
        raise FormatError(
            f"{place}, field error: expected an error or an answer, found both: {part.error!r:.60}"
        )
    return Answer(
        id=part.id,
        place=place,
        span_frames=span,
        frames=frames,
        boxes=boxes,
        text=part.answer,
        error=part.error,
        span_s=None if part.span_s is None else (part.span_s[0], part.span_s[1]),
        windows=None if part.windows is None else np.reshape(part.windows, (-1, 3)),
        saliency=None if part.saliency is None else np.array(part.saliency, np.float64),
        masks=None if not part.masks else {int(k): mask.rle() for k, mask in part.masks.items()},
        faults=_faults(span, frames, boxes),
    )


def _parsed(line: bytes, place: str) -> tuple[AnswerLine, IntArray, FloatArray]:
    """A line, its frames (N,) increasing and its boxes (N, 4), the quick way where it goes."""
    taken = take_boxes(line)
    if taken is not None:
        rest, frames, boxes = taken
        try:
            part = parse_answer_line(rest, place)
        except FormatError:
            pass  # the whole line gives the right columns in the message
        else:
            _refuse_repeated(rest, place)
            return part, frames, boxes
    part = parse_answer_line(line, place)
    _refuse_repeated(line, place)
    frames = np.array([int(frame) for frame in part.boxes], np.int64)
    boxes = np.array(list(part.boxes.values()), np.float64).reshape(-1, 4)
    order = np.argsort(frames)
    return part, frames[order], boxes[order]


def _refuse_repeated(line: bytes, place: str) -> None:
    """Refuse a line that names a field or a frame twice, of which JSON readers keep the last.

    Raises:
        FormatError: If there is one.
    """
    repeated: list[str] = []

    def look(pairs: list[tuple[str, Any]]) -> None:
        if len(dict(pairs)) < len(pairs):
            names = [name for name, _ in pairs]
            repeated.append(next(name for name in names if names.count(name) > 1))

    json.loads(line, object_pairs_hook=look, parse_int=float)
    if repeated:
        raise FormatError(
            f'{place}: expected every field and every frame once, found "{repeated[0]}" twice; '
            "remove one of the two"
        )


_ANSWERS = {"span_frames", "boxes", "span_s", "windows", "saliency", "masks", "answer"}


def _values(part: AnswerLine) -> Iterator[bool]:
    """For each kind of answer whether the line has it."""
    for name in ("span_frames", "span_s", "windows", "saliency"):
        yield getattr(part, name) is not None
    yield bool(part.masks)


def _faults(
    span: tuple[int, int] | None, frames: IntArray, boxes: FloatArray
) -> tuple[tuple[str, str, int], ...]:
    """What is odd, by name, with the first place where it is and how often it is."""
    faults = []
    if span is not None and span[1] <= span[0]:
        faults.append((REVERSED_SPAN, f"span_frames {list(span)}", 1))
    good = (boxes[:, 0] <= boxes[:, 2]) & (boxes[:, 1] <= boxes[:, 3])
    if not good.all():
        row, count = int(np.argmin(good)), int(np.count_nonzero(~good))
        detail = f'boxes["{frames[row]}"] {boxes[row].tolist()}, {count} of {len(boxes)} boxes'
        faults.append((REVERSED_CORNERS, detail, count))
    return tuple(faults)
