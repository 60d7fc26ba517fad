"""The vocabulary of the package: intervals, tubes, queries, samples, predictions, clips.

Conventions, the same everywhere inside the package:

* Time is seconds as a float, counted from the presentation time of the first frame.
* Intervals are half-open: ``[start_s, end_s)``.
* Boxes are ``xyxy`` in float pixels of the original frame, the right and bottom edge exclusive.
* Frame numbers are 0-based and appear only at file borders; :class:`VideoMeta` translates.

Other conventions (1-based frames, percent, 0..1000 grids, resized pixels) exist only inside the
adapter that reads or writes them. Everything here is plain NumPy and immutable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from stvg.errors import UsageError

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]
ByteArray = NDArray[np.uint8]

RLE = Mapping[str, Any]
"""A mask as COCO run-length encoding: ``{"size": [height, width], "counts": str}``."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A half-open stretch of time ``[start_s, end_s)`` in seconds.

    Raises:
        UsageError: If an end is not finite, or the end lies before the start.

    Example:
        >>> Interval(2.0, 5.0).duration_s
        3.0
        >>> 5.0 in Interval(2.0, 5.0)
        False
    """

    start_s: float
    end_s: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.start_s) and np.isfinite(self.end_s)):
            raise UsageError(
                f"an interval needs two finite ends, found [{self.start_s}, {self.end_s})"
            )
        if self.end_s < self.start_s:
            raise UsageError(
                f"an interval must not end before it starts, found [{self.start_s}, {self.end_s})"
            )

    @property
    def duration_s(self) -> float:
        """Length in seconds, at least 0."""
        return self.end_s - self.start_s

    def __contains__(self, time_s: float) -> bool:
        return self.start_s <= time_s < self.end_s

    def mask(self, times_s: FloatArray) -> BoolArray:
        """Which of ``times_s`` (N,) lie inside; (N,) bool."""
        times = np.asarray(times_s, np.float64)
        return (times >= self.start_s) & (times < self.end_s)


@dataclass(frozen=True, slots=True)
class VideoMeta:
    """What is known about a video without decoding it.

    Attributes:
        path: Where the file is.
        width: Pixels, as shown (after the rotation that the container asks for).
        height: Pixels, as shown.
        fps: Average frames per second as an exact fraction, e.g. ``Fraction(30000, 1001)``.
        duration_s: From the first frame's presentation time to the end of the last frame.
        frames: Number of frames that are shown.
        frame_times_s: Presentation time of every frame, (frames,) strictly increasing from 0;
            None when they are not known. Without them a constant frame rate is assumed.
    """

    path: str
    width: int
    height: int
    fps: Fraction
    duration_s: float
    frames: int
    frame_times_s: FloatArray | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1 or self.frames < 0 or self.fps <= 0:
            raise UsageError(
                f"a video needs a size, a frame rate and a frame count, found {self.width}x"
                f"{self.height}, {self.fps} fps, {self.frames} frames in {self.path}"
            )

    @property
    def name(self) -> str:
        """File name without its folder."""
        return Path(self.path).name

    @property
    def times_s(self) -> FloatArray:
        """Presentation time of every frame, (frames,)."""
        if self.frame_times_s is not None:
            return self.frame_times_s
        return np.arange(self.frames) / float(self.fps)

    @property
    def frame_ends_s(self) -> FloatArray:
        """Time at which every frame is replaced by the next (the last: ends), (frames,)."""
        times = self.times_s
        return np.append(times[1:], max(self.duration_s, times[-1])) if len(times) else times

    def frame_at(self, times_s: float | FloatArray) -> IntArray:
        """Number of the frame that is on screen at each time; before 0 the first, (N,) int64.

        A time up to a tenth of a millisecond before a frame counts as that frame, so that times
        which went through text survive.
        """
        found = np.searchsorted(self.times_s, np.atleast_1d(times_s) + 1e-4, side="right") - 1
        return np.clip(found, 0, max(self.frames - 1, 0)).astype(np.int64)

    def span_of(self, start_frame: int, end_frame: int) -> Interval:
        """The interval in which the frames ``[start_frame, end_frame)`` are on screen."""
        if not 0 <= start_frame < end_frame <= self.frames:
            raise UsageError(
                f"frames [{start_frame}, {end_frame}) are not a span of {self.name}, which has "
                f"frames [0, {self.frames})"
            )
        return Interval(float(self.times_s[start_frame]), float(self.frame_ends_s[end_frame - 1]))


def _frozen_array(values: Any, dtype: type, shape_hint: str) -> NDArray[Any]:
    """A read-only copy of ``values`` as ``dtype``; refuses what has no such form."""
    try:
        array: NDArray[Any] = np.array(values, dtype=dtype)
    except (TypeError, ValueError) as error:
        raise UsageError(f"expected {shape_hint}, found {values!r:.80}") from error
    array.setflags(write=False)
    return array


def _first_bad_box(boxes: FloatArray) -> int | None:
    """Row of the first box (N, 4) that is not finite or has reversed corners, or None."""
    good = (boxes[:, 2:] >= boxes[:, :2]).all(axis=1) & np.isfinite(boxes).all(axis=1)
    return None if good.all() else int(np.argmin(good))


@dataclass(frozen=True, slots=True, eq=False)
class Tube:
    """One object through time: an interval and a box at times inside it.

    Attributes:
        interval: When; every time lies inside it.
        times_s: Seconds, (N,) strictly increasing, N >= 1.
        boxes: ``xyxy`` pixels of the original frame, (N, 4), finite, corners in order.
        scores: Confidence per box, (N,) in [0, 1], or None.
        interpolated: Which boxes were filled in rather than seen, (N,) bool; None means none.
        masks: COCO RLE per box (None where there is no mask), or None when there are no masks.

    Raises:
        UsageError: If shapes disagree, times are not increasing or lie outside the interval, or
            a box is not finite or has its corners reversed.

    Example:
        >>> tube = Tube(Interval(0, 2), [0.0, 1.0], [[0, 0, 10, 10], [10, 0, 20, 10]])
        >>> tube.at([0.5]).tolist()
        [[5.0, 0.0, 15.0, 10.0]]
    """

    interval: Interval
    times_s: FloatArray
    boxes: FloatArray
    scores: FloatArray | None = None
    interpolated: BoolArray | None = None
    masks: tuple[RLE | None, ...] | None = None

    def __post_init__(self) -> None:
        times = _frozen_array(self.times_s, np.float64, "times in seconds, one a box")
        boxes = _frozen_array(self.boxes, np.float64, "boxes as an array (N, 4)")
        if times.ndim != 1 or boxes.shape != (len(times), 4) or not len(times):
            raise UsageError(
                "a tube needs N >= 1 times (N,) and boxes (N, 4), found times "
                f"{times.shape} and boxes {boxes.shape}"
            )
        if not np.all(np.diff(times) > 0):
            raise UsageError("the times of a tube must increase strictly")
        if not self.interval.mask(times).all():
            raise UsageError(
                f"the times of a tube must lie in its interval [{self.interval.start_s}, "
                f"{self.interval.end_s}), found {times[0]} to {times[-1]}"
            )
        bad = _first_bad_box(boxes)
        if bad is not None:
            raise UsageError(
                "a box must be finite with x1 <= x2 and y1 <= y2, found "
                f"{boxes[bad].tolist()} at {times[bad]:.3f} s"
            )
        object.__setattr__(self, "times_s", times)
        object.__setattr__(self, "boxes", boxes)
        for name, dtype in (("scores", np.float64), ("interpolated", np.bool_)):
            if getattr(self, name) is not None:
                values = _frozen_array(getattr(self, name), dtype, f"{name} (N,)")
                if values.shape != times.shape:
                    raise UsageError(
                        f"a tube of {len(times)} boxes needs as many {name}, found {values.shape}"
                    )
                object.__setattr__(self, name, values)
        if self.masks is not None and len(self.masks) != len(times):
            raise UsageError(
                f"a tube of {len(times)} boxes needs as many masks, found {len(self.masks)}"
            )

    def __len__(self) -> int:
        return len(self.times_s)

    def at(self, times_s: FloatArray | list[float] | float) -> FloatArray:
        """Boxes at any times, linear between the tube's own, (M, 4).

        Inside the interval but outside the first and last box the nearest box is repeated;
        outside the interval the row is NaN.
        """
        from stvg.geometry.boxes import interpolate_boxes

        times = np.atleast_1d(np.asarray(times_s, np.float64))
        boxes = interpolate_boxes(self.times_s, self.boxes, times)
        boxes[~self.interval.mask(times)] = np.nan
        return boxes

    def iou(self, other: Tube, times_s: FloatArray | None = None) -> float:
        """Spatio-temporal overlap (vIoU) in [0, 1]; see :func:`stvg.geometry.tubes.viou`.

        Args:
            other: The tube to compare with; the result is symmetric.
            times_s: The grid to sum over, normally the frame times of the video. Default: the
                times of both tubes.
        """
        from stvg.geometry.tubes import viou

        return viou(self, other, times_s)


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One object as a detector and tracker saw it: a box in each frame where it was seen.

    Attributes:
        id: Number of the object, at least 0, unique within its :class:`Tracks`.
        label: What kind of thing, e.g. ``dog``.
        frames: Number of each frame in the source video, (N,) int64, strictly increasing from 0
            or later, N >= 1. Frames without a box are simply absent.
        boxes: ``xyxy`` pixels of the original frame, (N, 4), finite, corners in order.
        scores: Confidence per box, (N,) in [0, 1].
        masks: COCO RLE per box (None where there is no mask), or None when there are no masks.

    Raises:
        UsageError: If shapes disagree, frames are not increasing, a box is not finite or has its
            corners reversed, or a score leaves [0, 1].

    Example:
        >>> track = Track(1, "dog", [0, 2], [[0, 0, 10, 10], [4, 0, 14, 10]], [0.9, 0.8])
        >>> len(track), track.frames.tolist()
        (2, [0, 2])
    """

    id: int
    label: str
    frames: IntArray
    boxes: FloatArray
    scores: FloatArray
    masks: tuple[RLE | None, ...] | None = None

    def __post_init__(self) -> None:
        frames = _frozen_array(self.frames, np.int64, "frame numbers, one a box")
        boxes = _frozen_array(self.boxes, np.float64, "boxes as an array (N, 4)")
        scores = _frozen_array(self.scores, np.float64, "scores, one a box")
        if frames.ndim != 1 or not len(frames) or boxes.shape != (len(frames), 4):
            raise UsageError(
                "a track needs N >= 1 frames (N,) and boxes (N, 4), found frames "
                f"{frames.shape} and boxes {boxes.shape} in track {self.id}"
            )
        if self.id < 0 or frames[0] < 0 or not np.all(np.diff(frames) > 0):
            raise UsageError(
                "the id of a track and its frame numbers must be at least 0 and the frame numbers "
                f"must increase strictly, found track {self.id} with frames from {frames[0]}"
            )
        bad = _first_bad_box(boxes)
        if bad is not None:
            raise UsageError(
                "a box must be finite with x1 <= x2 and y1 <= y2, found "
                f"{boxes[bad].tolist()} in frame {frames[bad]} of track {self.id}"
            )
        if scores.shape != frames.shape or not ((scores >= 0) & (scores <= 1)).all():
            raise UsageError(
                f"a track of {len(frames)} boxes needs as many scores in [0, 1], found "
                f"{scores.shape} in track {self.id}"
            )
        if self.masks is not None and len(self.masks) != len(frames):
            raise UsageError(
                f"a track of {len(frames)} boxes needs as many masks, found {len(self.masks)} in "
                f"track {self.id}"
            )
        for name, values in (("frames", frames), ("boxes", boxes), ("scores", scores)):
            object.__setattr__(self, name, values)

    def __len__(self) -> int:
        return len(self.frames)

    def times_s(self, meta: VideoMeta) -> FloatArray:
        """Presentation time of every box in the video that ``meta`` describes, (N,) seconds."""
        return meta.times_s[self.frames]


@dataclass(frozen=True, slots=True, order=True)
class Correction:
    """A tracker's note that an object goes on under another id.

    Attributes:
        frame: Number of the frame in the source video from which on this holds.
        old: Id that the object had.
        new: Id that it has where ``old`` is not seen any more.
    """

    frame: int
    old: int
    new: int


@dataclass(frozen=True, slots=True, eq=False)
class Tracks:
    """All objects that were tracked in one video.

    Attributes:
        video: Which video.
        tracks: The objects, possibly none; ids differ.
        corrections: Ids that took the place of others, in order of frames.

    Raises:
        UsageError: If two tracks share an id, a track has a frame or a box outside the video, or a
            correction names an id that no track has, one id twice, or a frame outside the video.
    """

    video: VideoMeta
    tracks: tuple[Track, ...]
    corrections: tuple[Correction, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "tracks", tuple(self.tracks))
        object.__setattr__(self, "corrections", tuple(sorted(self.corrections)))
        ids = [track.id for track in self.tracks]
        for each in self.corrections:
            known = each.old in ids and each.new in ids and each.old != each.new
            if not known or not 0 <= each.frame < self.video.frames:
                raise UsageError(
                    f"a correction needs two ids of the tracks and a frame of {self.video.name} "
                    f"(0 to {self.video.frames - 1}), found {each.old} -> {each.new} in frame "
                    f"{each.frame}"
                )
        if len(set(ids)) < len(ids):
            repeated = sorted({number for number in ids if ids.count(number) > 1})
            raise UsageError(f"every track needs an id of its own, found {repeated} more than once")
        edge = np.array([self.video.width, self.video.height] * 2)
        for track in self.tracks:
            if track.frames[-1] >= self.video.frames:
                raise UsageError(
                    f"track {track.id} has a box in frame {track.frames[-1]}, but "
                    f"{self.video.name} has frames [0, {self.video.frames})"
                )
            if (track.boxes < -1e-6).any() or (track.boxes > edge + 1e-6).any():
                raise UsageError(
                    f"the boxes of track {track.id} must lie inside the {self.video.width}x"
                    f"{self.video.height} frame; clip them first"
                )

    def __len__(self) -> int:
        return len(self.tracks)


@dataclass(frozen=True, slots=True, eq=False)
class SceneObject:
    """A tracked object with what was measured on it.

    Attributes:
        track: Where it was seen.
        label_shares: Share of the detector's confidence that went to each class name; sums to 1.
        colours: Share of each colour word in the whole, upper and lower object, (3, 11); see
            :func:`stvg.perception.appearance.describe_box`.
    """

    track: Track
    label_shares: Mapping[str, float]
    colours: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """All objects that perception found in a video.

    Attributes:
        video: Which video.
        objects: What was found, possibly nothing.
        detector: Name of the detector.
        frames_seen: Numbers of the source frames that the detector looked at, (T,) int64.
        classes: Class names that were looked for: all that the detector knows, or the words that
            an open-vocabulary detector was given.
        timing_s: Seconds spent by stage.
    """

    video: VideoMeta
    objects: tuple[SceneObject, ...]
    detector: str
    frames_seen: IntArray
    classes: tuple[str, ...]
    timing_s: Mapping[str, float] = field(default_factory=dict)

    @property
    def tracks(self) -> Tracks:
        """The tracks alone."""
        return Tracks(self.video, tuple(item.track for item in self.objects))


@dataclass(frozen=True, slots=True)
class Query:
    """The sentence that says what to look for.

    Attributes:
        text: The sentence, stripped; never empty.
        form: ``declarative`` ("the dog jumps"), ``interrogative`` ("what jumps?") or None.
        id: Name of the query in its benchmark, or None.
        asks: For what: ``tube``: one object and when; ``object``: one object in all frames;
            ``objects``: every object that fits in all frames (the latter two: benchmarks of masks).
    """

    text: str
    form: Literal["declarative", "interrogative"] | None = None
    id: str | None = None
    asks: Literal["tube", "object", "objects"] = "tube"

    def __post_init__(self) -> None:
        text = " ".join(self.text.split())
        if not text:
            raise UsageError(
                'expected a sentence as query, found an empty one; say what to look for, e.g. "the '
                'dog"'
            )
        object.__setattr__(self, "text", text)


@dataclass(frozen=True, slots=True)
class Sample:
    """A query on a video, with the annotated truth where there is one."""

    query: Query
    video: str
    target: Tube | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """Frames of a video, decoded at some size.

    Attributes:
        meta: The source video.
        frames: RGB, (T, H, W, 3) uint8, read-only when it comes from a cache.
        times_s: True presentation time of each frame, (T,).
        frame_indices: Number of each frame in the source, (T,).
        scene: The objects in the video, for methods that plan to use them; else None.
        numbered: The objects with numbers of their own, for methods that plan to name them.
        first: Number in the file of the source's first frame; above 0 for a part of a video.
    """

    meta: VideoMeta
    frames: ByteArray
    times_s: FloatArray
    frame_indices: IntArray
    scene: Scene | None = None
    numbered: Tracks | None = None
    first: int = 0

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the decoded frames in pixels."""
        return int(self.frames.shape[2]), int(self.frames.shape[1])

    @property
    def scale(self) -> FloatArray:
        """Factors (4,) that turn decoded pixels (xyxy) into pixels of the original frame."""
        width, height = self.size
        scale_x, scale_y = self.meta.width / width, self.meta.height / height
        return np.array([scale_x, scale_y, scale_x, scale_y])


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """A method's answer to one query.

    Attributes:
        query: What was asked.
        video: Which video.
        tube: The answer, one box a source frame, or None for "nothing found".
        score: Confidence in [0, 1], or None when the method has none.
        method: Name of the method.
        model: Name of the model, detector or checkpoint.
        answer: The text a language model wrote, or None.
        timing_s: Seconds by stage.
        warnings: What a reader must know: repairs, fillings, why nothing was found.
        details: What the method has to show for its answer (scores per cue, thinking, drafts);
            JSON values only.

    Raises:
        UsageError: If a box leaves the frame, or there is neither a tube nor a reason.
    """

    query: Query
    video: VideoMeta
    tube: Tube | None
    method: str
    model: str
    score: float | None = None
    answer: str | None = None
    timing_s: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    details: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.tube is None:
            if not self.warnings:
                raise UsageError("a prediction without a tube must say why in its warnings")
            return
        edge = np.array([self.video.width, self.video.height] * 2)
        if (self.tube.boxes < -1e-6).any() or (self.tube.boxes > edge + 1e-6).any():
            raise UsageError(
                f"the boxes of a prediction must lie inside the {self.video.width}x"
                f"{self.video.height} frame; clip them first"
            )

    @property
    def is_empty(self) -> bool:
        """Whether nothing was found."""
        return self.tube is None

    def with_timing(self, **timing_s: float) -> Prediction:
        """The same prediction with these stages added to its timing."""
        return replace(self, timing_s={**self.timing_s, **timing_s})

    def _repr_html_(self) -> str:
        from stvg.notebook import to_html

        return to_html(self)
