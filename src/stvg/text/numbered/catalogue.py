"""From the name of a grammar of painted numbers to the object that reads and writes it."""

from __future__ import annotations

import pkgutil

import stvg.text.numbered.grammars
from stvg.errors import UsageError
from stvg.registry import load_object, suggest
from stvg.text.numbered.base import Numbered


def available_numbered() -> list[str]:
    """Names of all of them, sorted.

    Example:
        >>> available_numbered()
        ['r1', 'r1_compact']
    """
    return sorted(
        entry.name for entry in pkgutil.iter_modules(stvg.text.numbered.grammars.__path__)
    )


def find_numbered(name: str) -> Numbered:
    """The grammar of a name (``r1``) or of a reference (``file.py:Class``).

    Raises:
        UsageError: If there is no such grammar; suggests the nearest name.
    """
    if ":" not in name:
        known = available_numbered()
        if name not in known:
            raise UsageError(
                f"there is no grammar of painted numbers {name!r}; {suggest(name, known)}; one of "
                "your own is named as file.py:Class"
            )
        name = f"stvg.text.numbered.grammars.{name}:Grammar"
    found = load_object(name)
    if not (isinstance(found, type) and issubclass(found, Numbered)):
        raise UsageError(
            f"expected {name!r} to be a subclass of stvg.text.numbered.Numbered, found {found!r}"
        )
    grammar: Numbered = found()
    return grammar
