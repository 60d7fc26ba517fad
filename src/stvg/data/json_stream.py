"""Reading a JSON file front to back without holding it: large annotation files, record by record.

:class:`JsonStream` is a small pull parser. The caller walks through the outer objects and lists
with :meth:`JsonStream.members` and :meth:`JsonStream.elements`, and takes each inner value whole
with :meth:`JsonStream.value`, which the standard library's compiled parser makes. In memory is one
value and about a megabyte of text. What is refused: text that is not UTF-8 or not JSON, NaN and
infinity, values that nest too deep. A byte order mark at the start is passed over.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

from stvg.errors import FormatError
from stvg.formats.documents import BYTE_ORDER_MARK, unreadable

_CHUNK_BYTES = 1 << 20
_SPACE = re.compile(r"[ \t\n\r]*")
# A parse that fails this close to the end of the text may only lack what was not read yet: the
# longest thing that fails before its own end, other than a string, is -Infinity.
_MARGIN = 16
_IN_NUMBERS = ".eE"


class JsonStream:
    """A JSON file that is read front to back.

    Args:
        path: The file.
        chunk_bytes: How much is read at a time; smaller only in tests.

    Raises:
        UsageError: If the file cannot be opened.
        FormatError: From any method, where the text is not JSON; names file, line and column.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "records.json"
        >>> _ = path.write_text('{"a": [1, 2], "b": {"c": 3}}')
        >>> with JsonStream(path) as stream:
        ...     [(key, stream.value()) for key in stream.members()]
        [('a', [1, 2]), ('b', {'c': 3})]
    """

    def __init__(self, path: str | Path, *, chunk_bytes: int = _CHUNK_BYTES) -> None:
        self.path = Path(path)
        self._chunk_bytes = chunk_bytes
        try:
            self._file = self.path.open("rb")
        except OSError as error:
            raise unreadable(path, error) from error
        self._decode = codecs.getincrementaldecoder("utf-8-sig")().decode
        self._scan = json.JSONDecoder(parse_constant=_refuse_constant).raw_decode
        self._text, self._at, self._is_whole = "", 0, False
        self._lines_before, self._columns_before = 0, 0  # what was dropped from the text
        self._bytes_before = 0

    def __enter__(self) -> JsonStream:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def next_character(self) -> str:
        """The next character that is not white space, without taking it; empty at the end."""
        while True:
            self._at = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._read_on():
                return ""

    @property
    def offset(self) -> int:
        """Bytes of the file before what comes next."""
        taken = self._text[: self._at]
        return self._bytes_before + (len(taken) if taken.isascii() else len(taken.encode()))

    def members(self) -> Iterator[str]:
        """The keys of the object that comes next; the caller takes the value after each key."""
        self._take("{", "an object")
        if self.next_character() == "}":
            self._at += 1
            return
        while True:
            if self.next_character() != '"':
                self._fail("expected a key in double quotes")
            key: str = self.value()
            self._take(":", "a colon after the key")
            yield key
            if not self._goes_on("}"):
                return

    def elements(self) -> Iterator[int]:
        """Numbers of the elements of the list that comes next; the caller takes each element."""
        self._take("[", "a list")
        if self.next_character() == "]":
            self._at += 1
            return
        number = 0
        while True:
            yield number
            number += 1
            if not self._goes_on("]"):
                return

    def value(self) -> Any:
        """The value that comes next, whole."""
        self.next_character()
        while True:
            try:
                found, end = self._scan(self._text, self._at)
            except json.JSONDecodeError as error:
                ahead = error.pos - self._at
                is_cut = error.msg.startswith("Unterminated") or (
                    error.pos >= len(self._text) - _MARGIN
                )
                if not (is_cut and self._read_on()):
                    self._fail(error.msg[0].lower() + error.msg[1:], self._at + ahead)
            except RecursionError:
                self._fail("lists and objects are nested too deep")
            except _ConstantError as error:
                self._fail(str(error))
            except ValueError:
                self._fail("a whole number has thousands of digits")
            else:
                # A number may go on in what was not read yet: 1 may be 12, 1. may be 1.5.
                is_final = end < len(self._text) and self._text[end] not in _IN_NUMBERS
                if is_final or not self._read_on():
                    self._at = end
                    return found

    def finish(self) -> None:
        """Make sure that nothing but white space is left."""
        if self.next_character():
            self._fail("expected the end of the file, found more text")

    def _goes_on(self, closing: str) -> bool:
        """Take the comma before the next member (True) or the closing bracket (False)."""
        found = self.next_character()
        if found not in {",", closing} or not found:
            self._fail(f"expected a comma or {closing!r}")
        self._at += 1
        return found == ","

    def _take(self, character: str, what: str) -> None:
        if self.next_character() != character:
            self._fail(f"expected {what}")
        self._at += 1

    def _read_on(self) -> bool:
        """Read more text; False at the end of the file."""
        if self._is_whole:
            return False
        dropped, self._text, self._at = self._text[: self._at], self._text[self._at :], 0
        self._bytes_before += len(dropped) if dropped.isascii() else len(dropped.encode())
        self._lines_before += dropped.count("\n")
        last = dropped.rfind("\n")
        self._columns_before = len(dropped) - last - 1 + (self._columns_before if last < 0 else 0)
        # Doubling keeps the work linear when one value is larger than a chunk.
        is_start = self._file.tell() == 0
        raw = self._file.read(max(self._chunk_bytes, len(self._text)))
        if is_start and raw.startswith(BYTE_ORDER_MARK):
            self._bytes_before += len(BYTE_ORDER_MARK)
        self._is_whole = not raw
        try:
            self._text += self._decode(raw, final=self._is_whole)
        except UnicodeDecodeError as error:
            raise FormatError(
                f"{self.path}: not UTF-8 text, {error.reason} after line {self._lines_before + 1}; "
                "it may be another kind of file, or compressed"
            ) from error
        return not self._is_whole

    def _fail(self, reason: str, at: int | None = None) -> NoReturn:
        """Raise the error for the text at a place, the current one by default."""
        at = self._at if at is None else at
        line = self._lines_before + self._text.count("\n", 0, at) + 1
        last = self._text.rfind("\n", 0, at)
        column = at - last + (self._columns_before if last < 0 else 0)
        is_cut = self._is_whole and (at >= len(self._text) or reason.startswith("unterminated"))
        if is_cut and not (self._text.strip() or self._lines_before or self._columns_before):
            raise FormatError(f"{self.path} is empty; get the file again")
        advice = (
            "the file ends before its data does and was probably cut off, get it again"
            if is_cut
            else "correct that place or get the file again (UTF-8, no NaN, no Infinity)"
        )
        raise FormatError(
            f"{self.path}, line {line}, column {column}: not JSON, {reason}; {advice}"
        )


class _ConstantError(ValueError):
    """NaN or infinity."""


def _refuse_constant(name: str) -> NoReturn:
    raise _ConstantError(f"{name} is no JSON value")
