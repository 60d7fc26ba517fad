"""Tokens to places, boxes and times of the original video, and back."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stvg.backbones.preprocess import PatchLayout, patchify
from stvg.backbones.token_grid import TokenGrid
from stvg.errors import UsageError
from stvg.types import Clip, Interval, VideoMeta

QWEN = PatchLayout()


def clip_of(size: tuple[int, int], indices: list[int], *, frames: int = 40) -> Clip:
    meta = VideoMeta("dog.mp4", 1280, 720, Fraction(10), frames / 10, frames)
    width, height = size
    pictures = np.zeros((len(indices), height, width, 3), np.uint8)
    return Clip(meta, pictures, meta.times_s[indices], np.array(indices))


@st.composite
def grids(draw: st.DrawFn) -> TokenGrid:
    gaps = draw(st.lists(st.floats(0.01, 5.0), min_size=1, max_size=12))
    times = draw(st.floats(0, 100)) + np.cumsum(gaps)
    layout = PatchLayout(draw(st.sampled_from([8, 14, 16])), 2, draw(st.sampled_from([1, 2, 3])))
    return TokenGrid(
        draw(st.integers(1, 9)),
        draw(st.integers(1, 9)),
        layout,
        draw(st.integers(1, 4000)),
        draw(st.integers(1, 4000)),
        times,
        float(times[-1]) + draw(st.floats(0.01, 5.0)),
    )


@settings(max_examples=60, deadline=None)
@given(grids())
def test_numbers_and_places_are_inverse(grid: TokenGrid) -> None:
    tokens = np.arange(len(grid))
    np.testing.assert_array_equal(grid.tokens(*grid.place(tokens)), tokens)
    steps, rows, columns = grid.place(tokens)
    boxes = grid.boxes(tokens)
    np.testing.assert_allclose(boxes[0, :2], 0)
    np.testing.assert_allclose(boxes[-1, 2:], [grid.width, grid.height])
    middles = [sum((span.start_s, span.end_s)) / 2 for span in map(grid.step_interval, steps)]
    found = grid.token_at(middles, boxes[:, [0, 2]].mean(axis=1), boxes[:, [1, 3]].mean(axis=1))
    np.testing.assert_array_equal(found, tokens)
    assert (rows.max(), columns.max()) == (grid.rows - 1, grid.columns - 1)


@settings(max_examples=60, deadline=None)
@given(grids(), st.lists(st.floats(0, 1), min_size=4, max_size=4), st.data())
def test_original_to_model_and_back(
    grid: TokenGrid, parts: list[float], data: st.DataObject
) -> None:
    box = np.array(parts) * np.tile([grid.width, grid.height], 2)
    np.testing.assert_allclose(grid.to_original(grid.to_model(box)), box, rtol=1e-12, atol=1e-9)
    start, end = float(grid.frame_times_s[0]), grid.end_s
    time = data.draw(st.floats(start, end))
    assert float(grid.to_seconds(grid.to_steps(time))) == pytest.approx(time, abs=1e-9)
    position = data.draw(st.floats(0, grid.steps))
    assert float(grid.to_steps(grid.to_seconds(position))) == pytest.approx(position, abs=1e-7)


def test_a_clip_by_hand() -> None:
    """Frames 5, 15, 25, 35 of 40 at 10 a second: times .5, 1.5, 2.5, 3.5, two steps."""
    grid = TokenGrid.of(clip_of((448, 252), [5, 15, 25, 35]), QWEN)
    assert (grid.steps, grid.rows, grid.columns, len(grid)) == (2, 9, 16, 288)
    assert grid.grid_thw == (2, 18, 32)
    assert grid.seconds_per_step == pytest.approx(2.0)
    assert grid.step_starts_s.tolist() == [0.5, 2.5]
    assert grid.step_interval(0) == Interval(0.5, 2.5)
    assert grid.end_s == 4.0  # 3.5 + 1.0 would be past the end of the video
    assert grid.boxes([0, 287]).tolist() == [[0, 0, 80, 80], [1200, 640, 1280, 720]]
    assert grid.to_model([640, 360, 1280, 720]).tolist() == [224, 126, 448, 252]
    # before the first frame; within; a hair before a step; past the end
    assert grid.step_at([0.0, 2.4, 2.49995, 9.0]).tolist() == [0, 0, 1, 1]
    assert grid.to_seconds([-1, 0.5, 1.5, 2, 7]).tolist() == [0.5, 1.5, 3.25, 4.0, 4.0]
    assert grid.token_at(3.0, 1279.9, 0.0) == 144 + 15
    assert grid.token_at(0.0, 5000, -3) == 15  # outside the frame: the nearest


def test_the_grid_is_that_of_the_pixels() -> None:
    for indices in ([0], [0, 9, 18], [0, 9, 18, 27]):
        clip = clip_of((84, 56), indices)
        assert TokenGrid.of(clip, QWEN).grid_thw == patchify(clip.frames, QWEN)[1]


@pytest.mark.parametrize(
    ("indices", "end_s"),
    [
        ([0], 0.1),  # one frame: until the source shows the next
        ([0, 10, 20], 3.0),  # a stretch: the last stands as long as the others
        ([0, 39], 4.0),  # the end of the video
    ],
)
def test_where_the_last_step_ends(indices: list[int], end_s: float) -> None:
    assert TokenGrid.of(clip_of((28, 28), indices), QWEN).end_s == pytest.approx(end_s)


def test_a_last_frame_without_duration_still_has_a_step() -> None:
    meta = VideoMeta("dog.mp4", 28, 28, Fraction(10), 0.0, 1)
    clip = Clip(meta, np.zeros((1, 28, 28, 3), np.uint8), np.zeros(1), np.zeros(1, np.int64))
    assert TokenGrid.of(clip, QWEN).step_interval(0).duration_s > 0


def test_seconds_per_step_of_one_frame_is_one() -> None:
    assert TokenGrid.of(clip_of((28, 28), [7]), QWEN).seconds_per_step == 1.0


@pytest.mark.parametrize(
    ("times", "end_s", "words"),
    [([], 1.0, "needs tokens"), ([0.0, 0.0], 1.0, "strictly"), ([0.0, 1.0], 1.0, "strictly")],
    ids=["no frames", "same time twice", "ends with its last frame"],
)
def test_impossible_grids_are_refused(times: list[float], end_s: float, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        TokenGrid(1, 1, QWEN, 10, 10, np.array(times), end_s)


def test_places_outside_are_refused() -> None:
    grid = TokenGrid.of(clip_of((84, 56), [0, 9]), QWEN)
    for call in (
        lambda: grid.place([6]),
        lambda: grid.place([-1]),
        lambda: grid.tokens(0, 2, 0),
        lambda: grid.step_interval(1),
    ):
        with pytest.raises(UsageError, match=r"has \w+s \[0, "):
            call()
    with pytest.raises(UsageError, match="multiples of 28"):
        TokenGrid.of(clip_of((80, 56), [0]), QWEN)
