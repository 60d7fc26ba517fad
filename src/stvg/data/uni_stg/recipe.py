"""What a build is made of: the sources by path, how many samples of each, the limits of quality.

A recipe is a YAML file; paths in it are relative to the current directory. Every source has a
``kind``: ``benchmark`` (annotations that :mod:`stvg.data` reads), ``synthetic`` (tubes made from
videos) or ``chat`` (conversations).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from stvg.config import Config, read_yaml
from stvg.errors import UsageError
from stvg.perception.track import TrackingConfig

from .filters import Limits


class _Source(Config):
    """What all sources have."""

    name: str = Field(pattern=r"^[a-z0-9_]+$", description="of its own; in ids and names of files")
    count: int | None = Field(None, ge=1, description="most samples; default all there are")
    folder: Path | None = Field(
        None, description="its media, a folder below that of all media; default: not looked for"
    )


class BenchmarkSource(_Source):
    """Annotations of a benchmark of boxes, times or tubes."""

    kind: Literal["benchmark"] = Field("benchmark", description="this kind")
    benchmark: str = Field(description="a name of `stvg data list`, or file.py:Class")
    annotations: Path = Field(description="the annotation file of the split to train on")
    companions: dict[str, Path] = Field(
        default_factory=dict, description="further files that the benchmark reads, by name"
    )

    def inputs(self) -> Iterator[Path]:
        """What must be there."""
        yield _without_split(self.annotations)
        yield from self.companions.values()


class Endpoint(Config):
    """A server with the chat interface of OpenAI."""

    address: str = Field(pattern="^https?://", description="up to /v1")
    model: str = Field(description="what the server calls its model")


class SyntheticSource(_Source):
    """Tubes from a detector and a tracker, with a sentence for each.

    With ``captions`` the sentences are given with the time about which they speak; without, they
    are made for the objects that are found.
    """

    kind: Literal["synthetic"] = Field(description="this kind")
    folder: Path = Field(description="the videos, a folder below that of all media")
    captions: Path | None = Field(
        None, description="annotations of a benchmark of times; their moments are the coarse ones"
    )
    benchmark: str = Field("charades_sta", description="whose form the captions have")
    companions: dict[str, Path] = Field(
        default_factory=dict, description="further files that the benchmark of the captions reads"
    )
    endpoint: Endpoint | None = Field(
        None, description="writes sentences, or finds what captions speak of; default rules"
    )
    detector: str = Field(
        "IDEA-Research/grounding-dino-base", description="as `stvg tracks --model` takes it"
    )
    words: tuple[str, ...] = Field(
        (), description="what is looked for; default what the detector knows, or the endpoint finds"
    )
    threshold: float = Field(
        0.1, ge=0, lt=1, description="confidence from which the tracker sees a box"
    )
    tracking: TrackingConfig = Field(
        default_factory=TrackingConfig, description="how objects are followed"
    )
    limits: Limits = Field(default_factory=Limits, description="which samples are kept")
    shard: int = Field(
        200, ge=1, description="samples of a file; what a killed build has to do again"
    )

    def inputs(self) -> Iterator[Path]:
        """What must be there, besides the videos."""
        yield from ([self.captions] if self.captions is not None else [])
        yield from self.companions.values()


class ChatSource(_Source):
    """Conversations about videos and images, to keep what the model could do before."""

    kind: Literal["chat"] = Field(description="this kind")
    file: Path = Field(
        description="JSON list or lines of {id, video or image, conversations: [{from, value}]}"
    )

    def inputs(self) -> Iterator[Path]:
        """What must be there."""
        yield self.file


Source = BenchmarkSource | SyntheticSource | ChatSource
_KINDS: dict[str, type[Source]] = {
    "benchmark": BenchmarkSource, "synthetic": SyntheticSource, "chat": ChatSource,
}  # fmt: skip


class Recipe(Config):
    """A build."""

    media: Path | None = Field(
        None, description="folder of all media; the set names files below it"
    )
    seed: int = Field(0, ge=0, description="decides which samples are drawn")
    shard: int = Field(10_000, ge=1, description="samples of a file; synthetic sources have theirs")
    sources: tuple[Source, ...] = Field(min_length=1, description="what is merged, in this order")

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [source.name for source in self.sources]
        problems = [
            f"two sources are called {n}" for n in sorted({n for n in names if names.count(n) > 1})
        ]
        problems += [
            f"{source.name} has a folder below that of all media, so the recipe needs media"
            for source in self.sources
            if source.folder is not None and self.media is None
        ]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def media_of(self, source: Source) -> Path | None:
        """Where the media of a source are, or None where they are not looked for."""
        if source.folder is None or self.media is None:
            return None
        return self.media / source.folder

    def shard_of(self, source: Source) -> int:
        """Samples of a file of a source."""
        return source.shard if isinstance(source, SyntheticSource) else self.shard

    def require_inputs(self) -> None:
        """Refuse a recipe whose files or folders are not there.

        Raises:
            UsageError: Naming all of them.
        """
        wanted = [(source.name, path) for source in self.sources for path in source.inputs()]
        folders = [(source.name, self.media_of(source)) for source in self.sources]
        missing = [f"{path} ({name})" for name, path in wanted if not path.exists()]
        missing += [f"{at} ({name})" for name, at in folders if at is not None and not at.is_dir()]
        if missing:
            raise UsageError(
                f"expected the sources of the recipe, found no {', no '.join(missing)}; paths are "
                f"relative to the current directory, {Path.cwd()}"
            )


def load_recipe(path: str | Path) -> Recipe:
    """Read a recipe.

    Raises:
        UsageError: If the file is missing or no YAML, a key is unknown or a value out of range.
    """
    values = read_yaml(path)
    sources = values.get("sources") if isinstance(values, dict) else None
    if not isinstance(sources, list):
        raise UsageError(f"expected a recipe with a list of sources in {path}")
    return Recipe.of({**values, "sources": [_source(value, path) for value in sources]})


def _source(value: Any, path: str | Path) -> Source:
    """One source, by its kind."""
    kind = value.get("kind", "benchmark") if isinstance(value, dict) else None
    if kind not in _KINDS:
        raise UsageError(
            f"expected sources of the kinds {', '.join(_KINDS)} in {path}, found {value!r:.80}"
        )
    return _KINDS[kind].of(value)


def _without_split(path: Path) -> Path:
    """``refs(unc).p#train`` without the split that it names."""
    return path if path.exists() else path.with_name(path.name.partition("#")[0])
