"""The viewer as the page of ``stvg serve``: its files, and nothing of anybody's videos.

All the page does goes through the service's API, so the files may be given out without a token.
The page asks for one where the API does.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import Final

from fastapi import APIRouter, HTTPException, Response
from fastapi.responses import RedirectResponse

from .parts import SCRIPTS, STATIC

PREFIX: Final = "/view/"
"""Beginning of the paths of the page."""

FILES: Final = ("viewer.css", "service.css", *SCRIPTS, "service.js")

_PAGE = "service.html"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "media-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)

router = APIRouter(include_in_schema=False)


@router.get("/")
def home() -> RedirectResponse:
    """The page is what people look for at the address of the service."""
    return RedirectResponse(PREFIX)


@router.get(PREFIX)
def page() -> Response:
    """The page."""
    return _file(_PAGE)


@router.get(PREFIX + "{name}")
def part(name: str) -> Response:
    """A part of the page."""
    if name not in FILES:
        raise HTTPException(404, "the page has no such part")
    return _file(name)


def _file(name: str) -> Response:
    content = (STATIC / name).read_bytes()
    kind = _TYPES[PurePath(name).suffix]
    return Response(content, media_type=kind, headers={"content-security-policy": _POLICY})
