"""A sample of Uni-STG: what of a record is kept, and the record that a sample gives again.

Every sample has the same columns, empty where its task has no use for them. Times are seconds from
the first frame of the media, of a tube frame numbers over ``fps``, so that the frames come back
exactly; boxes are ``xyxy`` in pixels of the annotation's picture, because a share of the picture
would need a size, which not every maker tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from stvg.data.base import BoxRecord, Record, TimeRecord, TubeRecord
from stvg.geometry.boxes import clip_boxes
from stvg.types import FloatArray, Query

Task = Literal["rec", "vtg", "stvg", "chat"]
"""Box in a picture, moment, tube, conversation."""
Row = dict[str, Any]
"""A sample, a value for each of :data:`COLUMNS`."""

COLUMNS: Mapping[str, str] = {
    "id": "unique in the set: source, slash, id in the source",
    "task": "rec, vtg, stvg or chat",
    "source": "name of the source in the recipe",
    "media": "video or image, a path below the folder of all media",
    "caption": "the sentence; empty for chat",
    "qtype": "declarative or interrogative, where the source tells it",
    "width": "of the picture in pixels, where known",
    "height": "of the picture in pixels, where known",
    "duration_s": "length of the video in seconds, where known",
    "fps": "stvg: frames a second",
    "frames": "stvg: frames of the video, where known",
    "clip_s": "[start, end] in seconds of the part of the video that is the input; null for all",
    "interval_s": "vtg, stvg: [start, end) in seconds",
    "times_s": "stvg: seconds of each box",
    "boxes": "stvg: a box a time; rec: one box; [x1, y1, x2, y2] in pixels",
    "turns": "chat: what user and assistant say in turn",
}
"""Names of the columns, each with its meaning."""

_TASKS: Mapping[type[Record], Task] = {BoxRecord: "rec", TimeRecord: "vtg", TubeRecord: "stvg"}


class UnusableError(Exception):
    """A sample that nothing can be learnt from; the reason in two or three words is its text."""


def task_of(kind: type[Record]) -> Task | None:
    """The task that records of a kind are for; None where there is none in this set."""
    return _TASKS.get(kind)


def empty_row(source: str, name: str, task: Task, media: str) -> Row:
    """A sample without anything but its name."""
    row: Row = dict.fromkeys(COLUMNS)
    return row | {
        "id": f"{source}/{name}", "task": task, "source": source, "media": media, "caption": "",
    }  # fmt: skip


def row_of(record: Record, source: str) -> Row:
    """The sample that a record of boxes, times or tubes is.

    Boxes are cut to the picture and times to the video, as far as their sizes are known.

    Raises:
        UnusableError: If nothing is left to learn from.
    """
    row = empty_row(source, record.id, _TASKS[type(record)], record.media)
    row |= {"caption": record.query.text, "qtype": record.query.form}
    if isinstance(record, BoxRecord):
        return row | _box_values(record)
    if isinstance(record, TimeRecord):
        return row | _time_values(record)
    assert isinstance(record, TubeRecord)
    return row | _tube_values(record)


def _box_values(record: BoxRecord) -> Row:
    box = record.box
    if not np.isfinite(box).all():
        raise UnusableError("no box")
    if record.width and record.height:
        box = clip_boxes(box[None], record.width, record.height)[0]
    if (box[2:] <= box[:2]).any():
        raise UnusableError("empty box")
    size = {"width": record.width or None, "height": record.height or None}
    return {**size, "boxes": [box.tolist()]}


def _time_values(record: TimeRecord) -> Row:
    if len(record.windows) != 1:
        raise UnusableError("several moments" if len(record.windows) else "no moment")
    duration_s = record.duration_s if np.isfinite(record.duration_s) else None
    start_s, end_s = record.windows[0].tolist()
    start_s, end_s = max(start_s, 0.0), min(end_s, np.inf if duration_s is None else duration_s)
    if end_s <= start_s:
        raise UnusableError("empty interval")
    clip_s = [record.extra.get("start"), record.extra.get("end")]
    return {
        "duration_s": duration_s,
        "clip_s": None if None in clip_s else clip_s,
        "interval_s": [start_s, float(end_s)],
    }


def _tube_values(record: TubeRecord) -> Row:
    if not record.has_boxes:
        raise UnusableError("no boxes")
    if not record.fps > 0:
        raise UnusableError("no frame rate")
    target = record.sample().target
    if target is None:
        raise UnusableError("no usable box")
    fps, is_known = record.fps, not record.extra.get("frame_count_unknown")
    begin, end = record.segment
    is_part = begin > 0 or end < record.frame_count
    return {
        "width": record.width,
        "height": record.height,
        "duration_s": record.frame_count / fps if is_known else None,
        "fps": fps,
        "frames": record.frame_count if is_known else None,
        "clip_s": [begin / fps, end / fps] if is_part or not is_known else None,
        "interval_s": [target.interval.start_s, target.interval.end_s],
        "times_s": target.times_s.tolist(),
        "boxes": target.boxes.tolist(),
    }


def record_of(row: Mapping[str, Any], place: str) -> Record:
    """The record of a sample that is no conversation.

    Args:
        row: As :func:`row_of` made it.
        place: Where it stands, for messages.
    """
    kind = {task: kind for kind, task in _TASKS.items()}[row["task"]]
    return kind(
        id=row["id"],
        query=Query(row["caption"], row["qtype"], row["id"]),
        media=row["media"],
        place=place,
        extra={"source": row["source"]} | _extra(row),
        **{BoxRecord: _box_fields, TimeRecord: _time_fields, TubeRecord: _tube_fields}[kind](row),
    )


def _extra(row: Mapping[str, Any]) -> dict[str, Any]:
    """What protocols and trainers ask of a record beyond its fields."""
    if row["task"] == "vtg" and row["clip_s"] is not None:
        return {"start": row["clip_s"][0], "end": row["clip_s"][1]}
    return {"frame_count_unknown": True} if row["task"] == "stvg" and not row["frames"] else {}


def _box_fields(row: Mapping[str, Any]) -> dict[str, Any]:
    size = {"width": row["width"] or 0, "height": row["height"] or 0}
    return {**size, "box": np.array(row["boxes"][0], np.float64)}


def _time_fields(row: Mapping[str, Any]) -> dict[str, Any]:
    duration_s = row["duration_s"]
    return {
        "duration_s": float("nan") if duration_s is None else duration_s,
        "windows": np.array([row["interval_s"]], np.float64),
    }


def _tube_fields(row: Mapping[str, Any]) -> dict[str, Any]:
    fps = row["fps"]
    span = _frames(row["interval_s"], fps)
    frames = np.array(_frames(row["times_s"], fps))
    clip = _frames(row["clip_s"], fps) if row["clip_s"] else (0, row["frames"])
    boxes: FloatArray = np.full((frames[-1] - frames[0] + 1, 4), np.nan)
    boxes[frames - frames[0]] = row["boxes"]
    return {
        "width": row["width"],
        "height": row["height"],
        "fps": fps,
        "frame_count": row["frames"] or max(clip[1], span[1]),
        "segment": clip,
        "span": span,
        "boxes": boxes,
        "first_box_frame": int(frames[0]),
    }


def _frames(times_s: list[float], fps: float) -> tuple[int, ...]:
    """Numbers of the frames that begin at these times."""
    return tuple(int(number) for number in np.rint(np.array(times_s) * fps))
