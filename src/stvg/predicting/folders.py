"""Folders of frames as videos, for benchmarks that are published as pictures.

The pictures of a folder are packed into a QuickTime file as they are, one a packet: nothing is
decoded or encoded, and the same pictures give the same bytes. The file is there while the video is
read and then gone.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
from av.video.stream import VideoStream
from PIL import Image

from stvg.data.media import IMAGE_SUFFIXES
from stvg.errors import VideoError
from stvg.types import VideoMeta
from stvg.video import probe

_CODECS = {"JPEG": ("mjpeg", "yuvj420p"), "PNG": ("png", "rgb24")}
"""Codec and pixel format that the file names; the decoder finds in a picture what it really has."""


@contextmanager
def packed(folder: Path, names: Sequence[str], rate: int) -> Iterator[VideoMeta]:
    """The frames of a folder as a video, while the ``with`` block lasts.

    Args:
        folder: Holds one JPEG or PNG a frame.
        names: Frames in their order, without suffix; all pictures sorted by name where empty.
        rate: Frames a second.

    Yields:
        The video; frame i is the picture ``names[i]``.

    Raises:
        VideoError: If a picture is missing, cannot be read, or is of another kind or size than the
            first.
    """
    files = _files(folder, names)
    kind, size = _checked(files)
    with tempfile.TemporaryDirectory(prefix="stvg-") as place:
        path = Path(place) / f"{folder.name}.mov"
        with av.open(str(path), "w", format="mov") as container:
            codec, pixel_format = _CODECS[kind]
            stream = cast("VideoStream", container.add_stream(codec, rate=rate))
            stream.width, stream.height = size
            stream.pix_fmt = pixel_format
            stream.time_base = Fraction(1, rate)
            for number, file in enumerate(files):
                packet = av.Packet(file.read_bytes())
                packet.stream, packet.time_base = stream, Fraction(1, rate)
                packet.pts = packet.dts = number
                packet.duration, packet.is_keyframe = 1, True
                container.mux(packet)
        yield probe(path)


def _files(folder: Path, names: Sequence[str]) -> list[Path]:
    """The pictures of frames, in order."""
    found = {
        file.stem: file
        for file in sorted(folder.iterdir())
        if file.suffix.lower() in IMAGE_SUFFIXES
    }
    missing = [name for name in names if name not in found]
    if missing or not found:
        wanted = f"the frame {missing[0]}" if missing else "frames"
        raise VideoError(
            f"expected {wanted} as .jpg or .png in {folder}, found {len(found)} pictures"
            + (f", {len(missing)} of {len(names)} annotated ones are missing" if missing else "")
        )
    return [found[name] for name in names] if names else list(found.values())


def _checked(files: Sequence[Path]) -> tuple[str, tuple[int, int]]:
    """Kind and size (width, height) of pictures, all the same."""
    kinds = [_kind(file) for file in files]
    other = next((place for place, each in enumerate(kinds) if each != kinds[0]), None)
    if other is not None:
        raise VideoError(
            f"expected frames of one kind and size in {files[0].parent}, found "
            f"{_named(kinds[0])} in {files[0].name} and {_named(kinds[other])} in "
            f"{files[other].name}"
        )
    return kinds[0]


def _named(kind: tuple[str, tuple[int, int]]) -> str:
    """Format and size in words."""
    name, (width, height) = kind
    return f"{name} of {width}x{height}"


def _kind(file: Path) -> tuple[str, tuple[int, int]]:
    """Format and size of a picture, whose data are whole as far as can be told undecoded."""
    try:
        with Image.open(file) as picture:
            kind, size = str(picture.format), picture.size
            picture.verify()  # checksums of PNG; JPEG has none
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise VideoError(f"expected a picture at {file}, which cannot be read: {error}") from error
    if kind not in _CODECS:
        raise VideoError(f"expected a JPEG or PNG at {file}, found {kind}")
    if kind == "JPEG" and not _has_end(file.read_bytes()):
        raise VideoError(f"expected a picture at {file}, which cannot be read: it is cut off")
    return kind, size


def _has_end(jpeg: bytes) -> bool:
    """Whether the last scan of a JPEG ends; decoders fill a missing part with any colour."""
    return jpeg.rfind(b"\xff\xd9") > jpeg.rfind(b"\xff\xda")
