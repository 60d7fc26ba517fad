"""Label Studio tasks with a rectangle region and a timeline range a tube, as pre-annotations.

Frames count from 1, positions are percent of the picture. A region's ``sequence`` holds keyframes
between which Label Studio fills in linearly; with ``enabled`` the region goes on after a keyframe,
without it that keyframe is the last frame that shows the region. ``time`` is ``frame / rate``, as
Label Studio writes it. The range of the timeline has the first and the last frame, both inclusive.

The sentence is the label of region and range. The labels of a task come from the task
(``$queries``), the frame rate too (``$fps``): Label Studio counts frames at the rate that the video
tag is told, 24 if nothing is said, whatever the file has. :data:`CONFIG` is the labelling
configuration. It seeks by time, so in a video with uneven frame times a frame may be off by one.

``data.video`` is the path of the prediction; put an address there that Label Studio can open.

Source: labelstud.io/tags/video, /videorectangle, /timelinelabels, and the region models in Label
Studio's web/libs/editor/src/regions (VideoRegion, VideoRectangleRegion, TimelineRegion).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from stvg.export.base import TOLERANCE_PX
from stvg.export.base import Format as Base
from stvg.export.formats.coco import write_json
from stvg.export.keyframes import keyframes
from stvg.export.objects import ExportedObject, ExportedVideo
from stvg.formats.documents import clean_text
from stvg.geometry.boxes import convert_boxes
from stvg.types import FloatArray, VideoMeta

CONFIG = """<View>
  <Labels name="label" toName="video" value="$queries"/>
  <TimelineLabels name="when" toName="video" value="$queries"/>
  <Video name="video" value="$video" framerate="$fps"/>
  <VideoRectangle name="where" toName="video"/>
</View>"""
"""Labelling configuration of the project that the tasks are for."""


class Format(Base):
    """Label Studio video tasks."""

    name = "labelstudio"
    title = "Label Studio"
    suffix = ".json"

    def write(
        self, exported: ExportedVideo, path: Path, *, tolerance_px: float = TOLERANCE_PX
    ) -> None:
        """See :meth:`Base.write`."""
        video = exported.video
        names = dict.fromkeys(clean_text(each.name) for each in exported.objects)
        names |= dict.fromkeys(clean_text(sentence) for sentence in exported.not_found)
        numbers = count(1)
        result = [
            {"id": f"stvg{next(numbers)}", **region}
            for each in exported.objects
            for region in _regions(each, video, tolerance_px)
        ]
        scores = [each.scores.mean() for each in exported.objects if each.scores is not None]
        task = {
            "data": {
                "video": clean_text(video.path),
                "fps": float(video.fps),
                "queries": [{"value": name} for name in names],
            },
            "predictions": [
                {
                    "model_version": clean_text(exported.made_by),
                    "score": float(np.mean(scores)) if scores else None,
                    "result": result,
                }
            ],
        }
        write_json(path, [task])


def _regions(
    each: ExportedObject, video: VideoMeta, tolerance_px: float
) -> Iterator[dict[str, Any]]:
    """The rectangle of an object, and for each stretch of it a range of the timeline."""
    label = clean_text(each.name)
    yield {
        "type": "videorectangle",
        "from_name": "where",
        "to_name": "video",
        "origin": "prediction",
        "value": {
            "framesCount": video.frames,
            "duration": video.duration_s,
            "sequence": list(_sequence(each, video, tolerance_px)),
            "labels": [label],
        },
    }
    for run in each.runs:
        first, last = each.frames[run][[0, -1]].tolist()
        yield {
            "type": "timelinelabels",
            "from_name": "when",
            "to_name": "video",
            "origin": "prediction",
            "value": {
                "ranges": [{"start": first + 1, "end": last + 1}],
                "timelinelabels": [label],
            },
        }


def _sequence(
    each: ExportedObject, video: VideoMeta, tolerance_px: float
) -> Iterator[dict[str, Any]]:
    """The keyframes of an object; the last of each stretch ends it."""
    for run in each.runs:
        frames, boxes = each.frames[run], each.boxes[run]
        rows = keyframes(frames, boxes, tolerance_px)
        for row in rows:
            number = int(frames[row]) + 1
            yield {
                "frame": number,
                "enabled": row != rows[-1],
                "rotation": 0,
                **_percent(boxes[row], video),
                "time": number / float(video.fps),
            }


def _percent(box: FloatArray, video: VideoMeta) -> dict[str, float]:
    """A box (4,) in percent of the picture."""
    size = np.array([video.width, video.height] * 2)
    sides = (100 * convert_boxes(box[None], "xyxy", "xywh")[0] / size).tolist()
    return dict(zip(("x", "y", "width", "height"), sides, strict=True))
