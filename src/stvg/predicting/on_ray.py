"""Answering on a Ray cluster: a Ray Data pipeline of processes that each hold the method.

The same per-video work as on one machine (:class:`stvg.predicting.answering.Answerer`) and the same
lines, which the starting process writes as they arrive, in no particular order. Every machine must
see videos and weights under the same paths. A cluster is found as Ray finds it (``RAY_ADDRESS``);
without one, Ray is started on this machine.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from stvg.errors import StvgError
from stvg.extras import require

from .answering import MethodSpec, Outcome, answer_here
from .questions import Job


def load_ray() -> tuple[ModuleType, ModuleType]:
    """Ray and Ray Data.

    Raises:
        MissingExtraError: If Ray is not installed.
    """
    return require("ray", "ray", "the engine ray"), require("ray.data", "ray", "the engine ray")


def answer_on_ray(
    spec: MethodSpec, jobs: Sequence[Job], *, batch: int = 1, workers: int = 1, gpus: float = 0
) -> Iterator[Outcome]:
    """Answer jobs by several processes.

    Args:
        spec: What builds the method in every process.
        jobs: The jobs.
        batch: Videos in one call of the model.
        workers: Processes.
        gpus: GPUs that each of them holds.

    Yields:
        An outcome a job, in the order in which they are done.

    Raises:
        MissingExtraError: If Ray is not installed.
        StvgError: If a process fails for more than one video's sake.
    """
    ray, data = load_ray()
    if not jobs:
        return
    was_running = ray.is_initialized()
    if not was_running:
        ray.init(log_to_driver=False, logging_level="error")
    try:
        data.DataContext.get_current().enable_progress_bars = False
        # Pickled, because the columns of Ray Data are Arrow's, which knows no objects.
        rows = [{"job": pickle.dumps(job)} for job in jobs]
        blocks = min(len(rows), max(4 * workers, -(-len(rows) // batch)))
        found = data.from_items(rows, override_num_blocks=blocks).map_batches(
            _Process,
            fn_constructor_args=(spec,),
            batch_size=batch,
            compute=data.ActorPoolStrategy(size=workers),
            num_cpus=1,
            num_gpus=gpus,
        )
        for row in found.iter_rows():
            yield pickle.loads(row["outcome"])  # noqa: S301  our own process wrote it
    except ray.exceptions.RayError as error:
        reason = str(error).strip().splitlines()[-1]
        raise StvgError(f"the pipeline on Ray stopped: {reason}; lines so far are kept") from error
    finally:
        if not was_running:
            ray.shutdown()


class _Process:
    """A process of the pipeline; loads the method once."""

    def __init__(self, spec: MethodSpec) -> None:
        self._answerer = spec.build()

    def __call__(self, rows: dict[str, Any]) -> dict[str, Any]:
        """Answer a block of jobs in one call of the model."""
        jobs = [pickle.loads(job) for job in rows["job"]]  # noqa: S301  as above
        outcomes = answer_here(self._answerer, jobs, batch=len(jobs))
        return {"outcome": np.array([pickle.dumps(each) for each in outcomes], dtype=object)}
