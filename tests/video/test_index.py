"""Probing: sizes, times and durations worked out by hand; bad files give one clear error."""

from __future__ import annotations

import os
import wave
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from stvg.errors import VideoError
from stvg.video import SamplingPlan, probe, read_clip
from stvg.video.container import file_identity
from stvg.video.index import video_index
from stvg.video.orientation import Orientation
from tests.barcode import (
    CLOCKWISE_90,
    paint_number,
    read_number,
    set_display_matrix,
    write_barcode_video,
)
from tests.video.reading import VideoOf
from tests.video.streams import FRAMES, STREAMS, fps_of


@pytest.mark.parametrize("name", STREAMS)
def test_probe_of_a_constant_rate(name: str, video_of: VideoOf) -> None:
    meta = probe(video_of(name))
    width, height = STREAMS[name].write.get("size", (96, 64))
    fps = fps_of(name)
    assert (meta.width, meta.height, meta.frames, meta.fps) == (width, height, FRAMES, fps)
    assert meta.duration_s == pytest.approx(float(FRAMES / fps), abs=2e-3)
    np.testing.assert_allclose(meta.times_s, np.arange(FRAMES) / float(fps), atol=6e-4)
    assert meta.times_s[0] == 0.0
    assert not meta.times_s.flags.writeable


@pytest.mark.parametrize("name", STREAMS)
def test_packets_are_believed_only_where_they_tell_the_frames(name: str, video_of: VideoOf) -> None:
    index = video_index(file_identity(video_of(name)))
    assert (index.packets is not None) == STREAMS[name].is_counted
    assert (index.ordinals is None) == STREAMS[name].is_counted
    assert index.readable_s is None


def test_probe_of_a_variable_rate(tmp_path: Path) -> None:
    path = tmp_path / "variable.mp4"
    write_barcode_video(path, times_s=[0.0, 0.1, 0.15, 0.6, 1.7, 1.8])
    meta = probe(path)
    # 6 frames; the muxer lets the last one stay as long as the one before it, 0.1 s
    assert meta.duration_s == pytest.approx(1.9)
    assert meta.fps == Fraction(60, 19)
    np.testing.assert_allclose(meta.times_s, [0.0, 0.1, 0.15, 0.6, 1.7, 1.8])
    np.testing.assert_allclose(meta.frame_ends_s, [0.1, 0.15, 0.6, 1.7, 1.8, 1.9])


@pytest.mark.parametrize("fps", [Fraction(30000, 1001), Fraction(24), Fraction(15, 2)])
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_frame_rate_is_an_exact_fraction(fps: Fraction, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"rate.{suffix}"
    write_barcode_video(path, frames=20, fps=fps)
    assert probe(path).fps == fps


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "ts"])
def test_times_start_at_the_first_frame(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"late.{suffix}"
    write_barcode_video(path, times_s=[5 + number / 10 for number in range(12)])
    meta = probe(path)
    np.testing.assert_allclose(meta.times_s, np.arange(12) / 10)
    assert meta.duration_s == pytest.approx(1.2)


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        ("mp4", {"movflags": "empty_moov+frag_keyframe"}),  # written in fragments
        ("mkv", {"live": "1"}),  # written without going back to the header
    ],
)
def test_duration_without_the_container_giving_one(
    suffix: str, options: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / f"live.{suffix}"
    write_barcode_video(path, frames=23, container_options=options)
    meta = probe(path)
    assert meta.duration_s == pytest.approx(2.3)
    assert video_index(file_identity(path)).readable_s is None


def test_a_single_frame(tmp_path: Path) -> None:
    path = tmp_path / "single.mp4"
    write_barcode_video(path, frames=1, fps=5)
    meta = probe(path)
    assert (meta.frames, meta.times_s.tolist()) == (1, [0.0])
    assert meta.duration_s == pytest.approx(0.2)


def test_size_is_the_shown_one(tmp_path: Path) -> None:
    path = tmp_path / "phone.mp4"
    write_barcode_video(path, frames=3, size=(96, 64))
    assert (probe(path).width, probe(path).height) == (96, 64)
    set_display_matrix(path, CLOCKWISE_90)
    assert (probe(path).width, probe(path).height) == (64, 96)


def test_orientation_moves_pixels_as_the_matrix_says() -> None:
    picture = np.arange(6, dtype=np.uint8).reshape(2, 3, 1)  # rows 0 1 2 / 3 4 5
    clockwise = Orientation(transposed=True, flips_rows=False, flips_columns=True)
    assert clockwise.apply(picture)[..., 0].tolist() == [[3, 0], [4, 1], [5, 2]]
    assert Orientation().apply(picture)[..., 0].tolist() == [[0, 1, 2], [3, 4, 5]]
    half_turn = Orientation(flips_rows=True, flips_columns=True)
    assert half_turn.apply(picture)[..., 0].tolist() == [[5, 4, 3], [2, 1, 0]]


def test_a_changed_file_is_probed_again(tmp_path: Path) -> None:
    path = tmp_path / "changes.mp4"
    write_barcode_video(path, frames=4)
    assert probe(path).frames == 4
    write_barcode_video(path, frames=6)
    assert probe(path).frames == 6


def test_metadata_that_is_not_unicode(tmp_path: Path) -> None:
    path = tmp_path / "latin.mkv"
    write_barcode_video(path, frames=4)
    data = path.read_bytes()
    assert data.count(b"DURATION") == 1
    path.write_bytes(data.replace(b"00:00:00.4", b"00:00:\xe9\xe9.4"))
    assert probe(path).frames == 4


# --- files that are no video ------------------------------------------------------------------


def write_tone(path: Path) -> None:
    """A second of silence."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(16000))


def write_cover(path: Path) -> None:
    """Sound with a cover image, which players list as a video stream."""
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=8000)
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 96, 64, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic.value
        picture = av.VideoFrame.from_ndarray(paint_number(0, 96, 64), format="rgb24")
        container.mux(cover.encode(picture))
        container.mux(cover.encode(None))
        for start in range(4):
            tone = av.AudioFrame.from_ndarray(
                np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
            )
            tone.sample_rate, tone.pts = 8000, start * 1024
            container.mux(sound.encode(tone))
        container.mux(sound.encode(None))


def write_track_without_packets(path: Path) -> None:
    """A video track that holds nothing."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        container.start_encoding()


def write_odd_angle(path: Path) -> None:
    """A video that asks to be shown turned by 45 degrees."""
    write_barcode_video(path, frames=2)
    set_display_matrix(path, (1, 1, -1, 1))


def write_cut_header(path: Path) -> None:
    """An MP4 whose table of contents, which lies at its end, is missing."""
    write_barcode_video(path, frames=20)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"moov")])


BAD_FILES: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "missing": ("absent.mp4", lambda path: None, "there is no .*absent.mp4; check the path"),
    "folder": ("folder.mp4", Path.mkdir, "is a folder or a device"),
    "empty": ("empty.mp4", Path.touch, "empty.mp4 is empty"),
    "text": ("text.mp4", lambda path: path.write_text("no video\n" * 99), "text.mp4 is not one"),
    "noise": (
        "noise.mp4",
        lambda path: path.write_bytes(np.random.default_rng(0).bytes(5000)),
        "noise.mp4 is not one",
    ),
    "cut header": ("cut.mp4", write_cut_header, "cut.mp4 is not one .*convert it"),
    "sound": ("tone.wav", write_tone, "holds only audio"),
    "sound and cover": ("song.mp4", write_cover, "holds only audio, video"),
    "no packets": ("hollow.mp4", write_track_without_packets, "holds only empty tracks"),
    "picture": (
        "picture.mp4",
        lambda path: Image.new("RGB", (9, 9)).save(path, "png"),
        "is a still picture",
    ),
    "playlist": (
        "list.mp4",
        lambda path: path.write_text("ffconcat version 1.0\nfile 'a.mp4'\n"),
        "list.mp4 is not one",
    ),
    "subtitles": (
        "words.mp4",
        lambda path: path.write_text("1\n00:00:01,000 --> 00:00:02,000\nhello\n\n"),
        "a still picture, a text or a list",
    ),
    "odd angle": ("odd.mp4", write_odd_angle, "asks for -45 degrees"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_files_give_one_clear_error(case: str, tmp_path: Path) -> None:
    name, write, message = BAD_FILES[case]
    path = tmp_path / name
    write(path)
    with pytest.raises(VideoError, match=f"(?s)^expected .*{message}") as caught:
        probe(path)
    text = str(caught.value)
    assert name in text
    assert "\n" not in text
    assert "Error" not in text  # no class names of the video library


def test_zero_byte_in_a_name() -> None:
    with pytest.raises(VideoError, match="there is no"):
        probe("a\0b.mp4")


@pytest.mark.skipif(not os.path.exists("/dev/null"), reason="/dev/null: only on Unix")
def test_a_device_is_no_video() -> None:
    with pytest.raises(VideoError, match="is a folder or a device"):
        probe("/dev/null")


def test_a_gif_of_one_picture_is_a_video_of_one_frame(tmp_path: Path) -> None:
    path = tmp_path / "still.gif"
    Image.fromarray(paint_number(3, 96, 64)).save(path)
    meta = probe(path)
    assert (meta.frames, meta.width, meta.height) == (1, 96, 64)
    assert meta.duration_s > 0
    assert read_number(read_clip(path, SamplingPlan()).frames[0]) == 3
