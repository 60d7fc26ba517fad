"""Headers of H.264 and HEVC packets, as far as the reader needs them.

* H.264 (ITU-T H.264): an IDR picture (7.4.1.2.4) starts afresh; a recovery point with
  ``recovery_frame_cnt`` 0 and ``exact_match_flag`` 1 (D.2.8) does for everything shown after it;
  ``nal_ref_idc`` 0 (7.4.1) means that no other picture refers to this one.
* HEVC (ITU-T H.265): IDR likewise; no picture shown after a CRA picture refers to anything before
  it (8.3.2); a sub-layer non-reference picture of the highest temporal sub-layer is referred to
  by none (7.4.2.2).

Fields that play no part are read over. The other codecs are in :mod:`stvg.video.bitstream`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from .packets import HARD_ENTRY, NO_ENTRY, SOFT_ENTRY, Picture, UncountableError


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
