"""From the name of an answer grammar to the object that reads and writes it.

A grammar is a module of :mod:`stvg.text.codecs` with a class ``Codec`` whose ``name`` is the
module's name; nothing lists it. Users name their own as ``path/to/file.py:Class``.
"""

from __future__ import annotations

from stvg.registry import load_subclass, modules_of, reference_of

from .codec import Codec

_PACKAGE = "stvg.text.codecs"


def available_codecs() -> list[str]:
    """Names of all grammars, sorted.

    Example:
        >>> available_codecs()
        ['compact', 'o1', 'o1_compact', 'qwen2_5_json', 'thousandths_json']
    """
    return modules_of(_PACKAGE)


def find_codec(name: str) -> Codec:
    """The grammar of a name (``compact``) or of a reference (``file.py:Class``).

    Raises:
        UsageError: If there is no such grammar; suggests the nearest name.

    Example:
        >>> find_codec("compact").name
        'compact'
    """
    reference = reference_of(name, _PACKAGE, "Codec", "answer grammar")
    return load_subclass(reference, Codec)()
