"""Supervised training, written out: draw, judge, update, log, validate, save.

A step draws one task by weight and a batch of it. What the batch holds follows from the recipe's
seed and the number of the step alone, so a killed run goes on to the same curve. Losses are means
over clips, rows and tokens of answers of the *whole* step: each part and each process divides by
the counts of all, so that two processes with half a batch each give the curve of one with the
whole, and so do two parts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch

from stvg.progress import Progress, no_progress
from stvg.train.batches import steps_from
from stvg.train.distributed import sum_over_all
from stvg.train.keeper import Keeper
from stvg.train.logs import add_up, families_of, names_of, numbers_of
from stvg.train.optimise import make_optimiser, rate_at, set_rate
from stvg.train.recipe import Recipe, titles_of
from stvg.train.rows import Batch
from stvg.train.running import check_finite, make_makers, precision_of, start
from stvg.train.starting import load_learner
from stvg.train.state import State, find_state, restore
from stvg.train.student import total_loss


def train(recipe: Recipe, *, progress: Progress = no_progress) -> Path:
    """Train as a recipe says; a run that was stopped goes on.

    Args:
        recipe: What to do.
        progress: Called with the samples seen and in all.

    Returns:
        The folder of the newest model.

    Raises:
        UsageError: If the run's folder belongs to another recipe, or an option does not fit.
        WeightsError: If the model that it starts from cannot be had.
        MissingExtraError: If a package is missing.
        OutputError: If a checkpoint or the log cannot be written.
        StvgError: If too many clips of a task are broken, or a gradient is not finite.
    """
    accelerator = start(recipe)
    found = find_state(recipe)
    learner = load_learner(recipe, precision=precision_of(recipe))
    makers, held_out = make_makers(recipe, learner, accelerator.num_processes)
    optimiser = make_optimiser(learner.student, recipe.optimiser)
    state = State() if found is None else restore(found, learner, optimiser)
    student, optimiser = accelerator.prepare(learner.student.train(), optimiser)
    autocast = partial(
        torch.autocast,
        accelerator.device.type,
        torch.bfloat16,
        enabled=precision_of(recipe) == "bf16",
    )
    keeper = Keeper(recipe, accelerator, learner, optimiser, state, held_out, autocast, progress)
    titles = titles_of(recipe.tasks)
    rank, ranks = accelerator.process_index, accelerator.num_processes

    for drawn in steps_from(state.drawn, recipe, makers, rank, ranks):
        if state.seen >= recipe.end:
            break
        task, title, maker = recipe.tasks[drawn.task], titles[drawn.task], makers[drawn.task]
        rate = rate_at(state.seen, recipe.samples, recipe.optimiser)
        set_rate(optimiser, rate)

        optimiser.zero_grad()
        torch.manual_seed((recipe.seed + state.step) * ranks + rank)  # for dropout
        numbers = judge(accelerator, autocast(), student, drawn.parts, task.scales)
        norm = float(accelerator.clip_grad_norm_(student.parameters(), recipe.optimiser.clip))
        check_finite(norm, state.step, title)
        optimiser.step()

        before, state.seen = state.seen, state.seen + task.clips
        state.step, state.drawn = state.step + 1, state.drawn + 1
        state.note_broken(title, maker, drawn.parts)
        keeper.tally.add(title, numbers)
        keeper.after_step(before, {"rate": rate, "norm": round(norm, 4)})
    return keeper.close()


def judge(
    accelerator: Any,
    autocast: Any,
    student: Any,
    parts: Sequence[Batch],
    scales: Mapping[str, float],
) -> dict[str, float]:
    """Losses of a step and their gradients.

    Args:
        accelerator: Of accelerate.
        autocast: The precision of the computation, as a context.
        student: The module, wrapped for several processes where there are several.
        parts: The step's batches in this process.
        scales: Weight of each family of losses.

    Returns:
        Sums over all parts and processes; see :func:`numbers_of`.
    """
    plain = accelerator.unwrap_model(student)
    own: dict[str, float] = {}
    for part in parts:
        add_up(own, part.counts)
    counts = sum_over_all(accelerator, own, families_of(plain))
    numbers: dict[str, float] = {}
    for place, part in enumerate(parts, start=1):
        together = nullcontext() if place == len(parts) else accelerator.no_sync(student)
        with together:
            with autocast:
                sums, gauges = student(part.to(accelerator.device))
            loss = total_loss(sums, counts, scales, plain.weights) * accelerator.num_processes
            accelerator.backward(loss)
        add_up(numbers, numbers_of(sums, gauges, part.counts))
    return sum_over_all(accelerator, numbers, names_of(plain))
