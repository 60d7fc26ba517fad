"""From jobs to lines on one machine: videos are read ahead while the model answers the last ones.

A failure stays with the query it belongs to. When a call on several videos raises, they are asked
one by one, and a video's queries too, so that the line with the error names the culprit. Only what
no video can be blamed for (a package or weights that are missing) ends the run.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np

from stvg.data.base import Record
from stvg.errors import MissingExtraError, StvgError, VideoError, WeightsError
from stvg.excerpt import Excerpt
from stvg.formats.predictions_jsonl import PredictionRecord
from stvg.grounding import Detectors, Prepared, answer, build_method, prepare
from stvg.methods.base import Method
from stvg.types import Prediction, VideoMeta
from stvg.video import probe

from .folders import packed
from .pictures import picture_meta, prepare_picture
from .placing import has_other_length, input_part, line_of, misfit
from .questions import Job

MediaKind = Literal["video", "frames", "image"]
_NOBODYS_FAULT = (MissingExtraError, WeightsError)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a job.

    Attributes:
        media: What the annotation calls the video.
        lines: A line for each of its queries.
        has_other_length: Whether the annotation counts other frames than the file has.
        read_s: Seconds that reading took.
        model_s: Seconds of the model; a call on several videos is shared evenly.
    """

    media: str
    lines: tuple[PredictionRecord, ...]
    has_other_length: bool = False
    read_s: float = 0.0
    model_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Opened:
    """A video that was read; ``records`` can be answered, ``refused`` have their lines already."""

    job: Job
    records: tuple[Record, ...]
    excerpts: tuple[Excerpt, ...]
    prepared: Prepared
    refused: tuple[PredictionRecord, ...]


@dataclass(frozen=True, slots=True)
class MethodSpec:
    """What builds a method; small enough to send to another machine.

    Attributes:
        method: Name, ``file.py:Class``, or a built method.
        model: Model, detector or checkpoint; None for the method's default.
        options: Its options as ``key=value`` texts.
        media: What the benchmark asks about.
        threads: Threads for decoding and detection, 0 for all.
    """

    method: str | Method
    model: str | None = None
    options: tuple[str, ...] = ()
    media: MediaKind = "video"
    threads: int = 0

    def build(self) -> Answerer:
        """Load the method."""
        return Answerer(
            build_method(self.method, self.model, self.options), self.media, self.threads
        )


class Answerer:
    """A loaded method that answers jobs.

    Args:
        method: The method.
        media: What the benchmark asks about.
        threads: Threads for decoding and detection, 0 for all.
    """

    def __init__(self, method: Method, media: MediaKind = "video", threads: int = 0) -> None:
        self.method, self._media, self._threads = method, media, threads
        self._own = threading.local()  # detectors need not bear two threads

    def check(self, jobs: Iterable[Job]) -> None:
        """Plan the first video that opens and load its detector, so that wrong options end here.

        Raises:
            UsageError: If the method cannot answer this kind of question, or an option is wrong.
            MissingExtraError: If a package is missing.
            WeightsError: If weights cannot be had.
        """
        for job in jobs:
            try:
                with self._video(job) as meta:
                    pass
            except (VideoError, OSError):
                continue
            query = job.records[0].query
            if self._media == "image":
                prepare_picture(self.method, meta, [query])
                return
            plan = self.method.plan(meta, query)
            if plan.scene is not None:
                self._detectors().get(plan.scene)
            return

    def open(self, job: Job) -> Opened | Outcome:
        """Read the video of a job; nothing is raised for what is wrong with it."""
        if job.problem is not None:
            return Outcome(job.media, tuple(failed_line(each, job.problem) for each in job.records))
        try:
            with self._video(job) as meta:
                return self._open(job, meta)
        except _NOBODYS_FAULT:
            raise
        except Exception as error:  # noqa: BLE001  written down for every query, and counted
            reason = reason_of(error)
            return Outcome(job.media, tuple(failed_line(each, reason) for each in job.records))

    def answer(self, opened: Sequence[Opened]) -> Iterator[Outcome]:
        """Ask about several videos in one call of the model."""
        started = time.perf_counter()
        found = _ask(self.method, [each.prepared for each in opened])
        share_s = (time.perf_counter() - started) / max(len(opened), 1)
        for each, predictions in zip(opened, found, strict=True):
            lines = [
                _line(record, prediction, excerpt)
                for record, prediction, excerpt in zip(
                    each.records, predictions, each.excerpts, strict=True
                )
            ]
            yield Outcome(
                each.job.media,
                (*each.refused, *lines),
                any(
                    has_other_length(record, excerpt.whole)
                    for record, excerpt in zip(each.records, each.excerpts, strict=True)
                ),
                each.prepared.read_s,
                share_s + each.prepared.detect_s,
            )

    def _open(self, job: Job, meta: VideoMeta) -> Opened | Outcome:
        """Read the video of a job with a file."""
        problems = {record.id: misfit(record, meta) for record in job.records}
        refused = tuple(
            failed_line(record, problem)
            for record in job.records
            if (problem := problems[record.id]) is not None
        )
        records = tuple(record for record in job.records if problems[record.id] is None)
        if not records:
            return Outcome(job.media, refused)
        queries = [record.query for record in records]
        parts = [input_part(record, meta) for record in records]
        if self._media == "image":
            prepared = prepare_picture(self.method, meta, queries)
        else:
            prepared = prepare(self.method, meta, queries, parts=parts, detectors=self._detectors())
        excerpts = tuple(Excerpt.of(meta, part) for part in parts)
        return Opened(job, records, excerpts, prepared, refused)

    @contextmanager
    def _video(self, job: Job) -> Iterator[VideoMeta]:
        """The video or picture of a job, to be read within the ``with`` block."""
        if job.path is None:
            raise VideoError(job.problem or f"no file for {job.media!r}")
        if self._media == "frames":
            names = getattr(job.records[0], "frames", ())
            with packed(job.path, names, job.rate) as meta:
                yield meta
        else:
            yield picture_meta(job.path) if self._media == "image" else probe(job.path)

    def _detectors(self) -> Detectors:
        """The detectors of the current thread."""
        if not hasattr(self._own, "detectors"):
            self._own.detectors = Detectors(self._threads)
        detectors: Detectors = self._own.detectors
        return detectors


def answer_here(
    answerer: Answerer, jobs: Sequence[Job], *, batch: int = 1, workers: int = 1
) -> Iterator[Outcome]:
    """Answer jobs on this machine, in their order but for those that cannot be read.

    Args:
        answerer: What answers.
        jobs: The jobs.
        batch: Videos in one call of the model.
        workers: Threads that read the next videos meanwhile. At most ``batch`` or ``workers``
            videos, whichever is more, wait in memory beside those that are being answered.

    Yields:
        An outcome a job.
    """
    waiting: list[Opened] = []
    for opened in _read_ahead(answerer, jobs, workers, max(batch, workers)):
        if isinstance(opened, Outcome):
            yield opened
            continue
        waiting.append(opened)
        if len(waiting) == batch:
            yield from answerer.answer(waiting)
            waiting = []
    if waiting:
        yield from answerer.answer(waiting)


def failed_line(record: Record, reason: str) -> PredictionRecord:
    """The line of a query that could not be answered."""
    return PredictionRecord(record.id, None, np.zeros(0, np.int64), np.zeros((0, 4)), error=reason)


def reason_of(error: Exception) -> str:
    """An error as it stands in a line: its kind, a colon, what it says, on one line."""
    words = " ".join(str(error).split())
    if isinstance(error, StvgError):
        return f"{type(error).__name__}: {words}"
    place = traceback.extract_tb(error.__traceback__)[-1] if error.__traceback__ else None
    where = f" ({place.filename}, line {place.lineno})" if place else ""
    return f"{type(error).__name__}: {words or 'it says nothing'}{where}"


def _read_ahead(
    answerer: Answerer, jobs: Sequence[Job], workers: int, ahead: int
) -> Iterator[Opened | Outcome]:
    """Open jobs in background threads, at most ``ahead`` before they are asked for."""
    pool = ThreadPoolExecutor(workers, thread_name_prefix="stvg-read")
    pending: deque[Future[Opened | Outcome]] = deque()
    try:
        for job in jobs:
            pending.append(pool.submit(answerer.open, job))
            if len(pending) > ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _ask(method: Method, prepared: Sequence[Prepared]) -> list[Sequence[Prediction | Exception]]:
    """Predictions by video; where a call raises, its parts are asked apart."""
    try:
        return list(answer(method, prepared))
    except _NOBODYS_FAULT:
        raise
    except Exception as error:  # noqa: BLE001  written down for the query, and counted
        if sum(len(each.queries) for each in prepared) == 1:
            return [[error]]
    # Only now, when the error and what it held of the memory are gone.
    if len(prepared) > 1:
        return [_ask(method, [each])[0] for each in prepared]
    (only,) = prepared
    single = [
        Prepared((query,), (clip,), only.read_s, only.detect_s)
        for query, clip in zip(only.queries, only.clips, strict=True)
    ]
    return [[_ask(method, [each])[0][0] for each in single]]


def _line(record: Record, prediction: Prediction | Exception, excerpt: Excerpt) -> PredictionRecord:
    """The line of one query."""
    if isinstance(prediction, Exception):
        return failed_line(record, reason_of(prediction))
    try:
        return line_of(record, prediction, excerpt)
    except StvgError as error:
        return failed_line(record, reason_of(error))
