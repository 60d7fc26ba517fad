"""Base class of every configuration: documented fields, checked at construction, frozen.

A configuration class lives next to the code it configures. Fields carry a description with unit;
unknown keys are errors that suggest the nearest known key, and all faults are reported together.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self, get_args

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

    model_config = ConfigDict(
        frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False
    )

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
                    groups = [str(part) for part in item["loc"][:-1]]
                    known = [".".join([*groups, option]) for option in cls._options_in(groups)]
                    faults.append(f"there is no option {key!r}, {suggest(key, known)}")
                else:
                    faults.append(f"{key}: {item['msg']}, found {item['input']!r:.60}")
            raise UsageError(f"{cls.__name__}: " + "; ".join(faults)) from error

    @classmethod
    def from_assignments(cls, assignments: Sequence[str], /, **values: Any) -> Self:
        """Build from command-line ``key=value`` texts on top of ``values``; values are YAML.

        A dot reaches into an option that is itself a set of options: ``tracking.fps=10``.

        Raises:
            UsageError: If a text has no ``=``, or as :meth:`of`.
        """
        merged: dict[str, Any] = copy.deepcopy(values)  # the caller's groups stay as they are
        for text in assignments:
            key, sign, value = text.partition("=")
            *groups, name = key.strip().split(".")
            if not sign or not all([*groups, name]):
                raise UsageError(f"expected an option as key=value, found {text!r}")
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
            (name, info.get_default(call_default_factory=True), info.description or "")
            for name, info in cls.model_fields.items()
        ]

    @classmethod
    def _options_in(cls, groups: Sequence[str]) -> list[str]:
        """Names of the options of a group, or of a group within a group; sorted."""
        fields = cls.model_fields
        for group in groups:
            kinds = [fields[group].annotation] if group in fields else []
            kinds += [part for kind in kinds for part in get_args(kind)]
            inner = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Config)]
            fields = inner[0].model_fields if inner else {}
        return sorted(fields)


def _plain(value: str, text: str) -> Any:
    """The YAML value of an assignment."""
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"the value in {text!r} is not readable as YAML: {reason}") from error


def read_yaml(path: str | Path) -> Any:
    """What a recipe in YAML holds, not checked yet.

    Raises:
        UsageError: If the file is missing, no text or no YAML.
    """
    try:
        return yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise UsageError(f"expected a recipe at {path}: {reason}") from error
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"the recipe {path} is not readable as YAML: {reason}") from error
