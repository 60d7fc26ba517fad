"""Test videos whose frames carry their number as bars, so that a test can read which one it got.

Every frame has a row of black and white bars across its upper half: a white and a black marker
(so that a turned or mirrored picture does not read by accident), then the number in binary. Bars
survive scaling and strong compression. The lower half moves, so that codecs have motion to
predict. Nothing here uses the package under test.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

BITS = 10
"""Numbers 0 to 1023."""

TIME_BASE = Fraction(1, 90_000)

CLOCKWISE_90, HALF_TURN, CLOCKWISE_270 = (0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0)
"""Display matrices (a, b, c, d) that ask a player to turn the picture."""

MIRROR = (-1, 0, 0, 1)


def paint_number(number: int, width: int, height: int) -> NDArray[np.uint8]:
    """A frame (height, width, 3) uint8 RGB that carries ``number``."""
    cells = [1, 0, *(number >> bit & 1 for bit in reversed(range(BITS)))]
    picture = np.empty((height, width, 3), np.uint8)
    edges = np.linspace(0, width, len(cells) + 1).round().astype(int)
    for cell, left, right in zip(cells, edges, edges[1:], strict=False):
        picture[: height // 2, left:right] = 235 if cell else 20
    down, across = np.mgrid[0 : height - height // 2, 0:width]
    picture[height // 2 :, :, 0] = (across * 3 + number * 5) % 200 + 20
    picture[height // 2 :, :, 1] = (down * 4 + number * 3) % 200 + 20
    picture[height // 2 :, :, 2] = ((across - number * 2) // 8 % 2 + down // 8 % 2) * 90 + 30
    return picture


def read_number(picture: NDArray[np.uint8]) -> int:
    """The number that a frame (H, W, 3) carries.

    Raises:
        ValueError: If the markers are not where they belong (turned, mirrored, not such a frame).
    """
    height, width = picture.shape[:2]
    count = BITS + 2
    strip = picture[height // 8 : 3 * height // 8].astype(float).mean(axis=(0, 2))  # (W,)
    centres = ((np.arange(count) + 0.5) * width / count).astype(int)
    bars = [strip[max(0, at - 1) : at + 2].mean() for at in centres]
    if not (bars[0] > 170 and bars[1] < 85) or any(85 < bar < 170 for bar in bars):
        raise ValueError(f"no bar code in this picture: {np.round(bars)}")
    return sum(
        1 << bit for bit, bar in zip(reversed(range(BITS)), bars[2:], strict=True) if bar > 127
    )


def write_barcode_video(
    path: Path,
    *,
    frames: int = 30,
    fps: int | Fraction = 10,
    times_s: Sequence[float] | None = None,
    size: tuple[int, int] = (96, 64),
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: Mapping[str, str] | None = None,
    container_options: Mapping[str, str] | None = None,
    first_number: int = 0,
    turned: int = 0,
    mirrored: bool = False,
) -> list[float]:
    """Write a video of numbered frames.

    Args:
        path: Where; the suffix decides the container.
        frames: How many.
        fps: Frames per second, when ``times_s`` is not given.
        times_s: Presentation time of each frame in seconds, for a variable frame rate or a start
            that is not 0.
        size: Width and height of the stored frames (before ``turned``).
        codec: FFmpeg's name of the encoder.
        pix_fmt: Pixel format.
        options: Options of the encoder.
        container_options: Options of the container.
        first_number: Number of the first frame.
        turned: Pictures are stored turned by this many degrees counter-clockwise (a multiple of
            90), so that a player has to turn them clockwise to show them upright.
        mirrored: Pictures are stored mirrored left to right (before they are turned).

    Returns:
        The presentation times asked for, first frame at 0, as the container can hold them.
    """
    if times_s is None:
        times_s = [float(number / Fraction(fps)) for number in range(frames)]
    width, height = size
    upright = (height, width) if turned % 180 else (width, height)
    with av.open(str(path), "w", options=dict(container_options or {})) as container:
        stream = container.add_stream(codec, rate=Fraction(fps), options=dict(options or {}))
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        coarse = codec in ("mpeg4", "mpeg2video") or path.suffix == ".avi"
        stream.codec_context.time_base = 1 / Fraction(fps) if coarse else TIME_BASE
        base = stream.codec_context.time_base
        for number, time_s in enumerate(times_s, first_number):
            picture = paint_number(number, *upright)
            picture = picture[:, ::-1] if mirrored else picture
            picture = np.ascontiguousarray(np.rot90(picture, turned // 90))
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = round(time_s / base), base
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return [time_s - times_s[0] for time_s in times_s]


def set_display_matrix(path: Path, matrix: Sequence[int]) -> None:
    """Write ``(a, b, c, d)`` into the track header of an MP4.

    A player then shows what is stored at (x, y) at ``(a x + c y, b x + d y)``.
    """
    a, b, c, d = (value << 16 for value in matrix)
    data = bytearray(path.read_bytes())
    box = data.index(b"tkhd")
    start = box + 4 + (40 if data[box + 4] == 0 else 52)
    data[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(bytes(data))
