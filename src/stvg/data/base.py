"""Records: what one query of a benchmark says, whatever file it came from.

There are four kinds of task, hence four kinds of record. A record keeps the annotated numbers as
they are, faults included (boxes outside the image, negative sizes, spans past the end), because
published evaluators react to them differently; only units and origin are brought to one form:
frames 0-based, spans half-open, boxes ``xyxy`` in pixels, times in seconds. What is wrong with a
record is found by ``stvg data check``, and :meth:`TubeRecord.sample` gives the clean
:class:`stvg.types.Sample` that methods are trained on.

A benchmark is a module of this package with a class ``Benchmark`` (see :class:`Benchmark`); it is
found by its file name, nothing else lists it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from stvg.errors import FormatError, UsageError
from stvg.geometry.boxes import clip_boxes
from stvg.types import RLE, FloatArray, Interval, Query, Sample, Tube

from .recognise import Head


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Record:
    """What all records have.

    Attributes:
        id: Unique within the file and stable; predictions name it.
        query: The sentence, with its form where the benchmark tells it.
        media: Video or image, as the annotation names it (path relative to the media folder).
        place: Where it stands, ``file, record 17``; for messages.
        extra: Annotated values that some protocol or reader needs and no field holds.
    """

    id: str
    query: Query
    media: str
    place: str
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TubeRecord(Record):
    """Spatio-temporal grounding: HC-STVG, VidSTG, ST-Align.

    Attributes:
        width: Of the video in pixels.
        height: Of the video in pixels.
        fps: Frames per second, as the annotation gives or implies it.
        frame_count: Frames of the video, as the annotation gives it.
        segment: Frames ``[begin, end)`` that are the input; the whole video where nothing is said.
        span: True frames ``[start, end)``.
        boxes: ``xyxy`` pixels, (N, 4); box i belongs to frame ``first_box_frame + i``. As
            annotated: corners may be reversed or outside the image. A missing box is NaN. N = 0
            where no boxes are public or at hand; ``extra["no_boxes"]`` then says why.
        first_box_frame: Frame of the first box, normally the start of the span.
    """

    width: int
    height: int
    fps: float
    frame_count: int
    segment: tuple[int, int]
    span: tuple[int, int]
    boxes: FloatArray
    first_box_frame: int

    @property
    def has_boxes(self) -> bool:
        """Whether there is any box, so that the record can be scored."""
        return bool(np.isfinite(self.boxes).all(axis=1).any())

    def sample(self, fps: float | None = None) -> Sample:
        """The clean form: boxes clipped to the image, empty and missing ones left out.

        The target is None when no box is left. Times are frame numbers over ``fps``.

        Args:
            fps: Frames per second of the video, where the annotation does not give them
                (ST-Align); default the record's own.

        Raises:
            UsageError: If there are boxes but no frame rate.
        """
        fps = self.fps if fps is None else fps
        start, end = max(self.span[0], 0), min(self.span[1], self.frame_count)
        frames = self.first_box_frame + np.arange(len(self.boxes))
        boxes = clip_boxes(self.boxes, self.width, self.height)
        usable = (
            np.isfinite(self.boxes).all(axis=1)
            & (boxes[:, 2] > boxes[:, 0])
            & (boxes[:, 3] > boxes[:, 1])
            & (frames >= start)
            & (frames < end)
        )
        if not usable.any():
            return Sample(self.query, self.media)
        if not fps > 0:
            raise UsageError(
                f"{self.place} gives no frame rate, so its frames have no times; give that of the "
                "video as sample(fps=...)"
            )
        tube = Tube(Interval(start / fps, end / fps), frames[usable] / fps, boxes[usable])
        return Sample(self.query, self.media, tube)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TimeRecord(Record):
    """Temporal grounding: Charades-STA, ActivityNet Captions, TVGBench, QVHighlights.

    Attributes:
        duration_s: Length of the video, or NaN where the annotation does not give it.
        windows: True times ``[start, end)`` in seconds, (N, 2), as annotated.
    """

    duration_s: float
    windows: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BoxRecord(Record):
    """Referring expressions on images: RefCOCO, RefCOCO+, RefCOCOg.

    Attributes:
        width: Of the image in pixels, 0 where the annotation does not give it.
        height: Of the image in pixels, 0 where the annotation does not give it.
        box: ``xyxy`` pixels, (4,), as annotated.
    """

    width: int
    height: int
    box: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MaskRecord(Record):
    """Referring video segmentation: MeViS, Refer-YouTube-VOS, Ref-DAVIS17.

    Attributes:
        frames: Names of the annotated frames, T of them, in order.
        objects: Ids of the objects that the expression means; empty where it is not public.
        masks: For each of the objects a mask a frame (None: not there); None where masks are not
            public or were not given.
    """

    frames: tuple[str, ...]
    objects: tuple[str, ...]
    masks: tuple[tuple[RLE | None, ...], ...] | None


class Benchmark(ABC):
    """A benchmark: reads its published files into records.

    Attributes:
        name: The name users type, the same as the module's.
        title: As the field writes it.
        kind: Class of its records.
        protocols: Names of the protocols that make sense for it, the usual one first.
        source: Where its makers publish it.
        licence: What is known of the licence of its annotations.
        files: Names under which its makers publish the annotation files.
        companions: Further files that it reads, name -> what it is.
        media: What a query is asked about: a video file, a folder of frames, or an image.
        rate: Frames a second of a folder of frames.
        quirks: Peculiarities that can be counted in a file, name -> one sentence.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    kind: ClassVar[type[Record]]
    protocols: ClassVar[tuple[str, ...]]
    source: ClassVar[str]
    licence: ClassVar[str]
    files: ClassVar[tuple[str, ...]] = ()
    companions: ClassVar[Mapping[str, str]] = {}
    media: ClassVar[Literal["video", "frames", "image"]] = "video"
    rate: ClassVar[int] = 6
    quirks: ClassVar[Mapping[str, str]] = {}

    @abstractmethod
    def read(self, path: Path, **companions: Path) -> Iterator[Record]:
        """Read an annotation file or folder, lazily, in its own order.

        Args:
            path: The annotation file as published, or one of its preprocessed forms.
            **companions: Further files by name, e.g. ``trajectories`` for VidSTG.

        Raises:
            FormatError: If the file is not what it should be; names file, record and field, and
                says which benchmark it looks like where that can be told.
        """

    def attempt(self, path: Path, **companions: Path) -> Iterator[Record | FormatError]:
        """Like :meth:`read`, but a record that is not in order is given as its error.

        A benchmark that can go on with the next record does so; this one stops.
        """
        try:
            yield from self.read(path, **companions)
        except FormatError as error:
            yield error

    def quirks_of(self, record: Any) -> Iterable[str]:
        """Which of :attr:`quirks` a record shows."""
        del record
        return ()

    def recognises(self, head: Head) -> bool:
        """Whether a file that starts like this is one of this benchmark's."""
        del head
        return False
