"""Numbered objects for a whole benchmark, and what they make possible.

Every video is prepared once (:mod:`stvg.perception.prepared`); then each query's target is matched
to a number (:mod:`stvg.perception.matching`). The report says which share of the queries has one,
and the ceiling that the front end sets: the m_vIoU of an answer with the right number and the right
time. Queries without a number are listed, never left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from stvg.data.base import TubeRecord
from stvg.data.catalogue import find_benchmark
from stvg.data.media import MediaFolder
from stvg.errors import UsageError
from stvg.formats.tracks import read_tracks
from stvg.perception.matching import Coverage, Match, MatchConfig, match_target, summarise
from stvg.perception.prepared import FrontEnd, Prepared, TracksCache, named_by_video, prepare
from stvg.progress import Progress, no_progress
from stvg.types import Tracks

NO_VIDEO = "the video could not be prepared"


@dataclass(frozen=True, slots=True)
class NumberedBenchmark:
    """What became of the videos and queries of a benchmark.

    Attributes:
        videos: How many videos the annotations name.
        results: What became of each of them that was found.
        problems: Why a video has no numbers, by what the annotations call it.
        matches: The match of each query by its id.
        coverage: The summary of the matches.
    """

    videos: int
    results: tuple[Prepared, ...]
    problems: Mapping[str, str]
    matches: Mapping[str, Match]
    coverage: Coverage

    def document(self) -> dict[str, Any]:
        """Everything as JSON values."""
        return {
            "videos": self.videos,
            "prepared": sum(not each.was_kept and not each.problem for each in self.results),
            "kept": sum(each.was_kept for each in self.results),
            "problems": dict(self.problems),
            **asdict(self.coverage),
            "unmatched": dict(self.coverage.unmatched),
            "matches": {name: asdict(match) for name, match in self.matches.items()},
        }


def number_benchmark(
    benchmark: str,
    annotations: Path,
    videos: Path,
    front_end: FrontEnd,
    kept_in: TracksCache,
    *,
    companions: Mapping[str, Path] | None = None,
    workers: int = 1,
    folder: Path | None = None,
    match: MatchConfig | None = None,
    progress: Progress = no_progress,
) -> NumberedBenchmark:
    """Number the objects of all videos of a benchmark and match its targets.

    Args:
        benchmark: Its name, or ``file.py:Class``; one of tubes.
        annotations: The annotation file.
        videos: Folder with the videos, at any depth.
        front_end: What finds and numbers objects.
        kept_in: Where results are kept.
        companions: Further files that the benchmark reads, by name.
        workers: Processes.
        folder: Where tracks are written under the names of their videos, or None.
        match: When a track counts as a target.
        progress: Told the videos done.

    Raises:
        UsageError: If the benchmark is not one of tubes, there is no such folder, or an option is
            wrong.
        FormatError: If the annotations cannot be understood.
        StvgError: As :func:`stvg.perception.prepared.prepare`.
    """
    reader = find_benchmark(benchmark)
    if not issubclass(reader.kind, TubeRecord):
        raise UsageError(
            f"{reader.title} does not ask for tubes of objects, so its targets have no numbers; "
            "choose a benchmark of tubes (`stvg data list --json`)"
        )
    records = [
        record
        for record in reader.read(annotations, **(companions or {}))
        if isinstance(record, TubeRecord)
    ]
    found = _Videos.of(dict.fromkeys(record.media for record in records), videos)
    results = prepare(
        list(found.paths.values()), front_end, kept_in, workers=workers, progress=progress
    )
    tracks: dict[str, Tracks] = {}
    for media, result in zip(found.paths, results, strict=True):
        if result.tracks is None:
            found.problems[media] = result.problem
        else:
            tracks[media] = read_tracks(result.tracks)
    if folder is not None:
        named_by_video(results, folder)
    matches = {
        record.id: match_record(record, tracks[record.media], match)
        if record.media in tracks
        else Match(None, NO_VIDEO)
        for record in records
    }
    summary = summarise(list(matches.items()))
    asked = len(found.paths) + sum(media not in found.paths for media in found.problems)
    return NumberedBenchmark(asked, tuple(results), found.problems, matches, summary)


def match_record(record: TubeRecord, tracks: Tracks, config: MatchConfig | None = None) -> Match:
    """The number of a query's target; see :func:`stvg.perception.matching.match_target`.

    Boxes are scaled where the file is a smaller or larger copy of the annotated video. Frames
    outside the annotated span or behind the end of the file do not count.

    Args:
        record: The query with its truth.
        tracks: The numbered objects of its video.
        config: When a track counts.
    """
    frames = record.first_box_frame + np.arange(len(record.boxes))
    start, end = record.span
    inside = (frames >= max(start, 0)) & (frames < min(end, tracks.video.frames))
    boxes = record.boxes[inside]
    if record.width and record.height:
        scale = [tracks.video.width / record.width, tracks.video.height / record.height]
        boxes = boxes * np.array(scale * 2)
    return match_target(frames[inside], boxes, tracks, config)


@dataclass(slots=True)
class _Videos:
    """The files of a benchmark's videos, and why some have none, by what annotations call them."""

    paths: dict[str, Path] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, names: Mapping[str, None], folder: Path) -> _Videos:
        """Look for the files."""
        found, media = cls(), MediaFolder(folder)
        for name in names:
            paths = media.find(name)
            if len(paths) == 1:
                found.paths[name] = paths[0]
            elif paths:
                where = ", ".join(str(path) for path in paths[:3])
                found.problems[name] = f"it may be {where}; keep one of them"
            else:
                found.problems[name] = f"nothing of that name in {folder}"
        return found
