"""Opening a video file, and the plain decode from its start: all contact with a file begins here.

Every failure of the video library leaves as one :class:`stvg.errors.VideoError` that names the
file. What the frames of a file are is worked out in :mod:`stvg.video.index`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import av
import av.codec.codec
import av.container
import av.stream
import av.video
import av.video.stream

from stvg.errors import VideoError

_NOT_VIDEOS = ("concat", "dash", "hls", "image2", "lrc", "srt", "tty", "webvtt")
"""Beginnings of FFmpeg's names for still pictures, texts and lists of other files."""


_most_pixels: int | None = None


def limit_pictures(pixels: int | None) -> None:
    """Let decoders of this process refuse larger pictures, wherever in a stream they come.

    For services that open strangers' files: a stream may grow where nothing says so beforehand.

    Args:
        pixels: Most pixels of a picture; None for as many as the decoder takes.
    """
    global _most_pixels  # noqa: PLW0603, of the process, as the memory is that it saves
    _most_pixels = pixels


class FileIdentity(NamedTuple):
    """What makes a file the same one: resolved name, size in bytes, time of change in ns."""

    path: str
    size: int
    mtime_ns: int


def file_identity(path: str | Path) -> FileIdentity:
    """The identity of a file.

    Raises:
        VideoError: If it is not a file that can be read.
    """
    given = Path(path)
    try:
        resolved = given.resolve(strict=True)
        status = resolved.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:  # ValueError: zero byte
        raise VideoError(
            f"expected a video file, but there is no {given}; check the path"
        ) from error
    except (OSError, RuntimeError) as error:  # RuntimeError: a circle of links
        raise VideoError(
            f"expected a video file, but {given} cannot be reached ({reason(error)}); check the "
            "path and its permissions"
        ) from error
    if not resolved.is_file():
        raise VideoError(f"expected a video file, but {given} is a folder or a device; name a file")
    return FileIdentity(str(resolved), status.st_size, status.st_mtime_ns)


@contextmanager
def open_video(
    path: str, threads: int = 1
) -> Iterator[tuple[av.container.InputContainer, av.video.VideoStream]]:
    """A container and its video stream, closed at the end.

    Args:
        path: The file.
        threads: Threads of the decoder; 0 lets it use every core.

    Raises:
        VideoError: If the file is no video, or the video library fails within the ``with`` block.
    """
    try:
        # "file:" keeps a name with a colon from being taken for a protocol; the white list keeps
        # a file from a stranger from opening connections.
        container = av.open(
            f"file:{path}",
            container_options={"protocol_whitelist": "file"},
            metadata_errors="replace",
        )
    except (av.FFmpegError, OSError) as error:
        found = "is empty" if not Path(path).stat().st_size else f"is not one ({reason(error)})"
        raise VideoError(
            f"expected a video that can be opened, but {path} {found}; check the file, or convert "
            "it to mp4"
        ) from error
    try:
        with container:
            stream = _video_stream(container, path)
            stream.codec_context.thread_count = threads
            if threads != 1:
                stream.codec_context.thread_type = "AUTO"
            if _most_pixels is not None:
                stream.codec_context.options = {"max_pixels": str(_most_pixels)}
            yield container, stream
    except (av.FFmpegError, av.codec.codec.UnknownCodecError) as error:
        raise VideoError(
            f"expected pictures that can be decoded, but {path} fails with: {reason(error)}; the "
            "file is damaged or of an unknown kind: convert it to mp4"
        ) from error


def packets_of(
    container: av.container.InputContainer, stream: av.video.VideoStream
) -> Iterator[av.Packet[av.video.VideoStream]]:
    """The packets of a stream from where the container stands, without the marks at the end.

    Raises:
        av.FFmpegError: Where the file breaks off.
    """
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except IndexError as error:  # PyAV's answer to a stream that turns up in the middle
            raise av.error.InvalidDataError(0, "a new stream within the file") from error
        if packet.size:
            yield packet


def reason(error: Exception) -> str:
    """What the video library says, without its file names and numbers."""
    return str(getattr(error, "strerror", None) or error).split(":")[0].strip() or "no reason given"


class Pictures:
    """Every picture of a stream out of the decoder, from the start: the plain sequential decode.

    Packets that cannot be decoded are passed over; where the file breaks off, the pictures end.

    Attributes:
        broken: Whether the file broke off.
    """

    def __init__(
        self, container: av.container.InputContainer, stream: av.video.VideoStream
    ) -> None:
        self.broken = False
        self._container = container
        self._stream = stream

    def __iter__(self) -> Iterator[av.VideoFrame]:
        for packet in self._whole_packets():
            try:
                yield from self._stream.codec_context.decode(packet)
            except av.error.InvalidDataError:
                continue
        yield from self._stream.codec_context.decode(None)

    def _whole_packets(self) -> Iterator[av.Packet[av.video.VideoStream]]:
        """The packets, without what is left of a cut-off one at the end."""
        held = None
        try:
            for packet in packets_of(self._container, self._stream):
                if held is not None:
                    yield held
                held = packet
        except av.FFmpegError:
            self.broken = True
        if held is not None:
            self.broken = self.broken or held.is_corrupt
            if not held.is_corrupt:
                yield held


def _video_stream(container: av.container.InputContainer, path: str) -> av.video.VideoStream:
    """The stream to read: the first one of pictures that is not a cover image."""
    kind = container.format.name
    if kind.endswith("_pipe") or kind.startswith(_NOT_VIDEOS):
        raise VideoError(
            f"expected a video, but {path} is a still picture, a text or a list of other files "
            f"({kind}); name the video itself"
        )
    cover = av.stream.Disposition.attached_pic
    streams = [one for one in container.streams.video if not one.disposition & cover]
    if not streams:
        others = ", ".join(sorted({one.type for one in container.streams})) or "empty tracks"
        raise VideoError(
            f"expected a video, but {path} holds only {others}; name a file with moving pictures"
        )
    stream = streams[0]
    if getattr(stream, "codec_context", None) is None:
        raise VideoError(
            f"expected a video that can be decoded, but the pictures in {path} are of an unknown "
            "kind; convert it to mp4 with H.264"
        )
    return stream
