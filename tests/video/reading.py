"""Helpers of the reading tests: the plainest decode there is, and the numbers in bar codes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import av.video.reformatter
import numpy as np

from stvg.types import ByteArray
from tests.barcode import read_number

VideoOf = Callable[[str], Path]
"""The fixture ``video_of``: from the name of a kind of stream to a file."""


def decode_everything(path: Path, size: tuple[int, int] | None = None) -> list[ByteArray]:
    """Every frame by the plainest decode there is, in the order it comes out."""
    scaler = av.video.reformatter.VideoReformatter()
    flags = 0x0004 | 0x2000  # bicubic, full horizontal chroma
    pictures = []
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        for frame in container.decode(video=0):
            width, height = size or (frame.width, frame.height)
            rgb = scaler.reformat(frame, width, height, format="rgb24", interpolation=flags)
            pictures.append(np.asarray(rgb.to_ndarray(), np.uint8))
    return pictures


def numbers_in(pictures: ByteArray) -> list[int]:
    """The numbers that bar-coded frames carry."""
    return [read_number(picture) for picture in pictures]
