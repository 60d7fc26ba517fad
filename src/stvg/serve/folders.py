"""Where the files of a service lie, below the folder that was named with ``--data``.

Names are made from ids of the store, never from what a client sent. One service has a folder to
itself: a lock sees to that.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

from stvg.errors import OutputError, UsageError

from .store import Version


class Folders:
    """The folders, made where they are missing; readable by their owner alone.

    Args:
        data: The folder of the service.

    Raises:
        OutputError: If they cannot be made.
        UsageError: If another service uses them.
    """

    def __init__(self, data: Path) -> None:
        self.data = data
        self.database = data / "serve.sqlite3"
        self.videos = data / "videos"
        self.incoming = data / "incoming"
        self.previews = data / "previews"
        self.overlays = data / "overlays"
        self.exports = data / "exports"
        own = (self.videos, self.incoming, self.previews, self.overlays, self.exports)
        try:
            for folder in (data, *own):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = _locked(data / "lock")
        except OSError as error:
            raise OutputError(
                f"expected a folder that can be written to at {data}, found: {error.strerror}; "
                "choose another with --data"
            ) from error

    def release(self) -> None:
        """Let another service have the folders."""
        self._lock.close()

    def preview(self, video_id: str) -> Path:
        """A video in a form that browsers play."""
        return self.previews / f"{video_id}.mp4"

    def overlay(self, job_id: str, method: str, versions: Iterable[Version]) -> Path:
        """The film of these versions of a method's answers; other versions are another film."""
        mark = hashlib.sha256(method.encode())
        for each in versions:
            mark.update(f"/{each.query}:{each.version}".encode())
        return self.overlays / f"{job_id}-{mark.hexdigest()[:16]}.mp4"

    def free_gb(self) -> float:
        """What is left on the disk, gigabytes."""
        return shutil.disk_usage(self.data).free / 10**9

    def used_gb(self) -> float:
        """What uploads and films take, gigabytes."""
        return sum(size for _, size in self.kept()) / 10**9

    def kept(self) -> Iterator[tuple[Path, int]]:
        """Every upload and film with its size in bytes."""
        for folder in (self.videos, self.previews, self.overlays):
            for entry in os.scandir(folder):
                with suppress(FileNotFoundError):  # removed meanwhile
                    yield Path(entry.path), entry.stat().st_size

    def films(self) -> list[Path]:
        """The overlays that are drawn, the oldest first."""
        drawn = [path for path in self.overlays.glob("*-*.mp4") if not path.name.startswith(".")]
        return sorted(drawn, key=lambda path: path.stat().st_mtime)


def _locked(path: Path) -> IO[str]:
    """The lock of a folder; the system lets go of it when the process is gone."""
    lock = path.open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise UsageError(
            f"another stvg serve uses the folder {path.parent}; end it, or choose another folder "
            "with --data"
        ) from error
    return lock
