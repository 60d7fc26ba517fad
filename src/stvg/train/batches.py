"""What each step is trained on: a task by weight, clips by the number of the step.

Everything follows from the recipe's seed and the number of the step, so that a run can be stopped
anywhere, and processes and parts share out a step's clips without asking each other. Where clips
are made without end, those of the steps that another task gets are left out; where there are so
many and no more, the task's own steps are counted, so that a pass takes each of them once.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch.utils.data import DataLoader

from stvg.train.recipe import Recipe
from stvg.train.rows import Batch
from stvg.train.tasks.base import Maker

_ENDLESS = 2**62


@dataclass(frozen=True, slots=True)
class Step:
    """What one process does in a step.

    Attributes:
        task: Number of the task in the recipe.
        parts: Its batches, whose gradients are added up.
    """

    task: int
    parts: tuple[Batch, ...]


def steps_from(
    first: int, recipe: Recipe, makers: Sequence[Maker], rank: int, ranks: int
) -> Iterator[Step]:
    """All steps from ``first`` on, made ahead in worker processes, without end.

    Args:
        first: Number of the first step.
        recipe: The recipe.
        makers: What makes the batches of each of its tasks.
        rank: Number of this process.
        ranks: Number of processes.
    """
    fork = "fork" in multiprocessing.get_all_start_methods()
    loader = DataLoader(
        StepsOf(recipe, makers, rank, ranks),
        sampler=_From(first),
        batch_size=None,
        num_workers=recipe.workers,
        prefetch_factor=4 if recipe.workers else None,
        multiprocessing_context="fork" if recipe.workers and fork else None,
    )
    yield from loader


class StepsOf:
    """A map from the number of a step to what a process does in it; see :func:`steps_from`."""

    def __init__(self, recipe: Recipe, makers: Sequence[Maker], rank: int, ranks: int) -> None:
        self.recipe, self.makers, self.rank, self.ranks = recipe, makers, rank, ranks
        weights = np.array([task.weight for task in recipe.tasks])
        self.shares = weights / weights.sum()
        self._counted, self._turns = 0, [0] * len(self.shares)

    def __getitem__(self, step: int) -> Step:
        number = self._task_of(step)
        clips = self.recipe.tasks[number].clips
        turn = step if self.makers[number].size is None else self._turn_of(step, number)
        own = range(turn * clips + self.rank, (turn + 1) * clips, self.ranks)
        parts = self.recipe.parts
        return Step(
            number, tuple(self.makers[number].batch(own[part::parts]) for part in range(parts))
        )

    def __len__(self) -> int:
        return _ENDLESS

    def _task_of(self, step: int) -> int:
        """Number of the task that a step gets."""
        dice = np.random.default_rng([self.recipe.seed, step])
        return int(dice.choice(len(self.shares), p=self.shares))

    def _turn_of(self, step: int, number: int) -> int:
        """How many steps before this one had the same task."""
        if step < self._counted:
            self._counted, self._turns = 0, [0] * len(self.shares)
        while self._counted < step:
            self._turns[self._task_of(self._counted)] += 1
            self._counted += 1
        return self._turns[number]


class _From:
    """All numbers from a first one on."""

    def __init__(self, first: int) -> None:
        self.first = first

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.first, _ENDLESS))

    def __len__(self) -> int:
        return _ENDLESS - self.first
