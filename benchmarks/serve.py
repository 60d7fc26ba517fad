"""What the service does under load, and when it is killed in the middle of it.

Clients queue jobs on a clip of the procedural world (`text_box`, the embedded model), ask for the
state of each every half second until it has ended, and fetch its predictions. When half of the jobs
are taken, the service is killed (kill -9) and started again on the same folder; clients send again
what got no answer, under the same key. In the end every job that was accepted must have ended,
once, with one answer to its own sentence: what is missing is lost, what is there twice is
duplicated. The queue has room for fewer jobs than there are clients, so that some are told to wait.

Seconds of the status call are wall seconds as the clients see them, on the machine that also runs
the workers and the clients; calls that begin while the service is away are left out. Everyone who
waits asks twice a second, whatever the number of jobs: with 40 waiting, 80 calls a second.

Run:  python benchmarks/serve.py [--quick] [--json] [--clients 50] [--jobs 500]
Takes a minute on two free cores, 15 seconds with --quick (8 clients, 24 jobs). Exits with 1
when a job is lost or duplicated.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2 as httpx
from rich.console import Console

from stvg.data.world.files import write_world

GOAL_S = 0.05  # 95 % of the status calls are answered sooner
ASK_EVERY_S = 0.5
QUEUE = 40


@dataclass
class Service:
    """`stvg serve` as a process that can be killed and started again."""

    folder: Path
    port: int
    workers: int
    process: subprocess.Popen[bytes] = field(init=False)

    async def start(self) -> None:
        """Start, and wait until it answers."""
        self.process = subprocess.Popen(
            [
                sys.executable, "-m", "stvg", "serve", "--data", self.folder, "--port",
                str(self.port), "--offer", "text_box", "--queue", str(QUEUE), "--workers",
                str(self.workers), "--threads", "1", "--free-gb", "0",
            ],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        async with httpx.AsyncClient(base_url=self.address) as http:
            while True:
                try:
                    await http.get("/health/ready")
                    return
                except httpx.TransportError:
                    await asyncio.sleep(0.2)

    def kill(self) -> None:
        """End it without a word."""
        self.process.kill()
        self.process.wait()

    @property
    def address(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"


@dataclass
class Load:
    """What the clients share and find."""

    http: httpx.AsyncClient
    video: str
    sentences: list[str]
    accepted: dict[str, str] = field(default_factory=dict)  # job -> sentence
    states: Counter[str] = field(default_factory=Counter)
    wrong: int = 0
    told_to_wait: int = 0
    unanswered: int = 0
    is_away: bool = False
    status_s: list[float] = field(default_factory=list)

    async def client(self, numbers: range) -> None:
        """One client: its jobs one after the other."""
        for number in numbers:
            sentence = self.sentences[number % len(self.sentences)]
            job = await self.submit(sentence, f"request {number}")
            self.accepted[job] = sentence
            state = await self.until_ended(job)
            self.states[state] += 1
            if state == "done":
                answer = await self.ask("GET", f"/api/jobs/{job}/predictions")
                queries = [each["query"] for each in answer.json()["predictions"]]
                self.wrong += queries != [sentence]

    async def submit(self, sentence: str, key: str) -> str:
        """Queue a job, waiting as long as the service says; gives its id."""
        body = {"video": self.video, "queries": [sentence]}
        while True:
            answer = await self.ask(
                "POST", "/api/jobs", json=body, headers={"Idempotency-Key": key}
            )
            if answer.status_code != 429:
                answer.raise_for_status()
                return str(answer.json()["id"])
            self.told_to_wait += 1
            await asyncio.sleep(float(answer.headers["retry-after"]))

    async def until_ended(self, job: str) -> str:
        """Ask for the state of a job until it has ended; gives the state."""
        while True:
            began, counts = time.perf_counter(), not self.is_away
            answer = await self.http_or_none("GET", f"/api/jobs/{job}")
            if answer is not None:
                if counts:
                    self.status_s.append(time.perf_counter() - began)
                state = str(answer.json()["state"])
                if state in ("done", "failed", "cancelled"):
                    return state
            await asyncio.sleep(ASK_EVERY_S)

    async def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """An answer, however often the question must be sent."""
        while (answer := await self.http_or_none(method, path, **more)) is None:
            await asyncio.sleep(ASK_EVERY_S)
        return answer

    async def http_or_none(self, method: str, path: str, **more: Any) -> httpx.Response | None:
        """An answer, or None while the service is away."""
        try:
            return await self.http.request(method, path, **more)
        except httpx.TransportError:
            self.unanswered += 1
            return None


async def measure(clients: int, jobs: int, workers: int) -> dict[str, Any]:
    """The whole run."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_world(root / "world", clips=1, level="standard")
        clip = next((root / "world" / "videos").glob("*.mp4"))
        service = Service(root / "data", free_port(), workers)
        await service.start()
        limits = httpx.Limits(max_connections=clients + 10)
        async with httpx.AsyncClient(base_url=service.address, timeout=60, limits=limits) as http:
            video = await http.post(
                "/api/videos", content=clip.read_bytes(), headers={"Content-Type": "video/mp4"}
            )
            load = Load(http, video.json()["id"], ["the ball", "what spins?", "the red thing"])
            await load.until_ended(await load.submit(load.sentences[0], "warm up"))
            load.status_s.clear()
            began = time.perf_counter()
            running = [
                asyncio.create_task(load.client(range(first, jobs, clients)))
                for first in range(clients)
            ]
            while len(load.accepted) < jobs / 2:
                await asyncio.sleep(0.05)
            load.is_away = True
            service.kill()
            await service.start()
            load.is_away = False
            await asyncio.gather(*running)
            wall_s = time.perf_counter() - began
            there = (await http.get("/api/jobs", params={"limit": 1000})).json()
        service.kill()
    return judged(load, there, jobs, wall_s)


def judged(load: Load, there: list[dict[str, Any]], jobs: int, wall_s: float) -> dict[str, Any]:
    """What was lost or doubled, and how long status calls took."""
    kept = {job["id"]: job for job in there}
    ended = [job for job in load.accepted if job in kept and kept[job]["ended_s"] is not None]
    twice = [job for job in kept.values() if job["attempts"] > 1]
    ordered = statistics.quantiles(load.status_s, n=100, method="inclusive")
    return {
        "jobs": jobs,
        "accepted": len(load.accepted),
        "states": dict(load.states),
        "lost": len(load.accepted) - len(ended),
        "duplicated": len(kept) - jobs - 1 + load.wrong,  # one to warm up
        "started_twice": len(twice),
        "told_to_wait": load.told_to_wait,
        "unanswered_while_down": load.unanswered,
        "status_calls": len(load.status_s),
        "status_ms": {
            "median": round(1000 * ordered[49], 1),
            "p95": round(1000 * ordered[94], 1),
            "p99": round(1000 * ordered[98], 1),
        },
        "wall_s": round(wall_s, 1),
    }


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as opened:
        return int(opened.getsockname()[1])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="8 clients, 24 jobs")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--jobs", type=int, default=500)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    clients, jobs = (8, 24) if options.quick else (options.clients, options.jobs)
    found = asyncio.run(measure(clients, jobs, options.workers))
    result = {
        "benchmark": "serve", "machine": platform.processor() or platform.machine(),
        "clients": clients, "workers": options.workers, **found,
    }  # fmt: skip
    if options.json:
        print(json.dumps(result))
    else:
        Console(highlight=False).print(
            f"{clients} clients, {jobs} jobs, killed once: {found['lost']} lost, "
            f"{found['duplicated']} duplicated, {found['started_twice']} started twice, "
            f"{found['told_to_wait']} times told to wait; status call p95 "
            f"{found['status_ms']['p95']:.1f} ms (goal {1000 * GOAL_S:g}) of "
            f"{found['status_calls']} calls; {found['wall_s']:.0f} s"
        )
    return 1 if found["lost"] or found["duplicated"] else 0


if __name__ == "__main__":
    sys.exit(main())
