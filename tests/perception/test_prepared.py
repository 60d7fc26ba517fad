"""Numbered objects on disk: once for a video and its options, also after a kill."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from stvg.errors import OutputError, UsageError, WeightsError
from stvg.formats.tracks import read_tracks
from stvg.perception import matching
from stvg.perception.benchmark import NO_VIDEO, number_benchmark
from stvg.perception.numbering import NumberingConfig
from stvg.perception.prepared import FrontEnd, TracksCache, named_by_video, prepare
from stvg.video.writer import VideoWriter

COUNTING = '''
import os, time
import numpy as np
from stvg.perception.detect import Detections

class Counting:
    """Writes a line for every look; sees one thing that rests."""

    name, classes, long_side = "counting", ("thing",), 64

    def __init__(self, threshold):
        pass

    def detect(self, frames, words=()):
        for frame in frames:
            with open(os.environ["COUNTED"], "a") as log:
                log.write(f"{int(frame[0, 0, 0])}\\n")  # the shade tells which video it is
            time.sleep(float(os.environ.get("LOOK_S", "0")))
        return [Detections(np.array([[8.0, 8, 24, 24]]), np.array([0.9]), ("thing",))
                for _ in frames]
'''
FRAMES = 4
SHADES = (40, 80, 120, 160, 200)


@pytest.fixture
def videos(tmp_path: Path) -> list[Path]:
    """Five videos of four grey frames, each of another shade."""
    folder = tmp_path / "videos"
    folder.mkdir()
    paths = []
    for shade in SHADES:
        paths.append(folder / f"v{shade}.mp4")
        with VideoWriter(paths[-1], fps=Fraction(10)) as writer:
            for number in range(FRAMES):
                writer.write(np.full((64, 64, 3), shade, np.uint8), number / 10)
    return paths


@pytest.fixture
def front_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FrontEnd:
    """A detector that counts its looks in a file."""
    (tmp_path / "counting.py").write_text(COUNTING)
    monkeypatch.setenv("COUNTED", str(tmp_path / "counted"))
    return FrontEnd(f"{tmp_path / 'counting.py'}:Counting", config=NumberingConfig(shots=False))


@pytest.fixture
def cache(tmp_path: Path) -> TracksCache:
    return TracksCache(tmp_path / "cache")


def looks(tmp_path: Path) -> int:
    counted = tmp_path / "counted"
    return len(counted.read_text().splitlines()) if counted.exists() else 0


def test_the_second_time_costs_nothing(
    videos: list[Path], front_end: FrontEnd, cache: TracksCache, tmp_path: Path
) -> None:
    first = prepare(videos, front_end, cache)
    assert looks(tmp_path) == len(videos) * FRAMES
    assert [(each.video, each.problem, each.was_kept) for each in first] == [
        (path, "", False) for path in videos
    ]
    second = prepare(videos, front_end, cache)
    assert looks(tmp_path) == len(videos) * FRAMES
    assert all(each.was_kept for each in second)
    assert [each.tracks for each in first] == [each.tracks for each in second]
    (track,) = read_tracks(second[0].tracks or "").tracks
    assert (track.id, track.frames.tolist()) == (1, [0, 1, 2, 3])


def test_content_and_options_decide_and_the_name_does_not(
    videos: list[Path], front_end: FrontEnd, cache: TracksCache, tmp_path: Path
) -> None:
    cache.get(videos[0], front_end)
    copy = tmp_path / "copy.mp4"
    shutil.copy(videos[0], copy)
    kept = cache.load(copy, front_end)
    assert kept is not None
    assert kept.video.path == str(copy)
    assert cache.load(videos[1], front_end) is None
    others = [
        FrontEnd(front_end.detector, config=NumberingConfig(shots=False, hold_s=0.5)),
        FrontEnd(front_end.detector, ("thing",), config=front_end.config),
        FrontEnd(front_end.detector, threshold=0.2, config=front_end.config),
    ]
    assert all(cache.load(videos[0], other) is None for other in others)
    assert cache.load(videos[0], FrontEnd(front_end.detector, config=front_end.config, threads=3))
    code = tmp_path / "counting.py"
    code.write_text(COUNTING + "# changed\n")
    assert cache.load(videos[0], front_end) is None


def test_a_damaged_entry_is_made_again(
    videos: list[Path], front_end: FrontEnd, cache: TracksCache, tmp_path: Path
) -> None:
    cache.get(videos[0], front_end)
    cache.path_of(videos[0], front_end).write_text('{"format": "stvg.tra')
    assert cache.load(videos[0], front_end) is None
    assert len(cache.get(videos[0], front_end)) == 1
    assert looks(tmp_path) == 2 * FRAMES


def test_a_broken_video_is_reported_and_the_others_go_on(
    videos: list[Path], front_end: FrontEnd, cache: TracksCache
) -> None:
    videos[1].write_bytes(b"no video")
    results = prepare([*videos, videos[0].parent / "missing.mp4"], front_end, cache)
    assert [bool(each.problem) for each in results] == [False, True, False, False, False, True]
    assert "v80.mp4" in results[1].problem
    assert "missing.mp4" in results[5].problem


def test_several_processes(
    videos: list[Path], front_end: FrontEnd, cache: TracksCache, tmp_path: Path
) -> None:
    seen: list[int] = []
    results = prepare(
        videos, front_end, cache, workers=2, progress=lambda done, total: seen.append(done)
    )
    assert [each.video for each in results] == videos
    assert not any(e.problem for e in results)
    assert looks(tmp_path) == len(videos) * FRAMES
    assert seen[0] == 0
    assert seen[-1] == len(videos)


def test_killed_and_started_again(
    videos: list[Path], front_end: FrontEnd, cache: TracksCache, tmp_path: Path
) -> None:
    """SIGKILL in the third video: the first two are not looked at again."""
    program = (
        "import sys; from pathlib import Path\n"
        "from stvg.perception.numbering import NumberingConfig\n"
        "from stvg.perception.prepared import FrontEnd, TracksCache, prepare\n"
        "prepare([Path(p) for p in sys.argv[3:]],\n"
        "        FrontEnd(sys.argv[1], config=NumberingConfig(shots=False)),\n"
        "        TracksCache(sys.argv[2]))"
    )
    words = [sys.executable, "-c", program, front_end.detector, str(cache.folder)]
    process = subprocess.Popen([*words, *map(str, videos)], env={**os.environ, "LOOK_S": "0.25"})
    deadline = time.monotonic() + 120
    while looks(tmp_path) < 2 * FRAMES + 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = (tmp_path / "counted").read_text().split()
    assert len(list(cache.folder.glob("[!.]*.json"))) == 2
    prepare(videos, front_end, cache)
    after = [int(shade) for shade in (tmp_path / "counted").read_text().split()[len(before) :]]
    assert len(after) == 3 * FRAMES
    assert {min(SHADES, key=lambda shade: abs(shade - seen)) for seen in after} == {120, 160, 200}


def test_wrong_options_end_before_any_work(videos: list[Path], cache: TracksCache) -> None:
    with pytest.raises(UsageError, match="at least one worker"):
        prepare(videos, FrontEnd("blobs"), cache, workers=0)
    with pytest.raises(UsageError, match=r"no detector 'figurs'.*figures"):
        prepare(videos, FrontEnd("figurs"), cache)
    with pytest.raises(UsageError, match="has no class 'dog'"):
        prepare(videos, FrontEnd("blobs", ("dog",)), cache)
    with pytest.raises((WeightsError, UsageError)):
        prepare(videos, FrontEnd("missing.onnx"), cache)
    assert not cache.folder.exists()


def test_a_cache_that_cannot_be_written_stops(
    videos: list[Path], front_end: FrontEnd, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot make the folder"):
        prepare(videos, front_end, TracksCache(tmp_path / "file" / "cache"))


def test_a_folder_named_by_video(
    videos: list[Path], front_end: FrontEnd, cache: TracksCache, tmp_path: Path
) -> None:
    results = prepare(videos, front_end, cache)
    named_by_video(results, tmp_path / "tracks")
    written = read_tracks(tmp_path / "tracks" / "v40.json")
    assert Path(written.video.path).name == "v40.mp4"
    assert len(written) == 1
    other = tmp_path / "v40.mp4"
    shutil.copy(videos[0], other)
    with pytest.raises(UsageError, match="have one name"):
        named_by_video([*results, *prepare([other], front_end, cache)], tmp_path / "again")


def test_benchmark_report(
    videos: list[Path], front_end: FrontEnd, cache: TracksCache, tmp_path: Path
) -> None:
    """Of three queries one is matched, one is about something else, one has no video."""

    def record(box: list[int]) -> dict[str, object]:
        return {"bbox": [box] * 2, "st_frame": 2, "st_time": 0.1, "ed_time": 0.3, "img_num": 4,
                "img_size": [128, 128], "fps": 10, "English": "the thing"}  # fmt: skip

    annotations = tmp_path / "annotations.json"
    # annotated at twice the size of the files: x, y, width, height
    annotations.write_text(
        json.dumps(
            {
                "v40.mp4": record([16, 16, 32, 32]),
                "v80.mp4": record([80, 80, 32, 32]),
                "missing.mp4": record([16, 16, 32, 32]),
            }
        )
    )
    found = number_benchmark(
        "hcstvg_v2", annotations, videos[0].parent, front_end, cache, folder=tmp_path / "named"
    )
    assert {name: match.reason for name, match in found.matches.items()} == {
        "v40.mp4": "", "v80.mp4": matching.NO_OVERLAP, "missing.mp4": NO_VIDEO,
    }  # fmt: skip
    assert found.matches["v40.mp4"].id == 1
    assert found.matches["v40.mp4"].ceiling == pytest.approx(1.0)
    document = found.document()
    assert (document["videos"], document["prepared"], document["kept"]) == (3, 2, 0)
    assert (document["queries"], document["matched"]) == (3, 1)
    assert document["ceiling"] == pytest.approx(1 / 3)
    assert list(document["problems"]) == ["missing.mp4"]
    assert set(document["unmatched"]) == {"v80.mp4", "missing.mp4"}
    assert (tmp_path / "named" / "v80.json").is_file()
    with pytest.raises(UsageError, match="does not ask for tubes"):
        number_benchmark("refcoco", annotations, videos[0].parent, front_end, cache)
