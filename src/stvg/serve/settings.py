"""What a service is told when it starts: where things lie, what it offers, what it refuses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from stvg.config import Config
from stvg.errors import UsageError
from stvg.registry import available, suggest

LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Addresses that nobody outside this machine reaches."""

SHORTEST_TOKEN = 16  # characters; ours: too long to be guessed at a thousand tries a second
MEGABYTE, GIGABYTE = 10**6, 10**9

_Folder = Annotated[Path, AfterValidator(lambda path: path.expanduser().resolve())]


class Offer(Config):
    """A method with its model, under the one name by which clients may ask for it.

    Clients choose among offers and nothing else: a method named freely would run any Python file,
    a model named freely would fetch anything.

    Attributes:
        name: What clients say.
        method: Name of a method, or ``file.py:Class``.
        model: Its model; None for the method's default.
        options: Its options as ``key=value`` texts.
    """

    name: str
    method: str
    model: str | None = None
    options: tuple[str, ...] = ()

    @classmethod
    def read(cls, text: str) -> Offer:
        """Read ``METHOD[=MODEL][,KEY=VALUE...]``; the name is all before the first comma.

        Raises:
            UsageError: If there is no such method or file.

        Example:
            >>> Offer.read("track_match=blobs,min_colour=0.2").options
            ('min_colour=0.2',)
            >>> Offer.read("track_match=blobs").name
            'track_match=blobs'
        """
        head, *options = text.split(",")
        method, _, model = head.partition("=")
        file, colon, attribute = method.rpartition(":")
        if not colon:
            known = available("stvg.methods")
            if method not in known:
                raise UsageError(
                    f"there is no method {method!r} to offer; {suggest(method, known)}"
                )
        elif file.endswith(".py") and not Path(file).is_file():
            raise UsageError(f"expected a Python file with a method at {file}, found none")
        shown = f"{Path(file).name}:{attribute}" if colon else method
        return cls(
            name=f"{shown}={model}" if model else shown,
            method=method,
            model=model or None,
            options=tuple(options),
        )


class Settings(Config):
    """Everything that can be chosen about a service.

    Attributes:
        data: Folder of the database and of all files; made when it is not there.
        offers: What clients may ask for, the first by default.
        roots: Folders whose videos may be named by path.
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        token: What clients must show; None only on loopback.
        hosts: Names by which clients may call the service besides those of loopback.
        workers: Processes that ground, each with models of its own.
        threads: Threads of each worker for decoding and detection, 0 for all.
        loaded: Methods that each worker keeps in memory.
        queue: Jobs that may wait.
        upload_mb: Largest upload, megabytes.
        video_minutes: Longest video, minutes.
        video_megapixels: Largest frame, million pixels.
        video_frames: Most frames of a video.
        queries: Most sentences of a job.
        sentence: Longest sentence, characters.
        job_seconds: How long a worker may take for a job.
        keep_days: Age at which ended jobs and unused uploads are removed, days; None keeps them.
        keep_gb: How much uploads and films may take, gigabytes; None is no limit.
        free_gb: Uploads are refused when less is left on the disk, gigabytes.
    """

    data: _Folder
    offers: tuple[Offer, ...] = Field(min_length=1)
    roots: tuple[_Folder, ...] = ()
    host: str = LOOPBACK[0]
    port: int = Field(8000, ge=0, le=65535)
    token: SecretStr | None = None
    hosts: tuple[str, ...] = ()
    workers: int = Field(1, ge=1)
    threads: int = Field(0, ge=0)
    loaded: int = Field(2, ge=1)
    queue: int = Field(100, ge=1)
    upload_mb: float = Field(2000, gt=0)
    video_minutes: float = Field(60, gt=0)
    video_megapixels: float = Field(9, gt=0)
    video_frames: int = Field(250_000, ge=1)
    queries: int = Field(32, ge=1)
    sentence: int = Field(300, ge=1)
    job_seconds: float = Field(600, gt=0)
    keep_days: float | None = Field(None, gt=0)
    keep_gb: float | None = Field(None, gt=0)
    free_gb: float = Field(1, ge=0)

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches the service, also through a proxy."""
        return self.host in LOOPBACK and not self.hosts

    def offer(self, name: str) -> Offer:
        """The offer of a name.

        Raises:
            UsageError: If there is none; suggests the nearest.
        """
        for offer in self.offers:
            if offer.name == name:
                return offer
        known = [offer.name for offer in self.offers]
        raise UsageError(f"this service does not offer {name!r:.100}; {suggest(name, known)}")

    def without_secrets(self) -> Settings:
        """The same for processes that open strangers' files."""
        return self.model_copy(update={"token": None})


def check(settings: Settings) -> None:
    """Refuse what would be open to strangers, or could not work.

    Raises:
        UsageError: If a token is missing or short, a root is no folder, or two offers share a name.
    """
    token = settings.token.get_secret_value() if settings.token else None
    if token is None and not settings.is_local:
        raise UsageError(
            f"expected a token, because others reach the service ({_reached_by(settings)}), found "
            "none; write a long random text into a file and name it with --token-file, or put it "
            "into STVG_TOKEN"
        )
    if token is not None and (len(token) < SHORTEST_TOKEN or not token.isascii()):
        raise UsageError(
            f"expected a token of at least {SHORTEST_TOKEN} ASCII characters, found one of "
            f"{len(token)}; make one with: python -c 'import secrets; print(secrets.token_hex())'"
        )
    for root in settings.roots:
        if not root.is_dir():
            raise UsageError(f"expected a folder with videos at {root}, found none")
    _require_distinct([offer.name for offer in settings.offers])


def _reached_by(settings: Settings) -> str:
    """By what others reach the service."""
    return ", ".join([*settings.hosts, settings.host])


def _require_distinct(names: Sequence[str]) -> None:
    """Refuse two offers of one name."""
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{name!r} is offered twice; clients could not tell which they mean")
