"""What every training loop does at its beginning and its end, whatever it learns."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

import torch

from stvg.errors import OutputError, StvgError, UsageError
from stvg.extras import require
from stvg.formats.atomic import atomic_path, check_writable
from stvg.train.about import note_start
from stvg.train.logs import check_trackers
from stvg.train.recipe import Recipe
from stvg.train.starting import Learner, without_weights
from stvg.train.state import State
from stvg.train.tasks.base import Maker
from stvg.train.validate import check_measures


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


def precision_of(recipe: Recipe) -> Literal["bf16", "fp32"]:
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
