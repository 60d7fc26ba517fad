"""What a job found, in the formats of other tools."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from stvg.export.base import Format, available_formats, find_format
from stvg.registry import suggest
from stvg.serve import exporting, uploads
from stvg.serve.service import Service
from stvg.serve.settings import MEGABYTE

from .common import Here, MethodQuery, WhichQuery, answers_of, job_of, method_of, problems, video_of

router = APIRouter(prefix="/api/jobs/{job_id}", tags=["predictions"])

_TYPES = {
    ".csv": "text/csv; charset=utf-8",
    ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
    ".xml": "application/xml",
}
_FILE: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            kind.partition(";")[0]: {"schema": {"type": "string", "format": "binary"}}
            for kind in _TYPES.values()
        }
    }
}


@router.get(
    "/export",
    response_class=StreamingResponse,
    responses=_FILE | problems(404, 409, 422, 503, 507),
)
async def export(
    service: Here,
    job_id: str,
    to: Annotated[str, Query(description="Name of a format; GET /api lists them.")],
    method: MethodQuery = None,
    which: WhichQuery = "latest",
) -> StreamingResponse:
    """The answers of a method to all queries as a file of another tool, one track an answer.

    A sentence that nothing was found for has no track.
    """

    def written() -> tuple[IO[bytes], Format, str]:
        chosen = _format(to)
        job = job_of(service, job_id)
        answers = answers_of(service, job, method_of(job, method), which)
        stem = Path(video_of(service, job.video).name).stem
        return _written(service, [each.document for each in answers], chosen), chosen, stem

    async with service.exporting:
        file, chosen, stem = await run_in_threadpool(written)
    name = quote(chosen.file_name(stem), safe="")
    headers = {
        "content-length": str(os.fstat(file.fileno()).st_size),
        "content-disposition": f'attachment; filename="{chosen.file_name("answers")}"; '
        f"filename*=UTF-8''{name}",
    }
    return StreamingResponse(_pieces(file), headers=headers, media_type=_TYPES[chosen.suffix])


def _format(name: str) -> Format:
    """The format of a name; a client cannot name a file of its own."""
    known = available_formats()
    if name not in known:
        raise HTTPException(422, f"there is no format {name!r:.100}; {suggest(name, known)}")
    return find_format(name)


def _written(service: Service, documents: list[str], chosen: Format) -> IO[bytes]:
    """The answers in a file."""
    settings, folders = service.settings, service.folders
    if folders.free_gb() < settings.free_gb:
        raise HTTPException(507, uploads.FULL)
    try:
        return exporting.export(
            documents,
            chosen.name,
            folders.exports,
            limit_s=settings.job_seconds,
            stopping=service.workers.stopping,
        )
    except exporting.ExportError as error:
        raise HTTPException(503, str(error), {"Retry-After": "10"}) from error


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    """A file in pieces of a megabyte, closed at the end."""
    with file:
        while piece := file.read(MEGABYTE):
            yield piece
