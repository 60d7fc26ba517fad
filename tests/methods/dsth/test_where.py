"""Weights of cells, the choice of an object, attention inside a box; against torch where it can."""

from __future__ import annotations

import numpy as np
import pytest

from stvg.methods.dsth.where import attention_inside, cell_weights, enlarging, score_objects

ABSENT = [np.nan] * 4


def test_shares_of_cells_by_hand() -> None:
    boxes = np.array([[0.5, 0.0, 2.0, 0.5], [1.25, 0.25, 1.5, 0.75], [0, 0, 3, 2], ABSENT])
    found = cell_weights(boxes, 2, 3)
    # half a cell high, which is all of its height; a half and a whole cell wide
    np.testing.assert_allclose(found[0], [[0.5, 1, 0], [0, 0, 0]])
    # smaller than a cell and inside it
    np.testing.assert_allclose(found[1], [[0, 1, 0], [0, 0, 0]])
    np.testing.assert_allclose(found[2], 1)
    np.testing.assert_allclose(found[3], 0)


def test_masks_at_full_size_are_brought_down_as_torch_does() -> None:
    torch = pytest.importorskip("torch", reason="the models extra is not installed")
    height, width = 45, 70
    left, top, right, bottom = 13, 8, 41, 30
    mask = torch.zeros(1, 1, height, width)
    mask[..., top:bottom, left:right] = 1
    resize = torch.nn.functional.interpolate
    expected = resize(mask, size=(6, 8), mode="bilinear", align_corners=False)[0, 0]
    box = np.array([left, top, right, bottom]) * ([8 / width, 6 / height] * 2)
    found = cell_weights(np.stack([box, ABSENT]), 6, 8, pixels=(height, width))
    np.testing.assert_allclose(found[0], expected, atol=1e-5)
    np.testing.assert_allclose(found[1], 0)


@pytest.mark.parametrize(("cells", "points"), [(4, 32), (6, 45), (3, 3), (1, 5)])
def test_enlarging_is_bilinear_interpolation(cells: int, points: int) -> None:
    torch = pytest.importorskip("torch", reason="the models extra is not installed")
    values = np.random.default_rng(0).random(cells)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(values)[None, None], size=points, mode="linear", align_corners=False
    )[0, 0]
    np.testing.assert_allclose(enlarging(cells, points) @ values, expected, atol=1e-12)


def test_an_object_scores_by_its_highest_cell_at_any_time() -> None:
    attention = np.zeros((2, 1, 3))  # two steps
    attention[1, 0] = 1, 5, 2
    steps = np.array([0, 0, 1])  # three frames
    boxes = np.array([
        [[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1]],
        [[1, 0, 2, 1], [1, 0, 2, 1], ABSENT],  # where the peak is, at the wrong time
        [[1.5, 0, 3, 1], ABSENT, [1.5, 0, 3, 1]],  # half of the peak's cell
    ])  # fmt: skip
    assert score_objects(attention, cell_weights(boxes, 1, 3), steps).tolist() == [1.0, 0.0, 2.5]


def test_attention_inside_a_box_is_read_off_the_enlarged_map() -> None:
    torch = pytest.importorskip("torch", reason="the models extra is not installed")
    attention = np.random.default_rng(1).random((2, 3, 4))
    steps = np.array([0, 1, 1])
    points = (30, 40)
    pixels = np.array([[3, 2, 17, 9], [20, 11, 39, 30], ABSENT])  # of the enlarged map
    found = attention_inside(attention, pixels / 10, steps, points)
    large = torch.nn.functional.interpolate(
        torch.from_numpy(attention)[None], size=points, mode="bilinear", align_corners=False
    )[0]
    expected = [large[0, 2:9, 3:17].max(), large[1, 11:30, 20:39].max(), 0]
    np.testing.assert_allclose(found, np.array(expected, float), atol=1e-12)


def test_a_box_smaller_than_a_point_is_read_at_the_nearest() -> None:
    attention = np.array([[[1.0, 2.0], [3.0, 4.0]]])
    boxes = np.array([[1.6, 1.6, 1.61, 1.61], [2, 2, 2, 2]])  # the second at the very corner
    assert attention_inside(attention, boxes, np.array([0, 0]), (2, 2)).tolist() == [4.0, 4.0]
