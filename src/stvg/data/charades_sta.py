"""Charades-STA: when in a 30-second video of daily life does what a sentence says happen.

Four forms of file are read: the published lines ``VIDEO start end##sentence``; the JSON
``{video: {duration, timestamps, sentences}}`` (TFVTG, Time-R1); LLaVA-ST's list of
``{image_id, caption, timestamp}`` with times as shares of the video; and a plain list of queries
(:mod:`stvg.data.captions`). The lines have no durations:
they come from the column ``length`` of ``Charades_v1_{train,test}.csv``, the companion
``durations``, looked for beside the file; without it durations are NaN.

Source: jiyanggao/TALL; counted in its test file.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from stvg.errors import FormatError
from stvg.formats.documents import unreadable

from .base import TimeRecord
from .captions import TimedSentences, is_listed
from .entries import Entry, shown
from .reading import Part, list_values, text_lines
from .recognise import Head, head_of

_LINE = re.compile(r"(\S+) +(\d+(?:\.\d+)?) +(\d+(?:\.\d+)?) *##(.*)")


class Benchmark(TimedSentences):
    """Charades-STA; ids ``<video>_<sentence>``, sentences counted from 0 in the video."""

    name = "charades_sta"
    title = "Charades-STA"
    source = "https://github.com/jiyanggao/TALL"
    licence = "none stated for the sentences; Charades is for non-commercial research"
    files = ("charades_sta_train.txt", "charades_sta_test.txt")
    companions: ClassVar[Mapping[str, str]] = {
        "durations": "Charades_v1_train.csv or Charades_v1_test.csv, columns id and length"
    }

    def parts(self, path: Path, companions: Mapping[str, Path]) -> Iterator[Part]:
        """One part a line, video or list element."""
        head = head_of(path)
        if isinstance(head.value, dict):
            yield from self.captioned(path)
            return
        if is_listed(head):
            yield from self.listed(path)
            return
        given = companions.get("durations")
        tables = [given] if given else sorted(path.parent.glob("[Cc]harades_v1_*.csv"))
        durations = {video: s for table in tables for video, s in _durations(table).items()}
        sentences: Counter[str] = Counter()
        if isinstance(head.value, list):
            for number, value in list_values(path, self.title, "sentences"):
                yield partial(self._of_share, path, number, value, durations, sentences)
            return
        for number, line in text_lines(path):
            yield partial(self._of_line, path, number, line, durations, sentences)

    def _of_line(
        self,
        path: Path,
        number: int,
        line: str,
        durations: Mapping[str, float],
        sentences: Counter[str],
    ) -> list[TimeRecord]:
        found = _LINE.fullmatch(line)
        if found is None:
            raise FormatError(
                f"{path}, line {number}: expected VIDEO start end##sentence, found {shown(line)}; "
                f"docs/data.md describes {self.title}"
            )
        video, start, end, text = found.groups()
        entry = Entry({"sentence": text}, f"{path}, line {number}", self.title)
        window = (float(start), float(end))
        return [self._record(entry, "sentence", video, window, durations, sentences)]

    def _of_share(
        self,
        path: Path,
        number: int,
        value: Any,
        durations: Mapping[str, float],
        sentences: Counter[str],
    ) -> list[TimeRecord]:
        entry = Entry.of(value, f"{path}, record {number}", self.title)
        video = Path(entry.text("image_id")).name.removesuffix(".mp4").removeprefix("v_")
        if video not in durations:
            raise entry.wrong(
                "image_id",
                "a video with a known duration, because times are shares of it (give the "
                "durations, Charades_v1_test.csv)",
            )
        shares = entry.rows_of(
            [entry.sequence("timestamp", "[start, end]")], "timestamp", 2, "[start, end]"
        )[0]
        start, end = (shares * durations[video]).tolist()
        return [self._record(entry, "caption", video, (start, end), durations, sentences)]

    def _record(
        self,
        entry: Entry,
        field: str,
        video: str,
        window: tuple[float, float],
        durations: Mapping[str, float],
        sentences: Counter[str],
    ) -> TimeRecord:
        id_ = f"{video}_{sentences[video]}"
        sentences[video] += 1
        return TimeRecord(
            id=id_,
            query=entry.query(field, query_id=id_),
            media=video,
            place=entry.place,
            duration_s=durations.get(video, float("nan")),
            windows=np.array([window], np.float64),
        )

    def recognises(self, head: Head) -> bool:
        """Lines with ``##``, or videos named by five capitals and digits."""
        if head.has("image_id", "caption", "timestamp"):
            return True
        is_named = re.fullmatch(r"[A-Z0-9]{5}", head.first_key) is not None
        return bool(_LINE.fullmatch(head.text.strip())) or (
            is_named and head.has("duration", "timestamps")
        )


def _durations(path: Path) -> dict[str, float]:
    """Seconds by video, from a table with the columns ``id`` and ``length``."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file)
            if not {"id", "length"} <= set(table.fieldnames or ()):
                raise FormatError(
                    f"{path}: expected a table with the columns id and length, found "
                    f"{shown(list(table.fieldnames or ()))}; give Charades_v1_test.csv or "
                    "Charades_v1_train.csv"
                )
            return {row["id"]: float(row["length"]) for row in table}
    except OSError as error:
        raise unreadable(path, error) from error
    except (ValueError, TypeError) as error:
        raise FormatError(f"{path}: expected seconds in the column length, {error}") from error
