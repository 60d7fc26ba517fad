"""The beginning of a file, enough to tell which benchmark it belongs to.

People give the file of one benchmark where another belongs. Each benchmark says in its
``recognises`` whether a beginning looks like its own, so that the error can name what was given.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic_core import from_json

_HEAD_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class Head:
    """How a file starts.

    Attributes:
        text: Its first line, at most 1,000 characters; empty where it is not text.
        value: What the start holds as JSON: an object or list without its later part, or the first
            line of JSON lines; None where it is not JSON.
    """

    text: str
    value: Any

    @property
    def first_key(self) -> str:
        """The first key, when the file is an object; else empty."""
        return next(iter(self.value), "") if isinstance(self.value, dict) else ""

    @property
    def first(self) -> Any:
        """The first element of a list, or the first value of an object; None where there is none.

        It may lack its later part.
        """
        if isinstance(self.value, dict):
            return next(iter(self.value.values()), None)
        return self.value[0] if isinstance(self.value, list) and self.value else None

    def has(self, *fields: str) -> bool:
        """Whether the first element or value is an object with these fields."""
        return isinstance(self.first, dict) and all(name in self.first for name in fields)

    def is_object_with(self, *fields: str) -> bool:
        """Whether the file itself is an object with these fields."""
        return isinstance(self.value, dict) and all(name in self.value for name in fields)


def head_of(path: Path) -> Head:
    """How a file starts; nothing is known about one that cannot be read."""
    try:
        with path.open("rb") as file:
            data = file.read(_HEAD_BYTES)
    except OSError:
        return Head("", None)
    text = data.decode("utf-8", "ignore").removeprefix("\ufeff")
    line = text.lstrip().partition("\n")[0]
    for candidate in (text, line):
        try:
            return Head(line[:1000], from_json(candidate, allow_partial="trailing-strings"))
        except ValueError:
            continue
    return Head(line[:1000] if b"\0" not in data else "", None)
