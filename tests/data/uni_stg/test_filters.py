"""What is kept of a detector's boxes, at the borders of every limit."""

from __future__ import annotations

import numpy as np
import pytest

from stvg.data.uni_stg.filters import Limits, Sights, parts_between_jumps, refine
from stvg.data.uni_stg.rows import UnusableError


def sights(
    count: int, *, fps: float = 10.0, first: int = 0, scores: object = 1.0, counts: object = 1
) -> Sights:
    """A box of 10 x 10 in every frame."""
    return Sights(
        np.arange(first, first + count),
        np.tile([5.0, 5.0, 15.0, 15.0], (count, 1)),
        np.broadcast_to(np.asarray(scores, float), count).copy(),
        np.broadcast_to(np.asarray(counts, int), count).copy(),
        fps,
    )


def with_areas(*sides: float, fps: float = 1.0) -> Sights:
    """Boxes 10 wide and so high."""
    seen = sights(len(sides), fps=fps)
    seen.boxes[:, 3] = 5.0 + np.array(sides)
    return seen


def frames_kept(seen: Sights, **limits: float) -> list[int]:
    return refine(seen, Limits.of(limits)).frames.tolist()


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        (20, None),  # 2.0 s
        (19, "too short"),
        (1200, None),  # 120.0 s
        (1201, "too long"),
    ],
)
def test_length(frames: int, reason: str | None) -> None:
    if reason is None:
        assert frames_kept(sights(frames)) == list(range(frames))
    else:
        with pytest.raises(UnusableError, match=reason):
            refine(sights(frames), Limits())


def test_length_at_an_odd_frame_rate() -> None:
    # 60 frames at 30000/1001 a second last 2.002 s, 59 last 1.969 s
    assert len(refine(sights(60, fps=30000 / 1001), Limits())) == 60
    with pytest.raises(UnusableError, match="too short"):
        refine(sights(59, fps=30000 / 1001), Limits())


def test_interval_is_from_the_first_to_the_last_sure_box() -> None:
    scores = np.full(40, 0.9)
    scores[:5] = 0.29
    scores[30:] = 0.1
    scores[5] = 0.3  # sure enough
    scores[12] = 0.2  # a frame without a box in between
    assert frames_kept(sights(40, first=100, scores=scores)) == [
        *range(105, 112), *range(113, 130),
    ]  # fmt: skip
    with pytest.raises(UnusableError, match="subject not found"):
        refine(sights(40, scores=0.29), Limits())
    with pytest.raises(UnusableError, match="subject not found"):
        refine(sights(0), Limits())


def test_crowded_frames() -> None:
    counts = np.full(40, 3)  # three boxes are not too many
    assert len(refine(sights(40, counts=counts), Limits())) == 40
    counts[10:18] = 4  # 8 of 40 frames: 20 % is not too many
    assert frames_kept(sights(40, counts=counts)) == [*range(10), *range(18, 40)]
    counts[18] = 4
    with pytest.raises(UnusableError, match="too crowded"):
        refine(sights(40, counts=counts), Limits())


def test_a_factor_of_two_is_no_jump() -> None:
    assert [len(part) for part in parts_between_jumps(with_areas(10, 20, 10, 5), 2.0)] == [4]
    assert [len(part) for part in parts_between_jumps(with_areas(10, 20.1, 10.1), 2.0)] == [1, 2]
    assert [len(part) for part in parts_between_jumps(with_areas(10, 4.9), 2.0)] == [1, 1]


def test_the_longer_part_of_a_sample_that_jumps_is_kept() -> None:
    jumps = with_areas(10, 10, 30, 30, 30, 90)
    assert frames_kept(jumps) == [2, 3, 4]
    with pytest.raises(UnusableError, match="box jumps"):
        refine(with_areas(10, 30, 90), Limits())  # parts of a second
    assert frames_kept(with_areas(10, 30, 90), area_factor=3.0) == [0, 1, 2]


def test_a_jump_over_crowded_frames_counts() -> None:
    seen = with_areas(10, 10, 15, 15, 15, 30, 30)
    assert frames_kept(seen) == list(range(7))
    seen.boxes[2, 3] = 5 + 24  # grows in two steps, of which a crowded frame hides the middle
    seen.counts[2] = 9
    assert frames_kept(seen) == [0, 1, 3, 4, 5, 6]
    seen.boxes[3:, 3] = 5 + 21  # 10 to 21 beside each other
    assert frames_kept(seen) == [3, 4, 5, 6]
