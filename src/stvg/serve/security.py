"""Who may call the service: the checks that no route can forget.

Everything is closed unless it is named in :data:`OPEN`. In this order a request needs

1. a ``Host`` that is ours, on loopback or where names were given, so that no foreign page reaches a
   local service through a name that it points at 127.0.0.1 (DNS rebinding);
2. not to come from a page of another site: one that a browser says is cross-site, or that changes
   something and names another ``Origin``. There is no CORS;
3. a body that is not longer than its path takes, as declared and as it comes;
4. the token, where there is one: as ``Authorization: Bearer``, or as the cookie of a session,
   because a browser's ``EventSource`` and ``<video>`` cannot send a header.

Answers carry headers that keep a browser from running, framing or guessing at what they hold.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import time
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stvg.view.service import PREFIX

from .settings import LOOPBACK, MEGABYTE, Settings

OPEN = ("/health/", "/docs", "/openapi.json", "/static-offline-docs/", PREFIX)
"""Beginnings of paths that need no token: they say nothing about anybody's videos."""

LONGEST_JSON = MEGABYTE
LONGEST_CORRECTION = 32 * MEGABYTE  # a box for every frame of several hours

COOKIE = "stvg_session"
SESSION_S = 12 * 3600
_SAFE = ("GET", "HEAD", "OPTIONS")
_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
}
_DOCS_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; frame-ancestors 'none'"
)


class Guard:
    """See the module.

    Args:
        app: What is guarded.
        settings: Token and names.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self._token = settings.token.get_secret_value() if settings.token else None
        names = (*settings.hosts, *LOOPBACK)
        self._hosts = names if settings.hosts or settings.host in LOOPBACK else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request or pass it on."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return  # there are no websockets
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add_headers(MutableHeaders(scope=message), scope["path"])
            await send(message)

        await (refusal or self.app)(scope, _bounded(receive, scope["path"]), guarded)

    def _refusal(self, scope: Scope, headers: Headers) -> JSONResponse | None:
        """The answer to a request that may not pass, or None."""
        if self._hosts is not None and host_name(headers.get("host", "")) not in self._hosts:
            return _refused(
                421,
                "this service does not answer to that name; call it by its address "
                "or start it with --allow-host NAME",
            )
        if _is_foreign(scope, headers):
            return _refused(403, "a page of another site may not use this service")
        if _declared(headers) > longest_body(scope["path"]):
            return _refused(413, _too_long(scope["path"]))
        if self._token is None or _is_open(scope["path"]):
            return None
        if not self._knows_token(headers):
            return _refused(
                401,
                "expected the service's token as 'Authorization: Bearer TOKEN', "
                "found none or another",
                {"www-authenticate": "Bearer"},
            )
        return None

    def _knows_token(self, headers: Headers) -> bool:
        """Whether a request carries the token or the cookie of a session."""
        assert self._token is not None
        scheme, _, shown = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return hmac.compare_digest(shown.strip().encode(), self._token.encode())
        cookie = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
        expires, _, _ = cookie.partition(".")
        if not (expires.isdecimal() and len(expires) < 12):
            return False
        expected = session(self._token, int(expires))
        is_ours = hmac.compare_digest(cookie.encode(), expected.encode())
        return is_ours and int(expires) > time.time()


def _is_open(path: str) -> bool:
    """Whether a path needs no token; the address itself only leads to the page."""
    return path == "/" or path.startswith(OPEN)


def session(token: str, expires_s: int) -> str:
    """The value of a session's cookie: when it expires, signed with the token.

    Args:
        token: The service's; another token ends all sessions.
        expires_s: Unix seconds.
    """
    mark = hmac.new(token.encode(), f"session {expires_s}".encode(), hashlib.sha256)
    return f"{expires_s}.{mark.hexdigest()}"


def host_name(host: str) -> str:
    """The name in a ``Host`` header, without port and brackets; empty if it is none.

    Example:
        >>> host_name("127.0.0.1:8000"), host_name("[::1]:8000"), host_name("a.example")
        ('127.0.0.1', '::1', 'a.example')
    """
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def longest_body(path: str) -> float:
    """How many bytes the body of a request for a path may have.

    Uploads have no limit here: their route has one, and never holds them in memory.
    """
    if path == "/api/videos":
        return math.inf
    return LONGEST_CORRECTION if path.endswith("/versions") else LONGEST_JSON


def _declared(headers: Headers) -> int:
    """The length that a request declares; the server has refused what is no number."""
    return int(headers.get("content-length", "0"))


def _bounded(receive: Receive, path: str) -> Receive:
    """Ends a body that turns out to be too long."""
    left = longest_body(path)

    async def bounded() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise HTTPException(413, _too_long(path))
        return message

    return bounded


def _too_long(path: str) -> str:
    return f"expected a body of at most {longest_body(path):.0f} bytes at this path, found more"


def _is_foreign(scope: Scope, headers: Headers) -> bool:
    """Whether a browser sent this for a page of another site."""
    site = headers.get("sec-fetch-site", "none")
    opens_page = headers.get("sec-fetch-mode") == "navigate" and scope["method"] in _SAFE
    if site not in ("none", "same-origin") and not opens_page:
        return True
    origin = headers.get("origin")
    if origin is None or scope["method"] in _SAFE:
        return False
    return origin.partition("://")[2] != headers.get("host")


def _add_headers(headers: MutableHeaders, path: str) -> None:
    for name, value in _HEADERS.items():
        headers.setdefault(name, value)
    if path == "/docs":
        headers["content-security-policy"] = _DOCS_POLICY


def _refused(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"detail": detail}, status, headers)
