"""HC-STVG v2 (2.0): v1 annotated again and extended; other names for the same fields.

``train_v2.json``, ``val_v2.json``: as v1, but the query is ``English`` and the size is
``img_size`` = ``[height, width]``. Copies with the field names of v1 exist (CG-STVG asks for them)
and are read too. ``query_v2.json`` holds the test queries, video file name -> sentence, without any
truth: its records have no size, no frame rate and no boxes.

Source: tzhhhh123/HC-STVG; field names as in the preprocessing of antoyang/TubeDETR and in issue 17
of HengLan/CGSTVG. The annotated files could not be checked by us.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from . import hcstvg_v1
from .base import Record, TubeRecord
from .entries import Entry
from .recognise import Head

_VIDEO_SUFFIXES = (".mp4", ".mkv", ".avi", ".webm")


class Benchmark(hcstvg_v1.Benchmark):
    """HC-STVG v2; ``extra`` as in v1, ids are the video file names."""

    name = "hcstvg_v2"
    title = "HC-STVG v2"
    licence = "none stated; clips of films, research use only"
    files = ("train_v2.json", "val_v2.json", "query_v2.json")

    def _records(self, path: Path, key: str, value: Any) -> list[Record]:
        if not isinstance(value, str):
            return super()._records(path, key, value)
        place = f'{path}, record "{key}"'
        record = TubeRecord(
            id=key,
            query=Entry({"English": value}, place, self.title).query("English", query_id=key),
            media=key,
            place=place,
            extra={
                "no_boxes": "the file holds queries only, the truth is not public",
                "not_public": True,
            },
            width=0,
            height=0,
            fps=float("nan"),
            frame_count=0,
            segment=(0, 0),
            span=(0, 0),
            boxes=np.zeros((0, 4)),
            first_box_frame=0,
        )
        return [record]

    def _size(self, entry: Entry) -> tuple[int, int]:
        if "img_size" not in entry.values:
            return super()._size(entry)
        height, width = entry.rows_of(
            [entry.sequence("img_size", "[height, width]")], "img_size", 2, "[height, width]"
        )[0]
        if min(height, width) < 1:
            raise entry.wrong("img_size", "[height, width] of at least 1")
        return int(width), int(height)

    def _sentence(self, entry: Entry) -> str:
        return "English" if "English" in entry.values else "caption"

    def recognises(self, head: Head) -> bool:
        """Records by video with ``English``, or video names with sentences."""
        if isinstance(head.first, str):
            return head.first_key.lower().endswith(_VIDEO_SUFFIXES)
        return head.has("bbox", "st_frame", "English") or head.has("bbox", "img_size")
