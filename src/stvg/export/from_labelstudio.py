"""Corrected tubes out of a JSON export of Label Studio.

A rectangle region is a tube, its label the sentence. Keyframes are filled in linearly; a keyframe
with ``enabled`` holds until the next one or the end of the video, one without it is the last frame
that shows the region. Where the timeline has ranges of the same label, they say when: the span runs
from the first to the last of them, and boxes in other frames are dropped. Without ranges the
rectangle says it.

Label Studio counts frames from 1 at the rate of its video tag. That rate is taken from the
keyframes (``frame / time``), else from ``framesCount / duration``. If at that rate the whole video
has less than half a frame more or less than at its own, frame k is frame k - 1 of the file;
otherwise a frame of Label Studio is the stretch ``[(k - 1) / rate, k / rate)`` seconds, whose ends
are rounded to the nearest frame border of the video; it is at least one frame long.

Of several annotations of a task the one marked as ground truth counts, else the last that was not
cancelled. Tasks without any, and predictions that nobody submitted, are left out.

Source: as :mod:`stvg.export.formats.labelstudio`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qs, unquote

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import from_json

from stvg.errors import FormatError
from stvg.export.corrections import CorrectedTube, Keyframe, Videos, fill_in
from stvg.formats.documents import BYTE_ORDER_MARK, unreadable
from stvg.types import VideoMeta

_UPLOADED = re.compile(r"^[0-9a-f]{8}-")  # what Label Studio puts before the name of an upload


class _Part(BaseModel):
    """Part of an export; fields that say nothing about a tube are passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


_FrameNumber = Annotated[int, Field(ge=0, lt=2**53)]


class _Key(_Part):
    frame: _FrameNumber
    enabled: bool
    x: float
    y: float
    width: float = Field(ge=0)
    height: float = Field(ge=0)
    rotation: float = 0
    time: float | None = Field(None, ge=0)


class _Range(_Part):
    start: _FrameNumber
    end: _FrameNumber


class _Value(_Part):
    sequence: Annotated[list[_Key], Field(min_length=1)] | None = None
    frames_count: float | None = Field(None, ge=0, alias="framesCount")
    duration: float | None = Field(None, ge=0)
    labels: list[str] = []
    ranges: list[_Range] = []
    timelinelabels: list[str] = []


class _Region(_Part):
    id: str = ""  # relations have neither id nor value
    type: str = ""
    value: dict[str, Any] = {}


class _Annotation(_Part):
    result: list[_Region]
    was_cancelled: bool = False
    ground_truth: bool = False


class _Task(_Part):
    id: int | str | None = None
    data: dict[str, Any]
    annotations: list[_Annotation]


_TASKS = TypeAdapter(list[_Task])


def read_labelstudio(path: str | Path, videos: Videos) -> Iterator[CorrectedTube]:
    """The tubes in an export of Label Studio, one a rectangle region.

    Args:
        path: An export in the format JSON (not JSON-MIN).
        videos: Where the videos are looked for: by the file name at the end of the task's
            ``video``, without the eight characters that Label Studio puts before uploads.

    Yields:
        A tube for each region in the order of the file; regions that show nothing are left out.

    Raises:
        UsageError: If there is no such file.
        FormatError: If it is of another kind, a video is not found, or a region is no upright
            rectangle with one label; names task and region.
        VideoError: If a video cannot be read.
    """
    for number, task in enumerate(_tasks(Path(path))):
        place = f"{path}, task {number if task.id is None else task.id}"
        annotation = _chosen(task.annotations)
        if annotation is not None:
            video, media = videos.find(_names(task.data, place), place)
            yield from _tubes(annotation, video, media, place)


def _tasks(path: Path) -> list[_Task]:
    """The tasks of an export, checked."""
    try:
        text = path.read_bytes().removeprefix(BYTE_ORDER_MARK)
        return _TASKS.validate_python(from_json(text, allow_inf_nan=False))
    except OSError as error:
        raise unreadable(path, error) from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the document"
        raise FormatError(
            f"{path}, {field}: expected an export of Label Studio in the format JSON, a list of "
            f"tasks with data and annotations: {first['msg']}"
        ) from error
    except ValueError as error:
        raise FormatError(f"{path}: expected JSON, but it is not JSON: {error}") from error


def _chosen(annotations: Sequence[_Annotation]) -> _Annotation | None:
    """The annotation that counts, or None."""
    finished = [each for each in annotations if not each.was_cancelled]
    return next(
        (each for each in finished if each.ground_truth), finished[-1] if finished else None
    )


def _names(data: dict[str, Any], place: str) -> list[str]:
    """File names that the video of a task may have."""
    address = data.get("video")
    if not isinstance(address, str):
        raise FormatError(
            f"{place}, data.video: expected the address of a video, found {address!r:.60}"
        )
    path, _, query = address.partition("?")
    inside = parse_qs(query).get("d", [""])[0]  # /data/local-files/?d=folder/clip.mp4
    name = Path(inside or unquote(path)).name
    return list(dict.fromkeys([Path(address).name, name, _UPLOADED.sub("", name)]))


def _tubes(
    annotation: _Annotation, video: VideoMeta, media: str, place: str
) -> Iterator[CorrectedTube]:
    """The tubes of an annotation."""
    values = [(each, _value(each, place)) for each in annotation.result]
    ranges = [
        (label, each) for _, value in values for label in value.timelinelabels
        for each in value.ranges
    ]  # fmt: skip
    for region, value in values:
        if value.sequence is None:
            continue
        where = f"{place}, region {region.id}"
        if len(value.labels) != 1 or not value.labels[0].strip():
            raise FormatError(
                f"{where}: expected one label, the sentence, found {value.labels}; give the region "
                "one label"
            )
        counting = _Counting(value, video)
        frames, boxes = fill_in(_keyframes(value, counting, where), (0, video.frames), video)
        stretches = [counting.stretch(each) for label, each in ranges if label == value.labels[0]]
        if stretches:
            shown = np.zeros(video.frames, np.bool_)
            for start, end in stretches:
                shown[start:end] = True
            frames, boxes = frames[shown[frames]], boxes[shown[frames]]
        elif len(frames):
            stretches = [(int(frames[0]), int(frames[-1]) + 1)]
        if len(frames):
            yield CorrectedTube(
                query=" ".join(value.labels[0].split()),
                video=video,
                media=media,
                segment=(0, video.frames),
                span=(min(s for s, _ in stretches), max(e for _, e in stretches)),
                frames=frames,
                boxes=boxes,
                place=where,
            )


def _value(region: _Region, place: str) -> _Value:
    """What a region holds; nothing for kinds that say nothing about a tube."""
    if region.type not in ("videorectangle", "timelinelabels"):
        return _Value.model_validate({})
    try:
        return _Value.model_validate(region.value)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, ("value", *first["loc"])))
        raise FormatError(
            f"{place}, region {region.id}, {field}: {first['msg']}; export the task in the format "
            "JSON without changes"
        ) from error


class _Counting:
    """From frames of Label Studio to frames of the video; see the module.

    Args:
        value: A rectangle region.
        video: Its video.
    """

    def __init__(self, value: _Value, video: VideoMeta) -> None:
        self.video = video
        rate = float(video.fps)
        last = max(value.sequence or [], key=lambda key: key.frame)
        if last.time and last.frame:
            rate = last.frame / last.time
        elif value.frames_count and value.duration:
            rate = value.frames_count / value.duration
        self.is_same = abs(rate - float(video.fps)) * video.duration_s < 0.5
        self.rate = rate

    def border(self, number: int) -> int:
        """The frame border of the video nearest to the start of a frame of Label Studio."""
        if self.is_same:
            return min(max(number - 1, 0), self.video.frames)
        borders_s = np.append(self.video.times_s, self.video.frame_ends_s[-1:])
        return int(np.argmin(np.abs(borders_s - (number - 1) / self.rate)))

    def stretch(self, span: _Range) -> tuple[int, int]:
        """Frames ``[start, end)`` of a range with both ends inclusive; at least one."""
        start = min(self.border(span.start), self.video.frames - 1)
        return start, max(self.border(span.end + 1), start + 1)


def _keyframes(value: _Value, counting: _Counting, place: str) -> list[Keyframe]:
    """The keyframes of a region in order, the last of two on one frame of the video."""
    video, found = counting.video, dict[int, Keyframe]()
    for key in sorted(value.sequence or [], key=lambda each: each.frame):
        if key.rotation:
            raise FormatError(
                f"{place}, frame {key.frame}: expected an upright rectangle, found one turned by "
                f"{key.rotation} degrees; turn it back"
            )
        left, top = key.x * video.width / 100, key.y * video.height / 100
        right = left + key.width * video.width / 100
        bottom = top + key.height * video.height / 100
        start, end = counting.stretch(_Range(start=key.frame, end=key.frame))
        found[start] = Keyframe(
            start, (left, top, right, bottom), video.frames if key.enabled else end
        )
    return list(found.values())
