"""Marks on pictures: boxes, labels, number badges, mask tints, timelines, sentences.

Every function draws on an RGB array (H, W, 3) uint8 **in place** and touches only the pixels it
needs, so a full-size frame is never copied. Lines lie on whole pixels; text and round corners are
smooth. Sizes follow the picture (:func:`text_size_for`, :func:`line_width_for`) unless given.
Nothing ever leaves the picture: boxes are cut at its border, labels and badges move inside.
Coordinates are pixels of the array that is drawn on; scaling is the caller's business.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from stvg.types import BoolArray, ByteArray, FloatArray, Interval

from .fonts import Typeface, typeface_for

Color = tuple[int, int, int]
Rect = tuple[int, int, int, int]
"""Left, top, right, bottom in whole pixels, right and bottom exclusive."""

PALETTE: tuple[Color, ...] = (
    # The colours of Okabe and Ito (2008), told apart with every kind of colour blindness, the
    # brightest first; their black is left out, it drowns in natural pictures.
    (230, 159, 0),  # orange
    (86, 180, 233),  # sky blue
    (0, 158, 115),  # green
    (213, 94, 0),  # vermilion
    (204, 121, 167),  # purple
    (240, 228, 66),  # yellow
    (0, 114, 178),  # blue
)
INK: Color = (20, 22, 26)
PAPER: Color = (255, 255, 255)
RIM_COVERAGE = 90  # of 255
MOST_TICKS = 12


def color_of(number: int) -> Color:
    """The colour of an id: the palette over and over, so ids also need their number shown."""
    return PALETTE[number % len(PALETTE)]


def text_color_on(background: Color) -> Color:
    """Dark or white, whichever has the higher contrast (WCAG 2) on ``background``.

    Example:
        >>> text_color_on((240, 228, 66)) == INK, text_color_on((0, 60, 120)) == PAPER
        (True, True)
    """
    level = _luminance(background) + 0.05
    on_dark, on_light = level / (_luminance(INK) + 0.05), (_luminance(PAPER) + 0.05) / level
    return INK if on_dark >= on_light else PAPER


def text_size_for(width: int, height: int) -> int:
    """Text size in pixels for a picture: 23 at 1280x720, 68 at 4K, at least 12 where it fits.

    On pictures less than 72 pixels high the text takes a sixth of the height, at least 8.
    """
    return max(8, min(12, height // 6), round(0.0235 * math.sqrt(width * height)))


def line_width_for(width: int, height: int) -> int:
    """Line width of boxes in pixels for a picture: 3 at 1280x720, 10 at 4K, 1 at 96x64."""
    return max(1, round(0.0036 * math.sqrt(width * height)), min(2, min(width, height) // 72))


def draw_box(
    rgb: ByteArray,
    box: Sequence[float] | FloatArray,
    color: Color,
    *,
    width: int | None = None,
    dashed: bool = False,
) -> None:
    """Draw the outline of a box: the outer edge of the line is the edge of the box.

    Args:
        rgb: Picture (H, W, 3) uint8, drawn on.
        box: ``xyxy`` pixels; rounded to whole ones, cut at the border of the picture. A box that
            lies outside is not drawn.
        color: Of the line.
        width: Of the line, pixels; default: from the size of the picture.
        dashed: Draw dashes, for a box that was filled in rather than seen. Every side begins and
            ends with a dash, so corners stay whole.
    """
    rect = _pixels(rgb, box)
    if rect is None:
        return
    x1, y1, x2, y2 = rect
    line = width or line_width_for(rgb.shape[1], rgb.shape[0])
    _draw_rim(rgb, rect, line)
    across = _dashes(x2 - x1, line) if dashed else [(0, x2 - x1)]
    down = _dashes(y2 - y1, line) if dashed else [(0, y2 - y1)]
    for start, end in across:
        rgb[y1 : min(y1 + line, y2), x1 + start : x1 + end] = color
        rgb[max(y2 - line, y1) : y2, x1 + start : x1 + end] = color
    for start, end in down:
        rgb[y1 + start : y1 + end, x1 : min(x1 + line, x2)] = color
        rgb[y1 + start : y1 + end, max(x2 - line, x1) : x2] = color


def tint_mask(rgb: ByteArray, mask: BoolArray, color: Color, *, alpha: float = 0.4) -> None:
    """Colour the pixels of a mask.

    Args:
        rgb: Picture (H, W, 3) uint8, drawn on.
        mask: Where, (H, W) bool.
        color: Mixed into the picture.
        alpha: Share of the colour, 0 (nothing) to 1 (flat colour).
    """
    mixed = rgb[mask] * (1 - alpha) + np.array(color) * alpha  # (pixels, 3)
    rgb[mask] = np.rint(mixed).astype(np.uint8)


def draw_label(
    rgb: ByteArray,
    text: str,
    box: Sequence[float] | FloatArray,
    color: Color,
    *,
    face: Typeface | None = None,
    avoid: Iterable[Rect] = (),
) -> Rect | None:
    """Write a label on a chip at the corner of a box: above it if there is room, else close by.

    Args:
        rgb: Picture (H, W, 3) uint8, drawn on.
        text: One line; cut with … when it is wider than the picture.
        box: What the label belongs to, ``xyxy`` pixels.
        color: Of the chip; the text is dark or white, whichever reads better.
        face: Typeface; default: one that has the letters, in a size for the picture.
        avoid: Places to leave free if possible: the labels drawn before.

    Returns:
        Where the chip lies, or None when the picture is too small for any text, or the box
        outside of it.
    """
    height, width = rgb.shape[:2]
    face = face or typeface_for(text, text_size_for(width, height))
    rect = _pixels(rgb, box)
    pad = max(2, round(0.35 * face.size))
    text = face.elide(text, width - 2 * pad)
    if rect is None or not text or face.line_height > height:
        return None
    chip = _best_place((face.width(text) + 2 * pad, face.line_height), rect, (width, height), avoid)
    _draw_chip(rgb, chip, text, color=color, face=face, radius=round(0.2 * face.size))
    return chip


def draw_badge(
    rgb: ByteArray,
    text: str,
    center: tuple[float, float],
    color: Color,
    *,
    face: Typeface | None = None,
) -> Rect | None:
    """Write a number (or a few letters) on a round badge.

    Args:
        rgb: Picture (H, W, 3) uint8, drawn on.
        text: The number.
        center: x and y of the middle of the badge, pixels; moved so that the badge is inside.
        color: Of the badge.
        face: Typeface; default: in a size for the picture.

    Returns:
        Where the badge lies, or None when the picture is too small for it.
    """
    height, width = rgb.shape[:2]
    face = face or typeface_for(text, text_size_for(width, height))
    across = max(face.line_height, face.width(text) + round(0.7 * face.size))
    if across > width or face.line_height > height:
        return None
    left = min(max(round(center[0] - across / 2), 0), width - across)
    top = min(max(round(center[1] - face.line_height / 2), 0), height - face.line_height)
    badge = (left, top, left + across, top + face.line_height)
    _draw_chip(rgb, badge, text, color=color, face=face, radius=face.line_height // 2)
    return badge


def draw_text(
    rgb: ByteArray, text: str, left_top: tuple[int, int], color: Color, face: Typeface
) -> int:
    """Write one line of text, cut at the border of the picture.

    Args:
        rgb: Picture (H, W, 3) uint8, drawn on.
        text: What to write.
        left_top: x and y where the line (``face.line_height`` high) begins.
        color: Of the letters.
        face: Typeface.

    Returns:
        x where the text ends.
    """
    mask = face.mask(text)
    _blend(rgb, left_top[0], left_top[1], mask, color)
    return left_top[0] + int(mask.shape[1])


def draw_sentence(rgb: ByteArray, text: str, place: Rect, color: Color, face: Typeface) -> int:
    """Write text in as many lines as the place has room for, cut with … when it is too long.

    Returns:
        y where the last line ends.
    """
    left, top, right, bottom = place
    for line in face.wrap(text, right - left, (bottom - top) // face.line_height):
        draw_text(rgb, line, (left, top), color, face)
        top += face.line_height
    return top


@dataclass(frozen=True, slots=True)
class TimeAxis:
    """Where time lies on a picture: a whole clip from ``left`` to ``right``.

    Attributes:
        left: x of 0 s, pixels.
        right: x of the end of the clip, pixels.
        duration_s: Length of the clip, above 0.
    """

    left: int
    right: int
    duration_s: float

    def x_of(self, time_s: float) -> int:
        """Pixel of a time; times outside the clip fall on its ends."""
        share = min(max(time_s / self.duration_s, 0.0), 1.0)
        return self.left + round(share * (self.right - self.left))

    def tick_step_s(self, face: Typeface) -> float:
        """Seconds between labelled ticks: a round number whose labels do not touch."""
        widest = 2 * face.width(format_time(self.duration_s))
        room = min(max(1, (self.right - self.left) // widest), MOST_TICKS)
        steps = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
        fitting = [step for step in steps if self.duration_s / step <= room]
        return float(fitting[0]) if fitting else self.duration_s


def format_time(time_s: float, digits: int = 1) -> str:
    """Seconds for people: ``4.2 s`` below a minute, ``1:04.2`` above.

    Example:
        >>> format_time(4.21), format_time(64.2), format_time(3661, 0)
        ('4.2 s', '1:04.2', '1:01:01')
    """
    time_s = round(time_s, digits)
    if time_s < 60:
        return f"{time_s:.{digits}f} s"
    minutes, seconds = divmod(time_s, 60)
    hours, minutes = divmod(int(minutes), 60)
    tail = f"{seconds:0{3 + digits if digits else 2}.{digits}f}"
    return f"{hours}:{minutes:02d}:{tail}" if hours else f"{minutes}:{tail}"


def draw_timeline(
    rgb: ByteArray,
    axis: TimeAxis,
    rows: tuple[int, int],
    intervals: Iterable[Interval],
    *,
    color: Color,
    background: Color,
) -> None:
    """Draw the whole clip as a bar and the intervals as filled parts of it.

    An interval is at least 2 pixels wide, so that even one frame shows.

    Args:
        rgb: Picture (H, W, 3) uint8, drawn on.
        axis: Where time lies.
        rows: y of the top and the bottom (exclusive) of the bar.
        intervals: What to fill.
        color: Of the intervals.
        background: Of the rest of the clip.
    """
    top, height = rows[0], rows[1] - rows[0]
    bar = _round_rect(axis.right - axis.left, height, height // 2)
    _blend(rgb, axis.left, top, bar, background)
    for interval in intervals:
        start = min(axis.x_of(interval.start_s), axis.right - 2)
        length = max(2, axis.x_of(interval.end_s) - start)
        part = _round_rect(length, height, min(height // 2, length // 3))
        _blend(rgb, start, top, part, color)


def draw_ticks(
    rgb: ByteArray,
    axis: TimeAxis,
    top: int,
    color: Color,
    face: Typeface,
    *,
    avoid: Rect = (0, 0, 0, 0),
) -> None:
    """Write round times under a timeline, each centred on its pixel, inside the axis and apart.

    Args:
        rgb: Picture (H, W, 3) uint8, drawn on.
        axis: Where time lies.
        top: y where the little marks begin; the times stand below them.
        color: Of marks and times.
        face: Typeface.
        avoid: A place to leave free: times that would touch it are left out.
    """
    step = axis.tick_step_s(face)
    mark, free = max(1, face.size // 10), axis.left
    for number in range(int(axis.duration_s / step + 1e-9) + 1):
        x = axis.x_of(number * step)
        rgb[top : top + 2 * mark, x : x + mark] = color
        text = format_time(number * step, 0 if step >= 1 else 1)
        width, y = face.width(text), top + 2 * mark
        left = min(max(x - width // 2, axis.left), axis.right - width)
        taken = _overlap((left, y, left + width, y + face.line_height), avoid)
        if left >= free and not taken:
            free = draw_text(rgb, text, (left, y), color, face) + face.size // 2


def draw_cursor(
    rgb: ByteArray, axis: TimeAxis, time_s: float, rows: tuple[int, int], color: Color
) -> None:
    """Draw the current time as a vertical line over ``rows`` (top and bottom, exclusive)."""
    width = max(2, line_width_for(rgb.shape[1], rgb.shape[0]))
    left = min(max(axis.x_of(time_s) - width // 2, axis.left), axis.right - width)
    rgb[rows[0] : rows[1], left : left + width] = color


def _pixels(rgb: ByteArray, box: Sequence[float] | FloatArray) -> Rect | None:
    """The box in whole pixels inside the picture, at least one wide and high, or None."""
    height, width = rgb.shape[:2]
    x1, y1, x2, y2 = (float(value) for value in box)
    if not all(np.isfinite((x1, y1, x2, y2))) or x2 < 0 or y2 < 0 or x1 > width or y1 > height:
        return None
    left, top = min(max(round(x1), 0), width - 1), min(max(round(y1), 0), height - 1)
    return left, top, max(min(round(x2), width), left + 1), max(min(round(y2), height), top + 1)


def _draw_rim(rgb: ByteArray, rect: Rect, line: int) -> None:
    """Darken a thin rim on both sides of the outline, so that it shows on any background."""
    x1, y1, x2, y2 = rect
    rim = line // 3
    out, across, down = line + 2 * rim, x2 - x1 + 2 * rim, y2 - y1 - 2 * (line + rim)
    if rim == 0 or down <= 0 or x2 - x1 <= 2 * out:
        return
    for top in (y1 - rim, y2 - line - rim):
        _blend(rgb, x1 - rim, top, np.full((out, across), RIM_COVERAGE, np.uint8), INK)
    for left in (x1 - rim, x2 - line - rim):
        side = np.full((down, out), RIM_COVERAGE, np.uint8)
        _blend(rgb, left, y1 + line + rim, side, INK)


def _dashes(length: int, line: int) -> list[tuple[int, int]]:
    """Dashes of about four line widths, evenly spaced, the first and last at the ends."""
    dash = min(max(4 * line, 3), length)
    gaps = max(1, round((length - dash) / (1.75 * dash))) if length > 1.5 * dash else 0
    starts = np.linspace(0, length - dash, gaps + 1).round().astype(int)
    return [(int(start), int(start) + dash) for start in starts]


def _best_place(
    size: tuple[int, int], box: Rect, frame: tuple[int, int], avoid: Iterable[Rect]
) -> Rect:
    """Where a chip of ``size`` goes: the first free place around the box, else the freest."""
    (width, height), (x1, y1, x2, y2) = size, box
    corners = (
        *((x1, y1 - height), (x2 - width, y1 - height)),  # on top of the box
        *((x1, y2), (x2 - width, y2)),  # below it
        *((x1, y1), (x2 - width, y1), (x1, y2 - height), (x2 - width, y2 - height)),  # inside
        *((x2, y1), (x1 - width, y1), (x2, y2 - height), (x1 - width, y2 - height)),  # beside
    )
    taken = list(avoid)
    best, least = None, 0.0
    for x, y in corners:
        left = min(max(x, 0), frame[0] - width)
        top = min(max(y, 0), frame[1] - height)
        place = (left, top, left + width, top + height)
        # A chip that had to move inwards covers the object: as bad as half a chip of overlap.
        moved = 0.5 * width * height if top != y else 0.0
        cost = sum(_overlap(place, other) for other in taken) + moved
        if best is None or cost < least:
            best, least = place, cost
    assert best is not None
    return best


def _overlap(one: Rect, other: Rect) -> int:
    """Pixels that two rectangles share."""
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    return max(across, 0) * max(down, 0)


def _draw_chip(
    rgb: ByteArray, place: Rect, text: str, *, color: Color, face: Typeface, radius: int
) -> None:
    """A filled rectangle with round corners and a text in its middle."""
    left, top, right, bottom = place
    _blend(rgb, left, top, _round_rect(right - left, bottom - top, radius), color)
    start = left + (right - left - face.width(text)) // 2
    draw_text(rgb, text, (start, top), text_color_on(color), face)


@lru_cache(maxsize=512)
def _round_rect(width: int, height: int, radius: int) -> ByteArray:
    """A filled rectangle with smooth round corners as coverage, (height, width) uint8."""
    if radius <= 0 or width < 3 or height < 3:
        return np.full((max(height, 0), max(width, 0)), 255, np.uint8)
    finer = 4  # drawn four times as large and averaged: that is what makes the corners smooth
    image = Image.new("L", (finer * width, finer * height))
    corner = (finer * width - 1, finer * height - 1)
    ImageDraw.Draw(image).rounded_rectangle((0, 0, *corner), finer * radius, 255)
    return np.asarray(image.resize((width, height), Image.Resampling.BOX))


def _blend(rgb: ByteArray, left: int, top: int, coverage: ByteArray, color: Color) -> None:
    """Mix a colour into the picture where ``coverage`` (h, w) says, 255 being the colour alone."""
    height, width = rgb.shape[:2]
    x1, y1 = max(left, 0), max(top, 0)
    x2, y2 = min(left + coverage.shape[1], width), min(top + coverage.shape[0], height)
    if x1 >= x2 or y1 >= y2:
        return
    share = coverage[y1 - top : y2 - top, x1 - left : x2 - left, None].astype(np.uint16)
    region = rgb[y1:y2, x1:x2]  # (h, w, 3)
    mixed = region * (255 - share) + np.array(color, np.uint16) * share
    rgb[y1:y2, x1:x2] = (mixed + 127) // 255


def _luminance(color: Color) -> float:
    """Relative luminance of an sRGB colour, 0 (black) to 1 (white); WCAG 2.1."""
    parts = [value / 255 for value in color]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
