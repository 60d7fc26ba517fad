"""How good a model is while it is trained: losses on held-out clips, and answers that it writes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch

from stvg.backbones.qwen import QwenBackbone
from stvg.errors import UsageError
from stvg.evaluate import evaluate
from stvg.evaluate.protocols import find_protocols
from stvg.evaluate.tasks import task_for
from stvg.methods.base import Method
from stvg.predicting.answering import Answerer, answer_here
from stvg.predicting.questions import Job, Questions, jobs_of
from stvg.train.distributed import gather, sum_over_all
from stvg.train.logs import Tally, add_up, names_of, numbers_of
from stvg.train.methods import build_method
from stvg.train.recipe import Evaluate, Recipe, titles_of
from stvg.train.student import Student
from stvg.train.tasks.base import Maker


def validate(
    recipe: Recipe,
    student: Student,
    backbone: QwenBackbone,
    makers: Sequence[Maker],
    accelerator: Any,
    precision: AbstractContextManager[Any],
) -> dict[str, float]:
    """Everything that a recipe asks to be measured.

    Args:
        recipe: The recipe.
        student: The module in training, not wrapped for several processes.
        backbone: The same weights, for writing answers.
        makers: What makes the batches of the recipe's validation tasks.
        accelerator: Shares the work out over processes.
        precision: In which losses are computed.

    Returns:
        Means of losses and gauges as ``val/<task>/...``, with the number of clips that could not be
        used as ``val/<task>/broken`` where there are any; metrics as ``evaluate/...``.

    Raises:
        StvgError: If more clips are broken than a task forgives.
    """
    found: dict[str, float] = {}
    student.eval()
    with torch.no_grad():
        with precision:
            tasks, titles = recipe.validation, titles_of(recipe.validation)
            for task, title, maker in zip(tasks, titles, makers, strict=True):
                count = min(recipe.validate_clips, maker.size or recipe.validate_clips)
                sizes = (max(task.clips // recipe.parts, 1), count)
                found |= _losses(student, maker, sizes, f"val/{title}", accelerator)
        if recipe.evaluate is not None:
            method = build_method(recipe.card, backbone, student.parts)
            found |= _metrics(recipe.evaluate, method, accelerator)
    student.train()
    return found


def check_measures(recipe: Recipe, backbone: QwenBackbone) -> None:
    """Refuse, before any step, a card or a split to write answers on that cannot work.

    Raises:
        UsageError: If the method or its options, a file, the benchmark or the protocol is wrong.
        FormatError: If the annotations cannot be understood.
    """
    if "method" in recipe.card:
        build_method(recipe.card, backbone)
    if recipe.evaluate is not None:
        questions = questions_of(recipe.evaluate)
        _jobs(recipe.evaluate, questions)
        task = task_for(questions.reader.kind, questions.benchmark)
        find_protocols(recipe.evaluate.protocol, task.kind, questions.benchmark)


def questions_of(options: Evaluate) -> Questions:
    """The queries that answers are written to."""
    companions = {name: Path(path) for name, path in options.companions.items()}
    return Questions(options.benchmark, Path(options.annotations), companions, options.limit)


def _losses(
    student: Student, maker: Maker, sizes: tuple[int, int], name: str, accelerator: Any
) -> dict[str, float]:
    """Means over held-out clips; ``sizes`` are clips of a batch and in all."""
    clips, count = sizes
    own = range(accelerator.process_index, count, accelerator.num_processes)
    totals: dict[str, float] = {}
    broken: dict[str, str] = {}
    for first in range(0, len(own), clips):
        batch = maker.batch(own[first : first + clips]).to(accelerator.device)
        broken |= batch.broken
        if not batch.videos:
            continue
        sums, gauges = student(batch)
        add_up(totals, numbers_of(sums, gauges, batch.counts))
    tally = Tally()
    tally.add(name, sum_over_all(accelerator, totals, names_of(student)))
    known = {**maker.broken, **dict(gather(accelerator, list(broken.items())))}
    maker.check_broken(known)
    return {**tally.take(), **({f"{name}/broken": len(known)} if known else {})}


def _metrics(options: Evaluate, method: Method, accelerator: Any) -> dict[str, float]:
    """Metrics of answers that the processes write, each to every n-th video."""
    questions = questions_of(options)
    own = _jobs(options, questions)[accelerator.process_index :: accelerator.num_processes]
    answerer = Answerer(method, questions.reader.media, threads=1)
    lines = [line for outcome in answer_here(answerer, own) for line in outcome.lines]
    lines = gather(accelerator, lines)
    report = evaluate(
        options.benchmark,
        questions.records(with_truth=True),
        lines,
        protocol=options.protocol,
        resamples=0,
    )
    failed = sum(len(each) for each in report.failures.values())
    found = {f"evaluate/{name}": round(value, 5) for name, value in report.metrics.items()}
    return {**found, "evaluate/queries": report.queries, "evaluate/failed": failed}


def _jobs(options: Evaluate, questions: Questions) -> list[Job]:
    """The videos with the queries on each."""
    folder = Path(options.videos) if options.videos is not None else questions.videos_beside
    if folder is None:
        raise UsageError(
            f"expected a folder with the videos of {options.annotations}; name it as "
            "evaluate.videos"
        )
    return jobs_of(questions.records(), questions.reader, folder)
