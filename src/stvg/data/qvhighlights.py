"""QVHighlights: all moments of a video that fit a sentence, and how striking each two seconds are.

``highlight_{train,val,test}_release.jsonl``: one query a line, ``qid``, ``query``, ``duration``,
``vid`` (``<youtube id>_<start>_<end>``, a clip of at most 150 s), ``relevant_windows`` in seconds,
``relevant_clip_ids`` (clips of 2 s, from 0) with ``saliency_scores`` (three annotators, 0 to 4).
The last three are absent where the truth is not public. A JSON list of the same is read too.

Source: jayleicn/moment_detr, data/ and standalone_eval/.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from .base import Record, TimeRecord
from .entries import Entry
from .reading import FileBenchmark, Part, json_line, list_values, text_lines
from .recognise import Head, head_of

CLIP_S = 2.0
"""Length of a clip that has a saliency, in seconds."""


class Benchmark(FileBenchmark):
    """QVHighlights; ids are the ``qid``.

    ``windows`` are all true moments, (N, 2). ``extra`` holds ``relevant_clip_ids`` (M,) and
    ``saliency_scores`` (M, 3), or neither.
    """

    name = "qvhighlights"
    title = "QVHighlights"
    kind = TimeRecord
    protocols = ("moment_detr", "moment_detr_shared")
    source = "https://github.com/jayleicn/moment_detr"
    licence = "annotations CC BY-NC-SA 4.0"
    files = (
        "highlight_train_release.jsonl",
        "highlight_val_release.jsonl",
        "highlight_test_release.jsonl",
    )
    quirks: ClassVar[Mapping[str, str]] = {
        "several_windows": "more than one moment fits",
        "shorter_than_150": "the video is shorter than 150 s",
        "uneven_times": "an end of a window is no multiple of 2 s",
        "ends_after_video": "a window ends after the video",
        "no_truth": "no windows: the truth is not public",
    }

    def parts(self, path: Path, companions: Mapping[str, Path]) -> Iterator[Part]:
        """One part a query."""
        if isinstance(head_of(path).value, list):
            for number, value in list_values(path, self.title, "queries"):
                yield partial(self._records, f"{path}, record {number}", value)
            return
        for number, line in text_lines(path):
            yield partial(self._of_line, f"{path}, line {number}", line)

    def _of_line(self, place: str, line: str) -> list[Record]:
        return self._records(place, json_line(line, place))

    def _records(self, place: str, value: Any) -> list[Record]:
        entry = Entry.of(value, place, self.title)
        id_ = entry.name("qid")
        windows, extra = np.zeros((0, 2)), {}
        if "relevant_windows" in entry.values:
            windows = entry.rows("relevant_windows", 2, "[start, end]")
        if "saliency_scores" in entry.values:
            clips = entry.sequence("relevant_clip_ids", "a list of clip numbers")
            scores = entry.rows("saliency_scores", 3, "[score, score, score]")
            numbers = entry.rows_of([[clip] for clip in clips], "relevant_clip_ids", 1, "a number")
            if len(scores) != len(clips):
                raise entry.wrong("saliency_scores", f"one triple for each of {len(clips)} clips")
            extra = {
                "relevant_clip_ids": numbers[:, 0].astype(np.int64),
                "saliency_scores": scores.astype(np.int64),
            }
        record = TimeRecord(
            id=id_,
            query=entry.query("query", query_id=id_),
            media=entry.text("vid"),
            place=place,
            extra=extra,
            duration_s=entry.number("duration"),
            windows=windows,
        )
        return [record]

    def quirks_of(self, record: TimeRecord) -> Iterable[str]:
        """Which of :attr:`quirks` a record shows."""
        windows = record.windows
        if len(windows) > 1:
            yield "several_windows"
        if record.duration_s < 150:
            yield "shorter_than_150"
        if (windows % CLIP_S != 0).any():
            yield "uneven_times"
        if (windows[:, 1] > record.duration_s).any():
            yield "ends_after_video"
        if not len(windows):
            yield "no_truth"

    def recognises(self, head: Head) -> bool:
        """Lines, or a list, of queries with a ``qid``."""
        return head.is_object_with("qid", "query", "vid") or head.has("qid", "query", "vid")
