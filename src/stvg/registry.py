"""From a name that a user typed to the object behind it.

Methods are found by their folder (``stvg/methods/<name>/``), nothing is listed anywhere. Every
place that takes a name also takes ``package.module:attribute`` or ``path/to/file.py:attribute``,
so that a user's own method or detector needs no change to the package.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar, cast

from stvg.errors import UsageError

Base = TypeVar("Base")


def available(package: str) -> list[str]:
    """Names of the public folders (subpackages) of a package, sorted.

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


def suggest(name: str, known: Sequence[str]) -> str:
    """``did you mean X?`` for a mistyped name, else the list of known names.

    Example:
        >>> suggest("bytetrak", ["bytetrack", "sort"])
        "did you mean 'bytetrack'?"
        >>> suggest("x", ["bytetrack", "sort"])
        'known: bytetrack, sort'
    """
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known) or 'none'}"


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
        module = (
            _load_file(Path(place)) if place.endswith(".py") else importlib.import_module(place)
        )
    except UsageError:
        raise
    except Exception as error:  # whatever a user's own file raises while it is imported
        raise UsageError(
            f"{reference!r} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    if not hasattr(module, attribute):
        public = [name for name in vars(module) if not name.startswith("_")]
        raise UsageError(f"{place} has no attribute {attribute!r}; {suggest(attribute, public)}")
    return getattr(module, attribute)


def reference_of(name: str, package: str, attribute: str, noun: str) -> str:
    """The reference ``package.name:attribute`` of a module's name; a reference as it is.

    Args:
        name: Of a module of the package, or a reference.
        package: Whose modules are the known ones, but ``base``.
        attribute: What each of them has.
        noun: What it is called in messages.

    Raises:
        UsageError: If there is no such module; suggests the nearest name.

    Example:
        >>> reference_of("compact", "stvg.text.codecs", "Codec", "answer grammar")
        'stvg.text.codecs.compact:Codec'
    """
    if ":" in name:
        return name
    known = modules_of(package)
    if name not in known:
        raise UsageError(
            f"there is no {noun} {name!r}; {suggest(name, known)}; one of your own is named as "
            "file.py:Class"
        )
    return f"{package}.{name}:{attribute}"


def modules_of(package: str) -> list[str]:
    """Names of the modules of a package but ``base``, sorted; see :func:`reference_of`."""
    module = importlib.import_module(package)
    names = (entry.name for entry in pkgutil.iter_modules(module.__path__))
    return sorted(name for name in names if name != "base")


def load_subclass(reference: str, base: Callable[..., Base]) -> type[Base]:
    """The class that a reference names.

    Raises:
        UsageError: If there is none, or it does not derive from ``base``.
    """
    found, kind = load_object(reference), base
    assert isinstance(kind, type)
    if not (isinstance(found, type) and issubclass(found, kind)):
        raise UsageError(
            f"expected {reference!r} to be a subclass of {kind.__module__}.{kind.__qualname__}, "
            f"found {found!r}"
        )
    return cast(type[Base], found)


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


def _load_file(path: Path) -> ModuleType:
    """Import a file that lies anywhere, under a name of its own."""
    if not path.is_file():
        raise UsageError(f"expected a Python file at {path}, found none")
    mark = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]
    spec = importlib.util.spec_from_file_location(f"{path.stem}_{mark}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and pickle look it up
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[spec.name]
        raise
    return module
