"""Reading frames by time, writing videos, drawing results on them.

The names below are loaded when first used: importing ``stvg.video`` opens no video library.

Example:
    >>> from stvg.video import SamplingPlan
    >>> SamplingPlan(count=8, long_side=448).count
    8
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_PUBLIC = {
    "FrameCache": "stvg.video.cache",
    "SamplingPlan": "stvg.video.sampling",
    "iter_frames": "stvg.video.reader",
    "probe": "stvg.video.index",
    "read_clip": "stvg.video.reader",
}
__all__ = ["FrameCache", "SamplingPlan", "iter_frames", "probe", "read_clip"]

if TYPE_CHECKING:
    from .cache import FrameCache
    from .index import probe
    from .reader import iter_frames, read_clip
    from .sampling import SamplingPlan


def __getattr__(name: str) -> Any:
    """Import a public name the first time it is used."""
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'stvg.video' has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
