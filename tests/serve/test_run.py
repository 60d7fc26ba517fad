"""How the service treats connections."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest
import uvicorn
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from stvg.serve import run
from stvg.serve.settings import Settings

HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n"


async def slow(scope: Scope, receive: Receive, send: Send) -> None:
    """An answer that takes longer than a client has for its request."""
    await asyncio.sleep(3 * run.HEAD_S)
    await PlainTextResponse("here")(scope, receive, send)


async def told(*requests: bytes) -> bytes:
    """All that a connection is told until the service ends it."""
    config = uvicorn.Config(slow, http=run._Http, ws="none", lifespan="off", log_level="error")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as opened:
        serving = asyncio.create_task(server.serve(sockets=[opened]))
        reader, writer = await asyncio.open_connection(*opened.getsockname())
        for request in requests:
            writer.write(request)
        answers = await asyncio.wait_for(reader.read(), 60)
        writer.close()
        server.should_exit = True
        await serving
    return answers


@pytest.mark.parametrize(
    ("requests", "answers"),
    [
        ([], 0),
        ([HEAD], 0),  # never ends
        ([HEAD + b"\r\n"], 1),  # an answer may take its time
        ([HEAD + b"\r\n", HEAD], 1),
        ([HEAD + b"\r\n", HEAD + b"\r\n"], 2),
        ([b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"], 1),  # a body never comes
    ],
)
def test_a_request_must_come(
    requests: list[bytes], answers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "HEAD_S", 0.2)
    assert asyncio.run(told(*requests)).count(b"HTTP/1.1 200") == answers


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_small_packets_do_not_wait_for_one_another(
    host: str, make_settings: Callable[..., Settings]
) -> None:
    with (
        run._listening(make_settings(host=host, port=0)) as opened,
        socket.create_connection(opened.getsockname()[:2]),
        opened.accept()[0] as connection,
    ):
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
