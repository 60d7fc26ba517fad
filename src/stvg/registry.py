"""From a name that a user typed to the object behind it.

Methods are found by their folder (``stvg/methods/<name>/``), nothing is listed anywhere. Every
place that takes a name also takes ``package.module:attribute`` or ``path/to/file.py:attribute``,
so that a user's own method or detector needs no change to the package.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import pkgutil
from pathlib import Path
from typing import Any

from stvg.errors import UsageError


def available(package: str) -> list[str]:
    """Names of the public submodules of a package, sorted.

    Example:
        >>> "track_match" in available("stvg.methods")
        True
    """
    module = importlib.import_module(package)
    return sorted(
        entry.name
        for entry in pkgutil.iter_modules(module.__path__)
        if entry.ispkg and not entry.name.startswith("_")
    )


def suggest(name: str, known: list[str]) -> str:
    """``did you mean X?`` for a mistyped name, else the list of known names."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"


def load_object(reference: str) -> Any:
    """The object that ``package.module:attribute`` or ``path/to/file.py:attribute`` names.

    Raises:
        UsageError: If the module or file does not import or lacks the attribute.

    Example:
        >>> load_object("fractions:Fraction")
        <class 'fractions.Fraction'>
    """
    place, _, attribute = reference.rpartition(":")
    if not place or not attribute:
        raise UsageError(
            f"expected package.module:attribute or path/to/file.py:attribute, found {reference!r}"
        )
    try:
        if place.endswith(".py"):
            path = Path(place)
            spec = importlib.util.spec_from_file_location(path.stem, path)
            if spec is None or spec.loader is None or not path.is_file():
                raise UsageError(f"expected a Python file at {place}, found none")
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        else:
            module = importlib.import_module(place)
    except ImportError as error:
        raise UsageError(f"{reference!r} cannot be imported: {error}") from error
    if not hasattr(module, attribute):
        raise UsageError(f"{place} has no attribute {attribute!r}")
    return getattr(module, attribute)


def find_method(name: str) -> Any:
    """The method class of a name (``track_match``) or of a reference (``file.py:Class``).

    A method's folder exports its class as ``Method`` in ``__init__.py``.

    Raises:
        UsageError: If there is no such method; suggests the nearest name.
    """
    if ":" in name:
        return load_object(name)
    known = available("stvg.methods")
    if name not in known:
        raise UsageError(f"there is no method {name!r}; {suggest(name, known)}")
    return load_object(f"stvg.methods.{name}:Method")
