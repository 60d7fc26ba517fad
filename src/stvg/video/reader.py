"""Frames of a video by time: :func:`read_clip` and its streaming form :func:`iter_frames`.

The frames on screen at the times of a plan, scaled and turned, as RGB bytes. Work is saved before
the decoder, never in it, so that every pixel equals that of a decode from the first picture on:

1. Groups of pictures without a wanted frame are not decoded; long stretches of them are not read.
2. Within a group nothing behind the last wanted frame is decoded, and no picture that neither is
   wanted nor referred to (:mod:`stvg.video.bitstream` says which).
3. Only wanted frames are scaled and converted, in one step of FFmpeg's scaler.

Where a stream makes no such promise it is decoded from the start up to the last wanted frame; when
the short way does not deliver a frame it promised, the plain way takes over. ``docs/video.md`` has
the rules, ``benchmarks/video.py`` the figures.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import av.container
import av.video
import av.video.reformatter
import numpy as np

from stvg.errors import VideoError
from stvg.progress import Progress, no_progress
from stvg.types import BoolArray, ByteArray, Clip, IntArray, VideoMeta
from stvg.video.cache import FrameCache
from stvg.video.container import FileIdentity, Pictures, file_identity, open_video
from stvg.video.index import Orientation, PacketTable, VideoIndex, video_index
from stvg.video.packets import HARD_ENTRY, NO_ENTRY, SOFT_ENTRY
from stvg.video.sampling import SamplingPlan

READER_VERSION = 1
"""Part of every cache key: goes up when the same request would give other bytes."""

_SCALING = 0x0004 | 0x2000
"""swscale's SWS_BICUBIC | SWS_FULL_CHR_H_INT. Without the second flag the chroma of the result has
half the width: a mean error of 7 grey levels at saturated edges."""

_RGB = "gbrp"
"""Planar RGB: with full chroma swscale makes the same bytes as ``rgb24`` in less than half the
time (0.98 against 2.3 ms from 720p to 448x252)."""

_ONE_THREAD: dict[str, Any] = {"threads": 1} if int(av.__version__.split(".")[0]) >= 17 else {}
"""The scaler works on small pictures; before PyAV 17 it had one thread anyway."""

_SEEK_BYTES, _SEEK_PACKETS = 1 << 20, 300
"""Passing over fewer bytes and packets than these is cheaper than seeking (ours, measured)."""

_SEEKABLE = ("mp4", "matroska")
"""Containers with an index of their packets; the others are read through."""

_OUT_OF_ORDER = 32
"""Converted frames that may wait for an earlier one; decoders reorder by 16 at most."""


def read_clip(
    video: str | Path | VideoMeta,
    plan: SamplingPlan,
    *,
    cache: FrameCache | None = None,
    threads: int = 0,
    progress: Progress | None = None,
) -> Clip:
    """The frames that are on screen at the plan's times.

    A frame that is on screen at several of the times is in the clip once, so that its times
    increase strictly.

    Args:
        video: A file, or its meta data from :func:`stvg.video.probe`.
        plan: Which frames, and how large.
        cache: Where decoded frames are kept on disk; a hit decodes nothing.
        threads: Threads of the decoder; 0 uses every core. In a data loader with several
            processes 1 costs the least in all.
        progress: Called with frames done and frames in all.

    Returns:
        RGB frames (T, H, W, 3) uint8 (read-only from a cache), their presentation times (T,)
        strictly increasing seconds and their numbers (T,), T >= 1.

    Raises:
        VideoError: If the file is no video, has changed since it was probed, or a wanted frame
            cannot be read.
        UsageError: If the plan asks for times outside the video.
    """
    report = progress or no_progress
    request = _Request.of(video, plan, cache)
    if cache is not None:
        kept = cache.load_frames(*request.key)
        if kept is not None:
            report(len(kept), len(kept))
            return request.clip(kept)
    width, height = request.size
    frames = np.empty((len(request.numbers), height, width, 3), np.uint8)
    for row, picture in enumerate(_pictures(request, threads)):
        frames[row] = picture
        report(row + 1, len(frames))
    if cache is not None:
        index = video_index(request.identity)
        if index.readable_s is None:  # every read of a broken file has to notice that it is one
            cache.store_meta(request.identity, READER_VERSION, index.meta)
        cache.store_frames(*request.key, frames)
    return request.clip(frames)


def iter_frames(
    video: str | Path | VideoMeta, plan: SamplingPlan, *, threads: int = 0
) -> Iterator[tuple[int, float, ByteArray]]:
    """The frames of :func:`read_clip` one after the other, in bounded memory.

    The plan is checked at once, before the first frame is asked for.

    Args:
        video: A file, or its meta data from :func:`stvg.video.probe`.
        plan: Which frames, and how large.
        threads: Threads of the decoder; 0 uses every core.

    Returns:
        For each frame its number in the video, its presentation time in seconds and its RGB
        pixels (H, W, 3) uint8; numbers and times increase strictly.

    Raises:
        VideoError: As :func:`read_clip`.
        UsageError: If the plan asks for times outside the video.
    """
    request = _Request.of(video, plan, None)

    def frames() -> Iterator[tuple[int, float, ByteArray]]:
        times_s = request.meta.times_s
        for number, picture in zip(request.numbers, _pictures(request, threads), strict=True):
            yield int(number), float(times_s[number]), picture

    return frames()


@dataclass(frozen=True, slots=True, eq=False)
class _Request:
    """A plan applied to a file.

    Attributes:
        identity: What makes the file the same one; see :func:`file_identity`.
        meta: The video, named as the caller names it.
        numbers: The wanted frames, (T,) int64 strictly increasing.
        size: Width and height to deliver.
    """

    identity: FileIdentity
    meta: VideoMeta
    numbers: IntArray
    size: tuple[int, int]

    @classmethod
    def of(
        cls, video: str | Path | VideoMeta, plan: SamplingPlan, cache: FrameCache | None
    ) -> _Request:
        """Look the file up (in the cache if possible) and apply the plan to it."""
        path = video.path if isinstance(video, VideoMeta) else str(video)
        identity = file_identity(path)
        meta = cache.load_meta(identity, READER_VERSION) if cache is not None else None
        readable_s, declared_frames = None, 0
        if meta is None:
            index = video_index(identity)
            meta, readable_s = index.meta, index.readable_s
            declared_frames = index.declared_frames
        if isinstance(video, VideoMeta):
            _check_unchanged(video, meta)
        times_s = plan.times(meta)
        if readable_s is not None and times_s[-1] >= readable_s:
            of_declared = f" of {declared_frames}" if declared_frames else ""
            raise VideoError(
                f"expected a frame at {times_s[-1]:.3f} s, but {path} breaks off: "
                f"{meta.frames}{of_declared} frames, up to {readable_s:.3f} s, are readable; get "
                f"a whole copy, or read the interval [0, {readable_s:.3f})"
            )
        numbers = meta.frame_at(times_s)
        numbers = numbers[np.append(True, np.diff(numbers) > 0)]
        return cls(identity, replace(meta, path=path), numbers, plan.size(meta))

    @property
    def key(self) -> tuple[FileIdentity, int, IntArray, tuple[int, int]]:
        """What the frames are kept under."""
        return self.identity, READER_VERSION, self.numbers, self.size

    def clip(self, frames: ByteArray) -> Clip:
        """The answer."""
        return Clip(self.meta, frames, self.meta.times_s[self.numbers], self.numbers)


def _check_unchanged(given: VideoMeta, found: VideoMeta) -> None:
    """Refuse meta data that is not that of the file."""
    before = (given.width, given.height, given.frames)
    now = (found.width, found.height, found.frames)
    if before != now:
        raise VideoError(
            f"expected {given.path} to have {before[2]} frames of {before[0]}x{before[1]} as its "
            f"meta data says, found {now[2]} frames of {now[0]}x{now[1]}; the file has changed: "
            "probe it again"
        )


def _pictures(request: _Request, threads: int) -> Iterator[ByteArray]:
    """The wanted frames, scaled and turned, in order."""
    index = video_index(request.identity)
    scale = _Scaler(index.orientation, request.size)
    numbers = request.numbers.tolist()
    done = 0
    waiting: dict[int, ByteArray] = {}
    for decode in (_decode_needed, _decode_plainly) if index.packets else (_decode_plainly,):
        waiting.clear()
        for number, frame in decode(index, request.numbers[done:], threads):
            waiting[number] = scale(frame)
            while done < len(numbers) and numbers[done] in waiting:
                yield waiting.pop(numbers[done])
                done += 1
            if done == len(numbers):
                return
            if len(waiting) > _OUT_OF_ORDER:
                break
    missing = numbers[done]
    raise VideoError(
        f"expected frame {missing} (at {index.meta.times_s[missing]:.3f} s) of "
        f"{request.meta.path}, but it cannot be decoded; the file is damaged there: get another "
        "copy, or ask for other times"
    )


class _Scaler:
    """Turns decoded pictures into RGB bytes of one size.

    Args:
        orientation: How pictures are turned.
        size: Width and height after turning.
    """

    def __init__(self, orientation: Orientation, size: tuple[int, int]) -> None:
        self._orientation = orientation
        self._stored_size = orientation.stored_size(*size)
        self._reformatter = av.video.reformatter.VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> ByteArray:
        """The picture as (H, W, 3) uint8."""
        width, height = self._stored_size
        rgb = self._reformatter.reformat(
            frame, width, height, format=_RGB, interpolation=_SCALING, **_ONE_THREAD
        )
        return np.ascontiguousarray(self._orientation.apply(np.asarray(rgb.to_ndarray(), np.uint8)))


_Decoded = Iterator[tuple[int, av.VideoFrame]]


def _decode_plainly(index: VideoIndex, numbers: IntArray, threads: int) -> _Decoded:
    """Wanted frames by decoding everything from the start up to the last of them."""
    if index.ordinals is None:
        number_of = {int(index.pts[number]): int(number) for number in numbers}
    else:
        number_of = {int(index.ordinals[number]): int(number) for number in numbers}
    with open_video(index.meta.path, threads) as (container, stream):
        for ordinal, frame in enumerate(Pictures(container, stream)):
            found = number_of.get(ordinal if index.ordinals is not None else frame.pts or 0)
            if found is not None:
                yield found, frame


def _decode_needed(index: VideoIndex, numbers: IntArray, threads: int) -> _Decoded:
    """Wanted frames by decoding only what they need; ends early where that does not work out."""
    assert index.packets is not None
    number_of = {int(index.pts[number]): int(number) for number in numbers}
    fed, restarts = choose_packets(index.packets, index.packets.position_of_frame[numbers])
    with open_video(index.meta.path, threads) as (container, stream):
        context = stream.codec_context
        source = _PacketSource(container, stream, index.packets)

        def wanted(packet: Any) -> _Decoded:
            for frame in context.decode(packet):
                if frame.pts in number_of:
                    yield number_of[frame.pts], frame

        try:
            for row in np.flatnonzero(fed).tolist():
                is_far = source.is_far(row)
                if restarts[row] or is_far:
                    yield from wanted(None)
                    context.flush_buffers()
                if is_far:
                    source.seek(row)
                packet = source.read(row)
                if packet is None:
                    return
                yield from wanted(packet)
            yield from wanted(None)
        except av.FFmpegError:
            return  # the plain way finds out what is wrong


def choose_packets(packets: PacketTable, wanted: IntArray) -> tuple[BoolArray, BoolArray]:
    """The packets that some pictures take, and where the decoder has to start afresh.

    Args:
        packets: All packets in decoding order.
        wanted: Rows of the packets of the wanted pictures, (T,).

    Returns:
        Which packets to decode, (N,) bool, and before which of them the decoder must forget what
        came before, (N,) bool.
    """
    entries = np.flatnonzero(packets.entry != NO_ENTRY)
    fed = np.zeros(len(packets.pts), np.bool_)
    start = covered = 0  # the rows of the latest stretch of packets
    for row in np.sort(wanted).tolist():
        at = int(np.searchsorted(entries, row, side="right")) - 1
        # A soft entry is exact for what is shown from it on; pictures shown before it need the
        # group before.
        while (
            packets.entry[entries[at]] != HARD_ENTRY and packets.pts[entries[at]] > packets.pts[row]
        ):
            at -= 1
        entry = int(entries[at])
        if start <= entry <= covered:
            fed[covered : row + 1] = True
        else:
            fed[entry : row + 1] = True
            start = entry
        covered = row + 1
    follows_gap = np.append(True, ~fed[:-1])
    restarts = fed & follows_gap & (packets.entry == SOFT_ENTRY)
    is_wanted = np.zeros_like(fed)
    is_wanted[wanted] = True
    return fed & (is_wanted | ~packets.droppable), restarts


class _PacketSource:
    """Delivers packets of a stream by their row in the table, in increasing order.

    Args:
        container: The open file.
        stream: Its video stream.
        packets: All packets in decoding order.
    """

    def __init__(
        self,
        container: av.container.InputContainer,
        stream: av.video.VideoStream,
        packets: PacketTable,
    ) -> None:
        self._container = container
        self._stream = stream
        self._packets = packets
        self._row = -1  # of the packet read last
        self._iterator = self._packets_from_here()
        self._can_seek = any(name in container.format.name for name in _SEEKABLE)

    def is_far(self, row: int) -> bool:
        """Whether seeking to ``row`` is cheaper than reading on."""
        passed = self._packets.bytes[self._row + 1 : row]
        return self._can_seek and (len(passed) > _SEEK_PACKETS or passed.sum() > _SEEK_BYTES)

    def seek(self, row: int) -> None:
        """Go to the last packet before ``row`` that the container can go to."""
        self._container.seek(int(self._packets.pts[row]), stream=self._stream)
        self._iterator = self._packets_from_here()
        packet = next(self._iterator, None)
        landed = np.flatnonzero(self._packets.pts == (packet.pts if packet else None))
        self._row = int(landed[0]) - 1 if len(landed) == 1 else len(self._packets.pts)
        self._iterator = itertools.chain([] if packet is None else [packet], self._iterator)

    def _packets_from_here(self) -> Iterator[Any]:
        return (packet for packet in self._container.demux(self._stream) if packet.size)

    def read(self, row: int) -> Any:
        """The packet of ``row``, or None when the file does not hold what its table says."""
        while self._row < row:
            packet = next(self._iterator, None)
            if packet is None:
                return None
            self._row += 1
            if self._row == row and packet.pts == self._packets.pts[row]:
                return packet
        return None
