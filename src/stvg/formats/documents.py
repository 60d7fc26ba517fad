"""Reading and writing checked JSON documents: what every format of ours has in common.

A document is an object whose field ``format`` names its kind and version, such as
``stvg.prediction/1``; a pydantic model says what else is in it. Unknown fields, wrong types, NaN
and infinity are refused. Each error is one paragraph that names file, place, what was expected,
what was found and what to do. The models live in the modules of the formats.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails, from_json

from stvg import __version__
from stvg.errors import FormatError, UsageError

from .atomic import atomic_path

Model = TypeVar("Model", bound=BaseModel)

KINDS = {
    "stvg.prediction": "one prediction, as `stvg ground --out` writes it",
    "stvg.predictions": "several predictions, as `stvg ground --queries` writes them",
    "stvg.tracks": "the tracks of one video, as `stvg tracks --out` writes them",
}
"""The kinds of document, for messages to people who gave one where another belongs."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""What some editors put before UTF-8 text."""

_LINE_WIDTH = 160
_TYPES = {
    "dict_type": "expected an object",
    "float_type": "expected a number",
    "int_type": "expected a whole number",
    "list_type": "expected a list",
    "model_type": "expected an object",
    "string_type": "expected text",
}


class Checked(BaseModel):
    """Base of all parts of our files: no unknown fields, no type coercion, finite numbers."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class FieldError(ValueError):
    """Raised by validators of whole objects: names the field inside the object."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def read_document(path: str | Path, models: Mapping[str, type[Model]]) -> Model:
    """Read a JSON document of one of several formats and check it.

    Args:
        path: The file.
        models: What may be read: model by value of the field ``format``.

    Returns:
        The document as an instance of the model of its format.

    Raises:
        UsageError: If there is no such file or it cannot be opened.
        FormatError: If it is not JSON, of another kind or version, or does not fit its model.
    """
    try:
        data = Path(path).read_bytes().removeprefix(BYTE_ORDER_MARK)
    except OSError as error:
        raise unreadable(path, error) from error
    document = _parse(Path(path), data)
    return validated(models[_format_of(Path(path), document, list(models))], document, str(path))


def unreadable(path: str | Path, error: OSError) -> UsageError:
    """The error for a file that cannot be opened."""
    reason = "there is no such file" if isinstance(error, FileNotFoundError) else error.strerror
    return UsageError(f"cannot read {path}: {reason}; check the name and the folder")


def validated(model: type[Model], document: Any, place: str) -> Model:
    """Check parsed JSON against a model.

    Args:
        model: What is expected.
        document: Parsed JSON.
        place: Where it comes from, the start of the message: file name, and line if there is one.

    Raises:
        FormatError: If the document does not fit; names the first field that is wrong.
    """
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise FormatError(f"{place}, {describe(error, model)}") from error


def build(model: type[Model], what: str, /, **fields: Any) -> Model:
    """Make a part of a file that is about to be written.

    Args:
        model: The part.
        what: Name of the thing in the message, e.g. ``the prediction``.
        **fields: Its fields; text is cleaned with :func:`clean_text`.

    Raises:
        UsageError: If a reader would refuse the result.
    """
    cleaned = {k: clean_text(v) if isinstance(v, str) else v for k, v in fields.items()}
    try:
        return model(**cleaned)
    except ValidationError as error:
        raise UsageError(f"{what} cannot be written, {describe(error, model)}") from error


def write_document(document: BaseModel, path: str | Path) -> None:
    """Write a document as JSON that people can read: short parts on one line, long ones unfolded.

    Only fields that were given when the document was made are written, so that optional ones stay
    absent.

    Raises:
        OutputError: If the file cannot be written.
    """
    text = "".join(_unfold(document.model_dump(exclude_unset=True), "")) + "\n"
    with atomic_path(path) as temporary:
        temporary.write_text(clean_text(text), encoding="utf-8", newline="\n")


def clean_text(text: str) -> str:
    """``text`` with U+FFFD in place of what UTF-8 cannot hold.

    Half surrogate pairs come from file names that are not Unicode and from model output.

    Example:
        >>> clean_text("half a pair: " + chr(0xD83D)) == "half a pair: " + chr(0xFFFD)
        True
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def require_json(value: Any) -> Any:
    """Refuse what JSON cannot hold: other types, NaN, infinity. For pydantic validators.

    Raises:
        ValueError: If there is such a thing anywhere in ``value``.
    """
    pending = [value]
    while pending:
        each = pending.pop()
        if isinstance(each, dict):
            if not all(isinstance(key, str) for key in each):
                raise ValueError(f"expected text as keys of a JSON object, found {_shown(each)}")
            pending.extend(each.values())
        elif isinstance(each, list | tuple):
            pending.extend(each)
        elif isinstance(each, float) and not math.isfinite(each):
            raise ValueError(f"expected finite numbers, found {each}")
        elif not (each is None or isinstance(each, str | int | float)):
            raise ValueError(
                f"expected JSON values only, found {type(each).__name__} {_shown(each)}"
            )
    return value


def describe(error: ValidationError, model: type[BaseModel]) -> str:
    """The first thing that is wrong, as ``field: expected ..., found ...; what to do``."""
    problems = error.errors(include_url=False)
    problem = problems[0]
    field = _field_path(problem["loc"])
    cause = problem.get("ctx", {}).get("error")
    if isinstance(cause, FieldError):
        field = f"{field}.{cause.field}" if field else cause.field
    message = _expectation(problem, model)
    if problem["type"] not in {"missing", "value_error", "too_long", "too_short"}:
        message += f", found {_shown(problem['input'])}"
    others = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    title = model.model_config.get("title") or model.__name__
    place = f"field {field}: " if field else ""
    return f"{place}{message}{others}; docs/formats.md describes {title}"


def syntax_place(message: str) -> tuple[str, int, int]:
    """Split the message of the JSON parser into what is wrong, line and column (from 1)."""
    found = re.fullmatch(r"(?:Invalid JSON: )?(.*) at line (\d+) column (\d+)", message)
    if found is None:
        return message, 1, 1
    return found[1], int(found[2]), int(found[3])


def _parse(path: Path, data: bytes) -> dict[str, Any]:
    """The JSON object in ``data``."""
    if not data.strip():
        raise FormatError(f"{path} is empty; expected a JSON document, write the file again")
    try:
        document = from_json(data, allow_inf_nan=False)
    except ValueError as error:
        reason, line, column = syntax_place(str(error))
        advice = (
            "it may hold one record a line, the format that `stvg evaluate` reads"
            if reason.startswith("trailing characters")
            else "it may be cut off or edited by hand; write it again or correct that place "
            "(UTF-8, no NaN, no Infinity)"
        )
        raise FormatError(
            f"{path}, line {line}, column {column}: not a JSON document, {reason}; {advice}"
        ) from error
    if not isinstance(document, dict):
        raise FormatError(
            f'{path}: expected a JSON object with a field "format", found {_shown(document)}; give '
            "a file that stvg wrote"
        )
    return document


def _format_of(path: Path, document: dict[str, Any], readable: list[str]) -> str:
    """The document's format, one of ``readable``."""
    found = document.get("format")
    if isinstance(found, str) and found in readable:
        return found
    expected = " or ".join(readable)
    kinds = {name.partition("/")[0]: name for name in readable}
    kind = found.partition("/")[0] if isinstance(found, str) else None
    if kind in kinds:
        raise FormatError(
            f"{path} is in the format {found}, but this stvg {__version__} reads {expected}; "
            "update stvg, or write the file again with this one"
        )
    if kind in KINDS:
        wanted = " or ".join(KINDS[name] for name in kinds)
        raise FormatError(
            f"{path} is a file of another kind: {found}, {KINDS[kind]}; expected {expected}, "
            f"{wanted}"
        )
    saw = (
        f'found "format": {_shown(found)}'
        if "format" in document
        else (f'found no field "format" but {_shown(sorted(document))}')
    )
    raise FormatError(
        f'{path}: expected "format": "{expected}", {saw}; give a file that stvg wrote, '
        "docs/formats.md describes them"
    )


def _expectation(problem: ErrorDetails, model: type[BaseModel]) -> str:
    """What was expected, in our words where the library's would puzzle."""
    kind, context = problem["type"], problem.get("ctx", {})
    if kind == "missing":
        return "the field is missing"
    if kind == "extra_forbidden":
        name = str(problem["loc"][-1])
        known = sorted(set(_field_names(model.model_json_schema())))
        near = difflib.get_close_matches(name, known, 1)
        return "expected no field of this name" + (f" (did you mean {near[0]}?)" if near else "")
    if kind == "value_error":
        return str(context.get("error", problem["msg"]))
    if kind in {"too_long", "too_short"}:
        bound, limit = (
            ("at most", context["max_length"])
            if kind == "too_long"
            else ("at least", context["min_length"])
        )
        values = "value" if limit == 1 else "values"
        return f"expected {bound} {limit} {values}, found {context['actual_length']}"
    if problem["loc"][-1:] == ("[key]",):
        return 'expected a frame number as key, such as "17"'
    message = re.sub("Input should be (?=greater|less)", "expected a number ", problem["msg"])
    return _TYPES.get(kind, message.replace("Input should be", "expected"))


def _field_names(schema: Any) -> Iterator[str]:
    """Names of all fields anywhere in a JSON schema."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        for part in schema.values():
            yield from _field_names(part)


def _field_path(location: tuple[int | str, ...]) -> str:
    """``("boxes", 3, "xyxy")`` as ``boxes[3].xyxy``; keys that are no names as ``["17"]``."""
    path = ""
    for part in location:
        if part == "[key]":
            continue
        if isinstance(part, int):
            path += f"[{part}]"
        elif part.isidentifier():
            path += f".{part}" if path else part
        else:
            path += f"[{json.dumps(part, ensure_ascii=False)}]"
    return path


def _shown(value: Any) -> str:
    """A found value in a message, as JSON, cut to a readable length."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = " ".join(repr(value).split())
    return text if len(text) <= 60 else text[:57] + "..."


def _unfold(value: Any, indent: str) -> Iterator[str]:
    """JSON in pieces; what fits on a line stays on it."""
    compact = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if not isinstance(value, dict | list) or len(indent) + len(compact) <= _LINE_WIDTH:
        yield compact
        return
    is_object = isinstance(value, dict)
    inner = indent + " "
    for index, key in enumerate(value):
        yield ("{" if is_object else "[") if index == 0 else ","
        yield "\n" + inner
        if is_object:
            yield json.dumps(key, ensure_ascii=False) + ": "
        yield from _unfold(value[key] if is_object else key, inner)
    yield "\n" + indent + ("}" if is_object else "]")
