"""TVGBench: 800 queries of five sources, to test temporal grounding of language models.

A list of ``{path, question, answer: "start-end", start, end, duration, source, ...}``. Where
``start`` and ``end`` are given the item is that clip of a longer video, and the answer counts from
the start of the clip, as ``duration`` does.

Ids: ``<file name of source without suffix>_<number>``, the number of the item in the whole list
from 0, e.g. ``tacos_val_336``.

Source: xiaomi-research/time-r1, dataset/timer1/annotations/tvgbench.json; counted there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import numpy as np

from .base import Record, TimeRecord
from .captions import TimedSentences, is_listed
from .entries import Entry
from .reading import Part, list_values
from .recognise import Head, head_of

_NUMBER = r"(\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)"
_ANSWER = re.compile(rf"\s*{_NUMBER}\s*-\s*{_NUMBER}\s*")
_RAW = ("answer", "start", "end", "source", "dataset_name", "qsemtype", "bins")


class Benchmark(TimedSentences):
    """TVGBench.

    ``extra`` holds the annotated ``start`` and ``end`` of the clip in its video in seconds (None
    where the item is a whole video), ``source``, ``dataset_name``, ``qsemtype``, ``bins``.
    """

    name = "tvgbench"
    title = "TVGBench"
    protocols = (
        "time_r1",
        "ours",
        "timezero",
        "tall",
        "moment_detr_paired",
        "vtimellm",
        "llava_st",
    )
    source = "https://github.com/xiaomi-research/time-r1"
    licence = "Apache-2.0; the five sources keep their own terms"
    files = ("tvgbench.json",)
    quirks: ClassVar[Mapping[str, str]] = {
        **TimedSentences.quirks,
        "clip_of_longer_video": "the item is a clip of a longer video: the answer counts from the "
        "start of the clip",
        "no_dataset_name": "the field dataset_name is absent (Ego4D)",
    }

    def parts(self, path: Path, companions: Mapping[str, Path]) -> Iterator[Part]:
        """One part an item."""
        if is_listed(head_of(path)):
            yield from self.listed(path)
            return
        for number, value in list_values(path, self.title, "queries"):
            yield partial(self._records, path, number, value)

    def _records(self, path: Path, number: int, value: Any) -> list[Record]:
        entry = Entry.of(value, f"{path}, record {number}", self.title)
        found = _ANSWER.fullmatch(entry.text("answer"))
        if found is None:
            raise entry.wrong("answer", 'seconds as "start-end"')
        for name in ("start", "end"):
            if entry.values.get(name) is not None:
                entry.number(name)
        id_ = f"{PurePosixPath(entry.text('source')).stem}_{number}"
        record = TimeRecord(
            id=id_,
            query=entry.query("question", query_id=id_),
            media=entry.text("path").removeprefix("./"),
            place=entry.place,
            extra={name: entry.values.get(name) for name in _RAW},
            duration_s=entry.number("duration"),
            windows=np.array([[float(found[1]), float(found[2])]]),
        )
        return [record]

    def quirks_of(self, record: TimeRecord) -> Iterable[str]:
        """Which of :attr:`quirks` a record shows."""
        yield from super().quirks_of(record)
        if record.extra.get("start") is not None:
            yield "clip_of_longer_video"
        if record.extra and record.extra["dataset_name"] is None:
            yield "no_dataset_name"

    def recognises(self, head: Head) -> bool:
        """A list of questions with answers in seconds."""
        return head.has("path", "question", "answer", "duration")
