"""Several rewards and their weights: the one number that a policy is trained for.

``R = sum of weight * value`` over the rewards that apply. A reward that breaks down on an answer is
told and left out of its sum; whoever trains counts these and decides when to stop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from stvg.errors import UsageError
from stvg.registry import suggest

from .base import Answer, Reward, Score, Target, check_lengths
from .catalogue import find_reward, options_of


@dataclass(frozen=True, slots=True)
class Total:
    """What an answer is worth.

    Attributes:
        value: Weighted sum, or None where no reward with a weight applies.
        scores: The parts by name, unweighted.
    """

    value: float | None
    scores: Mapping[str, Score]


class Mix:
    """Rewards with weights.

    Args:
        rewards: By the name under which they are logged.
        weights: One for each; a reward of weight 0 is scored and logged and does not count.

    Raises:
        UsageError: If there are no rewards, or the names differ.

    Example:
        >>> mix = Mix.of({"format": 1, "temporal": 1, "spatial": 2}, {"l1": False})
        >>> mix.rewards["spatial"].config.l1
        False
    """

    def __init__(self, rewards: Mapping[str, Reward], weights: Mapping[str, float]) -> None:
        if not rewards or rewards.keys() != weights.keys():
            raise UsageError(
                f"expected at least one reward and a weight for each, found {sorted(rewards)} and "
                f"weights for {sorted(weights)}"
            )
        self.rewards, self.weights = dict(rewards), dict(weights)

    @classmethod
    def of(cls, weights: Mapping[str, float], options: Mapping[str, Any] | None = None) -> Self:
        """Build from names (or references) with weights; each reward takes the options it has.

        Raises:
            UsageError: If there is no such reward, or an option that none of them has.
        """
        options = options or {}
        own = {name: set(options_of(name).model_fields) for name in weights}
        known = sorted(set().union(*own.values()))
        for option in options:
            if option not in known:
                raise UsageError(
                    f"no reward here has an option {option!r}; {suggest(option, known)}"
                )
        rewards = {
            name: find_reward(name, {key: options[key] for key in own[name] & options.keys()})
            for name in weights
        }
        return cls(rewards, weights)

    @property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest total that the parts allow."""
        sums = [0.0, 0.0]
        for name, reward in self.rewards.items():
            if self.weights[name]:
                ends = sorted(self.weights[name] * end for end in reward.bounds)
                sums = [total + end for total, end in zip(sums, ends, strict=True)]
        return sums[0], sums[1]

    def __call__(self, answers: Sequence[Answer], targets: Sequence[Target]) -> list[Total]:
        """The totals of answers, each with its own target; never raises on what a reward does.

        Raises:
            UsageError: If there are not as many targets as answers.
        """
        check_lengths(answers, targets)
        parts = {name: _scores(reward, answers, targets) for name, reward in self.rewards.items()}
        return [
            self._total({name: scores[row] for name, scores in parts.items()})
            for row in range(len(answers))
        ]

    def _total(self, scores: Mapping[str, Score]) -> Total:
        values = [
            self.weights[name] * score.value
            for name, score in scores.items()
            if score.value is not None and self.weights[name]
        ]
        return Total(sum(values) if values else None, scores)


def _scores(reward: Reward, answers: Sequence[Answer], targets: Sequence[Target]) -> list[Score]:
    """The scores; where a reward raises, only the answers that it raises on are without one."""
    try:
        return reward(answers, targets)
    except Exception as error:  # noqa: BLE001  whatever a user's function raises
        if len(answers) == 1:
            told = " ".join(str(error).split())
            return [Score(None, f"raised {type(error).__name__}: {told:.200}", failed=True)]
    return [
        score
        for answer, target in zip(answers, targets, strict=True)
        for score in _scores(reward, [answer], [target])
    ]
