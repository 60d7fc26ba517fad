"""What a compressed picture says about itself before it is decoded.

The reader skips work by not showing the decoder what it does not need. That is only right where
the standard of the codec promises it, so the few header fields are read that carry the promise: is
a packet exactly one picture, can decoding start here, does anything refer to it.

* H.264 and HEVC: :mod:`stvg.video.h26x`.
* VP9 and AV1: a shown key frame refreshes every reference and resets all state (VP9 7.2, AV1
  7.20 and 7.21).
* Motion JPEG: a picture that brings its own tables stands alone.
* MPEG-4 part 2, VP8, GIF and codecs of single pictures: only the number of pictures is read.

Whatever does not fit is not guessed at: :class:`UncountableError` says that the packets do not
tell the pictures, and ``NO_ENTRY`` stays where a start is not provably exact. No pixel is touched
here and no file opened.
"""

from __future__ import annotations

from typing import Protocol

from .h26x import H264Reader, HevcReader
from .packets import HARD_ENTRY, NO_ENTRY, PacketReader, Picture, UncountableError


def packet_reader(codec: str, extradata: bytes, intra_only: bool) -> PacketReader:
    """The reader for a codec.

    Args:
        codec: FFmpeg's name of the codec, e.g. ``h264``.
        extradata: The stream's global header, possibly empty.
        intra_only: Whether every picture of the codec stands alone.

    Raises:
        UncountableError: If the packets of this codec do not tell the pictures.
    """
    if codec == "h264":
        return H264Reader(extradata)
    if codec == "hevc":
        return HevcReader(extradata)
    with_key_frames = {"vp9": vp9_picture, "av1": av1_picture}
    if codec in with_key_frames:
        return _SimpleReader(with_key_frames[codec], starts_with_entry=True)
    alone_or_counted = {"vp8": vp8_picture, "mjpeg": mjpeg_picture, "mpeg4": mpeg4_picture}
    if codec in alone_or_counted:
        return _SimpleReader(alone_or_counted[codec])
    if intra_only or codec == "gif":
        return _SimpleReader(lambda data: Picture())
    raise UncountableError(f"the packets of {codec} do not tell its pictures")


class _SimpleReader:
    """A reader without memory: one function from a packet to its picture."""

    exact_entries = True
    reorders_safely = True

    def __init__(self, look: _Look, *, starts_with_entry: bool = False) -> None:
        self.starts_with_entry = starts_with_entry
        self._look = look

    def picture(self, data: bytes) -> Picture:
        """What one packet announces."""
        if not data:
            raise UncountableError("an empty packet")
        return self._look(data)


class _Look(Protocol):
    def __call__(self, data: bytes, /) -> Picture: ...


def vp9_picture(data: bytes) -> Picture:
    """The picture of a VP9 packet, which may be a superframe with hidden frames in it."""
    shown, key = 0, False
    for number, frame in enumerate(_vp9_frames(data)):
        if not frame or frame[0] >> 6 != 2:
            raise UncountableError("not a VP9 frame")
        shift = 0 if frame[0] >> 4 & 3 == 3 else 1  # profile 3 has one more bit in front
        existing, inter, visible = (frame[0] >> bit + shift & 1 for bit in (2, 1, 0))
        shown += existing or visible
        key = key or (number == 0 and not existing and not inter)
    if shown > 1:
        raise UncountableError(f"{shown} shown pictures in a packet")
    return Picture(entry=HARD_ENTRY if key else NO_ENTRY, shown=shown == 1)


def vp8_picture(data: bytes) -> Picture:
    """The picture of a VP8 packet; entries are not used (the segment map may outlive them)."""
    return Picture(shown=bool(data[0] >> 4 & 1))


def av1_picture(data: bytes) -> Picture:
    """The picture of an AV1 temporal unit, which shows exactly one."""
    position, has_sequence = 0, False
    while position < len(data):
        header = data[position]
        kind, extended, sized = header >> 3 & 15, header >> 2 & 1, header >> 1 & 1
        if extended and data[position + 1] >> 3 & 3:
            raise UncountableError("spatial layers")
        position += 1 + extended
        size, position = _leb128(data, position) if sized else (len(data) - position, position)
        if kind == 1:
            has_sequence = True
        elif kind in (3, 6) and size:
            # show_existing_frame 0, frame_type KEY_FRAME (0), show_frame 1
            is_shown_key = data[position] >> 4 == 0b0001
            return Picture(entry=HARD_ENTRY if is_shown_key and has_sequence else NO_ENTRY)
        position += size
    raise UncountableError("no frame in a temporal unit")


def mjpeg_picture(data: bytes) -> Picture:
    """A JPEG picture; it stands alone when it brings quantisation and Huffman tables."""
    header = data[: data.find(b"\xff\xda")]
    alone = b"\xff\xdb" in header and b"\xff\xc4" in header
    return Picture(entry=HARD_ENTRY if alone else NO_ENTRY)


def mpeg4_picture(data: bytes) -> Picture:
    """The picture of an MPEG-4 part 2 packet: one, unless packed or a mere repetition."""
    starts = data.count(b"\x00\x00\x01\xb6")
    if starts != 1 or len(data) < 32:  # a repetition ("not coded") is a few bytes long
        raise UncountableError(f"{starts} pictures in a packet of {len(data)} bytes")
    return Picture()


def _vp9_frames(data: bytes) -> list[bytes]:
    """The frames of a VP9 packet: several in a superframe (VP9 annex B), else the packet."""
    last = data[-1]
    if last & 0xE0 != 0xC0:
        return [data]
    count, size_bytes = (last & 7) + 1, (last >> 3 & 3) + 1
    index_bytes = 2 + count * size_bytes
    if len(data) < index_bytes or data[-index_bytes] != last:
        return [data]
    index, frames, position = data[-index_bytes + 1 : -1], [], 0
    for number in range(count):
        size = int.from_bytes(index[number * size_bytes : (number + 1) * size_bytes], "little")
        frames.append(data[position : position + size])
        position += size
    return frames


def _leb128(data: bytes, position: int) -> tuple[int, int]:
    """A little-endian base-128 number (AV1 4.10.5) and the position behind it."""
    value = 0
    for step in range(8):
        if position >= len(data):
            raise UncountableError("a unit reaches beyond its packet")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << 7 * step
        if not byte & 0x80:
            break
    return value, position
