"""Any benchmark of :mod:`stvg.data` with tubes, boxes or moments, as a method encodes it.

A clip is a video (or the part of it that is a query's input) with all queries on it; they share its
pixels. What the model sees and answers is what the method says when it is asked to answer
(``encode``), with the annotated tube as target. Moments have no boxes; they are for methods that
can learn time alone (``encode_time``). A video that cannot be used is left out, named and
counted; too many of them stop the run.

Clips of similar length stand in the same step, so that little is padded: of every few steps' worth
of clips, drawn at random, the shortest make one step, the next another, and the steps are shuffled.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from pydantic import Field

from stvg.backbones.asking import Pixels
from stvg.data.base import BoxRecord, Record, TimeRecord, TubeRecord
from stvg.errors import MissingExtraError, StvgError, UsageError, WeightsError
from stvg.excerpt import Excerpt
from stvg.geometry.boxes import clip_boxes
from stvg.grounding import Detectors
from stvg.methods.text_answer import Encoded, TextAnswer
from stvg.predicting.answering import reason_of
from stvg.predicting.pictures import picture_meta, prepare_picture
from stvg.predicting.placing import input_part, misfit
from stvg.predicting.questions import Job, Questions, jobs_of
from stvg.progress import no_progress
from stvg.train.methods import text_method
from stvg.train.rows import Batch, Prompt, Row, collate, lessons_of, row_of
from stvg.train.tasks.base import Maker
from stvg.train.tasks.base import Task as Base
from stvg.types import Clip, IntArray, Interval, Query, Tube, VideoMeta
from stvg.video import FrameCache, probe

if TYPE_CHECKING:
    from stvg.backbones.qwen import QwenBackbone

_SHARE = 16  # steps whose clips are sorted by length together


class Task(Base):
    """Options of the task."""

    kind: Literal["benchmark"] = Field("benchmark", description="a benchmark of `stvg data list`")
    benchmark: str = Field(description="its name, or file.py:Class")
    annotations: str = Field(description="the annotation file of the split to train on")
    videos: str | None = Field(
        None, description="folder with the videos; default the one that `stvg world` wrote"
    )
    companions: dict[str, str] = Field(
        default_factory=dict, description="further files that the benchmark reads, by name"
    )
    method: str = Field("text_box", description="method that encodes queries and targets")
    options: dict[str, Any] = Field(default_factory=dict, description="options of the method")
    queries: int = Field(4, ge=1, description="most queries on a clip, drawn anew each time")
    limit: int | None = Field(None, ge=1, description="only the first this many queries")
    seed: int = Field(0, ge=0, description="seed of the order of clips")
    cache_gb: float = Field(
        20.0, ge=0, description="size of the cache of decoded frames, 0 for none"
    )
    max_broken: float = Field(
        0.05,
        ge=0,
        le=1,
        description="share of the videos that may be unusable before the run stops",
    )

    @property
    def title(self) -> str:
        """What logs call it."""
        return self.benchmark.rpartition(":")[2]

    def maker(self, backbone: QwenBackbone) -> BenchmarkMaker:
        """See :meth:`Base.maker`."""
        return BenchmarkMaker(self, backbone)


@dataclass(frozen=True, slots=True)
class Source:
    """A video, or a part of one, with the queries on it.

    Attributes:
        media: What the annotation calls the video.
        path: The file.
        records: The queries; their inputs are the same frames.
        tokens: About how many visual tokens it has.
    """

    media: str
    path: Path
    records: tuple[Record, ...]
    tokens: int


@dataclass(frozen=True, slots=True)
class Lesson:
    """A query as its method encodes it.

    Attributes:
        record: The query.
        seed: Decides what is drawn at random for it.
        encoded: Prompt, video, right answer.
    """

    record: Record
    seed: int
    encoded: Encoded

    @property
    def name(self) -> str:
        """Video and query, for people."""
        return f"{self.record.media}, query {self.record.id}"


class BenchmarkMaker(Maker):
    """Reads and encodes clips of a benchmark.

    Args:
        task: The options.
        backbone: The model without weights.

    Raises:
        UsageError: If a file is not there, the benchmark has no boxes, or the method cannot be
            built around the model.
        FormatError: If the annotations cannot be understood.
        StvgError: If too many videos are missing.
    """

    method: TextAnswer

    def __init__(self, task: Task, backbone: QwenBackbone) -> None:
        self.task, self.backbone = task, backbone
        self.method = text_method({"method": task.method, "options": task.options}, backbone)
        companions = {name: Path(path) for name, path in task.companions.items()}
        questions = Questions(task.benchmark, Path(task.annotations), companions, task.limit)
        self.media = questions.reader.media
        kinds: Any = TubeRecord | BoxRecord
        if hasattr(self.method, "encode_time"):
            kinds |= TimeRecord
        if not issubclass(questions.reader.kind, kinds):
            raise UsageError(
                "expected a benchmark of tubes or boxes to train on, or of moments for a method "
                f"that can learn time alone (bridge_stg), found {questions.reader.title} for "
                f"{task.method}"
            )
        folder = Path(task.videos) if task.videos is not None else questions.videos_beside
        if folder is None:
            raise UsageError(
                f"expected a folder with the videos of {task.annotations}; name it as videos in "
                "the task"
            )
        records = [each for each in questions.records(with_truth=True) if _is_usable(each)]
        jobs = jobs_of(records, questions.reader, folder)
        self.videos = len(jobs)
        self.broken = {job.media: job.problem for job in jobs if job.problem is not None}
        self.check_broken(self.broken)
        self.sources = [source for job in jobs for source in self._sources(job)]
        if not self.sources:
            raise UsageError(
                f"{task.annotations}: expected queries with boxes or one moment each, found none"
            )
        self.size = len(self.sources)
        self.cache = FrameCache(max_bytes=int(task.cache_gb * 2**30)) if task.cache_gb else None
        self.detectors = Detectors(threads=1)
        self.meta_of = lru_cache(maxsize=4096)(self._meta_of)
        self.order = lru_cache(maxsize=2)(self._order)

    def check_broken(self, found: Mapping[str, str]) -> None:
        """See :meth:`Maker.check_broken`."""
        if len(found) > self.task.max_broken * self.videos:
            some = "; ".join(f"{name}: {why}" for name, why in list(found.items())[:3])
            raise StvgError(
                f"{len(found)} of {self.videos} videos of {self.task.title} cannot be used, more "
                f"than max_broken {self.task.max_broken:g} allows; the first: {some}"
            )

    def batch(self, numbers: Sequence[int]) -> Batch:
        """See :meth:`Maker.batch`."""
        videos: list[Pixels] = []
        rows: list[Row] = []
        prompts: list[Prompt] = []
        broken: dict[str, str] = {}
        for number in numbers:
            epoch, place = divmod(number, len(self.order(0)))
            source = self.sources[self.order(epoch)[place]]
            try:
                encoded = self._encoded(source, number)
            except (MissingExtraError, WeightsError):
                raise
            except (StvgError, OSError) as error:
                broken[source.media] = reason_of(error)
                continue
            for lesson in encoded:
                if lesson.encoded.problem is not None:
                    broken[lesson.name] = lesson.encoded.problem
                    continue
                pixels = lesson.encoded.question.pixels
                if pixels not in videos:
                    videos.append(pixels)
                clip = videos.index(pixels)
                rows.append(row_of(self.backbone, lesson.encoded, clip))
                prompts.append(_prompt(lesson, clip))
        placeholder = self.backbone.model.config.video_token_id
        merge = self.backbone.layout.merge
        return Batch(
            tuple((torch.from_numpy(each.rows), each.grid) for each in videos),
            collate(rows, placeholder, [each.block.tokens(merge) for each in videos])
            if rows
            else None,
            tuple(prompts),
            lessons=lessons_of(rows),
            broken=broken,
        )

    def _encoded(self, source: Source, number: int) -> list[Lesson]:
        """What the method makes of a clip's queries, those that are drawn.

        Raises:
            StvgError: If the file cannot be used.
        """
        dice = random.Random(f"{self.task.seed}/{number}")  # noqa: S311
        records = list(source.records)
        if len(records) > self.task.queries:
            records = dice.sample(records, self.task.queries)
        meta = self.meta_of(source.path)
        problem = next((why for each in records if (why := misfit(each, meta))), None)
        if problem is not None:
            raise UsageError(problem)
        excerpt = Excerpt.of(meta, input_part(records[0], meta))
        targets = [(each, target_of(each, excerpt)) for each in records]
        usable = [(each, target) for each, target in targets if target is not None]
        if not usable:
            raise UsageError("no boxes, and no moment, in the frames that the file has")
        clips = self._clips(excerpt, [each.query for each, _ in usable])
        seeds = [dice.getrandbits(32) for _ in usable]
        return [
            Lesson(each, seed, self._with_target(clip, each.query, target, seed))
            for clip, seed, (each, target) in zip(clips, seeds, usable, strict=True)
        ]

    def _with_target(self, clip: Clip, query: Query, target: Tube | Interval, seed: int) -> Encoded:
        """A query with its right answer."""
        if isinstance(target, Interval):
            learner: Any = self.method
            found: Encoded = learner.encode_time(clip, query, target)
            return found
        return self.method.encode(clip, query, target, seed=seed)

    def _clips(self, excerpt: Excerpt, queries: Sequence[Query]) -> list[Clip]:
        """The frames that the method wants for each query; equal plans share one clip."""
        if self.media == "image":
            return list(prepare_picture(self.method, excerpt.whole, queries).clips)
        read: dict[object, Clip] = {}
        clips = []
        for query in queries:
            plan = self.method.plan(excerpt.meta, query)
            if plan.frames is None:
                raise UsageError(f"the method {self.task.method} looks at no frames")
            if plan not in read:
                read[plan] = excerpt.read(
                    plan.frames, threads=1, progress=no_progress, cache=self.cache
                )
                if plan.numbered is not None:
                    tracks = self.detectors.number(excerpt.whole, plan.numbered)
                    read[plan] = replace(read[plan], numbered=excerpt.cut_tracks(tracks))
            clips.append(read[plan])
        return clips

    def _sources(self, job: Job) -> list[Source]:
        """The clips of a video: one for all queries whose input is the same."""
        if job.path is None:
            return []
        parts: dict[object, list[Record]] = {}
        for record in job.records:
            parts.setdefault(getattr(record, "segment", None), []).append(record)
        return [
            Source(job.media, job.path, tuple(records), self._tokens(records[0]))
            for records in parts.values()
        ]

    def _tokens(self, record: Record) -> int:
        """About how many visual tokens the input of a query has, by its annotation."""
        meta = _annotated_meta(record)
        plan = self.method.plan(meta, record.query).frames
        if plan is None:
            return 0
        width, height = plan.size(meta)
        layout = self.backbone.layout
        steps = -(-len(np.unique(meta.frame_at(plan.times(meta)))) // layout.temporal_patch)
        return steps * (width // layout.cell) * (height // layout.cell)

    def _meta_of(self, path: Path) -> VideoMeta:
        return picture_meta(path) if self.media == "image" else probe(path)

    def _order(self, epoch: int) -> IntArray:
        """Numbers of the clips in a pass over them, whole steps of clips of similar length.

        Every clip once; then, where the last step is not full, some a second time.
        """
        count = self.task.clips
        dice = np.random.default_rng([self.task.seed, epoch])
        drawn = dice.permutation(len(self.sources))
        tokens = np.array([source.tokens for source in self.sources])
        steps: list[IntArray] = []
        for first in range(0, len(drawn), _SHARE * count):
            some = drawn[first : first + _SHARE * count]
            some = some[np.argsort(tokens[some], kind="stable")]
            steps += [some[place : place + count] for place in range(0, len(some), count)]
        full = [step for step in steps if len(step) == count]
        ragged = [np.resize(np.concatenate([step, drawn]), count) for step in steps[len(full) :]]
        shuffled = [full[place] for place in dice.permutation(len(full))]
        return np.concatenate([*shuffled, *ragged]).astype(np.int64)


def _prompt(lesson: Lesson, clip: int) -> Prompt:
    """A query for the model to answer."""
    record, encoded = lesson.record, lesson.encoded
    assert encoded.truth is not None
    return Prompt(
        lesson.name,
        record.query.text,
        lesson.seed,
        clip,
        encoded.question.ids,
        encoded.question.pixels.seconds_per_step,
        encoded.view,
        encoded.truth,
    )


def target_of(record: Record, excerpt: Excerpt) -> Tube | Interval | None:
    """The annotated tube in seconds of the excerpt and pixels of the file; None without boxes.

    Args:
        record: A query with tube or box; or with a moment, whose interval inside the excerpt is
            the target, or None if it is empty.
        excerpt: The frames that are its input.
    """
    meta = excerpt.whole
    if isinstance(record, TimeRecord):
        start_s, end_s = np.clip(record.windows[0], 0.0, excerpt.meta.duration_s).tolist()
        return Interval(start_s, end_s) if start_s < end_s else None
    if isinstance(record, BoxRecord):
        frames, boxes = np.zeros(1, np.int64), record.box[None]
        start, end = 0, 1
        size = (record.width or meta.width, record.height or meta.height)
    else:
        assert isinstance(record, TubeRecord)
        annotated = record.sample(fps=1).target  # at one frame a second, times are frame numbers
        if annotated is None:
            return None
        frames, boxes = annotated.times_s.astype(np.int64) - excerpt.first, annotated.boxes
        start = max(int(annotated.interval.start_s) - excerpt.first, 0)
        end = min(int(annotated.interval.end_s) - excerpt.first, excerpt.meta.frames)
        size = (record.width, record.height)
    boxes = clip_boxes(boxes * np.array([meta.width / size[0], meta.height / size[1]] * 2),
                       meta.width, meta.height)  # fmt: skip
    inside = (frames >= start) & (frames < end) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    if not inside.any():
        return None
    span = excerpt.meta.span_of(start, end)
    times_s = excerpt.meta.times_s[frames[inside]]
    return Tube(Interval(span.start_s, span.end_s), times_s, boxes[inside])


def _is_usable(record: Record) -> bool:
    """Whether a query has a box to learn, or one moment."""
    if isinstance(record, TubeRecord):
        return record.has_boxes
    if isinstance(record, TimeRecord):
        return len(record.windows) == 1 and bool(np.isfinite(record.windows).all())
    return isinstance(record, BoxRecord) and bool(np.isfinite(record.box).all())


def _annotated_meta(record: Record) -> VideoMeta:
    """The input of a query as its annotation describes it, which need not be quite true."""
    width = max(getattr(record, "width", 0), 64)
    height = max(getattr(record, "height", 0), 64)
    if isinstance(record, TubeRecord) and record.fps > 0 and record.frame_count > 0:
        first, end = record.segment
        frames = max(min(end, record.frame_count) - max(first, 0), 1)
        fps = Fraction(record.fps).limit_denominator(1001)
        return VideoMeta(record.media, width, height, fps, frames / float(fps), frames)
    return VideoMeta(record.media, width, height, Fraction(1), 1.0, 1)
