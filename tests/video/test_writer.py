"""Writing videos: pictures and times come back as they went in, or nothing is left behind."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from stvg.errors import OutputError, UsageError
from stvg.types import ByteArray
from stvg.video import writer as writer_module
from stvg.video.writer import VideoWriter

NTSC = Fraction(30000, 1001)


def flat(level: int | tuple[int, int, int], width: int = 64, height: int = 48) -> ByteArray:
    """A picture of one colour."""
    return np.full((height, width, 3), level, np.uint8)


def level_of(number: int) -> int:
    """A grey level by which frame ``number`` (below 16) can be told in a lossy video."""
    return 20 + 14 * number


def write(path: Path, times: list[float], **options: Any) -> Path:
    """A video whose frame i has the grey level ``level_of(i)``."""
    with VideoWriter(path, **({"fps": Fraction(25)} | options)) as writer:
        for number, time_s in enumerate(times):
            writer.write(flat(level_of(number)), time_s)
    return path


def write_pictures(
    path: Path, pictures: list[tuple[ByteArray, float]], *, fails: bool = False
) -> None:
    """A video of pictures and their times; with ``fails`` the block ends in an error of ours."""
    with VideoWriter(path, fps=Fraction(25)) as writer:
        for picture, time_s in pictures:
            writer.write(picture, time_s)
        if fails:
            raise ZeroDivisionError


def read(path: Path) -> tuple[list[Fraction], ByteArray]:
    """Exact times and RGB pictures of a video."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
        times = [Fraction(frame.pts) * frame.time_base for frame in frames]
        return times, np.stack([frame.to_ndarray(format="rgb24") for frame in frames])


def numbers_in(pictures: ByteArray) -> list[int]:
    """Frame numbers read back from the grey levels."""
    return [round((float(picture.mean()) - 20) / 14) for picture in pictures]


@pytest.mark.parametrize(
    "fps", [Fraction(24), Fraction(25), NTSC, Fraction(24000, 1001), Fraction(60000, 1001)]
)
def test_common_frame_rates_are_exact(tmp_path: Path, fps: Fraction) -> None:
    write(tmp_path / "a.mp4", [float(i / fps) for i in range(12)], fps=fps)
    times, pictures = read(tmp_path / "a.mp4")
    assert times == [i / fps for i in range(12)]
    assert numbers_in(pictures) == list(range(12))


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".MP4"])
def test_uneven_times_are_kept(tmp_path: Path, suffix: str) -> None:
    wanted = [0.0, 0.04, 0.1, 0.3, 0.31, 0.5, 2.5, 2.501]
    path = write(tmp_path / f"a{suffix}", wanted)
    times, pictures = read(path)
    assert [float(time) for time in times] == pytest.approx(wanted, abs=0.5 / 120_000)
    assert numbers_in(pictures) == list(range(8))


def test_frames_are_stored_in_the_order_they_are_shown(tmp_path: Path) -> None:
    with av.open(str(write(tmp_path / "a.mp4", [0.0, 0.04, 0.3, 0.31, 0.5]))) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    assert [packet.dts for packet in packets] == [packet.pts for packet in packets]
    assert [packet.pts for packet in packets] == [0, 4800, 36000, 37200, 60000]


@pytest.mark.parametrize(
    ("options", "seconds"),
    [
        ({}, 0.54),  # the last frame is shown for 1/25 s
        ({"duration_s": 0.9}, 0.9),
        ({"duration_s": 0.2}, 0.54),  # before the last frame: cannot be, so 1/25 s again
    ],
)
def test_length_of_the_last_frame(
    tmp_path: Path, options: dict[str, float], seconds: float
) -> None:
    with av.open(str(write(tmp_path / "a.mp4", [0.0, 0.3, 0.5], **options))) as container:
        stream = container.streams.video[0]
        assert stream.duration is not None
        assert float(stream.duration * stream.time_base) == pytest.approx(seconds, abs=1e-4)


def test_the_first_frame_stands_at_zero(tmp_path: Path) -> None:
    times, _ = read(write(tmp_path / "a.mp4", [7.0, 7.04, 7.5]))
    assert [float(time) for time in times] == pytest.approx([0.0, 0.04, 0.5], abs=1e-5)


def test_one_frame_is_a_video(tmp_path: Path) -> None:
    times, pictures = read(write(tmp_path / "a.mp4", [0.0]))
    assert times == [0]
    assert pictures.shape == (1, 48, 64, 3)


@pytest.mark.parametrize(
    ("size", "stored"),
    [((63, 47), (64, 48)), ((63, 48), (64, 48)), ((64, 47), (64, 48)), ((1, 1), (2, 2))],
)
def test_odd_sizes_grow_by_a_copied_edge(
    tmp_path: Path, size: tuple[int, int], stored: tuple[int, int]
) -> None:
    picture = flat(60, *size)
    picture[:, size[0] // 2 :] = 200  # right half; its last column is what must be repeated
    write_pictures(tmp_path / "a.mp4", [(picture, 0.0)])
    _, pictures = read(tmp_path / "a.mp4")
    assert pictures.shape == (1, stored[1], stored[0], 3)
    assert np.abs(pictures[0, :, -1].astype(int) - 200).max() <= 6
    if size[0] > 1:
        assert np.abs(pictures[0, :, 0].astype(int) - 60).max() <= 6


@pytest.mark.parametrize(
    ("color", "luma"),
    [
        # BT.709, limited range: 16 + 219 * (0.2126 R + 0.7152 G + 0.0722 B)
        ((255, 0, 0), 63),
        ((0, 255, 0), 173),
        ((0, 0, 255), 32),
        ((255, 255, 255), 235),
        ((0, 0, 0), 16),
    ],
)
def test_colours_are_bt709_and_come_back(
    tmp_path: Path, color: tuple[int, int, int], luma: int
) -> None:
    write_pictures(tmp_path / "a.mp4", [(flat(color), 0.0)])
    with av.open(str(tmp_path / "a.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.colorspace, context.color_primaries, context.color_range) == (1, 1, 1)
        frame = next(container.decode(video=0))
        assert abs(int(np.frombuffer(frame.planes[0], np.uint8)[0]) - luma) <= 1
        assert np.abs(frame.to_ndarray(format="rgb24").astype(int) - color).max() <= 3


def test_the_index_stands_before_the_pictures(tmp_path: Path) -> None:
    content = write(tmp_path / "a.mp4", [0.0, 0.04]).read_bytes()
    assert 0 < content.find(b"moov") < content.find(b"mdat")


def test_the_same_pictures_give_the_same_bytes(tmp_path: Path) -> None:
    one = write(tmp_path / "a.mp4", [0.0, 0.04, 0.08])
    other = write(tmp_path / "b.mp4", [0.0, 0.04, 0.08])
    assert one.read_bytes() == other.read_bytes()


def test_better_quality_is_closer_and_larger(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3)).astype(np.uint8)
    noise[:] = noise.mean(axis=2, keepdims=True)  # grey, so that 4:2:0 costs nothing
    errors, sizes = [], []
    for quality in (5, 45):
        path = tmp_path / f"{quality}.mp4"
        with VideoWriter(path, fps=Fraction(25), quality=quality) as writer:
            writer.write(noise, 0.0)
        errors.append(np.abs(read(path)[1][0].astype(int) - noise).mean())
        sizes.append(path.stat().st_size)
    assert errors[0] < 3 < errors[1]
    assert sizes[0] > sizes[1]


def test_an_error_in_the_block_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        write_pictures(tmp_path / "a.mp4", [(flat(0), 0.0)], fails=True)
    assert list(tmp_path.iterdir()) == []


def test_an_error_keeps_the_video_that_was_there(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", [0.0, 0.04])
    before = path.read_bytes()
    with pytest.raises(ZeroDivisionError):
        write_pictures(path, [(flat(0), 0.0)], fails=True)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_no_frames_is_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match="no frame was written"),
        VideoWriter(tmp_path / "a.mp4", fps=Fraction(25)),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("a.avi", {}, r"\.mp4 or \.mov, found 'a\.avi'"),
        ("a", {}, "found 'a'"),
        ("a.mp4", {"fps": Fraction(0)}, "0 fps"),
        ("a.mp4", {"quality": 0}, "quality 0"),
        ("a.mp4", {"quality": 52}, "quality 52"),
    ],
)
def test_what_cannot_be_written_is_refused_at_once(
    tmp_path: Path, name: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        VideoWriter(tmp_path / name, **({"fps": Fraction(25)} | options))


@pytest.mark.parametrize(
    ("picture", "time_s", "message"),
    [
        (flat(0).astype(np.float32), 1.0, "float32"),
        (flat(0)[:, :, 0], 1.0, r"\(48, 64\)"),
        (np.zeros((48, 64, 4), np.uint8), 1.0, r"\(48, 64, 4\)"),
        (np.zeros((0, 64, 3), np.uint8), 1.0, r"\(0, 64, 3\)"),
        (flat(0, 62), 1.0, "found 62x48 at 1.000 s after 64x48"),
        (flat(0), 0.0, "must increase, found 0.000000 s after 0.000000 s"),
        (flat(0), 1e-9, "must increase"),  # the same tick
        (flat(0), -1.0, "must increase"),
        (flat(0), float("nan"), "nan"),
    ],
)
def test_a_wrong_frame_is_refused(
    tmp_path: Path, picture: ByteArray, time_s: float, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        write_pictures(tmp_path / "a.mp4", [(flat(0), 0.0), (picture, time_s)])
    assert list(tmp_path.iterdir()) == []


def test_writing_outside_the_block_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="inside the block"):
        VideoWriter(tmp_path / "a.mp4", fps=Fraction(25)).write(flat(0), 0.0)


@pytest.mark.parametrize("name", ["missing/a.mp4", "file/a.mp4", "folder.mp4"])
def test_a_place_that_cannot_be_written_to(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("not a folder")
    (tmp_path / "folder.mp4").mkdir()
    with (
        pytest.raises(OutputError, match="cannot write"),
        VideoWriter(tmp_path / name, fps=Fraction(25)),
    ):
        pass


def test_a_file_that_may_not_grow(tmp_path: Path) -> None:
    """The system refuses to write more, as on a full disk: one sentence, nothing left behind."""
    resource = pytest.importorskip("resource", reason="limits on file sizes are a Unix thing")
    noise = np.random.default_rng(0).integers(0, 256, (30, 240, 320, 3)).astype(np.uint8)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(OutputError, match=r"cannot write .*a\.mp4"):
            write_pictures(tmp_path / "a.mp4", [(rgb, i / 25) for i, rgb in enumerate(noise)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def without(missing: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A PyAV that lacks some encoders."""
    codec = av.codec.Codec

    def look_up(name: str, mode: str) -> av.codec.Codec:
        if name in missing:
            raise writer_module.UnknownCodecError(name)
        return codec(name, mode)

    monkeypatch.setattr(writer_module.av.codec, "Codec", look_up)


def test_without_h264_it_says_so_and_writes_mpeg4(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without({"libx264"}, monkeypatch)
    with pytest.warns(RuntimeWarning, match="browsers do not play"):
        path = write(tmp_path / "a.mp4", [0.0, 0.04, 0.3, 0.5], duration_s=0.7)
    times, pictures = read(path)
    assert [float(time) for time in times] == pytest.approx([0.0, 0.04, 0.3, 0.5], abs=1e-5)
    assert numbers_in(pictures) == [0, 1, 2, 3]
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.name == "mpeg4"
        assert container.duration == pytest.approx(700_000, abs=100)  # microseconds


def test_without_any_encoder_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without({"libx264", "mpeg4"}, monkeypatch)
    with pytest.raises(OutputError, match="pip install av"):
        VideoWriter(tmp_path / "a.mp4", fps=Fraction(25))
