"""Looking into one entry of an annotation file: fields with their types, and errors that say where.

An :class:`Entry` is a JSON object together with its place in a file. Its methods give a field in
the type that is asked for or raise a :class:`~stvg.errors.FormatError` of one paragraph: place,
field, what was expected, what was found. Nothing is converted: text is no number, NaN and infinity
are refused. Whether a value makes sense (a box inside the image, a span inside the video) is not
judged here; ``stvg data check`` does that.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal, TypeGuard

import numpy as np

from stvg.errors import FormatError, UsageError
from stvg.types import RLE, FloatArray, Query

_LARGEST = 2**53  # above it not every whole number is a float
_HUGE = 1e300


@dataclass(frozen=True, slots=True)
class Entry:
    """One object of an annotation file.

    Attributes:
        values: Its fields.
        place: Where it stands: ``test.json, record 17``, or with a field inside the record.
        title: The benchmark, for messages.

    Example:
        >>> entry = Entry({"fps": "25"}, "test.json, record 3", "VidSTG")
        >>> entry.number("fps")
        Traceback (most recent call last):
        ...
        stvg.errors.FormatError: test.json, record 3, field fps: expected a number, found "25"; ...
    """

    values: Mapping[str, Any]
    place: str
    title: str

    @classmethod
    def of(cls, value: Any, place: str, title: str) -> Entry:
        """The entry of a parsed value that should be an object.

        Raises:
            FormatError: If it is something else.
        """
        if isinstance(value, dict):
            return cls(value, place, title)
        raise FormatError(
            f"{place}: expected an object, found {shown(value)}; docs/data.md describes {title}"
        )

    def wrong(self, field: str, expected: str, found: Any = ...) -> FormatError:
        """The error for a field that is not what it should be.

        Args:
            field: Its name, or a path such as ``bbox[3]``.
            expected: What should be there, ``a number``.
            found: What is there; by default the field's own value.
        """
        if found is ... and field not in self.values:
            has = ", ".join(str(key) for key in list(self.values)[:12]) or "none"
            problem = f"but the field is missing (there are: {has})"
        else:
            problem = f"found {shown(self.values.get(field) if found is ... else found)}"
        return FormatError(
            f"{self.place}, field {field}: expected {expected}, {problem}; docs/data.md describes "
            f"{self.title}"
        )

    def text(self, field: str) -> str:
        """A field that is text."""
        value = self.values.get(field)
        if not isinstance(value, str):
            raise self.wrong(field, "text")
        return value

    def number(self, field: str) -> float:
        """A field that is a finite number."""
        value = self.values.get(field)
        if not _is_number(value):
            raise self.wrong(field, "a number")
        return float(value)

    def whole(self, field: str, at_least: int | None = None) -> int:
        """A field that is a whole number, ``25`` or ``25.0``."""
        value = self.values.get(field)
        bound = "" if at_least is None else f" of at least {at_least}"
        if not _is_number(value) or value != int(value) or abs(value) > _LARGEST:
            raise self.wrong(field, f"a whole number{bound}")
        if at_least is not None and value < at_least:
            raise self.wrong(field, f"a whole number{bound}")
        return int(value)

    def name(self, field: str) -> str:
        """A field that names something: text, or a whole number that is taken as text."""
        value = self.values.get(field)
        if isinstance(value, str) and value:
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        raise self.wrong(field, "a name")

    def inner(self, field: str) -> Entry:
        """A field that is an object."""
        value = self.values.get(field)
        if not isinstance(value, dict):
            raise self.wrong(field, "an object")
        return Entry(value, f"{self.place}, field {field}", self.title)

    def sequence(self, field: str, of: str = "a list") -> list[Any]:
        """A field that is a list."""
        value = self.values.get(field)
        if not isinstance(value, list):
            raise self.wrong(field, of)
        return value

    def inner_list(self, field: str) -> Iterator[Entry]:
        """The objects of a field that is a list of objects."""
        for number, value in enumerate(self.sequence(field, "a list of objects")):
            yield Entry.of(value, f"{self.place}, field {field}[{number}]", self.title)

    def members(self, field: str) -> Iterator[tuple[str, Entry]]:
        """The members of a field that is an object of objects, by key."""
        for key, value in self.inner(field).values.items():
            yield (
                key,
                Entry.of(value, f"{self.place}, field {field}[{json.dumps(key)}]", self.title),
            )

    def names(self, field: str) -> tuple[str, ...]:
        """A field that is a list of names (text or whole numbers)."""
        values = self.sequence(field, "a list of names")
        for number, value in enumerate(values):
            if isinstance(value, bool) or not isinstance(value, str | int):
                raise self.wrong(f"{field}[{number}]", "a name", value)
        return tuple(str(value) for value in values)

    def rows(self, field: str, columns: int, what: str) -> FloatArray:
        """A field that is a list of N lists of numbers, as (N, columns) float64.

        Args:
            field: Its name.
            columns: Numbers in each list.
            what: One of the lists in a message, ``[x, y, width, height]``.
        """
        return self.rows_of(self.sequence(field, f"a list of {what}"), field, columns, what)

    def rows_of(self, values: list[Any], field: str, columns: int, what: str) -> FloatArray:
        """As :meth:`rows`, of a list that was taken out already."""
        try:
            flat = list(chain.from_iterable(values))
            if set(map(len, values)) <= {columns} and set(map(type, flat)) <= {int, float}:
                array = np.array(flat, np.float64).reshape(-1, columns)  # (N, columns)
                if np.isfinite(array).all():
                    return array
        except (TypeError, OverflowError):
            pass
        for number, row in enumerate(values):
            is_row = isinstance(row, list) and len(row) == columns and all(map(_is_number, row))
            if not is_row:
                raise self.wrong(f"{field}[{number}]", f"{what}, all numbers", row)
        raise self.wrong(field, f"a list of {what}", values)

    def four(self, field: str) -> FloatArray:
        """A field that is a box ``[x, y, width, height]``, as (4,) in that form."""
        value = self.sequence(field, "[x, y, width, height]")
        return self.rows_of([value], field, 4, "[x, y, width, height]").reshape(4)

    def query(
        self,
        field: str,
        *,
        query_id: str,
        form: Literal["declarative", "interrogative"] | None = None,
        asks: Literal["tube", "object", "objects"] = "tube",
    ) -> Query:
        """A field that is the sentence."""
        text = self.text(field)
        try:
            return Query(text, form, query_id, asks)
        except UsageError as error:
            raise self.wrong(field, "a sentence that is not empty") from error


def corners(boxes: FloatArray) -> FloatArray:
    """Boxes ``[x, y, width, height]`` (..., 4) as ``xyxy`` (..., 4), negative sizes kept."""
    return np.concatenate([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], axis=-1)


def rle_of(value: Any, entry: Entry, field: str) -> RLE | None:
    """A mask in COCO run-length encoding, or None for ``null``.

    Raises:
        FormatError: If it is not ``{"size": [height, width], "counts": text}``.
    """
    if value is None:
        return None
    size = value.get("size") if isinstance(value, dict) else None
    is_size = isinstance(size, list) and [type(number) for number in size] == [int, int]
    if not is_size or not isinstance(value.get("counts"), str | list):
        raise entry.wrong(field, '{"size": [height, width], "counts": ...} or null', value)
    return {"size": size, "counts": value["counts"]}


def shown(value: Any) -> str:
    """A found value in a message, as JSON, cut to a readable length."""
    if isinstance(value, Sequence | Mapping) and len(value) > 20:
        kind = {list: "a list", dict: "an object"}.get(type(value))
        if kind is not None:
            return f"{kind} of {len(value)}"
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = " ".join(repr(value).split())
    return text if len(text) <= 60 else text[:57] + "..."


def _is_number(value: Any) -> TypeGuard[int | float]:
    """Whether a parsed value is a finite number; true and false are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < _HUGE  # NaN is not below anything
