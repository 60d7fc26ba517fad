"""The two files of a run: answers line by line, and beside them what made them.

``preds.jsonl`` grows by whole lines and survives a killed process. ``preds.run.json`` says what the
answers were made with: settings that all lines share, and every start with its date, machine, code
and counts. A later start with other settings is refused, so that answers of two models are never
mixed in one file.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import stvg
from stvg.errors import FormatError, OutputError, UsageError
from stvg.formats.atomic import atomic_path, check_writable
from stvg.formats.predictions_jsonl import (
    PredictionRecord,
    PredictionsWriter,
    read_predictions_jsonl,
)

FORMAT = "stvg.predict_run/1"


class Journal:
    """Opens or continues the files of a run.

    Args:
        out: Where the lines go.
        settings: What made the answers; JSON values. All of it must be as at the first start.
        about: What else is worth knowing about this start; may differ from start to start.
        overwrite: Throw away an earlier run.
        retry_errors: Remove the lines that are errors, so that their queries are answered again.

    Attributes:
        notes: What a person should know about the continued files.

    Raises:
        UsageError: If the files belong to a run with other settings.
        FormatError: If a file that is to be continued is not in order.
        OutputError: If the files cannot be written, or another process is writing them.
    """

    def __init__(
        self,
        out: Path,
        settings: Mapping[str, Any],
        about: Mapping[str, Any],
        *,
        overwrite: bool = False,
        retry_errors: bool = False,
    ) -> None:
        self.out, self.sidecar = out, sidecar_of(out)
        self.notes: list[str] = []
        check_writable(out)
        check_writable(self.sidecar)
        self._lock = _Lock(out)
        try:
            self._document = self._begin(settings, overwrite)
            if retry_errors:
                self._drop_errors()
            self._writer = PredictionsWriter(out, resume=True)
            if self._writer.repaired:
                self.notes.append(self._writer.repaired)
            self._document["starts"].append(_start(about))
            self._save()
        except BaseException:
            self._lock.release()
            raise

    @property
    def done(self) -> frozenset[str]:
        """Every id that has a line."""
        return frozenset(self._writer.done)

    def lines(self) -> Iterator[PredictionRecord]:
        """The lines that are there."""
        return read_predictions_jsonl(self.out)

    def write(self, line: PredictionRecord) -> None:
        """Append a line; when this returns, a kill of the process does not lose it."""
        self._writer.write(line)

    def close(self, state: str, counts: Mapping[str, Any]) -> None:
        """Note how this start ended and let go of the files."""
        self._document["starts"][-1] |= {"state": state, **counts}
        try:
            self._save()
        finally:
            self._writer.close()
            self._lock.release()

    def _begin(self, settings: Mapping[str, Any], overwrite: bool) -> dict[str, Any]:
        """The document of the run, new or as the last start left it."""
        fresh = {"format": FORMAT, "settings": dict(settings), "starts": []}
        if overwrite:
            self.out.unlink(missing_ok=True)
            return fresh
        if not self.out.exists() or not self.out.stat().st_size:
            return fresh
        document = self._read()
        other = _differences(document["settings"], settings)
        if other:
            raise UsageError(
                f"{self.out} holds answers of a run with other settings: {other}; choose another "
                "--out, or --overwrite to throw the earlier answers away"
            )
        if document["starts"] and document["starts"][-1].get("code") != code_version():
            self.notes.append(
                "the code of stvg has changed since the last start; the answers of both are in "
                f"{self.out}"
            )
        return document

    def _read(self) -> dict[str, Any]:
        """The document beside the answers.

        Raises:
            FormatError: If there is none, or it is something else.
        """
        try:
            document = json.loads(self.sidecar.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise FormatError(
                f"{self.out} holds answers, but {self.sidecar}, which says what made them, cannot "
                f"be read ({' '.join(str(error).split())}); choose another --out, or --overwrite"
            ) from error
        is_run = isinstance(document, dict) and document.get("format") == FORMAT
        starts = document.get("starts") if is_run else None
        is_whole = isinstance(starts, list) and all(isinstance(each, dict) for each in starts)
        if not is_whole or not isinstance(document.get("settings"), dict):
            raise FormatError(
                f'{self.sidecar}: expected a document with "format": "{FORMAT}", found something '
                "else; choose another --out"
            )
        return dict(document)

    def _drop_errors(self) -> None:
        """Write the answers again without those that are errors."""
        if not self.out.exists():
            return
        with PredictionsWriter(self.out, resume=True) as writer:  # repairs a cut last line
            if writer.repaired:
                self.notes.append(writer.repaired)
        failed = {line.id for line in read_predictions_jsonl(self.out) if line.error is not None}
        if not failed:
            return
        with (
            atomic_path(self.out) as temporary,
            temporary.open("wb") as kept,
            self.out.open("rb") as lines,
        ):
            kept.writelines(
                line for line in lines if line.strip() and json.loads(line)["id"] not in failed
            )
        self.notes.append(f"queries that failed and are asked again: {len(failed)}")

    def _save(self) -> None:
        """Write the document whole."""
        with atomic_path(self.sidecar) as temporary:
            text = json.dumps(self._document, indent=1, ensure_ascii=False)
            temporary.write_text(text + "\n", encoding="utf-8")


def sidecar_of(out: Path) -> Path:
    """Where a run says what made its answers.

    Example:
        >>> sidecar_of(Path("runs/preds.jsonl")).name
        'preds.run.json'
    """
    return out.with_name(f"{out.name.removesuffix('.jsonl')}.run.json")


def fingerprint(path: Path) -> str | None:
    """SHA-256 of a file, or None for a folder.

    Raises:
        UsageError: If it cannot be read.
    """
    if path.is_dir():
        return None
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error


@cache
def code_version() -> str:
    """Version of the package and a mark of its source, equal only for equal source."""
    root = Path(stvg.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root).as_posix()}\0".encode() + path.read_bytes())
    return f"{stvg.__version__}+{digest.hexdigest()[:12]}"


def _start(about: Mapping[str, Any]) -> dict[str, Any]:
    """What is noted when a start begins."""
    torch = sys.modules.get("torch")
    has_gpu = torch is not None and torch.cuda.is_available()
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "state": "running",
        "code": code_version(),
        "machine": {
            "system": platform.platform(),
            "processors": os.cpu_count(),
            "gpu": torch.cuda.get_device_name() if torch is not None and has_gpu else None,
            "python": platform.python_version(),
        },
        **about,
    }


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Which settings differ, in words; empty when none does."""
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    return ", ".join(f"{name} was {before.get(name)!r}, is {now.get(name)!r}" for name in names)


class _Lock:
    """Keeps two processes from writing one run; gone when its process is, however it ends."""

    def __init__(self, out: Path) -> None:
        self._path = out.with_name(f".{out.name}.lock")
        self._file = self._path.open("a")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.close()
            raise OutputError(
                f"another process is writing {out}; wait for it, or choose another --out"
            ) from error
        except OSError:
            pass  # a file system without locks: two writers cannot be told apart there

    def release(self) -> None:
        """Let the next process write."""
        self._path.unlink(missing_ok=True)
        self._file.close()
