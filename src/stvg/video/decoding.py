"""Wanted frames out of the decoder, with as little decoding as the stream allows.

Work is saved before the decoder, never in it, so that every pixel equals that of a decode from the
first picture on:

1. Groups of pictures without a wanted frame are not decoded; long stretches of them are not read.
2. Within a group nothing behind the last wanted frame is decoded, and no picture that neither is
   wanted nor referred to (:mod:`stvg.video.bitstream` says which).
3. Only wanted frames are scaled and converted, in one step of FFmpeg's scaler.

Where a stream makes no such promise it is decoded from the start up to the last wanted frame; when
the short way does not deliver a frame it promised, or meets damage, the plain way takes over.
``benchmarks/video.py`` has the figures.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import av
import av.container
import av.video
import av.video.reformatter
import numpy as np

from stvg.errors import VideoError
from stvg.types import BoolArray, ByteArray, IntArray

from .container import Pictures, open_video, packets_of
from .index import PacketTable, VideoIndex
from .orientation import Orientation
from .packets import HARD_ENTRY, NO_ENTRY, SOFT_ENTRY

_SCALING = 0x0004 | 0x2000
"""swscale's SWS_BICUBIC | SWS_FULL_CHR_H_INT. Without the second flag the chroma of the result has
half the width: a mean error of 7 grey levels at saturated edges."""

_SCALED_RGB, _UNSCALED_RGB = "gbrp", "rgb24"
"""When scaling, swscale makes the same bytes as planar RGB in less than half the time (0.98 against
2.3 ms from 720p to 448x252); without scaling its planar form spoils the right edge of widths that
are no multiple of 16 (seen with swscale 8.3 to 9.5)."""

_SEEK_BYTES, _SEEK_PACKETS = 1 << 20, 300
"""Fewer bytes and packets than these are passed over. (Ours: seeking costs as much as 5 packets,
but the decoder has to be emptied for it, which stops its threads.)"""

_SEEKABLE = ("mp4", "matroska")
"""Containers with an index of their packets; the others are read through."""

_OUT_OF_ORDER = 32
"""Converted frames that may wait for an earlier one; decoders reorder by 16 at most."""


def pictures(
    index: VideoIndex, numbers: IntArray, size: tuple[int, int], threads: int
) -> Iterator[ByteArray]:
    """Wanted frames of a video, scaled and turned, in order and in bounded memory.

    Args:
        index: The file.
        numbers: The wanted frames, (T,) strictly increasing.
        size: Width and height to deliver.
        threads: Threads of the decoder; 0 uses every core.

    Yields:
        RGB (H, W, 3) uint8, one for each number.

    Raises:
        VideoError: If a frame cannot be decoded.
    """
    scale = _Scaler(index.orientation, size)
    wanted = numbers.tolist()
    done = 0
    waiting: dict[int, ByteArray] = {}
    for decode in (_decode_needed, _decode_plainly) if index.packets else (_decode_plainly,):
        waiting.clear()
        for number, frame in decode(index, numbers[done:], threads):
            waiting[number] = scale(frame)
            while done < len(wanted) and wanted[done] in waiting:
                yield waiting.pop(wanted[done])
                done += 1
            if done == len(wanted):
                return
            if len(waiting) > _OUT_OF_ORDER:
                break
    missing = wanted[done]
    raise VideoError(
        f"expected frame {missing} (at {index.meta.times_s[missing]:.3f} s) of "
        f"{index.meta.path}, but it cannot be decoded; the file is damaged there: get another "
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
        kind = _UNSCALED_RGB if (frame.width, frame.height) == (width, height) else _SCALED_RGB
        rgb = self._reformatter.reformat(
            frame, width, height, format=kind, interpolation=_SCALING, threads=1
        )
        return np.ascontiguousarray(self._orientation.apply(np.asarray(rgb.to_ndarray(), np.uint8)))


_Decoded = Iterator[tuple[int, av.VideoFrame]]


def _decode_plainly(index: VideoIndex, numbers: IntArray, threads: int) -> _Decoded:
    """Wanted frames by decoding everything from the start up to the last of them."""
    by_pts = index.ordinals is None
    names = index.pts if index.ordinals is None else index.ordinals
    number_of: dict[int | None, int] = {int(names[number]): int(number) for number in numbers}
    with open_video(index.meta.path, threads) as (container, stream):
        for ordinal, frame in enumerate(Pictures(container, stream)):
            found = number_of.get(frame.pts if by_pts else ordinal)
            if found is not None:
                yield found, frame


def _decode_needed(index: VideoIndex, numbers: IntArray, threads: int) -> _Decoded:
    """Wanted frames by decoding only what they need; ends early where that does not work out."""
    packets = index.packets
    assert packets is not None
    number_of = {int(index.pts[number]): int(number) for number in numbers}
    fed, starts = choose_packets(packets, packets.position_of_frame[numbers])
    starts_softly = starts & (packets.entry == SOFT_ENTRY)
    with open_video(index.meta.path, threads) as (container, stream):
        context = stream.codec_context
        if context.name != "h264" or not starts_softly.any():
            # Damage must not be patched up from other pictures than in a plain decode. (H.264
            # after a soft start reports the references that its leading pictures lack.)
            context.options = {**context.options, "err_detect": "explode"}
        source = _PacketSource(container, stream, packets)
        try:
            for packet, exact_from in _packets_to_feed(source, packets, fed, starts):
                for frame in context.decode(packet):
                    if frame.is_corrupt and (frame.pts or 0) >= exact_from:
                        return
                    if frame.pts in number_of:
                        yield number_of[frame.pts], frame
                if packet is None:
                    context.flush_buffers()
        except av.FFmpegError:
            return  # the plain way finds out what is wrong


def _packets_to_feed(
    source: _PacketSource, packets: PacketTable, fed: BoolArray, starts: BoolArray
) -> Iterator[tuple[Any, int]]:
    """What the decoder gets, one after the other.

    Args:
        source: Where the packets come from.
        packets: All packets in decoding order.
        fed: See :func:`choose_packets`.
        starts: See :func:`choose_packets`.

    Yields:
        A packet, or None where the decoder has to deliver what it holds and forget the rest; and
        the time stamp from which on the pictures of this stretch are exact.
    """
    exact_from = int(packets.pts.min())
    for row in np.flatnonzero(fed).tolist():
        starts_softly = starts[row] and packets.entry[row] == SOFT_ENTRY
        is_far = starts[row] and source.is_far(row)
        if starts_softly or is_far:
            yield None, exact_from
        if is_far:
            source.seek(row)
        if starts_softly:
            exact_from = int(packets.pts[row])
        packet = source.read(row)
        if packet is None:
            return
        yield packet, exact_from
    yield None, exact_from


def choose_packets(packets: PacketTable, wanted: IntArray) -> tuple[BoolArray, BoolArray]:
    """The packets that some pictures take, and where the decoder has to start afresh.

    Args:
        packets: All packets in decoding order.
        wanted: Rows of the packets of the wanted pictures, (T,).

    Returns:
        Which packets to decode, (N,) bool, and which of them are entries that start a stretch:
        nothing from there on needs what was decoded before, (N,) bool.
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
    starts = fed & np.append(True, ~fed[:-1])
    is_wanted = np.zeros_like(fed)
    is_wanted[wanted] = True
    return fed & (is_wanted | starts | ~packets.droppable), starts


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
        self._iterator: Iterator[Any] = packets_of(container, stream)
        self._can_seek = any(name in container.format.name for name in _SEEKABLE)

    def is_far(self, row: int) -> bool:
        """Whether seeking to ``row`` is cheaper than reading on."""
        passed = self._packets.bytes[self._row + 1 : row]
        return self._can_seek and (len(passed) > _SEEK_PACKETS or passed.sum() > _SEEK_BYTES)

    def seek(self, row: int) -> None:
        """Go to the last packet before ``row`` that the container can go to."""
        self._container.seek(int(self._packets.pts[row]), stream=self._stream)
        self._iterator = packets_of(self._container, self._stream)
        packet = next(self._iterator, None)
        landed = np.flatnonzero(self._packets.pts == (packet.pts if packet else None))
        self._row = int(landed[0]) - 1 if len(landed) == 1 else len(self._packets.pts)
        self._iterator = itertools.chain([] if packet is None else [packet], self._iterator)

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
