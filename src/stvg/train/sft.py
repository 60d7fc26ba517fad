"""Supervised training, written out: draw, read, judge, update, log, save.

A step draws one task by weight and a batch of it. What the batch holds follows from the recipe's
seed and the number of the step alone, so a killed run goes on to the same curve. Losses are means
over clips, rows and tokens of answers of the *whole* step: each process divides by the counts of
all, so that two processes with half a batch each give the curve of one with the whole.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from stvg.errors import UsageError
from stvg.progress import Progress, no_progress
from stvg.train.checkpoint import HEADS, load_state, save_model, save_state
from stvg.train.logs import Log, Tally
from stvg.train.optimise import make_optimiser, rate_at, set_rate
from stvg.train.recipe import Recipe
from stvg.train.rows import Batch
from stvg.train.student import Student, total_loss
from stvg.train.tasks.world import WorldMaker


def train(recipe: Recipe, *, progress: Progress = no_progress) -> Path:
    """Train as a recipe says; a run that was stopped goes on.

    Args:
        recipe: What to do.
        progress: Called with the samples seen and in all.

    Returns:
        The folder of the newest model.

    Raises:
        UsageError: If the run's folder belongs to another recipe.
        OutputError: If a checkpoint cannot be written.
    """
    import accelerate
    import torch

    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    torch.manual_seed(recipe.seed)
    accelerator = accelerate.Accelerator(
        kwargs_handlers=[accelerate.DistributedDataParallelKwargs(find_unused_parameters=True)]
    )
    out = Path(recipe.out)
    model, tokenizer = _starting_model(recipe)
    student = Student(model, tokenizer, recipe.softness)
    _load_heads(student, recipe)
    optimiser = make_optimiser(student, recipe.optimiser)
    steps, seen = 0, 0
    state = load_state(out / "state.pt")
    if state is not None:
        if state["recipe"] != _what_decides(recipe):
            raise UsageError(
                f"{out} holds a run of another recipe; choose another folder (out=...), or remove "
                "that one"
            )
        student.load_state_dict(state["student"])
        optimiser.load_state_dict(state["optimiser"])
        steps, seen = state["step"], state["seen"]
    if accelerator.is_main_process:
        out.mkdir(parents=True, exist_ok=True)
        (out / "recipe.yaml").write_text(recipe.to_yaml())
    student, optimiser = accelerator.prepare(student.train(), optimiser)
    bare = accelerator.unwrap_model(student)
    makers = [WorldMaker(task, tokenizer, bare.layout, bare.rule) for task in recipe.tasks]
    log = Log(out / "log.jsonl", steps) if accelerator.is_main_process else None
    tally, began = Tally(), time.perf_counter()

    for number, batch in _batches(recipe, makers, accelerator, steps):
        if seen >= recipe.samples:
            break
        task, name = recipe.tasks[number], recipe.tasks[number].title
        rate = rate_at(seen, recipe.samples, recipe.optimiser)
        set_rate(optimiser, rate)
        sums, gauges = student(batch)
        counts = _over_all(accelerator, batch.counts)
        scale = {"answer": 1.0, "cell": task.dense, "target": task.target}
        loss = total_loss(sums, counts, scale) * accelerator.num_processes
        optimiser.zero_grad()
        accelerator.backward(loss)
        norm = accelerator.clip_grad_norm_(student.parameters(), recipe.optimiser.clip)
        optimiser.step()
        steps, seen = steps + 1, seen + task.clips
        progress(min(seen, recipe.samples), recipe.samples)

        sums = {loss: float(value.detach()) for loss, value in sums.items()}
        tally.add_losses(name, _over_all(accelerator, sums), counts)
        tally.add_gauges(name, gauges)
        if log and steps % recipe.log_every == 0:
            took = time.perf_counter() - began
            log.write(
                {"step": steps, "seen": seen, "rate": rate, "norm": round(float(norm), 4),
                 "seconds": round(took, 1), "cpu_s": round(time.process_time(), 1), **tally.take()}
            )  # fmt: skip
        if accelerator.is_main_process and (
            steps % recipe.save_every == 0 or seen >= recipe.samples
        ):
            card = {"format": "stvg.checkpoint/1", "seen": seen, **recipe.card}
            save_model(out / "last", bare.model, tokenizer, bare.heads, card)
            save_state(
                out / "state.pt",
                {"student": bare.state_dict(), "optimiser": optimiser.state_dict(), "step": steps,
                 "seen": seen, "recipe": _what_decides(recipe)},
            )  # fmt: skip
    if log:
        log.close()
    accelerator.wait_for_everyone()
    return out / "last"


def _batches(
    recipe: Recipe, makers: list[WorldMaker], accelerator: Any, first: int
) -> Iterator[tuple[int, Batch]]:
    """The task and this process's part of the batch of every step from ``first`` on."""
    import torch

    steps = _Steps(recipe, makers, accelerator.process_index, accelerator.num_processes)
    loader = torch.utils.data.DataLoader(
        steps,
        sampler=_From(first),
        batch_size=None,
        num_workers=recipe.workers,
        prefetch_factor=4 if recipe.workers else None,
    )
    for number, batch in loader:
        yield number, batch


class _Steps:
    """A map from the number of a step to its task and batch."""

    def __init__(self, recipe: Recipe, makers: list[WorldMaker], rank: int, ranks: int) -> None:
        self.recipe, self.makers, self.rank, self.ranks = recipe, makers, rank, ranks
        weights = np.array([task.weight for task in recipe.tasks])
        self.shares = weights / weights.sum()

    def __getitem__(self, step: int) -> tuple[int, Batch]:
        dice = np.random.default_rng([self.recipe.seed, step])
        number = int(dice.choice(len(self.shares), p=self.shares))
        count = self.recipe.tasks[number].clips
        clips = range(step * count + self.rank, (step + 1) * count, self.ranks)
        return number, self.makers[number].batch(clips)

    def __len__(self) -> int:
        return 2**62


class _From:
    """All numbers from a first one on."""

    def __init__(self, first: int) -> None:
        self.first = first

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.first, 2**62))

    def __len__(self) -> int:
        return 2**62 - self.first


def _over_all(accelerator: Any, numbers: dict[str, Any]) -> dict[str, float]:
    """Numbers added up over all processes."""
    if accelerator.num_processes == 1:
        return {name: float(number) for name, number in numbers.items()}
    import torch

    values = torch.tensor([float(number) for number in numbers.values()], dtype=torch.float64)
    total = accelerator.reduce(values.to(accelerator.device), reduction="sum")
    return dict(zip(numbers, total.tolist(), strict=True))


def _starting_model(recipe: Recipe) -> tuple[Any, Any]:
    """The model and tokenizer that a recipe starts from."""
    from stvg.backbones.qwen import QwenBackbone
    from stvg.train.fresh import fresh_model, fresh_tokenizer

    if recipe.fresh is not None:
        return fresh_model(recipe.fresh), fresh_tokenizer()
    assert recipe.model is not None
    backbone = QwenBackbone.load(recipe.model, dtype="float32")
    return backbone.model, backbone.tokenizer


def _load_heads(student: Student, recipe: Recipe) -> None:
    """Take over the dense heads of the checkpoint that a recipe starts from, if it has any."""
    from safetensors.torch import load_file

    path = Path(recipe.model or "") / HEADS
    if recipe.model and student.heads is not None and path.is_file():
        student.heads.load_state_dict(load_file(path))


def _what_decides(recipe: Recipe) -> dict[str, Any]:
    """The part of a recipe that decides the curve."""
    ways = {"out", "workers", "threads", "log_every", "save_every"}
    return recipe.model_dump(mode="json", exclude=ways)
