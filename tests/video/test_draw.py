"""Marks on pictures, pixel by pixel where the pixels can be worked out by hand."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from stvg.types import BoolArray, ByteArray, Interval
from stvg.video import draw
from stvg.video.draw import (
    INK,
    PALETTE,
    Color,
    Rect,
    TimeAxis,
    color_of,
    draw_badge,
    draw_box,
    draw_cursor,
    draw_label,
    draw_sentence,
    draw_text,
    draw_ticks,
    draw_timeline,
    format_time,
    line_width_for,
    text_color_on,
    text_size_for,
    tint_mask,
)
from stvg.video.fonts import Typeface, typeface_for

RED: Color = (255, 0, 0)
GREY: Color = (90, 90, 90)


def picture(width: int, height: int, color: Color = (0, 0, 0)) -> ByteArray:
    """A picture of one colour."""
    rgb = np.empty((height, width, 3), np.uint8)
    rgb[:] = color
    return rgb


def where(rgb: ByteArray, color: Color) -> BoolArray:
    """Which pixels have exactly this colour, (H, W)."""
    return np.asarray((rgb == color).all(axis=2))


def changed(rgb: ByteArray, before: Color = (0, 0, 0)) -> BoolArray:
    """Which pixels are no longer of the colour the picture was made with, (H, W)."""
    return rgb.any(axis=2) if before == (0, 0, 0) else ~where(rgb, before)


def inside(rgb: ByteArray, rect: Rect) -> BoolArray:
    """The pixels of a rectangle, (H, W)."""
    mask = np.zeros(rgb.shape[:2], np.bool_)
    mask[rect[1] : rect[3], rect[0] : rect[2]] = True
    return mask


# --- sizes and colours ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("width", "height", "text", "line"),
    [
        (96, 64, 10, 1),  # a sixth of the height
        (40, 30, 8, 1),  # never below 8
        (320, 240, 12, 2),  # never below 12 where that fits
        (270, 480, 12, 2),
        (1280, 720, 23, 3),  # 0.0235 and 0.0036 of sqrt(1280 * 720) = 960
        (3840, 2160, 68, 10),  # of 2880
    ],
)
def test_sizes_follow_the_picture(width: int, height: int, text: int, line: int) -> None:
    assert (text_size_for(width, height), line_width_for(width, height)) == (text, line)


@pytest.mark.parametrize("color", [*PALETTE, (0, 0, 0), (255, 255, 255), (200, 204, 210)])
def test_text_on_any_colour_has_the_contrast_that_wcag_asks_for(color: Color) -> None:
    def luminance(rgb: Color) -> float:
        linear = [v / 255 / 12.92 if v <= 10 else ((v / 255 + 0.055) / 1.055) ** 2.4 for v in rgb]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    low, high = sorted((luminance(color), luminance(text_color_on(color))))
    assert (high + 0.05) / (low + 0.05) >= 4.5


def test_the_palette_repeats() -> None:
    assert len(set(PALETTE)) == len(PALETTE) == 7
    assert [color_of(0), color_of(7), color_of(8)] == [PALETTE[0], PALETTE[0], PALETTE[1]]


# --- boxes ----------------------------------------------------------------------------------


def test_a_box_is_a_line_along_the_inner_side_of_its_edge() -> None:
    rgb = picture(40, 30)
    draw_box(rgb, (10, 5, 30, 25), RED, width=2)
    expected = np.zeros((30, 40), np.bool_)
    expected[5:25, 10:30] = True  # right and bottom exclusive
    expected[7:23, 12:28] = False
    np.testing.assert_array_equal(where(rgb, RED), expected)
    np.testing.assert_array_equal(changed(rgb), expected)


@pytest.mark.parametrize(
    ("box", "extent"),
    [
        ((9.6, 5.4, 29.5001, 24.9), (10, 5, 30, 25)),  # rounded to whole pixels
        ((0, 0, 40, 30), (0, 0, 40, 30)),  # the whole picture
        ((-20, -10, 30, 25), (0, 0, 30, 25)),  # cut at the border
        ((10, 5, 400, 300), (10, 5, 40, 30)),
        ((10, 5, 10, 5), (10, 5, 11, 6)),  # no size: one pixel
        ((40, 30, 40, 30), (39, 29, 40, 30)),  # no size, at the far corner
        ((10, 5, 11, 25), (10, 5, 11, 25)),  # thinner than the line
    ],
)
@pytest.mark.parametrize("dashed", [False, True])
def test_extent_of_boxes(
    box: tuple[float, ...], extent: tuple[int, int, int, int], dashed: bool
) -> None:
    rgb = picture(40, 30)
    draw_box(rgb, box, RED, width=2, dashed=dashed)
    rows, columns = np.nonzero(changed(rgb))
    found = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert found == extent


@pytest.mark.parametrize(
    "box",
    [(50, 5, 60, 25), (10, 31, 30, 40), (-9, 5, -1, 25), (np.nan, np.nan, np.nan, np.nan)],
)
def test_a_box_outside_is_not_drawn(box: tuple[float, ...]) -> None:
    rgb = picture(40, 30)
    draw_box(rgb, box, RED)
    assert not changed(rgb).any()


def test_a_dashed_box_is_a_part_of_the_solid_one() -> None:
    solid, dashed = picture(200, 100), picture(200, 100)
    draw_box(solid, (10, 10, 190, 90), RED, width=2)
    draw_box(dashed, (10, 10, 190, 90), RED, width=2, dashed=True)
    line, dashes = where(solid, RED), where(dashed, RED)
    assert (dashes & ~line).sum() == 0
    assert 0.3 < dashes.sum() / line.sum() < 0.8
    for y, x in ((10, 10), (10, 189), (89, 10), (89, 189)):  # corners are whole
        assert dashes[y, x]
    for side in (dashes[10], dashes[89], dashes[:, 10], dashes[:, 189]):
        assert np.diff(side.astype(int)).tolist().count(1) >= 4  # several dashes a side


def test_a_thick_box_has_a_dark_rim_on_both_sides() -> None:
    rgb = picture(100, 100, (255, 255, 255))
    draw_box(rgb, (20, 20, 80, 80), RED, width=3)
    assert where(rgb, RED)[50, 20:23].all()
    assert (rgb[50, 19] < 255).all()
    assert (rgb[50, 23] < 255).all()
    assert (rgb[50, 18] == 255).all()
    assert (rgb[50, 24] == 255).all()


def test_only_the_pixels_of_a_mask_are_tinted() -> None:
    rgb = picture(8, 6, (100, 200, 0))
    mask = np.zeros((6, 8), np.bool_)
    mask[2, 3:5] = True
    tint_mask(rgb, mask, (200, 0, 50), alpha=0.25)
    assert rgb[2, 3].tolist() == [125, 150, 12]  # 0.75 of the picture, 0.25 of the colour
    np.testing.assert_array_equal(changed(rgb, (100, 200, 0)), mask)


# --- labels and badges ----------------------------------------------------------------------

SIZES = [(96, 64), (270, 480), (641, 361), (1280, 720), (3840, 2160)]
CORNERS = [(0.0, 0.0), (0.8, 0.0), (0.0, 0.8), (0.8, 0.8), (0.4, 0.4)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("corner", CORNERS)
@pytest.mark.parametrize("text", ["7", "the dog", "the man in the red jacket who drops the bag"])
def test_a_label_stays_in_the_picture(
    size: tuple[int, int], corner: tuple[float, float], text: str
) -> None:
    rgb = picture(*size)
    x, y = corner[0] * size[0], corner[1] * size[1]
    place = draw_label(rgb, text, (x, y, x + 0.2 * size[0], y + 0.2 * size[1]), RED)
    assert place is not None
    assert place[0] >= 0
    assert place[1] >= 0
    assert place[2] <= size[0]
    assert place[3] <= size[1]
    assert not (changed(rgb) & ~inside(rgb, place)).any()
    chip = rgb[place[1] : place[3], place[0] : place[2]]
    assert where(chip, RED).mean() > 0.4
    assert (np.abs(chip.astype(int) - INK).sum(axis=2) < 40).any()  # dark letters


@pytest.mark.parametrize(
    ("box", "place"),
    [
        ((100, 100, 300, 200), "above"),
        ((100, 0, 300, 100), "below"),  # no room above
        ((100, 0, 300, 240), "inside"),  # as high as the picture
    ],
)
def test_where_a_label_goes(box: tuple[int, int, int, int], place: str) -> None:
    rgb = picture(480, 240)
    chip = draw_label(rgb, "dog", box, RED)
    assert chip is not None
    assert chip[0] == box[0]
    edges = {"above": chip[3] == box[1], "below": chip[1] == box[3], "inside": chip[1] == box[1]}
    assert edges[place]


def test_a_label_at_the_right_border_ends_there() -> None:
    rgb = picture(480, 240)
    chip = draw_label(rgb, "a long label", (440, 100, 480, 140), RED)
    assert chip is not None
    assert chip[2] == 480
    assert chip[3] == 100


def test_labels_of_the_same_box_do_not_cover_each_other() -> None:
    rgb = picture(480, 240)
    taken: list[Rect] = []
    for number in range(6):
        chip = draw_label(rgb, f"{number} dog", (200, 80, 280, 160), RED, avoid=taken)
        assert chip is not None
        taken.append(chip)
    covered = sum(inside(rgb, chip).astype(int) for chip in taken)
    assert covered.max() == 1


@pytest.mark.parametrize(
    ("size", "text", "box"),
    [
        ((96, 8), "dog", (10, 2, 20, 6)),  # lower than a line
        ((6, 64), "dog", (1, 10, 5, 20)),  # narrower than a letter
        ((96, 64), "", (10, 10, 20, 20)),  # nothing to say
        ((96, 64), "dog", (200, 10, 220, 20)),  # box outside
        ((96, 64), "dog", (np.nan, np.nan, np.nan, np.nan)),
    ],
)
def test_no_label_where_none_can_be(
    size: tuple[int, int], text: str, box: tuple[float, ...]
) -> None:
    rgb = picture(*size)
    assert draw_label(rgb, text, box, RED) is None
    assert not changed(rgb).any()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("center", [(0.0, 0.0), (1.0, 1.0), (0.5, 0.5), (9.0, -9.0)])
@pytest.mark.parametrize("text", ["3", "128"])
def test_a_badge_stays_in_the_picture(
    size: tuple[int, int], center: tuple[float, float], text: str
) -> None:
    rgb = picture(*size)
    middle = (center[0] * size[0], center[1] * size[1])
    place = draw_badge(rgb, text, middle, RED)
    assert place is not None
    assert min(place) >= 0
    assert place[2] <= size[0]
    assert place[3] <= size[1]
    assert not (changed(rgb) & ~inside(rgb, place)).any()
    if center == (0.5, 0.5):
        assert place[0] + place[2] == pytest.approx(size[0], abs=1)
        assert place[1] + place[3] == pytest.approx(size[1], abs=1)


def test_no_badge_on_a_picture_that_is_too_small() -> None:
    rgb = picture(8, 8)
    assert draw_badge(rgb, "3", (4, 4), RED) is None
    assert not changed(rgb).any()


# --- text -----------------------------------------------------------------------------------


def test_text_beyond_the_border_is_cut() -> None:
    face = typeface_for("dog", 20)
    whole, cut = picture(100, 40), picture(100, 40)
    draw_text(whole, "dog", (10, 5), RED, face)
    end = draw_text(cut, "dog", (-5, 5), RED, face)
    assert end == -5 + face.width("dog")
    np.testing.assert_array_equal(cut[:, :50], whole[:, 15:65])
    draw_text(cut, "dog", (500, 500), RED, face)  # wholly outside: nothing happens


@pytest.mark.parametrize("lines", [0, 1, 2, 3])
def test_a_sentence_fits_its_place(lines: int) -> None:
    text = "the man in the red jacket who drops the bag and walks away"
    face = typeface_for(text, 16)
    rgb = picture(300, 120)
    place = (20, 10, 220, 10 + lines * face.line_height + 3)
    end = draw_sentence(rgb, text, place, RED, face)
    assert end == 10 + lines * face.line_height
    assert changed(rgb).any() == (lines > 0)
    assert not (changed(rgb) & ~inside(rgb, place)).any()


@pytest.mark.parametrize(
    ("time_s", "digits", "text"),
    [
        (0, 1, "0.0 s"),
        (59.94, 1, "59.9 s"),
        (59.96, 1, "1:00.0"),
        (61.26, 2, "1:01.26"),
        (600, 0, "10:00"),
        (5, 0, "5 s"),
        (3599.99, 1, "1:00:00.0"),
    ],
)
def test_times_for_people(time_s: float, digits: int, text: str) -> None:
    assert format_time(time_s, digits) == text


# --- timelines ------------------------------------------------------------------------------


def test_time_lies_where_it_should() -> None:
    axis = TimeAxis(10, 210, 10.0)
    assert [axis.x_of(time) for time in (0, 2.5, 10, -1, 11)] == [10, 60, 210, 10, 210]


def test_a_timeline_shows_the_interval_on_the_clip() -> None:
    rgb = picture(220, 20)
    axis = TimeAxis(10, 210, 10.0)
    draw_timeline(rgb, axis, (6, 12), [Interval(2.5, 5.0)], color=RED, background=GREY)
    middle = rgb[9]
    assert (middle[61:109] == RED).all()  # 60..110, the ends being round
    assert (middle[12:59] == GREY).all()
    assert (middle[111:208] == GREY).all()
    assert not changed(rgb)[:6].any()
    assert not changed(rgb)[12:].any()
    assert not changed(rgb)[:, :10].any()
    assert not changed(rgb)[:, 210:].any()


@pytest.mark.parametrize("interval", [Interval(0, 0.001), Interval(5, 5), Interval(10, 10)])
def test_the_shortest_interval_shows(interval: Interval) -> None:
    rgb = picture(220, 20)
    axis = TimeAxis(10, 210, 10.0)
    draw_timeline(rgb, axis, (6, 12), [interval], color=RED, background=GREY)
    assert where(rgb, RED)[9].sum() == 2


@pytest.mark.parametrize("duration_s", [0.001, 0.5, 3.0, 9.6, 61.0, 700.0, 90_000.0])
@pytest.mark.parametrize("width", [10, 30, 250, 1200])
def test_tick_labels_stay_on_the_axis_and_apart(
    duration_s: float, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    spans = []

    def write(
        rgb: ByteArray, text: str, left_top: tuple[int, int], color: Color, face: Typeface
    ) -> int:
        spans.append((left_top[0], left_top[0] + face.width(text)))
        return spans[-1][1]

    monkeypatch.setattr(draw, "draw_text", write)
    face, axis = typeface_for("0", 12), TimeAxis(30, 30 + width, duration_s)
    draw_ticks(picture(width + 60, 40), axis, 5, RED, face)
    assert (len(spans) >= 1) == (width >= 30)  # no room at all on 10 pixels
    assert len(spans) <= 13
    assert all(left >= 30 and right <= 30 + width for left, right in spans)
    assert all(right < left for (_, right), (left, _) in pairwise(spans))


@pytest.mark.parametrize(
    ("duration_s", "width", "step"), [(9.6, 1200, 1.0), (9.6, 100, 10.0), (60.0, 1200, 5.0)]
)
def test_ticks_are_round_numbers(duration_s: float, width: int, step: float) -> None:
    assert TimeAxis(0, width, duration_s).tick_step_s(typeface_for("0", 12)) == step


def test_ticks_leave_a_place_free() -> None:
    face = typeface_for("0", 12)
    axis, place = TimeAxis(10, 410, 4.0), (100, 8, 150, 30)
    rgb = picture(420, 40)
    draw_ticks(rgb, axis, 5, RED, face, avoid=place)
    assert not changed(rgb)[inside(rgb, place)].any()
    assert changed(rgb)[8:, 200:220].any()  # the others are there


@pytest.mark.parametrize(("time_s", "columns"), [(0, [10, 11]), (5, [109, 110]), (10, [208, 209])])
def test_the_cursor_is_a_line_at_its_time(time_s: float, columns: list[int]) -> None:
    rgb = picture(220, 20)
    draw_cursor(rgb, TimeAxis(10, 210, 10.0), time_s, (4, 14), RED)
    expected = np.zeros((20, 220), np.bool_)
    expected[4:14, columns] = True
    np.testing.assert_array_equal(where(rgb, RED), expected)
