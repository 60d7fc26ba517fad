"""ST-Align benchmark (LLaVA-ST): a tube for a sentence, boxes for a span, or the end of an event.

``stvg.json``, ``svg.json``, ``elc.json``: lists of ``{video_path, conversations, meta}``. ``meta``
holds ``width``, ``height``, ``split`` (first and last frame of the input, both **inclusive**),
``time_token`` ``{"<s>": frame, "<e>": frame}`` (both inclusive) and ``spatial_token``
``{"<bboxes>": {"frame": [x, y, width, height]}, ...}``. Boxes may skip frames. The frame rate is
not given: it is NaN, and :meth:`stvg.data.base.TubeRecord.sample` has to be told.

Ids are the running numbers in the file, from 0. LLaVA-ST evaluates the first 2,000 only.

Source: the loader in appletea233/LLaVA-ST, inference/src/datasets.py. The files themselves could
not be obtained by us; the schema is that of the loader.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from stvg.types import FloatArray

from .base import Record, TubeRecord
from .entries import Entry, corners
from .reading import FileBenchmark, Part, list_values
from .recognise import Head

EVALUATED = 2000
"""Records at the start of each file that the authors evaluate."""

_MEDIA_TOKEN = re.compile(r"<(?:video|image)>\s*")


class Benchmark(FileBenchmark):
    """ST-Align.

    ``query`` is the first turn of the conversation without its media token; ``<s>`` and the like
    stay in it. ``extra`` holds ``task`` (the file's name), ``number``, ``split``, ``time_token``,
    ``spatial_token`` and ``answer``, the second turn.
    """

    name = "st_align"
    title = "ST-Align"
    kind = TubeRecord
    protocols = ("st_align", "ours")
    source = "https://huggingface.co/datasets/appletea2333/ST-Align-Benchmark"
    licence = "not known to us"
    files = ("stvg.json", "svg.json", "elc.json")
    quirks: ClassVar[Mapping[str, str]] = {
        "not_evaluated": "comes after the first 2,000 records, which alone the authors evaluate",
        "boxes_skip_frames": "frames of the span have no box",
        "box_outside_span": "a box lies before or after the span",
    }

    def parts(self, path: Path, companions: Mapping[str, Path]) -> Iterator[Part]:
        """One part a record."""
        for number, value in list_values(path, self.title, "records"):
            yield partial(self._records, path, number, value)

    def _records(self, path: Path, number: int, value: Any) -> list[Record]:
        entry = Entry.of(value, f"{path}, record {number}", self.title)
        meta = entry.inner("meta")
        split = meta.rows_of(
            [meta.sequence("split", "[first, last]")], "split", 2, "[first, last]"
        )[0]
        tokens = meta.inner("time_token")
        first, boxes = _boxes(meta.inner("spatial_token").inner("<bboxes>"))
        last = first + len(boxes) - 1
        if {"<s>", "<e>"} <= set(tokens.values):
            span = tokens.whole("<s>"), tokens.whole("<e>") + 1
        else:
            span = first, last + 1
        turns = list(entry.inner_list("conversations"))
        if len(turns) < 2:
            raise entry.wrong("conversations", "two turns")
        stripped = Entry(
            {"value": _MEDIA_TOKEN.sub("", turns[0].text("value"))}, turns[0].place, self.title
        )
        record = TubeRecord(
            id=str(number),
            query=stripped.query("value", query_id=str(number)),
            media=entry.text("video_path"),
            place=entry.place,
            extra={
                "task": path.stem,
                "number": number,
                "frame_count_unknown": True,
                "split": [int(end) for end in split],
                "time_token": dict(tokens.values),
                "spatial_token": meta.values["spatial_token"],
                "answer": turns[1].values.get("value"),
            },
            width=meta.whole("width", 1),
            height=meta.whole("height", 1),
            fps=meta.number("fps") if "fps" in meta.values else float("nan"),
            frame_count=max(int(split[1]) + 1, span[1]),
            segment=(int(split[0]), int(split[1]) + 1),
            span=span,
            boxes=boxes,
            first_box_frame=first,
        )
        return [record]

    def quirks_of(self, record: TubeRecord) -> Iterable[str]:
        """Which of :attr:`quirks` a record shows."""
        if record.extra["number"] >= EVALUATED:
            yield "not_evaluated"
        frames = record.first_box_frame + np.flatnonzero(np.isfinite(record.boxes).all(axis=1))
        inside = (frames >= record.span[0]) & (frames < record.span[1])
        if inside.sum() < record.span[1] - record.span[0]:
            yield "boxes_skip_frames"
        if not inside.all():
            yield "box_outside_span"

    def recognises(self, head: Head) -> bool:
        """A list of conversations with tokens for time and place."""
        return head.has("conversations", "meta")


def _boxes(entry: Entry) -> tuple[int, FloatArray]:
    """Frame of the first box, and boxes ``xyxy`` (N, 4) from there on, NaN where there is none."""
    for key in entry.values:
        if not key.isdecimal():
            raise entry.wrong(key, "a frame number as key", key)
    if not entry.values:
        return 0, np.zeros((0, 4))
    frames = np.array([int(key) for key in entry.values])
    sizes = np.stack([entry.four(key) for key in entry.values])  # (K, 4)
    boxes = np.full((frames.max() - frames.min() + 1, 4), np.nan)
    boxes[frames - frames.min()] = corners(sizes)
    return int(frames.min()), boxes
