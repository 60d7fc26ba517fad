"""What is in an annotation file: counts, lengths, sizes and the quirks of its benchmark.

Reads the file once, record by record; only numbers are kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from stvg.errors import FormatError
from stvg.progress import Progress, no_progress

from .base import Benchmark, BoxRecord, MaskRecord, Record, TimeRecord, TubeRecord

FORMAT = "stvg.data_description/1"

_TOP = 8


class Tally:
    """Numbers collected from records.

    Attributes:
        measures: What was measured -> its values.
        counts: What was counted -> how often each value occurred.
    """

    def __init__(self) -> None:
        self.measures: dict[str, list[float]] = {}
        self.counts: dict[str, Counter[str]] = {}

    def measure(self, name: str, value: float) -> None:
        """Add a value; what is not finite is not known and left out."""
        if np.isfinite(value):
            self.measures.setdefault(name, []).append(float(value))

    def count(self, name: str, value: str) -> None:
        """Count one occurrence."""
        self.counts.setdefault(name, Counter())[value] += 1


def describe(
    benchmark: Benchmark,
    annotations: Path,
    companions: Mapping[str, Path],
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Describe an annotation file.

    Args:
        benchmark: Which benchmark it is of.
        annotations: The file.
        companions: Further files by name.
        progress: Told the number of records so far.

    Returns:
        A JSON object: ``records`` (queries), ``media``, ``malformed`` (entries that are not in
        order and left out here), ``without_truth``, ``forms`` (queries by form), ``measures`` by
        name with ``count``, ``min``, ``median``, ``max``, ``counts`` by name with the most
        frequent values, ``shared_spans`` (queries whose times another query on the same video
        has too) and ``quirks`` with name, count and meaning.

    Raises:
        UsageError: If a file cannot be opened.
        FormatError: If the file belongs to another benchmark.
    """
    tally, forms, quirks = Tally(), Counter[str](), Counter[str]()
    media: Counter[str] = Counter()
    spans: Counter[tuple[Any, ...]] = Counter()
    records = malformed = without_truth = 0
    for record in benchmark.attempt(annotations, **companions):
        if isinstance(record, FormatError):
            malformed += 1
            continue
        records += 1
        progress(records, records)
        media[record.media] += 1
        forms[record.query.form or "not told"] += 1
        quirks.update(benchmark.quirks_of(record))
        tally.measure("words of the query", len(record.query.text.split()))
        if not has_truth(record):
            without_truth += 1
        elif isinstance(record, TimeRecord):
            spans[record.media, *record.windows.ravel().tolist()] += 1
        _add(tally, record)
    for number in media.values():
        tally.measure("queries a video or image", number)
    return {
        "format": FORMAT,
        "benchmark": benchmark.name,
        "title": benchmark.title,
        "annotations": str(annotations),
        "companions": {name: str(path) for name, path in companions.items()},
        "records": records,
        "media_kind": benchmark.media,
        "media": len(media),
        "malformed": malformed,
        "without_truth": without_truth,
        "forms": dict(forms),
        "measures": {name: summary(values) for name, values in tally.measures.items()},
        "counts": {name: dict(each.most_common(_TOP)) for name, each in tally.counts.items()},
        "shared_spans": sum(number for number in spans.values() if number > 1),
        "quirks": [
            {"name": name, "count": quirks[name], "meaning": meaning}
            for name, meaning in benchmark.quirks.items()
            if quirks[name]
        ],
    }


def has_truth(record: Record) -> bool:
    """Whether a record says what the right answer is."""
    if isinstance(record, TubeRecord):
        return record.has_boxes
    if isinstance(record, TimeRecord):
        return len(record.windows) > 0
    if isinstance(record, MaskRecord):
        return record.masks is not None
    return True


def summary(values: list[float]) -> dict[str, float]:
    """Count, smallest, median and largest of values.

    Example:
        >>> summary([1.0, 4.0, 2.0])
        {'count': 3, 'min': 1.0, 'median': 2.0, 'max': 4.0}
    """
    array = np.array(values)
    return {
        "count": len(values),
        "min": round(float(array.min()), 4),
        "median": round(float(np.median(array)), 4),
        "max": round(float(array.max()), 4),
    }


def _add(tally: Tally, record: Record) -> None:
    """Measure what this kind of record has."""
    if isinstance(record, TubeRecord):
        _add_tube(tally, record)
    elif isinstance(record, TimeRecord):
        tally.measure("video, seconds", record.duration_s)
        tally.measure("spans a query", len(record.windows))
        for start, end in record.windows.tolist():
            tally.measure("span, seconds", end - start)
            tally.measure("span, share of the video", (end - start) / max(record.duration_s, 1e-9))
    elif isinstance(record, BoxRecord):
        _add_boxes(tally, record.box[None], record.width, record.height)
    elif isinstance(record, MaskRecord):
        tally.measure("frames a video", len(record.frames))
        tally.measure("objects a query", len(record.objects))


def _add_tube(tally: Tally, record: TubeRecord) -> None:
    if record.frame_count:
        length = record.span[1] - record.span[0]
        tally.measure("span, frames", length)
        tally.measure("span, seconds", length / record.fps)
        tally.measure("input, frames", record.segment[1] - record.segment[0])
        tally.measure("video, seconds", record.frame_count / record.fps)
        tally.count("frames per second", f"{record.fps:.2f}")
    if record.has_boxes:
        _add_boxes(tally, record.boxes, record.width, record.height)


def _add_boxes(tally: Tally, boxes: Any, width: int, height: int) -> None:
    """Sizes of boxes (N, 4); one value a query, the median over its frames."""
    sizes = boxes[:, 2:] - boxes[:, :2]  # (N, 2)
    tally.measure("box width, pixels", float(np.nanmedian(sizes[:, 0])))
    tally.measure("box height, pixels", float(np.nanmedian(sizes[:, 1])))
    if width:
        tally.count("video size", f"{width}x{height}")
        share = np.nanmedian(np.prod(sizes, axis=1)) / (width * height)
        tally.measure("box, share of the image", float(share))
