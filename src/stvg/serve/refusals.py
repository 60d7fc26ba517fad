"""How the service says no: ``{"detail": "..."}``, one paragraph, whoever in the service says it."""

from __future__ import annotations

import logging
import sqlite3
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_log = logging.getLogger(__name__)
_TERSE = {
    400: "expected a range of bytes such as 'Range: bytes=0-999', found another kind of range",
    404: "there is nothing at this path; /docs lists what there is",
    405: "this path does not know this method; /docs lists what it knows",
    416: "expected a range of bytes within the file, found one behind its end; the header "
    "Content-Range says how long the file is",
}
"""Where the framework has no sentence of its own."""


def add_refusals(app: FastAPI) -> None:
    """Have an app refuse in this form."""
    app.add_exception_handler(HTTPException, _refuse)
    app.add_exception_handler(RequestValidationError, _refuse_invalid)
    app.add_exception_handler(sqlite3.OperationalError, _wait)
    app.add_exception_handler(Exception, _apologise)
    app.add_middleware(_Worded)


async def _refuse(request: Request, error: Exception) -> JSONResponse:
    """A refusal as one paragraph, also where the framework has but two words."""
    assert isinstance(error, HTTPException)
    detail = error.detail
    if detail == HTTPStatus(error.status_code).phrase:
        detail = _TERSE.get(error.status_code, detail)
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


class _Worded:
    """Puts JSON in place of plain text that the framework refuses with, as it does ranges."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and its answer if that is not such a refusal."""
        replaced = False

        async def worded(message: Message) -> None:
            nonlocal replaced
            if message["type"] == "http.response.start" and _is_terse(message):
                replaced = True
                await _in_words(message)(scope, receive, send)
            elif not replaced:
                await send(message)

        await self.app(scope, receive, worded)


def _is_terse(start: Message) -> bool:
    kind = Headers(raw=start["headers"]).get("content-type", "")
    return start["status"] >= 400 and kind.startswith("text/plain")


def _in_words(start: Message) -> JSONResponse:
    """The same refusal with a sentence in it."""
    status: int = start["status"]
    headers = {
        name: value
        for name, value in Headers(raw=start["headers"]).items()
        if name not in ("content-type", "content-length")
    }
    return JSONResponse({"detail": _TERSE.get(status, HTTPStatus(status).phrase)}, status, headers)
