"""What a format is: a name, a suffix, and one function that writes.

A format is a module of :mod:`stvg.export.formats` with a class ``Format`` whose ``name`` is the
module's name; nothing lists it. Users name their own as ``path/to/file.py:Class``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from stvg.errors import UsageError
from stvg.export.objects import ExportedVideo
from stvg.registry import load_subclass, modules_of, reference_of

TOLERANCE_PX = 0.01
"""How far an interpolated box may lie from the true one: the last digit that CVAT writes."""

_PACKAGE = "stvg.export.formats"


class Format(ABC):
    """A file format of another tool.

    Attributes:
        name: The name users type, the same as the module's.
        title: What people call it.
        suffix: Of its files.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    suffix: ClassVar[str]

    def file_name(self, stem: str) -> str:
        """What a file is called that has the form of ``stem`` in this format.

        Example:
            >>> find_format("cvat").file_name("dog"), find_format("csv").file_name("dog")
            ('dog.cvat.xml', 'dog.csv')
        """
        ending = self.suffix.removeprefix(f".{self.name}")  # no dog.csv.csv
        return f"{stem}.{self.name}{ending}"

    @abstractmethod
    def write(
        self, exported: ExportedVideo, path: Path, *, tolerance_px: float = TOLERANCE_PX
    ) -> None:
        """Write the objects of a video.

        Args:
            exported: What to write.
            path: The file; appears whole or not at all.
            tolerance_px: How far the boxes of a format with keyframes may be off when the tool
                interpolates them, pixels; formats that write every box have no use for it.

        Raises:
            OutputError: If the file cannot be written.
        """


def available_formats() -> list[str]:
    """Names of all formats, sorted.

    Example:
        >>> available_formats()
        ['coco', 'coco_video', 'csv', 'cvat', 'labelstudio', 'mot']
    """
    return modules_of(_PACKAGE)


def find_format(name: str) -> Format:
    """The format of a name (``cvat``) or of a reference (``file.py:Class``).

    Raises:
        UsageError: If there is no such format, with the nearest name, or the class lacks something.

    Example:
        >>> find_format("mot").title
        'MOTChallenge'
    """
    reference = reference_of(name, _PACKAGE, "Format", "export format")
    found = load_subclass(reference, Format)
    missing = [part for part in ("name", "title", "suffix") if not hasattr(found, part)]
    missing += found.__abstractmethods__
    if missing:
        raise UsageError(
            f"expected a format from {reference}, found one without {', '.join(missing)}; see "
            "stvg.export.base"
        )
    return found()
