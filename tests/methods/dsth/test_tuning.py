"""The update of what is added to the visual tokens, by hand."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch", reason="the models extra is not installed")

from stvg.methods.dsth.tuning import OBJECTIVES, Descent  # noqa: E402


def run(gradients: list[float], average: float) -> float:
    descent = Descent(torch.zeros(1), rate=8.0, average=average)
    for gradient in gradients:
        descent.step(torch.tensor([gradient]))
    return float(descent.point)


@pytest.mark.parametrize(
    ("gradients", "average", "point"),
    [
        ([], 0.5, 0.0),
        ([1.0], 0.5, -4.0),
        ([1.0, 1.0], 0.5, -10.0),
        ([1.0, 3.0], 0.5, -8.0 - 2.0 * 3.0),
        # by hand: values 0, -8, -12, -16; the mean of the last two
        ([1.0, 1.0, 1.0], 0.5, -14.0),
        ([1.0, 1.0], 1.0, -16.0),  # plain descent
    ],
)
def test_closed_form(gradients: list[float], average: float, point: float) -> None:
    assert run(gradients, average) == point


def test_a_gradient_that_is_not_finite_changes_nothing_and_is_counted() -> None:
    descent = Descent(torch.zeros(2), rate=8.0, average=0.5)
    descent.step(torch.tensor([1.0, math.nan]))
    assert (descent.point.tolist(), descent.refused) == ([0.0, 0.0], 1)
    descent.step(torch.ones(2))
    assert (descent.point.tolist(), descent.refused) == ([-4.0, -4.0], 1)


def test_objectives() -> None:
    asked, general = torch.tensor(0.5), torch.tensor(2.0)
    assert float(OBJECTIVES["contrast"](asked, general)) == 2.5
    assert float(OBJECTIVES["ratio"](asked, general)) == pytest.approx(-math.exp(0.5))
