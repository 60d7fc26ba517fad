"""Hostile requests to a real service: each is refused, and the service lives on."""

from __future__ import annotations

import io
import json
import socket
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.serve.conftest import Process, draw_clip

VIDEO, JSON = {"Content-Type": "video/mp4"}, {"Content-Type": "application/json"}
FORGED = "0" * 32


def bomb() -> bytes:
    """A zip archive that unpacks to a gigabyte of zeros."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive, archive.open(
        "video.mp4", "w", force_zip64=True
    ) as inside:  # fmt: skip
        for _ in range(1000):
            inside.write(bytes(10**6))
    return content.getvalue()


def raw(process: Process, request: bytes) -> int:
    """Send bytes as they are and give the status of the answer."""
    place = urlsplit(process.address)
    with socket.create_connection((place.hostname, place.port), timeout=120) as connection:
        connection.sendall(request)
        return int(connection.recv(100).split()[1])


def filled(request: dict[str, Any], video: str) -> dict[str, Any]:
    """A request with the id of a real video."""
    found = {**request, "url": request["url"].replace("VIDEO", video)}
    if "json" in request:
        found["json"] = json.loads(json.dumps(request["json"]).replace('"VIDEO"', f'"{video}"'))
    return found


def by_path(path: str) -> dict[str, Any]:
    return {"method": "POST", "url": "/api/videos/by-path", "json": {"path": path}}


def job(**body: Any) -> dict[str, Any]:
    return {"method": "POST", "url": "/api/jobs",
            "json": {"video": "VIDEO", "queries": ["the ball"], **body}}  # fmt: skip


def upload(content: bytes, headers: dict[str, str]) -> dict[str, Any]:
    return {"method": "POST", "url": "/api/videos", "content": content, "headers": headers}


def get(url: str, **headers: str) -> dict[str, Any]:
    return {"method": "GET", "url": url, "headers": headers}


REQUESTS: list[tuple[str, dict[str, Any], int]] = [
    ("a path out of the root", by_path("../secret.mp4"), 404),
    ("an absolute path elsewhere", by_path("/etc/passwd"), 404),
    ("a link out of the root", by_path("out.mp4"), 404),
    ("a zero byte in a path", by_path("a.mp4\0.txt"), 404),
    ("an address of this very service", by_path("http://127.0.0.1/api"), 422),
    ("an address of a file", by_path("file:///etc/passwd"), 422),
    ("traversal in an id", get("/api/videos/..%2f..%2fetc%2fpasswd/file"), 404),
    ("traversal in the static files", get("/static-offline-docs/..%2f..%2f__init__.py"), 404),
    ("a forged job", get(f"/api/jobs/{FORGED}"), 404),
    ("events of a forged job", get(f"/api/jobs/{FORGED}/events"), 404),
    ("predictions of a forged job", get(f"/api/jobs/{FORGED}/predictions"), 404),
    ("an export of a forged job", get(f"/api/jobs/{FORGED}/export?to=cvat"), 404),
    ("an export in the format of a file", get(f"/api/jobs/{FORGED}/export?to=/tmp/a.py:A"), 422),
    ("an export in a module of its own", get(f"/api/jobs/{FORGED}/export?to=..base"), 422),
    ("an export in a format without end",
     get(f"/api/jobs/{FORGED}/export?to={'cvat' * 10_000}"), 422),
    ("times of a forged video", get(f"/api/videos/{FORGED}/times"), 404),
    ("traversal to other times", get("/api/videos/..%2f..%2fVIDEO/times"), 404),
    ("a preview of a forged video",
     {"method": "POST", "url": f"/api/videos/{FORGED}/preview"}, 404),
    ("a preview that nobody needs", {"method": "POST", "url": "/api/videos/VIDEO/preview"}, 409),
    ("a range behind the end", get("/api/videos/VIDEO/file", Range="bytes=9999999999-"), 416),
    ("a range that is none", get("/api/videos/VIDEO/file", Range="bytes=9-1"), 400),
    ("SQL as a job", get("/api/jobs/x' OR '1'='1"), 404),
    ("a forged video", job(video=FORGED), 404),
    ("a form where a video belongs",
     upload(b"--x", {"Content-Type": "multipart/form-data; boundary=x"}), 415),
    ("JSON where a video belongs", upload(b"{}", JSON), 415),
    ("an empty video", upload(b"", VIDEO), 400),
    ("a video over the limit", upload(bytes(1_000_001), VIDEO), 413),
    ("a zero byte in a sentence", job(queries=["the ball\0"]), 422),
    ("a sentence turned around", job(queries=["the \u202eball"]), 422),
    ("an empty sentence", job(queries=["  "]), 422),
    ("a sentence without end", job(queries=["ball " * 1000]), 422),
    ("too many sentences", job(queries=["ball"] * 33), 422),
    ("a method that is a file", job(methods=["/etc/passwd:Method"]), 422),
    ("an option that was not asked for", job(options=["endpoint=http://127.0.0.1"]), 422),
    ("a body over the limit",
     {"method": "POST", "url": "/api/jobs", "content": b" " * 1_000_001, "headers": JSON}, 413),
    ("JSON ten thousand deep",
     {"method": "POST", "url": "/api/jobs", "content": b"[" * 10_000, "headers": JSON}, 400),
    ("another name for this machine", get("/api", Host="evil.example"), 421),
    ("an origin that is none", {**job(), "headers": {"Origin": "http://["}}, 403),
    ("a query beyond all numbers",
     get(f"/api/jobs/{FORGED}/predictions/{'9' * 30}/versions"), 422),
    ("a page of another site",
     {**job(), "headers": {"Origin": "https://evil.example"}}, 403),
]  # fmt: skip

START = b"POST /api/jobs HTTP/1.1\r\nHost: localhost\r\n"
RAW: list[tuple[str, bytes, int]] = [
    ("4 GB declared",
     b"POST /api/videos HTTP/1.1\r\nHost: localhost\r\nContent-Type: video/mp4\r\n"
     b"Content-Length: 4294967296\r\n\r\n", 413),
    ("4 GB of JSON declared",
     b"POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
     b"Content-Length: 4294967296\r\n\r\n", 413),
    ("a huge header", START + b"X: " + b"a" * 200_000, 400),
    ("thousands of headers", START + b"X: a\r\n" * 30_000, 400),
    ("two lengths",
     START + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
    ("no HTTP at all", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
]  # fmt: skip


def test_hostile_requests(launch: Callable[..., Process], tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    draw_clip(root / "a.mp4")
    (tmp_path / "secret.mp4").write_bytes(b"secret")
    (root / "out.mp4").symlink_to(tmp_path / "secret.mp4")
    process = launch("--root", root, "--upload-mb", 1)
    client, http = process.client, process.http
    named = http.post("/api/videos/by-path", json={"path": "a.mp4"}).json()

    while client.video(named["id"])["state"] == "new":
        time.sleep(0.05)

    assert len(REQUESTS) + len(RAW) >= 30
    for what, request, status in REQUESTS:
        answer = http.request(**filled(request, named["id"]))
        assert answer.status_code == status, f"{what}: {answer.status_code} {answer.text}"
        assert answer.json()["detail"], what
        assert "secret" not in answer.text
        assert http.get("/health/live").status_code == 200, what
    for what, content, status in RAW:
        assert raw(process, content) == status, what
        assert http.get("/health/live").status_code == 200, what

    script = job(queries=["<script>alert(1)</script>"])
    told = http.request(**filled(script, named["id"]))
    assert told.status_code == 201
    assert told.json()["queries"] == ["<script>alert(1)</script>"]  # text, and nothing but text
    assert told.headers["content-type"] == "application/json"
    assert told.headers["x-content-type-options"] == "nosniff"

    archive = tmp_path / "bomb.mp4"
    archive.write_bytes(bomb())
    for name in (archive, Path(__file__)):
        refused = client.video(client.upload(name))
        assert refused["state"] == "refused"

    running = client.submit(named["id"], "wait forever")
    client.until(running, "running")
    threads = [
        threading.Thread(target=lambda: http.post(f"/api/jobs/{running}/cancel")) for _ in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert client.ended(running)["state"] == "cancelled"
    assert client.ended(client.submit(named["id"], "go on"))["state"] == "done"


@pytest.mark.parametrize("count", [50])
def test_connections_that_say_nothing(launch: Callable[..., Process], count: int) -> None:
    process = launch()
    place = urlsplit(process.address)
    silent = [socket.create_connection((place.hostname, place.port)) for _ in range(count)]
    for connection in silent:
        connection.sendall(b"POST /api/videos HTTP/1.1\r\nHost: localhost\r\n")
    assert process.http.get("/health/ready").status_code == 200
    for connection in silent:
        connection.close()
