"""Who may call the service, and how it starts."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from stvg.errors import UsageError
from stvg.serve.routes.about import router
from stvg.serve.schema import OfferPart
from stvg.serve.security import Guard, host_name, session
from stvg.serve.settings import Offer, Settings, check

TOKEN = "a token of some length"
OTHER = "another token of mine"
NAMED = {"host": "203.0.113.7", "token": TOKEN}


@pytest.fixture
def guarded(make_settings: Callable[..., Settings]) -> Callable[..., TestClient]:
    """Nothing but the guard and a route for every path."""

    def make(**values: object) -> TestClient:
        settings = make_settings(**values)
        app = FastAPI(openapi_url=None)

        @app.api_route("/{path:path}", methods=["GET", "POST", "DELETE"])
        def anything(path: str) -> str:
            return path

        app.add_middleware(Guard, settings=settings)
        return TestClient(app, base_url="http://127.0.0.1:8000")

    return make


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", {}, 200),
        ("GET", {"Host": "localhost:8000"}, 200),
        ("GET", {"Host": "[::1]:8000"}, 200),
        ("GET", {"Host": "evil.example"}, 421),
        ("GET", {"Host": "127.0.0.1.evil.example"}, 421),
        ("GET", {"Host": "127.0.0.1@evil.example"}, 421),
        ("GET", {"Host": ""}, 421),
        ("POST", {}, 200),  # curl
        ("POST", {"Origin": "http://127.0.0.1:8000"}, 200),
        ("POST", {"Origin": "http://127.0.0.1:9000"}, 403),  # another program on this machine
        ("POST", {"Origin": "https://evil.example"}, 403),
        ("POST", {"Origin": "null"}, 403),
        ("POST", {"Origin": "http://["}, 403),
        ("DELETE", {"Origin": "https://evil.example"}, 403),
        ("POST", {"Sec-Fetch-Site": "same-origin"}, 200),
        ("POST", {"Sec-Fetch-Site": "cross-site"}, 403),
        ("POST", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 403),  # a form
        ("GET", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403),  # <video>
        ("GET", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 200),  # a link
    ],
)
def test_on_loopback(
    method: str, headers: dict, status: int, guarded: Callable[..., TestClient]
) -> None:
    answer = guarded().request(method, "/api/jobs", headers=headers)
    assert answer.status_code == status
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in answer.headers


def later(seconds: int) -> int:
    return int(time.time()) + seconds


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/api/jobs", {}, 401),
        ("/metrics", {}, 401),
        ("/anything/new", {}, 401),
        ("/health/ready", {}, 200),
        ("/docs", {}, 200),
        ("/openapi.json", {}, 200),
        ("/api/jobs", {"Authorization": f"Bearer {TOKEN}"}, 200),
        ("/api/jobs", {"Authorization": f"bearer {TOKEN}"}, 200),
        ("/api/jobs", {"Authorization": f"Bearer {TOKEN}x"}, 401),
        ("/api/jobs", {"Authorization": "Bearer "}, 401),
        ("/api/jobs", {"Authorization": f"Basic {TOKEN}"}, 401),
        ("/api/jobs", {"Authorization": "Bearer é".encode()}, 401),
        ("/api/jobs", {"Cookie": f"stvg_session={session(TOKEN, later(3600))}"}, 200),
        ("/api/jobs", {"Cookie": f"stvg_session={session(TOKEN, later(-3600))}"}, 401),
        ("/api/jobs", {"Cookie": f"stvg_session={session(OTHER, later(3600))}"}, 401),
        ("/api/jobs", {"Cookie": f"stvg_session={later(3600)}.{'0' * 64}"}, 401),
        ("/api/jobs", {"Cookie": f'b={{"c": 1}}; stvg_session={session(TOKEN, later(3600))}'}, 200),
        ("/api/jobs", {"Cookie": f"stvg_session={TOKEN}"}, 401),
        ("/api/jobs", {"Cookie": "stvg_session=99999999999999999999.0"}, 401),
        ("/api/jobs", {"Cookie": f"stvg_session={later(3600)}.é".encode("latin-1")}, 401),
    ],
)  # fmt: skip
def test_with_a_token(
    path: str, headers: dict, status: int, guarded: Callable[..., TestClient]
) -> None:
    answer = guarded(**NAMED).get(path, headers={"Host": "stvg.example", **headers})
    assert answer.status_code == status


def test_names_that_are_allowed(guarded: Callable[..., TestClient]) -> None:
    client = guarded(hosts=["stvg.example"], token=TOKEN)
    token = {"Authorization": f"Bearer {TOKEN}"}
    assert client.get("/api", headers={"Host": "stvg.example", **token}).status_code == 200
    assert client.get("/api", headers={"Host": "other.example", **token}).status_code == 421
    assert client.get("/api", headers={"Host": "stvg.example"}).status_code == 401


def test_signing_in_and_out(make_settings: Callable[..., Settings]) -> None:
    app = FastAPI()
    app.state.service = type("Service", (), {"settings": make_settings(**NAMED)})
    app.include_router(router)
    app.add_middleware(Guard, settings=make_settings(**NAMED))
    client = TestClient(app, base_url="https://stvg.example")
    assert client.post("/api/session").status_code == 401
    answer = client.post("/api/session", headers={"Authorization": f"Bearer {TOKEN}"})
    cookie = answer.headers["set-cookie"]
    assert answer.status_code == 204
    assert TOKEN not in cookie
    for part in ("HttpOnly", "SameSite=strict", "Secure", "Max-Age=43200"):
        assert part in cookie
    assert client.get("/api").status_code == 200  # the client keeps the cookie
    client.delete("/api/session")
    assert client.get("/api").status_code == 401


@pytest.mark.parametrize(
    ("host", "name"),
    [("a.example:80", "a.example"), ("[::1]", "::1"), ("[::1", ""), ("", ""), ("a b", "a b")],
)
def test_host_names(host: str, name: str) -> None:
    assert host_name(host) == name


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"host": "0.0.0.0"}, "expected a token"),
        ({"host": "192.0.2.1"}, "expected a token"),
        ({"hosts": ["stvg.example"]}, "expected a token"),  # a proxy lets others in
        ({"host": "0.0.0.0", "token": "short"}, "at least 16"),
        ({"token": "é" * 20}, "ASCII"),
        ({"roots": ["/nowhere/at/all"]}, "a folder with videos at /nowhere/at/all"),
        ({"offers": ["track_match=blobs", "track_match=blobs,min_colour=0.2"]}, "offered twice"),
    ],
)
def test_services_that_do_not_start(
    values: dict, reason: str, make_settings: Callable[..., Settings]
) -> None:
    with pytest.raises(UsageError, match=reason):
        check(make_settings(**values))


@pytest.mark.parametrize("values", [{}, {"host": "::1"}, {"host": "0.0.0.0", "token": "t" * 16}])
def test_services_that_start(values: dict, make_settings: Callable[..., Settings]) -> None:
    check(make_settings(**values))


def test_the_token_stays_out_of_sight(make_settings: Callable[..., Settings]) -> None:
    settings = make_settings(**NAMED)
    assert TOKEN not in repr(settings)
    assert settings.without_secrets().token is None


def test_offers() -> None:
    assert Offer.read("text_box") == Offer(name="text_box", method="text_box")
    model = Offer.read("text_box=Qwen/Qwen2.5-VL-7B-Instruct,dtype=bfloat16,frames=16")
    assert model.model == "Qwen/Qwen2.5-VL-7B-Instruct"
    assert model.options == ("dtype=bfloat16", "frames=16")
    own = Offer.read(f"{__file__}:Mine=m")
    assert own.name == f"{os.path.basename(__file__)}:Mine=m"
    assert own.method == f"{__file__}:Mine"
    assert OfferPart.of(own).method == f"{os.path.basename(__file__)}:Mine"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("trackmatch", "did you mean 'track_match'"),
        ("", "there is no method ''"),
        ("missing.py:Mine", "a Python file with a method at missing.py"),
    ],
)
def test_offers_that_are_none(text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        Offer.read(text)
