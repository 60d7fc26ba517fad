"""Tells those who watch a job that something about it changed; what, they read for themselves.

Nothing is queued here, so a slow watcher misses steps in between but never the end.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator

CALM_S = 0.1  # a watcher is told no more often than this


class Events:
    """Watched in one event loop, told from any thread."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watching: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._closed = False

    def attach(self) -> None:
        """From now on the running loop is where watchers are."""
        self._loop = asyncio.get_running_loop()

    def publish(self, job_id: str) -> None:
        """Something about a job changed."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake, job_id)

    def close(self) -> None:
        """Send all watchers home; from any thread, also from a signal's handler."""
        self._closed = True
        for job_id in list(self._watching):
            self.publish(job_id)

    async def changes(self, job_id: str) -> AsyncGenerator[None, None]:
        """Yields at once, and then whenever something about the job has changed."""
        changed = asyncio.Event()
        self._watching[job_id].add(changed)
        try:
            while not self._closed:
                changed.clear()
                yield
                await changed.wait()
                await asyncio.sleep(CALM_S)
        finally:
            self._watching[job_id].discard(changed)
            if not self._watching[job_id]:
                del self._watching[job_id]

    def _wake(self, job_id: str) -> None:
        for changed in self._watching.get(job_id, ()):
            changed.set()
