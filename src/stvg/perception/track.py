"""From a video to tracked objects: detector in every looked-at frame, tracker over frames.

Association is done by the ``trackers`` library (C-BIoU by default: Yang et al., 2023,
arXiv:2211.14317, whose widened boxes keep hold of small fast things such as balls). Around it:
suppression of one thing detected as two classes, measurement of colours, joining of the pieces
that the tracker lost hold of (:mod:`stvg.perception.join`), removal of flickers. Trackers name an
object only when they are sure of it; from there it is followed backwards through what belonged to
no track, so a track begins where its object does. Frames are streamed, so memory grows with the
boxes found, not with the pictures.
"""

from __future__ import annotations

import inspect
import math
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from stvg.config import Config
from stvg.errors import UsageError
from stvg.extras import require
from stvg.geometry.boxes import box_area, box_iou, clip_boxes
from stvg.perception.appearance import COLOURS, PARTS, describe_box
from stvg.perception.detect import Detections, Detector
from stvg.perception.join import Fragment, JoinConfig, join_fragments
from stvg.perception.rejoin import join_shots
from stvg.progress import Progress, no_progress
from stvg.registry import load_object, suggest
from stvg.types import ByteArray, FloatArray, Scene, SceneObject, Track, VideoMeta
from stvg.video import SamplingPlan, iter_frames, probe

_INSIDE = 0.8  # share of the smaller box that makes it a part of the larger
_UNSURE = 0.4  # share of the surer one's confidence below which a part is dropped
_SAME = 0.3  # overlap from which a detection of less than the starting score is an earlier sight


class TrackingConfig(Config):
    """How a video is turned into tracks. Values are ours, chosen on general grounds."""

    fps: float | None = Field(
        None, gt=0, description="frames looked at a second; none means every frame"
    )
    tracker: str = Field(
        "cbiou", description="a tracker of the `trackers` library by its id, or file.py:Class"
    )
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
    same_look: float = Field(
        0.8,
        gt=0,
        le=1,
        description="likeness of colours from which objects of two shots are one; 1 joins none",
    )


def perceive(
    video: str | Path | VideoMeta,
    detector: Detector,
    config: TrackingConfig | None = None,
    *,
    words: Sequence[str] = (),
    cuts: Sequence[int] = (),
    threads: int = 0,
    progress: Progress = no_progress,
) -> Scene:
    """Find and follow every object of a video.

    Args:
        video: Path or meta data.
        detector: What looks at the frames.
        config: How often and how strictly; default :class:`TrackingConfig`.
        words: What an open-vocabulary detector looks for.
        cuts: Frames with which a new shot begins (:func:`stvg.perception.shots.find_cuts`). Nothing
            is followed across a cut; objects of several shots are joined by their looks.
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
    looks = np.unique(meta.frame_at(plan.times(meta)))
    step_s = (
        float(np.median(np.diff(meta.times_s[looks]))) if len(looks) > 1 else 1 / float(meta.fps)
    )
    tracker = _make_tracker(config, step_s)
    fragments: dict[int, Fragment] = defaultdict(Fragment)
    shots = [fragments]
    vocabulary: dict[str, int] = {}
    history: list[_Look] = []
    started, detecting_s = time.perf_counter(), 0.0
    for done, (index, time_s, frame) in enumerate(iter_frames(meta, plan, threads=threads), 1):
        if history and any(history[-1].index < cut <= index for cut in cuts):
            tracker, history, fragments = _make_tracker(config, step_s), [], defaultdict(Fragment)
            shots.append(fragments)
        detecting = time.perf_counter()
        (found,) = detector.detect(frame[None], words)
        detecting_s += time.perf_counter() - detecting
        look = _Look(index, time_s, frame, _drop_doubles(found, config.same_thing_iou))
        taken = _associate(tracker, look, vocabulary)
        for row, number in taken.items():
            if number not in fragments:
                _follow_back(history, look, row, fragments[number], meta, config)
            look.add(row, fragments[number], meta)
            fragments[number].number = number
        look.close(taken)
        history.append(look)
        progress(done, len(looks))
    joined = join_shots(
        [join_fragments(list(shot.values()), meta, config.join, looks) for shot in shots],
        config.same_look,
    )
    other_s = time.perf_counter() - started - detecting_s
    classes = tuple(words) if detector.classes is None else detector.classes
    return Scene(
        meta,
        _to_objects(joined, min(config.min_boxes, len(looks))),
        detector.name,
        looks,
        classes,
        {"detect": detecting_s, "decode_and_track": other_s},
    )


def tracker_names() -> list[str]:
    """Ids of the trackers of the installed ``trackers`` library that work here."""
    return sorted(_tracker_classes())


@dataclass(slots=True)
class _Look:
    """One looked-at frame and what was found in it.

    Attributes:
        index: Number of the frame in the video.
        time_s: When it is shown.
        frame: Its picture (H, W, 3) at the size the detector saw; without pixels once it is closed.
        found: Boxes in pixels of that picture.
        free: Colours of the detections that belong to no track, by row; known once it is closed.
    """

    index: int
    time_s: float
    frame: ByteArray
    found: Detections
    free: dict[int, FloatArray] = field(default_factory=dict)

    def add(self, row: int, piece: Fragment, meta: VideoMeta) -> None:
        """Append a detection to a piece, with its box in pixels of the original frame."""
        box, colours = self.found.boxes[row], self.free.pop(row, None)
        scale = np.array([meta.width / self.frame.shape[1], meta.height / self.frame.shape[0]] * 2)
        piece.frames.append(self.index)
        piece.boxes.append(clip_boxes((box * scale)[None], meta.width, meta.height)[0])
        piece.scores.append(float(self.found.scores[row]))
        piece.labels.append(self.found.labels[row])
        piece.colours.append(describe_box(self.frame, box) if colours is None else colours)

    def close(self, taken: Mapping[int, int]) -> None:
        """Measure what belongs to no track and let go of the pixels."""
        rows = (row for row in range(len(self.found)) if row not in taken)
        self.free = {row: describe_box(self.frame, self.found.boxes[row]) for row in rows}
        self.frame = np.broadcast_to(np.uint8(0), self.frame.shape)  # keeps the size alone

    def earlier_sight(self, box: FloatArray, start_score: float) -> int | None:
        """The free detection that overlaps a box of a later look most, if one may be the same."""
        rows = np.array(list(self.free), np.int64)
        overlap = box_iou(self.found.boxes[rows], box[None])[:, 0]
        least = np.where(self.found.scores[rows] >= start_score, 0.0, _SAME)
        overlap = np.where(overlap > least, overlap, 0.0)
        return int(rows[overlap.argmax()]) if overlap.any() else None


def _follow_back(
    history: Sequence[_Look], look: _Look, row: int, piece: Fragment, meta: VideoMeta,
    config: TrackingConfig,
) -> None:  # fmt: skip
    """Begin a piece with the earlier sights of an object that a look named for the first time."""
    box, time_s, sights = look.found.boxes[row], look.time_s, []
    for earlier in reversed(history):
        if time_s - earlier.time_s > config.lost_s and earlier is not history[-1]:
            break
        sight = earlier.earlier_sight(box, config.start_score)
        if sight is not None:
            sights.append((earlier, sight))
            box, time_s = earlier.found.boxes[sight], earlier.time_s
    for earlier, sight in reversed(sights):
        earlier.add(sight, piece, meta)


def _tracker_classes() -> dict[str, Any]:
    """Trackers of the library by id, but those that need masks."""
    library = require("trackers", "perception", "tracking")
    classes = (getattr(library, name) for name in dir(library) if name.endswith("Tracker"))
    named = {cls.tracker_id: cls for cls in classes if getattr(cls, "tracker_id", None)}
    return {
        name: cls
        for name, cls in named.items()
        if "mask_manager" not in inspect.signature(cls.__init__).parameters
    }


def _make_tracker(config: TrackingConfig, step_s: float) -> Any:
    """A fresh tracker with the options of ``config`` that it knows."""
    if ":" in config.tracker:
        cls = load_object(config.tracker)
    else:
        known = _tracker_classes()
        if config.tracker not in known:
            raise UsageError(
                f"there is no tracker {config.tracker!r} that works on boxes alone; "
                f"{suggest(config.tracker, sorted(known))}"
            )
        cls = known[config.tracker]
    # The library counts the time since an object was last seen, so one step is always in it; its
    # unit is frames at 30 a second.
    wanted = {
        "frame_rate": 1 / step_s,
        "lost_track_buffer": math.ceil((config.lost_s + 1.5 * step_s) * 30),
        "track_activation_threshold": config.start_score,
        "high_conf_det_threshold": config.start_score,
        "minimum_consecutive_frames": 1,
    }
    accepted = inspect.signature(cls).parameters
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


def _associate(tracker: Any, look: _Look, vocabulary: dict[str, int]) -> dict[int, int]:
    """Track number by row of the detections that belong to a track."""
    import supervision

    found = look.found
    for label in found.labels:
        vocabulary.setdefault(label, len(vocabulary))
    detections = supervision.Detections(
        xyxy=found.boxes.reshape(-1, 4).astype(np.float64),
        confidence=found.scores.astype(np.float64),
        class_id=np.array([vocabulary[label] for label in found.labels], int),
        data={"row": np.arange(len(found))},
    )
    # Only a tracker that makes up for the motion of the camera wants to see the picture, in BGR.
    seen = {"frame": look.frame[..., ::-1]} if getattr(tracker, "enable_cmc", False) else {}
    result = tracker.update(detections, timestamp=look.time_s, **seen)
    if not len(result):
        return {}
    return {
        int(row): int(number)
        for row, number in zip(result.data["row"], result.tracker_id, strict=True)
        if number >= 0
    }


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
        weights = np.maximum(piece.scores, 1e-6)[:, None, None]  # (N, 1, 1)
        colours = (np.stack(piece.colours) * weights).sum(axis=0) / weights.sum()
        objects.append(SceneObject(track, shares, colours.reshape(len(PARTS), len(COLOURS))))
    return tuple(objects)
