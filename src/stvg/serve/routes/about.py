"""What the service is, how it is, and who is in."""

from __future__ import annotations

import time

from fastapi import APIRouter, Request, Response

import stvg
from stvg.serve.schema import About, Health
from stvg.serve.security import COOKIE, SESSION_S, session

from .common import Here, problems

router = APIRouter(tags=["service"])


@router.get("/api", responses=problems())
def about(service: Here) -> About:
    """What the service offers and takes: methods, limits."""
    return About.of(stvg.__version__, service.settings)


@router.post("/api/session", status_code=204, responses=problems())
def sign_in(service: Here, request: Request, response: Response) -> None:
    """Exchange the token for a cookie, for browsers: `EventSource` and `<video>` send no token.

    The cookie is good for twelve hours.
    """
    if service.settings.token is None:
        return
    expires_s = int(time.time()) + SESSION_S
    value = session(service.settings.token.get_secret_value(), expires_s)
    response.set_cookie(
        COOKIE, value, max_age=SESSION_S, httponly=True, samesite="strict",
        secure=request.url.scheme == "https",
    )  # fmt: skip


@router.delete("/api/session", status_code=204, responses=problems())
def sign_out(response: Response) -> None:
    """Forget the cookie."""
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")


@router.get("/health/live")
async def live() -> dict[str, bool]:
    """Whether the service answers at all."""
    return {"ok": True}


@router.get("/health/ready", responses={503: {"model": Health}})
def ready(service: Here, response: Response) -> Health:
    """Whether the service can take work: 200, or 503 and what is wrong."""
    workers = service.workers.are_well()
    disk = service.folders.free_gb() >= service.settings.free_gb
    if not (workers and disk):
        response.status_code = 503
    return Health(ok=workers and disk, workers=workers, disk=disk)


@router.get("/metrics", response_class=Response, responses=problems())
def metrics(service: Here) -> Response:
    """Figures for Prometheus."""
    return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")
