"""The detector for drawn clips: outlines of hand-drawn masks, patches of drawn pictures."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from stvg.errors import UsageError
from stvg.perception.blobs import BlobDetector, name_outline
from stvg.perception.choose import load_detector
from stvg.types import BoolArray, ByteArray

PAPER = (236, 232, 224)


def mask(drawing: str) -> BoolArray:
    """A mask from lines of ``#`` and ``.``."""
    return np.array([[sign == "#" for sign in line] for line in drawing.split()])


def drawn(shape: str, size: tuple[int, int], *points: tuple[int, int]) -> BoolArray:
    """A mask drawn by Pillow, cut to its bounding box."""
    picture = Image.new("1", (size[0] + 4, size[1] + 4))
    pen = ImageDraw.Draw(picture)
    if shape == "ellipse":
        pen.ellipse((0, 0, size[0] - 1, size[1] - 1), fill=1)
    else:
        pen.polygon(points, fill=1)
    pixels = np.asarray(picture)
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    return pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


OUTLINES = [
    # mask, name
    (mask("#### #### #### ####"), "box"),
    (mask("######## ######## ########"), "box"),  # a long one
    (mask("#"), "box"),  # a single pixel fills its box
    (mask(".######. ######## ######## ######## ######## .######."), "box"),  # rounded corners
    (mask("...#... ..###.. ..###.. .#####. .#####. #######"), "triangle"),
    (mask("#...... ##..... ###.... ####... #####.. ######. #######"), "triangle"),  # right angle
    (mask("####### .#####. .#####. ..###.. ..###.. ...#..."), "triangle"),  # on its tip
    (drawn("polygon", (40, 40), (0, 0), (39, 20), (0, 39)), "triangle"),  # pointing right
    (mask("..###.. .#####. ####### ####### ####### .#####. ..###.."), "ball"),
    (drawn("ellipse", (40, 40)), "ball"),
    (drawn("ellipse", (40, 36)), "ball"),  # a little squeezed, as by rounding or motion
    (drawn("ellipse", (60, 30)), "thing"),  # an egg is no ball
    (drawn("polygon", (41, 41), (20, 0), (40, 20), (20, 40), (0, 20)), "thing"),  # a diamond
    (mask("###### ###### ##.... ##.... ##.... ##...."), "thing"),  # an L
    (mask("..##.. ..##.. ###### ###### ..##.. ..##.."), "thing"),  # a cross
    (mask("###### #....# #....# #....# #....# ######"), "thing"),  # a frame
]


@pytest.mark.parametrize(("patch", "expected"), OUTLINES)
def test_outlines(patch: BoolArray, expected: str) -> None:
    name, fit = name_outline(patch)
    assert name == expected
    assert 0.9 <= fit <= 1


def picture() -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("RGB", (320, 180), PAPER)
    return image, ImageDraw.Draw(image)


def frames(*images: Image.Image) -> ByteArray:
    return np.stack([np.asarray(image) for image in images])


def test_patches_of_a_drawn_picture() -> None:
    image, pen = picture()
    pen.rectangle((150, 20, 189, 59), fill=(40, 150, 70))
    pen.ellipse((20, 100, 60, 140), fill=(214, 40, 40))
    pen.polygon([(250, 140), (229, 171), (271, 171)], fill=(30, 60, 200))
    (found,) = load_detector("blobs").detect(frames(image))
    by_label = dict(zip(found.labels, found.boxes, strict=True))
    assert sorted(found.labels) == ["ball", "box", "triangle"]
    np.testing.assert_array_equal(by_label["box"], [150, 20, 190, 60])
    np.testing.assert_allclose(by_label["ball"], [20, 100, 61, 141], atol=1)
    np.testing.assert_allclose(by_label["triangle"], [229, 140, 272, 172], atol=2)
    assert (found.scores > 0.9).all()


def test_the_commonest_colour_is_the_background() -> None:
    """A dark picture with a bright box, and one whose box covers nearly half of it."""
    dark = Image.new("RGB", (100, 60), (12, 14, 20))
    ImageDraw.Draw(dark).rectangle((10, 10, 29, 29), fill=(250, 250, 250))
    large = Image.new("RGB", (100, 60), PAPER)
    ImageDraw.Draw(large).rectangle((5, 5, 59, 54), fill=(40, 70, 180))
    first, second = BlobDetector().detect(frames(dark, large))
    np.testing.assert_array_equal(first.boxes, [[10, 10, 30, 30]])
    np.testing.assert_array_equal(second.boxes, [[5, 5, 60, 55]])
    assert first.labels == second.labels == ("box",)


def test_what_is_too_small_or_too_faint_is_left_out() -> None:
    image, pen = picture()
    pen.rectangle((10, 10, 12, 12), fill=(0, 0, 0))  # 9 pixels
    pen.line((0, 50, 319, 50), fill=(0, 0, 0))  # a line of one pixel
    pen.rectangle((100, 100, 139, 139), fill=(228, 226, 216))  # nearly the colour of paper
    pen.rectangle((200, 100, 203, 103), fill=(0, 0, 0))  # 16 pixels, 12 without its corners
    (found,) = BlobDetector().detect(frames(image))
    np.testing.assert_array_equal(found.boxes, [[200, 100, 204, 104]])


def test_an_empty_picture_and_no_picture() -> None:
    (found,) = BlobDetector().detect(frames(picture()[0]))
    assert len(found) == 0
    assert found.boxes.shape == (0, 4)
    assert found.labels == ()
    assert BlobDetector().detect(np.zeros((0, 4, 4, 3), np.uint8)) == []


def test_noise_of_a_lossy_video_does_no_harm() -> None:
    image, pen = picture()
    pen.ellipse((20, 100, 60, 140), fill=(214, 40, 40))
    noise = np.random.default_rng(0).integers(-6, 7, (180, 320, 3))
    noisy = np.clip(np.asarray(image).astype(int) + noise, 0, 255).astype(np.uint8)
    (found,) = BlobDetector().detect(noisy[None])
    assert found.labels == ("ball",)
    np.testing.assert_allclose(found.boxes, [[20, 100, 61, 141]], atol=1)


def test_the_threshold_is_on_the_fit() -> None:
    image, pen = picture()
    pen.rectangle((150, 20, 189, 59), fill=(40, 150, 70))  # fits to 0.9975
    pen.polygon([(50, 50), (29, 81), (71, 81)], fill=(30, 60, 200))  # a little less
    (found,) = BlobDetector(threshold=0.99).detect(frames(image))
    assert found.labels == ("box",)


def test_a_single_picture_is_refused() -> None:
    with pytest.raises(UsageError, match=r"expected frames \(B, H, W, 3\), found \(180, 320, 3\)"):
        BlobDetector().detect(frames(picture()[0])[0])
