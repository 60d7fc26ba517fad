"""Numbered objects kept on disk, so that a benchmark is prepared once.

An entry is a tracks JSON whose name is made from the bytes of the video and everything that decided
about the result: detector, words, threshold, options, version of this code. A renamed or moved
video finds its entry, a changed one does not. Entries appear whole, by renaming, so work that was
killed goes on with the first video that has none; several processes may share a folder.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from stvg.errors import FormatError, OutputError, StvgError, UsageError
from stvg.formats.tracks import read_tracks, write_tracks
from stvg.perception.choose import load_detector, only_classes
from stvg.perception.detect import Detector
from stvg.perception.numbering import NumberingConfig, number_objects
from stvg.perception.yolox import PUBLISHED
from stvg.progress import Progress, Stages, no_progress, no_stages
from stvg.types import Tracks
from stvg.video import probe

VERSION = 1
"""Part of every entry's name: goes up when the same request would give other tracks."""

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class FrontEnd:
    """What finds and numbers objects; small enough to send to another process.

    Attributes:
        detector: Name, path, hub id or reference (see ``load_detector``).
        classes: Classes to keep, or words to look for; empty for all that the detector knows.
        threshold: Detections below this confidence are dropped.
        config: How objects are followed and numbered.
        threads: CPU threads of a process, 0 for all.
    """

    detector: str = "yolox_nano"
    classes: tuple[str, ...] = ()
    threshold: float = 0.1
    config: NumberingConfig = field(default_factory=NumberingConfig)
    threads: int = 0

    def load(self, progress: Progress = no_progress) -> Detector:
        """The detector, reduced to the classes that are wanted.

        Raises:
            UsageError: If the name or a class means nothing.
            MissingExtraError: If its extra is not installed.
            WeightsError: If its weights cannot be had or read.
        """
        detector = load_detector(
            self.detector, threshold=self.threshold, threads=self.threads, progress=progress
        )
        if self.classes and detector.classes is not None:
            return only_classes(detector, self.classes)
        return detector

    def number(
        self, video: str | Path, detector: Detector | None = None, stages: Stages = no_stages
    ) -> Tracks:
        """Find and number the objects of a video.

        Args:
            video: Path of the video.
            detector: What :meth:`load` gave before; loaded where it is not given.
            stages: Told how far each stage of the work is.

        Raises:
            StvgError: As :func:`stvg.perception.numbering.number_objects` and :meth:`load`.
        """
        loaded = detector or self.load(stages("fetching weights"))
        return number_objects(
            video, loaded, self.config, words=self.classes, threads=self.threads, stages=stages
        )

    def settings(self) -> dict[str, Any]:
        """Everything that decides about the result but the video, as JSON values."""
        return {
            "version": VERSION,
            "detector": self.detector,
            "detector_sha256": _own_weights(self.detector),
            "segmenter_sha256": _own_weights(self.config.segmenter or ""),
            "classes": list(self.classes),
            "threshold": self.threshold,
            "config": self.config.model_dump(mode="json"),
        }


class TracksCache:
    """A folder of numbered objects.

    Args:
        folder: Where. Default: ``tracks`` in the folder that the environment variable
            ``STVG_CACHE`` names, else in the user's cache folder.

    Attributes:
        folder: Where; made when the first entry is written.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        named = os.environ.get("STVG_CACHE")
        default = (Path(named) if named else user_cache_path("stvg")) / "tracks"
        self.folder = Path(folder) if folder is not None else default

    def path_of(self, video: str | Path, front_end: FrontEnd) -> Path:
        """Where the entry of a video is or would be.

        Raises:
            UsageError: If the video cannot be read as a file.
        """
        digest = hashlib.sha256(json.dumps(front_end.settings(), sort_keys=True).encode())
        try:
            digest.update(_sha256(Path(video)).encode())
        except OSError as error:
            raise UsageError(f"cannot read the video {video}: {error.strerror}") from error
        return self.folder / f"{digest.hexdigest()[:40]}.json"

    def load(self, video: str | Path, front_end: FrontEnd) -> Tracks | None:
        """The numbered objects of a video, if they are kept; an entry that is damaged is not.

        Raises:
            UsageError: If the video cannot be read as a file.
            VideoError: If it cannot be read as a video.
        """
        path = self.path_of(video, front_end)
        if not path.is_file():
            return None
        try:
            kept = read_tracks(path)
        except FormatError:
            return None
        return replace(kept, video=probe(video))

    def get(
        self,
        video: str | Path,
        front_end: FrontEnd,
        *,
        detector: Detector | None = None,
        stages: Stages = no_stages,
    ) -> Tracks:
        """The numbered objects of a video, found now if they are not kept.

        Args:
            video: Path of the video.
            front_end: What finds and numbers them.
            detector: What ``front_end.load()`` gave before; loaded where it is needed.
            stages: Told how far each stage of the work is.

        Raises:
            StvgError: As :meth:`FrontEnd.number`.
            OutputError: If the entry cannot be written.
        """
        kept = self.load(video, front_end)
        if kept is not None:
            return kept
        found = front_end.number(video, detector, stages)
        path = self.path_of(video, front_end)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"cannot make the folder {path.parent} for tracks: {error.strerror}; name another "
                "one in STVG_CACHE"
            ) from error
        write_tracks(found, path)
        return found


@dataclass(frozen=True, slots=True)
class Prepared:
    """What became of one video.

    Attributes:
        video: Its path.
        tracks: The file with its numbered objects, or None.
        problem: Why there is none; empty where there is one.
        was_kept: Whether nothing had to be done.
    """

    video: Path
    tracks: Path | None
    problem: str = ""
    was_kept: bool = False


def prepare(
    videos: Sequence[str | Path],
    front_end: FrontEnd,
    kept_in: TracksCache,
    *,
    workers: int = 1,
    detector: Detector | None = None,
    progress: Progress = no_progress,
) -> list[Prepared]:
    """Number the objects of many videos, those that are not done yet.

    A video that cannot be read is reported and does not stop the others.

    Args:
        videos: Their paths.
        front_end: What finds and numbers the objects.
        kept_in: Where results are kept.
        workers: Processes; 1 works in this one.
        detector: What ``front_end.load()`` gave before, for work in this process.
        progress: Told the videos done.

    Returns:
        What became of each, in the order of ``videos``.

    Raises:
        UsageError: If ``workers`` is below 1, or the front end's options are wrong.
        MissingExtraError: If a library does not import.
        WeightsError: If the weights of the detector cannot be had.
        OutputError: If results cannot be written.
    """
    if workers < 1:
        raise UsageError(f"expected at least one worker, found {workers}")
    paths = [Path(video) for video in videos]
    found = {path: _kept(path, front_end, kept_in) for path in paths}
    waiting = [path for path in found if found[path] is None]
    progress(len(found) - len(waiting), len(found))
    if waiting:
        loaded = detector or front_end.load()  # so that wrong options end here
        for path, result in _work(waiting, front_end, kept_in, workers, loaded):
            found[path] = result
            progress(sum(each is not None for each in found.values()), len(found))
    results = [found[path] for path in paths]
    return [result for result in results if result is not None]


def _kept(path: Path, front_end: FrontEnd, kept_in: TracksCache) -> Prepared | None:
    """The result of a video that needs no work, or None."""
    try:
        if kept_in.load(path, front_end) is None:
            return None
        return Prepared(path, kept_in.path_of(path, front_end), was_kept=True)
    except StvgError as error:
        return Prepared(path, None, str(error))


def _work(
    paths: Sequence[Path], front_end: FrontEnd, kept_in: TracksCache, workers: int, loaded: Detector
) -> Iterator[tuple[Path, Prepared]]:
    """Results as they come, from this process or from several others."""
    if workers == 1:
        for path in paths:
            yield path, _prepare_one(path, front_end, kept_in, loaded)
        return
    spawn = multiprocessing.get_context("spawn")  # a fork would share the detector's threads
    with ProcessPoolExecutor(min(workers, len(paths)), mp_context=spawn) as pool:
        jobs = {pool.submit(_prepare_elsewhere, path, front_end, kept_in): path for path in paths}
        for job in as_completed(jobs):
            yield jobs[job], job.result()


def _prepare_one(
    path: Path, front_end: FrontEnd, kept_in: TracksCache, detector: Detector
) -> Prepared:
    """Number the objects of one video; what is wrong with the video is written down."""
    try:
        kept_in.get(path, front_end, detector=detector)
    except OutputError:
        raise
    except StvgError as error:
        return Prepared(path, None, str(error))
    return Prepared(path, kept_in.path_of(path, front_end))


def _prepare_elsewhere(path: Path, front_end: FrontEnd, kept_in: TracksCache) -> Prepared:
    """:func:`_prepare_one` in another process, which loads the detector once."""
    return _prepare_one(path, front_end, kept_in, _loaded_here(front_end))


@cache
def _loaded_here(front_end: FrontEnd) -> Detector:
    """The detector of this process."""
    return front_end.load()


def named_by_video(results: Sequence[Prepared], folder: str | Path) -> None:
    """Write the tracks of videos to a folder as ``<name of the video>.json``.

    Such a folder is what baselines and other tools read; each file names its video.

    Args:
        results: What :func:`prepare` gave; those without tracks are left out.
        folder: Where to; made if it is not there.

    Raises:
        UsageError: If two videos have one name.
        OutputError: If a file cannot be written.
    """
    names: dict[str, Path] = {}
    for result in results:
        other = names.setdefault(result.video.stem, result.video)
        if other != result.video:
            raise UsageError(
                f"{other} and {result.video} have one name, so their tracks cannot lie in one "
                "folder; rename one of them"
            )
    target = Path(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {target}: {error.strerror}") from error
    for result in results:
        if result.tracks is not None:
            kept = read_tracks(result.tracks)
            video = replace(kept.video, path=str(result.video))
            write_tracks(replace(kept, video=video), target / f"{result.video.stem}.json")


def _own_weights(name: str) -> str | None:
    """A checksum of the weights or code behind a name, where they are a file or a folder."""
    if name in PUBLISHED:
        return PUBLISHED[name].sha256
    path = Path(name.rpartition(":")[0] if name.rpartition(":")[0].endswith(".py") else name)
    if path.is_file():
        return _sha256(path)
    if name and path.is_dir():
        files = sorted(file for file in path.iterdir() if file.is_file())
        text = "\n".join(f"{file.name} {_sha256(file)}" for file in files)
        return hashlib.sha256(text.encode()).hexdigest()
    return None


def _sha256(path: Path) -> str:
    """Checksum of a file in hexadecimal; kept while neither size nor time of change differ."""
    status = path.stat()
    return _sha256_of(str(path.resolve()), status.st_size, status.st_mtime_ns)


@cache
def _sha256_of(path: str, size: int, changed_ns: int) -> str:
    """Checksum of a file that has this size and time of change."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as source:
        while chunk := source.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
