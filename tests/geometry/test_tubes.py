"""Tubes: hand-computed overlaps, and the definitions written out frame by frame as reference."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stvg.errors import UsageError
from stvg.geometry.boxes import paired_iou
from stvg.geometry.tubes import densify, longest_gap, resample, siou, tiou, viou
from stvg.types import Interval, Tube

FULL = [0, 0, 10, 10]
HALF = [0, 0, 10, 5]  # half of FULL: IoU 0.5
AWAY = [50, 50, 60, 60]  # IoU 0 with FULL


def tube(start, end, boxes, times=None, **more):
    """A tube at 1 frame a second; by default one box at every whole second."""
    times = range(start, end) if times is None else times
    return Tube(Interval(start, end), list(times), boxes, **more)


@st.composite
def dense_tubes(draw):
    """Tubes at 1 frame a second somewhere in a video of 12 frames, boxes on a 4 x 4 grid."""
    start = draw(st.integers(0, 10))
    end = draw(st.integers(start + 1, 12))
    box = st.tuples(*[st.integers(0, 3)] * 2, *[st.integers(4, 6)] * 2)
    return tube(start, end, draw(st.lists(box, min_size=end - start, max_size=end - start)))


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (tube(0, 4, [FULL] * 4), tube(0, 4, [FULL] * 4), 1.0),  # equal
        (tube(0, 4, [FULL] * 4), tube(0, 4, [HALF] * 4), 0.5),  # same time, half the box
        (tube(0, 4, [FULL] * 4), tube(2, 6, [FULL] * 4), 2 / 6),  # 2 of 6 frames in both
        (tube(0, 4, [FULL] * 4), tube(2, 6, [HALF] * 4), 1 / 6),  # and half the box there
        (tube(0, 2, [FULL] * 2), tube(2, 4, [FULL] * 2), 0.0),  # one after the other
        (tube(0, 2, [FULL] * 2), tube(8, 9, [FULL]), 0.0),  # far apart
        (tube(0, 2, [FULL, FULL]), tube(0, 2, [FULL, AWAY]), 0.5),  # lost in the second frame
        (tube(0, 4, [FULL] * 4), tube(0, 1, [FULL]), 0.25),  # three of four frames missing: 0
    ],
)
def test_viou(a, b, expected):
    assert viou(a, b) == pytest.approx(expected)
    assert viou(b, a) == pytest.approx(expected)
    assert viou(a, b, np.arange(12)) == pytest.approx(expected)
    assert a.iou(b) == pytest.approx(expected)


def test_viou_on_a_grid_sees_only_the_grid():
    a, b = tube(0, 4, [FULL, FULL, FULL, FULL]), tube(0, 4, [FULL, AWAY, FULL, AWAY])
    assert viou(a, b) == 0.5
    assert viou(a, b, [0, 2]) == 1.0  # the frames where they agree
    assert viou(a, b, [1, 3]) == 0.0
    assert viou(a, b, [9]) == 0.0  # no grid time in either
    assert viou(a, b, []) == 0.0


def test_viou_interpolates_boxes_between_sparse_ones():
    sparse = tube(0, 3, [[0, 0, 10, 10], [20, 0, 30, 10]], times=[0, 2])
    moved = tube(0, 3, [[0, 0, 10, 10], [10, 0, 20, 10], [20, 0, 30, 10]])
    assert viou(sparse, moved, [0, 1, 2]) == 1.0


@given(dense_tubes(), dense_tubes())
def test_overlaps_are_the_definitions_written_out(a, b):
    """benchmarks: sum over frames in both / frames in either; mean over true frames."""
    boxes_a = dict(zip(a.times_s.tolist(), a.boxes.tolist(), strict=True))
    boxes_b = dict(zip(b.times_s.tolist(), b.boxes.tolist(), strict=True))
    total = sum(paired_iou([boxes_a[t]], [boxes_b[t]])[0] for t in boxes_a if t in boxes_b)
    assert viou(a, b, np.arange(12)) == pytest.approx(total / len(boxes_a.keys() | boxes_b.keys()))
    assert siou(a, b) == pytest.approx(total / len(boxes_b))
    shared = len(boxes_a.keys() & boxes_b.keys())
    assert tiou(a, b) == pytest.approx(shared / len(boxes_a.keys() | boxes_b.keys()))
    assert viou(a, b) == viou(b, a)
    assert 0 <= viou(a, b) <= tiou(a, b) + 1e-12


def test_tiou_ignores_boxes():
    assert tiou(tube(0, 4, [FULL] * 4), tube(2, 6, [AWAY] * 4)) == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("prediction", "expected"),
    [
        (tube(2, 6, [FULL] * 4), 1.0),  # exactly the truth
        (tube(0, 12, [FULL] * 12), 1.0),  # much too long: only the true frames count
        (tube(2, 4, [FULL] * 2), 0.5),  # half of the true frames missing
        (tube(2, 6, [HALF] * 4), 0.5),  # half the box
        (tube(8, 9, [FULL]), 0.0),  # at another time
    ],
)
def test_siou_is_the_mean_over_the_true_frames(prediction, expected):
    target = tube(2, 6, [FULL] * 4)
    assert siou(prediction, target) == pytest.approx(expected)
    assert siou(prediction, target, np.arange(12)) == pytest.approx(expected)


def test_siou_without_a_grid_time_in_the_target_is_zero():
    assert siou(tube(0, 1, [FULL]), tube(0, 1, [FULL]), [5]) == 0.0


def test_times_must_be_one_row():
    with pytest.raises(UsageError, match=r"times in seconds \(N,\)"):
        viou(tube(0, 1, [FULL]), tube(0, 1, [FULL]), [[0]])


def test_resample_marks_what_it_fills_in():
    masks = ({"size": [1, 1], "counts": "01"}, None)
    sparse = tube(0, 4, [[0, 0, 4, 4], [8, 0, 12, 4]], [1, 3], scores=[0.8, 0.4], masks=masks)
    filled = resample(sparse, [0, 1, 2, 3])
    assert filled.boxes[:, 0].tolist() == [0, 0, 4, 8]  # repeated, own, half way, own
    assert filled.interpolated.tolist() == [True, False, True, False]
    assert filled.scores.tolist() == pytest.approx([0.8, 0.8, 0.6, 0.4])
    assert filled.masks == (None, masks[0], None, None)
    assert filled.interval == sparse.interval


def test_resample_keeps_earlier_marks():
    marked = tube(0, 2, [FULL, HALF], interpolated=[False, True])
    assert resample(marked, [0, 1]).interpolated.tolist() == [False, True]


@pytest.mark.parametrize(
    ("time", "is_own"),
    [
        (1.0, True),
        (1.00009, True),  # lost on the way through text
        (0.99991, True),
        (1.001, False),  # another frame of a 1,000 fps video
        (0.999, False),
    ],
)
def test_resample_recognises_its_own_times(time, is_own):
    sparse = tube(0, 3, [[0, 0, 4, 4], [9, 0, 12, 4]], [1, 2])
    filled = resample(sparse, [time])
    assert filled.interpolated.tolist() == [not is_own]
    assert (filled.boxes[0].tolist() == [0, 0, 4, 4]) == (is_own or time < 1)


@pytest.mark.parametrize("times", [[], [1, 0], [0, 9]])
def test_resample_refuses_times_that_make_no_tube(times):
    with pytest.raises(UsageError):
        resample(tube(0, 2, [FULL] * 2), times)


@given(dense_tubes())
def test_resample_at_its_own_times_changes_nothing(one):
    again = resample(one, one.times_s)
    np.testing.assert_array_equal(again.boxes, one.boxes)
    np.testing.assert_array_equal(again.times_s, one.times_s)
    assert not again.interpolated.any()


def test_densify_gives_a_box_to_every_frame_of_the_interval():
    sparse = Tube(Interval(0.9, 3.5), [1, 3], [[0, 0, 4, 4], [4, 0, 8, 4]])
    dense = densify(sparse, np.arange(10))
    assert dense.times_s.tolist() == [1, 2, 3]
    assert dense.boxes[:, 0].tolist() == [0, 2, 4]
    assert dense.interpolated.tolist() == [False, True, False]


def test_densify_of_a_box_between_frames_fills_in_all_frames():
    between = Tube(Interval(0, 2), [0.5], [FULL])
    dense = densify(between, [0, 1, 2])
    assert dense.boxes.tolist() == [FULL, FULL]
    assert dense.interpolated.all()


def test_densify_refuses_an_interval_without_a_frame():
    with pytest.raises(UsageError, match=r"no frame is first shown in the interval \[0.2, 0.8\)"):
        densify(Tube(Interval(0.2, 0.8), [0.5], [FULL]), [0, 1, 2])


@pytest.mark.parametrize(
    ("interpolated", "gap"),
    [
        (None, (0, 1)),  # all seen: from one frame to the next, the first of equals
        ([0, 1, 1, 0], (0, 3)),  # two filled in, in the middle
        ([1, 1, 0, 0], (0, 2)),  # filled in at the start
        ([0, 0, 1, 1], (1, 4)),  # filled in to the end of the interval
        ([1, 1, 1, 1], (0, 4)),  # nothing seen
    ],
)
def test_longest_gap(interpolated, gap):
    assert longest_gap(tube(0, 4, [FULL] * 4, interpolated=interpolated)) == Interval(*gap)
