"""Answers as ``supervision`` detections, for its annotators, zones and trackers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from stvg.export.objects import ExportedObject, objects_of_predictions
from stvg.extras import require
from stvg.geometry.masks import decode_masks
from stvg.types import BoolArray, Prediction

if TYPE_CHECKING:
    from supervision import Detections


def to_supervision(
    predictions: Prediction | Sequence[Prediction],
) -> Iterator[tuple[int, Detections]]:
    """What is seen in every frame that an answer holds, frame after frame.

    ``xyxy`` is in pixels of the original frame, ``tracker_id`` is the number of the query from 1
    on, ``class_id`` one less, ``data["class_name"]`` its sentence. ``confidence`` and ``mask`` are
    set in frames where every answer has them.

    Args:
        predictions: Answers on one video.

    Yields:
        Frame number, from 0, and its detections.

    Raises:
        MissingExtraError: If ``supervision`` is not installed.
        UsageError: If the predictions are about several videos.

    Example:
        >>> from fractions import Fraction
        >>> from stvg.types import Interval, Query, Tube, VideoMeta
        >>> video = VideoMeta("dog.mp4", 100, 50, Fraction(2), 2.0, 4)
        >>> tube = Tube(Interval(0.5, 1.5), [0.5, 1.0], [[0, 0, 9, 9], [1, 0, 9, 9]])
        >>> dog = Prediction(Query("the dog"), video, tube, "by_hand", "none")
        >>> [(frame, seen.xyxy.tolist()) for frame, seen in to_supervision(dog)]
        [(1, [[0.0, 0.0, 9.0, 9.0]]), (2, [[1.0, 0.0, 9.0, 9.0]])]
    """
    package = require("supervision", "perception", "to_supervision")
    listed = [predictions] if isinstance(predictions, Prediction) else list(predictions)
    objects = objects_of_predictions(listed).objects
    rows = [dict(zip(each.frames.tolist(), range(len(each.frames)), strict=True))
            for each in objects]  # fmt: skip
    for frame in sorted(set().union(*rows)):
        seen = [(each, row[frame]) for each, row in zip(objects, rows, strict=True) if frame in row]
        ids = np.array([each.id for each, _ in seen])
        scores = [each.scores[row] for each, row in seen if each.scores is not None]
        yield (
            frame,
            package.Detections(
                xyxy=np.stack([each.boxes[row] for each, row in seen]),
                mask=_masks(seen),
                confidence=np.array(scores) if len(scores) == len(seen) else None,
                class_id=ids - 1,
                tracker_id=ids,
                data={"class_name": np.array([each.name for each, _ in seen])},
            ),
        )


def _masks(seen: Sequence[tuple[ExportedObject, int]]) -> BoolArray | None:
    """The masks of the objects in a frame, (N, H, W) bool, or None where one is missing."""
    found = [each.masks[row] for each, row in seen if each.masks is not None]
    present = [mask for mask in found if mask is not None]
    return decode_masks(present) if len(present) == len(seen) else None
