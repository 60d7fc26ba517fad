"""Numbers on objects: where they lie, that they stay, that none covers another."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from stvg.data.world import draw_clip, plan_clip
from stvg.errors import UsageError
from stvg.geometry.masks import encode_masks
from stvg.perception.painting import (
    NumberPainter,
    PaintStyle,
    boxes_in_frames,
    mask_anchor,
    masks_in_frames,
    paint,
)
from stvg.types import ByteArray, Track, Tracks, VideoMeta
from stvg.video.draw import Rect, draw_text
from stvg.video.fonts import typeface_for

SIZE = (640, 360)
STYLE = PaintStyle(height=PaintStyle.height_for_model(336))


def blank(size: tuple[int, int] = SIZE, frames: int = 1) -> ByteArray:
    return np.full((frames, size[1], size[0], 3), 90, np.uint8)


def ink(before: ByteArray, after: ByteArray) -> tuple[float, float, int, int]:
    """Middle of what changed, and its width and height."""
    ys, xs = np.nonzero((before != after).any(axis=-1))
    return (
        (xs.min() + xs.max() + 1) / 2,
        (ys.min() + ys.max() + 1) / 2,
        int(np.ptp(xs)) + 1,
        int(np.ptp(ys)) + 1,
    )


def shared(one: Rect, other: Rect) -> int:
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    return max(across, 0) * max(down, 0)


# ------------------------------------------------------------------------------------ size, place


@pytest.mark.parametrize(
    ("long_side", "digits"),
    [
        (336, 20),  # the paper's
        (672, 40),  # in proportion
        (64, 7),  # never below what can be read
        (28, 7),
    ],
)
def test_height_of_digits_follows_the_model(long_side: int, digits: int) -> None:
    style = PaintStyle(height=PaintStyle.height_for_model(long_side))
    face = style.face(long_side, long_side // 2)
    capital_height = -face.font.getbbox("8", anchor="ls")[1]
    assert capital_height == pytest.approx(digits, abs=1)


@pytest.mark.parametrize("size", [(640, 360), (360, 640), (336, 189), (1280, 720)])
def test_a_number_is_in_the_middle_of_its_object(size: tuple[int, int]) -> None:
    frames = blank(size)
    box = np.array([0.2 * size[0], 0.1 * size[1], 0.8 * size[0], 0.9 * size[1]])
    x, y, _, high = ink(frames[0], paint(frames, {8: [box]}, style=STYLE)[0])
    assert (x, y) == pytest.approx(((box[0] + box[2]) / 2, (box[1] + box[3]) / 2), abs=2)
    assert high == pytest.approx(20 / 336 * max(size), abs=2)


def test_digits_are_pure_red_and_the_frames_are_left_alone() -> None:
    frames = blank()
    painted = paint(frames, {1: [[100, 50, 500, 300]]})
    assert (painted[0].reshape(-1, 3) == (255, 0, 0)).all(axis=1).any()
    assert (frames == 90).all()


def test_all_ten_digits_differ_at_seven_pixels() -> None:
    frames = blank((64, 64))
    style = PaintStyle(height=PaintStyle.height_for_model(64))
    seen = {paint(frames, {n: [[0, 0, 64, 64]]}, style=style).tobytes() for n in range(10)}
    assert len(seen) == 10


def test_the_same_pixels_as_writing_the_number_by_hand() -> None:
    """What the embedded model is trained on: in the middle, with a rim, no moving about."""
    drawn = draw_clip(plan_clip(3, split="val", level="hard"), 128)
    style = PaintStyle(height=0.16 * 0.7, color=(255, 255, 255), rim=(0, 0, 0), moves=False)
    painted = paint(drawn.frames, dict(enumerate(drawn.boxes, 1)), style=style)
    face = typeface_for("0123456789", round(128 * 0.16))
    expected = drawn.frames.copy()
    for number, places in enumerate(drawn.boxes, 1):
        text = str(number)
        for frame, (x1, y1, x2, y2) in zip(expected, places, strict=True):
            if np.isfinite(x1):
                left = round((x1 + x2 - face.width(text)) / 2)
                top = round((y1 + y2) / 2) - face.line_height // 2
                for x, y in ((-1, 0), (1, 0), (0, -1), (0, 1)):
                    draw_text(frame, text, (left + x, top + y), (0, 0, 0), face)
                draw_text(frame, text, (left, top), (255, 255, 255), face)
    np.testing.assert_array_equal(painted, expected)


def test_on_the_edge_the_number_moves_into_the_picture() -> None:
    rects = NumberPainter(SIZE, STYLE).draw(blank()[0], {12: np.array([600.0, 0, 640, 360])})
    left, top, right, bottom = rects[12]
    assert left >= 0
    assert top >= 0
    assert right <= SIZE[0]
    assert bottom <= SIZE[1]


def test_nothing_is_painted_where_an_object_is_not_seen() -> None:
    frames = blank(frames=2)
    painted = paint(frames, {1: [[np.nan] * 4, [100, 50, 500, 300]]})
    assert (painted[0] == frames[0]).all()
    assert (painted[1] != frames[1]).any()


# ------------------------------------------------------------------------------------------ masks


@pytest.mark.parametrize(
    ("pixels", "anchor"),
    [
        (np.s_[10:20, 30:40], (34.5, 14.5)),  # the middle row of rows 10..19; of two, the upper
        (np.s_[0:1, 0:1], (0.5, 0.5)),
    ],
)
def test_anchor_of_a_block(pixels: tuple[slice, slice], anchor: tuple[float, float]) -> None:
    mask = np.zeros((1, 50, 100), bool)
    mask[0][pixels] = True
    assert mask_anchor(encode_masks(mask)[0], (100, 50)) == anchor


def test_the_anchor_is_that_of_the_pixels() -> None:
    """The definition written out on pixels, for masks of all kinds, full columns too."""
    dice = np.random.default_rng(0)
    for _ in range(500):
        height, width = dice.integers(1, 9, 2)
        pixels = dice.random((height, width)) < dice.choice([0.1, 0.5, 0.9, 1.0])
        rows = np.flatnonzero(pixels.any(axis=1))
        expected = None
        if len(rows):
            row = rows[np.abs(rows - (rows[0] + rows[-1]) / 2).argmin()]
            columns = np.flatnonzero(pixels[row])
            column = columns[np.abs(columns - columns.mean()).argmin()]
            expected = (column + 0.5, row + 0.5)
        assert mask_anchor(encode_masks(pixels[None])[0], (width, height)) == expected


def test_the_anchor_lies_on_the_mask_and_scales_with_the_picture() -> None:
    horseshoe = np.zeros((1, 50, 100), bool)
    horseshoe[0, 10:40, 20:30] = horseshoe[0, 10:40, 60:70] = horseshoe[0, 10:15, 20:70] = True
    x, y = mask_anchor(encode_masks(horseshoe)[0], (100, 50)) or (0, 0)
    assert horseshoe[0, int(y), int(x)]
    assert mask_anchor(encode_masks(horseshoe)[0], (200, 100)) == (2 * x, 2 * y)


def test_an_empty_mask_leaves_the_number_in_the_middle_of_the_box() -> None:
    empty = encode_masks(np.zeros((1, 36, 64), bool))[0]
    box = {4: [[100, 50, 500, 300]]}
    np.testing.assert_array_equal(paint(blank(), box, {4: [empty]}), paint(blank(), box))


def test_the_number_lies_on_the_mask() -> None:
    mask = np.zeros((1, SIZE[1], SIZE[0]), bool)
    mask[0, 50:300, 400:500] = True
    frames, box = blank(), {4: [[100, 50, 500, 300]]}
    x, y, *_ = ink(frames[0], paint(frames, box, {4: [encode_masks(mask)[0]]}, STYLE)[0])
    assert (x, y) == pytest.approx((450, 175), abs=2)


# ------------------------------------------------------------------------- several, small, moving


def test_two_objects_with_one_middle_do_not_share_pixels() -> None:
    boxes = {1: np.array([100.0, 50, 500, 300]), 2: np.array([150.0, 60, 450, 290])}
    rects = NumberPainter(SIZE, STYLE).draw(blank()[0], boxes)
    assert shared(rects[1], rects[2]) == 0
    x, y = (rects[2][0] + rects[2][2]) / 2, (rects[2][1] + rects[2][3]) / 2
    assert 150 <= x <= 450
    assert 60 <= y <= 290


def test_sixty_objects_are_all_painted_inside_the_picture() -> None:
    source = np.random.default_rng(0)
    corners = source.uniform(0, 250, (60, 2))
    boxes = {n: np.append(c, c + 100) for n, c in enumerate(corners, 1)}
    rects = NumberPainter(SIZE, STYLE).draw(blank()[0], boxes)
    assert sorted(rects) == list(range(1, 61))
    assert all(r[0] >= 0 and r[1] >= 0 and r[2] <= 640 and r[3] <= 360 for r in rects.values())


@pytest.mark.parametrize(
    "box",
    [
        [300, 200, 320, 215],  # smaller than the digits
        [300, 0, 320, 15],  # at the top: no room above
        [0, 0, 20, 15],  # in a corner
        [620, 345, 640, 360],
    ],
)
def test_a_number_larger_than_its_object_stands_beside_it(box: list[float]) -> None:
    (rect,) = NumberPainter(SIZE, STYLE).draw(blank()[0], {5: np.array(box, float)}).values()
    covered = shared(rect, (int(box[0]), int(box[1]), int(box[2]), int(box[3])))
    assert covered <= 2 * 20  # a line of pixels at most, from rounding
    assert rect[0] >= 0
    assert rect[1] >= 0
    assert rect[2] <= SIZE[0]
    assert rect[3] <= SIZE[1]


def test_a_picture_no_larger_than_the_number_is_painted_in_the_middle() -> None:
    style = PaintStyle(height=1.0)
    assert (paint(blank((16, 16)), {7: [[0, 0, 16, 16]]}, style=style) != 90).any()


def test_numbers_do_not_jump_while_their_objects_glide() -> None:
    """Two objects pass each other: from frame to frame no number moves much against its object."""
    painter = NumberPainter(SIZE, STYLE)
    jumps, before = 0, None
    for step in range(120):
        boxes = {1: np.array([100.0, 100, 300, 300]), 2: np.array([2.0 * step, 110, 180, 290])}
        boxes[2][2] = boxes[2][0] + 180
        rects = painter.draw(blank()[0], boxes)
        offset = rects[2][0] - (boxes[2][0] + boxes[2][2]) / 2, rects[2][1]
        jumps += before is not None and max(abs(np.subtract(offset, before))) > 3
        before = offset
        assert shared(rects[1], rects[2]) == 0
    assert 1 <= jumps <= 4  # aside, perhaps to the other side, and back


def test_painting_single_frames_is_painting_all_of_them() -> None:
    frames = np.random.default_rng(0).integers(0, 255, (5, 90, 160, 3), np.uint8)
    boxes = {n: np.tile([10.0 * n, 10, 80 + 10 * n, 80], (5, 1)) for n in (1, 2, 3)}
    painter = NumberPainter((160, 90), STYLE)
    alone = frames.copy()
    for t, picture in enumerate(alone):
        painter.draw(picture, {n: rows[t] for n, rows in boxes.items()})
    np.testing.assert_array_equal(paint(frames, boxes, style=STYLE), alone)


# ----------------------------------------------------------------------------------- from a table


VIDEO = VideoMeta("v.mp4", 100, 50, Fraction(10), 1.0, 10)


def test_masks_in_frames_finds_those_of_the_frames() -> None:
    rle = encode_masks(np.ones((1, 50, 100), bool))[0]
    track = Track(3, "dog", [2, 4], [[0, 0, 9, 9]] * 2, [1, 1], (rle, None))
    plain = Track(4, "cat", [2], [[0, 0, 9, 9]], [1])
    assert masks_in_frames(Tracks(VIDEO, (track, plain)), [4, 2, 3]) == {3: [None, rle, None]}


def test_boxes_in_frames_of_no_tracks() -> None:
    assert boxes_in_frames(Tracks(VIDEO, ()), [0, 1]) == {}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: paint(np.zeros((2, 9, 9), np.uint8), {}), r"expected frames \(T, H, W, 3\)"),
        (lambda: paint(blank(), {3: np.zeros((2, 4))}), "each of 1 frames .* of number 3"),
        (lambda: paint(blank(), {3: np.zeros((1, 4))}, {3: []}), "a mask or None for each of 1"),
        (lambda: PaintStyle(height=0), "height above 0"),
        (lambda: PaintStyle.height_for_model(5), "cannot read numbers"),
    ],
)
def test_wrong_use_is_refused(call: object, message: str) -> None:
    assert callable(call)
    with pytest.raises(UsageError, match=message):
        call()
