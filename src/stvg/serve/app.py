"""The app: routes, the page, guard and measures around one service."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

import stvg
from stvg.view.service import router as page

from .metrics import Measured
from .refusals import add_refusals
from .routes import about, exports, jobs, predictions, videos
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
    for module in (about, videos, jobs, predictions, exports):
        app.include_router(module.router)
    app.include_router(page)
    add_refusals(app)
    app.add_middleware(Guard, settings=settings)
    app.add_middleware(Measured)
    return app
