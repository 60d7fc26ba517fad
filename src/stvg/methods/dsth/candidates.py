"""The tubes to choose from, at the frames that the model sees; and the chosen one as an answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stvg.geometry.boxes import clip_boxes, interpolate_boxes
from stvg.methods.track_match.cues import appearances, blink_of
from stvg.types import Clip, FloatArray, Interval, Scene, SceneObject, Tube, VideoMeta


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Objects of a video.

    Attributes:
        objects: P of them, the surest first; none where nothing was detected.
        boxes: ``xyxy`` pixels in each of F frames, (P, F, 4), NaN where an object is not seen; the
            whole picture, once, where there are no objects.
    """

    objects: tuple[SceneObject, ...]
    boxes: FloatArray

    @classmethod
    def of(cls, clip: Clip, most: int) -> Candidates:
        """Of a clip with its scene.

        Args:
            clip: F frames.
            most: Objects beyond this number are left out, the least sure ones.
        """
        scene, meta = clip.scene, clip.meta
        assert scene is not None, "the plan asks for a scene"
        ranked = sorted(scene.objects, key=lambda each: -float(each.track.scores.mean()))[:most]
        if not ranked:
            picture = np.array([0.0, 0.0, meta.width, meta.height])
            return cls((), np.tile(picture, (1, len(clip), 1)))
        boxes = [_boxes_at(each, scene, clip.times_s) for each in ranked]
        return cls(tuple(ranked), np.stack(boxes))


def _boxes_at(item: SceneObject, scene: Scene, times_s: FloatArray) -> FloatArray:
    """Boxes (F, 4) at some times, NaN where the object is out of sight for more than a blink."""
    seen, blink_s = item.track.times_s(scene.video), blink_of(scene)
    boxes = interpolate_boxes(seen, item.track.boxes, times_s)
    there = np.zeros(len(times_s), bool)
    for first, last in appearances(seen, blink_s):
        there |= (times_s >= seen[first] - 1e-6) & (times_s <= seen[last] + 1e-6)
    boxes[~there] = np.nan
    return boxes


def tube_of(item: SceneObject | None, interval: Interval, meta: VideoMeta) -> Tube:
    """An object in an interval, a box for every frame of the video in it.

    Between sightings boxes are interpolated, before and after them the nearest is carried.

    Args:
        item: The object; None for the whole picture.
        interval: With at least one frame in it.
        meta: The video.
    """
    frames = np.flatnonzero(interval.mask(meta.times_s))
    times = meta.times_s[frames]
    if item is None:
        picture = np.array([0.0, 0.0, meta.width, meta.height])
        return Tube(interval, times, np.tile(picture, (len(times), 1)))
    boxes = interpolate_boxes(item.track.times_s(meta), item.track.boxes, times)
    return Tube(
        interval,
        times,
        np.round(clip_boxes(boxes, meta.width, meta.height), 2),
        interpolated=~np.isin(frames, item.track.frames),
    )
