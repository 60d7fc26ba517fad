"""COCO instances, frame by frame: for detectors and everything that reads COCO JSON.

Every frame of the video is an image; its ``file_name`` is ``<video>/<frame, six digits>.jpg`` with
frames from 0, as ``ffmpeg -i clip.mp4 -fps_mode passthrough -start_number 0 clip/%06d.jpg`` writes
them. Boxes are ``[x, y, width, height]`` in pixels, the left top corner of the picture at (0, 0);
masks, where there are any, are run lengths. An answer's category is its sentence; ``track_id``
holds an object together, ``videos``, ``video_id`` and ``frame_id`` are those of COCO-style video
files, and ``score`` stands where there is one. Readers of plain COCO pass over these.

Source: cocodataset.org/#format-data; the video fields are those of TAO (arXiv 2005.10356).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stvg import __version__
from stvg.export.base import TOLERANCE_PX
from stvg.export.base import Format as Base
from stvg.export.objects import ExportedObject, ExportedVideo
from stvg.formats.atomic import atomic_path
from stvg.formats.documents import clean_text
from stvg.formats.parts import MaskPart
from stvg.geometry.boxes import box_area, convert_boxes
from stvg.geometry.masks import mask_area
from stvg.types import RLE, VideoMeta


class Format(Base):
    """COCO instances."""

    name = "coco"
    title = "COCO"
    suffix = ".json"

    def write(
        self, exported: ExportedVideo, path: Path, *, tolerance_px: float = TOLERANCE_PX
    ) -> None:
        """See :meth:`Base.write`."""
        del tolerance_px
        video, numbers = exported.video, category_numbers(exported)
        size = {"width": video.width, "height": video.height}
        images = [
            {"id": frame + 1, "file_name": name, **size, "video_id": 1, "frame_id": frame}
            for frame, name in enumerate(frame_names(video))
        ]
        annotations = [
            annotation
            for each in exported.objects
            for annotation in _annotations(each, numbers[each.name])
        ]
        for number, annotation in enumerate(annotations, start=1):
            annotation["id"] = number
        write_json(
            path,
            {
                "info": about(exported),
                "licenses": [],
                "videos": [{"id": 1, "name": clean_text(video.name), **size}],
                "images": images,
                "annotations": annotations,
                "categories": categories(numbers),
            },
        )


def _annotations(each: ExportedObject, category: int) -> Iterator[dict[str, Any]]:
    """One annotation a box."""
    sides = convert_boxes(each.boxes, "xyxy", "xywh").tolist()
    areas, segmentations = areas_of(each), segmentations_of(each)
    for row, frame in enumerate(each.frames.tolist()):
        score = {} if each.scores is None else {"score": float(each.scores[row])}
        yield {
            "image_id": frame + 1,
            "video_id": 1,
            "category_id": category,
            "track_id": each.id,
            "bbox": sides[row],
            "area": areas[row],
            "segmentation": segmentations[row] or [],
            "iscrowd": 0,
            **score,
        }


def category_numbers(exported: ExportedVideo) -> dict[str, int]:
    """Number of each category, from 1 on, by sentence or label in the order of the objects."""
    names = dict.fromkeys(each.name for each in exported.objects)
    return {name: number for number, name in enumerate(names, start=1)}


def categories(numbers: dict[str, int]) -> list[dict[str, Any]]:
    """The categories as COCO lists them."""
    return [
        {"id": number, "name": clean_text(name), "supercategory": ""}
        for name, number in numbers.items()
    ]


def areas_of(each: ExportedObject) -> list[float]:
    """Area of every mask, or of the box where there is none, pixels."""
    areas: list[float] = box_area(each.boxes).tolist()
    for row, mask in enumerate(each.masks or ()):
        if mask is not None:
            areas[row] = float(mask_area([mask])[0])
    return areas


def segmentations_of(each: ExportedObject) -> list[dict[str, Any] | None]:
    """Every mask as COCO writes it, None where there is none."""
    masks: tuple[RLE | None, ...] = each.masks or (None,) * len(each.frames)
    return [None if mask is None else MaskPart.of(mask).model_dump() for mask in masks]


def frame_names(video: VideoMeta) -> list[str]:
    """File name that every frame of a video is given."""
    stem = clean_text(Path(video.path).stem)
    return [f"{stem}/{frame:06d}.jpg" for frame in range(video.frames)]


def about(exported: ExportedVideo) -> dict[str, str]:
    """What the file says of itself."""
    return {"description": f"{exported.made_by}, exported by stvg {__version__}"}


def write_json(path: Path, document: Any) -> None:
    """Write a document on one line.

    Raises:
        OutputError: If the file cannot be written.
    """
    with atomic_path(path) as temporary:
        text = json.dumps(document, ensure_ascii=False, allow_nan=False)
        temporary.write_text(clean_text(text) + "\n", encoding="utf-8", newline="\n")
