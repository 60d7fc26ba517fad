"""Runs a service until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from stvg.errors import UsageError

from .app import create_app
from .settings import Settings

MOST_CONNECTIONS = 500
GRACE_S = 5  # what answers have to finish when the service ends
HEAD_S = 30.0  # what a client has for the head of a request


def run(settings: Settings, started: Callable[[str], None]) -> None:
    """Serve until Ctrl-C or SIGTERM; then jobs that run finish or are queued for the next start.

    Args:
        settings: What was chosen.
        started: Called with the address when the port is open.

    Raises:
        UsageError: If the settings cannot be served, or the port cannot be had.
        StvgError: As :func:`stvg.serve.app.create_app`.
    """
    app = create_app(settings)
    with _listening(settings) as opened:
        config = uvicorn.Config(
            app, http=_Http, ws="none", lifespan="on", access_log=False, log_level="warning",
            server_header=False, limit_concurrency=MOST_CONNECTIONS,
            timeout_graceful_shutdown=GRACE_S,
        )  # fmt: skip
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        started(f"http://{host}:{opened.getsockname()[1]}")
        with contextlib.suppress(KeyboardInterrupt):  # raised once more when all is over
            _Server(config, app).run(sockets=[opened])


class _Server(uvicorn.Server):
    """Ends the streams of events first, which would go on as long as their jobs."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop."""
        self._app.state.service.events.close()
        super().handle_exit(sig, frame)


class _Http(H11Protocol):
    """Ends connections whose next request does not come, which would else wait for ever."""

    _limit: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there: its first request must come."""
        super().connection_made(transport)
        self._expect_another(self.cycle)

    def on_response_complete(self) -> None:
        """An answer is given: the next request must come, or may have begun."""
        answered = self.cycle
        super().on_response_complete()
        self._expect_another(answered)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        super().connection_lost(exc)
        if self._limit is not None:
            self._limit.cancel()

    def _expect_another(self, last: RequestResponseCycle) -> None:
        if self._limit is not None:
            self._limit.cancel()
        self._limit = self.loop.call_later(HEAD_S, self._end_after, last)

    def _end_after(self, last: RequestResponseCycle) -> None:
        if self.cycle is last:
            self.transport.close()


def _listening(settings: Settings) -> socket.socket:
    """The open port."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        opened = socket.create_server((settings.host, settings.port), family=family, backlog=1024)
    except OSError as error:
        raise UsageError(
            f"expected a free port at {settings.host}:{settings.port}, the system says: "
            f"{error.strerror or error}; choose another with --port or --host"
        ) from error
    # Connections inherit it. Head and body of an answer are two packets, and the second would wait
    # some 40 ms for a client that is slow to confirm the first (Nagle's algorithm).
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return opened
