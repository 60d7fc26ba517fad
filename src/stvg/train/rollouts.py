"""Answers that a model writes to its training queries, what they are worth, and how unequally.

The first half of a step of GRPO: sample, parse, reward, advantage. Everything here is a value of
its own, without graph; :mod:`stvg.train.grpo` learns from it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from stvg.backbones.prefix import Features
from stvg.backbones.qwen import QwenBackbone
from stvg.errors import UsageError
from stvg.geometry.intervals import intersect_intervals
from stvg.methods.text_answer import TextAnswer
from stvg.rewards import Answer, Mix, Total
from stvg.text import Position
from stvg.train.group_loss import advantages
from stvg.train.recipe import Grpo
from stvg.train.rows import Prompt
from stvg.train.tasks.base import Maker

Sums = dict[str, tuple[float, float]]
"""A sum and what it is divided by for a mean, by name; they add up over groups and processes."""


@dataclass(frozen=True, slots=True, eq=False)
class Rollout:
    """A query with a group of answers.

    Attributes:
        prompt: The query.
        grammar: What the answers follow, or None.
        ids: Tokens of each answer.
        picks: How many of them were a choice.
        finished: Whether each answer ended of itself.
        answers: What they mean.
        totals: What they are worth.
        failed: Whether a reward that counts failed on it, for each answer.
        kept: Numbers of the answers that are learned from: those with a reward no part of which
            failed.
        values: Their advantages, (K,) float64.
    """

    prompt: Prompt
    grammar: Position | None
    ids: tuple[tuple[int, ...], ...]
    picks: tuple[int, ...]
    finished: tuple[bool, ...]
    answers: tuple[Answer, ...]
    totals: tuple[Total, ...]
    failed: tuple[bool, ...]
    kept: tuple[int, ...]
    values: torch.Tensor

    @property
    def cut(self) -> int:
        """How many answers were cut off at the limit."""
        return sum(not each for each in self.finished)

    @property
    def is_flat(self) -> bool:
        """Whether nothing can be learned from it: all answers are worth the same."""
        return not bool(self.values.any())

    @property
    def faults(self) -> list[dict[str, str]]:
        """The rewards that failed: which, on which sample, why; each of these once."""
        told = {
            (name, score.reason)
            for total in self.totals
            for name, score in total.scores.items()
            if score.failed
        }
        return [
            {"reward": name, "sample": self.prompt.name, "reason": reason}
            for name, reason in sorted(told)
        ]


@dataclass(frozen=True, slots=True)
class Writer:
    """Answers queries and judges the answers.

    Attributes:
        backbone: The model.
        maker: What makes the queries, with a method.
        mix: What they are worth.
        options: Of the recipe.
        seed: Of the recipe.
    """

    backbone: QwenBackbone
    maker: Maker
    mix: Mix
    options: Grpo
    seed: int

    @property
    def method(self) -> TextAnswer:
        """How the model is asked and what its answers mean."""
        assert self.maker.method is not None
        return self.maker.method

    def write(self, prompts: Sequence[Prompt], features: Sequence[Features]) -> list[Rollout]:
        """Groups of answers to queries, each with the features of its video.

        What is drawn for a query depends on its seed and the recipe's alone.
        """
        found: list[Rollout] = []
        at_once = self.options.queries_at_once
        for first in range(0, len(prompts), at_once):
            some = slice(first, first + at_once)
            found += self._write_some(prompts[some], features[some])
        return found

    def _write_some(
        self, prompts: Sequence[Prompt], features: Sequence[Features]
    ) -> Iterator[Rollout]:
        """The same for a few of them, whose keys and values are in memory together."""
        options, count = self.options, self.options.group
        grammars = [self.method.grammar(each.view, each.truth.marked) for each in prompts]
        prefix = self.backbone.prefill_batch(
            [prompt.ids for prompt in prompts], [[each] for each in features]
        )
        written = self.backbone.generate(
            prefix,
            max_new_tokens=self.method.config.max_new_tokens,
            samples=count,
            grammar=grammars,
            temperature=options.temperature,
            seed=[seed for prompt in prompts for seed in self._seeds(prompt)],
        )
        for number, (prompt, grammar) in enumerate(zip(prompts, grammars, strict=True)):
            own = slice(number * count, (number + 1) * count)
            answers = [
                replace(
                    self.method.judged(ids, prompt.view, prompt.truth.marked), prompt=prompt.query
                )
                for ids in written.ids[own]
            ]
            totals = self.mix(answers, [prompt.truth] * count)
            failed = tuple(self._has_failed(total) for total in totals)
            kept = tuple(
                place
                for place, total in enumerate(totals)
                if total.value is not None
                and not failed[place]
                and (written.finished[own][place] or not options.drop_cut)
            )
            yield Rollout(
                prompt,
                grammar,
                written.ids[own],
                tuple(written.picked[own].sum(-1).tolist()),
                written.finished[own],
                tuple(answers),
                tuple(totals),
                failed,
                kept,
                self._advantages([totals[place].value for place in kept]),
            )

    def _has_failed(self, total: Total) -> bool:
        """Whether a reward that counts failed on an answer."""
        return any(score.failed and self.mix.weights[name] for name, score in total.scores.items())

    def _advantages(self, rewards: Sequence[float | None]) -> torch.Tensor:
        if not rewards:
            return torch.zeros(0, dtype=torch.float64)
        numbers = torch.tensor(rewards, dtype=torch.float64)
        options = self.options
        return advantages(numbers, others=options.others, by_std=options.by_std).values

    def _seeds(self, prompt: Prompt) -> list[int]:
        dice = random.Random(f"{self.seed}/{prompt.seed}")  # noqa: S311
        return [dice.getrandbits(62) for _ in range(self.options.group)]


def mix_of(maker: Maker, options: Grpo) -> Mix:
    """What answers to the queries of a task are worth.

    Raises:
        UsageError: If the task has no method, or the rewards do not fit it.
    """
    if maker.method is None:
        raise UsageError(
            "expected tasks with a method that answers (kind: benchmark) to learn from answers, "
            f"found {type(maker).__name__}; write clips of the world with `stvg world`"
        )
    kind = getattr(maker.method, "rewards", None)
    if kind is None:
        raise UsageError(
            f"the method {maker.method.name} names no rewards; give its class "
            "`rewards = StvgO1Rewards`, or a class of your own that derives from RewardsConfig"
        )
    mix: Mix = kind.of(options.rewards).mix()
    if not any(mix.weights.values()):
        raise UsageError("all rewards have the weight 0: nothing would be learned from answers")
    return mix


def measure(rollouts: Sequence[Rollout]) -> Sums:
    """Everything that the log tells of answers.

    Returns:
        By name: ``reward/total`` and ``reward/<name>`` (means over answers), ``spread/...``
        (standard deviation within a group, mean over groups), ``length`` (tokens),
        ``share/unreadable``, ``share/cut``, ``share/failed``, ``share/unjudged`` (of answers; no
        reward applies to the last), ``share/flat`` and
        ``share/no_overlap`` (of groups).
    """
    sums: Sums = {}
    for rollout in rollouts:
        columns: dict[str, list[float]] = {"total": []}
        for total, has_failed in zip(rollout.totals, rollout.failed, strict=True):
            if total.value is not None and not has_failed:
                columns["total"].append(total.value)
            for name, score in total.scores.items():
                if score.value is not None:
                    columns.setdefault(name, []).append(score.value)
        for name, values in columns.items():
            _add(sums, f"reward/{name}", sum(values), len(values))
            if len(values) > 1:
                _add(sums, f"spread/{name}", _deviation(values), 1)
        count = len(rollout.ids)
        _add(sums, "length", sum(len(ids) for ids in rollout.ids), count)
        problems = [each.parsed.tube is None for each in rollout.answers]
        _add(sums, "share/unreadable", sum(problems), count)
        _add(sums, "share/cut", rollout.cut, count)
        _add(sums, "share/failed", sum(rollout.failed), count)
        unjudged = [total.value is None for total in rollout.totals]
        _add(sums, "share/unjudged", sum(unjudged), count)
        _add(sums, "share/flat", float(rollout.is_flat), 1)
        _add(sums, "share/no_overlap", float(not _meets(rollout)), 1)
    return sums


def add_sums(totals: Sums, found: Mapping[str, tuple[float, float]]) -> None:
    """Add sums to others, by name."""
    for name, (value, count) in found.items():
        _add(totals, name, value, count)


def _add(sums: Sums, name: str, value: float, count: float) -> None:
    before = sums.get(name, (0.0, 0.0))
    sums[name] = (before[0] + value, before[1] + count)


def _deviation(values: Sequence[float]) -> float:
    mean = sum(values) / len(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))


def _meets(rollout: Rollout) -> bool:
    """Whether some answer of a group has time in common with some truth."""
    return any(
        answer.parsed.interval is not None
        and intersect_intervals(answer.parsed.interval, tube.interval) is not None
        for answer in rollout.answers
        for tube in rollout.prompt.truth.tubes
    )
