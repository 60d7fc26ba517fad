"""Pictures as clips of one frame, for benchmarks that ask about images.

Pixels are taken as they are stored: a rotation in the EXIF data is not applied, because boxes of
COCO are annotated on the stored pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from stvg.errors import UsageError, VideoError
from stvg.grounding import Prepared, no_frames
from stvg.methods.base import Method
from stvg.types import Clip, Query, VideoMeta


def picture_meta(path: Path) -> VideoMeta:
    """A picture as a video of one frame that lasts a second.

    Raises:
        VideoError: If it cannot be opened.
    """
    try:
        with Image.open(path) as picture:
            width, height = picture.size
    except (OSError, Image.DecompressionBombError) as error:
        raise VideoError(
            f"expected a picture at {path}, which cannot be opened: {error}"
        ) from error
    return VideoMeta(str(path), width, height, Fraction(1), 1.0, 1)


def prepare_picture(method: Method, meta: VideoMeta, queries: Sequence[Query]) -> Prepared:
    """What :func:`stvg.grounding.prepare` does for videos.

    Raises:
        UsageError: If the method asks for tracked objects.
        VideoError: If the picture cannot be read.
    """
    shown: dict[object, Clip] = {}
    clips = []
    for query in queries:
        plan = method.plan(meta, query)
        if plan.scene is not None:
            raise UsageError(
                f"{method.name} answers with objects tracked through a video, and a picture has "
                "none; choose a method that looks at frames"
            )
        if plan.frames not in shown:
            shown[plan.frames] = (
                no_frames(meta) if plan.frames is None else _clip(meta, plan.frames.size(meta))
            )
        clips.append(shown[plan.frames])
    return Prepared(tuple(queries), tuple(clips))


def _clip(meta: VideoMeta, size: tuple[int, int]) -> Clip:
    """The picture at a size (width, height), as a clip."""
    try:
        with Image.open(meta.path) as picture:
            scaled = picture.convert("RGB").resize(size, Image.Resampling.BICUBIC)
    except OSError as error:
        raise VideoError(f"the picture {meta.path} cannot be read: {error}") from error
    return Clip(meta, np.asarray(scaled)[None], np.zeros(1), np.zeros(1, np.int64))
