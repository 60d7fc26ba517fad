"""J and F by hand, and against the definition written out with plain loops."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stvg.errors import FormatError, UsageError
from stvg.evaluate import evaluate
from stvg.evaluate.masks import boundary_radius, contour_accuracy, outline, region_similarity
from stvg.geometry.masks import encode_masks
from tests.evaluate.helpers import mask_record


def square(size=20, low=5, high=15):
    mask = np.zeros((size, size), bool)
    mask[low:high, low:high] = True
    return mask


def slow_outline(mask):
    """The definition pixel by pixel."""
    height, width = mask.shape
    found = np.zeros_like(mask)
    for y in range(height):
        for x in range(width):
            others = []
            if x + 1 < width:
                others.append(mask[y, x + 1])
            if y + 1 < height:
                others.append(mask[y + 1, x])
            if x + 1 < width and y + 1 < height:
                others.append(mask[y + 1, x + 1])
            found[y, x] = any(other != mask[y, x] for other in others)
    return found


def slow_f(found, true, radius):
    """F by the distance of every pair of outline pixels."""
    first, second = np.argwhere(slow_outline(found)), np.argwhere(slow_outline(true))
    if not len(first) and not len(second):
        return 1.0
    if not len(first) or not len(second):
        return 0.0
    near = ((first[:, None] - second[None]) ** 2).sum(axis=2) <= radius**2
    precision, recall = near.any(axis=1).mean(), near.any(axis=0).mean()
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def test_by_hand():
    left, both = np.array([[True, False]]), np.array([[True, True]])
    assert region_similarity(left, both) == 0.5
    empty = np.zeros((4, 4), bool)
    assert region_similarity(empty, empty) == contour_accuracy(empty, empty) == 1
    assert region_similarity(empty, square(4, 1, 3)) == 0
    assert contour_accuracy(empty, square(4, 1, 3)) == 0
    assert contour_accuracy(square(), np.roll(square(), 1, axis=0)) == 1  # within a pixel
    assert contour_accuracy(square(40, 2, 8), square(40, 25, 35)) == 0


def test_a_full_mask_has_no_outline():
    full = np.ones((4, 4), bool)
    assert not outline(full).any()
    assert contour_accuracy(full, np.zeros((4, 4), bool)) == 1  # neither has one, as for DAVIS


def test_the_radius_is_a_share_of_the_diagonal_or_pixels():
    assert boundary_radius(480, 854) == 8
    assert boundary_radius(480, 854, bound=3) == 3
    assert boundary_radius(1, 10) == math.ceil(0.008 * math.hypot(1, 10))


def test_void_pixels_do_not_count():
    found, true = square(), square()
    found[0, 0] = True
    void = np.zeros_like(true)
    void[0, 0] = True
    assert region_similarity(found, true) < 1
    assert region_similarity(found, true, void) == contour_accuracy(found, true, void) == 1


def test_masks_of_two_sizes_are_refused():
    with pytest.raises(UsageError, match="one size"):
        contour_accuracy(square(20), square(21))


MASKS = st.tuples(st.integers(1, 12), st.integers(1, 12)).flatmap(
    lambda shape: st.tuples(arrays(bool, shape), arrays(bool, shape))
)


@settings(max_examples=150)
@given(MASKS, st.integers(1, 4))
def test_equal_to_the_definition_on_any_masks(masks, radius):
    found, true = masks
    np.testing.assert_array_equal(outline(found), slow_outline(found))
    ours = contour_accuracy(found, true, bound=radius)
    assert ours == pytest.approx(slow_f(found, true, radius), abs=1e-12)
    assert 0 <= ours <= 1


def test_an_expression_with_two_objects_and_a_frame_without_an_answer():
    first, second = encode_masks([square(20, 2, 8), square(20, 12, 18)])
    both = encode_masks([square(20, 2, 8) | square(20, 12, 18)])[0]
    record = mask_record("q", [[first, first], [second, None]])
    report = evaluate("mevis", [record], [{"id": "q", "masks": {"0": both}}], resamples=0)
    assert report.metrics == {"J": 0.5, "F": 0.5, "J&F": 0.5}  # right, then nothing
    assert report.forgiven.counts() == {"true frame without a predicted box": 1}


def test_a_mask_of_another_size_is_named():
    record = mask_record("q", [encode_masks([square(20)])])
    line = {"id": "q", "masks": {"0": encode_masks([square(30)])[0]}}
    with pytest.raises(FormatError, match=r"prediction 1: expected a mask of the size"):
        evaluate("mevis", [record], [line])


def test_a_frame_that_rightly_has_no_mask_is_no_fault():
    mask = encode_masks([square(20)])[0]
    record = mask_record("q", [[mask, None]])
    report = evaluate("mevis", [record], [{"id": "q", "masks": {"0": mask}}], resamples=0)
    assert report.metrics == {"J": 1.0, "F": 1.0, "J&F": 1.0}
    assert report.forgiven.counts() == {}


def test_without_public_masks_nothing_is_scored():
    record = mask_record("q", [[None]])
    hidden = type(record)(
        **{name: getattr(record, name) for name in ("id", "query", "media", "place", "frames")},
        objects=(),
        masks=None,
    )
    with pytest.raises(UsageError, match="not public"):
        evaluate("mevis", [hidden], [])
