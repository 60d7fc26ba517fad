"""The strip under a picture: sentences, facts, scores per cue, timelines, the current time.

A :class:`Panel` is laid out and drawn once for a video; for every frame it is copied and only the
cursor and the current time are added. It knows nothing of predictions or tracks, only of
:class:`Row`; :mod:`stvg.video.overlay` translates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stvg.types import ByteArray, Interval, VideoMeta

from .draw import (
    PAPER,
    Color,
    TimeAxis,
    draw_badge,
    draw_cursor,
    draw_sentence,
    draw_text,
    draw_ticks,
    draw_timeline,
    format_time,
)
from .fonts import Typeface, typeface_for

BACKGROUND: Color = (23, 25, 29)
TEXT: Color = (238, 240, 242)
MUTED: Color = (154, 160, 170)
LANE: Color = (58, 62, 70)
SIDE_BY_SIDE_FROM = 34  # text sizes of width from which facts stand beside the sentence
SENTENCE_LINES = 2  # what is longer is cut with …
MANY = 4  # rows up to which timelines are thick


@dataclass(frozen=True, slots=True)
class Row:
    """What the panel says about one query, or one track.

    Attributes:
        color: Of its badge, timeline and bars.
        intervals: The filled parts of its timeline.
        text: The sentence; without one the row is a bare timeline.
        facts: A few words beside the sentence: time, score, method.
        note: A muted line below the sentence: why nothing was found.
        badge: Its number when there are several rows.
        cues: Name and value of what speaks for the answer; bars show 0 to 1.
    """

    color: Color
    intervals: tuple[Interval, ...] = ()
    text: str = ""
    facts: str = ""
    note: str = ""
    badge: str = ""
    cues: tuple[tuple[str, float], ...] = ()


class Panel:
    """A strip of fixed size that belongs under the pictures of one video.

    Args:
        rows: What to show, from top to bottom; at least one.
        meta: The video; its length is the length of the timelines.
        width: Pixels.
        text_size: Pixels; sentences have this size, the rest is a little smaller.

    Attributes:
        height: Pixels, always even.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        meta: VideoMeta,
        width: int,
        text_size: int,
    ) -> None:
        letters = "".join(part for row in rows for part in (row.text, row.facts, row.note))
        letters += "".join(name for row in rows for name, _ in row.cues)
        self._face = typeface_for(letters, text_size)
        self._small = typeface_for(letters, max(min(text_size, 10), round(0.78 * text_size)))
        self._pad = max(6, round(0.7 * text_size))
        self._axis = TimeAxis(self._pad, width - self._pad, max(meta.duration_s, 1e-3))
        # The panel is drawn on a sheet that is long enough for anything and cut where it ends.
        sheet = np.empty((self._room_for(rows), width, 3), np.uint8)
        sheet[:] = BACKGROUND
        y = self._pad
        self._lane_height = max(3, round((0.4 if len(rows) <= MANY else 0.25) * text_size))
        self._lanes: list[tuple[int, int]] = []
        for row, after in zip(rows, [*rows[1:], Row(MUTED)], strict=True):
            y = self._draw_row(sheet, row, y) + (self._gap if after.text else self._gap // 2)
        self._ticks = self._lanes[-1][1] + max(2, text_size // 6)
        end = self._ticks + round(1.2 * self._small.line_height) + self._pad // 2
        self.height = end + end % 2
        self._background = sheet[: self.height].copy()

    def draw(self, rgb: ByteArray, times_s: Sequence[float]) -> None:
        """Draw the panel.

        Args:
            rgb: Where, (height, width, 3) uint8; all of it is overwritten.
            times_s: Times to mark on the timelines; a single one is the current time and is
                written under its mark.
        """
        rgb[:] = self._background
        reach = max(2, self._lane_height // 2)
        for time_s in times_s:
            for top, bottom in self._lanes:
                draw_cursor(rgb, self._axis, time_s, (top - reach, bottom + reach), PAPER)
        now = (0, 0, 0, 0)
        if len(times_s) == 1:
            center = (self._axis.x_of(times_s[0]), self._ticks + 0.6 * self._small.line_height)
            text = format_time(times_s[0], 2)
            now = draw_badge(rgb, text, center, PAPER, face=self._small) or now
        draw_ticks(rgb, self._axis, self._ticks, MUTED, self._small, avoid=now)

    @property
    def _gap(self) -> int:
        """Pixels between two rows."""
        return max(4, round(0.55 * self._face.size))

    def _room_for(self, rows: Sequence[Row]) -> int:
        """An upper bound of the height of everything."""
        cue_lines = sum(len(row.cues) for row in rows)
        lines = 4 + cue_lines + len(rows) * (SENTENCE_LINES + 5)
        return 4 * self._pad + lines * self._face.line_height

    def _draw_row(self, sheet: ByteArray, row: Row, y: int) -> int:
        """Draw one row from ``y`` on; returns where it ends."""
        if row.text:
            left = self._draw_badge(sheet, row, y)
            y = self._draw_words(sheet, row, (left, y))
            y = self._draw_cues(sheet, row, (left, y)) + round(0.4 * self._face.size)
        bottom = y + self._lane_height
        draw_timeline(
            sheet, self._axis, (y, bottom), row.intervals, color=row.color, background=LANE
        )
        self._lanes.append((y, bottom))
        return bottom

    def _draw_badge(self, sheet: ByteArray, row: Row, y: int) -> int:
        """Draw the number of the row, if it has one; returns where its words begin."""
        left, high = self._axis.left, self._face.line_height
        if not row.badge:
            return left
        middle = (left + self._small.line_height / 2, y + high / 2)
        badge = draw_badge(sheet, row.badge, middle, row.color, face=self._small)
        return (badge[2] if badge else left) + self._face.size // 2

    def _draw_words(self, sheet: ByteArray, row: Row, left_top: tuple[int, int]) -> int:
        """Draw sentence, facts and note; returns where they end."""
        face, small, right, (left, y) = self._face, self._small, self._axis.right, left_top
        beside = right - self._axis.left >= SIDE_BY_SIDE_FROM * face.size
        end = right
        if beside and row.facts:
            end = right - small.width(row.facts)
            draw_text(sheet, row.facts, (end, y + _drop(face, small)), MUTED, small)
            end -= face.size
        bottom = y + SENTENCE_LINES * face.line_height
        y = draw_sentence(sheet, row.text, (left, y, end, bottom), TEXT, face)
        for line, shown in ((row.facts, not beside), (row.note, True)):
            if line and shown:
                room = (left, y, right, y + 2 * small.line_height)
                y = draw_sentence(sheet, line, room, MUTED, small)
        return y

    def _draw_cues(self, sheet: ByteArray, row: Row, left_top: tuple[int, int]) -> int:
        """Draw a name, a bar and a number for every cue; returns where they end."""
        face, right, (left, y) = self._small, self._axis.right, left_top
        gap, length = face.size // 2, 3 * face.size
        x = left
        for name, value in row.cues:
            number = f"{value:.2f}"
            width = face.width(name) + face.width(number) + length + 2 * gap
            if x > left and x + width > right:
                x, y = left, y + face.line_height
            bar_left = draw_text(sheet, name, (x, y), MUTED, face) + gap
            middle, half = y + face.line_height // 2, max(2, face.size // 5)
            draw_timeline(
                sheet,
                TimeAxis(bar_left, bar_left + length, 1.0),
                (middle - half, middle + half),
                (Interval(0.0, min(value, 1.0)),) if value > 0 else (),
                color=row.color,
                background=LANE,
            )
            x = draw_text(sheet, number, (bar_left + length + gap, y), TEXT, face) + 3 * gap
        return y + face.line_height if row.cues else y


def _drop(face: Typeface, small: Typeface) -> int:
    """How much lower a smaller line begins to stand level with a larger one."""
    return (face.line_height - small.line_height) // 2 + (face.size - small.size) // 4
