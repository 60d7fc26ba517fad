"""A real service that is killed, stopped and started again."""

from __future__ import annotations

import fcntl
import json
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from stvg.cli.main import main
from tests.serve.conftest import Process
from tests.serve.methods import offer


def test_kill_9_in_the_middle_loses_and_doubles_nothing(
    launch: Callable[..., Process], clip: Path, tmp_path: Path
) -> None:
    process = launch("--workers", 2)
    video = process.client.upload(clip)
    sentences = ["one", "two", "wait open", *(f"later {number}" for number in range(5))]
    jobs = [process.client.submit(video, sentence) for sentence in sentences]
    process.client.ended(jobs[0])
    process.client.until(jobs[2], "running")
    before = process.http.get(f"/api/jobs/{jobs[0]}/predictions").text
    process.end(signal.SIGKILL)

    (tmp_path / "open").touch()
    again = launch("--workers", 2).client
    assert [again.ended(job)["state"] for job in jobs] == ["done"] * len(jobs)
    assert again.job(jobs[2])["attempts"] == 2
    assert again.http.get(f"/api/jobs/{jobs[0]}/predictions").text == before
    assert len(again.http.get("/api/jobs").json()) == len(jobs)
    for job, sentence in zip(jobs, sentences, strict=True):
        answers = again.http.get(f"/api/jobs/{job}/predictions").json()["predictions"]
        assert [each["query"] for each in answers] == [sentence]
    asked = Counter((tmp_path / "asked.txt").read_text().splitlines())
    assert asked["one"] == 1
    assert asked["wait open"] == 2


def test_a_clean_stop_queues_the_running_job_again(
    launch: Callable[..., Process], clip: Path, tmp_path: Path
) -> None:
    process = launch()
    job = process.client.submit(process.client.upload(clip), "wait open")
    process.client.until(job, "running")
    assert process.end(signal.SIGINT) == 0
    (tmp_path / "open").touch()
    ended = launch().client.ended(job)
    assert (ended["state"], ended["attempts"]) == ("done", 1)


def test_workers_leave_with_their_service(
    launch: Callable[..., Process], clip: Path, tmp_path: Path
) -> None:
    process = launch()
    process.client.submit(process.client.upload(clip), "hold lock")
    while not (tmp_path / "held").exists():
        time.sleep(0.05)
    process.end(signal.SIGKILL)
    with (tmp_path / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # waits for the end of the worker


def test_events_until_the_end(launch: Callable[..., Process], clip: Path, tmp_path: Path) -> None:
    process = launch()
    job = process.client.submit(process.client.upload(clip), "wait open", "one")
    states, steps = [], []
    with process.http.stream("GET", f"/api/jobs/{job}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        for line in stream.iter_lines():
            if not line.startswith("data: "):
                continue
            told = json.loads(line.removeprefix("data: "))
            states.append(told["state"])
            if told["progress"]:
                steps.append(told["progress"]["stage"])
                (tmp_path / "open").touch()
    assert list(dict.fromkeys(states))[-2:] == ["running", "done"]
    assert "asking the method" in steps or "loading the method" in steps
    with process.http.stream("GET", f"/api/jobs/{job}/events") as stream:  # it has ended
        lines = [line for line in stream.iter_lines() if line.startswith("data: ")]
    assert [json.loads(line.removeprefix("data: "))["state"] for line in lines] == ["done"]


def test_ctrl_c_ends_open_streams(launch: Callable[..., Process], clip: Path) -> None:
    process = launch()
    job = process.client.submit(process.client.upload(clip), "wait forever")
    with process.http.stream("GET", f"/api/jobs/{job}/events") as stream:
        lines = stream.iter_lines()
        next(lines)
        process.process.send_signal(signal.SIGINT)
        for _ in lines:
            pass
    assert process.process.wait(300) == 0
    assert process.process.stderr is not None
    assert process.process.stderr.read() == ""


def test_a_second_service_on_the_same_folder(
    launch: Callable[..., Process], tmp_path: Path, capsys
) -> None:
    process = launch()
    words = ["serve", "--data", str(tmp_path / "data"), "--offer", offer(tmp_path), "--port", "0"]
    assert main(words) == 2
    assert "another stvg serve uses the folder" in capsys.readouterr().err
    port = process.address.rpartition(":")[2]
    words[2] = str(tmp_path / "other")
    assert main([*words[:-1], port]) == 2
    assert "expected a free port at 127.0.0.1" in capsys.readouterr().err
