"""The table of contents of a video file: which frame is shown when, and what decoding it takes.

:func:`probe` reads the packets once, without decoding them (one picture is decoded, to learn the
orientation and that a decoder exists). Times are the container's: presentation time stamps, the
first shown frame at 0. Where the packets do not tell the frames one by one (interlaced H.264,
packed MPEG-4, missing or repeated time stamps, a cut start) the stream is decoded once instead;
slower, and right. What each packet promises is read in :mod:`stvg.video.bitstream`; frames are
delivered by :mod:`stvg.video.reader`.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.container
import av.video
import av.video.codeccontext
import numpy as np
from numpy.typing import NDArray

from stvg.errors import VideoError
from stvg.types import BoolArray, IntArray, VideoMeta

from .bitstream import packet_reader
from .container import FileIdentity, Pictures, file_identity, open_video, packets_of
from .orientation import Orientation, orientation_of
from .packets import HARD_ENTRY, NO_ENTRY, PacketReader, Picture, UncountableError

_INDEXES_KEPT = 64
_RATE_TOLERANCE = 0.02
"""Where the container's average frame rate is further from frames / duration than this share, it
was guessed from the first frames (variable frame rate), and frames / duration is taken. Ours."""

_MISSING_TAIL_S = 0.5
"""A stream that ends this much before its declared end counts as cut off. Ours: longer than the
rounding of any container, shorter than what a viewer would miss."""


def probe(path: str | Path) -> VideoMeta:
    """What is known about a video file: size, frame times, duration.

    Args:
        path: The file.

    Returns:
        The meta data, with ``frame_times_s`` filled in. Of a file that is cut off, ``frames``
        counts what can be read while ``duration_s`` is what the container declares.

    Raises:
        VideoError: If there is no such file, or it holds no video that can be decoded.

    Example:
        >>> probe("absent.mp4")
        Traceback (most recent call last):
        stvg.errors.VideoError: expected a video file, but there is no absent.mp4; check the path
    """
    return replace(video_index(file_identity(path)).meta, path=str(path))


@dataclass(frozen=True, slots=True, eq=False)
class PacketTable:
    """The packets of a stream in the order in which they are decoded.

    Attributes:
        pts: Presentation time stamp of each packet, (N,) int64, in units of the time base.
        bytes: Size of each packet, (N,) int64.
        entry: ``NO_ENTRY``, ``SOFT_ENTRY`` or ``HARD_ENTRY`` for each packet, (N,) uint8.
        droppable: Whether no other picture refers to this one, (N,) bool.
        position_of_frame: Row of the packet of each shown frame, (frames,) int64.
    """

    pts: IntArray
    bytes: IntArray
    entry: NDArray[np.uint8]
    droppable: BoolArray
    position_of_frame: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class VideoIndex:
    """All that reading needs to know about a file.

    Attributes:
        meta: For the world outside.
        orientation: How pictures are turned.
        pts: Time stamp of each shown frame, (frames,) int64.
        ordinals: Which picture out of the decoder each shown frame is, (frames,) int64; only
            where the index was made by decoding.
        packets: The packets, or None where the index was made by decoding.
        readable_s: End in seconds of the part that can be read when the file is cut off; else
            None.
        declared_frames: Number of frames that the container declares, 0 when it does not say.
    """

    meta: VideoMeta
    orientation: Orientation
    pts: IntArray
    ordinals: IntArray | None = None
    packets: PacketTable | None = None
    readable_s: float | None = None
    declared_frames: int = 0


@functools.lru_cache(maxsize=_INDEXES_KEPT)
def video_index(identity: FileIdentity) -> VideoIndex:
    """The index of a file; the last few are remembered.

    Raises:
        VideoError: If the file holds no video that can be decoded.
    """
    path = identity.path
    with open_video(path) as (container, stream):
        try:
            return _index_by_packets(path, container, stream)
        except UncountableError:
            pass
    with open_video(path) as (container, stream):
        return _index_by_decoding(path, container, stream)


# --- from the packets -----------------------------------------------------------------------


@dataclass(slots=True)
class _Packets:
    """What the one pass over the packets collects, in the order of decoding."""

    pts: list[int]
    dts: list[int | None]
    durations: list[int]
    sizes: list[int]
    discarded: list[bool]
    pictures: list[Picture]
    broken: bool = False


def _index_by_packets(
    path: str, container: av.container.InputContainer, stream: av.video.VideoStream
) -> VideoIndex:
    """The index without decoding more than one picture.

    Raises:
        UncountableError: If the packets do not tell the frames.
        VideoError: If there are none.
    """
    context = stream.codec_context
    reader = packet_reader(
        context.codec.canonical_name, bytes(context.extradata or b""), context.codec.intra_only
    )
    packets, first = _collect(container, stream, reader)
    if not packets.pts:
        raise VideoError(_no_pictures(path, stream))
    table = _packet_table(packets, reader)
    shown = table.position_of_frame
    cut_off = packets.broken or _misses_its_end(stream, table, len(packets.pts))
    last_dts = packets.dts[-1]
    if cut_off and last_dts is not None:
        # A missing packet is decoded, hence also shown, after the last one that was read.
        shown = shown[table.pts[shown] <= last_dts]
    if not len(shown):
        raise VideoError(_no_pictures(path, stream))
    last_duration = packets.durations[shown[-1]]
    return _assemble(
        path,
        stream,
        _first_picture(path, context, first),
        table.pts[shown],
        int(table.pts[shown[-1]]) + last_duration if last_duration > 0 else None,
        cut_off=cut_off,
        packets=replace(table, position_of_frame=shown),
    )


def _first_picture(
    path: str, context: av.video.codeccontext.VideoCodecContext, packet: Any
) -> av.VideoFrame:
    """Decode the first shown picture: the first packet alone, unless an edit list hides it."""
    try:
        frames: list[av.VideoFrame] = [*context.decode(packet), *context.decode(None)]
    except av.FFmpegError as error:
        raise UncountableError("the first picture is damaged") from error
    if frames:
        return frames[0]
    with open_video(path) as (container, stream):
        for frame in Pictures(container, stream):
            return frame
    raise UncountableError("no picture can be decoded")


def _collect(
    container: av.container.InputContainer, stream: av.video.VideoStream, reader: PacketReader
) -> tuple[_Packets, Any]:
    """Read every packet; also returns the first one."""
    found = _Packets([], [], [], [], [], [])
    first = None
    try:
        for packet in packets_of(container, stream):
            if found.broken:
                raise UncountableError("a damaged packet in the middle")
            if packet.is_corrupt:
                found.broken = True
                continue
            if packet.pts is None:
                raise UncountableError("a packet without a time stamp")
            first = packet if first is None else first
            found.pts.append(packet.pts)
            found.dts.append(packet.dts)
            found.durations.append(packet.duration or 0)
            found.sizes.append(packet.size)
            found.discarded.append(packet.is_discard)
            found.pictures.append(_picture_of(reader, bytes(packet)))
    except av.FFmpegError:
        found.broken = True
    return found, first


def _picture_of(reader: PacketReader, data: bytes) -> Picture:
    """What a packet announces; a header that ends too early is not to be trusted."""
    try:
        return reader.picture(data)
    except IndexError as error:
        raise UncountableError("a header ends too early") from error


def _misses_its_end(stream: av.video.VideoStream, table: PacketTable, count: int) -> bool:
    """Whether the container declares more than was found.

    Only MP4 and Matroska are believed; AVI counts empty packets, others estimate.
    """
    kind = stream.container.format.name
    if "mp4" in kind and stream.frames:
        return count < stream.frames
    declared = _declared_end(stream, int(table.pts.min()))
    found = (int(table.pts.max()) - int(table.pts.min())) * (stream.time_base or Fraction(1, 1000))
    tolerance = max(_MISSING_TAIL_S, 3 * float(found) / count)
    return declared is not None and declared - found > tolerance


def _packet_table(packets: _Packets, reader: PacketReader) -> PacketTable:
    """The table of all packets."""
    pts = np.array(packets.pts, np.int64)
    entry = np.array([picture.entry for picture in packets.pictures], np.uint8)
    layer = np.array([picture.layer for picture in packets.pictures])
    unreferenced = np.array([picture.unreferenced for picture in packets.pictures])
    visible = np.array([picture.shown for picture in packets.pictures])
    if reader.starts_with_entry and entry[0] == NO_ENTRY:
        raise UncountableError("the stream starts in the middle")
    if entry[0] != HARD_ENTRY and (pts < pts[0]).any():
        raise UncountableError("pictures are shown before the first that can be decoded")
    if not reader.exact_entries:
        entry[:] = NO_ENTRY
    if not reader.reorders_safely and (np.diff(pts) < 0).any():
        raise UncountableError("undeclared reordering")
    entry[0] = HARD_ENTRY  # where a sequential decode starts, too
    shown_rows = np.flatnonzero(visible & ~np.array(packets.discarded, bool))
    shown_rows = shown_rows[np.argsort(pts[shown_rows], kind="stable")]
    if (np.diff(pts[shown_rows]) <= 0).any():
        raise UncountableError("two frames at the same time")
    return PacketTable(
        pts=pts,
        bytes=np.array(packets.sizes, np.int64),
        entry=entry,
        droppable=unreferenced & (layer == layer.max()),
        position_of_frame=shown_rows,
    )


# --- by decoding ------------------------------------------------------------------------------


def _index_by_decoding(
    path: str, container: av.container.InputContainer, stream: av.video.VideoStream
) -> VideoIndex:
    """The index of what the decoder puts out; for streams whose packets do not tell."""
    first: av.VideoFrame | None = None
    pts: list[int] = []
    durations: list[int] = []
    step = _nominal_step(stream)
    pictures = Pictures(container, stream)
    for frame in pictures:
        first = frame if first is None else first
        previous = pts[-1] if pts else -step
        pts.append(previous + step if frame.pts is None else frame.pts)
        durations.append(getattr(frame, "duration", 0) or 0)
    if first is None:
        raise VideoError(_no_pictures(path, stream))
    # Of several frames with one time stamp only the last stays on the screen.
    order = np.argsort(np.array(pts, np.int64), kind="stable")
    sorted_pts = np.array(pts, np.int64)[order]
    stays = np.append(np.diff(sorted_pts) > 0, True)
    end = int(sorted_pts[-1]) + durations[order[-1]] if durations[order[-1]] > 0 else None
    return _assemble(
        path,
        stream,
        first,
        sorted_pts[stays],
        end,
        cut_off=pictures.broken,
        ordinals=order[stays].astype(np.int64),
    )


def _nominal_step(stream: av.video.VideoStream) -> int:
    """Time units from one frame to the next where nothing better is known."""
    rate = stream.average_rate or stream.guessed_rate or Fraction(25)
    return max(1, round(1 / (rate * (stream.time_base or Fraction(1, 1000)))))


# --- both ------------------------------------------------------------------------------------


def _assemble(
    path: str,
    stream: av.video.VideoStream,
    picture: av.VideoFrame,
    pts: IntArray,
    end: int | None,
    *,
    cut_off: bool,
    ordinals: IntArray | None = None,
    packets: PacketTable | None = None,
) -> VideoIndex:
    """Put the index together.

    Args:
        path: The file.
        stream: Its video stream.
        picture: The first picture, for size and orientation.
        pts: Time stamps of the shown frames, (frames,) strictly increasing.
        end: Time stamp at which the last frame ends, or None when the container does not say.
        cut_off: Whether the file is known to break off.
        ordinals: See :class:`VideoIndex`.
        packets: See :class:`VideoIndex`.
    """
    base = stream.time_base or Fraction(1, 1000)
    rate = stream.average_rate
    if end is None:
        end = int(pts[-1]) + _last_step(pts, rate, base)
    readable = (end - int(pts[0])) * base
    counted = len(pts) / readable
    if not rate or abs(rate / counted - 1) > _RATE_TOLERANCE:
        rate = counted
    times_s = (pts - pts[0]) * base.numerator / base.denominator
    times_s.setflags(write=False)
    orientation = orientation_of(picture, path)
    width, height = orientation.stored_size(picture.width, picture.height)
    declared = _declared_end(stream, int(pts[0])) if cut_off else None
    duration = max(readable, declared or readable)
    meta = VideoMeta(path, width, height, rate, float(duration), len(pts), times_s)
    return VideoIndex(
        meta,
        orientation,
        pts,
        ordinals,
        packets,
        readable_s=float(readable) if cut_off else None,
        declared_frames=stream.frames,
    )


def _last_step(pts: IntArray, rate: Fraction | None, base: Fraction) -> int:
    """How long the last frame stays, in time units, where the container does not say."""
    if len(pts) > 1:
        return int(np.median(np.diff(pts)))
    return max(1, round(1 / ((rate or Fraction(25)) * base)))


def _declared_end(stream: av.video.VideoStream, first_pts: int) -> Fraction | None:
    """Seconds from the first frame to the end that MP4 or Matroska declares for this stream."""
    container: Any = stream.container
    base = stream.time_base or Fraction(1, 1000)
    if "mp4" in container.format.name and stream.duration:
        return ((stream.start_time or 0) + stream.duration - first_pts) * base
    if "matroska" not in container.format.name:
        return None
    late = max(Fraction(0), first_pts * base)
    written = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    if written:  # 00:00:20.040000000
        hours, minutes, seconds = (Fraction(part) for part in written.groups())
        return 3600 * hours + 60 * minutes + seconds - late
    if len(container.streams) == 1 and container.duration:
        return Fraction(container.duration, 1_000_000) - late
    return None


def _no_pictures(path: str, stream: av.video.VideoStream) -> str:
    declared = f", though the file declares {stream.frames} frames" if stream.frames else ""
    return (
        f"expected at least one frame, but {path} holds none that can be read{declared}; the file "
        "is empty or cut off: copy or record it again"
    )
