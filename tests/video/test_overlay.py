"""Overlays on small videos whose every frame can be told by its grey level."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from stvg.errors import OutputError, UsageError, VideoError
from stvg.geometry.masks import encode_masks
from stvg.types import (
    BoolArray,
    ByteArray,
    Interval,
    Prediction,
    Query,
    Track,
    Tracks,
    Tube,
    VideoMeta,
)
from stvg.video.draw import PALETTE, Color
from stvg.video.index import probe
from stvg.video.layers import OTHER
from stvg.video.overlay import GUTTER, contact_sheet, write_overlay, write_tracks_overlay
from stvg.video.writer import VideoWriter

TIMES = [0.0, 0.1, 0.2, 0.35, 0.5, 0.6, 0.7, 0.9, 1.0, 1.3, 1.4, 1.5]  # uneven on purpose
BOX = (20.0, 16.0, 60.0, 48.0)  # on the five times enlarged picture: 100, 80, 300, 240
ORANGE, BLUE = PALETTE[:2]
Make = Callable[..., Prediction]


@pytest.fixture(scope="module")
def meta(tmp_path_factory: pytest.TempPathFactory) -> VideoMeta:
    """A video of 96x64 pixels; frame i has the grey level 20 + 14 i."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    with VideoWriter(path, fps=Fraction(8), duration_s=1.6) as writer:
        for number, time_s in enumerate(TIMES):
            writer.write(np.full((64, 96, 3), 20 + 14 * number, np.uint8), time_s)
    return probe(path)


@pytest.fixture
def predict(meta: VideoMeta) -> Make:
    """Makes a prediction with ``BOX`` in the frames [first, end)."""

    def make(first: int = 3, end: int = 8, query: str = "the dog", **fields: Any) -> Prediction:
        tube_fields = {
            name: fields.pop(name) for name in ("interpolated", "masks") if name in fields
        }
        span = meta.span_of(first, end)
        tube = Tube(span, meta.times_s[first:end], [BOX] * (end - first), **tube_fields)
        return Prediction(Query(query), meta, tube, "track_match", "tiny", **fields)

    return make


def read(path: Path) -> tuple[list[float], ByteArray]:
    """Times and RGB pictures of a video."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
        return [frame.time for frame in frames], np.stack(
            [frame.to_ndarray(format="rgb24") for frame in frames]
        )


def numbers_in(pictures: ByteArray) -> list[int]:
    """Frame numbers read back from a corner where nothing is drawn."""
    return [round((float(picture[4:30, 4:30].mean()) - 20) / 14) for picture in pictures]


def near(pixels: ByteArray, color: Color) -> BoolArray:
    """Which pixels look like a colour after coding with half the chroma, (...)."""
    return np.asarray(np.abs(pixels.astype(int) - color).max(axis=-1) <= 45)


def coloured(pixels: ByteArray) -> BoolArray:
    """Which pixels are not grey, (...): the videos are grey, only marks have a colour."""
    return np.asarray(np.ptp(pixels.astype(int), axis=-1) > 50)


def has_box(picture: ByteArray, color: Color = ORANGE) -> bool:
    """Whether all four sides of ``BOX``, five times enlarged, are there in their middle."""
    sides = (picture[160, 100], picture[160, 299], picture[80, 200], picture[239, 200])
    return bool(near(np.stack(sides), color).all())


def test_frames_and_times_are_those_of_the_video(
    tmp_path: Path, meta: VideoMeta, predict: Make
) -> None:
    steps: list[tuple[int, int]] = []
    write_overlay(predict(), tmp_path / "o.mp4", progress=lambda *step: steps.append(step))
    times, pictures = read(tmp_path / "o.mp4")
    assert times == pytest.approx(TIMES, abs=1e-4)
    assert numbers_in(pictures) == list(range(12))
    assert steps == [(done, 12) for done in range(13)]
    written = probe(tmp_path / "o.mp4")
    assert written.duration_s == pytest.approx(meta.duration_s, abs=1e-3)
    assert written.width == 480
    assert written.height > 320  # the picture and the panel


def test_the_box_is_there_in_its_interval_and_nowhere_else(tmp_path: Path, predict: Make) -> None:
    write_overlay(predict(), tmp_path / "o.mp4")
    _, pictures = read(tmp_path / "o.mp4")
    assert [has_box(picture) for picture in pictures] == [3 <= i < 8 for i in range(12)]
    for number in (0, 2, 8, 11):  # outside the interval nothing at all is drawn on the picture
        grey = 20 + 14 * number
        assert np.abs(pictures[number, :318].astype(int) - grey).max() <= 8


def test_the_panel_covers_nothing_of_the_picture(tmp_path: Path, predict: Make) -> None:
    write_overlay(predict(), tmp_path / "o.mp4")
    _, pictures = read(tmp_path / "o.mp4")
    for number, picture in enumerate(pictures):
        below_the_box = picture[250:318]
        assert np.abs(below_the_box.astype(int) - (20 + 14 * number)).max() <= 8
    assert near(pictures[0, 340:], ORANGE).any()  # the timeline stands below


def test_times_that_went_through_text_still_match(
    tmp_path: Path, meta: VideoMeta, predict: Make
) -> None:
    exact = predict()
    assert exact.tube is not None
    span = exact.tube.interval
    for shift in (-4e-5, 4e-5):
        tube = Tube(
            Interval(span.start_s + shift, span.end_s + shift),
            exact.tube.times_s + max(shift, 0),
            exact.tube.boxes,
        )
        said = replace(meta, frame_times_s=None)  # as read from a prediction file
        write_overlay(replace(exact, tube=tube, video=said), tmp_path / "o.mp4")
        _, pictures = read(tmp_path / "o.mp4")
        assert [has_box(picture) for picture in pictures] == [3 <= i < 8 for i in range(12)]


def test_the_box_follows_the_tube(tmp_path: Path, meta: VideoMeta) -> None:
    """A box at the first and last frame only: in between it moves in proportion to time."""
    tube = Tube(Interval(0, 1.6), [0.0, 1.5], [[0, 16, 40, 48], [50, 16, 90, 48]])
    write_overlay(Prediction(Query("dog"), meta, tube, "m", "m"), tmp_path / "o.mp4")
    _, pictures = read(tmp_path / "o.mp4")
    for number, time_s in enumerate(TIMES):
        left = round(time_s / 1.5 * 50 * 5)
        assert coloured(pictures[number, 200, left : left + 2]).all()
        assert not coloured(pictures[number, 200, left + 8 : left + 190]).any()


def test_filled_in_boxes_are_dashed(tmp_path: Path, predict: Make) -> None:
    marks = []
    for interpolated in (None, np.ones(12, np.bool_)):
        write_overlay(predict(0, 12, interpolated=interpolated), tmp_path / "o.mp4")
        _, pictures = read(tmp_path / "o.mp4")
        marks.append(near(pictures[5, 100:220, 100], ORANGE).mean())
    assert marks[0] > 0.95
    assert 0.2 < marks[1] < 0.8


def test_masks_are_tinted(tmp_path: Path, predict: Make) -> None:
    mask = np.zeros((1, 64, 96), np.bool_)
    mask[0, 20:40, 30:40] = True
    masks = (None, *encode_masks(mask), None, None, None)  # frame 4 of the frames 3 to 7
    write_overlay(predict(masks=masks), tmp_path / "o.mp4")
    _, pictures = read(tmp_path / "o.mp4")
    spread = np.ptp(pictures[:, 150, 175].astype(int), axis=1)  # grey has none
    assert [bool(value > 40) for value in spread] == [number == 4 for number in range(12)]
    assert np.ptp(pictures[4, 150, 225].astype(int)) < 15  # in the box, outside the mask


def test_several_answers_have_a_colour_and_a_row_each(tmp_path: Path, predict: Make) -> None:
    write_overlay([predict(0, 4), predict(6, 12, "the cat")], tmp_path / "o.mp4")
    write_overlay(predict(0, 4), tmp_path / "one.mp4")
    _, pictures = read(tmp_path / "o.mp4")
    assert [has_box(picture) for picture in pictures] == [i < 4 for i in range(12)]
    assert [has_box(picture, BLUE) for picture in pictures] == [i >= 6 for i in range(12)]
    panel = pictures[5, 330:]
    rows = [np.flatnonzero(near(panel, color).any(axis=1)) for color in (ORANGE, BLUE)]
    assert rows[0].max() < rows[1].min()
    assert pictures.shape[1] > read(tmp_path / "one.mp4")[1].shape[1]


def test_nothing_found_draws_nothing_but_says_so(
    tmp_path: Path, meta: VideoMeta, predict: Make
) -> None:
    empty = Prediction(Query("a car"), meta, None, "track_match", "tiny", warnings=("no car",))
    write_overlay(empty, tmp_path / "o.mp4")
    _, pictures = read(tmp_path / "o.mp4")
    for number, picture in enumerate(pictures):
        assert np.abs(picture[:318].astype(int) - (20 + 14 * number)).max() <= 8
    assert not near(pictures[:, 330:], ORANGE).any()
    write_overlay(predict(query="a car"), tmp_path / "found.mp4")
    extra = pictures.shape[1] - read(tmp_path / "found.mp4")[1].shape[1]
    assert extra > 8  # the line with the reason


@pytest.mark.parametrize(
    ("details", "taller"),
    [
        ({"cues": {"class": 0.9, "colour": 0.4}}, True),
        ({"cues": {}}, False),
        ({"cues": {"class": None, "colour": "high", "x": float("nan")}}, False),
        ({"cues": "none"}, False),
        ({"thinking": "..."}, False),
    ],
)
def test_cues_are_shown_when_there_are_any(
    tmp_path: Path, predict: Make, details: dict[str, Any], taller: bool
) -> None:
    heights = []
    for given in (None, details):
        write_overlay(predict(details=given), tmp_path / "o.mp4")
        heights.append(probe(tmp_path / "o.mp4").height)
    assert (heights[1] > heights[0]) == taller


@pytest.mark.parametrize(("long_side", "width"), [(160, 96), (200, 192), (300, 288), (1280, 480)])
def test_size_of_the_picture(tmp_path: Path, predict: Make, long_side: int, width: int) -> None:
    """Enlarged by the largest whole factor up to five; a narrow one stands in the middle."""
    write_overlay(predict(0, 12), tmp_path / "o.mp4", long_side=long_side)
    _, pictures = read(tmp_path / "o.mp4")
    assert pictures.shape[2] == max(width, 160)
    factor, left = width // 96, (max(width, 160) - width) // 2
    edge, middle = left + 20 * factor, 40 * factor
    assert coloured(pictures[5, middle, edge])
    assert not coloured(pictures[5, middle, edge + 6])
    below = 64 * factor
    assert pictures[5, below - 3, left + width - 3].mean() == pytest.approx(90, abs=8)
    assert pictures[5, below + 3, left + width - 3].mean() < 40  # the panel begins


@pytest.mark.parametrize("size", [(2, 2), (16, 1000), (1000, 16), (1400, 30)])
def test_pictures_of_any_shape(tmp_path: Path, size: tuple[int, int]) -> None:
    with VideoWriter(tmp_path / "v.mp4", fps=Fraction(10)) as writer:
        writer.write(np.full((size[1], size[0], 3), 90, np.uint8), 0.0)
    meta = probe(tmp_path / "v.mp4")
    tube = Tube(Interval(0, 0.1), [0.0], [[0, 0, *size]])
    prediction = Prediction(Query("a dog that runs"), meta, tube, "m", "m")
    write_overlay(prediction, tmp_path / "o.mp4")
    contact_sheet(prediction, tmp_path / "s.png")
    written = probe(tmp_path / "o.mp4")
    assert written.frames == 1
    assert 160 <= written.width <= 1280
    assert 320 <= Image.open(tmp_path / "s.png").width <= 1600


def test_a_video_of_odd_size(tmp_path: Path) -> None:
    """The writer makes even files only, so an odd one is made by hand, in another format."""
    path = tmp_path / "odd.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 97, 63, "bgr0"
        for number in range(3):
            picture = np.full((63, 97, 3), 60 * number + 60, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    meta = probe(path)
    assert (meta.width, meta.height) == (97, 63)
    tube = Tube(Interval(0, 0.3), [0.0], [[57, 0, 97, 63]])
    write_overlay(Prediction(Query("dog"), meta, tube, "m", "m"), tmp_path / "o.mp4")
    _, pictures = read(tmp_path / "o.mp4")
    assert pictures.shape[2] == 486  # 5 * 97 and one column to make it even
    assert coloured(pictures[1, 150, 483:485]).all()  # the right side of the box
    assert coloured(pictures[1, 313:315, 400]).all()  # the lower side


@pytest.mark.parametrize("name", ["o.avi", "missing/o.mp4"])
def test_a_place_that_cannot_be_written_to(tmp_path: Path, predict: Make, name: str) -> None:
    with pytest.raises((UsageError, OutputError), match=r"o\.(avi|mp4)"):
        write_overlay(predict(), tmp_path / name)


def test_an_overlay_needs_a_prediction(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at least one prediction"):
        write_overlay([], tmp_path / "o.mp4")


def test_an_overlay_needs_some_room(tmp_path: Path, predict: Make) -> None:
    with pytest.raises(UsageError, match="at least 160 pixels, found 100"):
        write_overlay(predict(), tmp_path / "o.mp4", long_side=100)
    assert list(tmp_path.iterdir()) == []


def test_an_overlay_never_replaces_its_video(meta: VideoMeta, predict: Make) -> None:
    before = Path(meta.path).read_bytes()
    with pytest.raises(UsageError, match="would replace the video"):
        write_overlay(predict(), meta.path)
    assert Path(meta.path).read_bytes() == before


def test_answers_on_different_videos_are_refused(
    tmp_path: Path, meta: VideoMeta, predict: Make
) -> None:
    other = replace(predict(), video=replace(meta, path="other.mp4"))
    with pytest.raises(UsageError, match=r"clip\.mp4 and other\.mp4"):
        write_overlay([predict(), other], tmp_path / "o.mp4")


def test_a_replaced_video_is_noticed(tmp_path: Path, meta: VideoMeta, predict: Make) -> None:
    said = replace(predict(), video=replace(meta, frames=13, frame_times_s=None))
    with pytest.raises(VideoError, match=r"13 frames, but .* has 96x64 and 12"):
        write_overlay(said, tmp_path / "o.mp4")


def test_a_video_that_is_gone(tmp_path: Path, meta: VideoMeta, predict: Make) -> None:
    said = replace(predict(), video=replace(meta, path=str(tmp_path / "gone.mp4")))
    with pytest.raises(VideoError, match=r"gone\.mp4"):
        write_overlay(said, tmp_path / "o.mp4")


def test_an_error_in_the_middle_leaves_nothing(tmp_path: Path, predict: Make) -> None:
    def stop(done: int, total: int) -> None:
        if done == total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_overlay(predict(), tmp_path / "o.mp4", progress=stop)
    assert list(tmp_path.iterdir()) == []


# --- tracks ---------------------------------------------------------------------------------


def track(number: int, frames: list[int], box: tuple[float, ...] = BOX) -> Track:
    """A track with one box in some frames."""
    return Track(number, "dog", frames, [box] * len(frames), [0.9] * len(frames))


def test_tracks_are_drawn_where_they_were_seen(tmp_path: Path, meta: VideoMeta) -> None:
    steps: list[int] = []
    write_tracks_overlay(
        Tracks(meta, (track(0, [1, 2, 5]), track(8, [5, 6], (70, 10, 90, 40)))),
        tmp_path / "o.mp4",
        progress=lambda done, total: steps.append(done),
    )
    times, pictures = read(tmp_path / "o.mp4")
    assert times == pytest.approx(TIMES, abs=1e-4)
    assert [has_box(picture) for picture in pictures] == [i in {1, 2, 5} for i in range(12)]
    second = [near(picture[125, 350], BLUE) for picture in pictures]  # x = 5 * 70
    assert second == [i in {5, 6} for i in range(12)]
    assert steps == list(range(13))


@pytest.mark.parametrize("count", [0, 1, 16, 40])
def test_any_number_of_tracks(tmp_path: Path, meta: VideoMeta, count: int) -> None:
    tracks = Tracks(meta, tuple(track(number, [number % 12]) for number in range(count)))
    write_tracks_overlay(tracks, tmp_path / "o.mp4")
    assert probe(tmp_path / "o.mp4").height < 480


def test_tracks_with_masks(tmp_path: Path, meta: VideoMeta) -> None:
    mask = np.zeros((1, 64, 96), np.bool_)
    mask[0, 20:40, 30:40] = True
    tracked = replace(track(0, [2, 3]), masks=(*encode_masks(mask), None))
    write_tracks_overlay(Tracks(meta, (tracked,)), tmp_path / "o.mp4")
    _, pictures = read(tmp_path / "o.mp4")
    assert [bool(np.ptp(pictures[i, 150, 175].astype(int)) > 40) for i in (2, 3)] == [True, False]


def test_other_tracks_stand_behind_an_answer(
    tmp_path: Path, meta: VideoMeta, predict: Make
) -> None:
    tracks = Tracks(meta, (track(0, list(range(12))), track(1, [0], (70, 10, 90, 40))))
    write_overlay(predict(), tmp_path / "o.mp4", tracks=tracks)
    _, pictures = read(tmp_path / "o.mp4")
    assert [has_box(picture) for picture in pictures] == [3 <= i < 8 for i in range(12)]
    assert near(pictures[0, 100:150, 350], OTHER).mean() > 0.9  # the other one, grey
    assert not near(pictures[1, 100:150, 350], OTHER).any()


# --- contact sheets -------------------------------------------------------------------------


def cells(path: Path, columns: int, lines: int, size: tuple[int, int]) -> ByteArray:
    """The pictures of a sheet in reading order, (N, H, W, 3)."""
    sheet = np.asarray(Image.open(path).convert("RGB"))
    gutter, (wide, high) = GUTTER, size
    return np.stack(
        [
            sheet[gutter + line * (high + gutter) :, gutter + column * (wide + gutter) :][
                :high, :wide
            ]
            for line in range(lines)
            for column in range(columns)
        ]
    )


def test_a_sheet_shows_the_interval_and_what_is_around_it(tmp_path: Path, predict: Make) -> None:
    """Frames 3 to 7 are the interval: one in the middle of 0..2, one of 8..11, four between."""
    contact_sheet(predict(), tmp_path / "s.png")
    pictures = cells(tmp_path / "s.png", 3, 2, (480, 320))
    assert numbers_in(pictures) == [1, 3, 4, 6, 7, 10]
    assert [has_box(picture) for picture in pictures] == [False, True, True, True, True, False]


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        ({"times_s": [1.0, 0.0, 0.36]}, [0, 3, 8]),  # sorted; 0.36 s is within frame 3
        ({"times_s": [0.0, 0.05, 1.6]}, [0, 11]),  # the same frame once; the end is the last frame
        ({"count": 1}, [5]),
        ({"count": 2}, [3, 9]),
    ],
)
def test_frames_of_a_sheet(
    tmp_path: Path, meta: VideoMeta, options: dict[str, Any], numbers: list[int]
) -> None:
    empty = Prediction(Query("a car"), meta, None, "m", "m", warnings=("no car",))
    contact_sheet(empty, tmp_path / "s.png", **options)
    width, height = Image.open(tmp_path / "s.png").size
    assert width == len(numbers) * (480 + 8) + 8
    assert height > 320 + 16
    pictures = cells(tmp_path / "s.png", len(numbers), 1, (480, 320))
    shown = numbers if "times_s" in options or options["count"] > 1 else [6]
    assert numbers_in(pictures) == shown


def test_a_sheet_of_a_large_video_is_as_wide_as_asked(tmp_path: Path, predict: Make) -> None:
    contact_sheet(predict(), tmp_path / "s.png", width=400)
    assert 320 <= Image.open(tmp_path / "s.png").width <= 400


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("s.jpg", {}, r"written as \.png, found 's\.jpg'"),
        ("s.png", {"width": 319}, "at least 320 pixels wide, found width 319"),
        ("s.png", {"count": 0}, "at least one frame"),
        ("s.png", {"times_s": []}, "at least one frame"),
        ("s.png", {"times_s": [0.1, 2.0]}, r"times of 0 to 1\.600 s, found 2\.0 s"),
        ("s.png", {"times_s": [-0.1]}, r"found -0\.1 s"),
        ("missing/s.png", {}, "the folder"),
    ],
)
def test_a_sheet_that_cannot_be_made(
    tmp_path: Path, predict: Make, name: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises((UsageError, OutputError), match=message):
        contact_sheet(predict(), tmp_path / name, **options)
    assert list(tmp_path.iterdir()) == []
