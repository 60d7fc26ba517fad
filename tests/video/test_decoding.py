"""Decoding little: the pixels are those of the plain decode, and little is decoded."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from stvg.video import SamplingPlan, decoding, probe, read_clip
from stvg.video.container import file_identity
from stvg.video.index import PacketTable, video_index
from stvg.video.packets import HARD_ENTRY, NO_ENTRY, SOFT_ENTRY
from tests.video.reading import VideoOf, decode_everything, numbers_in
from tests.video.streams import FRAMES, STREAMS

SHORT = [name for name, stream in STREAMS.items() if stream.is_short]


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("threads", [1, 2])
def test_pixels_equal_the_sequential_decode(name: str, threads: int, video_of: VideoOf) -> None:
    path = video_of(name)
    times_s = probe(path).times_s
    expected = decode_everything(path)
    draw = random.Random(f"{name} {threads}")
    for _ in range(12):
        numbers = sorted(draw.sample(range(FRAMES), draw.choice([1, 2, 3, 5, 9])))
        clip = read_clip(path, SamplingPlan(times_s=times_s[numbers]), threads=threads)
        assert clip.frame_indices.tolist() == numbers
        for picture, number in zip(clip.frames, numbers, strict=True):
            assert np.array_equal(picture, expected[number]), f"{name}: frame {number} of {numbers}"


@pytest.mark.parametrize("name", SHORT)
def test_the_short_way_suffices(
    name: str, video_of: VideoOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = video_of(name)
    times_s = probe(path).times_s
    packets = video_index(file_identity(path)).packets
    assert packets is not None
    assert (packets.entry != NO_ENTRY).sum() > 1 or packets.droppable.any()

    def fail(*_: Any) -> Iterator[Any]:
        raise AssertionError("decoded from the start")

    monkeypatch.setattr(decoding, "_decode_plainly", fail)
    draw = random.Random(name)
    for _ in range(10):
        numbers = sorted(draw.sample(range(FRAMES), 3))
        clip = read_clip(path, SamplingPlan(times_s=times_s[numbers]), threads=1)
        assert numbers_in(clip.frames) == numbers


@pytest.mark.parametrize(
    "name", ["h264_gop12", "h264_open_gop", "h264_mkv", "hevc_open_gop", "vp9"]
)
def test_seeking_changes_nothing(
    name: str, video_of: VideoOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "_SEEK_PACKETS", 1)  # seek over every gap
    test_the_short_way_suffices(name, video_of, monkeypatch)


def test_the_plain_way_takes_over_where_the_short_one_fails(
    video_of: VideoOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = video_of("h264_gop12")
    needed = decoding._decode_needed

    def gives_up(*given: Any) -> Iterator[Any]:
        return itertools.islice(needed(*given), 2)

    monkeypatch.setattr(decoding, "_decode_needed", gives_up)
    clip = read_clip(path, SamplingPlan(count=5))
    assert numbers_in(clip.frames) == clip.frame_indices.tolist() == [4, 13, 22, 31, 40]


def test_decodes_few_packets_for_few_frames(video_of: VideoOf) -> None:
    packets = video_index(file_identity(video_of("h264_gop12"))).packets
    assert packets is not None
    one, _ = decoding.choose_packets(packets, packets.position_of_frame[[24]])
    assert one.sum() == 1  # a key frame
    two, _ = decoding.choose_packets(packets, packets.position_of_frame[[0, 24]])
    assert two.sum() == 2


def table(pts: list[int], entry: list[int], droppable: list[int]) -> PacketTable:
    """A table of packets in decoding order, all shown."""
    times = np.array(pts, np.int64)
    return PacketTable(
        pts=times,
        bytes=np.full(len(pts), 100, np.int64),
        entry=np.array(entry, np.uint8),
        droppable=np.array(droppable, np.bool_),
        position_of_frame=np.argsort(times),
    )


# Two groups of I B P (shown I, B, P), the second one starting softly with a leading picture:
# row      0    1    2    3    4       5    6    7
# shown    0    2    1    4    5       3    7    6
# what     IDR  P    b    P    CRA     b    P    b      (b: nothing refers to it)
OPEN = table(
    pts=[0, 2, 1, 4, 5, 3, 7, 6],
    entry=[HARD_ENTRY, 0, 0, 0, SOFT_ENTRY, 0, 0, 0],
    droppable=[0, 0, 1, 0, 0, 1, 0, 1],
)


@pytest.mark.parametrize(
    ("shown", "rows", "starts"),
    [
        pytest.param([0], [0], [0], id="the first picture alone"),
        pytest.param([1], [0, 1, 2], [0], id="a picture between two others"),
        pytest.param([4], [0, 1, 3], [0], id="without the unreferenced one before it"),
        pytest.param([5], [4], [4], id="the soft entry: everything before is left out"),
        pytest.param([6], [4, 6, 7], [4], id="behind it, without its leading picture"),
        pytest.param([3], [0, 1, 3, 4, 5], [0], id="the leading picture needs the group before"),
        pytest.param([0, 7], [0, 4, 6], [0, 4], id="a stretch of each group"),
        pytest.param([3, 5], [0, 1, 3, 4, 5], [0], id="an entry and its leading picture"),
        pytest.param([4, 7], [0, 1, 3, 4, 6], [0], id="no gap before the entry: one stretch"),
    ],
)
def test_choose_packets(shown: list[int], rows: list[int], starts: list[int]) -> None:
    fed, begins = decoding.choose_packets(OPEN, OPEN.position_of_frame[shown])
    assert np.flatnonzero(fed).tolist() == rows
    assert np.flatnonzero(begins).tolist() == starts


def test_choose_packets_of_pictures_behind_a_hard_entry_but_shown_before_it() -> None:
    """HEVC has such pictures (RADL); nothing behind a hard entry needs what lies before."""
    radl = table([0, 1, 4, 2, 3], [HARD_ENTRY, 0, HARD_ENTRY, 0, 0], [0, 0, 0, 0, 1])
    fed, begins = decoding.choose_packets(radl, radl.position_of_frame[[2]])
    assert np.flatnonzero(fed).tolist() == [2, 3]
    assert np.flatnonzero(begins).tolist() == [2]
