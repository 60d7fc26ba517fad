"""Hands jobs to worker processes, and replaces those that die.

A lane is for one kind of job: looks and films have a process each, so that an upload is not kept
waiting by a long grounding job; grounding has as many as ``--workers``. Every process has a seat,
a thread that takes the next job from the store, feeds the process, watches it, and writes what came
of it into the store. A process is started by the first job of its seat.
"""

from __future__ import annotations

import json
import logging
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, TypeVar

from .events import Events
from .folders import Folders
from .metrics import Metrics
from .settings import Settings
from .store import MOST_ATTEMPTS, ConflictError, Job, Kind, Outcome, Store
from .uploads import unchanged

LOOK_S = 60.0  # longest look at a new video
CANCEL_S = 2.0  # what a worker has to stop by itself before it is killed
STOP_S = 5.0  # what running jobs have to finish when the service ends
CHECK_EVERY_S = 0.1

_log = logging.getLogger(__name__)
Result = TypeVar("Result")


class Workers:
    """All seats of a service.

    Args:
        settings: How many, and their limits.
        folders: Where films go.
        store: Where jobs come from.
        events: Told about every change of a job.
        metrics: Told about every job that ended.
    """

    def __init__(
        self, settings: Settings, folders: Folders, store: Store, events: Events, metrics: Metrics
    ) -> None:
        self.settings, self.folders, self.store = settings, folders, store
        self.events, self.metrics = events, metrics
        self.stopping = threading.Event()
        self.progress: dict[str, Mapping[str, Any]] = {}
        self.cancelled: set[str] = set()
        lanes: list[tuple[Kind, int]] = [
            ("look", 1), ("preview", 1), ("overlay", 1), ("ground", settings.workers)
        ]  # fmt: skip
        self._seats = [_Seat(self, kind) for kind, count in lanes for _ in range(count)]

    def start(self) -> None:
        """Begin to work."""
        for seat in self._seats:
            seat.start()

    def stop(self) -> None:
        """End all workers; a running job has a moment to finish, else it is queued again."""
        self.stopping.set()
        self.wake()
        for seat in self._seats:
            seat.join()

    def wake(self) -> None:
        """There may be something to do."""
        for seat in self._seats:
            seat.awake.set()

    def cancel(self, job_id: str) -> None:
        """Stop a job that runs."""
        self.cancelled.add(job_id)

    def are_well(self) -> bool:
        """Whether every seat is there to replace its worker."""
        return all(seat.is_alive() for seat in self._seats)

    def task_of(self, job: Job) -> dict[str, Any]:
        """What a worker is told about a job.

        Raises:
            OSError: If the video is not the one any more that it was.
            ConflictError: If the answers that an overlay shall show are gone.
        """
        video = self.store.video(job.video)
        assert video is not None, "a video with jobs that run is not deleted"
        path = str(unchanged(video, self.settings.roots))
        task = {"kind": job.kind, "path": path, "name": video.name, **job.request}
        if job.kind == "preview":
            task["out"] = str(self.folders.preview(video.id))
        elif job.kind == "overlay":
            task["out"] = str(self.folders.overlays / job.request["file"])
            task["documents"] = self._documents(job)
        return task

    def finish(self, job: Job, outcome: Outcome, seconds: Mapping[str, float]) -> None:
        """Keep what came of a job and tell everybody."""
        ended = self.store.finish(job, outcome)
        self.progress.pop(job.id, None)
        self.cancelled.discard(job.id)
        if job.kind == "look" and outcome.state == "failed":
            self._remove_refused(job.video)
        if ended:
            self.metrics.job_ended(job, outcome.state, seconds)
        for job_id in ended:
            self.events.publish(job_id)
        self.wake()  # a look lets other jobs start

    def _remove_refused(self, video_id: str) -> None:
        """The bytes of an upload that is no video we take are not kept."""
        video = self.store.video(video_id)
        if video is not None and video.uploaded and video.state == "refused":
            Path(video.path).unlink(missing_ok=True)

    def _documents(self, job: Job) -> list[str]:
        """The answers that an overlay shows."""
        versions = self.store.predictions(job.request["of"], job.request["method"])
        if not versions:
            raise ConflictError("the answers that were to be drawn have been deleted")
        return [each.document for each in versions]


class _Seat(threading.Thread):
    """One worker process and what keeps it busy."""

    def __init__(self, workers: Workers, kind: Kind) -> None:
        super().__init__(name=f"stvg-serve-{kind}", daemon=True)
        self.awake = threading.Event()
        self._all, self._kind = workers, kind
        self._process: SpawnProcess | None = None
        self._connection: Connection | None = None

    def run(self) -> None:
        """Take one job after the other until the service stops."""
        while True:
            self.awake.clear()  # before looking, so that no wake is missed
            if self._all.stopping.is_set():
                break
            job = self._written(lambda: self._all.store.claim(self._kind))
            if job is None:
                self.awake.wait()
            else:
                self._all.events.publish(job.id)
                self._serve_safely(job)
        self._dismiss()

    def _serve_safely(self, job: Job) -> None:
        """Have a job done; nothing that a worker sends ends the seat."""
        try:
            self._serve(job)
        except Exception:
            if self._all.stopping.is_set():
                raise
            _log.exception("what came of job %s cannot be kept", job.id)
            self._dismiss()
            reason = "what came of it cannot be kept; the log of the service says more"
            self._finish(job, {"state": "failed", "reason": reason})

    def _serve(self, job: Job) -> None:
        """Have a job done."""
        try:
            task = self._all.task_of(job)
        except OSError:
            reason = "the video has been changed or removed since it was named; name it again"
            self._finish(job, {"state": "failed", "reason": reason})
            return
        except ConflictError as error:
            self._finish(job, {"state": "failed", "reason": str(error)})
            return
        try:
            connection = self._hired()
            connection.send_bytes(json.dumps(task).encode())
            outcome = self._watch(job, connection)
        except (OSError, EOFError):  # the pipe broke, or there is no room for a process
            if not self._all.stopping.is_set():
                self._died(job)
                return
            outcome = None
        if outcome is None:
            self._dismiss()
            self._written(lambda: self._all.store.requeue(job, counts=False))
        else:
            self._finish(job, outcome)

    def _watch(self, job: Job, connection: Connection) -> dict[str, Any] | None:
        """Wait for the end of a job; None when the service stops before."""
        limit_s = LOOK_S if job.kind == "look" else self._all.settings.job_seconds
        began = time.monotonic()
        cancelled_s = stopped_s = None
        while True:
            if connection.poll(CHECK_EVERY_S):
                message: dict[str, Any] = json.loads(connection.recv_bytes())
                if "progress" not in message:
                    return message
                self._all.progress[job.id] = message["progress"]
                self._all.events.publish(job.id)
            now = time.monotonic()
            if now - began > limit_s:
                self._dismiss()
                reason = f"it took longer than the {limit_s:g} seconds that a job may take"
                return {"state": "failed", "reason": reason}
            if job.id in self._all.cancelled:
                if cancelled_s is None:
                    cancelled_s = now
                    connection.send_bytes(b"{}")
                elif now - cancelled_s > CANCEL_S:
                    self._dismiss()
                    return {"state": "cancelled"}
            if self._all.stopping.is_set():
                stopped_s = stopped_s or now
                if now - stopped_s > STOP_S:
                    return None

    def _finish(self, job: Job, outcome: dict[str, Any]) -> None:
        seconds = outcome.pop("seconds", {})
        self._written(lambda: self._all.finish(job, Outcome(**outcome), seconds))

    def _died(self, job: Job) -> None:
        """Replace a worker that ended in the middle of a job; the job gets one more try."""
        how = self._dismiss()
        _log.warning("a worker %s during job %s, attempt %d", how, job.id, job.attempts)
        if job.id in self._all.cancelled:
            self._finish(job, {"state": "cancelled"})
        elif job.attempts < MOST_ATTEMPTS:
            self._written(lambda: self._all.store.requeue(job))
            self._all.events.publish(job.id)
            self._all.wake()
        else:
            reason = f"the worker {how} on it, twice; the video or the model may be at fault"
            self._finish(job, {"state": "failed", "reason": reason})

    def _hired(self) -> Connection:
        """The connection to a living worker."""
        if self._connection is None or self._process is None or not self._process.is_alive():
            self._dismiss()
            spawn = get_context("spawn")
            ours, theirs = spawn.Pipe()
            self._process = spawn.Process(
                target=_work, args=(theirs, self._all.settings.without_secrets()), daemon=True
            )
            self._process.start()
            theirs.close()
            self._connection = ours
            self._wait_until_ready(ours, self._process)
        return self._connection

    def _wait_until_ready(self, connection: Connection, process: SpawnProcess) -> None:
        """Wait for a new process; loading its packages is not the time of a job.

        Raises:
            EOFError: If it ended, or the service stops.
        """
        while not connection.poll(CHECK_EVERY_S):
            if self._all.stopping.is_set() or not process.is_alive():
                raise EOFError
        connection.recv_bytes()

    def _dismiss(self) -> str:
        """End the worker, if there is one; says how it ended if it had ended before."""
        if self._process is None or self._connection is None:
            return "is not there"
        self._connection.close()
        self._process.join(CHECK_EVERY_S)
        self._process.kill()
        self._process.join()
        code = self._process.exitcode or 0
        self._process = self._connection = None
        return (
            f"was ended by {signal.Signals(-code).name}" if code < 0 else f"left with code {code}"
        )

    def _written(self, change: Callable[[], Result]) -> Result:
        """Change the store; while its disk is full, again and again."""
        while True:
            try:
                return change()
            except sqlite3.OperationalError:
                if self._all.stopping.wait(1):
                    raise
                _log.exception("the database cannot be written; trying again")


def _work(connection: Connection, settings: Settings) -> None:
    """Runs in the new process; what opens videos is not imported where requests are answered."""
    from .worker import work

    work(connection, settings)
