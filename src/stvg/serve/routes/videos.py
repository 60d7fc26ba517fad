"""Videos: in by upload or by path, out with ranges for players that seek."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, HTTPException, Query, Request, Response
from fastapi.responses import FileResponse

from stvg.serve import uploads
from stvg.serve.schema import JobPart, PathBody, TimesPart, VideoPart
from stvg.serve.settings import MEGABYTE
from stvg.serve.store import ConflictError, preview_key

from .common import VIDEO, Here, problems, queue_film, ready_video_of, video_of

router = APIRouter(prefix="/api/videos", tags=["videos"])

_CACHED = {"cache-control": "private, max-age=3600"}  # seeking back asks for nothing twice


@router.post(
    "",
    status_code=201,
    responses=problems(400, 408, 413, 415, 507, ok=VideoPart),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"video/*": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def upload(
    service: Here,
    request: Request,
    response: Response,
    name: Annotated[str, Query(max_length=1000, description="What to call the video.")] = "video",
    content_type: Annotated[str, Header(include_in_schema=False)] = "",
    content_length: Annotated[int, Header(include_in_schema=False)] = 0,
) -> VideoPart:
    """Upload a video: its bytes are the body, as `video/...` or `application/octet-stream`.

    201 if it is new, 200 if the same bytes are there already. A worker looks at it next: ask for
    the video until its state is `ready` or `refused`, or queue jobs on it at once.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if not (kind.startswith("video/") or kind == "application/octet-stream"):
        raise HTTPException(
            415,
            "expected the bytes of a video as the body, with a Content-Type of "
            f"video/... or application/octet-stream, found {kind[:80]!r}",
        )
    if content_length > service.settings.upload_mb * MEGABYTE:
        raise HTTPException(
            413,
            f"expected a video of {service.settings.upload_mb:g} MB at most, "
            f"found {content_length / MEGABYTE:.0f} MB; cut it or make it smaller",
        )
    video, is_new = await uploads.receive(
        request.stream(), name, service.settings, service.folders, service.keep
    )
    response.status_code = 201 if is_new else 200
    return service.show_video(video)


@router.post(
    "/by-path",
    status_code=201,
    responses=problems(404, 422, ok=VideoPart),
)
def name_path(service: Here, body: PathBody, response: Response) -> VideoPart:
    """Use a video that lies under one of the service's roots; it is not copied."""
    video, is_new = service.take_in(uploads.find(body.path, service.settings.roots))
    response.status_code = 201 if is_new else 200
    return service.show_video(video)


@router.get("", responses=problems())
def videos(service: Here) -> list[VideoPart]:
    """All videos, the latest first."""
    return [service.show_video(video) for video in service.store.videos()]


@router.get("/{video_id}", responses=problems(404))
def video(service: Here, video_id: str) -> VideoPart:
    """One video: what a worker found when it looked at it."""
    return service.show_video(video_of(service, video_id))


@router.get(
    "/{video_id}/file",
    response_class=FileResponse,
    responses=VIDEO | problems(400, 404, 409, 410, 416),
)
def file(service: Here, video_id: str) -> FileResponse:
    """The file as it came; knows ranges."""
    found = ready_video_of(service, video_id)
    try:
        path = uploads.unchanged(found, service.settings.roots)
    except OSError as error:
        raise HTTPException(
            410, "the video has been changed or removed since it was named; name it again"
        ) from error
    return FileResponse(
        path, headers=_CACHED, media_type=found.facts["media_type"], filename=found.name,
        content_disposition_type="inline",
    )  # fmt: skip


@router.get(
    "/{video_id}/times",
    response_class=Response,
    responses=problems(404, 409, ok=TimesPart),
)
def times(service: Here, video_id: str) -> Response:
    """When each frame is first shown, as the file says; for whoever draws boxes on its frames.

    A preview shows its frames at the same times.
    """
    found = service.store.times(ready_video_of(service, video_id).id)
    if found is None:
        raise HTTPException(404, "the video was deleted meanwhile")
    return Response(f'{{"times_s": {found}}}', media_type="application/json", headers=_CACHED)


@router.post(
    "/{video_id}/preview",
    status_code=201,
    responses=problems(404, 409, 429, ok=JobPart),
)
def make_preview(service: Here, video_id: str, response: Response) -> JobPart:
    """Have the preview made again that failed or was cancelled; gives the job that does it.

    The first time this happens by itself.
    """
    found = ready_video_of(service, video_id)
    if found.facts["plays"]:
        raise HTTPException(409, "browsers play the file itself, it gets no preview")
    film, key = service.folders.preview(found.id), preview_key(found.id)
    making, is_new = queue_film(service, "preview", found.id, {}, film, key)
    response.status_code = 201 if is_new else 200
    return service.show_job(making)


@router.get(
    "/{video_id}/preview", response_class=FileResponse, responses=VIDEO | problems(400, 404, 416)
)
def preview(service: Here, video_id: str) -> FileResponse:
    """The video in H.264, made where browsers do not play the file itself; knows ranges.

    At most 1280 pixels long, without sound; frame times are those of the file.
    """
    path = service.folders.preview(video_of(service, video_id).id)
    if not path.is_file():
        raise HTTPException(
            404,
            "there is no preview of this video (yet): browsers play the file itself, or the "
            "preview is being made; if its job has failed, POST to this path",
        )
    return FileResponse(path, headers=_CACHED, media_type="video/mp4")


@router.delete("/{video_id}", status_code=204, responses=problems(404, 409))
def delete(service: Here, video_id: str) -> None:
    """Delete a video with its jobs, predictions and films; a file under a root stays."""
    try:
        service.forget_video(video_of(service, video_id))
    except ConflictError as error:
        raise HTTPException(409, str(error)) from error
