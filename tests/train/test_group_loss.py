"""Advantages and losses against numbers worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from stvg.errors import UsageError  # noqa: E402
from stvg.train.group_loss import advantages, grpo_loss, pick_weights  # noqa: E402

ROOT = math.sqrt(2)


def close(found: Any, expected: Any, tolerance: float = 1e-6) -> None:
    expected = torch.as_tensor(expected, dtype=found.dtype)
    torch.testing.assert_close(found, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    ("rewards", "options", "expected"),
    [
        ([1, 0, 0, 1], {"by_std": False}, [0.5, -0.5, -0.5, 0.5]),
        # squares add up to 1, over 3, root 0.57735
        ([1, 0, 0, 1], {"epsilon": 0}, [0.866025, -0.866025, -0.866025, 0.866025]),
        ([1, 0, 0, 1], {"epsilon": 0.5 - 1 / math.sqrt(3)}, [1, -1, -1, 1]),
        ([3, 0, 0], {"by_std": False}, [2, -1, -1]),
        ([3, 0, 0], {"by_std": False, "others": True}, [3, -1.5, -1.5]),  # 3 - 0, 0 - 3 / 2
        # 2 and -1 over the root of (4 + 1 + 1) / 2, times 3 / 2
        ([3, 0, 0], {"others": True, "epsilon": 0}, [math.sqrt(3), -math.sqrt(3) / 2,
                                                    -math.sqrt(3) / 2]),
        ([0, 1], {"epsilon": 0}, [-1 / ROOT, 1 / ROOT]),
        ([0.1 + 0.2, 0.3], {"epsilon": 0}, [0, 0]),  # equal but for rounding
        ([5, 5, 5], {}, [0, 0, 0]),
        ([5], {}, [0]),  # alone
    ],
)  # fmt: skip
def test_advantages(rewards: list[float], options: Any, expected: list[float]) -> None:
    found = advantages(torch.tensor(rewards, dtype=torch.float64), **options)
    close(found.values, expected)
    assert bool(found.is_flat) == (not any(expected))


def test_advantages_of_several_groups() -> None:
    rewards = torch.tensor([[1.0, 2.0], [3.0, 3.0], [0.0, 4.0]])
    together = advantages(rewards)
    assert together.is_flat.tolist() == [False, True, False]
    for row, own in enumerate(rewards):
        assert torch.equal(together.values[row], advantages(own).values)


@pytest.mark.parametrize("rewards", [[], [1.0, math.nan], [math.inf, 0.0]])
def test_rewards_that_are_none(rewards: list[float]) -> None:
    with pytest.raises(UsageError, match="finite rewards"):
        advantages(torch.tensor(rewards))


PICKED = torch.tensor([[True, False, True, True], [True, False, False, False]])


@pytest.mark.parametrize(
    ("mean", "more", "expected"),
    [
        ("sequence", {}, [[1 / 6, 0, 1 / 6, 1 / 6], [1 / 2, 0, 0, 0]]),
        ("token", {}, [[1 / 4, 0, 1 / 4, 1 / 4], [1 / 4, 0, 0, 0]]),
        ("constant", {"longest": 5}, [[1 / 10, 0, 1 / 10, 1 / 10], [1 / 10, 0, 0, 0]]),
    ],
)
def test_weights(mean: Any, more: Any, expected: Any) -> None:
    whole = pick_weights(PICKED, mean, completions=2, picks=4, **more)
    close(whole, expected)
    parts = [pick_weights(row[None], mean, completions=2, picks=4, **more) for row in PICKED]
    assert torch.equal(torch.cat(parts), whole)


def test_weights_where_nothing_was_picked() -> None:
    nothing = torch.zeros(2, 3, dtype=torch.bool)
    for mean in ("sequence", "token"):
        assert not pick_weights(nothing, mean, completions=2, picks=0).any()


@pytest.mark.parametrize("mean", ["sum", "constant"])
def test_weights_of_another_kind(mean: Any) -> None:
    with pytest.raises(UsageError, match="expected the mean"):
        pick_weights(PICKED, mean, completions=2, picks=4)


def loss_of(ratios: Any, values: Any, weights: Any, **options: Any) -> tuple[Any, Any]:
    """The loss and its gradient where new is over old by these ratios."""
    old = torch.full_like(torch.tensor(ratios), -1.5)
    log_probs = (old + torch.tensor(ratios).log()).requires_grad_()
    found = grpo_loss(log_probs, old, torch.tensor(values), torch.tensor(weights), **options)
    (gradient,) = torch.autograd.grad(found.loss, log_probs)
    return found, gradient


@pytest.mark.parametrize(
    ("ratio", "value", "loss", "slope", "clipped"),
    [
        (1.0, 2.0, -2.0, -2.0, 0),
        (1.1, 2.0, -2.2, -2.2, 0),
        (1.5, 2.0, -2.4, 0.0, 1),  # no gain above 1.2
        (0.5, 2.0, -1.0, -1.0, 0),  # falling back is not held up
        (0.5, -2.0, 1.6, 0.0, 1),  # no gain below 0.8
        (1.5, -2.0, 3.0, 3.0, 0),
        (1.5, 0.0, 0.0, 0.0, 0),
    ],
)
def test_one_token(ratio: float, value: float, loss: float, slope: float, clipped: int) -> None:
    """d exp(x) = exp(x) dx, so the slope is minus ratio times advantage where it is not clipped."""
    found, gradient = loss_of([[ratio]], [value], [[1.0]])
    close(found.loss.detach(), loss)
    close(gradient, [[slope]])
    assert int(found.clipped) == clipped


def test_two_tokens_by_hand() -> None:
    """One completion, advantage 2, ratios 1.1 and 1.5, kl 0.5 to a reference e^0.3 times as likely
    and equally likely; both picks count half.

    Terms: -2.2 + 0.5 (1.349859 - 0.3 - 1), and -2.4 + 0. The slope of the k3 estimator with respect
    to the log-probability is 1 - exp(d).
    """
    old = torch.tensor([[-1.0, -2.0]])
    log_probs = (old + torch.tensor([[1.1, 1.5]]).log()).requires_grad_()
    reference = log_probs.detach() + torch.tensor([[0.3, 0.0]])
    weights = pick_weights(torch.tensor([[True, True]]), "sequence", completions=1, picks=2)
    found = grpo_loss(log_probs, old, torch.tensor([2.0]), weights, reference=reference, kl=0.5)
    close(found.loss.detach(), (-2.2 + 0.5 * 0.0498588 - 2.4) / 2)
    close(found.kl, 0.0498588 / 2)
    close(found.clipped, 0.5)
    found.loss.backward()
    close(log_probs.grad, [[(-2.2 + 0.5 * (1 - 1.3498588)) / 2, 0.0]])


def test_clip_higher() -> None:
    found, gradient = loss_of([[1.25, 1.3]], [1.0], [[0.5, 0.5]], low=0.2, high=0.28)
    close(found.loss.detach(), -(1.25 + 1.28) / 2)
    close(gradient, [[-0.625, 0.0]])


def test_without_old_log_probabilities_ratios_are_one() -> None:
    """The policy gradient itself."""
    log_probs = torch.tensor([[-1.0, -3.0], [-2.0, -9.0]], requires_grad=True)
    weights = torch.tensor([[0.25, 0.25], [0.5, 0.0]])
    found = grpo_loss(log_probs, None, torch.tensor([1.0, -2.0]), weights)
    close(found.loss.detach(), -0.5 * 1.0 + 0.5 * 2.0)
    found.loss.backward()
    close(log_probs.grad, [[-0.25, -0.25], [1.0, 0.0]])


def test_what_is_no_pick_does_not_count() -> None:
    """However far apart log-probabilities are there."""
    weights = torch.tensor([[1.0, 0.0]])
    log_probs = torch.tensor([[-1.0, 500.0]], requires_grad=True)
    other = torch.tensor([[-1.0, -500.0]])
    found = grpo_loss(log_probs, other, torch.tensor([1.0]), weights, reference=other, kl=1.0)
    close(found.loss.detach(), -1.0)
    found.loss.backward()
    close(log_probs.grad, [[-1.0, 0.0]])
    away = grpo_loss(log_probs, -other, torch.tensor([1.0]), weights, reference=-other, kl=1.0)
    assert bool(away.loss.isfinite())


@pytest.mark.parametrize("options", [{"low": 1.5}, {"high": -0.1}, {"kl": -1.0}, {"kl": 0.1}])
def test_options_out_of_range(options: Any) -> None:
    some = torch.zeros(1, 1)
    with pytest.raises(UsageError, match="expected low"):
        grpo_loss(some, some, torch.zeros(1), some, **options)
