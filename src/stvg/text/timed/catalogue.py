"""From the name of a grammar of intervals to the object that reads and writes it."""

from __future__ import annotations

from stvg.registry import load_subclass, modules_of, reference_of
from stvg.text.timed.base import Timed

_PACKAGE = "stvg.text.timed.grammars"


def available_timed() -> list[str]:
    """Names of all of them, sorted.

    Example:
        >>> available_timed()
        ['frames', 'seconds']
    """
    return modules_of(_PACKAGE)


def find_timed(name: str) -> Timed:
    """The grammar of a name (``seconds``) or of a reference (``file.py:Class``).

    Raises:
        UsageError: If there is no such grammar; suggests the nearest name.
    """
    reference = reference_of(name, _PACKAGE, "Grammar", "grammar of intervals")
    return load_subclass(reference, Timed)()
