"""What a worker process does: looks at videos, grounds, draws. The only place that opens a video.

A worker gets one task at a time through a pipe and sends messages back, both as JSON: whatever a
hostile file makes of this process, the service reads plain data. It stops at the next report of
progress when it is told to cancel, and ends itself when the service is gone.
"""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable, Mapping
from functools import lru_cache
from multiprocessing.connection import Connection
from typing import Any

from stvg.errors import StvgError, VideoError
from stvg.grounding import Detectors, answer, build_method, prepare
from stvg.methods.base import Method
from stvg.progress import Progress
from stvg.types import Query
from stvg.video import probe
from stvg.video.container import limit_pictures, open_video
from stvg.video.overlay import write_overlay
from stvg.view.media import media_type, write_preview

from .documents import documents, predictions_of
from .process import begin
from .settings import Offer, Settings
from .sizes import picture_sizes

REPORT_EVERY_S = 0.2


class Cancelled(BaseException):
    """The task was cancelled; no method can swallow it."""


def work(connection: Connection, settings: Settings) -> None:
    """Do tasks until the service hangs up; the target of a process."""
    begin()
    bench = Bench(settings, connection)
    connection.send_bytes(b"{}")  # ready: the time of a job begins when it is asked for
    while True:
        try:
            task = json.loads(connection.recv_bytes())
        except EOFError:
            return
        if task:  # an empty one cancels what has ended meanwhile
            connection.send_bytes(json.dumps(bench.do(task)).encode())


class Bench:
    """What a worker keeps between tasks: methods and detectors that are loaded.

    Args:
        settings: Limits, and what is offered.
        connection: Where progress is reported and cancelling is heard.
    """

    def __init__(self, settings: Settings, connection: Connection) -> None:
        self.settings = settings
        self._connection = connection
        self._reported = ("", 0.0)
        self._method = ""
        self._detectors = Detectors(settings.threads, self._stage)
        self._built: Callable[[Offer], Method] = lru_cache(settings.loaded)(_build)

    def do(self, task: Mapping[str, Any]) -> dict[str, Any]:
        """Do a task; whatever goes wrong is an outcome.

        Args:
            task: ``kind``, ``path`` and ``name`` of the video, and what the kind needs.

        Returns:
            The fields of an ``Outcome`` that differ from its defaults, and ``seconds`` by stage.
        """
        self._method = ""
        # The look measures what a file declares; what grows behind its back meets the decoder's
        # own limit. Coded pictures are up to a macroblock larger than shown on either side.
        most = int(2 * self.settings.video_megapixels * 1e6)
        limit_pictures(None if task["kind"] == "look" else most)
        started = time.perf_counter()
        try:
            outcome: dict[str, Any] = getattr(self, f"_{task['kind']}")(task)
        except Cancelled:
            return {"state": "cancelled"}
        except Exception as error:  # noqa: BLE001, a worker outlives any method
            return {"state": "failed", "reason": _reason(error, task)}
        total_s = round(time.perf_counter() - started, 3)
        return {"state": "done", "seconds": {task["kind"]: total_s}} | outcome

    def _look(self, task: Mapping[str, Any]) -> dict[str, Any]:
        """What a video is, if it keeps the limits."""
        settings, path = self.settings, task["path"]
        with open_video(path) as (container, stream):
            if container.duration is not None:
                _require(container.duration / 60e6, settings.video_minutes, "minutes")
            codec = stream.codec.canonical_name
        for width, height in picture_sizes(path):
            _require(width * height / 1e6, settings.video_megapixels, "million pixels a frame")
        meta = probe(path)
        _require(meta.duration_s / 60, settings.video_minutes, "minutes")
        _require(meta.frames, settings.video_frames, "frames")
        played = media_type(meta)
        return {
            "facts": {
                "codec": codec,
                "plays": played is not None,
                "media_type": played or "application/octet-stream",
                "width": meta.width,
                "height": meta.height,
                "fps": f"{meta.fps.numerator}/{meta.fps.denominator}",
                "duration_s": meta.duration_s,
                "frames": meta.frames,
            },
            "times_s": meta.times_s.tolist(),
        }

    def _ground(self, task: Mapping[str, Any]) -> dict[str, Any]:
        """The answers of every method that gives some."""
        meta = probe(task["path"])
        queries = [Query(text) for text in task["queries"]]
        found: dict[str, list[str]] = {}
        problems: dict[str, str] = {}
        seconds: dict[str, float] = {}
        for name in task["methods"]:
            self._method = name
            try:
                self._stage("loading the method")(0, 1)
                method = self._built(self.settings.offer(name))
                prepared = prepare(
                    method, meta, queries, detectors=self._detectors, stages=self._stage
                )
                self._stage("asking the method")(0, len(queries))
                (predictions,) = answer(method, [prepared])
            except Exception as error:  # noqa: BLE001, the other methods have their turn
                problems[name] = _reason(error, task)
                continue
            found[name] = documents(predictions, task["name"])
            for stage, spent_s in predictions[0].timing_s.items():
                seconds[stage] = seconds.get(stage, 0.0) + spent_s
        state = "done" if found else "failed"
        reason = None if found else "; ".join(problems.values())
        return {"state": state, "reason": reason, "predictions": found, "problems": problems,
                "seconds": seconds}  # fmt: skip

    def _preview(self, task: Mapping[str, Any]) -> dict[str, Any]:
        """The video in a form that browsers play."""
        write_preview(
            probe(task["path"]), task["out"], stages=self._stage, threads=self.settings.threads
        )
        return {}

    def _overlay(self, task: Mapping[str, Any]) -> dict[str, Any]:
        """The video with the answers drawn on it."""
        write_overlay(
            predictions_of(task["documents"], task["path"]),
            task["out"],
            progress=self._stage("drawing the overlay"),
        )
        return {}

    def _stage(self, name: str) -> Progress:
        """Reports a stage to the service now and then, and stops the task when it is cancelled."""

        def report(done: int, total: int) -> None:
            if self._connection.poll():
                self._connection.recv_bytes()  # an empty task: cancel
                raise Cancelled
            last, reported_s = self._reported
            now = time.monotonic()
            if name == last and now - reported_s < REPORT_EVERY_S:
                return
            self._reported = (name, now)
            step = {"method": self._method, "stage": name, "done": done, "total": total}
            self._connection.send_bytes(json.dumps({"progress": step}).encode())

        return report


def _require(found: float, most: float, unit: str) -> None:
    """Refuse a video that is more than the limits allow."""
    if found > most:
        raise VideoError(
            f"expected a video of at most {most:g} {unit}, found {found:.4g}; cut it or make it "
            "smaller"
        )


def _build(offer: Offer) -> Method:
    return build_method(offer.method, offer.model, offer.options)


def _reason(error: Exception, task: Mapping[str, Any]) -> str:
    """Why a task failed, without the service's folders; the traceback goes to the log."""
    if isinstance(error, StvgError):
        return str(error).replace(task["path"], task["name"])
    traceback.print_exception(error)
    return f"unexpected {type(error).__name__}: {str(error).replace(task['path'], task['name'])}"
