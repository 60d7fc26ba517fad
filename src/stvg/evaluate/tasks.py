"""The kinds of task that can be scored: tubes, times, moments, images, masks.

A task turns a record and an answer into one row of numbers per protocol, and says which columns of
per-query values follow from the rows. What every task needs to know about faults and failures is in
``runner.py``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from stvg.data.base import BoxRecord, MaskRecord, Record, TimeRecord, TubeRecord
from stvg.errors import UsageError
from stvg.types import FloatArray

from .answers import Answer
from .images import answered_box, score_box
from .masks import score_masks
from .moments import moment_columns, score_moments, true_saliency
from .protocols import (
    EMPTY_WINDOWS,
    LOW_RATE,
    MISSING_BOX,
    TRUTH_OUTSIDE,
    BoxProtocol,
    MaskProtocol,
    Protocol,
    TimeProtocol,
    TubeProtocol,
)
from .times import answered_span, score_time
from .tubes import Overlaps, score_tube

Fault = tuple[str, str, int]
"""What is odd: name, detail, how often."""

SPAN_OUTSIDE = "span outside the video"
NO_SPAN = "boxes without a span"
_EDGE = 1e-6
_HAS_SALIENCY = "truth has saliency"


class Task(ABC):
    """One kind of task.

    Attributes:
        kind: Name of its table of protocols.
        base: Names of the numbers in a row.
        means: Name of a column -> name of its mean, where they differ.
    """

    kind: str
    base: tuple[str, ...]
    means: Mapping[str, str] = {}

    @abstractmethod
    def score(
        self, record: Any, answer: Answer, protocols: Sequence[Any]
    ) -> list[tuple[Sequence[float], list[Fault]]]:
        """A row of :attr:`base` and what the protocol may refuse, for each protocol."""

    @abstractmethod
    def columns(self, protocol: Any, base: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """Per-query columns from the rows of all queries."""

    def nothing(self, record: Any, protocol: Any) -> Sequence[float]:
        """The row of a query that was not answered and counts 0."""
        del record, protocol
        return [0.0] * len(self.base)

    def record_faults(self, record: Any) -> Iterator[Fault]:
        """What is odd about the truth."""
        del record
        return iter(())

    def answer_faults(self, record: Any, answer: Answer) -> Iterator[Fault]:
        """What is odd about an answer in the light of its record."""
        del record, answer
        return iter(())

    def is_empty(self, record: Any, answer: Answer, protocol: Any) -> bool:
        """Whether nothing was found or the answer could not be read."""
        del record, protocol
        return not answer.has_tube

    def unscorable(self, record: Any) -> str | None:
        """Why there is no truth to score against, or None."""
        del record
        return None


def passed(values: FloatArray, protocol: Protocol) -> dict[str, FloatArray]:
    """For each threshold a column of 0 and 1 by its number; NaN stays."""
    found = {}
    for threshold in protocol.thresholds:
        reached = values > threshold if protocol.strict else values >= threshold
        found[f"@{threshold:g}"] = np.where(np.isnan(values), np.nan, reached.astype(np.float64))
    return found


class Tubes(Task):
    """HC-STVG, VidSTG, ST-Align, the world."""

    kind = "tubes"
    base = ("tIoU", "vIoU", "gt_vIoU")
    means = {"tIoU": "m_tIoU", "vIoU": "m_vIoU"}  # noqa: RUF012  never changed

    def score(
        self, record: TubeRecord, answer: Answer, protocols: Sequence[TubeProtocol]
    ) -> list[tuple[Sequence[float], list[Fault]]]:
        """Overlaps under each protocol; overlaps of boxes are shared between them."""
        cache: dict[tuple[object, ...], Overlaps] = {}
        rows: list[tuple[Sequence[float], list[Fault]]] = []
        for protocol in protocols:
            found = score_tube(record, answer, protocol, cache)
            faults: list[Fault] = []
            if found.missing_boxes:
                detail = f"frame {found.first_missing}, {found.missing_boxes} in all"
                faults.append((MISSING_BOX, detail, found.missing_boxes))
            if protocol.grid != "frames with boxes" and _lacks_span(answer, protocol):
                faults.append((NO_SPAN, f"{len(answer.frames)} boxes", 1))
            rows.append(((found.tiou, found.viou, found.gt_viou), faults))
        return rows

    def nothing(self, record: TubeRecord, protocol: TubeProtocol) -> Sequence[float]:
        """Zeros; gt_vIoU only where the protocol has it."""
        del record
        return [0.0, 0.0, np.nan if protocol.gt_viou is None else 0.0]

    def columns(
        self, protocol: TubeProtocol, base: Mapping[str, FloatArray]
    ) -> dict[str, FloatArray]:
        """Overlaps and, for each threshold, whether it was reached."""
        third = "sIoU" if protocol.gt_viou == "common frames" else "gt_vIoU"
        named = {"tIoU": base["tIoU"], "vIoU": base["vIoU"]}
        if protocol.gt_viou is not None:
            named[third] = base["gt_vIoU"]
        counted = [name for name in named if name != "tIoU" or not protocol.strict]
        extra = {}
        for name in counted:
            extra.update({name + key: each for key, each in passed(named[name], protocol).items()})
        return named | extra

    def record_faults(self, record: TubeRecord) -> Iterator[Fault]:
        """True boxes outside the image or of negative size; low frame rates."""
        boxes = record.boxes[np.isfinite(record.boxes).all(axis=1)]
        if len(boxes) and record.width and record.height:
            limit = np.array([record.width, record.height])
            bad = (
                (boxes[:, :2] < -_EDGE)
                | (boxes[:, 2:] > limit + _EDGE)
                | (boxes[:, 2:] < boxes[:, :2])
            ).any(axis=1)
            if bad.any():
                first = boxes[int(np.argmax(bad))].tolist()
                count = int(bad.sum())
                yield TRUTH_OUTSIDE, f"{first} in {record.width}x{record.height}", count
        if record.fps < 5 * (1 - 1e-9):
            yield LOW_RATE, f"{record.fps:g}", 1

    def answer_faults(self, record: TubeRecord, answer: Answer) -> Iterator[Fault]:
        """A span that leaves the video."""
        if answer.span_frames is not None and record.frame_count:
            last = max(answer.span_frames)
            if last > record.frame_count or min(answer.span_frames) < 0:
                shown = [int(end) for end in answer.span_frames]
                yield SPAN_OUTSIDE, f"{shown}, the video has {record.frame_count} frames", 1

    def is_empty(self, record: TubeRecord, answer: Answer, protocol: TubeProtocol) -> bool:
        """Whether there is neither a span nor a box nor a text that the protocol reads."""
        del record
        reads_text = protocol.name == "st_align" and bool(answer.text)
        in_seconds = protocol.unit == "seconds" and answer.span_s is not None
        return not (answer.has_tube or in_seconds or reads_text)

    def unscorable(self, record: TubeRecord) -> str | None:
        """Records without boxes cannot be scored."""
        if np.isfinite(record.boxes).any():
            return None
        return str(record.extra.get("no_boxes", "it has no boxes"))


def _lacks_span(answer: Answer, protocol: TubeProtocol) -> bool:
    """Whether there are boxes, but no span that the protocol could compare."""
    has_span = answer.span_frames is not None or (
        protocol.unit == "seconds" and answer.span_s is not None
    )
    return len(answer.frames) > 0 and not has_span


class Times(Task):
    """Charades-STA, ActivityNet Captions, TVGBench, and QVHighlights by first window."""

    kind = "times"
    base: tuple[str, ...] = ("IoU",)
    means: Mapping[str, str] = {"IoU": "mIoU"}

    def score(
        self, record: TimeRecord, answer: Answer, protocols: Sequence[TimeProtocol]
    ) -> list[tuple[Sequence[float], list[Fault]]]:
        """IoU under each protocol."""
        rows: list[tuple[Sequence[float], list[Fault]]] = []
        for protocol in protocols:
            found = score_time(record, answer, protocol)
            rows.append(((0.0 if found is None else found,), []))
        return rows

    def columns(
        self, protocol: TimeProtocol, base: Mapping[str, FloatArray]
    ) -> dict[str, FloatArray]:
        """IoU and recalls; ``avg`` of a query is the mean of its IoU and recalls."""
        values = base["IoU"]
        recalls = {"R@1" + key: each for key, each in passed(values, protocol).items()}
        found = {"IoU": values} if protocol.has_mean_iou else {}
        found |= recalls
        if protocol.has_average:
            found["avg"] = np.mean([values, *recalls.values()], axis=0)
        return found

    def answer_faults(self, record: TimeRecord, answer: Answer) -> Iterator[Fault]:
        """An interval that is empty or leaves the video."""
        span = answer.span_s
        if span is None:
            return
        if span[1] <= span[0]:
            yield "interval that is empty or ends before it starts", f"span_s {list(span)}", 1
        if min(span) < 0 or (np.isfinite(record.duration_s) and max(span) > record.duration_s):
            yield SPAN_OUTSIDE, f"{list(span)}, the video has {record.duration_s:g} s", 1

    def is_empty(self, record: TimeRecord, answer: Answer, protocol: TimeProtocol) -> bool:
        """Whether no interval can be read."""
        return answered_span(record, answer, protocol) is None

    def unscorable(self, record: TimeRecord) -> str | None:
        """Records without a true interval cannot be scored."""
        return None if len(record.windows) else "it has no true interval"


class Moments(Times):
    """QVHighlights: several windows and saliency."""

    kind = "windows"
    base = (*moment_columns(), _HAS_SALIENCY)
    means: Mapping[str, str] = {}

    def score(
        self, record: TimeRecord, answer: Answer, protocols: Sequence[TimeProtocol]
    ) -> list[tuple[Sequence[float], list[Fault]]]:
        """All metrics; protocols differ in what they refuse and leave out only."""
        faults: list[Fault] = []
        if answer.windows is not None and not len(answer.windows):
            faults.append((EMPTY_WINDOWS, "windows []", 1))
        row = self._row(record, answer)
        return [(row, faults) for _ in protocols]

    def nothing(self, record: TimeRecord, protocol: TimeProtocol) -> Sequence[float]:
        """Zeros for the ranges of length that apply."""
        del protocol
        return self._row(record, None)

    def columns(
        self, protocol: TimeProtocol, base: Mapping[str, FloatArray]
    ) -> dict[str, FloatArray]:
        """Those that apply to any query.

        Where some answers have saliency, those without score 0 in the highlight metrics.
        """
        del protocol
        found = {}
        for name in moment_columns():
            values = base[name]
            if np.isnan(values).all():
                continue
            if name.startswith("HL"):
                values = np.where(np.isnan(values) & (base[_HAS_SALIENCY] > 0), 0.0, values)
            found[name] = values
        return found

    def answer_faults(self, record: TimeRecord, answer: Answer) -> Iterator[Fault]:
        """Windows that are empty or end before they start."""
        yield from super().answer_faults(record, answer)
        if answer.windows is not None:
            bad = answer.windows[:, 1] <= answer.windows[:, 0]
            if bad.any():
                first = answer.windows[int(np.argmax(bad))].tolist()
                yield "window that is empty or ends before it starts", f"{first}", int(bad.sum())

    def is_empty(self, record: TimeRecord, answer: Answer, protocol: TimeProtocol) -> bool:
        """Whether there is neither a window nor an interval."""
        del record, protocol
        return answer.span_s is None and not (answer.windows is not None and len(answer.windows))

    @staticmethod
    def _row(record: TimeRecord, answer: Answer | None) -> list[float]:
        """All values and whether the truth has saliency."""
        has_saliency = float(true_saliency(record) is not None)
        return [*score_moments(record, answer).tolist(), has_saliency]


class Images(Task):
    """RefCOCO, RefCOCO+, RefCOCOg."""

    kind = "images"
    base = ("IoU",)
    means = {"IoU": "mIoU"}  # noqa: RUF012

    def score(
        self, record: BoxRecord, answer: Answer, protocols: Sequence[BoxProtocol]
    ) -> list[tuple[Sequence[float], list[Fault]]]:
        """Overlap under each protocol; an unreadable answer counts 0 or takes no part."""
        rows: list[tuple[Sequence[float], list[Fault]]] = []
        for protocol in protocols:
            found = score_box(record, answer, protocol)
            if found is None:
                found = np.nan if protocol.unread == "left out" else 0.0
            rows.append(((found,), []))
        return rows

    def columns(
        self, protocol: BoxProtocol, base: Mapping[str, FloatArray]
    ) -> dict[str, FloatArray]:
        """Overlap and accuracy."""
        name = "GIoU" if protocol.overlap == "generalised IoU" else "IoU"
        values = base["IoU"]
        found = {name: values}
        for key, each in passed(values, protocol).items():
            found["accuracy" + key] = each
        return found

    def is_empty(self, record: BoxRecord, answer: Answer, protocol: BoxProtocol) -> bool:
        """Whether no box can be read."""
        del protocol
        return answered_box(record, answer) is None


class Masks(Task):
    """MeViS, Refer-YouTube-VOS, Ref-DAVIS17."""

    kind = "masks"
    base = ("J", "F")

    def score(
        self, record: MaskRecord, answer: Answer, protocols: Sequence[MaskProtocol]
    ) -> list[tuple[Sequence[float], list[Fault]]]:
        """J and F under each protocol; a frame without a mask counts as an empty one."""
        rows: list[tuple[Sequence[float], list[Fault]]] = []
        given, true = answer.masks or {}, record.masks or ()
        absent = [
            number
            for number in range(len(record.frames))
            if number not in given and any(masks[number] is not None for masks in true)
        ]
        faults: list[Fault] = []
        if absent:
            faults.append((MISSING_BOX, f"frame {absent[0]}, {len(absent)} in all", len(absent)))
        for protocol in protocols:
            rows.append((score_masks(record, answer, protocol), faults))
        return rows

    def columns(
        self, protocol: MaskProtocol, base: Mapping[str, FloatArray]
    ) -> dict[str, FloatArray]:
        """J, F and their mean."""
        del protocol
        return {"J": base["J"], "F": base["F"], "J&F": (base["J"] + base["F"]) / 2}

    def is_empty(self, record: MaskRecord, answer: Answer, protocol: MaskProtocol) -> bool:
        """Whether there is no mask at all."""
        del record, protocol
        return not answer.masks

    def unscorable(self, record: MaskRecord) -> str | None:
        """Records whose masks are not public cannot be scored."""
        return None if record.masks is not None else "its masks are not public or were not given"


def task_for(kind: type[Record], benchmark: str) -> Task:
    """The task of a kind of record; QVHighlights is told by its name.

    Raises:
        UsageError: If nothing scores such records.

    Example:
        >>> task_for(TimeRecord, "qvhighlights").kind
        'windows'
    """
    if issubclass(kind, TimeRecord) and "qvhighlights" in benchmark.lower():
        return Moments()
    table: dict[type[Record], type[Task]] = {
        TubeRecord: Tubes,
        TimeRecord: Times,
        BoxRecord: Images,
        MaskRecord: Masks,
    }
    for base, task in table.items():
        if issubclass(kind, base):
            return task()
    raise UsageError(f"{benchmark} has records of kind {kind.__name__}, which nothing scores")
