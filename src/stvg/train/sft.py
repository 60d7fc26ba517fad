"""Supervised training, written out: draw, judge, update, log, validate, save.

A step draws one task by weight and a batch of it. What the batch holds follows from the recipe's
seed and the number of the step alone, so a killed run goes on to the same curve. Losses are means
over clips, rows and tokens of answers of the *whole* step: each part and each process divides by
the counts of all, so that two processes with half a batch each give the curve of one with the
whole, and so do two parts.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from stvg.errors import OutputError, StvgError, UsageError
from stvg.extras import require
from stvg.formats.atomic import atomic_path, check_writable
from stvg.progress import Progress, no_progress
from stvg.train.about import note_start
from stvg.train.batches import steps_from
from stvg.train.checkpoint import LAST
from stvg.train.distributed import sum_over_all
from stvg.train.logs import NUMBERS, Log, Tally, add_up, check_trackers, numbers_of
from stvg.train.optimise import make_optimiser, rate_at, set_rate
from stvg.train.recipe import Recipe, titles_of
from stvg.train.rows import Batch
from stvg.train.starting import Learner, load_learner, without_weights
from stvg.train.state import State, find_state, restore, save
from stvg.train.student import total_loss
from stvg.train.tasks.base import Maker
from stvg.train.validate import check_measures, validate


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
    out, is_main = Path(recipe.out), accelerator.is_main_process
    found = find_state(recipe)
    learner = load_learner(recipe, precision=precision_of(recipe))
    makers, held_out = make_makers(recipe, learner, accelerator.num_processes)
    optimiser = make_optimiser(learner.student, recipe.optimiser)
    state = State() if found is None else restore(found, learner, optimiser)
    student, optimiser = accelerator.prepare(learner.student.train(), optimiser)
    if is_main:
        write_beginning(recipe, state, accelerator)
    log = Log(out / "log.jsonl" if is_main else None, state.step, accelerator)
    autocast = torch.autocast(
        accelerator.device.type, torch.bfloat16, enabled=precision_of(recipe) == "bf16"
    )
    began, cpu_began = time.perf_counter() - state.seconds, time.process_time() - state.cpu_s
    tally, titles = Tally(state.tally), titles_of(recipe.tasks)
    rank, ranks = accelerator.process_index, accelerator.num_processes

    for drawn in steps_from(state.step, recipe, makers, rank, ranks):
        if state.seen >= recipe.end:
            break
        task, title, maker = recipe.tasks[drawn.task], titles[drawn.task], makers[drawn.task]
        rate = rate_at(state.seen, recipe.samples, recipe.optimiser)
        set_rate(optimiser, rate)

        optimiser.zero_grad()
        torch.manual_seed((recipe.seed + state.step) * ranks + rank)  # for dropout
        numbers = judge(accelerator, autocast, student, drawn.parts, task.scales)
        norm = float(accelerator.clip_grad_norm_(student.parameters(), recipe.optimiser.clip))
        check_finite(norm, state.step, title)
        optimiser.step()
        before, state.step, state.seen = state.seen, state.step + 1, state.seen + task.clips
        tally.add(title, numbers)
        state.note_broken(title, maker, drawn.parts)
        progress(min(state.seen, recipe.end), recipe.end)

        is_last = state.seen >= recipe.end
        state.seconds = time.perf_counter() - began
        state.cpu_s = time.process_time() - cpu_began
        where = {"step": state.step, "seen": state.seen}
        if is_last or state.step % recipe.log_every == 0:
            log.write(
                {**where, "rate": rate, "norm": round(norm, 4),
                 "seconds": round(state.seconds, 1), "cpu_s": round(state.cpu_s, 1),
                 "clips_per_s": round(state.seen / max(state.seconds, 1e-9), 2),
                 **tally.take(), **state.tell_broken(accelerator)}
            )  # fmt: skip
        if is_last or crosses(before, state.seen, recipe.validate_every):
            measured = validate(
                recipe, learner.student, learner.backbone, held_out, accelerator, autocast
            )
            if measured:
                log.write({**where, **measured})
        if is_last or state.step % recipe.save_every == 0:
            if is_main:
                state.tally = tally.totals
                save(recipe, learner, optimiser, state)
            accelerator.wait_for_everyone()
    log.close()
    return out / LAST


def start(recipe: Recipe) -> Any:
    """What knows of processes and devices; refuses what cannot work before anything is loaded.

    Raises:
        OutputError: If the run's folder cannot be written to.
        MissingExtraError: If accelerate or a tracker is missing.
        UsageError: If accelerate is set up to split the model over processes, or to accumulate.
    """
    accelerate = require("accelerate", "train", "training")
    check_trackers(recipe.trackers)
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    accelerator = accelerate.Accelerator(
        cpu=not torch.accelerator.is_available(),  # else several processes on CPUs are not seen
        mixed_precision="no",  # see train: precision is the recipe's choice
        log_with=list(recipe.trackers) or None,
        project_dir=recipe.out,
        kwargs_handlers=[accelerate.DistributedDataParallelKwargs(find_unused_parameters=True)],
    )
    if accelerator.distributed_type.value in ("FSDP", "DEEPSPEED", "MEGATRON_LM"):
        raise UsageError(
            f"accelerate is set up for {accelerator.distributed_type.value}, which splits the "
            "model over processes; here each process holds the whole model: launch with "
            "--multi_gpu, and for large models train adapters (lora)"
        )
    if accelerator.gradient_accumulation_steps != 1:
        raise UsageError(
            f"accelerate is set up to accumulate {accelerator.gradient_accumulation_steps} steps; "
            "here the recipe says how many parts a step has (parts=...): launch with "
            "--gradient_accumulation_steps 1"
        )
    out = Path(recipe.out)
    if accelerator.is_main_process:
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"the run's folder {out} cannot be made: {error.strerror}; choose another (out=...)"
            ) from error
        check_writable(out / "recipe.yaml")
    accelerator.wait_for_everyone()
    return accelerator


def precision_of(recipe: Recipe) -> str:
    """``bf16`` or ``fp32``: what the recipe says, or what suits the machine."""
    return recipe.precision or ("bf16" if torch.cuda.is_available() else "fp32")


def make_makers(
    recipe: Recipe, learner: Learner, processes: int
) -> tuple[list[Maker], list[Maker]]:
    """What makes batches for training and for validation.

    Raises:
        UsageError: If a task does not fit the model or the processes, or a file is not there; also
            a file that only validation needs, which may come hours later.
    """
    for task in recipe.tasks:
        if task.clips < recipe.parts * processes:
            raise UsageError(
                f"a step of {task.title} has {task.clips} clips, too few for {processes} processes "
                f"with {recipe.parts} parts each; raise clips or lower parts"
            )
    backbone = without_weights(learner.backbone)
    check_measures(recipe, backbone)
    return (
        [task.maker(backbone) for task in recipe.tasks],
        [task.maker(backbone) for task in recipe.validation],
    )


def write_beginning(recipe: Recipe, state: State, accelerator: Any) -> None:
    """The resolved recipe and where the run is made, and trackers begin."""
    out = Path(recipe.out)
    with atomic_path(out / "recipe.yaml") as temporary:
        temporary.write_text(recipe.to_yaml(), encoding="utf-8")
    note_start(
        out,
        seed=recipe.seed,
        step=state.step,
        processes=accelerator.num_processes,
        device=str(accelerator.device),
    )
    if recipe.trackers:
        accelerator.init_trackers("stvg", config={"out": recipe.out, "recipe": recipe.to_yaml()})


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
    own: dict[str, float] = {}
    for part in parts:
        add_up(own, part.counts)
    counts = sum_over_all(accelerator, own, ("cell", "target", "answer"))
    numbers: dict[str, float] = {}
    for place, part in enumerate(parts, start=1):
        together = nullcontext() if place == len(parts) else accelerator.no_sync(student)
        with together:
            with autocast:
                sums, gauges = student(part.to(accelerator.device))
            loss = total_loss(sums, counts, scales) * accelerator.num_processes
            accelerator.backward(loss)
        add_up(numbers, numbers_of(sums, gauges, part.counts))
    return sum_over_all(accelerator, numbers, NUMBERS)


def check_finite(norm: float, step: int, title: str) -> None:
    """Stop before a step that would leave nothing of the model.

    Args:
        norm: Length of the gradient, before it was cut.
        step: Number of steps done.
        title: Name of the task.

    Raises:
        StvgError: If it is infinite or no number.
    """
    if not math.isfinite(norm):
        raise StvgError(
            f"expected a finite gradient in step {step + 1}, of {title}, found {norm}; nothing of "
            "it was kept. Try a lower optimiser.lr or a longer optimiser.warmup, in another folder "
            "(out=...), from the newest model of this run or from the beginning"
        )


def crosses(before: int, after: int, every: int) -> bool:
    """Whether a multiple of ``every`` lies in (before, after]; never for 0.

    Example:
        >>> crosses(90, 110, 100), crosses(100, 110, 100), crosses(90, 110, 0)
        (True, False, False)
    """
    return bool(every) and after // every > before // every
