"""The front end of painted numbers: from a video to objects whose numbers stay with them.

What STVG-R1 (arXiv:2602.11730, "front end") does with a detector and a mask tracker, as one
function with two ways to go:

* with boxes alone (the default): the detector looks at the frames, a tracker follows
  (:mod:`stvg.perception.track`), lost pieces are joined again, also across cuts
  (:mod:`stvg.perception.rejoin`), and what lies between two sights of an object is filled in;
* with masks: the detector looks at every n-th frame and a segmentation model carries each new
  object forwards and backwards through its shot (:mod:`stvg.perception.segment`).

Numbers start at 1 in the order in which objects appear. The result is what ``stvg paint`` paints,
what an answer's number is looked up in, and what training labels are made from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from pydantic import Field

from stvg.errors import UsageError
from stvg.geometry.boxes import box_area, interpolate_boxes
from stvg.geometry.masks import mask_area
from stvg.perception.detect import Detector
from stvg.perception.merged import divide_merged
from stvg.perception.shots import find_cuts
from stvg.perception.track import TrackingConfig, perceive
from stvg.progress import Stages, no_stages
from stvg.types import FloatArray, Track, Tracks, VideoMeta
from stvg.video import probe

_AT_EDGE = 0.01  # of the picture's side: a box this close to an edge has left or is coming in


class NumberingConfig(TrackingConfig):
    """How objects are found, followed and numbered. Values are ours, but for the paper's 15."""

    shots: bool = Field(True, description="look for cuts between shots before following anything")
    fill_s: float = Field(
        1.0, ge=0, description="seconds between two sights of an object that are filled in"
    )
    hold_s: float = Field(
        0.15, ge=0, description="seconds for which a box stays before the first and after the last "
        "sight, unless it touches the picture's edge"
    )  # fmt: skip
    most: int = Field(
        30, ge=1, description="most objects that get a number: those that take up most of the video"
    )
    shortest_s: float = Field(
        0.2, ge=0, description="an object that is there for less than these seconds gets no number"
    )
    segmenter: str | None = Field(
        None, description="hub id or folder of a SAM 2 video model: follow masks instead of boxes"
    )
    redetect_frames: int = Field(
        15, ge=1, description="with a segmenter: the detector looks at every so many frames"
    )


def number_objects(
    video: str | Path | VideoMeta,
    detector: Detector,
    config: NumberingConfig | None = None,
    *,
    words: Sequence[str] = (),
    threads: int = 0,
    stages: Stages = no_stages,
) -> Tracks:
    """Find every object of a video and give each a number that stays with it.

    Args:
        video: Path or meta data.
        detector: What looks at the frames.
        config: How; default :class:`NumberingConfig`.
        words: What an open-vocabulary detector looks for.
        threads: Decoder threads, 0 for the decoder's choice.
        stages: Told how far each stage of the work is.

    Returns:
        Objects with ids 1, 2, ... in the order of their first frames, possibly none. A box that
        was filled in has score 0.

    Raises:
        VideoError: If the video cannot be read.
        MissingExtraError: If a library does not import.
        WeightsError: If the segmentation model cannot be loaded.
    """
    config = config or NumberingConfig()
    meta = video if isinstance(video, VideoMeta) else probe(video)
    cuts = find_cuts(meta, threads=threads) if config.shots else []
    if config.segmenter is not None:
        from stvg.perception.segment import segment_objects

        found = segment_objects(
            meta, detector, config.segmenter, config.redetect_frames, words=words, cuts=cuts,
            start_score=config.start_score, same_look=config.same_look, threads=threads,
            stages=stages,
        )  # fmt: skip
    else:
        scene = perceive(
            meta, detector, config, words=words, cuts=cuts, threads=threads,
            progress=stages("finding objects"),
        )  # fmt: skip
        borders = [0, *cuts, meta.frames]
        told_apart = divide_merged(scene.tracks.tracks, meta, scene.frames_seen, borders)
        found = Tracks(meta, tuple(fill_in(track, meta, config, borders) for track in told_apart))
    return keep_most(found, config.most, config.shortest_s)


def fill_in(
    track: Track, meta: VideoMeta, config: NumberingConfig, borders: Sequence[int] = ()
) -> Track:
    """A track without its short absences.

    Args:
        track: Boxes in the frames that were looked at.
        meta: The video.
        config: ``fill_s`` and ``hold_s``.
        borders: Frames with which a shot begins, with 0 and the number of frames; nothing is
            filled in across them.

    Returns:
        The same object with boxes in between, linear in time, score 0.
    """
    borders = borders or [0, meta.frames]
    times_s = meta.times_s
    shot = np.searchsorted(borders, track.frames, side="right")
    gaps_s = np.diff(times_s[track.frames])
    bridged = (gaps_s <= config.fill_s) & (np.diff(shot) == 0)
    wanted = [np.arange(a, b) for a, b in zip(track.frames, track.frames[1:], strict=False)]
    frames = [span if whole else span[:1] for span, whole in zip(wanted, bridged, strict=True)]
    before = _continued(track, 0, borders[shot[0] - 1] - 1, meta, config.hold_s)
    after = _continued(track, -1, borders[shot[-1]], meta, config.hold_s)
    last = int(track.frames[-1])
    filled = _with_frames(track, np.concatenate([*frames, [last]]).astype(np.int64), times_s)
    return _with_ends(filled, before, after)


def _continued(
    track: Track, end: int, border: int, meta: VideoMeta, hold_s: float
) -> list[tuple[int, FloatArray]]:
    """What follows an end of a track towards a border: frames and boxes, the nearest first.

    A box stays where it is; one that touches the picture's edge goes on as it went, until nothing
    of it is left.
    """
    frame, box = int(track.frames[end]), track.boxes[end]
    next_to = 1 if end == 0 else -2
    edge = np.array([meta.width, meta.height] * 2, np.float64)
    margin = _AT_EDGE * edge
    speed = np.zeros(4)
    if (box < margin).any() or (box > edge - margin).any():
        if len(track) < 2:
            return []
        elapsed = meta.times_s[track.frames[next_to]] - meta.times_s[frame]
        speed = (track.boxes[next_to] - box) / elapsed
    found = []
    for near in range(frame + (1 if border > frame else -1), border, 1 if border > frame else -1):
        away_s = meta.times_s[near] - meta.times_s[frame]
        there = np.clip(box + speed * away_s, 0, edge)
        if abs(away_s) > hold_s + 1e-6 or (there[2:] - there[:2] < 1).any():
            break
        found.append((near, there))
    return found


def _with_frames(track: Track, frames: np.ndarray, times_s: FloatArray) -> Track:
    """The track with boxes in these frames, those it had as they were."""
    own = np.isin(frames, track.frames)
    boxes = interpolate_boxes(times_s[track.frames], track.boxes, times_s[frames])
    boxes[own] = track.boxes
    scores = np.zeros(len(frames))
    scores[own] = track.scores
    masks = None
    if track.masks is not None:
        seen = iter(track.masks)
        masks = tuple(next(seen) if is_own else None for is_own in own)
    return replace(track, frames=frames, boxes=boxes, scores=scores, masks=masks)


def _with_ends(
    track: Track, before: list[tuple[int, FloatArray]], after: list[tuple[int, FloatArray]]
) -> Track:
    """The track with further boxes of score 0 before (nearest first) and after it."""
    parts = [*reversed(before), *after]
    if not parts:
        return track
    split, blank = len(before), (None,) * len(parts)
    frames, boxes = [n for n, _ in parts], np.stack([box for _, box in parts])
    return replace(
        track,
        frames=np.concatenate([frames[:split], track.frames, frames[split:]]).astype(np.int64),
        boxes=np.concatenate([boxes[:split], track.boxes, boxes[split:]]),
        scores=np.concatenate([np.zeros(split), track.scores, np.zeros(len(after))]),
        masks=None if track.masks is None else blank[:split] + track.masks + blank[split:],
    )


def keep_most(tracks: Tracks, most: int, shortest_s: float = 0.0) -> Tracks:
    """The objects that take up most of a video, numbered from 1 by first frame.

    Args:
        tracks: The objects.
        most: How many are kept at most, by the sum of the areas of their boxes.
        shortest_s: Those that are there for less than these seconds are dropped, but never because
            the video itself is shorter.
    """
    video = tracks.video
    shortest_s = min(shortest_s, video.duration_s) - 1e-6
    ends_s = video.frame_ends_s
    lasting = [
        track
        for track in tracks.tracks
        if ends_s[track.frames[-1]] - video.times_s[track.frames[0]] >= shortest_s
    ]
    ranked = sorted(lasting, key=lambda track: (-box_area(track.boxes).sum(), track.id))
    kept = sorted(ranked[:most], key=lambda track: (int(track.frames[0]), track.id))
    number_of = {track.id: number for number, track in enumerate(kept, start=1)}
    corrections = tuple(
        replace(each, old=number_of[each.old], new=number_of[each.new])
        for each in tracks.corrections
        if {each.old, each.new} <= number_of.keys()
    )
    renumbered = tuple(replace(track, id=number_of[track.id]) for track in kept)
    return Tracks(tracks.video, renumbered, corrections)


def without_small(tracks: Tracks, share: float) -> Tracks:
    """Tracks without what is small beside the largest object of its class in the same frame.

    The paper's filter (a third) for what is painted; the number of an answer is looked up in the
    unfiltered tracks. It clears a crowd behind the actors, and removes the target itself where
    somebody stands close to the camera.

    Args:
        tracks: The objects.
        share: Of the area of the largest in the frame (of its mask, else of its box) below which
            an object is dropped from that frame, in [0, 1]; 0 keeps all.

    Raises:
        UsageError: If the share is out of range.
    """
    if not 0 <= share <= 1:
        raise UsageError(f"expected a share in [0, 1] for small objects, found {share}")
    areas = {track.id: _areas(track) for track in tracks.tracks}
    largest: dict[tuple[str, int], float] = {}
    for track in tracks.tracks:
        for frame, area in zip(track.frames.tolist(), areas[track.id], strict=True):
            key = (track.label, frame)
            largest[key] = max(largest.get(key, 0.0), float(area))
    kept = []
    for track in tracks.tracks:
        most = np.array([largest[track.label, frame] for frame in track.frames.tolist()])
        rows = np.flatnonzero(areas[track.id] >= share * most)
        if len(rows):
            masks = None if track.masks is None else tuple(track.masks[row] for row in rows)
            kept.append(
                replace(
                    track, frames=track.frames[rows], boxes=track.boxes[rows],
                    scores=track.scores[rows], masks=masks,
                )
            )  # fmt: skip
    return Tracks(tracks.video, tuple(kept))  # for painting, which asks for no corrections


def _areas(track: Track) -> FloatArray:
    """Pixels of an object in each of its frames, (N,): of its mask where there is one."""
    areas = box_area(track.boxes)
    for row, mask in enumerate(track.masks or ()):
        if mask is not None:
            areas[row] = mask_area([mask])[0]
    return areas
