"""From the name of an answer grammar to the object that reads and writes it.

A grammar is a module of :mod:`stvg.text.codecs` with a class ``Codec`` whose ``name`` is the
module's name; nothing lists it. Users name their own as ``path/to/file.py:Class``.
"""

from __future__ import annotations

import pkgutil

import stvg.text.codecs
from stvg.errors import UsageError
from stvg.registry import load_object, suggest

from .codec import Codec


def available_codecs() -> list[str]:
    """Names of all grammars, sorted.

    Example:
        >>> available_codecs()
        ['compact', 'o1', 'o1_compact', 'qwen2_5_json', 'thousandths_json']
    """
    return sorted(entry.name for entry in pkgutil.iter_modules(stvg.text.codecs.__path__))


def find_codec(name: str) -> Codec:
    """The grammar of a name (``compact``) or of a reference (``file.py:Class``).

    Raises:
        UsageError: If there is no such grammar; suggests the nearest name.

    Example:
        >>> find_codec("compact").name
        'compact'
    """
    if ":" not in name:
        known = available_codecs()
        if name not in known:
            raise UsageError(
                f"there is no answer grammar {name!r}; {suggest(name, known)}; one of your own is "
                "named as file.py:Class"
            )
        name = f"stvg.text.codecs.{name}:Codec"
    found = load_object(name)
    if not (isinstance(found, type) and issubclass(found, Codec)):
        raise UsageError(
            f"expected {name!r} to be a subclass of stvg.text.codec.Codec, found {found!r}"
        )
    codec: Codec = found()
    return codec
