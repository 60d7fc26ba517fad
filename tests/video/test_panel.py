"""The strip under the picture: everything in its place, whatever there is to say."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from stvg.types import BoolArray, ByteArray, Interval, VideoMeta
from stvg.video.draw import PALETTE, PAPER, Color
from stvg.video.panel import BACKGROUND, LANE, MUTED, TEXT, Panel, Row

META = VideoMeta("dog.mp4", 640, 360, Fraction(10), 10.0, 100)
ORANGE, BLUE = PALETTE[:2]
LONG = "the man in the red jacket who drops the bag " * 9


def draw(panel: Panel, times_s: list[float], width: int = 640) -> ByteArray:
    """A panel as a picture."""
    rgb = np.zeros((panel.height, width, 3), np.uint8)
    panel.draw(rgb, times_s)
    return rgb


def where(rgb: ByteArray, color: Color) -> BoolArray:
    """Which pixels have exactly this colour, (H, W)."""
    return np.asarray((rgb == color).all(axis=2))


def test_the_interval_is_filled_on_the_timeline() -> None:
    """Padding is 0.7 * 14 = 10 pixels: 10 s lie on 620 of them, 2.5 s to 5 s on 165 to 320."""
    rgb = draw(Panel([Row(ORANGE, (Interval(2.5, 5.0),), "the dog")], META, 640, 14), [])
    columns = np.flatnonzero(where(rgb, ORANGE).any(axis=0))
    # The round ends are mixed with what lies below: their outermost pixels have another colour.
    assert (columns.min(), columns.max() + 1) == pytest.approx((165, 320), abs=1)
    lane = np.flatnonzero(where(rgb, LANE).any(axis=0))
    assert (lane.min(), lane.max() + 1) == pytest.approx((10, 630), abs=1)


def test_the_cursor_crosses_timelines_but_no_words() -> None:
    rows = [Row(ORANGE, (Interval(0, 10),), "the dog"), Row(BLUE, (Interval(0, 10),), "the cat")]
    panel = Panel(rows, META, 640, 14)
    still, moving = draw(panel, []), draw(panel, [5.0])
    added = where(moving, PAPER) & ~where(still, PAPER)
    rows_of = [np.flatnonzero(where(still, color)[:, 400]) for color in (ORANGE, BLUE)]
    for lane in rows_of:
        assert added[lane, 320].all()
    between = slice(rows_of[0].max() + 8, rows_of[1].min() - 8)
    assert not added[between].any()


def test_the_current_time_is_written_only_when_there_is_one() -> None:
    panel = Panel([Row(ORANGE, text="the dog")], META, 640, 14)
    lane = np.flatnonzero(where(draw(panel, []), LANE).any(axis=1)).max()
    below = [
        where(draw(panel, times), PAPER)[lane + 8 :].sum() for times in ([], [5.0], [2.0, 5.0])
    ]
    assert below[1] > 100  # a chip
    assert below[0] == below[2] == 0


def test_drawing_again_leaves_no_trace() -> None:
    panel = Panel([Row(ORANGE, text="the dog")], META, 640, 14)
    rgb = np.zeros((panel.height, 640, 3), np.uint8)
    panel.draw(rgb, [2.0])
    panel.draw(rgb, [7.0])
    np.testing.assert_array_equal(rgb, draw(panel, [7.0]))


@pytest.mark.parametrize("width", [96, 270, 640, 3840])
@pytest.mark.parametrize("size", [8, 12, 23, 68])
@pytest.mark.parametrize(
    "row",
    [
        Row(ORANGE, text="a"),
        Row(
            ORANGE, (Interval(0, 1),), LONG, "0.0 s to 1.0 s · score 0.83 · track_match", badge="12"
        ),
        Row(ORANGE, text=LONG, facts="not found", note=LONG),
        Row(ORANGE, text="a", cues=tuple((f"cue number {i}", i / 9) for i in range(10))),
        Row(ORANGE),
    ],
)
def test_everything_fits_at_any_size(row: Row, size: int, width: int) -> None:
    panel = Panel([row], META, width, size)
    rgb = draw(panel, [3.0], width)
    assert panel.height % 2 == 0
    background = where(rgb, BACKGROUND)
    assert background[:2].all()  # a free margin above, below
    assert background[-1].all()
    words = where(rgb, TEXT) | where(rgb, MUTED)
    assert not words[:, :3].any()  # and on the left


def test_long_sentences_end_after_two_lines() -> None:
    heights = [
        Panel([Row(ORANGE, text=text)], META, 640, 20).height for text in ("dog", LONG[:80], LONG)
    ]
    assert heights == [heights[0], heights[0] + 28, heights[0] + 28]  # a line is 1.4 * 20 high


def test_facts_move_below_the_sentence_on_a_narrow_picture() -> None:
    row, bare = (Row(ORANGE, text="dog", facts=facts) for facts in ("score 0.83", ""))
    wide = [Panel([r], META, 640, 14).height for r in (row, bare)]
    narrow = [Panel([r], META, 270, 14).height for r in (row, bare)]
    assert wide[0] == wide[1]
    assert narrow[0] > narrow[1]


@pytest.mark.parametrize(
    ("value", "share"), [(0.0, 0.0), (0.5, 0.5), (1.0, 1.0), (7.3, 1.0), (-2.0, 0.0)]
)
def test_cues_are_bars_from_zero_to_one(value: float, share: float) -> None:
    """A bar is three small text sizes long: 3 * round(0.78 * 20) = 48 pixels."""
    rgb = draw(Panel([Row(ORANGE, text="dog", cues=(("class", value),))], META, 640, 20), [])
    columns = where(rgb, ORANGE).any(axis=0).sum()
    assert columns == pytest.approx(48 * share, abs=2)  # the round ends


def test_bare_rows_are_timelines_close_together() -> None:
    rows = [Row(ORANGE, (Interval(0, 10),), "2 tracks"), Row(BLUE, (Interval(0, 10),))]
    rgb = draw(Panel(rows, META, 640, 20), [])
    first, second = (np.flatnonzero(where(rgb, color)[:, 300]) for color in (ORANGE, BLUE))
    assert len(first) == len(second) == 8  # 0.4 of the text size
    assert 0 < second.min() - first.max() < 20
