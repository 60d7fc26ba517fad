"""Objects with masks: detected now and then, carried through their shot by a segmentation model.

The front end of STVG-R1 (arXiv:2602.11730): the detector looks at every n-th frame; what it finds
there and no known object covers is a new object, which is carried forwards to the end of its shot
and backwards to its start. (The released code carries forwards only; the paper says both, and its
ablation shows a large loss without new looks.) Boxes are the extents of masks. Where two masks
overlap both keep their pixels, so that boxes do not shrink.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from stvg.geometry.boxes import nms
from stvg.geometry.masks import decode_masks, encode_masks, mask_boxes
from stvg.perception.appearance import describe_box
from stvg.perception.detect import Detections, Detector
from stvg.perception.rejoin import Look, link_shots
from stvg.perception.sam2 import Sam2
from stvg.progress import Stages, no_stages
from stvg.types import RLE, BoolArray, ByteArray, Correction, FloatArray, Track, Tracks, VideoMeta
from stvg.video import SamplingPlan, read_clip

SAME_IOU = 0.4
"""Overlap from which a new mask is a known object (the paper's)."""
PART = 0.6
"""Share of either mask that lies in the other from which only the larger is kept (the paper's)."""

_DOUBLE_IOU = 0.7  # of two boxes of one look, whatever their classes
_SURE = 0.5  # confidence below which an object is taken to be hidden


class Verdict(Enum):
    """What a mask of a new look is."""

    KNOWN = "known"
    PART = "part"
    REPLACES = "replaces"
    NEW = "new"


def judge(mask: BoolArray, known: BoolArray) -> tuple[Verdict, int | None]:
    """What a mask is, given those of the known objects in the same frame.

    Args:
        mask: The new one, (H, W).
        known: (K, H, W).

    Returns:
        ``KNOWN`` where it overlaps one by at least 0.4; else, where at least 0.6 of it or of a
        known one lies in the other, ``PART`` if the known one is at least as large and ``REPLACES``
        if it is smaller; else ``NEW``. And the row of the known one that it is about.

    Example:
        >>> row = np.arange(10)[None]
        >>> judge(row < 5, np.stack([row < 10]))[0], judge(row < 3, np.stack([row < 10]))[0]
        (<Verdict.KNOWN: 'known'>, <Verdict.PART: 'part'>)
    """
    if not len(known):
        return Verdict.NEW, None
    shared = (known & mask).sum(axis=(1, 2)).astype(np.float64)
    area, areas = float(mask.sum()), known.sum(axis=(1, 2)).astype(np.float64)
    iou = shared / np.maximum(area + areas - shared, 1)
    if iou.max() >= SAME_IOU:
        return Verdict.KNOWN, int(iou.argmax())
    inside = np.maximum(shared / max(area, 1), shared / np.maximum(areas, 1))
    row = int(inside.argmax())
    if inside[row] < PART:
        return Verdict.NEW, None
    return (Verdict.REPLACES if area > areas[row] else Verdict.PART), row


def segment_objects(
    meta: VideoMeta,
    detector: Detector,
    segmenter: str,
    every: int,
    *,
    words: Sequence[str] = (),
    cuts: Sequence[int] = (),
    start_score: float = 0.3,
    same_look: float = 0.8,
    threads: int = 0,
    stages: Stages = no_stages,
) -> Tracks:
    """Find the objects of a video with their masks.

    The frames of one shot are held in memory at the model's size (3 MB each at 1024 pixels).

    Args:
        meta: The video.
        detector: What looks at the frames.
        segmenter: Hub id or folder of a SAM 2 video model.
        every: Frames from one look of the detector to the next.
        words: What an open-vocabulary detector looks for.
        cuts: Frames with which a new shot begins.
        start_score: Confidence that a detection needs to become an object.
        same_look: Likeness of colours from which objects of two shots are one; 1 joins none.
        threads: Threads, 0 for all.
        stages: Told how far the work is.

    Returns:
        Objects with ids from 1 in the order in which they were found, a mask for every box; where
        a larger new mask took the place of a known object, a correction.

    Raises:
        VideoError: If the video cannot be read.
        MissingExtraError: If torch or transformers do not import.
        WeightsError: If the segmentation model cannot be loaded.
    """
    model = Sam2.load(segmenter, threads=threads)
    progress = stages("following masks")
    borders = [0, *cuts, meta.frames]
    shots: list[list[_Object]] = []
    for first, end in itertools.pairwise(borders):
        frames = _read(meta, range(first, end), (model.side, model.side), threads)
        looks = range(first, end, every)
        objects: list[_Object] = []
        for look, picture in zip(looks, _pictures(meta, looks, detector, threads), strict=True):
            found = _sure(detector.detect(picture[None], words)[0], start_score)
            if len(found):
                _add_new(objects, model, frames, look - first, picture, found, meta)
            progress(min(look + every, end), meta.frames)
        for each in objects:
            each.shift(first)
        shots.append([each for each in objects if each.masks])
    looks_of = [[Look(each.label, each.colours) for each in shot] for shot in shots]
    chains = [
        [shots[shot][row] for shot, row in chain] for chain in link_shots(looks_of, same_look)
    ]
    tracks = tuple(_to_track(number, parts) for number, parts in enumerate(chains, start=1))
    return Tracks(meta, tracks, _corrections(chains))


@dataclass(slots=True, eq=False)
class _Object:
    """An object of a shot: its mask and the model's confidence by frame, and what swallowed it."""

    label: str
    colours: FloatArray
    masks: dict[int, RLE] = field(default_factory=dict)
    scores: dict[int, float] = field(default_factory=dict)
    swallowed: list[tuple[int, _Object]] = field(default_factory=list)

    def shift(self, frames: int) -> None:
        """Count frames from the start of the video instead of the shot."""
        self.masks = {number + frames: mask for number, mask in self.masks.items()}
        self.scores = {number + frames: score for number, score in self.scores.items()}
        self.swallowed = [(number + frames, other) for number, other in self.swallowed]


def _add_new(
    objects: list[_Object], model: Sam2, frames: ByteArray, frame: int, picture: ByteArray,
    found: Detections, meta: VideoMeta,
) -> None:  # fmt: skip
    """Judge what a look found and follow what is new."""
    scale = np.array([model.side / picture.shape[1], model.side / picture.shape[0]] * 2)
    size = (meta.width, meta.height)
    masks, _ = model.masks_of(frames[frame], found.boxes * scale, size)
    fresh: list[int] = []
    swallowed: list[tuple[_Object, int]] = []
    for row in range(len(found)):
        there = [each for each in objects if frame in each.masks]
        known = [*decode_masks([each.masks[frame] for each in there]), *masks[fresh]]
        stack = np.array(known, bool).reshape(len(known), *masks.shape[1:])
        verdict, other = judge(masks[row], stack)
        if not masks[row].any() or verdict in (Verdict.KNOWN, Verdict.PART):
            continue
        if verdict is Verdict.REPLACES and other is not None:
            if other < len(there):
                del there[other].masks[frame]
                swallowed.append((there[other], row))
            else:
                gone = fresh.pop(other - len(there))
                swallowed = [(old, row if by == gone else by) for old, by in swallowed]
        fresh.append(row)
    if not fresh:
        return
    new = [_Object(found.labels[row], describe_box(picture, found.boxes[row])) for row in fresh]
    for old, row in swallowed:
        old.swallowed.append((frame, new[fresh.index(row)]))
    for number, carried, sure in model.follow(frames, frame, masks[fresh]):
        for each, rle, mask, score in zip(new, encode_masks(carried), carried, sure, strict=True):
            if mask.any() and (score >= _SURE or number == frame):
                each.masks[number], each.scores[number] = rle, float(score)
    objects += new


def _sure(found: Detections, start_score: float) -> Detections:
    """Detections from a confidence on, one of each thing, the surest first."""
    sure = found.keep(found.scores >= start_score)
    return sure.keep(nms(sure.boxes, sure.scores, _DOUBLE_IOU))


def _pictures(meta: VideoMeta, looks: Sequence[int], detector: Detector, threads: int) -> ByteArray:
    """The frames that the detector looks at, (T, H, W, 3) at its size."""
    plan = SamplingPlan(times_s=meta.times_s[list(looks)].tolist(), long_side=detector.long_side)
    return read_clip(meta, plan, threads=threads).frames


def _read(meta: VideoMeta, frames: range, size: tuple[int, int], threads: int) -> ByteArray:
    """Frames of a shot, (T, H, W, 3) at a size of width and height."""
    plan = SamplingPlan(times_s=meta.times_s[list(frames)].tolist(), fixed_size=size)
    return read_clip(meta, plan, threads=threads).frames


def _corrections(chains: Sequence[Sequence[_Object]]) -> tuple[Correction, ...]:
    """Which objects, numbered from 1 by their chains, were swallowed by which others."""
    number_of = {id(part): number for number, parts in enumerate(chains, 1) for part in parts}
    found = {
        Correction(frame, number, number_of[id(other)])
        for number, parts in enumerate(chains, start=1)
        for part in parts
        for frame, other in part.swallowed
        if number_of.get(id(other), number) != number
    }
    return tuple(sorted(found))


def _to_track(number: int, parts: Sequence[_Object]) -> Track:
    """An object of one shot or several as a track."""
    masks = {frame: mask for part in parts for frame, mask in part.masks.items()}
    scores = {frame: score for part in parts for frame, score in part.scores.items()}
    frames = sorted(masks)
    rles = tuple(masks[frame] for frame in frames)
    return Track(
        number, parts[0].label, np.array(frames), mask_boxes(rles),
        np.array([scores[frame] for frame in frames]), rles,
    )  # fmt: skip
