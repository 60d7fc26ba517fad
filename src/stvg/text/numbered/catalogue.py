"""From the name of a grammar of painted numbers to the object that reads and writes it."""

from __future__ import annotations

from stvg.registry import load_subclass, modules_of, reference_of
from stvg.text.numbered.base import Numbered

_PACKAGE = "stvg.text.numbered.grammars"


def available_numbered() -> list[str]:
    """Names of all of them, sorted.

    Example:
        >>> available_numbered()
        ['r1', 'r1_compact']
    """
    return modules_of(_PACKAGE)


def find_numbered(name: str) -> Numbered:
    """The grammar of a name (``r1``) or of a reference (``file.py:Class``).

    Raises:
        UsageError: If there is no such grammar; suggests the nearest name.
    """
    reference = reference_of(name, _PACKAGE, "Grammar", "grammar of painted numbers")
    return load_subclass(reference, Numbered)()
