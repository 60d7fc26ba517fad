"""What goes over the wire as JSON, apart from ``stvg.prediction/1`` and ``stvg.predictions/1``."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from stvg.export.base import available_formats, find_format

from .settings import Offer, Settings
from .store import Job, State, Version, Video


class Problem(BaseModel):
    """Why a request was refused."""

    detail: str = Field(description="One paragraph: what was expected, what was found, what to do.")


class Body(BaseModel):
    """Base of what clients send: nothing unknown, nothing converted."""

    model_config = ConfigDict(extra="forbid", strict=True)


class PathBody(Body):
    """A video that lies where the service can read it."""

    path: str = Field(
        min_length=1, max_length=4096, description="Absolute, or below one of the roots."
    )


class JobBody(Body):
    """What to find, and by which methods."""

    video: str = Field(max_length=64, description="Id of the video.")
    queries: list[str] = Field(min_length=1, description="Sentences, plain text.")
    methods: list[str] | None = Field(
        None, min_length=1, description="Names of offers; the service's first one if left out."
    )


class OfferPart(BaseModel):
    """A method that may be asked for."""

    name: str = Field(description="What a job calls it.")
    method: str = Field(description="Name of the method.")
    model: str | None = Field(description="Its model; null for the method's default.")

    @classmethod
    def of(cls, offer: Offer) -> Self:
        """As clients see an offer: without the folder of a ``file.py:Class``."""
        return cls(name=offer.name, method=offer.name.partition("=")[0], model=offer.model)


class FormatPart(BaseModel):
    """A format in which answers are given out."""

    name: str = Field(description="What a request calls it.")
    title: str = Field(description="What people call it.")
    suffix: str = Field(description="Of its files.")

    @classmethod
    def of(cls, name: str) -> Self:
        """The format of a name."""
        return cls.model_validate(find_format(name), from_attributes=True)


class Limits(BaseModel):
    """What the service takes."""

    upload_mb: float = Field(description="Largest upload, megabytes.")
    video_minutes: float = Field(description="Longest video, minutes.")
    video_megapixels: float = Field(description="Largest frame, million pixels.")
    video_frames: int = Field(description="Most frames of a video.")
    queries: int = Field(description="Most sentences of a job.")
    sentence: int = Field(description="Longest sentence, characters.")
    job_seconds: float = Field(description="How long a job may run, seconds.")
    queue: int = Field(description="How many jobs may wait.")


class About(BaseModel):
    """What this service is and offers."""

    version: str = Field(description="Version of stvg.")
    methods: list[OfferPart] = Field(description="The methods on offer, the default first.")
    formats: list[FormatPart] = Field(description="Formats of other tools for the answers.")
    limits: Limits
    paths: bool = Field(description="Whether videos may be named by path.")
    token: bool = Field(description="Whether a token is asked for.")

    @classmethod
    def of(cls, version: str, settings: Settings) -> Self:
        """What clients may know of the settings."""
        return cls(
            version=version,
            methods=[OfferPart.of(offer) for offer in settings.offers],
            formats=[FormatPart.of(name) for name in available_formats()],
            limits=Limits.model_validate(settings, from_attributes=True),
            paths=bool(settings.roots),
            token=settings.token is not None,
        )


class VideoPart(BaseModel):
    """A video that the service knows. What a look finds is null until there was one."""

    id: str
    name: str = Field(description="What people call it.")
    bytes: int
    uploaded: bool = Field(description="Whether it came as an upload; else it lies under a root.")
    created_s: float = Field(description="When it came, Unix seconds.")
    state: Literal["new", "ready", "refused"] = Field(
        description="new until a worker looked at it, ready for jobs, or refused."
    )
    reason: str | None = Field(description="Why it was refused.")
    width: int | None = Field(description="As shown, pixels.")
    height: int | None = Field(description="As shown, pixels.")
    fps: str | None = Field(description='Average frames per second, a fraction: "30000/1001".')
    duration_s: float | None
    frames: int | None
    codec: str | None
    plays: bool | None = Field(
        description="Whether browsers play the file itself; if not, a preview is made."
    )
    watch: str | None = Field(description="Path of what a browser can play; null while there is "
                              "nothing yet.")  # fmt: skip

    @classmethod
    def of(cls, video: Video, *, has_preview: bool) -> Self:
        """As clients see a video: without its path."""
        facts = {name: video.facts.get(name) for name in
                 ("width", "height", "fps", "duration_s", "frames", "codec", "plays")}  # fmt: skip
        kind = "file" if facts["plays"] else "preview"
        is_there = facts["plays"] or has_preview
        return cls(
            id=video.id, name=video.name, bytes=video.bytes, uploaded=video.uploaded,
            created_s=video.created_s, state=video.state, reason=video.reason, **facts,
            watch=f"/api/videos/{video.id}/{kind}" if is_there else None,
        )  # fmt: skip


class TimesPart(BaseModel):
    """The frame times of a video."""

    times_s: list[float] = Field(
        description="When each frame is first shown, seconds; the first at 0, increasing."
    )


class Step(BaseModel):
    """How far a running job is."""

    method: str = Field(description="The method at work; empty for previews and overlays.")
    stage: str = Field(description="What it does, in words.")
    done: int
    total: int = Field(description="Steps of this stage.")


class JobPart(BaseModel):
    """A job and how it goes."""

    id: str
    kind: Literal["ground", "preview", "overlay"]
    video: str = Field(description="Id of the video.")
    queries: list[str] = Field(description="The sentences; empty for previews and overlays.")
    methods: list[str] = Field(description="The methods that are asked.")
    state: State = Field(description="queued, running, and then done, failed or cancelled.")
    attempts: int = Field(description="How often it was started; 2 when a worker died on it.")
    created_s: float = Field(description="Unix seconds.")
    started_s: float | None
    ended_s: float | None
    reason: str | None = Field(description="Why it failed.")
    problems: dict[str, str] = Field(description="Why a method gave no answer, by its name.")
    progress: Step | None = Field(description="While it runs.")

    @classmethod
    def of(cls, job: Job, progress: Step | None) -> Self:
        """As clients see a job."""
        request = job.request
        return cls(
            id=job.id, kind=job.kind, video=job.video, queries=request.get("queries", []),
            methods=request.get("methods", [request["method"]] if "method" in request else []),
            state=job.state, attempts=job.attempts, created_s=job.created_s,
            started_s=job.started_s, ended_s=job.ended_s, reason=job.reason,
            problems=dict(job.problems), progress=progress if job.state == "running" else None,
        )  # fmt: skip


class VersionPart(BaseModel):
    """One version of the answer to a query."""

    query: int = Field(description="Number of the query in the job, from 0.")
    version: int = Field(description="1 is the method's answer, later ones are corrections.")
    created_s: float = Field(description="Unix seconds.")

    @classmethod
    def of(cls, version: Version) -> Self:
        """A version without its document."""
        return cls(query=version.query, version=version.version, created_s=version.created_s)


class Health(BaseModel):
    """Whether the service can work."""

    ok: bool
    workers: bool = Field(description="Whether every worker is there or can be replaced.")
    disk: bool = Field(description="Whether there is room for uploads.")
