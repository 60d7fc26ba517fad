"""COCO video, as YouTube-VIS has it: one annotation an object, a box and a mask for every frame.

``videos[0].file_names`` names every frame (as :mod:`stvg.export.formats.coco` names them);
``bboxes``, ``areas`` and ``segmentations`` of an annotation are lists over these frames, with null
where the object is not there or has no mask. ``score`` is the mean over the boxes of an object.

Source: Yang et al., arXiv 1905.04804, and the file format on the page of its challenge
(competitions.codalab.org/competitions/20128).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stvg.export.base import TOLERANCE_PX
from stvg.export.base import Format as Base
from stvg.export.formats.coco import (
    about,
    areas_of,
    categories,
    category_numbers,
    frame_names,
    segmentations_of,
    write_json,
)
from stvg.export.objects import ExportedObject, ExportedVideo
from stvg.geometry.boxes import convert_boxes
from stvg.types import VideoMeta


class Format(Base):
    """COCO video."""

    name = "coco_video"
    title = "COCO video (YouTube-VIS)"
    suffix = ".json"

    def write(
        self, exported: ExportedVideo, path: Path, *, tolerance_px: float = TOLERANCE_PX
    ) -> None:
        """See :meth:`Base.write`."""
        del tolerance_px
        video, numbers = exported.video, category_numbers(exported)
        described = {
            "id": 1,
            "width": video.width,
            "height": video.height,
            "length": video.frames,
            "file_names": frame_names(video),
        }
        annotations = [
            {
                "id": each.id,
                "video_id": 1,
                "category_id": numbers[each.name],
                "iscrowd": 0,
                **_over_frames(each, video),
            }
            for each in exported.objects
        ]
        write_json(
            path,
            {
                "info": about(exported),
                "videos": [described],
                "annotations": annotations,
                "categories": categories(numbers),
            },
        )


def _over_frames(each: ExportedObject, video: VideoMeta) -> dict[str, Any]:
    """Boxes, areas and masks of an object, one entry a frame of the video; its score."""
    columns: dict[str, list[Any]] = {
        "bboxes": convert_boxes(each.boxes, "xyxy", "xywh").tolist(),
        "areas": areas_of(each),
        "segmentations": segmentations_of(each),
    }
    found: dict[str, Any] = {}
    for name, values in columns.items():
        found[name] = [None] * video.frames
        for frame, value in zip(each.frames.tolist(), values, strict=True):
            found[name][frame] = value
    if each.scores is not None:
        found["score"] = float(each.scores.mean())
    return found
