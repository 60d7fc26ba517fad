"""Boxes of VidOR videos, which VidSTG needs beside its sentences.

VidOR publishes one JSON a video, ``<group>/<vid>.json``: ``trajectories`` is a list over frames,
each a list of ``{tid, bbox: {xmin, ymin, xmax, ymax}}``; its index is the frame number from 0. The
preprocessing of TubeDETR turns that into ``{tid: {"frame": {bbox: [x, y, width, height]}}}``. Both
are read, from a folder of such files (each when it is first asked for) or from one JSON
``{vid: annotation}``. What is kept in memory is compact: 12 bytes a box.

Source: xdshang/VidVRD-helper (VidOR), preproc/preproc_vidstg.py of antoyang/TubeDETR.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stvg.errors import FormatError, UsageError
from stvg.types import FloatArray

from .entries import Entry
from .json_stream import JsonStream

TITLE = "VidOR trajectories"

_CORNERS = itemgetter("xmin", "ymin", "xmax", "ymax")
_NAMES = ("*trajectories*", "vidor*", "bbox_annos")


@dataclass(frozen=True, slots=True)
class VideoBoxes:
    """All objects of one video.

    Attributes:
        video_path: Where the annotation says the video lies, ``group/vid.mp4``, or None.
        tracks: By object: frame numbers (N,) increasing, and boxes ``xyxy`` (N, 4) in the smallest
            type that holds them.
    """

    video_path: str | None
    tracks: Mapping[int, tuple[NDArray[np.int32], NDArray[Any]]]

    def between(self, tid: int, start: int, end: int) -> FloatArray | None:
        """Boxes of an object on the frames ``[start, end)``, (end - start, 4).

        A frame without a box is NaN; None when the video has no such object.
        """
        if tid not in self.tracks:
            return None
        frames, boxes = self.tracks[tid]
        found = np.full((max(end - start, 0), 4), np.nan)
        low, high = np.searchsorted(frames, [start, max(start, end)])
        found[frames[low:high] - start] = boxes[low:high]
        return found


class Trajectories:
    """Boxes by video, from a folder of VidOR files or from one JSON.

    Args:
        path: The folder or file.

    Raises:
        UsageError: If there is no such folder or file, or the folder holds no JSON file.
        FormatError: If the one file is not in order.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: dict[str, VideoBoxes] = {}
        self._files: dict[str, Path] = {}
        if path.is_dir():
            self._files = {each.stem: each for each in sorted(path.rglob("*.json"))}
            if not self._files:
                raise UsageError(f"expected VidOR files <group>/<vid>.json in {path}, found none")
        else:
            with JsonStream(path) as stream:
                self._known.update(videos_in(stream))

    def video(self, vid: str) -> VideoBoxes | None:
        """The boxes of a video, or None when nothing is known about it.

        Raises:
            FormatError: If the file of the video is not in order.
        """
        if vid not in self._known and vid in self._files:
            file = self._files[vid]
            with JsonStream(file) as stream:
                self._known[vid] = video_boxes(Entry.of(stream.value(), str(file), TITLE))
        return self._known.get(vid)


def find_trajectories(annotations: Path) -> Path | None:
    """The trajectories that lie beside an annotation file, or None.

    Raises:
        UsageError: If several could be meant.
    """
    found = sorted({each for name in _NAMES for each in annotations.parent.glob(name)})
    found = [each for each in found if each.is_dir() or each.suffix == ".json"]
    if len(found) > 1:
        names = ", ".join(each.name for each in found)
        raise UsageError(f"several trajectories lie beside {annotations}: {names}; name the one")
    return found[0] if found else None


def videos_in(stream: JsonStream) -> Iterator[tuple[str, VideoBoxes]]:
    """The videos of an object ``{vid: annotation}`` that comes next in a stream.

    An annotation is one of VidOR, or only its trajectories by object.
    """
    if stream.next_character() != "{":
        raise FormatError(
            f"{stream.path}: expected {TITLE}, an object of annotations by video; docs/data.md "
            "describes them"
        )
    for vid in stream.members():
        entry = Entry.of(stream.value(), f'{stream.path}, video "{vid}"', TITLE)
        yield vid, video_boxes(entry)


def video_boxes(entry: Entry) -> VideoBoxes:
    """The boxes in the annotation of one video.

    Raises:
        FormatError: If it is not in order; names the field.
    """
    path = entry.text("video_path") if "video_path" in entry.values else None
    has_field = "trajectories" in entry.values
    trajectories = entry.values.get("trajectories") if has_field else entry.values
    if isinstance(trajectories, list):
        return VideoBoxes(path, _from_frames(entry, trajectories))
    holder = entry.inner("trajectories") if has_field else entry
    return VideoBoxes(path, {_number(holder, t): _from_object(holder, t) for t in holder.values})


def _from_frames(entry: Entry, frames: list[Any]) -> dict[int, tuple[NDArray[Any], NDArray[Any]]]:
    """Tracks of the VidOR form: a list over frames of objects."""
    numbers: dict[int, list[int]] = {}
    corners: dict[int, list[Any]] = {}
    number = -1
    try:
        for number, objects in enumerate(frames):
            for each in objects:
                tid = each["tid"]
                numbers.setdefault(tid, []).append(number)
                corners.setdefault(tid, []).append(_CORNERS(each["bbox"]))
    except (TypeError, KeyError) as error:
        raise entry.wrong(
            f"trajectories[{number}]",
            "objects {tid, bbox: {xmin, ymin, xmax, ymax}}",
            frames[number],
        ) from error
    return {tid: _packed(entry, numbers[tid], corners[tid], tid) for tid in numbers}


def _from_object(holder: Entry, tid: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """One track of the TubeDETR form: ``{"frame": {bbox: [x, y, width, height]}}``."""
    by_frame = holder.inner(tid)
    numbers = [_number(by_frame, frame) for frame in by_frame.values]
    try:
        boxes = [each["bbox"] for each in by_frame.values.values()]
        sizes = [(x, y, x + w, y + h) for x, y, w, h in boxes]
    except (TypeError, KeyError, ValueError) as error:
        raise holder.wrong(tid, '{"frame": {bbox: [x, y, width, height]}} with numbers') from error
    order = sorted(range(len(numbers)), key=numbers.__getitem__)
    return _packed(holder, [numbers[i] for i in order], [sizes[i] for i in order], tid)


def _packed(
    entry: Entry, numbers: list[int], boxes: Iterable[Any], tid: int | str
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Frame numbers and boxes as small arrays."""
    flat = list(chain.from_iterable(boxes))
    if not set(map(type, flat)) <= {int, float}:
        raise entry.wrong("trajectories", f"numbers as coordinates of object {tid}", "others")
    frames, values = np.array(numbers, np.int32), np.array(flat, np.float64).reshape(-1, 4)
    if not np.isfinite(values).all() or (np.diff(frames) <= 0).any():
        raise entry.wrong(
            "trajectories", f"one finite box a frame of object {tid}", "repeated frames or infinity"
        )
    small = values.astype(np.int16)
    return frames, small if (small == values).all() else values


def _number(entry: Entry, key: str) -> int:
    """A key that is a number."""
    if not key.isdecimal():
        raise entry.wrong(key, "a number as key", key)
    return int(key)
