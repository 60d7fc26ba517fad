"""The frame cache: what comes out is what went in, or nothing; it stays within its bounds."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stvg.errors import UsageError, VideoError
from stvg.types import ByteArray, Interval
from stvg.video import FrameCache, SamplingPlan, probe, read_clip, reader
from stvg.video.cache import default_folder
from stvg.video.container import FileIdentity
from tests.barcode import read_number, write_barcode_video
from tests.video.reading import VideoOf

PLAN = SamplingPlan(count=6, long_side=48)
IDENTITY = FileIdentity("/videos/a.mp4", 1000, 5)
NUMBERS = np.array([3, 5])


def frames_of(seed: int, count: int = 2) -> ByteArray:
    """Random frames (count, 60, 80, 3), several pages in size."""
    return np.random.default_rng(seed).integers(0, 256, (count, 60, 80, 3), np.uint8)


@pytest.fixture
def video(video_of: VideoOf, tmp_path: Path) -> Path:
    """A video that the test may change."""
    return shutil.copy(video_of("h264_gop12"), tmp_path / "video.mp4")


@pytest.fixture
def cache(tmp_path: Path) -> FrameCache:
    """An empty cache."""
    return FrameCache(tmp_path / "cache")


@pytest.fixture
def no_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on nothing may be decoded or probed."""

    def fail(*_: Any) -> Any:
        raise AssertionError("decoded")

    monkeypatch.setattr(reader, "video_index", fail)


def entries(cache: FrameCache) -> list[Path]:
    """The files of a cache, frames first."""
    return sorted(cache.folder.iterdir(), key=lambda path: -path.stat().st_size)


# --- through read_clip ------------------------------------------------------------------------


def test_second_read_is_equal_and_decodes_nothing(
    video: Path, cache: FrameCache, monkeypatch: pytest.MonkeyPatch, request: Any
) -> None:
    first = read_clip(video, PLAN, cache=cache)
    request.getfixturevalue("no_decoding")
    steps: list[tuple[int, int]] = []
    again = read_clip(video, PLAN, cache=cache, progress=lambda *step: steps.append(step))
    assert np.array_equal(again.frames, first.frames)
    assert again.times_s.tolist() == first.times_s.tolist()
    assert again.frame_indices.tolist() == first.frame_indices.tolist()
    assert again.meta == first.meta
    assert again.meta.times_s.tolist() == first.meta.times_s.tolist()
    assert steps == [(6, 6)]
    assert (cache.counts.hits, cache.counts.misses) == (1, 1)


def test_frames_from_the_cache_are_read_only(video: Path, cache: FrameCache) -> None:
    read_clip(video, PLAN, cache=cache)
    again = read_clip(video, PLAN, cache=cache)
    with pytest.raises(ValueError, match="read-only"):
        again.frames[0] = 0


def test_plans_that_want_the_same_frames_share_an_entry(
    video: Path, cache: FrameCache, request: Any
) -> None:
    clip = read_clip(video, PLAN, cache=cache)
    request.getfixturevalue("no_decoding")
    read_clip(video, SamplingPlan(times_s=clip.times_s, fixed_size=(48, 32)), cache=cache)
    assert cache.counts.hits == 1


@pytest.mark.parametrize(
    "plan", [SamplingPlan(count=5, long_side=48), SamplingPlan(count=6, long_side=50)]
)
def test_other_frames_or_another_size_are_read_anew(
    plan: SamplingPlan, video: Path, cache: FrameCache
) -> None:
    read_clip(video, PLAN, cache=cache)
    clip = read_clip(video, plan, cache=cache)
    assert cache.counts.hits == 0
    assert [read_number(picture) for picture in clip.frames] == clip.frame_indices.tolist()


def test_a_changed_file_is_read_anew(video: Path, cache: FrameCache) -> None:
    read_clip(video, PLAN, cache=cache)
    write_barcode_video(video, frames=45, first_number=100)
    clip = read_clip(video, PLAN, cache=cache)
    assert [read_number(picture) - 100 for picture in clip.frames] == clip.frame_indices.tolist()
    assert cache.counts.hits == 0


def test_a_newer_time_of_change_alone_is_a_change(video: Path, cache: FrameCache) -> None:
    read_clip(video, PLAN, cache=cache)
    status = video.stat()
    os.utime(video, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    read_clip(video, PLAN, cache=cache)
    assert cache.counts.hits == 0


def test_another_version_of_the_reader_reads_anew(
    video: Path, cache: FrameCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_clip(video, PLAN, cache=cache)
    monkeypatch.setattr(reader, "READER_VERSION", reader.READER_VERSION + 1)
    read_clip(video, PLAN, cache=cache)
    assert cache.counts.hits == 0


def test_a_cut_off_file_is_noticed_at_every_read(video: Path, cache: FrameCache) -> None:
    write_barcode_video(video, frames=60, container_options={"movflags": "faststart"})
    video.write_bytes(video.read_bytes()[: video.stat().st_size * 2 // 3])
    last = probe(video).frames - 1
    good = SamplingPlan(interval=Interval(0, 1.0))
    read_clip(video, good, cache=cache)
    assert read_clip(video, good, cache=cache).frame_indices.tolist() == list(range(10))
    assert cache.counts.hits == 1
    read_clip(video, SamplingPlan(times_s=[last / 10]), cache=cache)
    with pytest.raises(VideoError, match="breaks off"):  # would be the same frame
        read_clip(video, SamplingPlan(times_s=[last / 10 + 1]), cache=cache)


@pytest.mark.parametrize("which", [0, 1], ids=["frames", "meta data"])
@pytest.mark.parametrize(
    "harm",
    [
        pytest.param(lambda data: b"", id="emptied"),
        pytest.param(lambda data: data[:-1], id="one byte short"),
        pytest.param(lambda data: data[:50], id="cut in the header"),
        pytest.param(lambda data: data + b"x", id="one byte long"),
        pytest.param(lambda data: b"x" + data[1:], id="another format"),
        pytest.param(lambda data: data[:20] + b"x" + data[21:], id="damaged header length"),
        pytest.param(lambda data: data[:90] + b"x" + data[91:], id="damaged header"),
        pytest.param(lambda data: data[:4096] + bytes(len(data) - 4096), id="unwritten pages"),
    ],
)
def test_a_damaged_entry_is_thrown_away(
    harm: Any, which: int, video: Path, cache: FrameCache
) -> None:
    first = read_clip(video, PLAN, cache=cache)
    path = entries(cache)[which]
    path.write_bytes(harm(path.read_bytes()))
    again = read_clip(video, PLAN, cache=cache)
    assert np.array_equal(again.frames, first.frames)
    assert cache.counts.discarded == 1
    hits = cache.counts.hits
    assert np.array_equal(read_clip(video, PLAN, cache=cache).frames, first.frames)
    assert cache.counts.hits == hits + 1


def test_reads_go_on_where_nothing_can_be_written(video: Path, tmp_path: Path) -> None:
    occupied = tmp_path / "occupied"
    occupied.write_text("a file, not a folder")
    cache = FrameCache(occupied / "cache")
    clip = read_clip(video, PLAN, cache=cache)
    assert len(clip) == 6
    assert cache.counts.failed_writes == 2  # meta data and frames


# --- alone ------------------------------------------------------------------------------------


def test_nothing_is_found_in_an_empty_cache(cache: FrameCache) -> None:
    assert cache.load_frames(IDENTITY, 1, NUMBERS, (80, 60)) is None
    assert cache.load_meta(IDENTITY, 1) is None
    assert not cache.folder.exists()
    cache.clear()


@pytest.mark.parametrize("count", [1, 2, 9])
def test_round_trip(count: int, cache: FrameCache) -> None:
    numbers = np.arange(count)
    frames = frames_of(0, count)
    cache.store_frames(IDENTITY, 1, numbers, (80, 60), frames)
    found = cache.load_frames(IDENTITY, 1, numbers, (80, 60))
    assert found is not None
    assert found.dtype == np.uint8
    assert np.array_equal(found, frames)


def test_least_recently_used_entries_go_first(tmp_path: Path) -> None:
    one = 4096 + 2 * 60 * 80 * 3  # header page and frames
    cache = FrameCache(tmp_path, max_bytes=3 * one)
    sizes = (80, 60)
    for number in range(3):
        cache.store_frames(IDENTITY, 1, np.array([number, 9]), sizes, frames_of(number))
        for path in entries(cache):  # last used an hour ago, in the order of storing
            age = 3600 - number if path.stat().st_mtime > time.time() - 60 else None
            if age:
                os.utime(path, (time.time() - age,) * 2)
    assert cache.load_frames(IDENTITY, 1, np.array([0, 9]), sizes) is not None  # used just now
    cache.store_frames(IDENTITY, 1, np.array([3, 9]), sizes, frames_of(3))
    kept = [
        number
        for number in range(4)
        if cache.load_frames(IDENTITY, 1, np.array([number, 9]), sizes) is not None
    ]
    assert kept == [0, 2, 3]
    assert sum(path.stat().st_size for path in entries(cache)) <= cache.max_bytes


def test_what_is_larger_than_the_cache_is_not_kept(tmp_path: Path) -> None:
    cache = FrameCache(tmp_path / "small", max_bytes=10_000)
    cache.store_frames(IDENTITY, 1, NUMBERS, (80, 60), frames_of(0))
    assert cache.load_frames(IDENTITY, 1, NUMBERS, (80, 60)) is None
    assert cache.counts.failed_writes == 0


def test_what_dead_processes_left_is_removed(cache: FrameCache) -> None:
    cache.folder.mkdir()
    old, new, foreign = (cache.folder / name for name in ("a.1-f.tmp", "b.2-f.tmp", "notes.txt"))
    for path in (old, new, foreign):
        path.write_bytes(bytes(100))
    for path in (old, foreign):
        os.utime(path, (time.time() - 9000,) * 2)
    cache.store_frames(IDENTITY, 1, NUMBERS, (80, 60), frames_of(0))
    assert not old.exists()
    assert new.exists()  # may still be written
    assert foreign.exists()  # not ours
    assert len(entries(cache)) == 3


def test_an_open_entry_survives_its_removal(cache: FrameCache) -> None:
    frames = frames_of(1)
    cache.store_frames(IDENTITY, 1, NUMBERS, (80, 60), frames)
    found = cache.load_frames(IDENTITY, 1, NUMBERS, (80, 60))
    cache.clear()
    assert entries(cache) == []
    assert found is not None
    assert np.array_equal(found, frames)


HAMMER = """
import sys
import numpy as np
from stvg.video.cache import FrameCache
from stvg.video.container import FileIdentity
cache = FrameCache(sys.argv[1], max_bytes=100_000)
draw = np.random.default_rng(int(sys.argv[2]))
for _ in range(150):
    number = int(draw.integers(6))
    key = (FileIdentity("/a.mp4", 1, 1), 1, np.array([number]), (80, 60))
    found = cache.load_frames(*key)
    if found is None:
        cache.store_frames(*key, np.full((1, 60, 80, 3), number, np.uint8))
    else:
        assert (found == number).all()
assert cache.counts.discarded == cache.counts.failed_writes == 0, cache.counts
assert cache.counts.hits
"""


def test_several_processes_share_a_folder(tmp_path: Path) -> None:
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", HAMMER, str(tmp_path), str(seed)], stderr=subprocess.PIPE
        )
        for seed in range(3)
    ]
    for run in runs:
        _, errors = run.communicate(timeout=60)
        assert run.returncode == 0, errors.decode()
    assert not list(tmp_path.glob("*.tmp"))


def test_default_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STVG_CACHE", str(tmp_path))
    assert default_folder() == tmp_path / "frames"
    assert FrameCache().folder == tmp_path / "frames"
    monkeypatch.delenv("STVG_CACHE")
    assert default_folder().name == "frames"
    assert "stvg" in str(default_folder())


def test_a_negative_bound_is_refused() -> None:
    with pytest.raises(UsageError, match="at least 0, found -1"):
        FrameCache("folder", max_bytes=-1)
