"""Sentences with times: the JSON forms that benchmarks of times share, all in seconds.

By video, Charades-STA and ActivityNet Captions: ``{video: {duration, timestamps: [[start, end],
...], sentences: [...]}}``. A plain list, for a choice of queries of any of them: ``[{id, query,
duration, timestamp: [start, end]}, ...]``, with ``video`` where the videos are to be found.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from .base import Record, TimeRecord
from .entries import Entry
from .reading import FileBenchmark, Part, list_values, object_values
from .recognise import Head


class TimedSentences(FileBenchmark):
    """Base of the benchmarks of times; ids ``<video>_<sentence>``, counted from 0 in the video."""

    kind = TimeRecord
    protocols: ClassVar[tuple[str, ...]] = (
        "ours", "timezero", "time_r1", "tall", "moment_detr_paired", "vtimellm", "llava_st",
    )  # fmt: skip
    quirks: ClassVar[Mapping[str, str]] = {
        "ends_after_video": "the truth ends after the video: clip the prediction, not the truth",
        "not_in_order": "the start is not before the end",
        "covers_most": "the truth covers at least four fifths of the video",
    }

    def captioned(self, path: Path) -> Iterator[Part]:
        """One part a video of the JSON form."""
        for video, value in object_values(path, self.title, "sentences and times by video"):
            yield partial(self._of_video, path, video, value)

    def listed(self, path: Path) -> Iterator[Part]:
        """One part a query of the plain list, for a choice of queries."""
        for number, value in list_values(path, self.title, "queries"):
            yield partial(self._of_query, path, number, value)

    def _of_query(self, path: Path, number: int, value: Any) -> list[Record]:
        entry = Entry.of(value, f"{path}, record {number}", self.title)
        id_ = entry.name("id")
        window = entry.sequence("timestamp", "[start, end]")
        record = TimeRecord(
            id=id_,
            query=entry.query("query", query_id=id_),
            media=entry.text("video") if "video" in entry.values else id_,
            place=entry.place,
            duration_s=entry.number("duration"),
            windows=entry.rows_of([window], "timestamp", 2, "[start, end]"),
        )
        return [record]

    def _of_video(self, path: Path, video: str, value: Any) -> Iterator[Record]:
        entry = Entry.of(value, f'{path}, video "{video}"', self.title)
        duration = entry.number("duration")
        windows = entry.rows("timestamps", 2, "[start, end]")
        sentences = entry.sequence("sentences", "a list of sentences")
        if len(sentences) != len(windows):
            raise entry.wrong("sentences", f"one for each of the {len(windows)} timestamps")
        for number, text in enumerate(sentences):
            id_ = f"{video}_{number}"
            sentence = Entry({"sentences": text}, f"{entry.place}, sentence {number}", self.title)
            yield TimeRecord(
                id=id_,
                query=sentence.query("sentences", query_id=id_),
                media=video,
                place=sentence.place,
                duration_s=duration,
                windows=windows[number : number + 1],
            )

    def quirks_of(self, record: TimeRecord) -> Iterable[str]:
        """Which of :attr:`quirks` a record shows."""
        for start, end in record.windows.tolist():
            if end > record.duration_s:
                yield "ends_after_video"
            if start >= end:
                yield "not_in_order"
            if end - start >= 0.8 * record.duration_s > 0:
                yield "covers_most"


def is_listed(head: Head) -> bool:
    """Whether a file is a plain list of queries with ids."""
    return isinstance(head.value, list) and head.has("id", "query", "timestamp")
