"""Boxes: hand-computed answers, pixel counting and pycocotools as references."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco

from stvg.errors import UsageError
from stvg.geometry.boxes import (
    box_area,
    box_iou,
    clip_boxes,
    convert_boxes,
    generalized_iou,
    interpolate_boxes,
    nms,
    paired_iou,
)

NAN = float("nan")
INF = float("inf")


@st.composite
def ordered_boxes(draw, count=None, whole=False):
    """Boxes (N, 4) with corners in order, some without area."""
    number = draw(st.integers(0, 6)) if count is None else count
    value = st.integers(0, 12) if whole else st.floats(-1000, 1000, width=32)
    corners = draw(hnp.arrays(np.float64, (number, 2, 2), elements=value))
    return np.sort(corners, axis=1).reshape(number, 4)


def pixels(box, size=12):
    """The unit squares of a size x size picture that lie in a box with whole coordinates."""
    picture = np.zeros((size, size), bool)
    x1, y1, x2, y2 = (int(value) for value in box)
    picture[y1:y2, x1:x2] = True
    return picture


@pytest.mark.parametrize(
    ("box", "area"),
    [
        ([0, 0, 4, 3], 12.0),  # four wide, three high
        ([-2, -2, 2, 2], 16.0),  # left of and above the frame
        ([1.5, 0, 2, 10], 5.0),  # fractions of pixels count
        ([5, 5, 5, 9], 0.0),  # no width
        ([9, 9, 3, 3], 0.0),  # both corners reversed: not 36
        ([9, 0, 3, 3], 0.0),  # one reversed: not negative
        ([0, 0, NAN, 3], NAN),  # no box
        ([0, 0, INF, 3], NAN),  # infinite is no box either
    ],
)
def test_area(box, area):
    np.testing.assert_array_equal(box_area([box]), [area])


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([0, 0, 10, 10], [0, 0, 10, 10], 1.0),  # equal
        ([0, 0, 10, 10], [5, 0, 15, 10], 50 / 150),  # half shared
        ([0, 0, 10, 10], [2, 2, 4, 4], 4 / 100),  # one inside the other
        ([0, 0, 10, 10], [10, 0, 20, 10], 0.0),  # share an edge only
        ([0, 0, 10, 10], [10, 10, 20, 20], 0.0),  # share a corner only
        ([0, 0, 10, 10], [50, 50, 60, 60], 0.0),  # apart in both directions
        ([0, 0, 10, 10], [5, 5, 5, 5], 0.0),  # a point inside
        ([3, 3, 3, 3], [3, 3, 3, 3], 0.0),  # two equal points: 0, not NaN and not 1
        ([3, 0, 3, 9], [3, 0, 3, 9], 0.0),  # two equal lines
        ([0, 0, 10, 10], [10, 10, 0, 0], 0.0),  # reversed corners are empty
        ([0, 0, 10, 10], [NAN, NAN, NAN, NAN], 0.0),  # missing box
        ([NAN, 0, 1, 1], [NAN, 0, 1, 1], 0.0),  # both missing
        ([-INF, -INF, INF, INF], [0, 0, 1, 1], 0.0),  # infinite box is no box
        ([-10, -10, 0, 0], [-5, -5, 0, 0], 0.25),  # negative coordinates
    ],
)
def test_iou(a, b, expected):
    assert paired_iou([a], [b]).tolist() == pytest.approx([expected])
    assert paired_iou([b], [a]).tolist() == pytest.approx([expected])
    assert box_iou([a], [b]).tolist() == [pytest.approx([expected])]


@pytest.mark.parametrize(
    ("a", "b", "shape"),
    [
        ([], [], (0, 0)),  # nothing with nothing
        ([], [[0, 0, 1, 1]], (0, 1)),  # nothing with something
        ([[0, 0, 1, 1]] * 3, [], (3, 0)),  # something with nothing
        (np.zeros((0, 4)), np.zeros((2, 4)), (0, 2)),  # empty arrays of the right width
    ],
)
def test_iou_of_empty_input_is_an_empty_matrix(a, b, shape):
    assert box_iou(a, b).shape == shape


def test_no_boxes_in_no_boxes_out():
    assert box_area([]).shape == (0,)
    assert paired_iou([], []).shape == (0,)
    assert generalized_iou([], []).shape == (0,)
    assert clip_boxes([], 10, 10).shape == (0, 4)
    assert convert_boxes([], "xyxy", "xywh").shape == (0, 4)
    assert nms([], [], 0.5).tolist() == []


@pytest.mark.parametrize(
    "bad",
    [
        [0, 0, 1, 1],  # one box without the outer list
        [[0, 0, 1]],  # three numbers
        [[0, 0, 1, 1, 0.9]],  # five numbers: a score came along
        [[[0, 0, 1, 1]]],  # one level too many
        [[0, 0, "x", 1]],  # text
        [[0, 0, 1, 1], [0, 0, 1]],  # ragged
    ],
)
@pytest.mark.parametrize("call", [box_area, lambda b: box_iou(b, b), lambda b: clip_boxes(b, 9, 9)])
def test_wrong_shapes_are_refused(bad, call):
    with pytest.raises(UsageError, match=r"boxes as an array \(N, 4\)"):
        call(bad)


@pytest.mark.parametrize("call", [paired_iou, generalized_iou])
def test_pairs_of_different_length_are_refused(call):
    with pytest.raises(UsageError, match="found 1 and 2"):
        call([[0, 0, 1, 1]], [[0, 0, 1, 1], [0, 0, 1, 1]])


@given(ordered_boxes(), ordered_boxes())
def test_iou_is_symmetric_in_range_and_like_pycocotools(a, b):
    matrix = box_iou(a, b)
    assert ((matrix >= 0) & (matrix <= 1)).all()
    np.testing.assert_array_equal(matrix, box_iou(b, a).T)
    if len(a) and len(b):
        as_xywh = [convert_boxes(each, "xyxy", "xywh") for each in (a, b)]
        with np.errstate(invalid="ignore"):
            reference = np.array(coco.iou(*as_xywh, [False] * len(b)))
        has_area = (box_area(a)[:, None] > 1e-6) | (box_area(b)[None] > 1e-6)
        np.testing.assert_allclose(matrix[has_area], reference[has_area], atol=1e-6)


@given(st.integers(0, 5).flatmap(lambda n: st.tuples(ordered_boxes(n), ordered_boxes(n))))
def test_paired_is_the_diagonal_of_the_matrix(pair):
    np.testing.assert_array_equal(paired_iou(*pair), np.diagonal(box_iou(*pair)))


@given(ordered_boxes())
def test_a_box_overlaps_itself_fully_when_it_has_area(boxes):
    np.testing.assert_array_equal(paired_iou(boxes, boxes), (box_area(boxes) > 0).astype(float))


@given(ordered_boxes(1, whole=True), ordered_boxes(1, whole=True))
def test_overlaps_are_shares_of_pixels(a, b):
    first, second = pixels(a[0]), pixels(b[0])
    union = (first | second).sum()
    expected = (first & second).sum() / union if union else 0.0
    assert paired_iou(a, b)[0] == pytest.approx(expected)
    hull = box_area([[*np.minimum(a[0, :2], b[0, :2]), *np.maximum(a[0, 2:], b[0, 2:])]])[0]
    penalty = (hull - union) / hull if hull else 0.0
    assert generalized_iou(a, b)[0] == pytest.approx(expected - penalty)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([0, 0, 2, 2], [0, 0, 2, 2], 1.0),  # equal
        ([0, 0, 1, 1], [1, 0, 2, 1], 0.0),  # side by side: the hull is full, the overlap is 0
        ([0, 0, 1, 1], [3, 0, 4, 1], -0.5),  # 2 of 4 squares of the hull are empty
        ([0, 0, 2, 2], [1, 1, 3, 3], 1 / 7 - 2 / 9),  # overlap 1 of 7, hull 9 with 2 empty
        ([0, 0, 4, 4], [1, 1, 2, 2], 1 / 16),  # inside: the hull adds nothing
        ([5, 5, 5, 5], [5, 5, 5, 5], 0.0),  # two equal points: no hull
        ([0, 0, 0, 0], [4, 4, 4, 4], -1.0),  # two points apart: an empty hull
        ([NAN] * 4, [0, 0, 1, 1], -1.0),  # missing: as bad as it gets
        ([0, 0, 1, 1], [0, 0, INF, 1], -1.0),  # infinite: no box
    ],
)
def test_generalized_iou(a, b, expected):
    assert generalized_iou([a], [b])[0] == pytest.approx(expected)
    assert generalized_iou([b], [a])[0] == pytest.approx(expected)


@given(st.integers(0, 5).flatmap(lambda n: st.tuples(ordered_boxes(n), ordered_boxes(n))))
def test_generalized_iou_lies_between_minus_one_and_iou(pair):
    values = generalized_iou(*pair)
    assert (values >= -1).all()
    assert (values <= paired_iou(*pair) + 1e-12).all()


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ([10, 20, 30, 40], [10, 20, 30, 40]),  # inside: unchanged
        ([-5, -5, 30, 40], [0, 0, 30, 40]),  # over the left top corner
        ([90, 40, 200, 90], [90, 40, 100, 50]),  # over the right bottom corner
        ([200, 10, 300, 20], [100, 10, 100, 20]),  # outside: no area, on the edge
        ([NAN, 0, 300, 20], [NAN, 0, 100, 20]),  # NaN stays
    ],
)
def test_clip_to_a_frame_of_100_by_50(box, expected):
    original = np.array([box], float)
    kept = original.copy()
    np.testing.assert_array_equal(clip_boxes(original, 100, 50), [expected])
    np.testing.assert_array_equal(original, kept)  # the argument is not changed


def test_clip_refuses_a_negative_frame():
    with pytest.raises(UsageError, match="-1x50"):
        clip_boxes([[0, 0, 1, 1]], -1, 50)


@pytest.mark.parametrize(
    ("source", "target", "given_box", "expected"),
    [
        ("xyxy", "xyxy", [10, 20, 30, 60], [10, 20, 30, 60]),
        ("xyxy", "xywh", [10, 20, 30, 60], [10, 20, 20, 40]),
        ("xyxy", "cxcywh", [10, 20, 30, 60], [20, 40, 20, 40]),
        ("xywh", "xyxy", [10, 20, 20, 40], [10, 20, 30, 60]),
        ("xywh", "cxcywh", [10, 20, 20, 40], [20, 40, 20, 40]),
        ("cxcywh", "xyxy", [20, 40, 20, 40], [10, 20, 30, 60]),
        ("cxcywh", "xywh", [20, 40, 20, 40], [10, 20, 20, 40]),
        ("xyxy", "xywh", [0, 0, NAN, NAN], [0, 0, NAN, NAN]),  # NaN stays NaN
    ],
)
def test_convert(source, target, given_box, expected):
    np.testing.assert_array_equal(convert_boxes([given_box], source, target), [expected])


@given(ordered_boxes(), st.sampled_from(["xywh", "cxcywh"]), st.sampled_from(["xywh", "cxcywh"]))
def test_convert_there_and_back(boxes, middle, other):
    there = convert_boxes(convert_boxes(boxes, "xyxy", middle), middle, other)
    np.testing.assert_allclose(convert_boxes(there, other, "xyxy"), boxes, atol=1e-9)


def test_convert_returns_a_copy():
    boxes = np.zeros((1, 4))
    convert_boxes(boxes, "xyxy", "xyxy")[0, 0] = 7
    assert boxes[0, 0] == 0


@pytest.mark.parametrize("formats", [("xyxy", "yxyx"), ("ltrb", "xyxy")])
def test_convert_refuses_unknown_formats(formats):
    with pytest.raises(UsageError, match="xyxy, xywh, cxcywh"):
        convert_boxes([[0, 0, 1, 1]], *formats)


@pytest.mark.parametrize(
    ("at_s", "left"),
    [
        (1.0, 0.0),  # at the first box
        (3.0, 8.0),  # at the last box
        (2.0, 4.0),  # half way
        (1.5, 2.0),  # a quarter of the way
        (0.0, 0.0),  # before: the first is repeated
        (99.0, 8.0),  # after: the last is repeated
    ],
)
def test_interpolate(at_s, left):
    found = interpolate_boxes([1, 3], [[0, 0, 4, 4], [8, 0, 12, 4]], [at_s])
    assert found.tolist() == [[left, 0.0, left + 4, 4.0]]


def test_interpolate_special_cases():
    one = [[1, 2, 3, 4]]
    assert interpolate_boxes([5], one, [0, 5, 9]).tolist() == one * 3  # a single box everywhere
    assert interpolate_boxes([5], one, []).shape == (0, 4)  # no time asked for
    assert interpolate_boxes([5], one, 5.0).shape == (1, 4)  # one time without a list
    assert np.isnan(interpolate_boxes([5], one, [NAN])).all()  # no time, no box


@pytest.mark.parametrize(
    ("times_s", "boxes", "message"),
    [
        ([], [], "N >= 1"),  # no box to start from
        ([0, 1], [[0, 0, 1, 1]], "N >= 1"),  # two times, one box
        ([1, 0], [[0, 0, 1, 1]] * 2, "increase"),  # times run backwards
        ([1, 1], [[0, 0, 1, 1]] * 2, "increase"),  # a time twice
    ],
)
def test_interpolate_refuses(times_s, boxes, message):
    with pytest.raises(UsageError, match=message):
        interpolate_boxes(times_s, boxes, [0.5])


@pytest.mark.parametrize(
    ("scores", "threshold", "kept"),
    [
        ([0.9, 0.8, 0.7], 0.5, [0, 2]),  # the second overlaps the first by 9/11
        ([0.8, 0.9, 0.7], 0.5, [1, 2]),  # now the second is the better one
        ([0.9, 0.8, 0.7], 9 / 11, [0, 1, 2]),  # exactly the threshold: both stay
        ([0.9, 0.8, 0.7], 1.0, [0, 1, 2]),  # nothing overlaps more than fully
        ([0.1, 0.1, 0.9], 0.5, [2, 0]),  # best first; equal scores in order of rows
    ],
)
def test_nms(scores, threshold, kept):
    boxes = [[0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60]]
    assert nms(boxes, scores, threshold).tolist() == kept


def test_nms_is_greedy_a_suppressed_box_suppresses_nothing():
    # 0 removes 1; 2 overlaps 1 (removed) but not 0, so it stays
    boxes = [[0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]]
    assert nms(boxes, [0.9, 0.8, 0.7], 0.3).tolist() == [0, 2]


@pytest.mark.parametrize("scores", [[0.5], [0.5, NAN]])
def test_nms_refuses_scores_that_do_not_fit(scores):
    with pytest.raises(UsageError, match="2 boxes needs as many scores"):
        nms([[0, 0, 1, 1]] * 2, scores, 0.5)


@given(ordered_boxes(6), st.floats(0, 1))
def test_nms_keeps_what_no_better_kept_box_overlaps(boxes, threshold):
    scores = np.linspace(1, 0, 6)
    kept = nms(boxes, scores, threshold).tolist()
    overlaps = box_iou(boxes, boxes)
    for row in range(6):
        beaten = any(overlaps[row, other] > threshold for other in kept if other < row)
        assert (row in kept) == (not beaten)
