"""Grounding: a video and sentences in, predictions out; written once for all methods.

All queries on one video are one call: frames are read once for each distinct plan, objects are
found once for each detector, and the method sees all queries together. The work has two halves, so
that ``stvg predict`` can do the first for the next videos while a model does the second:
:func:`prepare` reads the video, :func:`answer` asks the method about one prepared video or several.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from stvg.errors import UsageError
from stvg.excerpt import Excerpt
from stvg.methods.base import Method, Plan, ScenePlan
from stvg.perception.choose import load_detector
from stvg.perception.detect import Detector
from stvg.perception.prepared import FrontEnd, TracksCache
from stvg.perception.track import perceive
from stvg.progress import Stages, no_stages
from stvg.registry import find_method
from stvg.types import Clip, Prediction, Query, Scene, Tracks, VideoMeta
from stvg.video import probe


def ground(
    video: str | Path,
    queries: str | Query | Sequence[str | Query],
    *,
    method: str | Method = "text_box",
    model: str | None = None,
    options: Sequence[str] = (),
    threads: int = 0,
    stages: Stages = no_stages,
    detectors: Detectors | None = None,
) -> list[Prediction]:
    """Find what sentences describe in a video.

    Args:
        video: Path of the video.
        queries: One sentence or several.
        method: Name of a method, ``file.py:Class``, or a built method.
        model: Model, detector or checkpoint for the method; None for its default.
        options: The method's options as ``key=value`` texts.
        threads: Threads for decoding and detection, 0 for all.
        stages: Told how far each stage of the work is.
        detectors: Detectors that earlier calls have loaded; they bring their own threads.

    Returns:
        One prediction a query, in order. Nothing found is a prediction without a tube.

    Raises:
        UsageError: If there is no query or an empty one, an option is unknown, or ``method``
            names something that is no method.
        VideoError: If the video cannot be read.
        MissingExtraError: If the method needs a package that is not installed.
        WeightsError: If model weights cannot be had.
    """
    started = time.perf_counter()
    asked = _as_queries(queries)
    built = build_method(method, model, options)
    meta = probe(video)
    before_s = time.perf_counter() - started
    detectors = detectors or Detectors(threads, stages)
    prepared = prepare(built, meta, asked, detectors=detectors, stages=stages)
    (predictions,) = answer(built, [replace(prepared, read_s=prepared.read_s + before_s)])
    return predictions


def build_method(
    method: str | Method, model: str | None = None, options: Sequence[str] = ()
) -> Method:
    """The method behind a name, built; a built one is given back.

    Args:
        method: Name of a method, ``file.py:Class``, or a built method.
        model: Model, detector or checkpoint; None for the method's default.
        options: The method's options as ``key=value`` texts.

    Raises:
        UsageError: If an option is unknown, or ``method`` names something that is no method.
    """
    if isinstance(method, Method):
        return method
    found = find_method(method)
    if not (isinstance(found, type) and issubclass(found, Method)):
        raise UsageError(f"expected a subclass of stvg.methods.base.Method from {method!r}")
    return found.create(model, options)


class Detectors:
    """Loads detectors when they are asked for and keeps them for the videos that follow.

    Args:
        threads: Threads for decoding and detection, 0 for all.
        stages: Told about weights that are fetched.
    """

    def __init__(self, threads: int = 0, stages: Stages = no_stages) -> None:
        self.threads, self._stages = threads, stages
        self._loaded: dict[tuple[str, float], Detector] = {}
        self._numbering: dict[FrontEnd, Detector] = {}
        self._kept = TracksCache()

    def get(self, plan: ScenePlan) -> Detector:
        """The detector that a plan names.

        Raises:
            UsageError: If the name means nothing.
            MissingExtraError: If its extra is not installed.
            WeightsError: If its weights cannot be had.
        """
        key = (plan.detector, plan.threshold)
        if key not in self._loaded:
            self._loaded[key] = load_detector(
                plan.detector,
                threshold=plan.threshold,
                threads=self.threads,
                progress=self._stages("fetching weights"),
            )
        return self._loaded[key]

    def number(self, video: VideoMeta, front_end: FrontEnd) -> Tracks:
        """The numbered objects of a video, found now if they are not kept on disk.

        Raises:
            StvgError: As :meth:`TracksCache.get`.
        """
        kept = self._kept.load(video.path, front_end)
        if kept is not None:
            return kept
        if front_end not in self._numbering:
            self._numbering[front_end] = front_end.load(self._stages("fetching weights"))
        detector = self._numbering[front_end]
        return self._kept.get(video.path, front_end, detector=detector, stages=self._stages)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A video that was read for some queries.

    Attributes:
        queries: The queries, Q of them.
        clips: What the method asked to be given, one clip a query.
        read_s: Seconds that reading took.
        detect_s: Seconds of detection, which count as the model's.
    """

    queries: tuple[Query, ...]
    clips: tuple[Clip, ...]
    read_s: float = 0.0
    detect_s: float = 0.0


def prepare(
    method: Method,
    video: VideoMeta,
    queries: Sequence[Query],
    *,
    parts: Sequence[tuple[int, int] | None] | None = None,
    detectors: Detectors | None = None,
    stages: Stages = no_stages,
) -> Prepared:
    """Read what a method wants to see of a video for some queries.

    Args:
        method: Asked for its plan; its model is not run.
        video: The video.
        queries: What will be asked.
        parts: For each query the frames ``[start, end)`` that are its input, None for all.
        detectors: Where detectors come from, and how many threads are used.
        stages: Told how far each stage of the work is.

    Raises:
        UsageError: If the video does not have the frames of a part, or a plan cannot be met.
        VideoError: If the video cannot be read.
        MissingExtraError: If a detector needs a package that is not installed.
        WeightsError: If the weights of a detector cannot be had.
    """
    started = time.perf_counter()
    views = [Excerpt.of(video, part) for part in parts or [None] * len(queries)]
    plans = [method.plan(view.meta, query) for view, query in zip(views, queries, strict=True)]
    detectors = detectors or Detectors()
    scenes = _scenes(video, plans, detectors, stages)
    frames: dict[object, Clip] = {}
    clips = []
    for view, plan, scene in zip(views, plans, scenes, strict=True):
        key = (view.first, view.meta.frames, plan.frames)
        if key not in frames:
            frames[key] = (
                no_frames(view.meta)
                if plan.frames is None
                else view.read(
                    plan.frames, threads=detectors.threads, progress=stages("reading frames")
                )
            )
        numbered = None
        if plan.numbered is not None:
            numbered = view.cut_tracks(detectors.number(video, plan.numbered))
        clips.append(
            replace(
                frames[key],
                scene=None if scene is None else view.cut(scene),
                numbered=numbered,
            )
        )
    detect_s = sum(scene.timing_s.get("detect", 0.0) for scene in _distinct(scenes))
    read_s = time.perf_counter() - started - detect_s
    return Prepared(tuple(queries), tuple(clips), read_s, detect_s)


def answer(method: Method, prepared: Sequence[Prepared]) -> list[list[Prediction]]:
    """Ask a method about prepared videos, all in one call of its model.

    Args:
        method: What answers.
        prepared: The videos.

    Returns:
        For each video one prediction a query, in order. ``timing_s`` of a prediction is that of
        its video; the time of a call on several videos is shared evenly.

    Raises:
        UsageError: If the method's model gives too few or too many outputs.
    """
    started = time.perf_counter()
    asked = [pair for each in prepared for pair in zip(each.clips, each.queries, strict=True)]
    outputs = method.run([method.encode(clip, query) for clip, query in asked])
    if len(outputs) != len(asked):
        raise UsageError(
            f"expected an output of {method.name}.run for each of {len(asked)} queries, found "
            f"{len(outputs)}"
        )
    found = iter(
        [
            method.decode(output, clip, query)
            for output, (clip, query) in zip(outputs, asked, strict=True)
        ]
    )
    share_s = (time.perf_counter() - started) / max(len(prepared), 1)
    return [
        [
            next(found).with_timing(
                decode=round(each.read_s, 3),
                model=round(share_s + each.detect_s, 3),
                total=round(each.read_s + share_s + each.detect_s, 3),
            )
            for _ in each.queries
        ]
        for each in prepared
    ]


def no_frames(meta: VideoMeta) -> Clip:
    """A clip of no frames, for methods that look at objects only."""
    return Clip(
        meta,
        np.zeros((0, meta.height, meta.width, 3), np.uint8),
        np.zeros(0),
        np.zeros(0, np.int64),
    )


def _as_queries(queries: str | Query | Sequence[str | Query]) -> list[Query]:
    several = [queries] if isinstance(queries, (str, Query)) else list(queries)
    if not several:
        raise UsageError("expected at least one sentence as query, found none")
    return [Query(query) if isinstance(query, str) else query for query in several]


def _scenes(
    video: VideoMeta, plans: Sequence[Plan], detectors: Detectors, stages: Stages
) -> list[Scene | None]:
    """The objects of the whole video that each plan asks for; equal plans share one."""
    found: dict[ScenePlan, Scene] = {}
    wanted = _share_words([plan.scene for plan in plans])
    for plan in wanted:
        if plan is not None and plan not in found:
            found[plan] = perceive(
                video, detectors.get(plan), plan.tracking, words=plan.words,
                threads=detectors.threads, progress=stages("finding objects"),
            )  # fmt: skip
    return [None if plan is None else found[plan] for plan in wanted]


def _share_words(plans: Sequence[ScenePlan | None]) -> list[ScenePlan | None]:
    """Give scene plans that differ only in their words the words of all of them."""
    words: dict[ScenePlan, dict[str, None]] = {}
    for plan in plans:
        if plan is not None:
            words.setdefault(replace(plan, words=()), {}).update(dict.fromkeys(plan.words))
    return [
        None if plan is None else replace(plan, words=tuple(words[replace(plan, words=())]))
        for plan in plans
    ]


def _distinct(scenes: Sequence[Scene | None]) -> list[Scene]:
    """Every scene once."""
    return list({id(scene): scene for scene in scenes if scene is not None}.values())
