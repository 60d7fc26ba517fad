"""Expressions on videos with masks: the files that MeViS, Refer-YouTube-VOS and Ref-DAVIS17 share.

``meta_expressions.json``: ``{videos: {vid: {frames: [name], expressions: {exp_id: {exp, ...}}}}}``.
Ids are ``<vid>/<exp_id>``, the folder into which predictions of masks are written. Masks are either
COCO run lengths by annotation (:class:`MaskFile`, MeViS) or one indexed PNG a frame whose pixel
values are the object numbers (:class:`MaskFolder`, the other two).
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from stvg.errors import FormatError, UsageError
from stvg.formats.documents import unreadable
from stvg.geometry.masks import encode_masks
from stvg.types import RLE, ByteArray

from .base import MaskRecord, Record
from .entries import Entry, rle_of
from .json_stream import JsonStream
from .reading import FileBenchmark, Part
from .recognise import Head

VOID = 255
"""Pixel value that DAVIS does not score."""

Masks = tuple[tuple[RLE | None, ...], ...]


class Expressions(FileBenchmark):
    """Base of the benchmarks of masks."""

    kind = MaskRecord
    media = "frames"
    protocols: ClassVar[tuple[str, ...]] = ("ours",)
    files: ClassVar[tuple[str, ...]] = ("meta_expressions.json",)

    def video_parts(self, path: Path, source: Any, left_out: set[str]) -> Iterator[Part]:
        """One part an expression.

        Args:
            path: The file.
            source: Where masks come from, handed to :meth:`record`.
            left_out: Videos to pass over.
        """
        for vid, value in video_values(path, self.title):
            if vid not in left_out:
                yield partial(self._of_video, path, vid, value, source)

    def _of_video(self, path: Path, vid: str, value: Any, source: Any) -> Iterator[Record]:
        video = Entry.of(value, f'{path}, video "{vid}"', self.title)
        frames = video.names("frames")
        for exp_id, each in video.members("expressions"):
            place = f'{path}, video "{vid}", expression "{exp_id}"'
            entry = Entry(each.values, place, self.title)
            yield self.record(entry, vid, exp_id, frames, source)

    @abstractmethod
    def record(
        self, entry: Entry, vid: str, exp_id: str, frames: tuple[str, ...], source: Any
    ) -> MaskRecord:
        """The record of one expression."""

    def recognises(self, head: Head) -> bool:
        """Whether the first expression of the first video is one of this benchmark's."""
        videos = head.value.get("videos") if isinstance(head.value, dict) else None
        if not isinstance(videos, dict):
            return False
        for vid, video in videos.items():
            expressions = video.get("expressions") if isinstance(video, dict) else None
            if isinstance(expressions, dict):
                first = next((e for e in expressions.values() if isinstance(e, dict)), {})
                return self.is_own(vid, first)
        return False

    @abstractmethod
    def is_own(self, vid: str, expression: Mapping[str, Any]) -> bool:
        """Whether a video with this first expression is one of this benchmark's."""


def video_values(path: Path, title: str) -> Iterator[tuple[str, Any]]:
    """The videos of a file of expressions, one after the other.

    Raises:
        FormatError: If the file is something else.
    """
    with JsonStream(path) as stream:
        has_videos = False
        if stream.next_character() == "{":
            for key in stream.members():
                if key == "videos" and stream.next_character() == "{":
                    has_videos = True
                    for vid in stream.members():
                        yield vid, stream.value()
                else:
                    stream.value()
            stream.finish()
    if not has_videos:
        raise FormatError(
            f"{path}: expected {title}, an object with the field videos, expressions by video; "
            f"docs/data.md describes {title}"
        )


class MaskFile:
    """``mask_dict.json`` of MeViS: run lengths by annotation, read when asked for.

    The file is read through once to learn where each annotation stands; what is kept are the
    places. Masks: a list over the frames of the video of ``{size, counts}`` or null.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._places: dict[str, tuple[int, int]] = {}
        with JsonStream(path) as stream:
            for key in stream.members():
                stream.next_character()
                start = stream.offset
                stream.value()
                self._places[key] = (start, stream.offset - start)
            stream.finish()

    def masks(self, entry: Entry, names: tuple[str, ...], frames: int) -> Masks:
        """The masks of annotations, one tuple over the frames each."""
        return tuple(self._one(entry, name, frames) for name in names)

    def _one(self, entry: Entry, name: str, frames: int) -> tuple[RLE | None, ...]:
        if name not in self._places:
            raise entry.wrong("anno_id", f"annotations of {self.path}", name)
        start, length = self._places[name]
        with self.path.open("rb") as file:
            file.seek(start)
            values = json.loads(file.read(length))
        if not isinstance(values, list) or len(values) != frames:
            raise FormatError(
                f'{self.path}, annotation "{name}": expected a list of {frames} masks or null, one '
                f"a frame of {entry.place}"
            )
        holder = Entry({}, f'{self.path}, annotation "{name}"', entry.title)
        return tuple(rle_of(v, holder, f"[{number}]") for number, v in enumerate(values))


class MaskFolder:
    """``Annotations/<vid>/<frame>.png``: pixel values are object numbers, read when asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_dir():
            raise UsageError(
                f"expected a folder of masks <video>/<frame>.png, found none at {path}"
            )
        self._vid: str | None = None
        self._pictures: list[ByteArray | None] = []

    def frames(self, vid: str) -> tuple[str, ...]:
        """Names of the frames that a video has masks for, sorted."""
        return tuple(sorted(each.stem for each in (self.path / vid).glob("*.png")))

    def masks(
        self, vid: str, frames: tuple[str, ...], objects: tuple[str, ...]
    ) -> tuple[Masks, tuple[RLE | None, ...]]:
        """Masks of each object and the pixels that are not scored, by frame.

        A frame without a picture has no mask; where none has, there is nothing to read.

        Raises:
            UsageError: If the video has no pictures.
            FormatError: If a picture cannot be read.
        """
        if vid != self._vid:  # the expressions of a video follow each other
            self._pictures = [self._picture(vid, frame) for frame in frames]
            self._vid = vid
        if not any(picture is not None for picture in self._pictures):
            raise UsageError(f"expected masks <frame>.png in {self.path / vid}, found none")
        numbers = [int(name) for name in objects]
        masks = tuple(tuple(_rle(p, number) for p in self._pictures) for number in numbers)
        return masks, tuple(_rle(picture, VOID) for picture in self._pictures)

    def _picture(self, vid: str, frame: str) -> ByteArray | None:
        """Pixel values (H, W) of one frame, or None where there is no file."""
        from PIL import Image, UnidentifiedImageError

        file = self.path / vid / f"{frame}.png"
        if not file.is_file():
            return None
        try:
            with Image.open(file) as image:
                if image.mode not in {"P", "L"}:
                    raise FormatError(
                        f"{file}: expected object numbers as pixel values (an indexed PNG), found "
                        f"a picture in mode {image.mode}"
                    )
                return np.asarray(image, np.uint8)
        except UnidentifiedImageError as error:
            raise FormatError(f"{file}: expected a PNG, found something else") from error
        except OSError as error:
            raise unreadable(file, error) from error


def _rle(picture: ByteArray | None, number: int) -> RLE | None:
    """Pixels of one value, or None where there is none."""
    if picture is None:
        return None
    mask = picture == number
    return encode_masks(mask[None])[0] if mask.any() else None
