"""Numbers painted on objects: a video in which each object can be named by its number.

As STVG-R1 does it (arXiv:2602.11730): plain red digits in the middle of the object, nothing around
them. What the paper leaves open is ours: how large digits are follows from the size at which a
model will look (:meth:`PaintStyle.for_model`); where two numbers would lie on each other the later
one moves aside within its object; a number that would hide most of its object stands beside it. A
number that moved stays where it is until its usual place is free with some room to spare, so
numbers do not jump about.

The rules work on any frames at any size, as they come one after the other: all frames of the file,
or the few that a model is given.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stvg.errors import UsageError
from stvg.geometry.masks import mask_runs
from stvg.types import RLE, ByteArray, FloatArray, IntArray, Tracks
from stvg.video.draw import Color, Rect
from stvg.video.fonts import Typeface, typeface_for

RED: Color = (255, 0, 0)
WHITE: Color = (255, 255, 255)
DIGITS = "0123456789"
DIGIT_SHARE = 0.7
"""Height of a digit as share of the text size of the typeface."""

_PAPER_PX, _PAPER_SIDE = 20, 336  # the paper's digits: 20 pixels on pictures with this longer side
_LEGIBLE_PX = 7  # the fewest pixels in which all ten digits look different
_SMALL_PX = 100  # longer side of pictures in which digits need a rim
_HIDES, _SHOWS = 0.5, 0.35  # share of a box under its number: from here beside it, below back on it
_FREE = 0.25  # of a digit: room around its usual place that brings a moved number back
_STAYS = 0.5  # of a number: what it may cover of other objects more than elsewhere, and stay
_STEPS = (0.0, 0.6, -0.6, 1.2, -1.2)  # of the size of a number, tried down and across


@dataclass(frozen=True, slots=True)
class PaintStyle:
    """How numbers look.

    Attributes:
        height: Of a digit, as share of the picture's longer side, above 0 and at most 1.
        color: Of the digits.
        rim: Colour of a rim of one pixel around them, or None.
        moves: Whether numbers make way for each other and stand beside small objects; otherwise
            every number is in the middle of its object.

    Raises:
        UsageError: If the height is out of range.
    """

    height: float = _PAPER_PX / _PAPER_SIDE
    color: Color = RED
    rim: Color | None = None
    moves: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.height <= 1:
            raise UsageError(
                f"expected digits of a height above 0 and at most 1 (share of the longer side of "
                f"the picture), found {self.height}"
            )

    @staticmethod
    def height_for_model(long_side: int) -> float:
        """Height of digits that a model reads, for pictures it sees at this longer side in pixels.

        The paper's 20 of 336, and never below 7 pixels.

        Raises:
            UsageError: If the side is shorter than a digit.

        Example:
            >>> [round(PaintStyle.height_for_model(side) * side) for side in (64, 336, 672)]
            [7, 20, 40]
        """
        if long_side < _LEGIBLE_PX:
            raise UsageError(
                f"a model that looks at pictures of {long_side} pixels cannot read numbers on "
                f"them; expected at least {_LEGIBLE_PX}"
            )
        return max(_PAPER_PX / _PAPER_SIDE, _LEGIBLE_PX / long_side)

    @classmethod
    def for_model(cls, long_side: int) -> PaintStyle:
        """How numbers look in pictures that a model sees at this longer side in pixels.

        Small pictures get a white rim: plain red is hard to read in few pixels.

        Raises:
            UsageError: If the side is shorter than a digit.
        """
        rim = WHITE if long_side < _SMALL_PX else None
        return cls(height=cls.height_for_model(long_side), rim=rim)

    def face(self, width: int, height: int) -> Typeface:
        """The typeface of the digits on pictures of this size in pixels."""
        size = round(max(width, height) * self.height / DIGIT_SHARE)
        return typeface_for(DIGITS, max(size, 1))


def paint(
    frames: ByteArray,
    boxes: Mapping[int, ArrayLike],
    masks: Mapping[int, Sequence[RLE | None]] | None = None,
    style: PaintStyle | None = None,
) -> ByteArray:
    """Frames with the number of each object on it.

    Args:
        frames: RGB (T, H, W, 3) uint8, in order of time, any times.
        boxes: Number of an object -> its ``xyxy`` boxes in pixels of these frames, (T, 4), NaN
            where it is not seen.
        masks: Number of an object -> its mask in each frame, T of them, None where there is none.
            With a mask the number lies on the object's pixels. A mask may have any size; it is
            taken to cover the picture.
        style: How the numbers look; default the paper's.

    Returns:
        A painted copy.

    Raises:
        UsageError: If shapes do not agree.

    Example:
        >>> black = np.zeros((1, 90, 160, 3), np.uint8)
        >>> painted = paint(black, {7: [[20, 10, 140, 80]]})
        >>> ys, xs = np.nonzero(painted[0, :, :, 0] > 127)
        >>> bool(abs(xs.min() + xs.max() - 160) < 4 and abs(ys.min() + ys.max() - 90) < 4)
        True
    """
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8:
        raise UsageError(f"expected frames (T, H, W, 3) uint8, found {frames.shape} {frames.dtype}")
    rows = {number: np.asarray(values, np.float64) for number, values in boxes.items()}
    for number, values in rows.items():
        if values.shape != (len(frames), 4):
            raise UsageError(
                f"expected a box for each of {len(frames)} frames (T, 4) of number {number}, found "
                f"{values.shape}"
            )
    for number, found in (masks or {}).items():
        if len(found) != len(frames):
            raise UsageError(
                f"expected a mask or None for each of {len(frames)} frames of number {number}, "
                f"found {len(found)}"
            )
    painted = frames.copy()
    painter = NumberPainter((frames.shape[2], frames.shape[1]), style)
    for t, picture in enumerate(painted):
        shown = {n: values[t] for n, values in rows.items() if np.isfinite(values[t]).all()}
        here = {n: mask for n, found in (masks or {}).items() if (mask := found[t]) is not None}
        painter.draw(picture, shown, here)
    return painted


def boxes_in_frames(
    tracks: Tracks, frames: ArrayLike, size: tuple[int, int] | None = None
) -> dict[int, FloatArray]:
    """Boxes of tracks in some frames of their video, as :func:`paint` wants them.

    Args:
        tracks: The objects.
        frames: Numbers of frames of the video, (T,).
        size: Width and height of the pictures; default those of the video.

    Returns:
        Id of a track -> boxes (T, 4) in pixels of pictures of that size, NaN where it has none.

    Example:
        >>> from fractions import Fraction
        >>> from stvg.types import Track, VideoMeta
        >>> video = VideoMeta("dog.mp4", 100, 50, Fraction(30), 1.0, 30)
        >>> track = Track(1, "dog", [0, 2], [[0, 0, 8, 8], [10, 0, 20, 10]], [0.9, 0.8])
        >>> boxes_in_frames(Tracks(video, (track,)), [1, 2], size=(50, 25))[1].tolist()
        [[nan, nan, nan, nan], [5.0, 0.0, 10.0, 5.0]]
    """
    wanted = np.asarray(frames, np.int64)
    width, height = size or (tracks.video.width, tracks.video.height)
    scale = np.array([width / tracks.video.width, height / tracks.video.height] * 2)
    found = {}
    for track in tracks.tracks:
        rows = np.full((len(wanted), 4), np.nan)
        place = np.minimum(np.searchsorted(track.frames, wanted), len(track) - 1)
        there = track.frames[place] == wanted
        rows[there] = track.boxes[place[there]] * scale
        found[track.id] = rows
    return found


def masks_in_frames(tracks: Tracks, frames: ArrayLike) -> dict[int, list[RLE | None]]:
    """Masks of tracks in some frames of their video, as :func:`paint` wants them.

    Args:
        tracks: The objects.
        frames: Numbers of frames of the video, (T,).

    Returns:
        Id of a track -> a mask or None for each frame; without the tracks that have no masks.
    """
    wanted = np.asarray(frames, np.int64).tolist()
    found = {}
    for track in tracks.tracks:
        if track.masks is not None:
            by_frame = dict(zip(track.frames.tolist(), track.masks, strict=True))
            found[track.id] = [by_frame.get(frame) for frame in wanted]
    return found


@dataclass(slots=True, eq=False)
class NumberPainter:
    """Paints frames as they come, and remembers where it put each number.

    Attributes:
        size: Width and height of the frames.
        style: How the numbers look.
        face: Typeface of the digits.
    """

    size: tuple[int, int]
    style: PaintStyle | None = None
    face: Typeface = field(init=False)
    _kept: dict[int, _Place] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.style = self.style or PaintStyle()
        self.face = self.style.face(*self.size)

    def draw(
        self,
        rgb: ByteArray,
        boxes: Mapping[int, FloatArray],
        masks: Mapping[int, RLE] | None = None,
    ) -> dict[int, Rect]:
        """Paint one frame.

        Args:
            rgb: RGB (H, W, 3) uint8, drawn on.
            boxes: Number of each object in the frame -> its box (4,), pixels.
            masks: Number -> its mask, where there is one.

        Returns:
            Number -> the rectangle that its digits take.
        """
        assert self.style is not None
        placed: dict[int, Rect] = {}
        corners = {number: np.asarray(box).tolist() for number, box in boxes.items()}
        for number, box in corners.items():
            mask = (masks or {}).get(number)
            target = _Target.of(box, mask, self._number_size(number), self.size)
            if self.style.moves:
                others = [other for key, other in corners.items() if key != number]
                place = _choose(target, self._kept.get(number), list(placed.values()), others)
                self._kept[number] = place
                center = target.center(place)
            else:
                center = target.anchor
            placed[number] = target.rect(center)
            self._write(rgb, str(number), center)
        return placed

    def _number_size(self, number: int) -> tuple[int, int]:
        """Width and height in pixels of the digits of a number."""
        return _width(self.face, str(number)), round(DIGIT_SHARE * self.face.size)

    def _write(self, rgb: ByteArray, text: str, center: tuple[float, float]) -> None:
        """Write digits around a point, with their rim."""
        assert self.style is not None
        left = round(center[0] - _width(self.face, text) / 2)
        top = round(center[1]) - self.face.line_height // 2
        if self.style.rim is not None:
            for x, y in ((-1, 0), (1, 0), (0, -1), (0, 1)):
                _stamp(rgb, text, (left + x, top + y), self.style.rim, self.face)
        _stamp(rgb, text, (left, top), self.style.color, self.face)


def _stamp(
    rgb: ByteArray, text: str, left_top: tuple[int, int], color: Color, face: Typeface
) -> None:
    """The same pixels as :func:`stvg.video.draw.draw_text`, at a fraction of its time.

    Only the smallest rectangle around the ink is touched, by what is prepared once a text.
    """
    ink = _ink(face, text, color)
    left, top = left_top[0] + ink.left, left_top[1] + ink.top
    height, width = ink.adds.shape[:2]
    x, y = max(left, 0), max(top, 0)
    target = rgb[y : max(top + height, 0), x : max(left + width, 0)]  # cut off by the picture
    part = np.s_[y - top : y - top + target.shape[0], x - left : x - left + target.shape[1]]
    target[:] = (target * ink.shows[part] + ink.adds[part]) // 255


@dataclass(frozen=True, slots=True, eq=False)
class _Ink:
    """The smallest rectangle of a line of text that has all its ink, (H, W) pixels.

    Attributes:
        shows: How much of what was there shows through, (H, W, 1) of 255.
        adds: What the colour adds, 255 times, with a half for rounding, (H, W, 3).
        left: Where the rectangle begins in the line, pixels.
        top: The same from above.
    """

    shows: NDArray[np.uint16]
    adds: NDArray[np.uint16]
    left: int
    top: int


@lru_cache(maxsize=1024)
def _ink(face: Typeface, text: str, color: Color) -> _Ink:
    """The ink of a line of text in a colour."""
    mask = face.mask(text)
    rows, columns = np.nonzero(mask)
    left, top = int(columns.min()), int(rows.min())
    coverage = mask[top : rows.max() + 1, left : columns.max() + 1, None].astype(np.uint16)
    adds = np.array(color, np.uint16) * coverage + np.uint16(127)
    return _Ink(255 - coverage, adds, left, top)


@lru_cache(maxsize=1024)
def _width(face: Typeface, text: str) -> int:
    """Width of a line of text in pixels."""
    return face.width(text)


_Place = tuple[str, float, float]
"""``inside``, with the shift from the anchor across and down in sizes of the number; or
``beside``, with the side of the box: (0, -1) above, (0, 1) below, (1, 0) right, (-1, 0) left."""

_MIDDLE: _Place = ("inside", 0.0, 0.0)
_INSIDE: tuple[_Place, ...] = tuple(
    ("inside", x, y)
    for x, y in sorted(
        ((x, y) for x in _STEPS for y in _STEPS), key=lambda step: abs(step[0]) + abs(step[1])
    )
)
_BESIDE: tuple[_Place, ...] = (
    ("beside", 0.0, -1.0), ("beside", 0.0, 1.0), ("beside", 1.0, 0.0), ("beside", -1.0, 0.0),
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class _Target:
    """An object that a number belongs to, in one frame.

    Attributes:
        box: ``xyxy`` pixels.
        anchor: x and y of the number's usual middle.
        number: Width and height of the number.
        picture: Width and height of the picture.
    """

    box: Sequence[float]
    anchor: tuple[float, float]
    number: tuple[int, int]
    picture: tuple[int, int]

    @classmethod
    def of(
        cls,
        box: Sequence[float],
        mask: RLE | None,
        number: tuple[int, int],
        picture: tuple[int, int],
    ) -> _Target:
        """An object by its box and, where there is one, its mask."""
        anchor = None if mask is None else mask_anchor(mask, picture)
        middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        return cls(box, anchor or middle, number, picture)

    @property
    def hidden_share(self) -> float:
        """Share of the box that its number covers."""
        area = (self.box[2] - self.box[0]) * (self.box[3] - self.box[1])
        return self.number[0] * self.number[1] / max(area, 1e-9)

    def center(self, place: _Place) -> tuple[float, float]:
        """Middle of the number at a place, moved so that the number is in the picture."""
        kind, across, down = place
        (width, height), (x, y) = self.number, self.anchor
        if kind == "inside":
            x, y = x + across * width, y + down * height
        else:
            x = (self.box[0] + self.box[2]) / 2 + across * (self.box[2] - self.box[0] + width) / 2
            y = (self.box[1] + self.box[3]) / 2 + down * (self.box[3] - self.box[1] + height) / 2
        half_w, half_h = width / 2, height / 2
        return (
            min(max(x, half_w), max(self.picture[0] - half_w, half_w)),
            min(max(y, half_h), max(self.picture[1] - half_h, half_h)),
        )

    def rect(self, center: tuple[float, float], room: float = 0.0) -> Rect:
        """The rectangle of the digits around a point, with room around them in pixels."""
        half_w, half_h = self.number[0] / 2 + room, self.number[1] / 2 + room
        return (
            round(center[0] - half_w), round(center[1] - half_h),
            round(center[0] + half_w), round(center[1] + half_h),
        )  # fmt: skip

    def holds(self, center: tuple[float, float]) -> bool:
        """Whether a point lies in the box."""
        x, y = center
        return self.box[0] <= x <= self.box[2] and self.box[1] <= y <= self.box[3]


def mask_anchor(mask: RLE, picture: tuple[int, int]) -> tuple[float, float] | None:
    """Where the number of an object lies by its mask: on the row half-way down.

    The mean column of the object's pixels in that row, or the nearest of them where the mean falls
    into a gap; the nearest row that has pixels where that one has none.

    Args:
        mask: Of any size; it covers the picture.
        picture: Width and height of the picture in pixels.

    Returns:
        x and y in pixels of the picture, or None for an empty mask.

    Example:
        >>> from stvg.geometry.masks import encode_masks
        >>> legs = np.zeros((1, 5, 9), bool)
        >>> legs[0, :, 0:2] = legs[0, :, 6:8] = True
        >>> mask_anchor(encode_masks(legs)[0], (9, 5))
        (1.5, 2.5)
    """
    height, width = mask["size"]
    ends = np.cumsum(mask_runs(mask))  # of runs outside and inside in turns, column by column
    rows = _rows_inside(ends, height)
    if not len(rows):
        return None
    row = rows[np.abs(rows - (rows[0] + rows[-1]) / 2).argmin()]
    run = np.searchsorted(ends, np.arange(width) * height + row, side="right")  # of its pixels
    columns = np.flatnonzero(run % 2)
    column = columns[np.abs(columns - columns.mean()).argmin()]
    across, down = (column + 0.5) * picture[0] / width, (row + 0.5) * picture[1] / height
    return float(across), float(down)


def _rows_inside(ends: IntArray, height: int) -> IntArray:
    """The rows in which a mask has pixels, given where its runs end."""
    stops = ends[1::2]
    starts = ends[::2][: len(stops)]
    is_there = stops > starts
    starts, stops = starts[is_there], stops[is_there]
    if (stops - starts >= height).any():
        return np.arange(height)
    first, last = starts % height, (stops - 1) % height
    around = first > last  # from the lower end of a column to the upper end of the next
    steps = np.zeros(height + 1, np.int64)
    np.add.at(steps, first[~around], 1)
    np.add.at(steps, last[~around] + 1, -1)
    inside = np.cumsum(steps[:-1]) > 0
    if around.any():
        inside[first[around].min() :] = True
        inside[: last[around].max() + 1] = True
    return np.flatnonzero(inside)


def _choose(
    target: _Target, kept: _Place | None, numbers: list[Rect], others: Sequence[Sequence[float]]
) -> _Place:
    """Where a number goes, given where it was and which numbers and objects are there already."""
    was_beside = kept is not None and kept[0] == "beside"
    beside = target.hidden_share > (_SHOWS if was_beside else _HIDES)
    if not beside:
        room = 0.0 if kept in (None, _MIDDLE) else _FREE * target.number[1]
        if not _shared(target.rect(target.center(_MIDDLE), room), numbers):
            return _MIDDLE
    places = [*_places(target, beside)]

    def cost(place: _Place) -> float:
        rect = target.rect(target.center(place))
        on_others = _shared(rect, others) if beside else 0.0
        return 4 * _shared(rect, numbers) + on_others

    best = next((place for place in places if not cost(place)), None) or min(places, key=cost)
    if kept is not None and kept in places:
        stays = cost(kept) <= cost(best) + _STAYS * target.number[0] * target.number[1]
        if stays and not _shared(target.rect(target.center(kept)), numbers):
            return kept
    return best


def _places(target: _Target, beside: bool) -> Iterator[_Place]:
    """The places that a number may take, the preferred ones first."""
    if not beside:
        yield from (place for place in _INSIDE if target.holds(target.center(place)))
        return
    left, top, right, bottom = target.box
    for place in _BESIDE:
        x, y = target.center(place)
        half_w, half_h = target.number[0] / 2 - 1, target.number[1] / 2 - 1
        if x + half_w <= left or x - half_w >= right or y + half_h <= top or y - half_h >= bottom:
            yield place
    yield _MIDDLE  # where no side of the object has room


def _shared(rect: Rect, others: Iterable[Sequence[float]]) -> float:
    """Pixels of a rectangle that lie under others."""
    left, top, right, bottom = rect
    total = 0.0
    for x1, y1, x2, y2 in others:
        across, down = min(right, x2) - max(left, x1), min(bottom, y2) - max(top, y1)
        if across > 0 and down > 0:
            total += across * down
    return total
