"""Trivial answers that every result table should have beside it; they look at no video.

They are no methods: each knows something of the truth that a method is not given, and says so.

* ``middle_box``: the whole video, and in every frame the mean box of annotated targets.
* ``random_object``: the whole video, and the track of any of its objects.
* ``oracle_object``: the whole video, and the target's box wherever it is known. What is missing to
  100 is the time alone.

"The whole video" is the part that is the input of the query.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stvg.data.base import BoxRecord, MaskRecord, Record, TimeRecord, TubeRecord
from stvg.errors import UsageError
from stvg.formats.predictions_jsonl import PredictionRecord
from stvg.formats.tracks import read_tracks
from stvg.geometry.boxes import clip_boxes, paired_iou
from stvg.types import FloatArray, IntArray, Track

_NO_FRAMES = np.zeros(0, np.int64)
_NO_BOXES = np.zeros((0, 4))


@dataclass(frozen=True, slots=True)
class Baseline:
    """A trivial way to answer.

    Attributes:
        name: Its name.
        knows: What of the truth it knows, one sentence.
        answer: From a query with its truth to a line.
        settings: What its answers depend on; JSON values.
    """

    name: str
    knows: str
    answer: Callable[[Record], PredictionRecord]
    settings: dict[str, str | int]

    @property
    def title(self) -> str:
        """Its name and what it knows, for a summary."""
        return f"{self.name}, which knows {self.knows}"


def middle_box(targets: Iterable[Record], source: str) -> Baseline:
    """The mean box of targets, on every frame of the whole video.

    The mean is over queries, of boxes as shares of the picture; a query counts once, however long.

    Where the benchmark asks for times alone, the whole video.

    Args:
        targets: Queries whose boxes are known.
        source: Which they are, for the summary: ``train.json``, ``these very targets``.

    Raises:
        UsageError: If none of them has a box.
    """
    targets = list(targets)
    if any(isinstance(record, MaskRecord) for record in targets):
        raise UsageError("middle_box answers with boxes, and the benchmark asks for masks")
    if any(isinstance(record, TimeRecord) for record in targets):
        return Baseline("middle_box", "the length of the video", _whole_time, {})
    shares = [each for each in map(_mean_share, targets) if each is not None]
    if not shares:
        raise UsageError(f"middle_box needs targets with boxes, found none among {source}")
    mean = np.mean(shares, axis=0)  # (4,)

    def answer(record: Record) -> PredictionRecord:
        size = _size(record)
        if size is None:
            return _failed(record, "size unknown: the annotation gives no size of the picture")
        frames = np.arange(*_input(record))
        return _whole(record, frames, np.tile(mean * size, (len(frames), 1)))

    return Baseline("middle_box", f"the mean box of {source}", answer, {"targets": source})


def random_object(tracks: Path, seed: int = 0) -> Baseline:
    """The track of any object of the video, over the whole video.

    Args:
        tracks: Folder of ``stvg.tracks/1`` files, each named as its video.
        seed: Of the choice, which depends on it and on the id of the query alone.
    """

    def answer(record: Record) -> PredictionRecord:
        objects = _objects(record, tracks)
        if not objects:
            return _failed(record, "no objects: the tracks of the video are empty")
        chosen = random.Random(f"{seed}/{record.id}").choice(objects)  # noqa: S311
        return _whole(record, chosen.frames, chosen.boxes)

    return Baseline(
        "random_object",
        "the objects of the video with their boxes, not which of them is meant",
        answer,
        {"seed": seed},
    )


def oracle_object(tracks: Path | None = None) -> Baseline:
    """The target's box in every frame where it is known, over the whole video.

    Args:
        tracks: Folder of ``stvg.tracks/1`` files: the target's box is known wherever the object
            that overlaps the target most is tracked. None: known where it is annotated.
    """

    def answer(record: Record) -> PredictionRecord:
        frames, boxes = _target(record)
        if not len(frames):
            return _failed(record, "no target: the annotation has no box")
        if tracks is not None:
            objects = _objects(record, tracks)
            best = max(objects, key=lambda each: _overlap(each, frames, boxes), default=None)
            if best is None or not _overlap(best, frames, boxes):
                return _failed(record, "no such object: no track overlaps the target")
            frames, boxes = best.frames, best.boxes
        return _whole(record, frames, boxes)

    where = "in every frame where it is annotated" if tracks is None else "in the whole video"
    return Baseline("oracle_object", f"which object is meant, and its boxes {where}", answer, {})


def _whole(record: Record, frames: IntArray, boxes: FloatArray) -> PredictionRecord:
    """An answer that lasts as long as the input, with the boxes that lie in it."""
    begin, end = _input(record)
    inside = (frames >= begin) & (frames < end)
    return PredictionRecord(record.id, (begin, end), frames[inside], boxes[inside])


def _whole_time(record: Record) -> PredictionRecord:
    """The whole video as an interval."""
    assert isinstance(record, TimeRecord)
    if not np.isfinite(record.duration_s):
        return _failed(record, "length unknown: the annotation gives no length of the video")
    return PredictionRecord(
        record.id, None, _NO_FRAMES, _NO_BOXES, span_s=(0.0, float(record.duration_s))
    )


def _input(record: Record) -> tuple[int, int]:
    """Frames ``[begin, end)`` of the input; a picture is one frame."""
    if isinstance(record, TubeRecord) and record.segment[1] > max(record.segment[0], 0):
        return max(record.segment[0], 0), record.segment[1]
    return 0, 1


def _size(record: Record) -> FloatArray | None:
    """Width and height twice, (4,), or None where they are not known."""
    if isinstance(record, TubeRecord | BoxRecord) and record.width and record.height:
        return np.array([record.width, record.height] * 2, np.float64)
    return None


def _target(record: Record) -> tuple[IntArray, FloatArray]:
    """Frames (N,) and boxes (N, 4) of the target, cut to the picture, those with an area."""
    if isinstance(record, BoxRecord):
        frames, boxes = np.zeros(1, np.int64), record.box[None]
    elif isinstance(record, TubeRecord):
        frames, boxes = record.first_box_frame + np.arange(len(record.boxes)), record.boxes
    else:
        return _NO_FRAMES, _NO_BOXES
    known = np.isfinite(boxes).all(axis=1)
    frames, boxes = frames[known], boxes[known]
    size = _size(record)
    if size is not None:
        boxes = clip_boxes(boxes, int(size[0]), int(size[1]))
    solid = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    return frames[solid], boxes[solid]


def _mean_share(record: Record) -> FloatArray | None:
    """The mean box of a query as shares of the picture, (4,), or None where it has none."""
    boxes, size = _target(record)[1], _size(record)
    return boxes.mean(axis=0) / size if len(boxes) and size is not None else None


def _objects(record: Record, tracks: Path) -> list[Track]:
    """The objects of the video of a query."""
    name = Path(record.media).stem
    return list(read_tracks(tracks / f"{name}.json").tracks)


def _overlap(track: Track, frames: IntArray, boxes: FloatArray) -> float:
    """Sum of overlaps of an object with the target."""
    _, own, theirs = np.intersect1d(track.frames, frames, return_indices=True)
    return float(paired_iou(track.boxes[own], boxes[theirs]).sum()) if len(own) else 0.0


def _failed(record: Record, reason: str) -> PredictionRecord:
    """The line of a query that cannot be answered."""
    return PredictionRecord(record.id, None, _NO_FRAMES, _NO_BOXES, error=reason)
