"""The samples of a source as Parquet files, so that a build that was stopped goes on.

A file holds at least as many samples as the recipe asks for and ends behind the candidate that
filled it. Beside it, in ``progress/``, stands which candidate comes next and what was dropped
meanwhile; a file without such a note is made again. Both appear whole. So what was finished is not
done twice, and the files are the same, byte for byte, as without the stop.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from stvg.errors import FormatError, StvgError
from stvg.extras import require
from stvg.formats.atomic import atomic_path
from stvg.progress import Progress

from .rows import COLUMNS, Row
from .sources import Candidate


class Source(Protocol):
    """What is written.

    Attributes:
        name: Of its own in the recipe.
        task: Of all its samples.
        count: Most samples, or None.
        is_costly: Whether a candidate takes so long that none is looked at without need.
    """

    name: str
    task: Any
    count: int | None
    is_costly: bool

    def candidates(self) -> Iterator[Candidate]:
        """Its candidates, always the same in the same order."""


@dataclass
class Note:
    """What was done when a file was finished.

    Attributes:
        rows: Samples in the file; without any there is none.
        drops: Samples that were dropped since the file before, by reason.
        next: Number of the first candidate that was not looked at.
        seconds: Time that this file took.
        is_last: Whether the source is finished.
    """

    rows: int = 0
    drops: Counter[str] = field(default_factory=Counter)
    next: int = 0
    seconds: float = 0.0
    is_last: bool = False


class Shards:
    """The files of one source in a build's folder.

    Args:
        folder: The build's.
        source: What is written.
        size: Fewest samples of a file, but for the last.
    """

    def __init__(self, folder: Path, source: Source, size: int) -> None:
        self.folder, self.source, self.size = folder, source, size
        self.notes: list[Note] = []
        while (path := self._note_path(len(self.notes))).is_file():
            self.notes.append(_read_note(path))

    @property
    def rows(self) -> int:
        """Samples in the finished files."""
        return sum(note.rows for note in self.notes)

    def finish(self, progress: Progress) -> None:
        """Write the files that are not there yet.

        Args:
            progress: Told the samples so far.

        Raises:
            StvgError: As the candidates of the source.
            OutputError: If a file cannot be written.
        """
        if self.notes and self.notes[-1].is_last:
            return
        done = self.notes[-1].next if self.notes else 0
        before = self.rows
        waiting: list[Row] = []
        note, started = Note(), time.perf_counter()
        wanted = self.source.count
        for number, candidate in enumerate(self.source.candidates()):
            note.next = number + 1
            if number < done:
                continue
            made = candidate()
            left = None if wanted is None else wanted - before - len(waiting)
            waiting += made.rows[:left]
            note.drops.update(made.drops)
            note.drops.update("not drawn" for _ in made.rows[len(made.rows[:left]) :])
            progress(before + len(waiting), wanted or before + len(waiting))
            if self.source.is_costly and before + len(waiting) == wanted:
                break  # what comes could only be passed over, and counting it is not worth a look
            if len(waiting) >= self.size:
                note.seconds = time.perf_counter() - started
                self._write(waiting, note)
                before, waiting = before + len(waiting), []
                note, started = Note(next=note.next), time.perf_counter()
        note.seconds, note.is_last = time.perf_counter() - started, True
        if not before + len(waiting):
            self._refuse(note.drops)
        self._write(waiting, note)

    def _refuse(self, drops: Counter[str]) -> None:
        """An error for a source without any sample."""
        reasons = ", ".join(f"{number:,} {reason}" for reason, number in drops.most_common(4))
        raise StvgError(
            f"expected samples in the source {self.source.name}, found none; dropped: {reasons}. "
            "Check its files (`stvg data check` says what is wrong with annotations) and its limits"
        )

    def _write(self, rows: list[Row], note: Note) -> None:
        """Finish a file: first the samples, then the note that they are there."""
        number = len(self.notes)
        note.rows = len(rows)
        if rows:
            name = f"{self.source.name}-{number:05d}.parquet"
            path = self.folder / str(self.source.task) / name
            path.parent.mkdir(exist_ok=True)
            with atomic_path(path) as temporary:
                write_parquet(rows, temporary)
        with atomic_path(self._note_path(number)) as temporary:
            temporary.write_text(json.dumps(vars(note)) + "\n", encoding="utf-8")
        self.notes.append(note)

    def _note_path(self, number: int) -> Path:
        return self.folder / "progress" / f"{self.source.name}-{number:05d}.json"


def write_parquet(rows: list[Row], path: Path) -> None:
    """Write samples as one Parquet file, the same bytes for the same samples.

    Raises:
        MissingExtraError: If ``datasets`` does not import.
    """
    datasets = require("datasets", "data", "writing Uni-STG")
    text, number, whole = (datasets.Value(kind) for kind in ("string", "float64", "int32"))
    kinds = {
        **dict.fromkeys(("width", "height", "frames"), whole),
        **dict.fromkeys(("duration_s", "fps"), number),
        **dict.fromkeys(("clip_s", "interval_s", "times_s"), datasets.List(number)),
        "boxes": datasets.List(datasets.List(number, length=4)),
        "turns": datasets.List({"role": text, "text": text}),
    }
    features = datasets.Features({name: kinds.get(name, text) for name in COLUMNS})
    had_bars = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()  # this package has its own
    try:
        datasets.Dataset.from_list(rows, features=features).to_parquet(path)
    finally:
        if had_bars:
            datasets.enable_progress_bars()


def _read_note(path: Path) -> Note:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return Note(**{**values, "drops": Counter(values["drops"])})
    except (ValueError, TypeError, LookupError) as error:
        raise FormatError(
            f"{path}: expected a note of `stvg data build-uni-stg`, {error}; remove it, and its "
            "file is made again"
        ) from error
