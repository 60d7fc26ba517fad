"""From a video to tracked objects: detector in every looked-at frame, tracker over frames.

Association is done by the ``trackers`` library (C-BIoU by default: Yang et al., 2023,
arXiv:2211.14317, whose widened boxes keep hold of small fast things such as balls). Around it:
suppression of one thing detected as two classes, measurement of colours, joining of the pieces
that the tracker lost hold of (:mod:`stvg.perception.join`), removal of flickers. Frames are
streamed, so memory does not grow with the length of the video.
"""

from __future__ import annotations

import inspect
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from stvg.config import Config
from stvg.errors import UsageError
from stvg.extras import require
from stvg.geometry.boxes import box_area, box_iou
from stvg.perception.appearance import COLOURS, PARTS, describe_box
from stvg.perception.detect import Detections, Detector
from stvg.perception.join import Fragment, JoinConfig, join_fragments
from stvg.progress import Progress, no_progress
from stvg.registry import suggest
from stvg.types import FloatArray, Scene, SceneObject, Track, VideoMeta
from stvg.video import SamplingPlan, iter_frames, probe

_INSIDE = 0.8  # share of the smaller box that makes it a part of the larger
_UNSURE = 0.4  # share of the surer one's confidence below which a part is dropped


class TrackingConfig(Config):
    """How a video is turned into tracks. Values are ours, chosen on general grounds."""

    fps: float | None = Field(
        None, gt=0, description="frames looked at a second; none means every frame"
    )
    tracker: str = Field("cbiou", description="a tracker of the `trackers` library by its id")
    start_score: float = Field(
        0.3, gt=0, lt=1, description="confidence that a detection needs to start a track"
    )
    same_thing_iou: float = Field(
        0.7, gt=0, le=1, description="overlap from which two classes are one thing seen twice"
    )
    lost_s: float = Field(
        1.0, ge=0, description="seconds the tracker waits for an object it lost sight of"
    )
    min_boxes: int = Field(3, ge=1, description="tracks with fewer boxes are dropped as flicker")
    join: JoinConfig = Field(JoinConfig(), description="how pieces of one object are joined")


def perceive(
    video: str | Path | VideoMeta,
    detector: Detector,
    config: TrackingConfig | None = None,
    *,
    words: Sequence[str] = (),
    threads: int = 0,
    progress: Progress = no_progress,
) -> Scene:
    """Find and follow every object of a video.

    Args:
        video: Path or meta data.
        detector: What looks at the frames.
        config: How often and how strictly; default :class:`TrackingConfig`.
        words: What an open-vocabulary detector looks for.
        threads: Decoder threads, 0 for the decoder's choice.
        progress: Told the frames done and their number.

    Returns:
        Objects with ids 1, 2, ... in the order of their first frame; boxes in pixels of the
        original frame, clipped to it.

    Raises:
        VideoError: If the video cannot be read.
        MissingExtraError: If the tracker library does not import.
    """
    config = config or TrackingConfig()
    meta = video if isinstance(video, VideoMeta) else probe(video)
    plan = SamplingPlan(fps=config.fps, long_side=detector.long_side)
    times_s = plan.times(meta)
    rate = len(times_s) / max(meta.duration_s, 1e-3)
    tracker = _make_tracker(config, rate)
    fragments: dict[int, Fragment] = defaultdict(Fragment)
    vocabulary: dict[str, int] = {}
    seen: list[int] = []
    started, detecting_s = time.perf_counter(), 0.0
    for index, time_s, frame in iter_frames(meta, plan, threads=threads):
        before = time.perf_counter()
        (found,) = detector.detect(frame[None], words)
        detecting_s += time.perf_counter() - before
        found = _drop_doubles(found, config.same_thing_iou)
        scale = np.array([meta.width / frame.shape[1], meta.height / frame.shape[0]] * 2)
        for row, number in _associate(tracker, found, vocabulary, time_s):
            piece = fragments[number]
            piece.number = number
            piece.frames.append(index)
            piece.boxes.append(found.boxes[row] * scale)
            piece.scores.append(float(found.scores[row]))
            piece.labels.append(found.labels[row])
            piece.colours.append(describe_box(frame, found.boxes[row]))
        seen.append(index)
        progress(len(seen), len(times_s))
    joined = join_fragments(list(fragments.values()), meta, config.join)
    other_s = time.perf_counter() - started - detecting_s
    classes = tuple(words) if detector.classes is None else detector.classes
    return Scene(
        meta,
        _to_objects(joined, min(config.min_boxes, len(seen))),
        detector.name,
        np.array(seen, np.int64),
        classes,
        {"detect": detecting_s, "decode_and_track": other_s},
    )


def tracker_names() -> list[str]:
    """Ids of the trackers that the installed ``trackers`` library offers."""
    return sorted(_tracker_classes())


def _tracker_classes() -> dict[str, Any]:
    library = require("trackers", "perception", "tracking")
    classes = (getattr(library, name) for name in dir(library) if name.endswith("Tracker"))
    return {cls.tracker_id: cls for cls in classes if getattr(cls, "tracker_id", None)}


def _make_tracker(config: TrackingConfig, rate: float) -> Any:
    """A fresh tracker with the options of ``config`` that it knows."""
    known = _tracker_classes()
    if config.tracker not in known:
        raise UsageError(
            f"there is no tracker {config.tracker!r}; {suggest(config.tracker, sorted(known))}"
        )
    cls = known[config.tracker]
    wanted = {
        "frame_rate": max(rate, 1.0),
        "lost_track_buffer": round(config.lost_s * 30),  # the library counts in frames at 30 fps
        "track_activation_threshold": config.start_score,
        "high_conf_det_threshold": config.start_score,
        "minimum_consecutive_frames": 1,
    }
    accepted = inspect.signature(cls.__init__).parameters
    return cls(**{name: value for name, value in wanted.items() if name in accepted})


def _drop_doubles(found: Detections, iou: float) -> Detections:
    """Keep one detection of each thing.

    Of boxes that overlap by more than ``iou``, whatever their class, the surest stays. Of boxes of
    one class where one lies in the other, a far less sure one goes too: it is a part or a
    surrounding of the same thing.
    """
    keep = np.ones(len(found), bool)
    overlap, inside = box_iou(found.boxes, found.boxes), _containment(found.boxes)
    labels = np.array(found.labels, dtype=object)
    order = np.argsort(-found.scores, kind="stable")
    for place, row in enumerate(order):
        if keep[row]:
            later = order[place + 1 :]
            unsure = found.scores[later] < _UNSURE * found.scores[row]
            part = (inside[row, later] > _INSIDE) & (labels[later] == labels[row]) & unsure
            keep[later[(overlap[row, later] > iou) | part]] = False
    return found.keep(keep)


def _containment(boxes: FloatArray) -> FloatArray:
    """Intersection over the smaller of every two boxes, (N, N) in [0, 1]."""
    overlap, areas = box_iou(boxes, boxes), box_area(boxes)
    shared = overlap * (areas[:, None] + areas[None]) / (1 + overlap)
    return np.asarray(shared / np.maximum(np.minimum(areas[:, None], areas[None]), 1e-9))


def _associate(
    tracker: Any, found: Detections, vocabulary: dict[str, int], time_s: float
) -> list[tuple[int, int]]:
    """Pairs (row of ``found``, track number) of the detections that belong to a track."""
    import supervision

    for label in found.labels:
        vocabulary.setdefault(label, len(vocabulary))
    result = tracker.update(
        supervision.Detections(
            xyxy=found.boxes.reshape(-1, 4).astype(np.float64),
            confidence=found.scores.astype(np.float64),
            class_id=np.array([vocabulary[label] for label in found.labels], int),
            data={"row": np.arange(len(found))},
        ),
        timestamp=time_s,
    )
    if not len(result):
        return []
    return [
        (int(row), int(number))
        for row, number in zip(result.data["row"], result.tracker_id, strict=True)
        if number >= 0
    ]


def _to_objects(fragments: list[Fragment], min_boxes: int) -> tuple[SceneObject, ...]:
    """Tracks with their measurements, numbered by first frame."""
    kept = sorted((f for f in fragments if len(f.frames) >= min_boxes), key=lambda f: f.frames[0])
    objects = []
    for number, piece in enumerate(kept, start=1):
        shares = piece.label_shares
        track = Track(
            number, next(iter(shares)), np.array(piece.frames), np.stack(piece.boxes),
            np.clip(piece.scores, 0, 1),
        )  # fmt: skip
        weights = np.array(piece.scores)[:, None, None]  # (N, 1, 1)
        colours = (np.stack(piece.colours) * weights).sum(axis=0) / weights.sum()
        objects.append(SceneObject(track, shares, colours.reshape(len(PARTS), len(COLOURS))))
    return tuple(objects)
