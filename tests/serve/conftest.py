"""A clip, and services to try things on: inside the test, or as a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image, ImageDraw

from stvg.serve.app import create_app
from stvg.serve.settings import Offer, Settings
from stvg.video.writer import VideoWriter
from tests.serve.methods import offer

PATIENCE_S = 300  # a machine with other work; a test that waits so long fails
ENDED = ("done", "failed", "cancelled")


def draw_clip(path: Path, frames: int = 20) -> Path:
    """A clip at 10 fps: a red ball goes right, a green box stays."""
    with VideoWriter(path, fps=Fraction(10)) as writer:
        for number in range(frames):
            picture = Image.new("RGB", (320, 180), (236, 232, 224))
            pen = ImageDraw.Draw(picture)
            pen.rectangle((150, 20, 190, 60), fill=(40, 150, 70))
            pen.ellipse((20 + 10 * number, 100, 60 + 10 * number, 140), fill=(214, 40, 40))
            writer.write(np.asarray(picture), number / 10)
    return path


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_clip(tmp_path_factory.mktemp("serve") / "drawn.mp4")


class Client:
    """What tests ask of a service, over any transport."""

    def __init__(self, http: Any) -> None:
        self.http = http

    def upload(self, clip: Path, *, wait: bool = True) -> str:
        answer = self.http.post(
            "/api/videos",
            params={"name": clip.name},
            content=clip.read_bytes(),
            headers={"Content-Type": "video/mp4"},
        )
        assert answer.status_code in (200, 201), answer.text
        video = answer.json()["id"]
        while wait and self.video(video)["state"] == "new":
            time.sleep(0.05)
        return video

    def video(self, video: str) -> dict[str, Any]:
        return self.http.get(f"/api/videos/{video}").json()

    def submit(self, video: str, *queries: str, **more: Any) -> str:
        answer = self.http.post("/api/jobs", json={"video": video, "queries": queries, **more})
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    def job(self, job: str) -> dict[str, Any]:
        return self.http.get(f"/api/jobs/{job}").json()

    def until(self, job: str, *states: str) -> dict[str, Any]:
        """The job once it is in one of the states, by default an ended one."""
        give_up = time.monotonic() + PATIENCE_S
        while time.monotonic() < give_up:
            found = self.job(job)
            if found["state"] in (states or ENDED):
                return found
            time.sleep(0.05)
        raise AssertionError(f"still {found}")

    def ended(self, job: str) -> dict[str, Any]:
        return self.until(job)


@pytest.fixture
def make_settings(tmp_path: Path) -> Callable[..., Settings]:
    def make(**values: Any) -> Settings:
        offers = values.pop("offers", [offer(tmp_path)])
        given = {"data": tmp_path / "data", "free_gb": 0, "threads": 1, **values}
        return Settings.of({**given, "offers": tuple(map(Offer.read, offers))})

    return make


@pytest.fixture
def start(make_settings: Callable[..., Settings]) -> Iterator[Callable[..., Client]]:
    """Starts a service inside the test."""
    running = []

    def begin(**values: Any) -> Client:
        http = TestClient(create_app(make_settings(**values)), base_url="http://127.0.0.1:8000")
        running.append(http.__enter__())
        return Client(http)

    yield begin
    for http in running:
        http.__exit__(None, None, None)


class Process:
    """``stvg serve`` as a process of its own."""

    def __init__(self, *options: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "stvg", "serve", "--port", "0", *map(str, options)],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        assert self.process.stderr is not None
        self.address = self.process.stderr.readline().split(" ")[0]
        self.http = httpx.Client(base_url=self.address, timeout=PATIENCE_S)
        self.client = Client(self.http)

    def end(self, number: signal.Signals) -> int:
        """Send a signal and wait for the end."""
        self.http.close()
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE_S)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Starts ``stvg serve`` as a process; always with the same data folder."""
    started: list[Process] = []

    def begin(*options: object) -> Process:
        process = Process(
            "--data", tmp_path / "data", "--offer", offer(tmp_path), "--free-gb", 0, *options
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.process.poll() is None:
            process.end(signal.SIGKILL)
