"""What all routes share: how they reach the service, and how they say no."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Depends, HTTPException, Request
from pydantic import BaseModel

from stvg.serve.schema import Problem
from stvg.serve.service import Service
from stvg.serve.store import ConflictError, Job, Kind, QueueFullError, Video


async def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


Here = Annotated[Service, Depends(_service)]
"""Gives a route the service."""


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
