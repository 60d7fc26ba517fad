"""What all routes share: how they reach the service, and how they say no."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import Depends, HTTPException, Query, Request
from pydantic import BaseModel

from stvg.serve.schema import Problem
from stvg.serve.service import Service
from stvg.serve.store import ConflictError, Job, Kind, QueueFullError, Version, Video


async def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


Here = Annotated[Service, Depends(_service)]
"""Gives a route the service."""


MethodQuery = Annotated[
    str | None,
    Query(description="Which method's answers; may be left out where the job asked only one."),
]

WhichQuery = Annotated[
    Literal["latest", "original"], Query(description="With corrections, or without.")
]

VIDEO: dict[int | str, dict[str, Any]] = {
    200: {"content": {"video/*": {"schema": {"type": "string", "format": "binary"}}}}
}
"""The answer of a route that gives out a video, for its description."""


def problems(*statuses: int, ok: type[BaseModel] | None = None) -> dict[int | str, dict[str, Any]]:
    """What a route may answer, for its description.

    Args:
        *statuses: With which it may refuse, besides those of the guard.
        ok: What its body is with 200, where that is not what the function gives.
    """
    models: dict[int, type[BaseModel]] = dict.fromkeys((401, 403, *statuses), Problem)
    if ok is not None:
        models[200] = ok
    return {status: {"model": model} for status, model in sorted(models.items())}


def video_of(service: Service, video_id: str) -> Video:
    """The video of an id.

    Raises:
        HTTPException: 404 if there is none.
    """
    video = service.store.video(video_id)
    if video is None:
        raise HTTPException(404, "there is no video of this id; GET /api/videos lists all")
    return video


def job_of(service: Service, job_id: str) -> Job:
    """The job of an id.

    Raises:
        HTTPException: 404 if there is none.
    """
    job = service.store.job(job_id)
    if job is None or job.kind == "look":
        raise HTTPException(404, "there is no job of this id; GET /api/jobs lists them")
    return job


def ready_video_of(service: Service, video_id: str) -> Video:
    """The video of an id, which a worker has looked at and taken.

    Raises:
        HTTPException: 404 if there is none, 409 if it is new or refused.
    """
    video = video_of(service, video_id)
    if video.state != "ready":
        why = f": {video.reason}" if video.reason else "; a worker looks at it soon"
        raise HTTPException(409, f"expected a video that is ready, this one is {video.state}{why}")
    return video


def method_of(job: Job, name: str | None) -> str:
    """The method that is meant.

    Raises:
        HTTPException: 422 if the job did not ask it, or asked several and none is named.
    """
    asked: list[str] = list(job.request.get("methods", []))
    if name is None and len(asked) == 1:
        return asked[0]
    if name not in asked:
        raise HTTPException(
            422,
            "expected the name of a method that this job asked as ?method=..., "
            f"one of {', '.join(asked) or 'none'}",
        )
    return name


def answers_of(
    service: Service, job: Job, method: str, which: Literal["latest", "original"] = "latest"
) -> list[Version]:
    """A method's answers to all queries of a job that is done.

    Raises:
        HTTPException: 409 if the job is not done, 404 if the method gave no answer.
    """
    if job.state != "done":
        raise HTTPException(409, f"the job is {job.state}; only one that is done has predictions")
    found = service.store.predictions(job.id, method, original=which == "original")
    if not found:
        raise HTTPException(404, f"{method} gave no answer: {job.problems.get(method)}")
    return found


def queue(
    service: Service,
    kind: Kind,
    video_id: str,
    request: Mapping[str, Any],
    key: str | None = None,
) -> tuple[Job, bool]:
    """Queue a job; see ``Store.add_job``.

    Raises:
        HTTPException: 409 if the state of things forbids it, 429 with ``Retry-After`` if as many
            jobs wait as may wait.
    """
    settings = service.settings
    try:
        job, is_new = service.store.add_job(kind, video_id, request, key=key, room=settings.queue)
    except ConflictError as error:
        raise HTTPException(409, str(error)) from error
    except QueueFullError as error:
        # By then about a tenth of the queue has been worked off.
        wait_s = service.store.seconds_a_job() * settings.queue / settings.workers / 10
        headers = {"Retry-After": str(min(max(1, math.ceil(wait_s)), 60))}
        raise HTTPException(429, str(error), headers) from error
    service.workers.wake()
    return job, is_new


def queue_film(
    service: Service, kind: Kind, video_id: str, request: Mapping[str, Any], film: Path, key: str
) -> tuple[Job, bool]:
    """Queue the job that makes a film, unless there is one; a job that failed is done again.

    Args:
        service: The service.
        kind: ``preview`` or ``overlay``.
        video_id: Of which video.
        request: What is asked for.
        film: Where the film lies once it is made.
        key: The same for the same film.

    Returns:
        The job, and whether it is new.

    Raises:
        HTTPException: As :func:`queue`.
    """
    known = service.store.job_of_key(key)
    if known is not None and (
        known.state in ("failed", "cancelled") or (known.state == "done" and not film.is_file())
    ):
        service.forget_job(known.id)
    return queue(service, kind, video_id, request, key)
