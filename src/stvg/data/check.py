"""Everything that is wrong with an annotation file, and with the media it speaks of.

Nothing is dropped in silence: each finding names its kind, file, place, query and what was found;
the report counts them by kind. The file is read once, record by record; then each video, folder of
frames or image is looked for and opened once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from stvg.errors import FormatError, VideoError
from stvg.progress import Stages, no_stages
from stvg.types import BoolArray, FloatArray

from .base import Benchmark, BoxRecord, MaskRecord, Record, TimeRecord, TubeRecord
from .describe import has_truth
from .media import IMAGE_SUFFIXES, MediaFolder

FORMAT = "stvg.data_check/1"

KINDS = {
    "malformed": "an entry that is not in the form its makers describe; it has no record",
    "duplicate_id": "an id that an earlier record has too",
    "boxes_not_found": "a query without boxes although the benchmark has them",
    "box_missing": "frames of the span without a box",
    "box_count": "more or fewer boxes than frames",
    "box_reversed": "boxes of negative width or height",
    "box_empty": "boxes without area",
    "box_outside": "boxes that reach beyond the image",
    "span_empty": "a span that does not end after it starts",
    "span_before_start": "a span that starts before the video",
    "span_past_end": "a span that ends after the video, by the annotation",
    "span_outside_input": "a span that leaves the part of the video that is the input",
    "mask_count": "more or fewer masks than frames",
    "mask_sizes": "masks of different sizes in one video",
    "mask_empty": "an object that is in no frame",
    "media_missing": "a video, folder of frames or image that is not there",
    "media_ambiguous": "a name that several files have",
    "media_unreadable": "a video or image that cannot be opened",
    "media_size": "a size that is not the annotated one",
    "media_length": "a length that is not the annotated one",
    "span_past_media": "a span that ends after the video file",
}
"""Kinds of findings, each with what it means."""

_HAIR = 1e-6  # pixels: sums of fractions may end a rounding error beyond the image

DURATION_TOLERANCE_S = 1.0
"""Annotated and found durations may differ by this much: containers round, and so do makers."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        kind: A key of :data:`KINDS`.
        file: The annotation file, or the video or image.
        place: Where in the annotations.
        ids: The queries that it concerns.
        detail: What was found.
    """

    kind: str
    file: str
    place: str
    ids: tuple[str, ...]
    detail: str


@dataclass(slots=True)
class Report:
    """What a check found.

    Attributes:
        benchmark: Name of the benchmark.
        annotations: The file.
        media_folder: Where media were looked for, or None when they were not.
        records: Queries that were read.
        media: Videos, folders of frames or images that they speak of.
        without_truth: Queries whose truth is not public or not at hand, which is no fault.
        findings: All of them, in the order of the file, then of the media.
    """

    benchmark: str
    annotations: str
    media_folder: str | None
    records: int = 0
    media: int = 0
    without_truth: int = 0
    findings: list[Finding] = field(default_factory=list)

    def by_kind(self) -> dict[str, int]:
        """How many findings of each kind, most frequent first."""
        return dict(Counter(finding.kind for finding in self.findings).most_common())

    def document(self) -> dict[str, Any]:
        """The report as a JSON object."""
        found = self.by_kind()
        return {
            "format": FORMAT,
            "benchmark": self.benchmark,
            "annotations": self.annotations,
            "media_folder": self.media_folder,
            "records": self.records,
            "media": self.media,
            "without_truth": self.without_truth,
            "findings_by_kind": found,
            "meanings": {kind: KINDS[kind] for kind in found},
            "findings": [asdict(finding) for finding in self.findings],
        }


@dataclass(slots=True)
class _Wanted:
    """What the annotations say of one video or image."""

    place: str
    ids: list[str] = field(default_factory=list)
    ends: list[tuple[str, str, float]] = field(default_factory=list)  # id, place, end of the span
    size: tuple[int, int] | None = None
    frame_count: int | None = None
    duration_s: float | None = None
    frames: tuple[str, ...] = ()


def check(
    benchmark: Benchmark,
    annotations: Path,
    companions: Mapping[str, Path],
    media: Path | None = None,
    stages: Stages = no_stages,
) -> Report:
    """Check an annotation file and, where a folder is given, its media.

    Args:
        benchmark: Which benchmark it is of.
        annotations: The file.
        companions: Further files by name.
        media: Folder with the videos, folders of frames or images.
        stages: For progress.

    Returns:
        The report; nothing is raised for what is wrong with single records or media.

    Raises:
        UsageError: If a file or folder cannot be opened.
        FormatError: If the file belongs to another benchmark.
    """
    folder = None if media is None else MediaFolder(media, benchmark.media)
    report = Report(benchmark.name, str(annotations), None if media is None else str(media))
    wanted: dict[str, _Wanted] = {}
    seen: dict[str, str] = {}
    reading = stages("reading records")
    for record in benchmark.attempt(annotations, **companions):
        if isinstance(record, FormatError):
            place = str(record).partition(": expected")[0]
            report.findings.append(
                Finding("malformed", str(annotations), place, (), " ".join(str(record).split()))
            )
            continue
        report.records += 1
        reading(report.records, report.records)
        report.without_truth += not has_truth(record)
        problems = list(problems_of(record))
        if record.id in seen:
            problems.append(("duplicate_id", f"{record.id!r} was given at {seen[record.id]}"))
        seen.setdefault(record.id, record.place)
        report.findings.extend(
            Finding(kind, str(annotations), record.place, (record.id,), detail)
            for kind, detail in problems
        )
        _want(wanted.setdefault(record.media, _Wanted(record.place)), record)
    report.media = len(wanted)
    if folder is not None:
        opening = stages("opening media")
        for done, (name, each) in enumerate(wanted.items(), start=1):
            report.findings.extend(_media_findings(benchmark, folder, name, each))
            opening(done, len(wanted))
    return report


def problems_of(record: Record) -> Iterator[tuple[str, str]]:
    """What is wrong with a record by itself: kind of finding and detail.

    Example:
        >>> from stvg.types import Query
        >>> record = TimeRecord(id="v_0", query=Query("a dog barks"), media="v", place="line 1",
        ...     duration_s=10.0, windows=np.array([[2.0, 11.5]]))
        >>> list(problems_of(record))
        [('span_past_end', 'it ends at 11.5 s, the video at 10 s')]
    """
    if isinstance(record, TubeRecord):
        yield from _tube_problems(record)
    elif isinstance(record, TimeRecord):
        yield from _time_problems(record)
    elif isinstance(record, BoxRecord):
        size = (record.width, record.height) if record.width else None
        yield from _box_problems(record.box[None], size, None)
    elif isinstance(record, MaskRecord):
        yield from _mask_problems(record)


def _tube_problems(record: TubeRecord) -> Iterator[tuple[str, str]]:
    if record.extra.get("not_public"):
        return
    start, end = record.span
    if "no_boxes" in record.extra:
        yield "boxes_not_found", record.extra["no_boxes"]
    else:
        size = (record.width, record.height)
        yield from _box_problems(record.boxes, size, record.first_box_frame)
        yield from _count_problems(record)
    if end <= start:
        yield "span_empty", f"frames [{start}, {end})"
    if start < 0:
        yield "span_before_start", f"it starts at frame {start}"
    if end > record.frame_count:
        yield "span_past_end", f"it ends at frame {end}, the video has {record.frame_count}"
    if start < record.segment[0] or end > record.segment[1]:
        begin, stop = record.segment
        yield "span_outside_input", f"frames [{start}, {end}), the input is [{begin}, {stop})"


def _count_problems(record: TubeRecord) -> Iterator[tuple[str, str]]:
    """Boxes against frames of the span."""
    length = record.span[1] - record.span[0]
    found = record.extra.get("box_count", length)
    if found not in {length, length + 1}:  # with the frame at the exclusive end
        yield "box_count", f"{found} boxes for {length} frames"
    frames = record.first_box_frame + np.flatnonzero(np.isfinite(record.boxes).all(axis=1))
    inside = frames[(frames >= record.span[0]) & (frames < record.span[1])]
    if len(inside) < length:
        missing = np.setdiff1d(np.arange(*record.span), inside)
        yield "box_missing", f"{len(missing)} of {length} frames, the first is {missing[0]}"


def _box_problems(
    boxes: FloatArray, size: tuple[int, int] | None, first_frame: int | None
) -> Iterator[tuple[str, str]]:
    """What is wrong with boxes ``xyxy`` (N, 4) on an image of a size (None: not known)."""
    known = ~_in_any_column(~np.isfinite(boxes))
    sides = np.where(known[:, None], boxes[:, 2:] - boxes[:, :2], 1.0)  # (N, 2)
    reversed_ = _in_any_column(sides < 0)
    checks = {"box_reversed": reversed_, "box_empty": _in_any_column(sides == 0) & ~reversed_}
    if size is not None:
        edge = np.array([*size, *size])
        outside = np.logical_or(boxes < -_HAIR, boxes > edge + _HAIR)  # (N, 4)
        checks["box_outside"] = known & _in_any_column(outside)
    for kind, wrong in checks.items():
        if wrong.any():
            row = int(np.argmax(wrong))
            box = [float(f"{side:g}") for side in boxes[row]]
            where = "" if first_frame is None else f" in frame {first_frame + row}"
            of = "" if size is None else f" of {size[0]}x{size[1]}"
            count = "" if first_frame is None else f"{int(wrong.sum())} of {len(boxes)}, the first "
            yield kind, f"{count}is {box}{where}{of}"


def _in_any_column(values: BoolArray) -> BoolArray:
    """Rows (N,) of (N, M) in which any value holds."""
    return np.asarray(values.any(axis=1), np.bool_)


def _time_problems(record: TimeRecord) -> Iterator[tuple[str, str]]:
    for start, end in record.windows.tolist():
        if end <= start:
            yield "span_empty", f"from {start:g} to {end:g} s"
        if start < 0:
            yield "span_before_start", f"it starts at {start:g} s"
        if end > record.duration_s:
            length = record.duration_s
            yield "span_past_end", f"it ends at {end:.12g} s, the video at {length:.12g} s"


def _mask_problems(record: MaskRecord) -> Iterator[tuple[str, str]]:
    if record.masks is None:
        return
    sizes = {tuple(rle["size"]) for masks in record.masks for rle in masks if rle is not None}
    if len(sizes) > 1:
        yield "mask_sizes", f"sizes {sorted(sizes)} (height, width)"
    for name, masks in zip(record.objects, record.masks, strict=False):
        if len(masks) != len(record.frames):
            yield "mask_count", f"object {name} has {len(masks)} for {len(record.frames)} frames"
        if all(rle is None for rle in masks):
            yield "mask_empty", f"object {name}"


def _want(wanted: _Wanted, record: Record) -> None:
    """Note what a record says of its video or image."""
    wanted.ids.append(record.id)
    if isinstance(record, TubeRecord) and record.frame_count:
        wanted.size = (record.width, record.height)
        if not record.extra.get("frame_count_unknown"):
            wanted.frame_count = record.frame_count
        wanted.ends.append((record.id, record.place, record.span[1]))
    elif isinstance(record, TimeRecord):
        is_clip = record.extra.get("start") is not None  # of a longer video (TVGBench)
        if not is_clip and np.isfinite(record.duration_s):
            wanted.duration_s = record.duration_s
            ends = record.windows[:, 1].tolist()
            wanted.ends.extend((record.id, record.place, end) for end in ends)
    elif isinstance(record, BoxRecord) and record.width:
        wanted.size = (record.width, record.height)
    elif isinstance(record, MaskRecord):
        wanted.frames = record.frames


def _media_findings(
    benchmark: Benchmark, folder: MediaFolder, name: str, wanted: _Wanted
) -> Iterator[Finding]:
    """What is wrong with one video, folder of frames or image."""
    found = folder.find(name)
    ids = tuple(wanted.ids)
    if len(found) != 1:
        kind = "media_ambiguous" if found else "media_missing"
        where = ", ".join(str(path) for path in found) or f"nothing of that name in {folder.path}"
        yield Finding(kind, name, wanted.place, ids, where)
        return
    look = {"video": _video_problems, "image": _image_problems, "frames": _frame_problems}
    try:
        problems: Iterable[tuple[str, str, str, tuple[str, ...]]] = list(
            look[benchmark.media](found[0], wanted)
        )
    except (VideoError, OSError) as error:
        detail = " ".join(str(error).split())
        problems = [("media_unreadable", detail, wanted.place, ids)]
    for kind, detail, place, concerned in problems:
        yield Finding(kind, str(found[0]), place, concerned, detail)


def _video_problems(path: Path, wanted: _Wanted) -> Iterator[tuple[str, str, str, tuple[str, ...]]]:
    """A video against what the annotations say: kind, detail, place and ids."""
    from stvg.video import probe

    meta, ids = probe(path), tuple(wanted.ids)
    if wanted.size is not None and wanted.size != (meta.width, meta.height):
        width, height = wanted.size
        detail = f"{meta.width}x{meta.height}, annotated {width}x{height}"
        yield "media_size", detail, wanted.place, ids
    if wanted.frame_count is not None and wanted.frame_count != meta.frames:
        detail = f"{meta.frames} frames, annotated {wanted.frame_count}"
        yield "media_length", detail, wanted.place, ids
    if (
        wanted.duration_s is not None
        and abs(wanted.duration_s - meta.duration_s) > DURATION_TOLERANCE_S
    ):
        detail = f"{meta.duration_s:.2f} s, annotated {wanted.duration_s:g} s"
        yield "media_length", detail, wanted.place, ids
    in_frames = wanted.duration_s is None
    limit, unit = (meta.frames, "frame") if in_frames else (meta.duration_s, "second")
    for id_, place, end in wanted.ends:
        if end > limit:
            detail = f"it ends at {unit} {end:g}, the file at {limit:g}"
            yield "span_past_media", detail, place, (id_,)


def _image_problems(path: Path, wanted: _Wanted) -> Iterator[tuple[str, str, str, tuple[str, ...]]]:
    """An image against what the annotations say."""
    from PIL import Image

    with Image.open(path) as image:
        image.load()  # a file that is cut off opens all the same
        size = image.size
    if wanted.size is not None and size != wanted.size:
        detail = f"{size[0]}x{size[1]}, annotated {wanted.size[0]}x{wanted.size[1]}"
        yield "media_size", detail, wanted.place, tuple(wanted.ids)


def _frame_problems(path: Path, wanted: _Wanted) -> Iterator[tuple[str, str, str, tuple[str, ...]]]:
    """A folder of frames against the names in the annotations."""
    names = {each.stem for each in path.iterdir() if each.suffix.lower() in IMAGE_SUFFIXES}
    missing = [frame for frame in wanted.frames if frame not in names]
    if missing:
        detail = f"{len(missing)} of {len(wanted.frames)} frames missing, the first is {missing[0]}"
        yield "media_missing", detail, wanted.place, tuple(wanted.ids)
