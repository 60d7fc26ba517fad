"""Jobs: sentences on a video, asked of one method or several."""

from __future__ import annotations

import unicodedata
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, HTTPException, Query, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool

from stvg.errors import UsageError
from stvg.serve.schema import JobBody, JobPart
from stvg.serve.service import Service
from stvg.serve.settings import Settings
from stvg.serve.store import ENDED, ConflictError, Job, State

from .common import Here, job_of, problems, queue, video_of

router = APIRouter(prefix="/api/jobs", tags=["jobs"])

IdempotencyKey = Annotated[
    str | None,
    Header(min_length=1, max_length=200, description="A name that you give this request: sent "
           "again after a lost answer, it gives the same job and no second one."),
]  # fmt: skip


_REFUSED: dict[str, Any] = {
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
}
"""A refusal by a route whose answer is otherwise no JSON, for its description."""


@router.post(
    "",
    status_code=201,
    responses=problems(404, 409, 413, 422, 429, ok=JobPart),
)
def submit(
    service: Here, body: JobBody, response: Response, idempotency_key: IdempotencyKey = None
) -> JobPart:
    """Queue a job: find every sentence by every method named.

    Many sentences cost little more than one, because the video is looked at once.
    """
    video = video_of(service, body.video)
    if video.state == "refused":
        raise HTTPException(422, f"the video was refused: {video.reason}")
    request = {
        "queries": _checked(body.queries, service.settings),
        "methods": _offered(body.methods, service.settings),
    }
    key = None if idempotency_key is None else f"client:{idempotency_key}"
    job, is_new = queue(service, "ground", video.id, request, key)
    response.status_code = 201 if is_new else 200
    return service.show_job(job)


@router.get("", responses=problems())
def jobs(
    service: Here,
    video: Annotated[str | None, Query(description="Only those on this video.")] = None,
    state: State | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[JobPart]:
    """Jobs, the latest first."""
    found = service.store.jobs(video_id=video, state=state, limit=limit)
    return [service.show_job(job) for job in found]


@router.get("/{job_id}", responses=problems(404))
async def job(service: Here, job_id: str) -> JobPart:
    """One job and how far it is."""
    # Asked most of all, and one row by its index: read here, sooner than a thread would begin.
    return service.show_job(job_of(service, job_id))


async def _watched(service: Here, job_id: str) -> Job:
    return await run_in_threadpool(job_of, service, job_id)


@router.get(
    "/{job_id}/events",
    response_class=EventSourceResponse,
    responses=dict.fromkeys((401, 403, 404, 422), _REFUSED),
)
async def events(
    service: Here, watched: Annotated[Job, Depends(_watched)]
) -> AsyncIterator[ServerSentEvent]:
    """The job whenever something about it changes, as server-sent events named `job`.

    The stream ends with the job. A client that was cut off asks again and misses nothing that
    matters, because every event holds the whole job.
    """
    async with aclosing(service.events.changes(watched.id)) as changes:
        async for _ in changes:
            part = await run_in_threadpool(_shown, service, watched.id)
            if part is None:
                return  # deleted
            yield ServerSentEvent(event="job", data=part)
            if part.state in ENDED:
                return


@router.post("/{job_id}/cancel", responses=problems(404))
def cancel(service: Here, job_id: str) -> JobPart:
    """Cancel a job; one that has ended stays as it is.

    A running job stops within seconds: its state is `running` until then.
    """
    known = job_of(service, job_id)
    if service.store.cancel(known.id) == "running":
        service.workers.cancel(known.id)
    service.events.publish(known.id)
    return service.show_job(job_of(service, job_id))


@router.delete("/{job_id}", status_code=204, responses=problems(404, 409))
def delete(service: Here, job_id: str) -> None:
    """Delete a job with its predictions, corrections and films."""
    try:
        service.forget_job(job_of(service, job_id).id)
    except ConflictError as error:
        raise HTTPException(409, str(error)) from error


def _shown(service: Service, job_id: str) -> JobPart | None:
    found = service.store.job(job_id)
    return None if found is None else service.show_job(found)


def _checked(queries: list[str], settings: Settings) -> list[str]:
    """Sentences without blanks around them, if they are plain text and not too many or long."""
    if len(queries) > settings.queries:
        raise HTTPException(
            422,
            f"expected at most {settings.queries} sentences in a job, found "
            f"{len(queries)}; make it several jobs",
        )
    sentences = [query.strip() for query in queries]
    for number, sentence in enumerate(sentences):
        if not 1 <= len(sentence) <= settings.sentence:
            raise HTTPException(
                422,
                f"expected sentences of 1 to {settings.sentence} characters, "
                f"found {len(sentence)} in sentence {number}",
            )
        odd = [mark for mark in sentence if unicodedata.category(mark)[0] == "C"]
        if odd:
            raise HTTPException(
                422,
                "expected plain text without control characters, "
                f"found U+{ord(odd[0]):04X} in sentence {number}",
            )
    return sentences


def _offered(names: list[str] | None, settings: Settings) -> list[str]:
    """Names of offers, each once."""
    if names is None:
        return [settings.offers[0].name]
    try:
        return list(dict.fromkeys(settings.offer(name).name for name in names))
    except UsageError as error:
        raise HTTPException(422, str(error)) from error
