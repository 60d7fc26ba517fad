"""Grounding: a video and sentences in, predictions out; written once for all methods.

All queries on one video are one call: frames are read once for each distinct plan, objects are
found once for each detector, and the method sees all queries together.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from stvg.errors import UsageError
from stvg.methods.base import Method, Plan, ScenePlan
from stvg.perception.choose import load_detector
from stvg.perception.track import perceive
from stvg.progress import Stages, no_stages
from stvg.registry import find_method
from stvg.types import Clip, Prediction, Query, Scene, VideoMeta
from stvg.video import probe, read_clip


def ground(
    video: str | Path,
    queries: str | Query | Sequence[str | Query],
    *,
    method: str | Method = "track_match",
    model: str | None = None,
    options: Sequence[str] = (),
    threads: int = 0,
    stages: Stages = no_stages,
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
    if isinstance(method, str):
        found = find_method(method)
        if not (isinstance(found, type) and issubclass(found, Method)):
            raise UsageError(f"expected a subclass of stvg.methods.base.Method from {method!r}")
        method = found.create(model, options)
    meta = probe(video)
    plans = [method.plan(meta, query) for query in asked]
    clips = _read(meta, plans, threads, stages)
    modelling = time.perf_counter()
    encoded = [method.encode(clip, query) for clip, query in zip(clips, asked, strict=True)]
    outputs = method.run(encoded)
    predictions = [
        method.decode(output, clip, query)
        for output, clip, query in zip(outputs, clips, asked, strict=True)
    ]
    ended = time.perf_counter()
    scene_s = dict(clips[0].scene.timing_s) if clips[0].scene else {}
    detect_s = scene_s.get("detect", 0.0)
    return [
        prediction.with_timing(
            decode=round(modelling - started - detect_s, 3),
            model=round(ended - modelling + detect_s, 3),
            total=round(ended - started, 3),
        )
        for prediction in predictions
    ]


def _as_queries(queries: str | Query | Sequence[str | Query]) -> list[Query]:
    several = [queries] if isinstance(queries, (str, Query)) else list(queries)
    if not several:
        raise UsageError("expected at least one sentence as query, found none")
    return [Query(query) if isinstance(query, str) else query for query in several]


def _read(meta: VideoMeta, plans: Sequence[Plan], threads: int, stages: Stages) -> list[Clip]:
    """The clip that each plan asks for; equal plans share one."""
    scenes: dict[ScenePlan, Scene] = {}
    frames: dict[object, Clip] = {}
    wanted = _share_words([plan.scene for plan in plans])
    clips = []
    for plan, scene_plan in zip(plans, wanted, strict=True):
        if plan.frames not in frames:
            frames[plan.frames] = (
                _no_frames(meta)
                if plan.frames is None
                else read_clip(
                    meta, plan.frames, threads=threads, progress=stages("reading frames")
                )
            )
        if scene_plan is not None and scene_plan not in scenes:
            detector = load_detector(
                scene_plan.detector,
                threshold=scene_plan.threshold,
                threads=threads,
                progress=stages("fetching weights"),
            )
            scenes[scene_plan] = perceive(
                meta, detector, scene_plan.tracking, words=scene_plan.words, threads=threads,
                progress=stages("finding objects"),
            )  # fmt: skip
        scene = scenes[scene_plan] if scene_plan else None
        clips.append(replace(frames[plan.frames], scene=scene))
    return clips


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


def _no_frames(meta: VideoMeta) -> Clip:
    """A clip of no frames, for methods that look at objects only."""
    return Clip(
        meta,
        np.zeros((0, meta.height, meta.width, 3), np.uint8),
        np.zeros(0),
        np.zeros(0, np.int64),
    )
