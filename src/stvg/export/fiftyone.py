"""Answers as a FiftyOne video sample, to look through many of them in its app."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np

from stvg.errors import MissingExtraError
from stvg.export.objects import objects_of_predictions
from stvg.geometry.boxes import convert_boxes
from stvg.types import Prediction


def to_fiftyone(predictions: Prediction | Sequence[Prediction]) -> Any:
    """A ``fiftyone.Sample`` of the video with its answers.

    ``sample["when"]`` holds a ``TemporalDetection`` for each answer, whose ``support`` is the first
    and the last frame, counted from 1. ``sample.frames[n]["where"]`` holds a ``Detection`` for each
    answer in that frame: ``bounding_box`` is ``[left, top, width, height]`` as shares of the
    picture, ``index`` the number of the query from 1 on, ``label`` its sentence. Masks are left
    out, because FiftyOne keeps a mask as a grid that fills its box, and ours need not fill it.

    Args:
        predictions: Answers on one video.

    Raises:
        MissingExtraError: If ``fiftyone`` does not import.
        UsageError: If the predictions are about several videos.
    """
    package = _fiftyone()
    listed = [predictions] if isinstance(predictions, Prediction) else list(predictions)
    exported = objects_of_predictions(listed)
    video = exported.video
    sample = package.Sample(filepath=str(video.path))
    when, where = [], dict[int, list[Any]]()
    for each in exported.objects:
        score = None if each.scores is None else float(each.scores.mean())
        support = [int(each.frames[0]) + 1, int(each.frames[-1]) + 1]
        when.append(package.TemporalDetection(label=each.name, support=support, confidence=score))
        size = np.array([video.width, video.height] * 2)
        shares = (convert_boxes(each.boxes, "xyxy", "xywh") / size).tolist()
        for row, frame in enumerate(each.frames.tolist()):
            where.setdefault(frame + 1, []).append(
                package.Detection(
                    label=each.name,
                    bounding_box=shares[row],
                    confidence=None if each.scores is None else float(each.scores[row]),
                    index=each.id,
                )
            )
    sample["when"] = package.TemporalDetections(detections=when)
    for number, detections in where.items():
        sample.frames[number] = package.Frame(where=package.Detections(detections=detections))
    return sample


def _fiftyone() -> Any:
    """The package; it is no extra of ours, because it brings a database server."""
    try:
        return import_module("fiftyone")
    except Exception as error:  # besides ImportError whatever its own dependencies raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise MissingExtraError(
            f"to_fiftyone needs the package fiftyone, which does not import here ({reason}); "
            "install it with: pip install fiftyone"
        ) from error
