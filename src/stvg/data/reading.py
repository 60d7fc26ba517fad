"""What the readers of annotation files share: entry by entry, lazily, with errors that help.

A reader says in :meth:`FileBenchmark.parts` what the entries of a file are; each part makes the
records of one entry when it is called. From that follow ``read``, which stops at the first entry
that is not in order, and ``attempt``, which names it and goes on.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from stvg.errors import FormatError, UsageError
from stvg.formats.documents import syntax_place, unreadable
from stvg.registry import suggest

from .base import Benchmark, Record
from .json_stream import JsonStream
from .recognise import head_of

Part = Callable[[], Iterable[Record]]
"""Makes the records of one entry of a file."""


class FileBenchmark(Benchmark):
    """A benchmark whose file is a sequence of entries."""

    @abstractmethod
    def parts(self, path: Path, companions: Mapping[str, Path]) -> Iterator[Part]:
        """The entries of a file, lazily, in its order; each makes its records when called.

        Raises:
            FormatError: While iterating, where the file as a whole is not in order; from a part,
                where its entry is not.
        """

    def read(self, path: Path, **companions: Path) -> Iterator[Record]:
        """Read an annotation file; see :meth:`stvg.data.base.Benchmark.read`."""
        for found in self.attempt(path, **companions):
            if isinstance(found, FormatError):
                raise found
            yield found

    def attempt(self, path: Path, **companions: Path) -> Iterator[Record | FormatError]:
        """Read an annotation file; an entry that is not in order is given as its error."""
        path = Path(path)
        unknown = sorted(set(companions) - set(self.companions))
        if unknown:
            known = list(self.companions)
            hint = suggest(unknown[0], known) if known else "it reads no other file"
            raise UsageError(f"{self.title} knows no companion file {unknown[0]!r}; {hint}")
        parts = self.parts(path, {name: Path(each) for name, each in companions.items()})
        is_first = True
        while True:
            try:
                part = next(parts, None)  # after an error of the file as a whole: None
                if part is None:
                    return
                found: Iterable[Record | FormatError] = list(part())
            except FormatError as error:
                if is_first:
                    self._refuse_other(path, error)
                found = [error]
            is_first = False
            yield from found

    def _refuse_other(self, path: Path, error: FormatError) -> None:
        """Where the first entry is not in order, say which benchmark the file looks like."""
        from .catalogue import benchmark_of

        if self.recognises(head_of(path)):
            return
        other = benchmark_of(path)
        if other is not None and other.name != self.name:
            raise FormatError(
                f"{path}: expected annotations of {self.title}, but this looks like {other.title}; "
                f"give the file to {other.name}, or another file to {self.name} (docs/data.md "
                "describes both)"
            ) from error


def object_values(path: Path, title: str, what: str) -> Iterator[tuple[str, Any]]:
    """The members of a file that is one JSON object, one after the other.

    Args:
        path: The file.
        title: The benchmark, for messages.
        what: What the members are, ``one record a video``.

    Raises:
        FormatError: If the file is something else or not JSON.
    """
    with JsonStream(path) as stream:
        _expect(stream, "{", title, what)
        for key in stream.members():
            yield key, stream.value()
        stream.finish()


def list_values(path: Path, title: str, what: str) -> Iterator[tuple[int, Any]]:
    """The elements of a file that is one JSON list, with their numbers from 0.

    Raises:
        FormatError: If the file is something else or not JSON.
    """
    with JsonStream(path) as stream:
        _expect(stream, "[", title, what)
        for number in stream.elements():
            yield number, stream.value()
        stream.finish()


def text_lines(path: Path, encoding: str = "utf-8-sig") -> Iterator[tuple[int, str]]:
    """The lines of a text file that are not empty, with their numbers from 1.

    Raises:
        UsageError: If the file cannot be opened.
        FormatError: If it is not text.
    """
    try:
        with path.open(encoding=encoding) as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line.strip()
    except OSError as error:
        raise unreadable(path, error) from error
    except UnicodeDecodeError as error:
        raise FormatError(f"{path}: expected text, found bytes that are no {encoding}") from error


def json_line(line: str, place: str) -> Any:
    """The value in one line of JSON lines.

    Raises:
        FormatError: If the line is not JSON.
    """
    try:
        return from_json(line, allow_inf_nan=False)
    except ValueError as error:
        reason, _, column = syntax_place(str(error))
        raise FormatError(
            f"{place}, column {column}: not JSON, {reason}; the line may be cut off, get the file "
            "again"
        ) from error


def _expect(stream: JsonStream, opening: str, title: str, what: str) -> None:
    """Refuse a file that does not start with the bracket that is expected."""
    found = stream.next_character()
    if found == opening:
        return
    kinds = {"{": "an object", "[": "a list", "": "an empty file"}
    raise FormatError(
        f"{stream.path}: expected {title}, {kinds[opening]} of {what}, found "
        f"{kinds.get(found, 'something else')}; docs/data.md describes {title}"
    )
