"""One running service: its parts put together, and what changes files and store at once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import sqlite3
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.concurrency import run_in_threadpool

from .events import Events
from .folders import Folders
from .metrics import Metrics
from .schema import JobPart, Step, VideoPart
from .settings import Settings
from .store import ConflictError, Job, Store, Video
from .workers import Workers

TIDY_EVERY_S = 600.0
DAY_S = 24 * 3600

_log = logging.getLogger(__name__)


class Service:
    """See the module.

    Args:
        settings: What was chosen; see ``settings.check``.

    Raises:
        UsageError: If another service uses the folder, or its database is of another kind.
        OutputError: If the folder cannot be written to.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.folders = Folders(settings.data)
        self.store = Store(self.folders.database)
        self.events = Events()
        self.metrics = Metrics(self.store)
        self.workers = Workers(settings, self.folders, self.store, self.events, self.metrics)
        self.exporting = asyncio.Semaphore(1)  # each takes a process
        self._files = threading.Lock()  # a file and its row come and go together

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Work, from the jobs that a killed service left to the last that runs; only once."""
        self.events.attach()
        self.store.recover()
        self.sweep()
        self.workers.start()
        tidying = asyncio.create_task(self._tidy_now_and_then())
        try:
            yield
        finally:
            tidying.cancel()
            self.events.close()
            await run_in_threadpool(self.workers.stop)
            self.store.close()
            self.folders.release()

    def keep(self, temporary: Path, video: Video) -> tuple[Video, bool]:
        """Take in an upload that lies whole in a temporary file; see ``Store.add_video``."""
        with self._files:
            temporary.replace(video.path)
            kept, is_new = self.take_in(video)
            if kept.state == "refused":
                Path(kept.path).unlink(missing_ok=True)
            return kept, is_new

    def take_in(self, video: Video) -> tuple[Video, bool]:
        """Take in a video that lies where it shall stay; see ``Store.add_video``."""
        kept, is_new = self.store.add_video(video)
        self.workers.wake()
        return kept, is_new

    def forget_video(self, video: Video) -> None:
        """Delete a video with its jobs and films; a file under a root stays where it is.

        Raises:
            ConflictError: If a job on it is queued or running.
        """
        with self._files:
            jobs = self.store.jobs(video_id=video.id, limit=-1)
            self.store.delete_video(video.id)
            for job in jobs:
                self._remove_films(job.id)
            self.folders.preview(video.id).unlink(missing_ok=True)
            if video.uploaded:
                Path(video.path).unlink(missing_ok=True)

    def forget_job(self, job_id: str) -> None:
        """Delete a job with its predictions and films.

        Raises:
            ConflictError: If it is queued or running.
        """
        self.store.delete_job(job_id)
        self._remove_films(job_id)

    def show_video(self, video: Video) -> VideoPart:
        """A video as clients see it."""
        return VideoPart.of(video, has_preview=self.folders.preview(video.id).is_file())

    def show_job(self, job: Job) -> JobPart:
        """A job as clients see it."""
        progress = self.workers.progress.get(job.id)
        return JobPart.of(job, Step.model_validate(progress) if progress else None)

    def tidy(self) -> None:
        """Drop what is older or more than the service shall keep."""
        settings = self.settings
        if settings.keep_days is not None:
            oldest_s = time.time() - settings.keep_days * DAY_S
            for job in self.store.ended_before(oldest_s):
                self.forget_job(job.id)
            for video in self.store.idle_videos():
                if video.uploaded and video.used_s < oldest_s:
                    self._forget_unless_busy(video)
        if settings.keep_gb is not None:
            self._make_room(settings.keep_gb)

    def sweep(self) -> None:
        """Remove files that a killed service left behind: nobody's, and refused uploads."""
        for file in self.folders.incoming.iterdir():
            file.unlink()
        for folder in self.folders.exports.iterdir():
            shutil.rmtree(folder)
        for file, _ in self.folders.kept():
            owner = file.name.partition("-")[0].removesuffix(".mp4")
            video = self.store.video(owner)
            is_refused = video is not None and video.state == "refused"
            if is_refused or (video is None and self.store.job(owner) is None):
                file.unlink()

    async def _tidy_now_and_then(self) -> None:
        while True:
            try:
                await run_in_threadpool(self.tidy)
            except (OSError, sqlite3.Error):  # a full disk, of all things, must not end this
                _log.exception("old things could not be removed; trying again later")
            await asyncio.sleep(TIDY_EVERY_S)

    def _make_room(self, keep_gb: float) -> None:
        """Remove films, which can be drawn again, and then what else takes room, oldest first."""
        for film in self.folders.films():
            if self.folders.used_gb() <= keep_gb:
                return
            film.unlink(missing_ok=True)
        for video in self.store.idle_videos():
            if self.folders.used_gb() <= keep_gb:
                return
            if video.uploaded or self.folders.preview(video.id).is_file():
                self._forget_unless_busy(video)

    def _remove_films(self, job_id: str) -> None:
        for film in self.folders.overlays.glob(f"{job_id}-*"):
            film.unlink(missing_ok=True)

    def _forget_unless_busy(self, video: Video) -> None:
        with contextlib.suppress(ConflictError):  # a job was queued on it meanwhile
            self.forget_video(video)
