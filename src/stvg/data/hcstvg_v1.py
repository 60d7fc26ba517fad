"""HC-STVG v1: 20-second film clips, one sentence and the tube of one person each.

``train.json``, ``test.json``: one object, key = video file name, which is also the id of the
query. ``bbox`` holds one box ``[x, y, width, height]`` for each consecutive frame from ``st_frame``
on, which counts from 1; so the span is ``[st_frame - 1, st_frame - 1 + len(bbox))``. There is no
end frame. ``st_time`` and ``ed_time`` are seconds of an annotation of their own: the boxes stop
about 8 frames before ``ed_time``. They stay in ``extra`` and are never turned into frames. Clips in
this schema that do not last 20 s may say so with a field ``fps``, which the published files lack.

Source: tzhhhh123/HC-STVG, its README and issues.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from math import floor
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from .base import Record, TubeRecord
from .entries import Entry, corners
from .reading import FileBenchmark, Part, object_values
from .recognise import Head

CLIP_S = 20.0
"""Length of every clip in seconds, as all code of the field takes it."""

_JUMP_PX = 25.0
_RAW = ("st_frame", "img_num", "st_time", "ed_time", "ed_frame")


class Benchmark(FileBenchmark):
    """HC-STVG v1.

    ``extra`` holds the annotated ``st_frame`` (from 1), ``img_num``, ``st_time``, ``ed_time``.
    """

    name = "hcstvg_v1"
    title = "HC-STVG v1"
    kind = TubeRecord
    protocols = ("ours", "tubedetr", "stcat", "cgstvg", "llava_next_stvg", "challenge", "stvg_r1")
    source = "https://github.com/tzhhhh123/HC-STVG"
    licence = "none stated; clips of films, research use only"
    files: ClassVar[tuple[str, ...]] = ("train.json", "test.json")
    quirks: ClassVar[Mapping[str, str]] = {
        "boxes_stop_before_seconds": "the boxes stop more than half a frame before ed_time: scores "
        "in seconds and in frames are not comparable",
        "start_frame_off": "st_frame is not floor(st_time * fps) + 1: never compute frames from "
        "the seconds",
        "uneven_frame_rate": "img_num / 20 s is not a usual frame rate",
        "jump_at_an_end": "the first or last box lies more than 25 pixels from its neighbour",
        "negative_size": "a box has a negative width or height",
        "box_outside_image": "a box reaches beyond the image: STCAT and CG-STVG stop on it",
        "tube_reaches_last_frame": "the tube reaches the last frame of the clip, which STCAT never "
        "samples: it stops there",
    }

    def parts(self, path: Path, companions: Mapping[str, Path]) -> Iterator[Part]:
        """One part a video."""
        for key, value in object_values(path, self.title, "one record a video, by file name"):
            yield partial(self._records, path, key, value)

    def _records(self, path: Path, key: str, value: Any) -> list[Record]:
        entry = Entry.of(value, f'{path}, record "{key}"', self.title)
        first, frame_count = entry.whole("st_frame") - 1, entry.whole("img_num", 1)
        boxes = corners(entry.rows("bbox", 4, "[x, y, width, height]"))
        width, height = self._size(entry)
        extra: dict[str, Any] = {
            name: entry.values[name] for name in _RAW if name in entry.values
        } | {"st_time": entry.number("st_time"), "ed_time": entry.number("ed_time")}
        if not len(boxes):
            extra["no_boxes"] = "the annotation has none"
        record = TubeRecord(
            id=key,
            query=entry.query(self._sentence(entry), query_id=key),
            media=key,
            place=entry.place,
            extra=extra,
            width=width,
            height=height,
            fps=entry.number("fps") if "fps" in entry.values else frame_count / CLIP_S,
            frame_count=frame_count,
            segment=(0, frame_count),
            span=(first, first + len(boxes)),
            boxes=boxes,
            first_box_frame=first,
        )
        return [record]

    def _size(self, entry: Entry) -> tuple[int, int]:
        """Width and height of the video."""
        return entry.whole("width", 1), entry.whole("height", 1)

    def _sentence(self, entry: Entry) -> str:
        """Name of the field with the query."""
        del entry
        return "caption"

    def quirks_of(self, record: TubeRecord) -> Iterator[str]:
        """Which of :attr:`quirks` a record shows."""
        if not record.has_boxes:
            return
        boxes, extra = record.boxes, record.extra
        if extra["ed_time"] * record.fps - record.span[1] > 0.5:
            yield "boxes_stop_before_seconds"
        if extra["st_frame"] != floor(extra["st_time"] * record.fps) + 1:
            yield "start_frame_off"
        if not any(abs(record.fps - usual) < 0.04 for usual in (23.976, 24, 25, 29.97, 30)):
            yield "uneven_frame_rate"
        steps = np.abs(np.diff(boxes, axis=0)).max(axis=1)  # (N - 1,)
        if len(steps) and max(steps[0], steps[-1]) > _JUMP_PX:
            yield "jump_at_an_end"
        if (boxes[:, 2:] < boxes[:, :2]).any():
            yield "negative_size"
        edge = np.array([record.width, record.height] * 2)
        if (boxes < 0).any() or (boxes > edge).any():
            yield "box_outside_image"
        if record.span[1] >= record.frame_count:
            yield "tube_reaches_last_frame"

    def recognises(self, head: Head) -> bool:
        """Records by video with a caption and boxes."""
        return head.has("bbox", "st_frame", "caption") or head.has("bbox", "img_num", "caption")
