"""A run: queries in, lines out; stopped and continued at will.

:func:`predict` runs a method, :func:`predict_baseline` a trivial baseline; both write the same
files (:mod:`stvg.predicting.journal`) and end with the same :class:`Summary`. Queries that have a
line are not asked again. A run in which too many queries fail stops, because something is wrong
that more hours do not mend.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from stvg import __version__
from stvg.data.base import TubeRecord
from stvg.errors import UsageError
from stvg.methods.base import Method
from stvg.progress import Stages, no_stages

from .answering import MethodSpec, Outcome, answer_here, failed_line, reason_of
from .baselines import Baseline
from .journal import fingerprint
from .questions import Job, Questions, jobs_of
from .start import PredictConfig, Start, write_lines
from .summary import Summary

_Engine = Callable[[Sequence[Job]], Iterator[Outcome]]


def predict(
    questions: Questions,
    out: str | Path,
    method: str | Method,
    *,
    videos: str | Path | None = None,
    model: str | None = None,
    options: Sequence[str] = (),
    config: PredictConfig | None = None,
    stages: Stages = no_stages,
) -> Summary:
    """Run a method over the queries of a benchmark.

    Args:
        questions: What is asked.
        out: The predictions JSONL to write or continue.
        method: Name of a method, ``file.py:Class``, or a built method.
        videos: Folder with the videos or pictures; None for the one beside annotations that
            ``stvg world`` wrote.
        model: Model, detector or checkpoint; None for the method's default.
        options: The method's options as ``key=value`` texts.
        config: How to go about it.
        stages: Told the queries that are answered and those that failed.

    Returns:
        What was done.

    Raises:
        UsageError: If an option is wrong, or ``out`` belongs to a run with other settings.
        FormatError: If the annotations or the file to be continued are not in order.
        OutputError: If ``out`` cannot be written.
        StvgError: If more queries fail than ``config.max_errors`` allows.
    """
    config = config or PredictConfig()
    records = questions.records()
    folder = _folder(questions, videos)
    jobs = jobs_of(records, questions.reader, folder)
    _check_missing(jobs, len(records), config.max_errors)
    spec = MethodSpec(method, model, tuple(options), questions.reader.media, config.threads)
    answer = _engine(spec, jobs, config)
    settings = {
        **_settings(questions),
        "method": method if isinstance(method, str) else method.name,
        "method_sha256": _own_file(method),
        "model": model,
        "options": list(options),
    }
    ids = tuple(record.id for record in records)
    start = Start(questions, ids, Path(out), config, settings, folder)
    return write_lines(start, lambda done: answer(_without(jobs, done)), stages)


def predict_baseline(
    questions: Questions,
    out: str | Path,
    baseline: Baseline,
    *,
    config: PredictConfig | None = None,
    stages: Stages = no_stages,
) -> Summary:
    """Answer the queries of a benchmark by a baseline, which knows some of the truth.

    Args:
        questions: What is asked.
        out: The predictions JSONL to write or continue.
        baseline: See :mod:`stvg.predicting.baselines`.
        config: How to go about it.
        stages: Told the queries that are answered and those that failed.

    Raises:
        UsageError: If the baseline has no answer to this kind of question.
        StvgError: As :func:`predict`.
    """
    reader = questions.reader
    if baseline.name != "middle_box" and not issubclass(reader.kind, TubeRecord):
        raise UsageError(
            f"{baseline.name} answers with tubes of objects, which {reader.title} does not ask for"
        )
    records = questions.records(with_truth=True)

    def outcomes(done: frozenset[str]) -> Iterator[Outcome]:
        for record in records:
            if record.id not in done:
                try:
                    line = baseline.answer(record)
                except UsageError as error:
                    line = failed_line(record, reason_of(error))
                yield Outcome(record.media, (line,))

    settings = {
        **_settings(questions),
        "baseline": {"name": baseline.name, "knows": baseline.knows, **baseline.settings},
    }
    start = Start(
        questions,
        tuple(record.id for record in records),
        Path(out),
        config or PredictConfig(),
        settings,
        baseline=baseline,
    )
    return write_lines(start, outcomes, stages)


def _folder(questions: Questions, videos: str | Path | None) -> Path:
    """The folder with the videos: the one that was named, or the one beside the annotations."""
    folder = Path(videos) if videos is not None else questions.videos_beside
    if folder is None:
        raise UsageError(
            f"expected a folder with the videos of {questions.annotations}; name it with --videos"
        )
    return folder


def _engine(spec: MethodSpec, jobs: Sequence[Job], config: PredictConfig) -> _Engine:
    """What answers jobs. On this machine the method is built and tried now, before any output."""
    if config.engine == "local":
        answerer = spec.build()
        answerer.check(jobs)
        return partial(answer_here, answerer, batch=config.batch, workers=config.workers)
    if isinstance(spec.method, Method):
        raise UsageError("the engine ray needs the name of a method, found a built one")
    from .on_ray import answer_on_ray, load_ray

    load_ray()
    return partial(
        answer_on_ray, spec, batch=config.batch, workers=config.workers, gpus=config.gpus
    )


def _check_missing(jobs: Sequence[Job], total: int, max_errors: float) -> None:
    """Refuse, before any work, a folder that lacks too many of the videos."""
    lacking = [job for job in jobs if job.problem is not None]
    queries = sum(len(job.records) for job in lacking)
    if queries > max_errors * total:
        raise UsageError(
            f"{queries} of {total} queries have no file to look at, more than --max-errors "
            f"{max_errors:g} allows; the first: {lacking[0].problem}"
        )


def _without(jobs: Sequence[Job], done: frozenset[str]) -> list[Job]:
    """Jobs with the queries that have no line yet."""
    left = [
        replace(job, records=tuple(each for each in job.records if each.id not in done))
        for job in jobs
    ]
    return [job for job in left if job.records]


def _settings(questions: Questions) -> dict[str, Any]:
    """What all lines of a file share, apart from the method."""
    file, mark, split = str(questions.annotations).partition("#")  # refs(unc).p#testA
    return {
        "stvg": __version__,
        "benchmark": questions.benchmark,
        "annotations_sha256": f"{fingerprint(Path(file))}{mark}{split}",
        "companions": {name: fingerprint(path) for name, path in questions.companions.items()},
    }


def _own_file(method: str | Method) -> str | None:
    """A mark of the user's own file that a method is in, or None."""
    place = method.rpartition(":")[0] if isinstance(method, str) else ""
    return fingerprint(Path(place)) if place.endswith(".py") else None
