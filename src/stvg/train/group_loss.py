"""Advantages and the loss of GRPO, as functions of rewards and log-probabilities alone.

The loss of a completion o_i of a group of G is, over its picks t (tokens that a grammar forced have
ratio 1 whatever the policy, so they take part in nothing here)::

    ratio = exp(log_prob - old)
    loss_it = -min(ratio A_i, clip(ratio, 1 - low, 1 + high) A_i) + kl (exp(d) - d - 1)
    d = reference - log_prob

equations 3 and 4 of DeepSeekMath (arXiv 2402.03300); with ``high`` above ``low`` the clip-higher of
DAPO (arXiv 2503.14476, section 3.1). How terms are averaged is :func:`pick_weights`. Weights are
made from counts of the whole step, so that parts of a group, several groups and several processes
add up to the loss of the single large batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from stvg.errors import UsageError

Mean = Literal["sequence", "token", "constant"]

_ALIKE = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Advantages:
    """How much better each completion is than its group.

    Attributes:
        values: (..., G) float64.
        is_flat: Whether all rewards of a group are equal (to 1e-6, a choice of ours), (...) bool.
            Its advantages are 0 exactly, so that it can be left out.
    """

    values: Tensor
    is_flat: Tensor


def advantages(
    rewards: Tensor, *, others: bool = False, by_std: bool = True, epsilon: float = 1e-4
) -> Advantages:
    """Rewards relative to those of the group.

    ``(r - mean) / (std + epsilon)``, DeepSeekMath section 4.1.2; without the division Dr. GRPO
    (arXiv 2503.20783). The standard deviation is that of a sample, with G - 1, as TRL
    takes it; the paper does not say.

    Args:
        rewards: (..., G), any real type.
        others: Compare each with the mean of the *others* (leave-one-out, RLOO, arXiv 2402.14740)
            instead of that of all, which is G / (G - 1) times as much.
        by_std: Whether to divide.
        epsilon: Added to the standard deviation, at least 0.

    Raises:
        UsageError: If there are no rewards, or one is not finite.

    Example:
        >>> found = advantages(torch.tensor([[1.0, 3.0], [2.0, 2.0]]), by_std=False)
        >>> found.values.tolist(), found.is_flat.tolist()
        ([[-1.0, 1.0], [0.0, 0.0]], [False, True])
    """
    if not rewards.numel() or not rewards.isfinite().all():
        raise UsageError(
            f"expected finite rewards, at least one, found {rewards.tolist()}; decide before what "
            "a completion without a reward counts"
        )
    rewards = rewards.double()
    count = rewards.shape[-1]
    is_flat = rewards.amax(-1) - rewards.amin(-1) <= _ALIKE
    values = rewards - rewards.mean(-1, keepdim=True)
    spread = (values.square().sum(-1, keepdim=True) / max(count - 1, 1)).sqrt()
    if others:
        values = values * (count / max(count - 1, 1))
    if by_std:
        values = values / (spread + epsilon)
    return Advantages(values.masked_fill(is_flat[..., None], 0.0), is_flat)


def pick_weights(
    picked: Tensor, mean: Mean, *, completions: float, picks: float, longest: int = 0
) -> Tensor:
    """What the term of each pick counts in the loss.

    Args:
        picked: Which tokens are picks, (G, L) bool.
        mean: ``sequence``: each completion alike, its picks alike within it (DeepSeekMath, equation
            3). ``token``: all picks alike (DAPO, section 3.3), so that long ones count more.
            ``constant``: as ``token``, divided by a constant instead of the number of picks (Dr.
            GRPO), so that how long the others are does not matter.
        completions: Completions of the whole step, over all its groups, parts and processes.
        picks: Picks of the whole step.
        longest: Longest completion that can be written, for ``constant``; above 0 there.

    Returns:
        (G, L) float32, 0 where nothing was picked. Over a step they add up to 1 for ``sequence`` if
        every completion has a pick, and for ``token``.

    Raises:
        UsageError: If the mean has another name, or ``longest`` is missing.

    Example:
        >>> picked = torch.tensor([[True, True], [True, False]])
        >>> pick_weights(picked, "sequence", completions=2, picks=3).tolist()
        [[0.25, 0.25], [0.5, 0.0]]
        >>> pick_weights(picked, "constant", completions=2, picks=3, longest=4).tolist()
        [[0.125, 0.125], [0.125, 0.0]]
    """
    if mean == "sequence":
        return picked / (picked.sum(-1, keepdim=True).clamp(min=1) * completions)
    if mean == "token":
        return picked / max(picks, 1.0)
    if mean != "constant" or longest < 1:
        raise UsageError(
            "expected the mean 'sequence', 'token', or 'constant' with a longest completion above "
            f"0, found {mean!r} and {longest}"
        )
    return picked / (completions * longest)


@dataclass(frozen=True, slots=True, eq=False)
class GroupLoss:
    """The loss of some completions.

    Attributes:
        loss: Their share of the loss, scalar; with gradient.
        clipped: Weighted share of picks whose ratio was clipped, where that stops their gradient,
            scalar.
        kl: Weighted mean of the estimated divergence from the reference, scalar; 0 without one.
    """

    loss: Tensor
    clipped: Tensor
    kl: Tensor


def grpo_loss(
    log_probs: Tensor,
    old: Tensor | None,
    values: Tensor,
    weights: Tensor,
    *,
    low: float = 0.2,
    high: float = 0.2,
    reference: Tensor | None = None,
    kl: float = 0.0,
) -> GroupLoss:
    """The clipped loss of the head of this module, with a penalty for leaving the reference.

    Args:
        log_probs: Of the policy that is trained, (G, L).
        old: Of the policy that wrote the completions, (G, L), at the same temperature and grammar.
            None: it is the trained one as it is now (one update a rollout), all ratios are 1.
        values: Advantage of each completion, (G,).
        weights: Of each pick, (G, L), as :func:`pick_weights` gives them; 0 elsewhere.
        low: Ratios below 1 - low gain nothing where the advantage is negative; in [0, 1].
        high: Ratios above 1 + high gain nothing where it is positive; at least 0.
        reference: Of the reference policy, (G, L); needed where ``kl`` is not 0.
        kl: Weight of the divergence from the reference ("k3" of Schulman, unbiased and never
            negative; DeepSeekMath, equation 4), at least 0.

    Raises:
        UsageError: If a number is out of range, or the reference is missing.
    """
    if not 0 <= low <= 1 or high < 0 or kl < 0 or (kl and reference is None):
        raise UsageError(
            "expected low in [0, 1], high and kl of at least 0 and a reference where kl is not 0, "
            f"found {low}, {high}, {kl} and {'no' if reference is None else 'a'} reference"
        )
    counts = weights > 0
    old = log_probs.detach() if old is None else old
    values = values.to(log_probs)[:, None]  # (G, 1)
    ratio = (log_probs - old).masked_fill(~counts, 0.0).exp()
    free, bounded = ratio * values, ratio.clamp(1 - low, 1 + high) * values
    terms = -torch.minimum(free, bounded)
    clipped = (weights * (bounded < free)).sum()
    divergence = torch.zeros_like(log_probs)
    if reference is not None:
        apart = (reference - log_probs).masked_fill(~counts, 0.0)
        divergence = apart.exp() - apart - 1
        terms = terms + kl * divergence
    return GroupLoss(
        (weights * terms).sum(), clipped.detach(), (weights * divergence).sum().detach()
    )
