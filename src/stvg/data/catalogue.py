"""From the name of a benchmark to the object that reads it.

A benchmark is a module of this package with a class ``Benchmark`` whose ``name`` is the module's
name; nothing lists it. Users name their own as ``path/to/file.py:Class``.
"""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import stvg.data
from stvg.errors import UsageError
from stvg.registry import load_object, suggest

from .base import Benchmark
from .recognise import head_of


def available_benchmarks() -> list[str]:
    """Names of all benchmarks, sorted.

    Example:
        >>> "vidstg" in available_benchmarks()
        True
    """
    names = sorted(entry.name for entry in pkgutil.iter_modules(stvg.data.__path__))
    return [name for name in names if _class_in(name) is not None]


def find_benchmark(name: str) -> Benchmark:
    """The benchmark of a name (``hcstvg_v1``) or of a reference (``file.py:Class``).

    Raises:
        UsageError: If there is no such benchmark; suggests the nearest name.

    Example:
        >>> find_benchmark("hcstvg_v1").title
        'HC-STVG v1'
    """
    if ":" in name:
        found = load_object(name)
        if not (isinstance(found, type) and issubclass(found, Benchmark)):
            raise UsageError(
                f"expected {name!r} to be a subclass of stvg.data.base.Benchmark, found {found!r}"
            )
        return found()
    modules = {entry.name for entry in pkgutil.iter_modules(stvg.data.__path__)}
    kind = _class_in(name) if name in modules else None
    if kind is None:
        raise UsageError(
            f"there is no benchmark {name!r}; {suggest(name, available_benchmarks())}; a reader of "
            "your own is named as file.py:Class"
        )
    return kind()


def benchmark_of(path: Path) -> Benchmark | None:
    """The benchmark that a file belongs to by its beginning, or None where that is not clear."""
    head = head_of(path)
    found = [b for b in map(find_benchmark, available_benchmarks()) if b.recognises(head)]
    return found[0] if found else None


def _class_in(name: str) -> type[Benchmark] | None:
    """The benchmark that a module of this package holds, or None."""
    kind = getattr(importlib.import_module(f"stvg.data.{name}"), "Benchmark", None)
    return kind if kind is not None and getattr(kind, "name", None) == name else None
