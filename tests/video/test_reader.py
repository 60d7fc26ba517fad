"""Reading frames by time: the frame asked for is the frame delivered, to the last bit."""

from __future__ import annotations

import os
import random
import re
from pathlib import Path

import av
import av.video.reformatter
import numpy as np
import pytest

from stvg.errors import StvgError, UsageError, VideoError
from stvg.types import Interval, VideoMeta
from stvg.video import SamplingPlan, iter_frames, probe, read_clip
from stvg.video.container import limit_pictures
from tests.barcode import (
    CLOCKWISE_90,
    CLOCKWISE_270,
    HALF_TURN,
    MIRROR,
    paint_number,
    read_number,
    set_display_matrix,
    write_barcode_video,
)
from tests.video.reading import VideoOf, decode_everything, numbers_in
from tests.video.streams import FRAMES, STREAMS, fps_of

# --- which frame ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STREAMS)
def test_delivers_the_frame_on_screen_at_each_time(name: str, video_of: VideoOf) -> None:
    step = float(1 / fps_of(name))
    asked = {
        0: 0.0,
        1: 1.5 * step,
        13: 13 * step,
        30: 30.99 * step,
        FRAMES - 1: (FRAMES - 0.5) * step,
    }
    clip = read_clip(video_of(name), SamplingPlan(times_s=list(asked.values())))
    assert clip.frame_indices.tolist() == list(asked)
    assert numbers_in(clip.frames) == list(asked)
    # Matroska rounds to a millisecond, GIF to a hundredth
    np.testing.assert_allclose(clip.times_s, [number * step for number in asked], atol=6e-4)


@pytest.mark.parametrize("name", STREAMS)
def test_delivers_every_frame_once_and_in_order(name: str, video_of: VideoOf) -> None:
    clip = read_clip(video_of(name), SamplingPlan())
    assert numbers_in(clip.frames) == list(range(FRAMES))
    assert clip.frame_indices.tolist() == list(range(FRAMES))


def test_pictures_larger_than_a_process_takes_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the decoder itself, on the way that reads all and on the one that reads some."""
    write_barcode_video(tmp_path / "v.mp4")
    meta = probe(tmp_path / "v.mp4")
    few = SamplingPlan(times_s=[0.0, 2.5])
    expected = [read_clip(meta, plan).frames for plan in (SamplingPlan(), few)]
    monkeypatch.setattr("stvg.video.container._most_pixels", None)
    limit_pictures(2 * meta.width * meta.height)
    for plan, frames in zip((SamplingPlan(), few), expected, strict=True):
        assert np.array_equal(read_clip(meta, plan).frames, frames)
    limit_pictures(meta.width * meta.height // 2)
    for plan in (SamplingPlan(), few):
        with pytest.raises(VideoError, match="expected pictures that can be decoded"):
            read_clip(meta, plan)


VARIABLE_TIMES_S = [0.0, 0.1, 0.15, 0.6, 1.7, 1.8]


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize("start_s", [0.0, 7.0])
def test_variable_frame_rate_and_late_start(suffix: str, start_s: float, tmp_path: Path) -> None:
    path = tmp_path / f"variable.{suffix}"
    write_barcode_video(path, times_s=[start_s + time_s for time_s in VARIABLE_TIMES_S])
    # just before and at the changes; a long frame stays on screen
    asked = {0: 0.099, 2: 0.15, 3: 1.65, 4: 1.75, 5: 1.85}
    clip = read_clip(path, SamplingPlan(times_s=list(asked.values())))
    assert numbers_in(clip.frames) == list(asked)
    np.testing.assert_allclose(clip.times_s, [0.0, 0.15, 0.6, 1.7, 1.8], atol=1e-6)


@pytest.mark.parametrize(
    ("matrix", "turned", "size"),
    [
        pytest.param(CLOCKWISE_90, 90, (64, 120), id="clockwise"),
        pytest.param(HALF_TURN, 180, (120, 64), id="upside-down"),
        pytest.param(CLOCKWISE_270, 270, (64, 120), id="counter-clockwise"),
    ],
)
def test_turns_pictures_as_the_container_asks(
    matrix: tuple[int, ...], turned: int, size: tuple[int, int], tmp_path: Path
) -> None:
    path = tmp_path / "phone.mp4"
    write_barcode_video(path, frames=8, turned=turned, size=size)
    set_display_matrix(path, matrix)
    meta = probe(path)
    assert (meta.width, meta.height) == (120, 64)
    full = read_clip(path, SamplingPlan(count=8))
    small = read_clip(path, SamplingPlan(count=8, long_side=60))
    assert full.frames.shape == (8, 64, 120, 3)
    assert small.frames.shape == (8, 32, 60, 3)
    assert numbers_in(full.frames) == numbers_in(small.frames) == list(range(8))
    assert full.frames.flags.c_contiguous


def test_mirrors_pictures_as_the_container_asks(tmp_path: Path) -> None:
    path = tmp_path / "selfie.mp4"
    write_barcode_video(path, frames=4, mirrored=True)
    with pytest.raises(ValueError, match="no bar code"):
        read_number(read_clip(path, SamplingPlan(count=1)).frames[0])
    set_display_matrix(path, MIRROR)
    assert numbers_in(read_clip(path, SamplingPlan(count=4)).frames) == [0, 1, 2, 3]


def test_edit_list_hides_frames_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "trimmed.mp4"
    # the muxer cuts off what lies before 0: frames 0 to 4, of which later ones need the first
    write_barcode_video(path, times_s=[number / 10 - 0.5 for number in range(12)])
    clip = read_clip(path, SamplingPlan())
    assert numbers_in(clip.frames) == [5, 6, 7, 8, 9, 10, 11]
    np.testing.assert_allclose(clip.times_s, np.arange(7) / 10)
    assert read_number(read_clip(path, SamplingPlan(times_s=[0.31])).frames[0]) == 8


def test_a_frame_on_screen_at_several_times_comes_once(video_of: VideoOf) -> None:
    clip = read_clip(video_of("h264_gop12"), SamplingPlan(count=4 * FRAMES))
    assert clip.frame_indices.tolist() == list(range(FRAMES))
    assert (np.diff(clip.times_s) > 0).all()


def test_name_with_a_colon_and_a_pattern(tmp_path: Path) -> None:
    path = tmp_path / "http:%03d é.mp4"
    write_barcode_video(path.with_name("plain.mp4"), frames=3)
    path.with_name("plain.mp4").rename(path)
    assert numbers_in(read_clip(path, SamplingPlan()).frames) == [0, 1, 2]


# --- size, streaming, progress ----------------------------------------------------------------


def test_scales_in_one_step(video_of: VideoOf) -> None:
    path = video_of("h264_gop12")
    clip = read_clip(path, SamplingPlan(count=3, long_side=48))
    expected = decode_everything(path, (48, 32))
    assert clip.size == (48, 32)
    assert all(
        np.array_equal(picture, expected[number])
        for picture, number in zip(clip.frames, clip.frame_indices, strict=True)
    )
    assert clip.scale.tolist() == [2.0, 2.0, 2.0, 2.0]


@pytest.mark.parametrize("width", [58, 72, 86, 120, 198])
def test_pictures_are_whole_to_the_right_edge(width: int, tmp_path: Path) -> None:
    """Widths that are no multiple of 16, where one of swscale's conversions goes wrong."""
    path = tmp_path / "edge.mp4"
    write_barcode_video(path, frames=1, size=(width, 64), options={"crf": "5"})
    picture = read_clip(path, SamplingPlan()).frames[0].astype(int)
    painted = paint_number(0, width, 64).astype(int)
    assert np.abs(picture - painted)[:32, -16:].mean() < 8
    wider = read_clip(path, SamplingPlan(fixed_size=(width + 5, 70))).frames[0]
    assert np.array_equal(wider, decode_everything(path, (width + 5, 70))[0])


def test_full_chroma_survives_scaling(tmp_path: Path) -> None:
    """Columns of pure colours keep their colours: chroma of half the width would mix them."""
    picture = np.zeros((128, 256, 3), np.uint8)
    picture[:, :128] = (220, 30, 30)
    picture[:, 128:] = (30, 30, 220)
    path = tmp_path / "colours.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 256, 128, "yuv444p"
        for _ in range(2):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    small = read_clip(path, SamplingPlan(count=1, long_side=64)).frames[0].astype(int)
    error = np.abs(small[:, [29, 30, 33, 34]] - picture[:32, [116, 120, 132, 136]])
    assert error.mean() < 12


@pytest.mark.parametrize("color_range", [1, 2], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", [1, 5], ids=["BT.709", "BT.601"])
def test_colours_follow_the_tags_of_the_stream(
    matrix: int, color_range: int, tmp_path: Path
) -> None:
    """AVColorSpace and swscale number both matrices alike."""
    colours = np.array([(200, 40, 40), (40, 200, 40), (40, 40, 200), (200, 200, 40)], np.uint8)
    picture = np.tile(colours.repeat(32, axis=0), (64, 1, 1))
    path = tmp_path / "tagged.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 128, 64, "yuv444p"
        stream.codec_context.colorspace = matrix
        stream.codec_context.color_range = color_range
        frame = av.video.reformatter.VideoReformatter().reformat(
            av.VideoFrame.from_ndarray(picture, format="rgb24"),
            format="yuv444p",
            src_colorspace=matrix,
            dst_colorspace=matrix,
            src_color_range=2,
            dst_color_range=color_range,
        )
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    for size in ((128, 64), (64, 32)):
        read = read_clip(path, SamplingPlan(fixed_size=size)).frames[0].astype(int)
        middles = read[size[1] // 2, size[0] // 8 :: size[0] // 4]
        assert np.abs(middles - colours).max() <= 4


def test_iter_frames_streams_the_clip(video_of: VideoOf) -> None:
    plan = SamplingPlan(fps=3, long_side=48)
    clip = read_clip(video_of("h264_open_gop"), plan)
    streamed = list(iter_frames(video_of("h264_open_gop"), plan))
    assert [number for number, _, _ in streamed] == clip.frame_indices.tolist()
    assert [time_s for _, time_s, _ in streamed] == clip.times_s.tolist()
    assert np.array_equal(np.stack([picture for _, _, picture in streamed]), clip.frames)


def test_iter_frames_can_be_left_early(video_of: VideoOf) -> None:
    number, time_s, picture = next(iter_frames(video_of("h264_gop12"), SamplingPlan()))
    assert (number, time_s, read_number(picture)) == (0, 0.0, 0)


def test_iter_frames_checks_the_plan_at_once(video_of: VideoOf) -> None:
    with pytest.raises(UsageError, match="shares some time"):
        iter_frames(video_of("h264_gop12"), SamplingPlan(interval=Interval(50, 60)))


def test_progress_counts_frames(video_of: VideoOf) -> None:
    seen: list[tuple[int, int]] = []
    plan = SamplingPlan(count=3)
    read_clip(video_of("h264_gop12"), plan, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_meta_names_the_file_as_given(video_of: VideoOf, monkeypatch: pytest.MonkeyPatch) -> None:
    path = video_of("h264_gop12")
    monkeypatch.chdir(path.parent)
    assert probe(path.name).path == path.name
    clip = read_clip(path.name, SamplingPlan(count=1))
    assert clip.meta.path == path.name
    assert read_clip(clip.meta, SamplingPlan(count=1)).meta == clip.meta


def test_meta_without_frame_times_reads_by_the_true_ones(tmp_path: Path) -> None:
    """Meta data out of a prediction file assumes a constant rate; the file knows better."""
    path = tmp_path / "variable.mp4"
    write_barcode_video(path, times_s=VARIABLE_TIMES_S)
    known = probe(path)
    told = VideoMeta(str(path), 96, 64, known.fps, known.duration_s, known.frames)
    assert read_number(read_clip(told, SamplingPlan(times_s=[1.75])).frames[0]) == 4


def test_refuses_meta_of_another_file(video_of: VideoOf, tmp_path: Path) -> None:
    path = tmp_path / "changes.mp4"
    path.write_bytes(video_of("h264_gop12").read_bytes())
    meta = probe(path)
    write_barcode_video(path, frames=9)
    with pytest.raises(VideoError, match=r"45 frames of 96x64 .* found 9 frames.*probe it again"):
        read_clip(meta, SamplingPlan(count=1))


# --- broken files -----------------------------------------------------------------------------


@pytest.fixture
def cut_video(tmp_path: Path) -> Path:
    """100 frames of 0.1 s, the last third of the bytes missing."""
    path = tmp_path / "cut.mp4"
    options = {"x264-params": "keyint=10:bframes=3"}
    write_barcode_video(
        path, frames=100, options=options, container_options={"movflags": "faststart"}
    )
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    return path


def test_cut_off_file_is_readable_up_to_the_break(cut_video: Path) -> None:
    meta = probe(cut_video)
    assert 40 < meta.frames < 80
    assert meta.duration_s == pytest.approx(10.0)
    readable_s = meta.frames / 10
    clip = read_clip(cut_video, SamplingPlan(interval=Interval(0, readable_s)))
    assert numbers_in(clip.frames) == list(range(meta.frames))


def test_cut_off_file_says_what_is_readable(cut_video: Path) -> None:
    frames = probe(cut_video).frames
    message = rf"breaks off: {frames} of 100 frames, up to {frames / 10:.3f} s, are readable"
    for _ in range(2):
        with pytest.raises(VideoError, match=message):
            read_clip(cut_video, SamplingPlan(count=8))
    with pytest.raises(VideoError, match=message):
        iter_frames(cut_video, SamplingPlan(times_s=[frames / 10 + 0.01]))


@pytest.mark.parametrize("suffix", ["mkv", "ts", "avi"])
def test_cut_off_files_of_other_kinds(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"cut.{suffix}"
    write_barcode_video(path, frames=60, codec="mpeg4" if suffix == "avi" else "libx264")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 3 // 4])
    frames = probe(path).frames
    assert 10 < frames < 58
    clip = read_clip(path, SamplingPlan(count=frames, interval=Interval(0, (frames - 2) / 10)))
    assert numbers_in(clip.frames) == list(range(frames - 2))
    if suffix == "mkv":  # the others do not say how long they should be
        with pytest.raises(VideoError, match=f"{frames} frames, up to .* are readable"):
            read_clip(path, SamplingPlan())


def test_a_frame_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    path = tmp_path / "hole.mov"
    write_barcode_video(path, frames=10, codec="mjpeg", pix_fmt="yuvj420p")
    with av.open(str(path)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux() if packet.size]
    position, size = places[4]
    data = bytearray(path.read_bytes())
    data[position : position + size] = bytes(size)
    path.write_bytes(data)
    assert numbers_in(read_clip(path, SamplingPlan(times_s=[0.3, 0.5])).frames) == [3, 5]
    with pytest.raises(VideoError, match=r"frame 4 \(at 0\.400 s\) .* cannot be decoded"):
        read_clip(path, SamplingPlan())


@pytest.mark.parametrize("name", ["h264_gop12", "hevc_open_gop", "h264_ts", "h264_mkv", "vp9"])
def test_noise_in_a_file_ends_in_frames_or_in_one_clear_error(
    name: str, video_of: VideoOf, tmp_path: Path
) -> None:
    original = video_of(name).read_bytes()
    draw = random.Random(name)
    for attempt in range(12):
        data = bytearray(original)
        for _ in range(draw.choice([1, 5, 40])):
            data[draw.randrange(len(data))] = draw.randrange(256)
        path = tmp_path / f"{attempt}.{STREAMS[name].suffix}"
        path.write_bytes(data)
        try:
            clip = read_clip(path, SamplingPlan(count=6), threads=1)
        except StvgError as error:
            named = path.name in str(error)
        else:
            named = True
            assert (np.diff(clip.times_s) > 0).all()
        assert named


def test_of_two_frames_at_one_time_the_later_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "twice.mkv"
    write_repeating_times(path, [0, 1, 2, 2, 3])
    clip = read_clip(path, SamplingPlan())
    assert numbers_in(clip.frames) == [0, 1, 3, 4]
    np.testing.assert_allclose(clip.times_s, [0.0, 0.1, 0.2, 0.3])


def write_repeating_times(path: Path, tenths: list[int]) -> None:
    """A Motion JPEG video whose time stamps may repeat."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuvj420p"
        for number, tenth in enumerate(tenths):
            frame = av.VideoFrame.from_ndarray(paint_number(number, 96, 64), format="rgb24")
            frame.pts = number
            for packet in stream.encode(frame):
                packet.pts = packet.dts = tenth
                container.mux(packet)


# --- real clips -------------------------------------------------------------------------------


@pytest.mark.shared
def test_real_clips_equal_the_sequential_decode(shared_data: Path) -> None:
    for path in sorted((shared_data / "real").glob("*.mp4"))[:3]:
        clip = read_clip(path, SamplingPlan(count=5, long_side=224, multiple_of=28))
        expected = decode_everything(path, clip.size)
        assert len(expected) == clip.meta.frames
        for picture, number in zip(clip.frames, clip.frame_indices, strict=True):
            assert np.array_equal(picture, expected[number]), f"{path.name}: frame {number}"


def test_leaves_no_file_open(video_of: VideoOf) -> None:
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for _ in range(3):
        next(iter_frames(video_of("h264_gop12"), SamplingPlan()))
        read_clip(video_of("h264_gop12"), SamplingPlan(count=2))
    after = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    assert after <= before


def test_python_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "video.md"
    (code,) = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    write_barcode_video(tmp_path / "dog.mp4", frames=40, size=(128, 64))
    monkeypatch.chdir(tmp_path)
    exec(compile(code, page.name, "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    # 16 middles of [1, 3) at 10 frames a second; 128x64 brought down to multiples of 28
    assert lines[0] == "(16, 56, 112, 3) [1.  1.1 1.3] [10 11 13]"
    assert [line.split()[0] for line in lines[1:]] == ["0", "5", "10", "15", "20", "25", "30", "35"]
