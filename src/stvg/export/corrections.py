"""Corrected tubes as an annotation file that training, prediction and evaluation read.

The file is in the schema in which TubeDETR prepares VidSTG: of the public schemas the one that
holds several sentences on a video, frame rates, frames without a box and inputs that are a part of
a video. It is read as the benchmark ``vidstg``. Frames count from 0, spans are half-open, boxes are
``[x, y, width, height]`` in pixels with three decimals. Every sentence is filed as a declarative
one, because that schema files questions only beside a caption.

A tube's span runs from its first to its last frame; frames in between where an annotator hid the
object have no box and are learnt from and scored as such.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stvg.data.media import MediaFolder
from stvg.errors import FormatError
from stvg.formats.atomic import atomic_path
from stvg.formats.documents import clean_text
from stvg.geometry.boxes import clip_boxes, convert_boxes, interpolate_boxes
from stvg.types import FloatArray, IntArray, VideoMeta
from stvg.video import probe


@dataclass(frozen=True, slots=True, eq=False)
class CorrectedTube:
    """A tube as an annotator left it.

    Attributes:
        query: The sentence.
        video: The video, as the file on disk is.
        media: What annotations call the video: its path below the folder of videos.
        segment: Frames ``[start, end)`` that the annotator was shown.
        span: Frames ``[start, end)`` of the tube.
        frames: Frames of the span with a box, (N,) int64, increasing, N >= 1.
        boxes: ``xyxy`` pixels, (N, 4), inside the frame, with an area.
        place: Where it comes from; for messages.
    """

    query: str
    video: VideoMeta
    media: str
    segment: tuple[int, int]
    span: tuple[int, int]
    frames: IntArray
    boxes: FloatArray
    place: str


@dataclass(frozen=True, slots=True)
class Keyframe:
    """A box that an annotator set.

    Attributes:
        frame: Number of the frame in the video, from 0.
        box: ``xyxy`` pixels.
        end: Frame at which the object is hidden if no further keyframe comes before it.
    """

    frame: int
    box: tuple[float, float, float, float]
    end: int


def fill_in(
    keyframes: Sequence[Keyframe], segment: tuple[int, int], video: VideoMeta
) -> tuple[IntArray, FloatArray]:
    """The frames that keyframes show and their boxes, linear between keyframes.

    A keyframe holds from its frame on until the next keyframe or its own end, whichever comes
    first. Boxes are cut to the picture; those without area are left out.

    Args:
        keyframes: In order, at least one.
        segment: Frames ``[start, end)`` that count.
        video: Its size cuts the boxes.

    Returns:
        Frames (N,) int64 increasing and boxes ``xyxy`` (N, 4); N may be 0.

    Example:
        >>> from fractions import Fraction
        >>> video = VideoMeta("a.mp4", 100, 100, Fraction(10), 1.0, 10)
        >>> keys = [Keyframe(2, (0, 0, 10, 10), 8), Keyframe(4, (20, 0, 30, 10), 5)]
        >>> frames, boxes = fill_in(keys, (0, 10), video)
        >>> frames.tolist(), boxes[:, 0].tolist()
        ([2, 3, 4], [0.0, 10.0, 20.0])
    """
    starts = np.array([each.frame for each in keyframes])
    ends = np.minimum([each.end for each in keyframes], np.append(starts[1:], segment[1]))
    frames = np.arange(segment[0], segment[1], dtype=np.int64)
    holding = np.searchsorted(starts, frames, side="right") - 1  # keyframe of each frame, or -1
    frames = frames[(holding >= 0) & (frames < ends[holding])]
    corners = [each.box for each in keyframes]
    boxes = clip_boxes(interpolate_boxes(starts, corners, frames), video.width, video.height)
    has_area = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    return frames[has_area], boxes[has_area]


class Videos:
    """The videos that corrections are about.

    Args:
        path: Their folder, or the one video.

    Raises:
        UsageError: If there is neither a folder nor a file.
    """

    def __init__(self, path: Path) -> None:
        self._only = path if path.is_file() else None
        self._folder = None if self._only else MediaFolder(path)
        self._known: dict[Path, VideoMeta] = {}
        self._called: set[str] = set()

    def find(self, names: Sequence[str], place: str) -> tuple[VideoMeta, str]:
        """A video, and what annotations call it.

        Args:
            names: What it may be called, the likeliest first. The one video may be called anything,
                but always the same.
            place: Who asks; for messages.

        Raises:
            FormatError: If it is not in the folder, the name does not tell which one, or there is
                one video and this is another one.
            VideoError: If it cannot be read.
        """
        if self._only is not None:
            self._require_same(names, place)
        path = self._only or self._in_folder(names, place)
        if path not in self._known:
            self._known[path] = probe(path)
        folder = path.parent if self._folder is None else self._folder.path
        return self._known[path], path.relative_to(folder).as_posix()

    def _require_same(self, names: Sequence[str], place: str) -> None:
        """Refuse to take corrections on several videos for those on the one."""
        if names and self._called and self._called.isdisjoint(names):
            raise FormatError(
                f"{place}: expected corrections on one video, {self._only}, found them on "
                f"{min(self._called)!r} and on {names[-1]!r}; name the folder with the videos"
            )
        self._called.update(names)

    def _in_folder(self, names: Sequence[str], place: str) -> Path:
        assert self._folder is not None
        for name in names:
            found = self._folder.find(name)
            if len(found) == 1:
                return found[0]
            if found:
                raise FormatError(
                    f"{place}: {len(found)} videos below {self._folder.path} are called {name!r}; "
                    "name the one instead of the folder"
                )
        wanted = " or ".join(map(repr, names)) or "its video, which it does not name,"
        raise FormatError(
            f"{place}: expected {wanted} below {self._folder.path}, found none; name the folder "
            "that has it, or the video itself"
        )


def write_annotations(tubes: Iterable[CorrectedTube], path: str | Path) -> None:
    """Write corrected tubes as an annotation file.

    Args:
        tubes: At least one; the sentences on a video differ.
        path: The file; appears whole or not at all.

    Raises:
        FormatError: If there is no tube, or two on a video have the same sentence.
        OutputError: If the file cannot be written.
    """
    listed = list(tubes)
    if not listed:
        raise FormatError("expected at least one tube with a sentence, found none in the files")
    _require_different(listed)
    queries, trajectories = [], dict[str, Any]()
    for number, tube in enumerate(listed):
        queries.append(_query(number, tube))
        sides = convert_boxes(tube.boxes, "xyxy", "xywh").round(3).tolist()
        boxes = zip(tube.frames.tolist(), sides, strict=True)
        trajectories.setdefault(clean_text(tube.media), {})[str(number)] = {
            str(frame): {"bbox": box} for frame, box in boxes
        }
    document = {"videos": queries, "trajectories": trajectories}
    with atomic_path(path) as temporary:
        text = json.dumps(document, ensure_ascii=False, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8", newline="\n")


def _require_different(tubes: Sequence[CorrectedTube]) -> None:
    """Refuse two tubes of one sentence on one video."""
    counts = Counter((tube.media, tube.query) for tube in tubes)
    for tube in tubes:
        if counts[tube.media, tube.query] > 1:
            places = [
                other.place
                for other in tubes
                if (other.media, other.query) == (tube.media, tube.query)
            ]
            raise FormatError(
                f"{' and '.join(places)}: expected one tube a sentence, found {len(places)} with "
                f"the sentence {tube.query!r} on {tube.media}; merge them, or give each a sentence "
                "of its own"
            )


def _query(number: int, tube: CorrectedTube) -> Mapping[str, Any]:
    """A sentence as TubeDETR's files have it; ``end_frame`` is inclusive."""
    return {
        "video_id": number,
        "original_video_id": clean_text(tube.media),
        "video_path": clean_text(tube.media),
        "caption": clean_text(tube.query),
        "qtype": "declarative",
        "target_id": number,
        "width": tube.video.width,
        "height": tube.video.height,
        "fps": float(tube.video.fps),
        "frame_count": tube.video.frames,
        "start_frame": tube.segment[0],
        "end_frame": tube.segment[1] - 1,
        "tube_start_frame": tube.span[0],
        "tube_end_frame": tube.span[1],
    }
