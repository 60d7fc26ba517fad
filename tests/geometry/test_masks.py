"""Masks: hand-written run lengths, and plain pixel arithmetic as reference."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from stvg.errors import UsageError
from stvg.geometry.masks import (
    check_rle,
    decode_masks,
    encode_masks,
    mask_area,
    mask_boxes,
    mask_iou,
    paired_mask_iou,
)

EMPTY = {"size": [2, 2], "counts": "4"}  # one run of four pixels that are off
FULL = {"size": [2, 2], "counts": "04"}  # none off, four on
RIGHT = {"size": [2, 2], "counts": "22"}  # column by column: two off, two on

stacks = hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=9).flatmap(
    lambda shape: st.tuples(hnp.arrays(np.bool_, shape), hnp.arrays(np.bool_, shape))
)


@pytest.mark.parametrize(
    ("rle", "pixels", "area", "box"),
    [
        (FULL, [[1, 1], [1, 1]], 4, [0, 0, 2, 2]),  # right and bottom edge exclusive
        (RIGHT, [[0, 1], [0, 1]], 2, [1, 0, 2, 2]),  # the right column
        ({"size": [2, 2], "counts": "31"}, [[0, 0], [0, 1]], 1, [1, 1, 2, 2]),  # one pixel
        (EMPTY, [[0, 0], [0, 0]], 0, [np.nan] * 4),  # no pixel, no box
        ({"size": [1, 3], "counts": "111"}, [[0, 1, 0]], 1, [1, 0, 2, 1]),  # one row
    ],
)
def test_by_hand(rle, pixels, area, box):
    assert decode_masks([rle])[0].astype(int).tolist() == pixels
    assert encode_masks(np.array([pixels], bool)) == [rle]
    assert mask_area([rle]).tolist() == [area]
    np.testing.assert_array_equal(mask_boxes([rle]), [box])


@given(stacks)
def test_everything_agrees_with_pixels(pair):
    first, second = pair
    a, b = encode_masks(first), encode_masks(second)
    np.testing.assert_array_equal(decode_masks(a), first)
    np.testing.assert_array_equal(mask_area(a), first.sum(axis=(1, 2)))
    for mask, box in zip(first, mask_boxes(a), strict=True):
        rows, columns = np.nonzero(mask)
        if len(rows):
            corners = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            assert box.tolist() == corners
        else:
            assert np.isnan(box).all()
    shared = (first[:, None] & second[None]).sum(axis=(2, 3))
    union = (first[:, None] | second[None]).sum(axis=(2, 3))
    expected = np.where(union > 0, shared / np.maximum(union, 1), 1.0)
    np.testing.assert_allclose(mask_iou(a, b), expected)
    np.testing.assert_allclose(mask_iou(b, a), expected.T)
    np.testing.assert_allclose(paired_mask_iou(a, b), np.diagonal(expected))


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (FULL, FULL, 1.0),  # equal
        (FULL, RIGHT, 0.5),  # half
        (EMPTY, EMPTY, 1.0),  # both empty: they agree
        (EMPTY, FULL, 0.0),  # one empty
    ],
)
def test_iou_by_hand(a, b, expected):
    assert mask_iou([a], [b]).tolist() == [[expected]]
    assert paired_mask_iou([a], [b]).tolist() == [expected]


def test_no_masks():
    assert encode_masks(np.zeros((0, 4, 4), bool)) == []
    assert decode_masks([]).shape == (0, 0, 0)
    assert mask_area([]).shape == (0,)
    assert mask_boxes([]).shape == (0, 4)
    assert mask_iou([], [FULL]).shape == (0, 1)
    assert mask_iou([FULL, FULL], []).shape == (2, 0)
    assert paired_mask_iou([], []).shape == (0,)


def test_counts_may_be_bytes_as_pycocotools_gives_them():
    assert mask_area([{"size": [2, 2], "counts": b"22"}]).tolist() == [2]


def test_long_runs_and_many_runs_survive():
    mask = np.zeros((1, 300, 400), bool)
    mask[0, 7:290:2, 3:391:5] = True  # thousands of short runs
    mask[0, :, 200:380] = True  # and one of 54,000 pixels
    assert (decode_masks(encode_masks(mask)) == mask).all()


@pytest.mark.parametrize(
    ("rle", "message"),
    [
        ({"size": [2, 2], "counts": "21"}, "4 pixels, found 3"),  # a run too short
        ({"size": [2, 2], "counts": "25"}, "4 pixels, found 7"),  # a run too long
        ({"size": [2, 3], "counts": "22"}, "6 pixels, found 4"),  # another size
        ({"size": [2, 2], "counts": ""}, "not COCO run lengths"),  # nothing
        ({"size": [2, 2], "counts": "2 2"}, "not COCO run lengths"),  # a blank
        ({"size": [2, 2], "counts": "2é"}, "not COCO run lengths"),  # not ASCII
        ({"size": [2, 2], "counts": "2R"}, "not COCO run lengths"),  # a number without its end
        ({"size": [2, 2], "counts": "o" * 9 + "0"}, "not COCO run lengths"),  # 50 bits
        ({"size": [2, 2], "counts": [2, 2]}, "compressed form"),  # uncompressed run lengths
        ({"size": [2, 2]}, "compressed form"),  # no counts
        ({"size": [0, 2], "counts": "0"}, "at least 1"),  # no rows
        ({"size": [2], "counts": "2"}, "at least 1"),  # one number
        ({"size": "22", "counts": "22"}, "at least 1"),  # text
        ({"counts": "22"}, "at least 1"),  # no size
    ],
)
def test_broken_run_lengths_are_refused(rle, message):
    for call in (check_rle, lambda each: decode_masks([each]), lambda each: mask_area([each])):
        with pytest.raises(UsageError, match=message):
            call(rle)


def test_masks_of_different_size_are_refused():
    wide = {"size": [2, 3], "counts": "6"}
    for call in (lambda: mask_iou([FULL], [wide]), lambda: decode_masks([FULL, wide])):
        with pytest.raises(UsageError, match="one size"):
            call()


@pytest.mark.parametrize("bad", [np.zeros((4, 4), bool), np.zeros((1, 4, 4), np.uint8)])
def test_encode_refuses_what_is_not_a_stack_of_bool(bad):
    with pytest.raises(UsageError, match=r"\(N, H, W\) of bool"):
        encode_masks(bad)


def test_pairs_of_different_length_are_refused():
    with pytest.raises(UsageError, match="found 1 and 0"):
        paired_mask_iou([FULL], [])


@given(st.text(alphabet=[chr(code) for code in range(48, 112)], max_size=12))
def test_any_text_is_decoded_in_full_or_refused(counts):
    rle = {"size": [3, 4], "counts": counts}
    try:
        check_rle(rle)
    except UsageError:
        return
    pixels = decode_masks([rle])
    assert pixels.sum() == mask_area([rle])[0]
