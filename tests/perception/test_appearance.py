"""Colours of objects: the words people use, on hand-drawn pictures."""

from __future__ import annotations

import numpy as np
import pytest

from stvg.perception.appearance import (
    COLOURS,
    PARTS,
    describe_box,
    lab_from_rgb,
    name_colours,
    similarity,
)
from stvg.types import ByteArray, FloatArray

RED, GREEN, BLUE = (200, 30, 30), (40, 140, 60), (40, 70, 180)
WHITE, BLACK, GREY = (250, 250, 250), (10, 10, 10), (128, 128, 128)

# What a person calls it who has eleven words; two words where people differ.
NAMES = [
    ((0, 0, 0), "black"),
    ((30, 30, 30), "black"),  # jet
    ((40, 42, 50), "black"),  # black jeans
    ((45, 30, 25), "black"),  # dark hair
    ((255, 255, 255), "white"),
    ((250, 250, 252), "white"),  # snow
    ((220, 225, 235), "white"),  # snow in the shade
    ((240, 238, 230), "white"),  # off-white
    ((255, 255, 240), "white"),  # ivory
    ((255, 253, 208), "white"),  # cream
    ((225, 198, 153), "white brown"),  # beige
    ((70, 70, 70), "grey"),
    ((128, 128, 128), "grey"),
    ((211, 211, 211), "grey"),  # light grey
    ((192, 192, 192), "grey"),  # silver
    ((54, 69, 79), "grey"),  # charcoal
    ((112, 128, 144), "grey"),  # slate
    ((85, 88, 90), "grey"),  # asphalt
    ((150, 148, 140), "grey"),  # concrete
    ((255, 0, 0), "red"),
    ((220, 20, 60), "red"),  # crimson
    ((178, 34, 34), "red"),  # brick
    ((200, 20, 30), "red"),  # fire hydrant
    ((170, 30, 40), "red"),  # stop sign
    ((255, 99, 71), "red"),  # tomato
    ((128, 0, 0), "red"),  # maroon
    ((128, 0, 32), "red"),  # burgundy
    ((114, 47, 55), "red"),  # wine
    ((75, 10, 15), "red"),  # oxblood
    ((255, 165, 0), "orange"),
    ((255, 103, 0), "orange"),  # traffic cone
    ((238, 103, 48), "orange"),  # basketball
    ((255, 127, 80), "orange"),  # coral
    ((255, 247, 0), "yellow"),  # lemon
    ((255, 225, 53), "yellow"),  # banana
    ((255, 216, 0), "yellow"),  # school bus
    ((225, 173, 1), "yellow"),  # mustard
    ((210, 180, 120), "yellow"),  # blond hair
    ((255, 255, 180), "yellow"),  # pale yellow
    ((204, 255, 0), "green yellow"),  # tennis ball
    ((0, 255, 0), "green"),
    ((86, 125, 70), "green"),  # grass
    ((34, 139, 34), "green"),  # forest
    ((0, 100, 0), "green"),  # dark green
    ((128, 128, 0), "green"),  # olive
    ((75, 83, 32), "green"),  # army green
    ((25, 70, 50), "green"),  # pine
    ((152, 255, 152), "green"),  # mint
    ((64, 224, 208), "green blue"),  # turquoise
    ((0, 0, 255), "blue"),
    ((0, 255, 255), "blue"),  # cyan
    ((135, 206, 235), "blue"),  # sky
    ((173, 216, 230), "blue"),  # light blue
    ((70, 105, 150), "blue"),  # denim
    ((110, 140, 175), "blue"),  # faded denim
    ((40, 60, 95), "blue"),  # dark denim
    ((0, 0, 128), "blue"),  # navy
    ((20, 30, 60), "blue"),  # dark navy
    ((65, 105, 225), "blue"),  # royal blue
    ((128, 0, 128), "purple"),
    ((75, 0, 130), "purple"),  # indigo
    ((143, 0, 255), "purple"),  # violet
    ((142, 69, 133), "purple"),  # plum
    ((97, 64, 81), "purple"),  # aubergine
    ((150, 120, 200), "purple"),  # lavender
    ((255, 192, 203), "pink"),
    ((255, 105, 180), "pink"),  # hot pink
    ((255, 20, 147), "pink"),  # deep pink
    ((255, 0, 255), "pink"),  # magenta
    ((250, 128, 114), "pink"),  # salmon
    ((230, 170, 155), "pink"),  # rosy skin
    ((198, 134, 96), "brown"),  # tanned skin
    ((150, 100, 75), "brown"),  # skin in the shade
    ((110, 70, 50), "brown"),  # dark skin
    ((123, 63, 0), "brown"),  # chocolate
    ((101, 67, 33), "brown"),  # leather
    ((150, 111, 70), "brown"),  # wood
    ((195, 176, 145), "brown"),  # khaki
    ((193, 154, 107), "brown"),  # camel
    ((160, 82, 45), "brown"),  # sienna
]


@pytest.mark.parametrize(("rgb", "expected"), NAMES)
def test_names_of_everyday_colours(rgb: tuple[int, int, int], expected: str) -> None:
    name = COLOURS[int(name_colours(np.array(rgb, np.uint8)))]
    assert name in expected.split()


def test_names_of_many_at_once() -> None:
    rgb = np.array([rgb for rgb, _ in NAMES], np.uint8)
    together = name_colours(rgb.reshape(2, -1, 3))
    assert together.shape == (2, len(NAMES) // 2)
    alone = [int(name_colours(colour)) for colour in rgb]
    assert together.ravel().tolist() == alone


@pytest.mark.parametrize(
    ("rgb", "lab"),
    [
        ((0, 0, 0), (0.0, 0.0, 0.0)),
        ((255, 255, 255), (100.0, 0.0, 0.0)),
        # reference values of the sRGB primaries, 2 degrees, D65 (brucelindbloom.com)
        ((255, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 255, 0), (87.73, -86.18, 83.18)),
        ((0, 0, 255), (32.30, 79.19, -107.86)),
        ((119, 119, 119), (50.03, 0.0, 0.0)),  # middle grey
    ],
)
def test_cielab(rgb: tuple[int, int, int], lab: tuple[float, float, float]) -> None:
    np.testing.assert_allclose(lab_from_rgb(np.array(rgb, np.uint8)), lab, atol=0.03)


# --------------------------------------------------------------------------- describing a box


def canvas(colour: tuple[int, int, int] = GREY) -> ByteArray:
    return np.full((100, 100, 3), colour, np.uint8)


def paint(picture: ByteArray, x1: int, y1: int, x2: int, y2: int, colour: object) -> ByteArray:
    picture[y1:y2, x1:x2] = colour
    return picture


def described(picture: ByteArray, *box: float) -> dict[str, dict[str, float]]:
    """Colour words with their shares for each part; parts outside the picture are empty."""
    shares = describe_box(picture, np.array(box, float))
    assert shares.shape == (len(PARTS), len(COLOURS)) == (3, 11)
    return {
        part: {name: float(share) for name, share in zip(COLOURS, row, strict=True) if share > 0}
        for part, row in zip(PARTS, shares, strict=True)
    }


def test_a_plain_object() -> None:
    picture = paint(canvas(), 20, 10, 60, 90, RED)
    assert described(picture, 20, 10, 60, 90) == {part: {"red": 1.0} for part in PARTS}


def test_upper_and_lower_half_apart() -> None:
    """A person in a red shirt and blue trousers."""
    picture = paint(canvas(), 20, 10, 60, 50, RED)
    paint(picture, 20, 50, 60, 90, BLUE)
    found = described(picture, 20, 10, 60, 90)
    assert found["upper"] == {"red": 1.0}
    assert found["lower"] == {"blue": 1.0}
    assert set(found["whole"]) == {"red", "blue"}
    assert found["whole"]["red"] == pytest.approx(0.5, abs=0.05)


def test_shares_are_shares_of_the_area() -> None:
    picture = paint(canvas(), 0, 0, 24, 48, RED)
    paint(picture, 24, 0, 48, 48, GREEN)
    assert described(picture, 0, 0, 48, 48) == {part: {"red": 0.5, "green": 0.5} for part in PARTS}


def test_the_rim_is_background() -> None:
    picture = paint(canvas(WHITE), 26, 16, 54, 86, GREEN)  # a rim of 4 to 6 px
    found = described(picture, 20, 10, 60, 90)
    assert found == {part: {"green": 1.0} for part in PARTS}


@pytest.mark.parametrize(
    "box",
    [
        (-40, 0, 40, 80),  # over the left edge
        (60, 20, 140, 100),  # over the right edge
        (10, 60, 50, 110),  # over the lower edge
        (-50, -50, 150, 150),  # larger than the picture
        (10.2, 10.2, 10.9, 10.9),  # within one pixel
        (30, 30, 30, 30),  # no area: the pixel it lies in
    ],
)
def test_what_is_visible_counts(box: tuple[float, ...]) -> None:
    assert described(canvas(GREEN), *box) == {part: {"green": 1.0} for part in PARTS}


def test_parts_outside_the_picture_are_zero() -> None:
    found = described(canvas(BLUE), 10, -80, 50, 20)  # only the feet are in the picture
    assert found == {"whole": {"blue": 1.0}, "upper": {}, "lower": {"blue": 1.0}}


@pytest.mark.parametrize(
    "box",
    [
        (200, 200, 240, 280),  # beyond
        (-60, 10, -10, 50),
        (100, 10, 140, 50),  # its left edge is the picture's right edge
        (np.nan, np.nan, np.nan, np.nan),  # no box
    ],
)
def test_boxes_outside_the_picture_are_zero(box: tuple[float, ...]) -> None:
    assert described(canvas(), *box) == {part: {} for part in PARTS}


# ------------------------------------------------------------------------------------ similarity


def shares(*rows: dict[str, float]) -> FloatArray:
    """A description (3, 11) from words; a single row counts for all parts."""
    table = np.zeros((3, 11))
    for place in range(3):
        for name, share in rows[place % len(rows)].items():
            table[place, COLOURS.index(name)] = share  # type: ignore[arg-type]
    return table


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (shares({"red": 1}), shares({"red": 1}), 1.0),  # the same
        (shares({"red": 1}), shares({"blue": 1}), 0.0),  # nothing in common
        (shares({"red": 0.7, "blue": 0.3}), shares({"red": 0.4, "grey": 0.6}), 0.4),
        (
            shares({"red": 1}),
            shares({"red": 1}, {"red": 1}, {"blue": 1}),
            2 / 3,
        ),  # one part differs
        (shares({}), shares({"red": 1}), 0.0),  # unseen
        (shares({}), shares({}), 0.0),  # nothing is known, nothing is alike
    ],
)
def test_similarity(first: FloatArray, second: FloatArray, expected: float) -> None:
    assert similarity(first, second) == pytest.approx(expected)
    assert similarity(second, first) == pytest.approx(expected)


def test_similarity_of_real_descriptions_stays_in_range() -> None:
    random = np.random.default_rng(0)
    pictures = random.integers(0, 256, (5, 20, 20, 3)).astype(np.uint8)
    tables = [describe_box(picture, np.array([2.0, 2, 18, 18])) for picture in pictures]
    for first in tables:
        np.testing.assert_allclose(first.sum(axis=1), 1)
        assert similarity(first, first) == pytest.approx(1)
        for second in tables:
            assert 0 <= similarity(first, second) <= 1
