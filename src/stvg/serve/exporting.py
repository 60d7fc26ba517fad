"""Writes answers in the formats of other tools: in a process of its own, which then ends.

Many sentences on a long video take minutes to write, and the process that answers requests must
not be busy so long.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Sequence
from multiprocessing import get_context
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import IO

from stvg.errors import StvgError

from .process import begin

CHECK_EVERY_S = 0.1


class ExportError(StvgError):
    """The answers could not be written."""


def export(
    documents: Sequence[str],
    to: str,
    folder: Path,
    *,
    limit_s: float,
    stopping: threading.Event,
) -> IO[bytes]:
    """The answers of a job as a file of a format; waits until it is written.

    Args:
        documents: The answers, ``stvg.prediction/1`` as text.
        to: Name of the format.
        folder: Where the file is written. It is removed again, and is there as long as it is open.
        limit_s: What it may take, seconds.
        stopping: Set when the service ends; so does this.

    Returns:
        The open file.

    Raises:
        ExportError: If that takes too long, fails, or the service ends.
    """
    try:
        with tempfile.TemporaryDirectory(dir=folder) as own:
            path = Path(own) / "answers"
            process = get_context("spawn").Process(
                target=_write, args=(list(documents), to, path), daemon=True
            )
            process.start()
            _wait(process, limit_s, stopping)
            return path.open("rb")
    except OSError as error:  # no room for a folder or a process, or no file came of it
        raise ExportError(
            "the answers cannot be written now, the disk of the service may be full; try again "
            "later"
        ) from error


def _wait(process: SpawnProcess, limit_s: float, stopping: threading.Event) -> None:
    """Wait until a process has ended; end it when its time is over."""
    give_up_s = time.monotonic() + limit_s
    while process.is_alive() and time.monotonic() < give_up_s and not stopping.is_set():
        process.join(CHECK_EVERY_S)
    if process.is_alive():
        process.kill()
        process.join()
        raise ExportError(
            f"expected that the answers can be written in {limit_s:g} seconds, which was not "
            "enough, or the service ends; fetch the predictions and write them with stvg export"
        )


def _write(documents: list[str], to: str, path: Path) -> None:
    """Runs in the new process; what cannot be done goes to the log of the service."""
    begin()
    from stvg.export.base import find_format
    from stvg.export.objects import objects_of_predictions

    from .documents import predictions_of

    find_format(to).write(objects_of_predictions(predictions_of(documents)), path)
