"""Packet headers: bits set by hand, after the standards."""

from __future__ import annotations

from collections.abc import Callable

import av
import pytest

from stvg.video.bitstream import (
    av1_picture,
    mjpeg_picture,
    mpeg4_picture,
    packet_reader,
    vp8_picture,
    vp9_picture,
)
from stvg.video.h26x import Bits, H264Reader, HevcReader, units
from stvg.video.packets import (
    HARD_ENTRY,
    NO_ENTRY,
    SOFT_ENTRY,
    PacketReader,
    Picture,
    UncountableError,
)
from tests.video.reading import VideoOf


def bits(*fields: tuple[int, int]) -> bytes:
    """Bytes from (value, number of bits) fields, filled up with zeros."""
    text = "".join(format(value, f"0{count}b") for value, count in fields if count)
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


def test_exponential_golomb_numbers() -> None:
    # H.264, table 9-2: 1 -> 0, 010 -> 1, 011 -> 2, 00100 -> 3; and 3 is the signed 2
    reader = Bits(bits((0b1, 1), (0b010, 3), (0b011, 3), (0b00100, 5), (0b00100, 5)))
    assert [reader.exp_golomb() for _ in range(4)] == [0, 1, 2, 3]
    assert reader.signed() == 2
    with pytest.raises(UncountableError):
        reader.read(20)


def test_emulation_prevention_is_removed() -> None:
    assert Bits(b"\x00\x00\x03\x01").read(24) == 1


@pytest.mark.parametrize(
    ("data", "length_bytes", "found"),
    [
        (b"\x00\x00\x00\x02ab\x00\x00\x00\x03cde", 4, [b"ab", b"cde"]),
        (b"\x02ab\x03cde", 1, [b"ab", b"cde"]),
        (b"\x00\x00\x01ab\x00\x00\x01cde", 0, [b"ab", b"cde"]),
        (b"\x00\x00\x00\x01ab", 0, [b"ab"]),
    ],
)
def test_units(data: bytes, length_bytes: int, found: list[bytes]) -> None:
    assert list(units(data, length_bytes)) == found


@pytest.mark.parametrize(
    ("data", "length_bytes"),
    [(b"\x00\x00\x00\x09ab", 4), (b"\x00\x00\x00\x00", 4), (b"no start code", 0)],
)
def test_units_of_damaged_packets(data: bytes, length_bytes: int) -> None:
    with pytest.raises(UncountableError):
        list(units(data, length_bytes))


# frame_marker 2, profile 0 0, then show_existing_frame, frame_type (0: key), show_frame, 0
VP9_KEY = bits((2, 2), (0, 2), (0, 1), (0, 1), (1, 1), (0, 1)) + b"key"
VP9_INTER = bits((2, 2), (0, 2), (0, 1), (1, 1), (1, 1), (0, 1)) + b"inter"
VP9_HIDDEN = bits((2, 2), (0, 2), (0, 1), (1, 1), (0, 1), (0, 1)) + b"hidden"
VP9_REPEAT = bits((2, 2), (0, 2), (1, 1), (0, 3))
# profile 3: both profile bits and a reserved one
VP9_KEY_PROFILE_3 = bits((2, 2), (3, 2), (0, 1), (0, 1), (0, 1), (1, 1)) + b"key"


def superframe(*frames: bytes) -> bytes:
    """Frames and the index behind them (VP9 annex B), one byte a size."""
    marker = bytes([0xC0 | len(frames) - 1])
    return b"".join(frames) + marker + bytes(len(frame) for frame in frames) + marker


@pytest.mark.parametrize(
    ("look", "data", "picture"),
    [
        pytest.param(vp9_picture, VP9_KEY, Picture(HARD_ENTRY), id="vp9 key frame"),
        pytest.param(vp9_picture, VP9_KEY_PROFILE_3, Picture(HARD_ENTRY), id="vp9 profile 3"),
        pytest.param(vp9_picture, VP9_INTER, Picture(), id="vp9 inter frame"),
        pytest.param(vp9_picture, VP9_HIDDEN, Picture(shown=False), id="vp9 hidden frame"),
        pytest.param(vp9_picture, VP9_REPEAT, Picture(), id="vp9 shows a kept frame"),
        pytest.param(
            vp9_picture, superframe(VP9_HIDDEN, VP9_INTER), Picture(), id="vp9 hidden and shown"
        ),
        pytest.param(
            vp9_picture, superframe(VP9_KEY, VP9_HIDDEN), Picture(HARD_ENTRY), id="vp9 key first"
        ),
        pytest.param(vp8_picture, b"\x10rest", Picture(), id="vp8 shown"),
        pytest.param(vp8_picture, b"\x00rest", Picture(shown=False), id="vp8 hidden"),
        # temporal delimiter, sequence header of one byte, frame: KEY_FRAME, show_frame
        pytest.param(
            av1_picture, b"\x12\x00\x0a\x01\x00\x32\x01\x10", Picture(HARD_ENTRY), id="av1 key"
        ),
        pytest.param(av1_picture, b"\x12\x00\x32\x01\x10", Picture(), id="av1 without sequence"),
        pytest.param(
            av1_picture, b"\x12\x00\x0a\x01\x00\x32\x01\x00", Picture(), id="av1 key, not shown"
        ),
        pytest.param(av1_picture, b"\x12\x00\x32\x01\x30", Picture(), id="av1 inter frame"),
        pytest.param(av1_picture, b"\x12\x00\x1a\x01\x80", Picture(), id="av1 shows a kept one"),
        pytest.param(
            mjpeg_picture, b"\xff\xd8\xff\xdb..\xff\xc4..\xff\xda", Picture(HARD_ENTRY), id="jpeg"
        ),
        pytest.param(mjpeg_picture, b"\xff\xd8\xff\xdb..\xff\xda", Picture(), id="no tables"),
        pytest.param(mpeg4_picture, b"\x00\x00\x01\xb6" + bytes(40), Picture(), id="mpeg-4"),
    ],
)
def test_pictures(look: Callable[[bytes], Picture], data: bytes, picture: Picture) -> None:
    assert look(data) == picture


@pytest.mark.parametrize(
    ("look", "data"),
    [
        pytest.param(vp9_picture, superframe(VP9_INTER, VP9_INTER), id="two shown frames"),
        pytest.param(vp9_picture, b"\x00\x00", id="not vp9"),
        pytest.param(av1_picture, b"\x12\x00", id="no frame"),
        pytest.param(av1_picture, b"\x36\x08\x01\x10", id="a spatial layer"),
        pytest.param(mpeg4_picture, 2 * (b"\x00\x00\x01\xb6" + bytes(40)), id="packed pictures"),
        pytest.param(mpeg4_picture, b"\x00\x00\x01\xb6\x50", id="a mere repetition"),
    ],
)
def test_uncountable_packets(look: Callable[[bytes], Picture], data: bytes) -> None:
    with pytest.raises(UncountableError):
        look(data)


def test_unknown_codecs_are_not_guessed_at() -> None:
    with pytest.raises(UncountableError):
        packet_reader("wmv2", b"", intra_only=False)
    with pytest.raises(UncountableError):
        packet_reader("vp9", b"", intra_only=False).picture(b"")
    assert packet_reader("prores", b"", intra_only=True).picture(b"x") == Picture()


# --- H.264 and HEVC, on headers that encoders wrote -------------------------------------------

H264_SEQUENCE = b"\x67"  # nal_ref_idc 3, type 7


def h264_sequence(*, progressive: int = 1, gaps: int = 0, restriction: int = 1) -> bytes:
    """A baseline sequence parameter set with Annex B start code."""
    one, two = (0b1, 1), (0b010, 3)  # ue(0), ue(1)
    fields = [(66, 8), (0, 8), (30, 8), one, one, one, two]  # profile to POC type 0, its bits
    fields += [two, (gaps, 1), two, two, (progressive, 1)]  # references, gaps, size, fields
    fields += [(0, 0 if progressive else 1), (1, 1), (0, 1)]  # mbaff, direct_8x8, no cropping
    fields += [(1, 1), (0, 4), (0, 1), (0, 1), (0, 1), (0, 1), (restriction, 1), (1, 1)]
    return b"\x00\x00\x01" + H264_SEQUENCE + bits(*fields)


IDR = b"\x00\x00\x01\x65\x88"  # nal_ref_idc 3, type 5, first_mb_in_slice 0
REFERENCE = b"\x00\x00\x01\x41\x88"
UNREFERENCED = b"\x00\x00\x01\x01\x88"
SECOND_SLICE = b"\x00\x00\x01\x41\x48"  # first_mb_in_slice 1
# payload type 6, one byte: recovery_frame_cnt 0 (1), exact_match_flag, broken_link_flag
RECOVERY = b"\x00\x00\x01\x06\x06\x01" + bits((1, 1), (1, 1), (0, 1), (0, 2), (1, 1))
INEXACT = b"\x00\x00\x01\x06\x06\x01" + bits((1, 1), (0, 1), (0, 1), (0, 2), (1, 1))
LATER = b"\x00\x00\x01\x06\x06\x01" + bits((2, 3), (1, 1), (0, 1), (0, 2))


@pytest.mark.parametrize(
    ("packet", "picture"),
    [
        pytest.param(IDR, Picture(HARD_ENTRY), id="IDR"),
        pytest.param(REFERENCE, Picture(), id="referenced"),
        pytest.param(UNREFERENCED, Picture(unreferenced=True), id="unreferenced"),
        pytest.param(REFERENCE + SECOND_SLICE, Picture(), id="two slices"),
        pytest.param(RECOVERY + REFERENCE, Picture(SOFT_ENTRY), id="recovery point"),
        pytest.param(INEXACT + REFERENCE, Picture(), id="approximate recovery"),
        pytest.param(LATER + REFERENCE, Picture(), id="recovery some pictures later"),
    ],
)
def test_h264_pictures(packet: bytes, picture: Picture) -> None:
    assert H264Reader(h264_sequence()).picture(packet) == picture


def test_h264_parameter_sets_in_the_stream() -> None:
    known = h264_sequence()
    reader = H264Reader(known)
    reader.picture(known + IDR)
    assert reader.exact_entries
    reader.picture(b"\x00\x00\x01\x68new" + REFERENCE)  # a picture parameter set
    assert not reader.exact_entries
    with pytest.raises(UncountableError):
        reader.picture(h264_sequence(restriction=0) + IDR)


@pytest.mark.parametrize(
    "packet",
    [
        pytest.param(REFERENCE + REFERENCE, id="two pictures"),
        pytest.param(SECOND_SLICE, id="no first slice"),
        pytest.param(b"\x00\x00\x01\x42\x88", id="data partitioning"),
    ],
)
def test_h264_packets_that_are_not_one_picture(packet: bytes) -> None:
    with pytest.raises(UncountableError):
        H264Reader(h264_sequence()).picture(packet)


@pytest.mark.parametrize(
    "extradata",
    [
        pytest.param(b"", id="no header"),
        pytest.param(b"\x01\x42\x00\x1e\xff\xe1", id="cut header"),
        pytest.param(h264_sequence(progressive=0), id="interlaced"),
        pytest.param(h264_sequence(gaps=1), id="gaps"),
    ],
)
def test_h264_streams_that_are_not_believed(extradata: bytes) -> None:
    with pytest.raises(UncountableError):
        H264Reader(extradata)


def test_h264_undeclared_reordering() -> None:
    assert H264Reader(h264_sequence()).reorders_safely
    assert not H264Reader(h264_sequence(restriction=0)).reorders_safely


def test_h264_of_an_old_encoder() -> None:
    reader = H264Reader(h264_sequence())
    named = b"\x00\x00\x01\x06\x05\x20" + b"x" * 16 + b"x264 - core 148 "
    reader.picture(named + IDR)
    assert reader.exact_entries
    reader.picture(named.replace(b"148", b"33 ") + IDR)
    assert not reader.exact_entries


def read_all(video_of: VideoOf, name: str) -> tuple[PacketReader, list[Picture]]:
    """The pictures of a generated stream."""
    with av.open(str(video_of(name))) as container:
        context = container.streams.video[0].codec_context
        reader = packet_reader(context.codec.canonical_name, bytes(context.extradata or b""), False)
        return reader, [
            reader.picture(bytes(packet)) for packet in container.demux(video=0) if packet.size
        ]


def test_hevc_entries(video_of: VideoOf) -> None:
    reader, pictures = read_all(video_of, "hevc_open_gop")
    assert reader.exact_entries
    assert pictures[0].entry == HARD_ENTRY
    assert [picture.entry for picture in pictures].count(SOFT_ENTRY) == 3  # at 12, 24, 36 of 45
    assert any(picture.unreferenced for picture in pictures)
    _, closed = read_all(video_of, "hevc_closed_gop")
    assert [picture.entry for picture in closed].count(HARD_ENTRY) == 4
    assert {picture.entry for picture in closed} == {HARD_ENTRY, NO_ENTRY}


@pytest.mark.parametrize(
    ("unit_type", "layer", "picture"),
    [
        pytest.param(0, 2, Picture(layer=2, unreferenced=True), id="TRAIL_N"),
        pytest.param(1, 0, Picture(), id="TRAIL_R"),
        pytest.param(2, 1, Picture(layer=1, unreferenced=True), id="TSA_N"),
        pytest.param(7, 0, Picture(), id="RADL_R"),
        pytest.param(8, 0, Picture(unreferenced=True), id="RASL_N"),
        pytest.param(20, 0, Picture(HARD_ENTRY), id="IDR_N_LP"),
        pytest.param(21, 0, Picture(SOFT_ENTRY), id="CRA"),
    ],
)
def test_hevc_pictures(unit_type: int, layer: int, picture: Picture, video_of: VideoOf) -> None:
    reader = HevcReader(hevc_header(video_of))
    slices = (bytes([unit_type << 1, layer + 1, first, 0]) for first in (0x80, 0x00))
    packet = b"\x00\x00\x01" + b"\x00\x00\x01".join(slices)
    assert reader.picture(packet) == picture


@pytest.mark.parametrize(
    ("last", "packet"),
    [
        pytest.param(b"", b"\x00\x00\x01\x20\x01\x80", id="broken link access (type 16)"),
        pytest.param(b"", b"\x00\x00\x01\x26\x01\xc0", id="IDR that drops waiting pictures"),
        pytest.param(b"\x00\x00\x01\x48\x01", b"\x00\x00\x01\x02\x01\x80", id="behind the end"),
    ],
)
def test_hevc_streams_whose_pictures_may_stay_hidden(
    last: bytes, packet: bytes, video_of: VideoOf
) -> None:
    reader = HevcReader(hevc_header(video_of))
    assert reader.picture(b"\x00\x00\x01\x26\x01\x80" + last).entry == HARD_ENTRY
    with pytest.raises(UncountableError):
        reader.picture(packet)


def hevc_header(video_of: VideoOf) -> bytes:
    """The parameter sets that an encoder wrote, with start codes (Annex B)."""
    with av.open(str(video_of("hevc_closed_gop"))) as container:
        record = bytes(container.streams.video[0].codec_context.extradata or b"")
    position, sets = 23, []  # the hvcC record of ISO/IEC 14496-15, 8.3.3.1
    for _ in range(record[22]):
        count = int.from_bytes(record[position + 1 : position + 3], "big")
        position += 3
        for _ in range(count):
            size = int.from_bytes(record[position : position + 2], "big")
            sets.append(b"\x00\x00\x01" + record[position + 2 : position + 2 + size])
            position += 2 + size
    return b"".join(sets)
