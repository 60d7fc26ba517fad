"""Spatio-temporal video grounding: a video and a sentence in, a tube out.

The names below are loaded when first used, so that ``import stvg`` stays light and pulls in no
deep-learning framework.

Example:
    >>> import stvg
    >>> stvg.Interval(1.0, 2.5).duration_s
    1.5
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_PUBLIC = {
    "Clip": "stvg.types",
    "Interval": "stvg.types",
    "Prediction": "stvg.types",
    "Query": "stvg.types",
    "Sample": "stvg.types",
    "Tube": "stvg.types",
    "VideoMeta": "stvg.types",
    "StvgError": "stvg.errors",
    "ground": "stvg.grounding",
    "load": "stvg.grounder",
    "probe": "stvg.video",
    "read_clip": "stvg.video",
    "to_fiftyone": "stvg.export.fiftyone",
    "to_supervision": "stvg.export.supervision",
}
__all__ = ["__version__", *sorted(_PUBLIC)]  # noqa: PLE0604  names come from the table above

if TYPE_CHECKING:
    from stvg.errors import StvgError
    from stvg.export.fiftyone import to_fiftyone
    from stvg.export.supervision import to_supervision
    from stvg.grounder import load
    from stvg.grounding import ground
    from stvg.types import Clip, Interval, Prediction, Query, Sample, Tube, VideoMeta
    from stvg.video import probe, read_clip


def __getattr__(name: str) -> Any:
    """Import a public name the first time it is used."""
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'stvg' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
