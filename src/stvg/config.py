"""Base class of every configuration: documented fields, checked at construction, frozen.

A configuration class lives next to the code it configures. Fields carry a description with unit;
unknown keys are errors that suggest the nearest known key, and all faults are reported together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from stvg.errors import UsageError
from stvg.registry import suggest


class Config(BaseModel):
    """A frozen set of options; subclasses declare fields with ``Field(default, description=...)``.

    Example:
        >>> class Size(Config):
        ...     width: int = 4
        >>> Size.of({"width": "8"}).width
        8
        >>> Size.of({"widht": 8})
        Traceback (most recent call last):
        ...
        stvg.errors.UsageError: Size: there is no option 'widht', did you mean 'width'?
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Build from plain values, turning every fault into one readable error.

        Raises:
            UsageError: Naming each unknown key (with a suggestion) and each bad value.
        """
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            faults = []
            for item in error.errors():
                key = ".".join(str(part) for part in item["loc"]) or "options"
                if item["type"] == "extra_forbidden":
                    hint = suggest(key, sorted(cls.model_fields))
                    faults.append(f"there is no option {key!r}, {hint}")
                else:
                    faults.append(f"{key}: {item['msg']}, found {item['input']!r:.60}")
            raise UsageError(f"{cls.__name__}: " + "; ".join(faults)) from error

    @classmethod
    def from_assignments(cls, assignments: Sequence[str], **values: Any) -> Self:
        """Build from command-line ``key=value`` texts on top of ``values``; values are YAML.

        A dot reaches into an option that is itself a set of options: ``tracking.fps=10``.

        Raises:
            UsageError: If a text has no ``=``, or as :meth:`of`.
        """
        merged: dict[str, Any] = dict(values)
        for text in assignments:
            key, sign, value = text.partition("=")
            if not sign or not key.strip():
                raise UsageError(f"expected an option as key=value, found {text!r}")
            *groups, name = key.strip().split(".")
            place = merged
            for group in groups:
                place = place.setdefault(group, {})
                if not isinstance(place, dict):
                    raise UsageError(f"{group!r} in {text!r} is given whole and in parts")
            place[name] = _plain(value, text)
        return cls.of(merged)

    @classmethod
    def describe(cls) -> list[tuple[str, Any, str]]:
        """Name, default and description of every option, for help texts and documentation."""
        return [
            (name, info.default, info.description or "") for name, info in cls.model_fields.items()
        ]


def _plain(value: str, text: str) -> Any:
    """The YAML value of an assignment."""
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise UsageError(f"the value in {text!r} is not readable as YAML: {error}") from error
