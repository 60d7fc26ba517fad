"""``stvg paint`` and ``stvg data prepare-tracks`` on drawn clips."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stvg.data.world.files import write_world
from stvg.formats.tracks import read_tracks, write_tracks
from stvg.types import ByteArray, Track, Tracks
from stvg.video import SamplingPlan, probe, read_clip
from stvg.video.writer import VideoWriter

Run = Callable[..., Any]


def red(frames: ByteArray) -> ByteArray:
    """Pixels that are as red as digits are after encoding, (T, H, W)."""
    levels = frames.astype(int)
    return (levels[..., 0] > 190) & (levels[..., 1:] < 70).all(axis=-1)


def frames_of(path: Path) -> ByteArray:
    return read_clip(path, SamplingPlan()).frames


@pytest.fixture
def grey(tmp_path: Path) -> Path:
    """1 s of grey, 320 x 180, 10 frames a second."""
    path = tmp_path / "grey.mp4"
    with VideoWriter(path, fps=Fraction(10)) as writer:
        for number in range(10):
            writer.write(np.full((180, 320, 3), 120, np.uint8), number / 10)
    return path


def tracks_of(video: Path, boxes: list[list[float]]) -> Tracks:
    meta = probe(video)
    return Tracks(
        meta,
        tuple(
            Track(n, "thing", np.arange(meta.frames), [box] * meta.frames, [1] * meta.frames)
            for n, box in enumerate(boxes, 1)
        ),
    )


def test_finds_objects_and_paints_them(drawn_clip: Path, stvg: Run, tmp_path: Path) -> None:
    out, sheet, table = tmp_path / "out.mp4", tmp_path / "sheet.png", tmp_path / "table.json"
    result = stvg(
        "paint", drawn_clip, "--detector", "blobs", "--out", out, "--sheet", sheet, "--table", table
    )
    assert result.code == 0, result.err
    assert "painted 2 objects" in result.err
    before, after = probe(drawn_clip), probe(out)
    assert (after.width, after.height, after.frames) == (before.width, before.height, before.frames)
    np.testing.assert_allclose(after.times_s, before.times_s, atol=1e-3)
    found = read_tracks(table)
    assert [track.id for track in found.tracks] == [1, 2]
    new = red(frames_of(out)) & ~red(frames_of(drawn_clip))
    box = next(t for t in found.tracks if t.label == "box")  # it rests at 150, 20 to 190, 60
    number = new[:, 20:60, 150:190].sum(axis=(1, 2))
    assert (number > 5).all()
    assert box.boxes[0] == pytest.approx([150, 20, 191, 61], abs=3)
    assert Image.open(sheet).size[0] > 1000


def test_json(drawn_clip: Path, stvg: Run, tmp_path: Path) -> None:
    result = stvg("paint", drawn_clip, "--detector", "blobs", "--out", tmp_path / "o.mp4", "--json")
    rows = json.loads(result.out)
    assert sorted(row["label"] for row in rows) == ["ball", "box"]
    assert {row["number"] for row in rows} == {1, 2}
    assert {row["boxes"] for row in rows} == {20}


def test_given_tracks_are_painted(grey: Path, stvg: Run, tmp_path: Path) -> None:
    write_tracks(tracks_of(grey, [[20, 20, 140, 160]]), tmp_path / "t.json")
    out = tmp_path / "out.mp4"
    assert stvg("paint", grey, "--tracks", tmp_path / "t.json", "--out", out).code == 0
    ys, xs = np.nonzero(red(frames_of(out)).all(axis=0))
    assert (xs.mean(), ys.mean()) == pytest.approx((80, 90), abs=4)


def test_digits_are_larger_for_a_model_that_looks_at_small_pictures(
    grey: Path, stvg: Run, tmp_path: Path
) -> None:
    """7 of 64 pixels against 20 of 336: 35 and 19 of 320."""
    write_tracks(tracks_of(grey, [[20, 20, 140, 160]]), tmp_path / "t.json")
    heights = []
    for side in (336, 64):
        out = tmp_path / f"{side}.mp4"
        stvg("paint", grey, "--tracks", tmp_path / "t.json", "--out", out, "--model-side", side)
        heights.append(np.ptp(np.nonzero(red(frames_of(out))[0])[0]) + 1)
    assert heights == pytest.approx([19, 35], abs=3)


def test_small_objects_get_no_number_but_stay_in_the_table(
    grey: Path, stvg: Run, tmp_path: Path
) -> None:
    write_tracks(tracks_of(grey, [[20, 20, 140, 160], [200, 20, 240, 60]]), tmp_path / "t.json")
    out, table = tmp_path / "out.mp4", tmp_path / "table.json"
    stvg("paint", grey, "--tracks", tmp_path / "t.json", "--out", out, "--table", table,
         "--smallest", 0.33)  # fmt: skip
    painted = red(frames_of(out))[0]
    assert painted[:, :160].any()
    assert not painted[:, 160:].any()
    assert len(read_tracks(table)) == 2


def test_no_objects_give_a_copy_and_say_so(grey: Path, stvg: Run, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    result = stvg("paint", grey, "--detector", "blobs", "--out", out)
    assert result.code == 0
    assert "no objects: a plain copy" in result.err
    assert not red(frames_of(out)).any()


def test_sixty_objects_and_one_smaller_than_its_number(
    grey: Path, stvg: Run, tmp_path: Path
) -> None:
    grid = [[30.0 * (n % 10), 28 * (n // 10), 30 * (n % 10) + 28, 28 * (n // 10) + 26]
            for n in range(60)]  # fmt: skip
    write_tracks(tracks_of(grey, [*grid, [310, 170, 314, 174]]), tmp_path / "t.json")
    out = tmp_path / "out.mp4"
    assert stvg("paint", grey, "--tracks", tmp_path / "t.json", "--out", out).code == 0
    painted = red(frames_of(out))[0]
    assert all(
        painted[28 * row : 28 * row + 28, 30 * column : 30 * column + 30].any()
        for row in range(6)
        for column in range(10)
    )


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--out", "{}/o.avi"], 2, "--out is written as .mp4 or .mov"),
        (["--out", "{}/o.mp4", "--model-side", "4"], 2, "cannot read numbers"),
        (["--out", "{}/o.mp4", "--set", "mots=3"], 2, "did you mean 'most'"),
        (["--out", "{}/o.mp4", "--sheet", "{}/s.jpg"], 2, "--sheet is written as .png"),
        (["--out", "{}/o.mp4", "--tracks", "{}/missing.json"], 2, "missing.json"),
        (["--out", "{}/o.mp4", "--detector", "blobs", "--smallest", "2"], 2, "share in"),
        (["--out", "{}/grey.mp4"], 2, "would replace the video itself"),
    ],
)
def test_wrong_use(
    grey: Path, stvg: Run, tmp_path: Path, words: list[str], code: int, message: str
) -> None:
    result = stvg("paint", grey, *(word.format(tmp_path) for word in words))
    assert result.code == code
    assert message in result.err
    assert not (tmp_path / "o.mp4").exists()


def test_tracks_of_another_video_are_refused(
    grey: Path, drawn_clip: Path, stvg: Run, tmp_path: Path
) -> None:
    write_tracks(tracks_of(drawn_clip, [[20, 20, 140, 160]]), tmp_path / "t.json")
    result = stvg("paint", grey, "--tracks", tmp_path / "t.json", "--out", tmp_path / "o.mp4")
    assert result.code == 1
    assert "10 frames of 320x180" in result.err
    assert "20 frames of 320x180" in result.err
    assert not (tmp_path / "o.mp4").exists()


def test_prepare_tracks_of_a_benchmark(stvg: Run, tmp_path: Path) -> None:
    world = tmp_path / "world"
    write_world(world, split="val", clips=3, side=64, level="easy")
    words = ["data", "prepare-tracks", "hcstvg_v2", "-a", world / "annotations.json", "--videos",
             world / "videos", "--detector", "figures", "--cache", tmp_path / "cache",
             "--out", tmp_path / "tracks", "--report", tmp_path / "report.json"]  # fmt: skip
    first = stvg(*words)
    assert first.code == 0, first.err
    assert "3 videos: 3 prepared, 0 were already, 0 failed" in first.out
    assert "with a number" in first.out
    assert len(list((tmp_path / "tracks").glob("val_*.json"))) == 3
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["queries"] == 3
    assert len(report["matches"]) == 3
    assert "0 prepared, 3 were already" in stvg(*words).out
    next((world / "videos").iterdir()).write_bytes(b"no video")
    broken = stvg(*words)
    assert broken.code == 1
    assert "1 failed" in broken.out
    assert "none: the video could not" in broken.out
