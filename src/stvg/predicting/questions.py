"""Which queries a run answers, and on which files: records grouped into jobs, one a video.

All queries on one video are one job, wherever they stand in the annotations, so that each video is
read once. A video that cannot be found is a job too: its queries are answered with an error.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from stvg.data.base import Benchmark, MaskRecord, Record, TubeRecord
from stvg.data.catalogue import find_benchmark
from stvg.data.media import MediaFolder
from stvg.errors import FormatError, UsageError

_NEEDED = ("start", "end", "frame_count_unknown")  # what placing answers takes from Record.extra


@dataclass(frozen=True, slots=True)
class Questions:
    """Queries of a benchmark.

    Attributes:
        benchmark: Its name, or ``file.py:Class``.
        annotations: The annotation file.
        companions: Further files that the benchmark reads, by name.
        limit: Only the first this many queries, None for all.
        shard: ``(i, n)``: every n-th video from the i-th on, 0 <= i < n; None for all.

    Raises:
        UsageError: If the limit or the shard is out of range.
    """

    benchmark: str
    annotations: Path
    companions: Mapping[str, Path] = field(default_factory=dict)
    limit: int | None = None
    shard: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"expected a limit of at least one query, found {self.limit}")
        if self.shard is not None and not 0 <= self.shard[0] < self.shard[1]:
            i, n = self.shard
            raise UsageError(
                f"expected a shard i/n with 0 <= i < n (of 4 shards: 0/4, 1/4, 2/4, 3/4), found "
                f"{i}/{n}"
            )

    @property
    def reader(self) -> Benchmark:
        """What reads the annotations."""
        return find_benchmark(self.benchmark)

    def records(self, *, with_truth: bool = False) -> list[Record]:
        """The queries in the order of the annotations.

        Args:
            with_truth: Whether true boxes are kept; methods need none, and they are many.

        Raises:
            UsageError: If a file is not there or nothing is left to answer.
            FormatError: If the annotations cannot be understood, or an id occurs twice.
        """
        reader = self.reader
        found: dict[str, Record] = {}
        media: dict[str, int] = {}
        for number, record in enumerate(reader.read(self.annotations, **self.companions)):
            if self.limit is not None and number >= self.limit:
                break
            if record.id in found:
                raise FormatError(
                    f"{record.place}: expected every query once, found the id {record.id!r} again, "
                    f"which {found[record.id].place} has"
                )
            place = media.setdefault(record.media, len(media))
            if self.shard is None or place % self.shard[1] == self.shard[0]:
                found[record.id] = record if with_truth else _without_truth(record)
        if not found:
            of_shard = f" for shard {self.shard[0]}/{self.shard[1]}" if self.shard else ""
            raise UsageError(f"{self.annotations}: expected queries, found none{of_shard}")
        return list(found.values())

    def of_split(self, annotations: Path) -> Questions:
        """All queries of another file of the same benchmark."""
        return Questions(self.benchmark, annotations, self.companions)

    @property
    def videos_beside(self) -> Path | None:
        """The folder of the videos where the annotations are `stvg world`'s, else None."""
        return self._beside("videos")

    @property
    def tracks_beside(self) -> Path | None:
        """The folder of the tracks where the annotations are `stvg world`'s, else None."""
        return self._beside("tracks")

    def _beside(self, name: str) -> Path | None:
        """A folder beside annotations that lie as ``stvg world`` writes them."""
        folder = self.annotations.parent / name
        is_ours = (self.annotations.parent / "world.json").is_file() and folder.is_dir()
        return folder if is_ours else None

    def evaluate_command(self, out: Path) -> str:
        """The ``stvg evaluate`` that scores answers to these queries."""
        words = ["stvg", "evaluate", self.benchmark, "--annotations", str(self.annotations)]
        for name, path in self.companions.items():
            words += ["--with", f"{name}={path}"]
        words += ["--predictions", str(out)]
        protocols = self.reader.protocols
        if "ours" not in protocols:
            words += ["--protocol", protocols[0]]
        return shlex.join(words)


@dataclass(frozen=True, slots=True)
class Job:
    """A video or picture with all queries on it.

    Attributes:
        media: What the annotation calls it.
        records: The queries.
        path: The file or folder of frames, or None where there is none.
        problem: Why there is none: reason, colon, detail.
        rate: Frames a second of a folder of frames.
    """

    media: str
    records: tuple[Record, ...]
    path: Path | None = None
    problem: str | None = None
    rate: int = Benchmark.rate


def jobs_of(records: Iterable[Record], benchmark: Benchmark, videos: Path) -> list[Job]:
    """Group queries by video and look for its file, in order of the first query on each.

    Args:
        records: The queries.
        benchmark: Theirs.
        videos: Folder with the videos or pictures, at any depth.

    Raises:
        UsageError: If there is no such folder.
    """
    folder = MediaFolder(videos, benchmark.media)
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record.media, []).append(record)
    return [_job(media, group, folder, benchmark) for media, group in groups.items()]


def _job(media: str, records: Sequence[Record], folder: MediaFolder, benchmark: Benchmark) -> Job:
    """A job with its file, or with the reason why it has none."""
    paths, kind = folder.find(media), benchmark.media
    if len(paths) == 1:
        return Job(media, tuple(records), paths[0], rate=benchmark.rate)
    if paths:
        where = ", ".join(str(path) for path in paths[:3])
        problem = f"{kind} ambiguous: {media!r} may be {where}; keep one of them"
    else:
        problem = f"{kind} missing: nothing named {media!r} in {folder.path}"
    return Job(media, tuple(records), problem=problem)


def _without_truth(record: Record) -> Record:
    """A record without its boxes and without what evaluators alone need."""
    extra = {name: record.extra[name] for name in _NEEDED if name in record.extra}
    if isinstance(record, TubeRecord):
        return replace(record, extra=extra, boxes=np.zeros((0, 4)))
    if isinstance(record, MaskRecord):
        return replace(record, extra=extra, masks=None)
    return replace(record, extra=extra)
