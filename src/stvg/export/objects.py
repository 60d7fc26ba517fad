"""What is exported: the objects of one video, each with its boxes by frame.

Predictions (one object a query) and tracks (one object a track) are brought to this form before any
format sees them. Here time becomes frame numbers; whatever else a format counts otherwise (pixels
from 1, percent) stays in its own module.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np

from stvg.errors import UsageError
from stvg.formats.documents import read_document
from stvg.formats.prediction import FORMAT as PREDICTION
from stvg.formats.prediction import LIST_FORMAT as PREDICTIONS
from stvg.formats.prediction import PredictionFile, PredictionsFile, read_predictions
from stvg.formats.tracks import FORMAT as TRACKS
from stvg.formats.tracks import TracksFile, read_tracks
from stvg.geometry.boxes import clip_boxes
from stvg.geometry.tubes import densify
from stvg.types import RLE, BoolArray, FloatArray, IntArray, Prediction, Track, Tracks, VideoMeta

TRACKED: Final = "tracks"
"""Where the objects of a tracks file come from, in place of the name of a method."""


@dataclass(frozen=True, slots=True, eq=False)
class ExportedObject:
    """One object of a video.

    Attributes:
        id: Number of the object, at least 1 and unique in its video.
        name: The sentence that it answers, or what kind of thing it is.
        is_answer: Whether ``name`` is a sentence.
        frames: Number of each frame with a box, (N,) int64, strictly increasing, N >= 1.
        times_s: When each of these frames is first shown, seconds, (N,).
        boxes: ``xyxy`` pixels of the original frame, (N, 4), inside the frame.
        interpolated: Which boxes were filled in rather than seen, (N,) bool.
        scores: Confidence per box, (N,) in [0, 1], or None.
        masks: COCO RLE per box (None where there is no mask), or None when there are no masks.
    """

    id: int
    name: str
    is_answer: bool
    frames: IntArray
    times_s: FloatArray
    boxes: FloatArray
    interpolated: BoolArray
    scores: FloatArray | None = None
    masks: tuple[RLE | None, ...] | None = None

    @property
    def runs(self) -> list[slice]:
        """The rows of each stretch of frames without a gap.

        Example:
            >>> seen = ExportedObject(1, "dog", False, np.array([4, 5, 9]), np.array([4.0, 5, 9]),
            ...     np.zeros((3, 4)), np.zeros(3, bool))
            >>> seen.runs
            [slice(0, 2, None), slice(2, 3, None)]
        """
        breaks = (np.flatnonzero(np.diff(self.frames) > 1) + 1).tolist()
        edges = [0, *breaks, len(self.frames)]
        return [slice(start, end) for start, end in pairwise(edges)]


@dataclass(frozen=True, slots=True, eq=False)
class ExportedVideo:
    """The objects of one video.

    Attributes:
        video: Which video.
        objects: Its objects, possibly none.
        made_by: Method and model that found them, for formats that say so.
        not_found: Sentences that nothing was found for; no object stands for them.
    """

    video: VideoMeta
    objects: tuple[ExportedObject, ...]
    made_by: str
    not_found: tuple[str, ...] = ()


def read_objects(path: str | Path) -> ExportedVideo:
    """The objects in a file of predictions or of tracks.

    Args:
        path: ``stvg.prediction/1``, ``stvg.predictions/1`` or ``stvg.tracks/1``.

    Raises:
        UsageError: If there is no such file, or its predictions are about several videos.
        FormatError: If it is of another kind or not in order.
    """
    models: dict[str, type[PredictionFile] | type[PredictionsFile] | type[TracksFile]] = {
        PREDICTION: PredictionFile,
        PREDICTIONS: PredictionsFile,
        TRACKS: TracksFile,
    }
    if isinstance(read_document(path, models), TracksFile):
        return objects_of_tracks(read_tracks(path))
    return objects_of_predictions(read_predictions(path))


def objects_of_predictions(predictions: Sequence[Prediction]) -> ExportedVideo:
    """One object for each answer that found something, numbered by its place from 1 on.

    Every frame of the interval has a box; where the tube has none it is filled in as prediction
    files fill it in (:func:`stvg.geometry.tubes.densify`). A box without a score of its own has
    that of its prediction.

    Args:
        predictions: Answers on one video.

    Raises:
        UsageError: If there is no prediction, or they are about several videos.
    """
    if not predictions:
        raise UsageError("expected at least one prediction to export, found none")
    video = predictions[0].video
    for other in predictions[1:]:
        if _told(other.video) != _told(video):
            raise UsageError(
                f"an exported file is about one video, found answers on {_told(video)} and "
                f"{_told(other.video)}; export each video by itself"
            )
    objects = [
        _object_of_answer(number, each)
        for number, each in enumerate(predictions, start=1)
        if each.tube is not None
    ]
    not_found = tuple(each.query.text for each in predictions if each.tube is None)
    makers = dict.fromkeys(f"{each.method} {each.model}" for each in predictions)
    return ExportedVideo(video, tuple(objects), ", ".join(makers), not_found)


def objects_of_tracks(tracks: Tracks) -> ExportedVideo:
    """One object a track. Ids are the tracks' own, one higher where a track has the id 0."""
    shift = int(any(track.id == 0 for track in tracks.tracks))
    objects = tuple(
        _object_of_track(track, track.id + shift, tracks.video) for track in tracks.tracks
    )
    return ExportedVideo(tracks.video, objects, TRACKED)


def _told(video: VideoMeta) -> str:
    """What tells a video from another, also from an earlier one of its name."""
    return f"{video.path} ({video.width}x{video.height}, {video.frames} frames)"


def _object_of_answer(number: int, prediction: Prediction) -> ExportedObject:
    """An answer that found something."""
    assert prediction.tube is not None
    video = prediction.video
    dense = densify(prediction.tube, video.times_s)
    assert dense.interpolated is not None  # densify always says which boxes were filled in
    scores = dense.scores
    if scores is None and prediction.score is not None:
        scores = np.full(len(dense), prediction.score)
    return ExportedObject(
        id=number,
        name=prediction.query.text,
        is_answer=True,
        frames=np.flatnonzero(dense.interval.mask(video.times_s)).astype(np.int64),
        times_s=dense.times_s,
        boxes=clip_boxes(dense.boxes, video.width, video.height),
        interpolated=dense.interpolated,
        scores=scores,
        masks=dense.masks,
    )


def _object_of_track(track: Track, number: int, video: VideoMeta) -> ExportedObject:
    """A track, as its detector saw it."""
    return ExportedObject(
        id=number,
        name=track.label,
        is_answer=False,
        frames=track.frames,
        times_s=track.times_s(video),
        boxes=clip_boxes(track.boxes, video.width, video.height),
        interpolated=np.zeros(len(track), np.bool_),
        scores=track.scores,
        masks=track.masks,
    )
