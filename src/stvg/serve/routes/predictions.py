"""What a job found: documents, corrections beside them, the film.

A correction never replaces what was there: it is the next version of the answer to one query.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi import Path as PathPart
from fastapi.responses import FileResponse
from starlette.concurrency import run_in_threadpool

from stvg.errors import FormatError
from stvg.formats.prediction import LIST_FORMAT, PredictionFile, PredictionsFile, read_prediction
from stvg.serve.schema import JobPart, VersionPart
from stvg.serve.service import Service
from stvg.serve.store import Job, Version

from .common import (
    VIDEO,
    Here,
    MethodQuery,
    WhichQuery,
    answers_of,
    job_of,
    method_of,
    problems,
    queue_film,
    video_of,
)

router = APIRouter(prefix="/api/jobs/{job_id}", tags=["predictions"])

_SAME_FIELDS = ("width", "height", "fps", "frames")

QueryNumber = Annotated[int, PathPart(ge=0, le=10**6, description="Number of the query, from 0.")]


@router.get(
    "/predictions",
    response_class=Response,
    responses=problems(404, 409, 422, ok=PredictionsFile),
)
def predictions(
    service: Here,
    job_id: str,
    method: MethodQuery = None,
    which: WhichQuery = "latest",
) -> Response:
    """The answers of a method to all queries, a `stvg.predictions/1` document."""
    job = job_of(service, job_id)
    found = answers_of(service, job, method_of(job, method), which)
    parts = ",\n".join(each.document for each in found)
    return _document(f'{{"format": "{LIST_FORMAT}", "predictions": [\n{parts}\n]}}\n')


@router.get(
    "/predictions/{query}/versions",
    responses=problems(404, 409, 422),
)
def versions(
    service: Here, job_id: str, query: QueryNumber, method: MethodQuery = None
) -> list[VersionPart]:
    """The versions of the answer to one query; the first is the method's."""
    job = job_of(service, job_id)
    return [VersionPart.of(each) for each in _versions(service, job, method, query)]


@router.get(
    "/predictions/{query}/versions/{version}",
    response_class=Response,
    responses=problems(404, 409, 422, ok=PredictionFile),
)
def version(
    service: Here, job_id: str, query: QueryNumber, version: int, method: MethodQuery = None
) -> Response:
    """One version of the answer to one query, a `stvg.prediction/1` document."""
    job = job_of(service, job_id)
    for each in _versions(service, job, method, query):
        if each.version == version:
            return _document(each.document + "\n")
    raise HTTPException(404, f"there is no version {version} of this answer")


@router.post(
    "/predictions/{query}/versions",
    status_code=201,
    responses=problems(404, 409, 413, 415, 422),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/PredictionFile"}}
            },
        }
    },
)
async def correct(
    service: Here, request: Request, job_id: str, query: QueryNumber, method: MethodQuery = None
) -> VersionPart:
    """Save a corrected answer to one query, a `stvg.prediction/1` document, as its next version."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise HTTPException(415, "expected a stvg.prediction/1 document as application/json")
    body = await request.body()
    return await run_in_threadpool(_correct, service, job_id, query, method, body)


@router.post(
    "/overlay",
    status_code=201,
    responses=problems(404, 409, 422, 429, ok=JobPart),
)
def draw(service: Here, response: Response, job_id: str, method: MethodQuery = None) -> JobPart:
    """Have the film drawn of a method's latest answers; gives the job that does it.

    Asked again, gives the same job until there is a new correction.
    """
    job = job_of(service, job_id)
    name = method_of(job, method)
    film = _film(service, job, name)
    request = {"of": job.id, "method": name, "file": film.name}
    drawing, is_new = queue_film(
        service, "overlay", job.video, request, film, f"overlay:{film.name}"
    )
    response.status_code = 201 if is_new else 200
    return service.show_job(drawing)


@router.get(
    "/overlay", response_class=FileResponse, responses=VIDEO | problems(400, 404, 409, 416, 422)
)
def overlay(service: Here, job_id: str, method: MethodQuery = None) -> FileResponse:
    """The film of a method's latest answers, H.264; knows ranges."""
    job = job_of(service, job_id)
    film = _film(service, job, method_of(job, method))
    if not film.is_file():
        raise HTTPException(
            404,
            "the film of these answers is not drawn yet; POST to this path "
            "and wait for the job that it gives",
        )
    return FileResponse(film, media_type="video/mp4")


def _versions(service: Service, job: Job, method: str | None, query: int) -> list[Version]:
    """All versions of the answer to a query."""
    found = service.store.versions(job.id, method_of(job, method), query)
    if not found:
        raise HTTPException(404, f"this job has no answer to a query {query}")
    return found


def _film(service: Service, job: Job, method: str) -> Path:
    """Where the film of a method's latest answers lies."""
    return service.folders.overlay(job.id, method, answers_of(service, job, method))


def _correct(
    service: Service, job_id: str, query: int, method: str | None, body: bytes
) -> VersionPart:
    """Check a corrected answer and keep it."""
    job = job_of(service, job_id)
    first = json.loads(_versions(service, job, method, query)[0].document)
    document = _checked(body)
    for field in ("query", *(f"video.{name}" for name in _SAME_FIELDS)):
        expected, found = _value(first, field), _value(document, field)
        if expected != found:
            raise HTTPException(
                422,
                f"expected the {field} of the answer that is corrected, "
                f"{expected!r}, found {found!r:.100}",
            )
    document["video"]["path"] = video_of(service, job.video).name
    text = json.dumps(document, ensure_ascii=False)
    version = service.store.add_version(job.id, method_of(job, method), query, text)
    if version is None:
        raise HTTPException(409, "the job was deleted meanwhile")
    return VersionPart.of(version)


def _checked(body: bytes) -> dict[str, dict[str, object]]:
    """The document in a body, if it is a ``stvg.prediction/1``."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "correction.json"
        path.write_bytes(body)
        try:
            read_prediction(path)
        except FormatError as error:
            raise HTTPException(422, str(error).replace(str(path), "the correction")) from error
    document: dict[str, dict[str, object]] = json.loads(body)
    return document


def _value(document: object, field: str) -> object:
    for name in field.split("."):
        assert isinstance(document, dict)
        document = document[name]
    return document


def _document(text: str) -> Response:
    return Response(text, media_type="application/json")
