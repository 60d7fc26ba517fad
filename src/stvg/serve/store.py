"""Everything that must survive a restart: videos, jobs, predictions and their corrections.

SQLite in WAL mode. Every change is one transaction, on disk when the call returns. A job goes
``queued -> running -> done | failed | cancelled`` and never back, with one exception: a job whose
worker or service died is queued again. Each start of a job counts as an attempt, and a result is
only taken from the attempt that is running, so that none is written twice.

Methods may be called from any thread.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from stvg.errors import OutputError, StvgError, UsageError

Kind = Literal["look", "ground", "preview", "overlay"]
State = Literal["queued", "running", "done", "failed", "cancelled"]
ENDED: tuple[State, ...] = ("done", "failed", "cancelled")
MOST_ATTEMPTS = 2  # a job that ended two workers would end the third

_VERSION = 2
_TABLES = """
CREATE TABLE videos (
  id TEXT PRIMARY KEY, name TEXT NOT NULL, path TEXT NOT NULL, uploaded INTEGER NOT NULL,
  bytes INTEGER NOT NULL, created_s REAL NOT NULL, used_s REAL NOT NULL,
  state TEXT NOT NULL DEFAULT 'new' CHECK (state IN ('new', 'ready', 'refused')),
  reason TEXT, facts TEXT NOT NULL DEFAULT '{}'
) STRICT;
CREATE TABLE times (
  video TEXT PRIMARY KEY REFERENCES videos (id) ON DELETE CASCADE, times_s TEXT NOT NULL
) STRICT;
CREATE TABLE jobs (
  number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL CHECK (kind IN ('look', 'ground', 'preview', 'overlay')),
  video TEXT NOT NULL REFERENCES videos (id) ON DELETE CASCADE,
  request TEXT NOT NULL, key TEXT UNIQUE,
  state TEXT NOT NULL DEFAULT 'queued'
    CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),
  attempts INTEGER NOT NULL DEFAULT 0,
  created_s REAL NOT NULL, started_s REAL, ended_s REAL,
  reason TEXT, problems TEXT NOT NULL DEFAULT '{}', unwanted INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX jobs_waiting ON jobs (state, kind, number);
CREATE INDEX jobs_of_video ON jobs (video);
CREATE TABLE predictions (
  job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  method TEXT NOT NULL, query INTEGER NOT NULL, version INTEGER NOT NULL,
  created_s REAL NOT NULL, document TEXT NOT NULL,
  PRIMARY KEY (job, method, query, version)
) STRICT, WITHOUT ROWID;
"""


class QueueFullError(StvgError):
    """As many jobs wait as may wait."""


class ConflictError(StvgError):
    """What is asked does not fit the state that things are in."""


@dataclass(frozen=True, slots=True)
class Video:
    """A video that the service knows.

    Attributes:
        id: Hash of the bytes of an upload; of a file under a root, of its path, size and date.
        name: What people call it; never used as a path.
        path: Where it lies.
        uploaded: Whether the file is the service's own.
        bytes: Size of the file.
        created_s: When it came, Unix seconds.
        used_s: When it was last asked for, Unix seconds.
        state: ``new`` until a worker looked at it, then ``ready`` or ``refused``.
        reason: Why it was refused.
        facts: What the look found: ``width``, ``height``, ``fps``, ``duration_s``, ``frames``,
            ``codec``, ``plays``, ``media_type``.
    """

    id: str
    name: str
    path: str
    uploaded: bool
    bytes: int
    created_s: float = 0.0
    used_s: float = 0.0
    state: Literal["new", "ready", "refused"] = "new"
    reason: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Job:
    """A piece of work on a video.

    Attributes:
        id: Random, 32 hexadecimal digits.
        kind: ``look`` at a new video, ``ground`` sentences, make a ``preview`` that browsers play,
            draw an ``overlay``.
        video: Id of the video.
        request: What is asked for; depends on the kind.
        state: See the module.
        attempts: How often it was started.
        created_s: Unix seconds; so are ``started_s`` and ``ended_s``, None when not yet.
        reason: Why it failed.
        problems: Why a method gave no answer, by name of the offer.
        unwanted: Whether it was cancelled while it ran.
    """

    id: str
    kind: Kind
    video: str
    request: Mapping[str, Any]
    state: State
    attempts: int
    created_s: float
    started_s: float | None
    ended_s: float | None
    reason: str | None
    problems: Mapping[str, str]
    unwanted: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a job.

    Attributes:
        state: What the job becomes.
        reason: Why it failed.
        problems: Why a method gave no answer, by name of the offer.
        predictions: Documents ``stvg.prediction/1`` by name of the offer, one a query.
        facts: What a look found.
        times_s: When each frame is first shown, seconds; found by a look.
    """

    state: State
    reason: str | None = None
    problems: Mapping[str, str] = field(default_factory=dict)
    predictions: Mapping[str, Sequence[str]] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    times_s: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class Version:
    """One version of the answer to a query; version 1 is the method's, later ones corrections."""

    query: int
    version: int
    created_s: float
    document: str


class Store:
    """See the module.

    Args:
        path: The database; made when it is not there.

    Raises:
        UsageError: If the file is no database of this version.
        OutputError: If it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: list[sqlite3.Connection] = []
        self._lock = threading.Lock()  # one writer at a time, without SQLite's sleeping
        try:
            self._prepare()
        except sqlite3.DatabaseError as error:
            kind = OutputError if isinstance(error, sqlite3.OperationalError) else UsageError
            raise kind(
                f"expected a database of stvg serve at {path}, SQLite says: {error}; choose "
                "another folder with --data, or move the file away"
            ) from error

    def close(self) -> None:
        """Close the database; no other call may follow."""
        while self._idle:
            self._idle.pop().close()

    # Videos

    def add_video(self, video: Video) -> tuple[Video, bool]:
        """Take a video in, with a job that looks at it; one that is known stays as it is.

        Returns:
            The video as it is kept, and whether it is new.
        """
        now = time.time()
        with self._change() as change:
            added = change.execute(
                "INSERT OR IGNORE INTO videos (id, name, path, uploaded, bytes, created_s, used_s) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (video.id, video.name, video.path, video.uploaded, video.bytes, now, now),
            ).rowcount
            if added:
                self._insert_job(change, "look", video.id, {}, None)
            else:
                change.execute("UPDATE videos SET used_s = ? WHERE id = ?", (now, video.id))
            (row,) = change.execute("SELECT * FROM videos WHERE id = ?", (video.id,))
        return _video(row), bool(added)

    def video(self, video_id: str) -> Video | None:
        """The video of an id, or None."""
        rows = self._read("SELECT * FROM videos WHERE id = ?", video_id)
        return _video(rows[0]) if rows else None

    def videos(self) -> list[Video]:
        """All videos, the latest first."""
        return [_video(row) for row in self._read("SELECT * FROM videos ORDER BY created_s DESC")]

    def times(self, video_id: str) -> str | None:
        """When each frame of a video is first shown: a list of seconds, as JSON.

        None until it was looked at. Kept apart from the video, because it may be megabytes long.
        """
        rows = self._read("SELECT times_s FROM times WHERE video = ?", video_id)
        return rows[0]["times_s"] if rows else None

    def delete_video(self, video_id: str) -> None:
        """Forget a video, its jobs and their predictions.

        Raises:
            ConflictError: If a job on it is queued or running.
        """
        with self._change() as change:
            busy = change.execute(
                "SELECT count(*) FROM jobs WHERE video = ? AND state IN ('queued', 'running')",
                (video_id,),
            ).fetchone()[0]
            if busy:
                raise ConflictError(
                    f"{busy} jobs on this video are queued or running; cancel them, or wait until "
                    "they have ended"
                )
            change.execute("DELETE FROM videos WHERE id = ?", (video_id,))

    # Jobs

    def add_job(
        self,
        kind: Kind,
        video_id: str,
        request: Mapping[str, Any],
        *,
        key: str | None = None,
        room: int,
    ) -> tuple[Job, bool]:
        """Queue a job.

        Args:
            kind: What kind.
            video_id: Of which video.
            request: What is asked for.
            key: A name for this very request: the same key again gives the job that is there.
            room: How many jobs of the kind may wait.

        Returns:
            The job, and whether it is new.

        Raises:
            ConflictError: If the key was used for another request, or the video is gone or
                refused.
            QueueFullError: If as many jobs wait as may wait.
        """
        with self._change() as change:
            known = change.execute("SELECT * FROM jobs WHERE key = ?", (key,)).fetchone()
            if known is not None:
                job = _job(known)
                if (job.video, job.request) != (video_id, request):
                    raise ConflictError(
                        "this key was used for another request; give every request a key of its own"
                    )
                return job, False
            self._require_open(change, video_id)
            waiting = change.execute(
                "SELECT count(*) FROM jobs WHERE state = 'queued' AND kind = ?", (kind,)
            ).fetchone()[0]
            if waiting >= room:
                raise QueueFullError(
                    f"{waiting} jobs wait already, more are not taken; try again later"
                )
            change.execute("UPDATE videos SET used_s = ? WHERE id = ?", (time.time(), video_id))
            return self._insert_job(change, kind, video_id, request, key), True

    def job(self, job_id: str) -> Job | None:
        """The job of an id, or None."""
        rows = self._read("SELECT * FROM jobs WHERE id = ?", job_id)
        return _job(rows[0]) if rows else None

    def job_of_key(self, key: str) -> Job | None:
        """The job that was queued under a key, or None."""
        rows = self._read("SELECT * FROM jobs WHERE key = ?", key)
        return _job(rows[0]) if rows else None

    def jobs(
        self, *, video_id: str | None = None, state: State | None = None, limit: int = 100
    ) -> list[Job]:
        """Jobs but looks, the latest first."""
        rows = self._read(
            "SELECT * FROM jobs WHERE kind != 'look' AND (?1 IS NULL OR video = ?1) "
            "AND (?2 IS NULL OR state = ?2) ORDER BY number DESC LIMIT ?3",
            video_id, state, limit,
        )  # fmt: skip
        return [_job(row) for row in rows]

    def claim(self, kind: Kind) -> Job | None:
        """Start the oldest job of a kind that can be started, or None.

        Only a look touches a video that was not looked at.
        """
        with self._change() as change:
            row = change.execute(
                "UPDATE jobs SET state = 'running', attempts = attempts + 1, started_s = ? "
                "WHERE number = (SELECT number FROM jobs JOIN videos ON videos.id = jobs.video "
                "WHERE jobs.state = 'queued' AND kind = ? "
                "AND (kind = 'look' OR videos.state = 'ready') ORDER BY number LIMIT 1) "
                "RETURNING *",
                (time.time(), kind),
            ).fetchone()
        return None if row is None else _job(row)

    def finish(self, job: Job, outcome: Outcome) -> list[str]:
        """End a job that runs, and keep what came of it, in one transaction.

        Args:
            job: As :meth:`claim` gave it. If this is not the attempt that runs, nothing happens.
            outcome: What came of it.

        Returns:
            Ids of the jobs that have ended by this: the job, and those that waited for a video
            which is refused now.
        """
        now = time.time()
        with self._change() as change:
            ended = change.execute(
                "UPDATE jobs SET state = ?, ended_s = ?, reason = ?, problems = ? "
                "WHERE id = ? AND state = 'running' AND attempts = ?",
                (outcome.state, now, outcome.reason, _json(outcome.problems), job.id, job.attempts),
            ).rowcount
            if not ended:
                return []
            change.executemany(
                "INSERT INTO predictions VALUES (?, ?, ?, 1, ?, ?)",
                [
                    (job.id, method, query, now, document)
                    for method, documents in outcome.predictions.items()
                    for query, document in enumerate(documents)
                ],
            )
            if job.kind != "look":
                return [job.id]
            return [job.id, *self._finish_look(change, job.video, outcome)]

    def requeue(self, job: Job, *, counts: bool = True) -> None:
        """Queue a job again whose worker is gone; one that was cancelled meanwhile has ended.

        Args:
            job: As :meth:`claim` gave it.
            counts: Whether the attempt counts; not when the service stops as it should.
        """
        with self._change() as change:
            change.execute(
                "UPDATE jobs SET state = iif(unwanted, 'cancelled', 'queued'), started_s = NULL, "
                "ended_s = iif(unwanted, ?, NULL), attempts = attempts - ? "
                "WHERE id = ? AND state = 'running' AND attempts = ?",
                (time.time(), 0 if counts else 1, job.id, job.attempts),
            )

    def cancel(self, job_id: str) -> State | None:
        """Cancel a job that is queued; of one that runs, remember that it is unwanted.

        Returns:
            The state afterwards; ``running`` means that its worker must be told. None if there is
            no such job.
        """
        with self._change() as change:
            change.execute(
                "UPDATE jobs SET state = 'cancelled', ended_s = ? "
                "WHERE id = ? AND state = 'queued'",
                (time.time(), job_id),
            )
            change.execute(
                "UPDATE jobs SET unwanted = 1 WHERE id = ? AND state = 'running'", (job_id,)
            )
            row = change.execute("SELECT state FROM jobs WHERE id = ?", (job_id,)).fetchone()
        return None if row is None else row["state"]

    def delete_job(self, job_id: str) -> None:
        """Forget a job and its predictions.

        Raises:
            ConflictError: If it is queued or running.
        """
        with self._change() as change:
            row = change.execute("SELECT state FROM jobs WHERE id = ?", (job_id,)).fetchone()
            if row is not None and row["state"] not in ENDED:
                raise ConflictError(f"the job is {row['state']}; cancel it before deleting it")
            change.execute("DELETE FROM jobs WHERE id = ?", (job_id,))

    def recover(self) -> None:
        """Queue again what ran when a service died; after two attempts it has failed."""
        for job in map(_job, self._read("SELECT * FROM jobs WHERE state = 'running'")):
            if job.unwanted:
                self.finish(job, Outcome("cancelled"))
            elif job.attempts < MOST_ATTEMPTS:
                self.requeue(job)
            else:
                self.finish(job, Outcome("failed", "the service died twice while this job ran"))

    # Predictions

    def predictions(self, job_id: str, method: str, *, original: bool = False) -> list[Version]:
        """The latest or the original answer to every query, in order of the queries."""
        which = "min" if original else "max"
        rows = self._read(
            f"SELECT query, {which}(version) AS version, created_s, document FROM predictions "  # noqa: S608
            "WHERE job = ? AND method = ? GROUP BY query ORDER BY query",
            job_id, method,
        )  # fmt: skip
        return [Version(**row) for row in rows]

    def versions(self, job_id: str, method: str, query: int) -> list[Version]:
        """All versions of the answer to a query, the method's first."""
        rows = self._read(
            "SELECT query, version, created_s, document FROM predictions "
            "WHERE job = ? AND method = ? AND query = ? ORDER BY version",
            job_id, method, query,
        )  # fmt: skip
        return [Version(**row) for row in rows]

    def add_version(self, job_id: str, method: str, query: int, document: str) -> Version | None:
        """Keep a corrected answer beside those that are there; None if there is no answer."""
        with self._change() as change:
            row = change.execute(
                "INSERT INTO predictions SELECT job, method, query, max(version) + 1, ?, ? "
                "FROM predictions WHERE job = ? AND method = ? AND query = ? GROUP BY query "
                "RETURNING query, version, created_s, document",
                (time.time(), document, job_id, method, query),
            ).fetchone()
        return None if row is None else Version(**row)

    # Numbers

    def counts(self) -> dict[tuple[Kind, State], int]:
        """How many jobs there are, by kind and state."""
        rows = self._read("SELECT kind, state, count(*) AS jobs FROM jobs GROUP BY kind, state")
        return {(row["kind"], row["state"]): row["jobs"] for row in rows}

    def seconds_a_job(self) -> float:
        """Mean seconds that the last twenty grounding jobs ran; 1 when there were none."""
        ((mean_s,),) = self._read(
            "SELECT avg(ended_s - started_s) FROM (SELECT * FROM jobs WHERE kind = 'ground' "
            "AND state = 'done' ORDER BY number DESC LIMIT 20)"
        )
        return float(mean_s or 1.0)

    def ended_before(self, time_s: float) -> list[Job]:
        """Jobs that ended before a time, Unix seconds."""
        return [_job(row) for row in self._read("SELECT * FROM jobs WHERE ended_s < ?", time_s)]

    def idle_videos(self) -> list[Video]:
        """Videos without a queued or running job, the longest unused first."""
        rows = self._read(
            "SELECT * FROM videos WHERE NOT EXISTS (SELECT 1 FROM jobs "
            "WHERE jobs.video = videos.id AND jobs.state IN ('queued', 'running')) ORDER BY used_s"
        )
        return [_video(row) for row in rows]

    # Inside

    def _finish_look(
        self, change: sqlite3.Connection, video_id: str, outcome: Outcome
    ) -> list[str]:
        """Open a video for jobs, or refuse it and fail those that wait for it."""
        if outcome.state == "done":
            change.execute(
                "UPDATE videos SET state = 'ready', facts = ? WHERE id = ?",
                (_json(outcome.facts), video_id),
            )
            change.execute(
                "INSERT INTO times VALUES (?, ?)", (video_id, json.dumps(list(outcome.times_s)))
            )
            if not outcome.facts["plays"]:
                self._insert_job(change, "preview", video_id, {}, preview_key(video_id))
            return []
        change.execute(
            "UPDATE videos SET state = 'refused', reason = ? WHERE id = ?",
            (outcome.reason, video_id),
        )
        rows = change.execute(
            "UPDATE jobs SET state = 'failed', ended_s = ?, reason = ? "
            "WHERE video = ? AND state = 'queued' RETURNING id",
            (time.time(), outcome.reason, video_id),
        ).fetchall()
        return [row["id"] for row in rows]

    def _insert_job(
        self,
        change: sqlite3.Connection,
        kind: Kind,
        video_id: str,
        request: Mapping[str, Any],
        key: str | None,
    ) -> Job:
        row = change.execute(
            "INSERT INTO jobs (id, kind, video, request, key, created_s) "
            "VALUES (?, ?, ?, ?, ?, ?) RETURNING *",
            (secrets.token_hex(16), kind, video_id, _json(request), key, time.time()),
        ).fetchone()
        return _job(row)

    def _require_open(self, change: sqlite3.Connection, video_id: str) -> None:
        """Refuse jobs on a video that is gone or refused."""
        row = change.execute("SELECT * FROM videos WHERE id = ?", (video_id,)).fetchone()
        if row is None:
            raise ConflictError("the video was deleted meanwhile; upload it again")
        if row["state"] == "refused":
            raise ConflictError(f"the video was refused: {row['reason']}")

    def _prepare(self) -> None:
        """Make the tables, or make sure that they are ours."""
        with self._borrowed() as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            if not version and not tables:
                connection.execute("PRAGMA journal_mode = WAL")  # stays with the file
                connection.executescript(
                    f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version = {_VERSION}; COMMIT;"
                )
            elif version != _VERSION:
                raise UsageError(
                    f"expected a database of stvg serve, version {_VERSION}, at {self._path}, "
                    f"found version {version}; update stvg, or choose another folder with --data"
                )

    @contextmanager
    def _borrowed(self) -> Iterator[sqlite3.Connection]:
        """A connection that nobody else uses meanwhile; there are as many as are in use at once."""
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._open()
        try:
            yield connection
        finally:
            self._idle.append(connection)

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, isolation_level=None, timeout=30, check_same_thread=False
        )
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA synchronous = FULL")  # a power cut loses nothing either
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    def _read(self, query: str, *values: Any) -> list[sqlite3.Row]:
        with self._borrowed() as connection:
            return connection.execute(query, values).fetchall()

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """A transaction that changes something: whole or not at all."""
        with self._lock, self._borrowed() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # SQLite has ended some itself, as on a full disk
                    connection.execute("ROLLBACK")
                raise


def preview_key(video_id: str) -> str:
    """The key of the job that makes a video's preview."""
    return f"preview:{video_id}"


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False)


def _video(row: sqlite3.Row) -> Video:
    values = dict(row)
    values["uploaded"] = bool(values["uploaded"])
    return Video(**{**values, "facts": json.loads(values["facts"])})


def _job(row: sqlite3.Row) -> Job:
    values = dict(row)
    del values["number"], values["key"]
    values["request"] = json.loads(values["request"])
    values["problems"] = json.loads(values["problems"])
    values["unwanted"] = bool(values["unwanted"])
    return Job(**values)
