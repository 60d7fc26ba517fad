"""The app: routes, the page, guard and measures around one service."""

from __future__ import annotations

import logging
import sqlite3
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException

import stvg
from stvg.view.service import router as page

from .metrics import Measured
from .routes import about, jobs, predictions, videos
from .schema import Problem
from .security import Guard
from .service import Service
from .settings import Settings, check

_ABOUT = """A video and sentences go in; out come *when* each described thing happens and *where* it
is in every frame. Upload a video, queue a job on it, watch the job, fetch its predictions. Every
refusal is `{"detail": "..."}`, one paragraph that says what was expected and what to do."""


def create_app(settings: Settings) -> FastAPI:
    """The app of a service, which starts and ends with the app's lifespan.

    Args:
        settings: What was chosen.

    Raises:
        StvgError: As :func:`stvg.serve.settings.check` and :class:`Service`.
    """
    check(settings)
    service = Service(settings)
    app = FastAPIOffline(
        redoc_url=None,
        title="stvg serve",
        version=stvg.__version__,
        description=_ABOUT,
        lifespan=lambda _: service.working(),
        responses={422: {"model": Problem}},
    )
    app.state.service = service
    for module in (about, videos, jobs, predictions):
        app.include_router(module.router)
    app.include_router(page)
    app.add_exception_handler(HTTPException, _refuse)
    app.add_exception_handler(RequestValidationError, _refuse_invalid)
    app.add_exception_handler(sqlite3.OperationalError, _wait)
    app.add_exception_handler(Exception, _apologise)
    app.add_middleware(Guard, settings=settings)
    app.add_middleware(Measured)
    return app


_log = logging.getLogger(__name__)
_PLAIN = {
    404: "there is nothing at this path; /docs lists what there is",
    405: "this path does not know this method; /docs lists what it knows",
}


async def _refuse(request: Request, error: Exception) -> JSONResponse:
    """A refusal as one paragraph, also where the framework has but two words."""
    assert isinstance(error, HTTPException)
    detail = error.detail
    if detail == HTTPStatus(error.status_code).phrase:
        detail = _PLAIN.get(error.status_code, detail)
    return JSONResponse({"detail": detail}, error.status_code, error.headers)


async def _refuse_invalid(request: Request, error: Exception) -> JSONResponse:
    """What is wrong with a request, one paragraph; never repeats the whole input."""
    assert isinstance(error, RequestValidationError)
    faults = []
    for fault in error.errors():
        place = ".".join(str(part) for part in fault["loc"])
        faults.append(f"{place:.100}: {fault['msg']:.200}")
    shown = "; ".join(faults[:5]) + ("; and more" if len(faults) > 5 else "")
    return JSONResponse({"detail": f"the request cannot be read, {shown}; see /docs"}, 422)


async def _wait(request: Request, error: Exception) -> JSONResponse:
    """The database cannot be used just now: mostly, its disk is full."""
    _log.error("the database cannot be used: %s", error)
    detail = "the database of the service cannot be used now, its disk may be full; try again later"
    return JSONResponse({"detail": detail}, 503, {"Retry-After": "10"})


async def _apologise(request: Request, error: Exception) -> JSONResponse:
    """A fault of ours; what it was stands in the log."""
    return JSONResponse({"detail": "a fault of the service; its log says more"}, 500)
