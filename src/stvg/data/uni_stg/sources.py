"""Samples of annotations and of conversations, as candidates that are looked at one by one.

A source is a sequence of candidates in a fixed order; each gives its samples, and why others were
dropped, when it is called. So a build can pass over those that are done, and nothing is kept in
memory but what draws the samples: of every sample the hash of its name and the seed. Those with the
smallest hashes are taken, which depends on neither the order of the file nor other sources.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, NoReturn

import numpy as np

from stvg.data.base import Benchmark, Record
from stvg.data.catalogue import find_benchmark
from stvg.data.entries import Entry
from stvg.data.media import MediaFolder
from stvg.data.reading import json_line, list_values, text_lines
from stvg.errors import FormatError, UsageError

from .recipe import BenchmarkSource, ChatSource
from .rows import Row, UnusableError, empty_row, row_of, task_of


@dataclass(slots=True)
class Made:
    """What a candidate gave.

    Attributes:
        rows: Its samples.
        drops: Samples that were dropped, by reason.
    """

    rows: list[Row] = field(default_factory=list)
    drops: Counter[str] = field(default_factory=Counter)


Candidate = Callable[[], Made]
"""Something of a source that gives samples: a query, a conversation, a video."""


def place_of(seed: int, name: str) -> int:
    """Where a sample stands in the order in which samples are drawn, in [0, 2^64).

    Example:
        >>> place_of(0, "refcoco/1") == place_of(0, "refcoco/1")
        True
        >>> place_of(0, "refcoco/1") == place_of(1, "refcoco/1")
        False
    """
    mark = hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=8)
    return int.from_bytes(mark.digest(), "big")


class MediaBelow:
    """Finds media and names them by their path below the folder of all media.

    Args:
        root: The folder of all media, or None where media are not looked for.
        folder: The part of it that belongs to a source.
        kind: What is looked for.
    """

    def __init__(
        self, root: Path | None, folder: Path | None, kind: Literal["video", "frames", "image"]
    ) -> None:
        self.root = root
        self._found = MediaFolder(folder, kind) if folder is not None else None

    def name_of(self, media: str) -> str:
        """The name that the set gives to what an annotation calls ``media``.

        Raises:
            UnusableError: If it is looked for and not there, or there are several.
        """
        if self._found is None or self.root is None:
            return media
        paths = self._found.find(media)
        if len(paths) != 1:
            raise UnusableError("media ambiguous" if paths else "media missing")
        return paths[0].relative_to(self.root).as_posix()


class _Drawn(ABC):
    """A source of rows that are known by looking at one entry after the other."""

    is_costly = False

    def __init__(self, name: str, count: int | None, seed: int) -> None:
        self.name, self.count, self.seed = name, count, seed

    @abstractmethod
    def attempts(self) -> Iterator[Callable[[], Row]]:
        """What makes each row, or raises why there is none, lazily."""

    def candidates(self) -> Iterator[Candidate]:
        """One a row.

        Raises:
            UsageError: If there is none.
        """
        last = self._last_place()
        is_empty = True
        for attempt in self.attempts():
            is_empty = False
            yield partial(self._made, attempt, last)
        if is_empty:
            raise UsageError(f"expected samples in the source {self.name}, found none")

    def _made(self, attempt: Callable[[], Row], last: int | None) -> Made:
        try:
            row = attempt()
        except UnusableError as problem:
            return Made(drops=Counter([str(problem)]))
        if last is not None and self._place(row) > last:
            return Made(drops=Counter(["not drawn"]))
        return Made([row])

    def _place(self, row: Row) -> int:
        return place_of(self.seed, row["id"])

    def _last_place(self) -> int | None:
        """The place of the last row that is drawn; None where all are."""
        if self.count is None:
            return None
        places = []
        for attempt in self.attempts():
            try:
                places.append(self._place(attempt()))
            except UnusableError:
                continue
        if len(places) <= self.count:
            return None
        return int(np.partition(np.array(places, np.uint64), self.count - 1)[self.count - 1])


class Annotated(_Drawn):
    """The queries of a benchmark.

    Args:
        source: Which file.
        root: The folder of all media.
        folder: That of this source.
        seed: Of the draw.

    Raises:
        UsageError: If there is no such benchmark, or it is of another kind of task.
    """

    def __init__(
        self, source: BenchmarkSource, root: Path | None, folder: Path | None, seed: int
    ) -> None:
        super().__init__(source.name, source.count, seed)
        self.source = source
        self.reader: Benchmark = find_benchmark(source.benchmark)
        self.task = task_of(self.reader.kind)
        if self.task is None:
            raise UsageError(
                f"expected a benchmark of boxes, times or tubes in the source {source.name}, found "
                f"{self.reader.title}"
            )
        self.media = MediaBelow(root, folder, self.reader.media)

    def attempts(self) -> Iterator[Callable[[], Row]]:
        """One a query; a query whose id was there before is none."""
        seen: set[str] = set()
        found = self.reader.attempt(self.source.annotations, **self.source.companions)
        for record in found:
            if isinstance(record, FormatError):
                yield partial(_drop, "malformed")
            elif record.id in seen:
                yield partial(_drop, "id twice")
            else:
                seen.add(record.id)
                yield partial(self._row, record)

    def _row(self, record: Record) -> Row:
        row = row_of(record, self.name)
        return row | {"media": self.media.name_of(record.media)}


class Chat(_Drawn):
    """Conversations of a file."""

    task = "chat"

    def __init__(
        self, source: ChatSource, root: Path | None, folder: Path | None, seed: int
    ) -> None:
        super().__init__(source.name, source.count, seed)
        self.source = source
        self.media = {
            "video": MediaBelow(root, folder, "video"),
            "image": MediaBelow(root, folder, "image"),
        }

    def attempts(self) -> Iterator[Callable[[], Row]]:
        """One a conversation."""
        file = self.source.file
        with file.open(encoding="utf-8-sig") as text:
            is_list = text.read(1) == "["
        if is_list:
            for number, value in list_values(file, "conversations", "conversations"):
                yield partial(self._row, number, value, f"{file}, record {number}")
        else:
            for number, line in text_lines(file):
                place = f"{file}, line {number}"
                yield partial(self._row, number, json_line(line, place), place)

    def _row(self, number: int, value: Any, place: str) -> Row:
        entry = Entry.of(value, place, "conversations (docs/uni_stg.md)")
        kind = next((kind for kind in self.media if kind in entry.values), None)
        if kind is None:
            raise UnusableError("neither video nor image")
        name = entry.name("id") if "id" in entry.values else str(number)
        media = self.media[kind].name_of(entry.text(kind))
        turns = [_turn(each) for each in entry.inner_list("conversations")]
        if [turn["role"] for turn in turns] != ["user", "assistant"] * (len(turns) // 2):
            raise UnusableError("turns not in order")
        if not turns or not all(turn["text"] for turn in turns):
            raise UnusableError("no text")
        return empty_row(self.name, name, "chat", media) | {"turns": turns}


def _turn(entry: Entry) -> dict[str, str]:
    """What one of the two says, without the mark where the picture stands."""
    speaker = entry.text("from")
    role = {"human": "user", "user": "user"}.get(speaker, "assistant")
    text = entry.text("value").replace("<image>", "").replace("<video>", "").strip()
    return {"role": role, "text": text}


def _drop(reason: str) -> NoReturn:
    raise UnusableError(reason)
