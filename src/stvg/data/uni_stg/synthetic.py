"""Tubes made of videos: a detector and a tracker find objects, each gets a sentence, some are kept.

SpaceVLLM's four steps (arXiv:2503.13983): an analyser finds in a caption what it speaks of; a
detector finds that in every frame; the interval is refined; filters drop what is not clean (the
last two: :mod:`.filters`). Where there are captions with coarse intervals the sentence is the
caption and its boxes are, in every frame, the surest of its subject. Without captions every object
that is tracked may become a sample, and its sentence is made from what was seen of it
(:mod:`.sentences`), by a template or by a language model.

A candidate is a video, with all its captions; videos are drawn in the order of their hashes until
there are samples enough.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from stvg.data.base import TimeRecord
from stvg.data.catalogue import find_benchmark
from stvg.data.media import VIDEO_SUFFIXES, MediaFolder
from stvg.errors import UsageError, VideoError
from stvg.perception.choose import load_detector, only_classes
from stvg.perception.detect import Detector
from stvg.perception.track import perceive
from stvg.types import Scene, SceneObject, VideoMeta

from .endpoint import Writer
from .filters import Sights, refine
from .recipe import SyntheticSource
from .rows import Row, UnusableError, empty_row
from .sentences import motion_of, name_of, subject_in, template
from .sources import Candidate, Made, place_of


class Synthetic:
    """Samples of one synthetic source.

    Args:
        source: Which videos, detector and limits.
        root: The folder of all media.
        folder: That of the videos.
        seed: Decides the order of the videos.
        answers: File in which answers of the endpoint are kept.

    Raises:
        UsageError: If there are no videos, or the captions are of another kind.
    """

    task = "stvg"
    is_costly = True

    def __init__(
        self, source: SyntheticSource, root: Path, folder: Path, seed: int, answers: Path
    ) -> None:
        self.source, self.name, self.count = source, source.name, source.count
        self.root, self.folder, self.seed = root, folder, seed
        self.writer = Writer(source.endpoint, answers) if source.endpoint is not None else None

    @cached_property
    def detector(self) -> Detector:
        """What looks at the frames; loaded when the first video needs it."""
        source = self.source
        found = load_detector(source.detector, threshold=source.threshold)
        if source.words and found.classes is not None:
            return only_classes(found, source.words)
        if found.classes is None and not source.words and not self._analyses:
            raise UsageError(
                f"{source.detector} looks for any words, and the source {self.name} has none; name "
                "words, or captions and an endpoint that finds words in them"
            )
        return found

    def candidates(self) -> Iterator[Candidate]:
        """One a video."""
        if self.source.captions is None:
            videos: dict[Path, list[TimeRecord]] = {path: [] for path in self._videos()}
        else:
            videos, missing = self._captioned()
            if missing:
                yield lambda: Made(drops=missing)
        if not videos:
            raise UsageError(f"expected videos of the source {self.name} in {self.folder}")
        names = {self._name(path): path for path in videos}
        for name in sorted(names, key=lambda name: (place_of(self.seed, name), name)):
            yield partial(self._made, names[name], videos[names[name]])

    def _made(self, path: Path, captions: Sequence[TimeRecord]) -> Made:
        """What one video gives."""
        made = Made()
        try:
            if captions:
                self._from_captions(path, captions, made)
            else:
                self._from_objects(path, made)
        except VideoError:
            made.drops["unreadable video"] += max(len(captions), 1)
        return made

    def _from_objects(self, path: Path, made: Made) -> None:
        """A sample of every object that is good enough."""
        scene = self._perceive(path, self.source.words)
        words = [_said(item, scene) for item in scene.objects]
        for number, item in enumerate(scene.objects):
            others = words[:number] + words[number + 1 :]
            try:
                sights = refine(sights_of([item], scene, self._least), self.source.limits)
                motion = motion_of(sights.boxes, (scene.video.width, scene.video.height))
                sentence = template(words[number][0], motion, others)
                if self.writer is not None:
                    sentence = self.writer.sentence(sentence, [_joined(*each) for each in others])
                name = f"{self._name(path)}#{item.track.id}"
                made.rows.append(self._row(name, sentence, sights, scene.video, path))
            except UnusableError as problem:
                made.drops[str(problem)] += 1

    def _from_captions(self, path: Path, captions: Sequence[TimeRecord], made: Made) -> None:
        """A sample of every caption whose subject is found."""
        wanted: list[tuple[TimeRecord, str]] = []
        words: dict[str, None] = dict.fromkeys(self.source.words)
        for record in captions:
            try:
                things = self._things_in(record.query.text)
                words |= dict.fromkeys(things)
                wanted.append((record, things[0]))
            except UnusableError as problem:
                made.drops[str(problem)] += 1
        if not wanted:
            return
        scene = self._perceive(path, tuple(words))
        for record, subject in wanted:
            items = [item for item in scene.objects if item.track.label == subject]
            try:
                sights = within(sights_of(items, scene, self._least), record)
                kept = refine(sights, self.source.limits)
                made.rows.append(self._row(record.id, record.query.text, kept, scene.video, path))
            except UnusableError as problem:
                made.drops[str(problem)] += 1

    def _things_in(self, caption: str) -> tuple[str, ...]:
        """What a caption speaks of, its subject first."""
        if self.writer is not None:
            return self.writer.things_in(caption)
        subject = subject_in(caption, self.source.words or self.detector.classes or ())
        if subject is None:
            raise UnusableError("no known subject")
        return (subject,)

    def _perceive(self, path: Path, words: Sequence[str]) -> Scene:
        return perceive(path, self.detector, self.source.tracking, words=words)

    def _row(self, name: str, sentence: str, sights: Sights, meta: VideoMeta, path: Path) -> Row:
        fps, first, last = sights.fps, sights.frames[0], sights.frames[-1]
        return empty_row(self.name, name, "stvg", self._name(path)) | {
            "caption": sentence,
            "qtype": "declarative",
            "width": meta.width,
            "height": meta.height,
            "duration_s": meta.frames / fps,
            "fps": fps,
            "frames": meta.frames,
            "interval_s": [float(first / fps), float((last + 1) / fps)],
            "times_s": (sights.frames / fps).tolist(),
            "boxes": sights.boxes.tolist(),
        }

    def _captioned(self) -> tuple[dict[Path, list[TimeRecord]], Counter[str]]:
        """Captions by video, and why others have none."""
        source = self.source
        assert source.captions is not None
        reader = find_benchmark(source.benchmark)
        if not issubclass(reader.kind, TimeRecord):
            raise UsageError(
                f"expected captions with times in the source {self.name}, found {reader.title}"
            )
        folder = MediaFolder(self.folder)
        found: dict[Path, list[TimeRecord]] = {}
        missing: Counter[str] = Counter()
        for record in reader.read(source.captions, **source.companions):
            assert isinstance(record, TimeRecord)
            paths = folder.find(record.media)
            if len(paths) == 1:
                found.setdefault(paths[0], []).append(record)
            else:
                missing["media ambiguous" if paths else "media missing"] += 1
        return found, missing

    def _videos(self) -> list[Path]:
        return [path for path in self.folder.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES]

    def _name(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    @property
    def _least(self) -> float:
        return self.source.limits.confidence

    @property
    def _analyses(self) -> bool:
        """Whether the endpoint says what to look for."""
        return self.source.captions is not None and self.writer is not None


def sights_of(items: Sequence[SceneObject], scene: Scene, least: float) -> Sights:
    """The surest box of some objects in every frame in which one of them was found.

    Args:
        items: The objects, of those of the scene.
        scene: All objects of the video; their boxes are counted.
        least: Confidence from which a box counts.
    """
    if not items:
        return Sights(
            np.zeros(0, np.int64), np.zeros((0, 4)), np.zeros(0), np.zeros(0, np.int64), 1.0
        )
    everything = [item.track.frames[item.track.scores >= least] for item in scene.objects]
    counts = np.bincount(np.concatenate(everything), minlength=scene.video.frames)
    frames = np.concatenate([item.track.frames for item in items])
    boxes = np.concatenate([item.track.boxes for item in items])
    scores = np.concatenate([item.track.scores for item in items])
    order = np.lexsort((-scores, frames))  # by frame, the surest first
    first = np.unique(frames[order], return_index=True)[1]
    best = order[first]
    return Sights(
        frames[best], boxes[best], scores[best], counts[frames[best]], float(scene.video.fps)
    )


def within(sights: Sights, record: TimeRecord) -> Sights:
    """The sights in the moment that a caption names.

    Raises:
        UnusableError: If it names none or several.
    """
    if len(record.windows) != 1:
        raise UnusableError("several moments" if len(record.windows) else "no moment")
    times_s = sights.frames / sights.fps
    start_s, end_s = record.windows[0]
    return sights.keep((times_s >= start_s) & (times_s < end_s))


def _said(item: SceneObject, scene: Scene) -> tuple[str, str | None]:
    """Name and motion of an object, over all that was seen of it."""
    return name_of(item), motion_of(item.track.boxes, (scene.video.width, scene.video.height))


def _joined(name: str, motion: str | None) -> str:
    return name if motion is None else f"{name} {motion}"
