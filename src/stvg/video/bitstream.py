"""What a compressed picture says about itself before it is decoded.

The reader skips work by not showing the decoder what it does not need. That is only right where
the standard of the codec promises it, so this file reads the few header fields that carry the
promise: is a packet exactly one picture, can decoding start here, does anything refer to it.

* H.264 (ITU-T H.264): an IDR picture (7.4.1.2.4) starts afresh; a recovery point with
  ``recovery_frame_cnt`` 0 and ``exact_match_flag`` 1 (D.2.8) does for everything shown after it;
  ``nal_ref_idc`` 0 (7.4.1) means that no other picture refers to this one.
* HEVC (ITU-T H.265): IDR likewise; no picture shown after a CRA picture refers to anything before
  it (8.3.2); a sub-layer non-reference picture of the highest temporal sub-layer is referred to
  by none (7.4.2.2).
* VP9 and AV1: a shown key frame refreshes every reference and resets all state.
* Motion JPEG: a picture that brings its own tables stands alone.
* MPEG-4 part 2, VP8, GIF and codecs of single pictures: only the number of pictures is read.

Whatever does not fit these rules is not guessed at: :class:`UncountableError` says that the packets
do not tell the pictures, :attr:`Picture.entry` stays ``NO_ENTRY`` where a start is not provably
exact. No pixel is touched here and no file opened.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

NO_ENTRY, SOFT_ENTRY, HARD_ENTRY = 0, 1, 2
"""Whether decoding may start at a picture: no; yes, for what is shown from it on; yes, for
everything that follows it in the stream."""


class UncountableError(Exception):
    """The packets of this stream do not tell which pictures come out; only decoding does."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What one packet announces.

    Attributes:
        entry: ``NO_ENTRY``, ``SOFT_ENTRY`` or ``HARD_ENTRY``.
        layer: Temporal sub-layer, from 0.
        unreferenced: No picture of the same or a lower sub-layer refers to it.
        shown: Whether it puts a picture on the screen (VP8 and VP9 have hidden ones).
    """

    entry: int = NO_ENTRY
    layer: int = 0
    unreferenced: bool = False
    shown: bool = True


class PacketReader(Protocol):
    """Reads the packets of one stream in order.

    Attributes:
        exact_entries: False once something was seen that makes starting in the middle unsafe.
        reorders_safely: False when the stream does not declare how far pictures are reordered,
            so that a decoder may drop some while it finds out.
        starts_with_entry: Whether a stream whose first packet is no entry is a cut one, of which
            the decoder leaves pictures out.
    """

    exact_entries: bool
    reorders_safely: bool
    starts_with_entry: bool

    def picture(self, data: bytes) -> Picture:
        """What ``data``, one packet, announces.

        Raises:
            UncountableError: If the packet is not exactly one picture or cannot be read.
        """
        ...


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


class H264Reader:
    """H.264: see :class:`PacketReader`; refuses interlaced streams and frame number gaps.

    Args:
        extradata: ``avcC`` record or Annex B parameter sets.

    Raises:
        UncountableError: If there are no parameter sets, or they allow fields or gaps.
    """

    starts_with_entry = True

    def __init__(self, extradata: bytes) -> None:
        self.exact_entries = True
        self._extradata = extradata
        self._length_bytes = (extradata[4] & 3) + 1 if extradata[:1] == b"\x01" else 0
        sets = [unit for unit in _parameter_sets(extradata, 5, 0x1F) if unit[0] & 31 == 7]
        if not sets:
            raise UncountableError("no sequence parameter set in the header")
        facts = [_h264_sequence(unit) for unit in sets]
        if any(fact.fields or fact.gaps for fact in facts):
            raise UncountableError("interlaced, or with gaps in the picture numbers")
        self.reorders_safely = all(fact.declares_reordering for fact in facts)
        # FFmpeg works around faults of old x264 builds, which only the first packet names.
        self._old_encoder_matters = any(fact.full_chroma for fact in facts)

    def picture(self, data: bytes) -> Picture:
        """What one packet announces."""
        pictures, recovery, first, reference = 0, False, 0, 0
        for unit in units(data, self._length_bytes):
            kind = unit[0] & 31
            if kind in (1, 5):
                if len(unit) > 1 and unit[1] & 0x80:  # first_mb_in_slice is 0
                    pictures += 1
                    first, reference = kind, unit[0] >> 5 & 3
            elif 2 <= kind <= 4:
                raise UncountableError("data partitioning")
            elif kind in (7, 8, 13, 15):
                self._check_parameter_set(unit, kind)
            elif kind == 6:
                recovery = recovery or _h264_exact_recovery(unit)
                self._check_encoder(unit)
        if pictures != 1:
            raise UncountableError(f"{pictures} pictures in a packet")
        entry = HARD_ENTRY if first == 5 else SOFT_ENTRY if recovery else NO_ENTRY
        return Picture(entry=entry, unreferenced=reference == 0)

    def _check_parameter_set(self, unit: bytes, kind: int) -> None:
        """A set that the decoder does not know from the header must not be skipped over."""
        if unit.rstrip(b"\0") not in self._extradata:
            self.exact_entries = False
            if kind == 7:
                raise UncountableError("the sequence parameter set changes")

    def _check_encoder(self, unit: bytes) -> None:
        found = re.search(rb"x264 - core (\d+)", unit)
        if found and int(found[1]) < (151 if self._old_encoder_matters else 34):
            self.exact_entries = False


class HevcReader:
    """HEVC: see :class:`PacketReader`; refuses streams whose pictures may stay undisplayed.

    Args:
        extradata: ``hvcC`` record or Annex B parameter sets.

    Raises:
        UncountableError: If there are no parameter sets, or they allow hidden pictures.
    """

    reorders_safely = True
    starts_with_entry = True

    def __init__(self, extradata: bytes) -> None:
        self.exact_entries = True
        self._extradata = extradata
        is_record = extradata[:1] == b"\x01"
        self._length_bytes = (extradata[21] & 3) + 1 if is_record and len(extradata) > 21 else 0
        sets = list(_parameter_sets(extradata, 22, 0xFF))
        if not any(_hevc_kind(unit) == 33 for unit in sets):
            raise UncountableError("no sequence parameter set in the header")
        for unit in sets:
            self._check_hidden(unit)
        self._pictures = 0
        self._ended = False

    def picture(self, data: bytes) -> Picture:
        """What one packet announces."""
        if self._ended:
            raise UncountableError("the sequence ends within the stream")
        pictures, kind_seen, layer = 0, 0, 0
        for unit in units(data, self._length_bytes):
            kind = _hevc_kind(unit)
            if (unit[0] & 1) << 5 | unit[1] >> 3:  # a second view or quality layer
                continue
            if kind <= 21:
                if len(unit) > 2 and unit[2] & 0x80:  # first_slice_segment_in_pic_flag
                    pictures += 1
                    kind_seen, layer = kind, (unit[1] & 7) - 1
                    if kind >= 16 and self._pictures and unit[2] & 0x40:
                        raise UncountableError("no_output_of_prior_pics_flag")
            elif kind in (32, 33, 34):
                self._check_parameter_set(unit, kind)
            elif kind in (36, 37):
                self._ended = True
        if pictures != 1 or 16 <= kind_seen <= 18:
            raise UncountableError(f"{pictures} pictures in a packet, first of type {kind_seen}")
        self._pictures += 1
        entry = {19: HARD_ENTRY, 20: HARD_ENTRY, 21: SOFT_ENTRY}.get(kind_seen, NO_ENTRY)
        return Picture(entry=entry, layer=layer, unreferenced=kind_seen in (0, 2, 4, 6, 8))

    def _check_parameter_set(self, unit: bytes, kind: int) -> None:
        if unit.rstrip(b"\0") not in self._extradata:
            self.exact_entries = False
            self._check_hidden(unit)
            if kind == 33:
                raise UncountableError("the sequence parameter set changes")

    def _check_hidden(self, unit: bytes) -> None:
        """Refuse a picture parameter set with ``output_flag_present_flag`` (7.3.2.3)."""
        if _hevc_kind(unit) == 34:
            bits = Bits(unit[2:])
            bits.exp_golomb(), bits.exp_golomb(), bits.read(1)
            if bits.read(1):
                raise UncountableError("pictures may stay undisplayed")


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


def units(data: bytes, length_bytes: int) -> Iterator[bytes]:
    """The network abstraction units of an H.264 or HEVC packet.

    Args:
        data: The packet.
        length_bytes: Size of the length in front of each unit, or 0 for start codes (Annex B).

    Raises:
        UncountableError: If a length points outside the packet.
    """
    if not length_bytes:
        parts = re.split(rb"\x00\x00\x01", data)
        if len(parts) < 2:
            raise UncountableError("no start code in a packet")
        yield from (part for part in parts[1:] if len(part) > 1)
        return
    position = 0
    while position < len(data):
        size = int.from_bytes(data[position : position + length_bytes], "big")
        position += length_bytes
        if size < 2 or position + size > len(data):
            raise UncountableError("a unit reaches beyond its packet")
        yield data[position : position + size]
        position += size


class Bits:
    """Reads the bits of an H.264 or HEVC unit, emulation prevention bytes removed."""

    def __init__(self, unit: bytes) -> None:
        clean = unit.replace(b"\x00\x00\x03", b"\x00\x00")
        self._value = int.from_bytes(clean, "big")
        self._left = 8 * len(clean)

    def read(self, count: int) -> int:
        """The next ``count`` bits as a number."""
        if count > self._left:
            raise UncountableError("a header ends too early")
        self._left -= count
        return self._value >> self._left & ((1 << count) - 1)

    def exp_golomb(self) -> int:
        """The next ``ue(v)`` number (H.264 9.1)."""
        zeros = 0
        while not self.read(1):
            zeros += 1
        return (1 << zeros) - 1 + self.read(zeros)

    def signed(self) -> int:
        """The next ``se(v)`` number (H.264 9.1.1)."""
        code = self.exp_golomb()
        return (code + 1) // 2 if code & 1 else -(code // 2)


@dataclass(frozen=True, slots=True)
class _Sequence:
    """What matters of an H.264 sequence parameter set."""

    fields: bool
    gaps: bool
    declares_reordering: bool
    full_chroma: bool


def _h264_sequence(unit: bytes) -> _Sequence:
    """Read a sequence parameter set (H.264 7.3.2.1.1)."""
    bits = Bits(unit[1:])
    profile = bits.read(8)
    bits.read(16)
    bits.exp_golomb()
    chroma = 1
    if profile in (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135):
        chroma = bits.exp_golomb()
        bits.read(1 if chroma == 3 else 0)
        bits.exp_golomb(), bits.exp_golomb(), bits.read(1)
        if bits.read(1):
            for number in range(12 if chroma == 3 else 8):
                if bits.read(1):
                    _skip_scaling_list(bits, 16 if number < 6 else 64)
    bits.exp_golomb()
    order_kind = bits.exp_golomb()
    if order_kind == 0:
        bits.exp_golomb()
    elif order_kind == 1:
        bits.read(1), bits.signed(), bits.signed()
        for _ in range(bits.exp_golomb()):
            bits.signed()
    bits.exp_golomb()
    gaps = bool(bits.read(1))
    bits.exp_golomb(), bits.exp_golomb()
    fields = not bits.read(1)
    bits.read(2 if fields else 1)
    if bits.read(1):
        for _ in range(4):
            bits.exp_golomb()
    declares = order_kind == 2 or (bool(bits.read(1)) and _h264_declares_reordering(bits))
    return _Sequence(fields, gaps, declares, full_chroma=chroma == 3)


def _skip_scaling_list(bits: Bits, size: int) -> None:
    """Pass over a scaling list (H.264 7.3.2.1.1.1)."""
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.signed()) % 256
        last = following or last


def _h264_declares_reordering(bits: Bits) -> bool:
    """Read ``bitstream_restriction_flag`` of the usability information (H.264 E.1.1)."""
    if bits.read(1) and bits.read(8) == 255:
        bits.read(32)
    if bits.read(1):
        bits.read(1)
    if bits.read(1):
        bits.read(4)
        bits.read(24 if bits.read(1) else 0)
    if bits.read(1):
        bits.exp_golomb(), bits.exp_golomb()
    if bits.read(1):
        bits.read(65)
    buffered = False
    for _ in range(2):
        if bits.read(1):
            buffered = True
            schedules = bits.exp_golomb() + 1
            bits.read(8)
            for _ in range(schedules):
                bits.exp_golomb(), bits.exp_golomb(), bits.read(1)
            bits.read(20)
    bits.read(1 if buffered else 0)
    bits.read(1)
    return bool(bits.read(1))


def _h264_exact_recovery(unit: bytes) -> bool:
    """Whether supplemental information holds an exact, immediate recovery point (D.1.8)."""
    data = unit[1:].replace(b"\x00\x00\x03", b"\x00\x00")
    position = 0
    while position + 2 < len(data):
        kind, position = _sei_number(data, position)
        size, position = _sei_number(data, position)
        if kind == 6 and size:
            bits = Bits(data[position : position + size])
            return bits.exp_golomb() == 0 and bits.read(1) == 1 and bits.read(1) == 0
        position += size
    return False


def _sei_number(data: bytes, position: int) -> tuple[int, int]:
    """A payload type or size: 255 a byte of ``ff``, plus the first other byte."""
    total = 0
    while position < len(data):
        total += data[position]
        position += 1
        if data[position - 1] != 255:
            break
    return total, position


def _hevc_kind(unit: bytes) -> int:
    return unit[0] >> 1 & 63


def _parameter_sets(extradata: bytes, start: int, count_mask: int) -> Iterator[bytes]:
    """The parameter sets of an ``avcC`` (start 5) or ``hvcC`` (start 22) record, or of Annex B.

    Args:
        extradata: The global header.
        start: Where the counts of a record begin.
        count_mask: Bits of the first count.
    """
    if extradata[:1] != b"\x01":
        if extradata:
            yield from (unit.rstrip(b"\0") for unit in units(extradata, 0))
        return
    try:
        position, groups = start, 2
        if start == 22:
            position, groups = 23, extradata[22]
        for group in range(groups):
            if start == 22:
                count = int.from_bytes(extradata[position + 1 : position + 3], "big")
                position += 3
            else:
                count = extradata[position] & (count_mask if group == 0 else 0xFF)
                position += 1
            for _ in range(count):
                size = int.from_bytes(extradata[position : position + 2], "big")
                unit = extradata[position + 2 : position + 2 + size]
                position += 2 + size
                if len(unit) > 1:
                    yield unit
    except IndexError as error:
        raise UncountableError("the header of the stream is cut off") from error


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
