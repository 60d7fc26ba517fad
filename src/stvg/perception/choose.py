"""From what a user types to a detector.

The name of known YOLOX weights, a path to a YOLOX ``.onnx`` file, ``blobs`` or ``figures``, a hub
id or folder of a ``transformers`` detector, or ``file.py:Class`` for one's own; and any of them
reduced to some of its classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stvg.errors import UsageError
from stvg.perception import yolox
from stvg.perception.blobs import BlobDetector
from stvg.perception.detect import Detections, Detector
from stvg.perception.figures import FigureDetector
from stvg.progress import Progress, no_progress
from stvg.registry import load_object, suggest
from stvg.types import ByteArray

_WITHOUT_WEIGHTS: dict[str, Callable[[float], Detector]] = {
    "blobs": BlobDetector,
    "figures": FigureDetector,
}


def load_detector(
    name: str, *, threshold: float = 0.1, threads: int = 0, progress: Progress = no_progress
) -> Detector:
    """The detector behind a name, a path, a hub id or a reference.

    Args:
        name: ``yolox_nano``; ``path/to/model.onnx`` (YOLOX); ``blobs``, ``figures`` (drawn clips);
            a hub id such as ``IDEA-Research/grounding-dino-tiny`` or a local folder
            (``transformers``); or ``package.module:Class`` / ``file.py:Class``, called with
            ``threshold``.
        threshold: Boxes below this confidence are dropped, in [0, 1).
        threads: CPU threads, 0 for all.
        progress: Told about bytes while weights are fetched.

    Raises:
        UsageError: If the name means nothing.
        MissingExtraError: If its extra is not installed.
        WeightsError: If its weights cannot be had or read.
    """
    if not 0 <= threshold < 1:
        raise UsageError(f"expected a detection threshold in [0, 1), found {threshold}")
    if name in _WITHOUT_WEIGHTS:
        return _WITHOUT_WEIGHTS[name](threshold)
    if ":" in name and not Path(name).exists():
        return _own_detector(name, threshold)
    if name in yolox.PUBLISHED or name.endswith(".onnx"):
        return yolox.YoloxDetector.load(
            name, threshold=threshold, threads=threads, progress=progress
        )
    if name and (Path(name).is_dir() or name.count("/") == 1):
        from stvg.perception.transformers_detector import TransformersDetector

        return TransformersDetector.load(name, threshold=threshold, threads=threads)
    raise UsageError(
        f"there is no detector {name!r}, {suggest(name, [*yolox.PUBLISHED, *_WITHOUT_WEIGHTS])}; "
        "or give a path to a YOLOX .onnx file, a folder or hub id (owner/name) of a transformers "
        "detector, or file.py:Class"
    )


def _own_detector(reference: str, threshold: float) -> Detector:
    """The detector that a class or function of a user makes."""
    make = load_object(reference)
    try:
        detector: Detector = make(threshold=threshold)
    except TypeError as error:
        raise UsageError(
            f"expected {reference} to make a detector when called with threshold=..., found: "
            f"{error}"
        ) from error
    missing = [
        part for part in ("name", "classes", "long_side", "detect") if not hasattr(detector, part)
    ]
    if missing:
        raise UsageError(
            f"expected a detector from {reference}, found one without {', '.join(missing)}; see "
            "stvg.perception.detect.Detector"
        )
    return detector


@dataclass(frozen=True, slots=True)
class _OnlyClasses:
    """A detector that keeps silent about all but some of its classes."""

    detector: Detector
    classes: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.detector.name

    @property
    def long_side(self) -> int:
        return self.detector.long_side

    def detect(self, frames: ByteArray, words: Sequence[str] = ()) -> list[Detections]:
        results = self.detector.detect(frames, words)
        return [
            found.keep(np.array([label in self.classes for label in found.labels], bool))
            for found in results
        ]


def only_classes(detector: Detector, names: Sequence[str]) -> Detector:
    """The same detector, reduced to some of its own classes.

    Args:
        detector: One with classes of its own; an open-vocabulary detector is given words instead.
        names: The classes to keep.

    Raises:
        UsageError: If it does not know one of them; suggests the nearest it knows.
    """
    if detector.classes is None:
        raise UsageError(f"{detector.name} has no classes of its own: ask it for words instead")
    known = list(detector.classes)
    for name in names:
        if name not in known:
            raise UsageError(f"{detector.name} has no class {name!r}; {suggest(name, known)}")
    return _OnlyClasses(detector, tuple(names))
