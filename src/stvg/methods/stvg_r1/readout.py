"""From a number and an interval to a tube: boxes and masks of the object that carries the number.

Where the object is not seen (``hold``):

1. the tracker may have noted that it goes on under another number: that one's boxes and masks;
2. between two sights its boxes are on a straight line;
3. before the first and after the last the nearest box is held.

``authors`` is what the released code of STVG-R1 does: the object that overlaps the last box of the
right one best, or the largest of the frame. What was done is told with the number of frames.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from stvg.geometry.boxes import box_area, box_iou
from stvg.geometry.masks import union_masks
from stvg.types import RLE, BoolArray, FloatArray, Interval, Track, Tracks, Tube, VideoMeta


@dataclass(frozen=True, slots=True, eq=False)
class ReadOut:
    """What a number and an interval mean.

    Attributes:
        tube: The boxes; None where no frame appears in the interval.
        repairs: What was done for frames in which the object is not seen, in words.
    """

    tube: Tube | None
    repairs: tuple[str, ...] = ()


def sights_of(tracks: Tracks, meta: VideoMeta) -> dict[int, Tube]:
    """Every numbered object as a tube over the whole video, a box for each frame that shows it.

    Args:
        tracks: The objects, with the tracker's corrections.
        meta: The video with its true frame times.

    Returns:
        Tubes by number. ``interpolated`` marks what a correction gave: sights of the object under
        another number, in frames in which its own is not seen.
    """
    times_s, whole = meta.times_s, Interval(0.0, meta.duration_s)
    tubes = {track.id: _as_tube(track, whole, times_s) for track in tracks.tracks}
    for each in reversed(tracks.corrections):  # the last first, so that they are followed on
        tubes[each.old] = _continued(tubes[each.old], tubes[each.new], float(times_s[each.frame]))
    return tubes


def hold(
    marked: Mapping[int, Tube], number: int, interval: Interval, times_s: FloatArray
) -> ReadOut:
    """The object's own boxes, under another number where the tracker noted it.

    Args:
        marked: The objects by number, as :func:`sights_of` gives them.
        number: One of them.
        interval: When, seconds.
        times_s: Times of all frames, (N,).
    """
    wanted = times_s[interval.mask(times_s)]
    if not len(wanted):
        return ReadOut(None)
    own = marked[number]
    rows, there = _rows(own, wanted)
    moved = there & _filled(own)[rows]
    between = ~there & (wanted > own.times_s[0]) & (wanted < own.times_s[-1])
    ends = ~there & ~between
    tube = Tube(
        interval, wanted, own.at(wanted), interpolated=~there | moved, masks=_masks(own, wanted)
    )
    steps = [
        (moved, f"object {number} goes on under another number in {{}}: its boxes are taken"),
        (between, f"object {number} is not seen in {{}}: boxes between its sights are on a "
                  "straight line"),
        (ends, f"object {number} is not seen in {{}} at the ends of the interval: its nearest box "
               "is held"),
    ]  # fmt: skip
    told = [text.format(_frames(int(where.sum()))) for where, text in steps if where.any()]
    return ReadOut(tube, tuple(told))


def as_authors(
    marked: Mapping[int, Tube], number: int, interval: Interval, times_s: FloatArray
) -> ReadOut:
    """The boxes that the released code reads out; arguments as :func:`hold`.

    It knows no corrections: give sights that were made without them.
    """
    wanted = times_s[interval.mask(times_s)]
    if not len(wanted):
        return ReadOut(None)
    boxes: list[FloatArray] = []
    masks: list[RLE | None] = []
    kept, others = None, 0
    for time_s in wanted:
        here = _sights(marked, time_s)
        chosen: int | None = number
        if number in here:
            kept = here[number]
        else:
            others += 1
            before = kept if kept is not None else _nearest(marked[number], time_s)
            chosen = _another(here, before)
        boxes.append(before if chosen is None else here[chosen])
        found = None if chosen is None else _masks(marked[chosen], np.array([time_s]))
        masks.append(None if found is None else found[0])
    told = (f"object {number} is not seen in {_frames(others)}: boxes of others are taken",)
    has_masks = any(each.masks is not None for each in marked.values())
    tube = Tube(interval, wanted, np.array(boxes), masks=tuple(masks) if has_masks else None)
    return ReadOut(tube, told if others else ())


READ_OUTS = {"hold": hold, "authors": as_authors}
"""By the value of the option ``repair``."""


def with_masks_of(tube: Tube, others: Sequence[Tube]) -> Tube:
    """The tube with the masks of further objects joined to its own; boxes stay.

    Args:
        tube: Boxes and masks at some times.
        others: Objects as :func:`sights_of` gives them.
    """
    found = [tube.masks, *(_masks(other, tube.times_s) for other in others)]
    columns = [masks for masks in found if masks is not None]
    if not columns:
        return tube
    united = []
    for row in zip(*columns, strict=True):
        there = [mask for mask in row if mask is not None]
        united.append(union_masks(there) if there else None)
    return replace(tube, masks=tuple(united))


def _as_tube(track: Track, whole: Interval, times_s: FloatArray) -> Tube:
    return Tube(whole, times_s[track.frames], track.boxes, masks=track.masks)


def _continued(old: Tube, new: Tube, start_s: float) -> Tube:
    """An object with its sights under another number from a time on, where it has none."""
    taken = (new.times_s >= start_s) & ~np.isin(new.times_s, old.times_s)
    times_s = np.concatenate([old.times_s, new.times_s[taken]])
    order = np.argsort(times_s)
    masks = None
    if old.masks is not None or new.masks is not None:
        both = [*(old.masks or (None,) * len(old)), *(new.masks or (None,) * len(new))]
        rows = np.concatenate([np.arange(len(old)), len(old) + np.flatnonzero(taken)])
        masks = tuple(both[row] for row in rows[order])
    filled = np.concatenate([_filled(old), np.ones(int(taken.sum()), np.bool_)])
    boxes = np.concatenate([old.boxes, new.boxes[taken]])
    return Tube(old.interval, times_s[order], boxes[order], interpolated=filled[order], masks=masks)


def _filled(tube: Tube) -> BoolArray:
    """Which boxes are not the object's own sights, (N,)."""
    return np.zeros(len(tube), np.bool_) if tube.interpolated is None else tube.interpolated


def _rows(tube: Tube, times_s: FloatArray) -> tuple[np.ndarray, BoolArray]:
    """Row of the tube at each time, and whether it has one there, (N,) each."""
    rows = np.minimum(np.searchsorted(tube.times_s, times_s), len(tube) - 1)
    return rows, tube.times_s[rows] == times_s


def _masks(tube: Tube, times_s: FloatArray) -> tuple[RLE | None, ...] | None:
    """The tube's masks at times, None where it has none; or None where it has no masks at all."""
    if tube.masks is None:
        return None
    rows, there = _rows(tube, times_s)
    return tuple(
        tube.masks[row] if is_there else None for row, is_there in zip(rows, there, strict=True)
    )


def _frames(count: int) -> str:
    return f"{count} frame{'s' * (count != 1)}"


def _sights(marked: Mapping[int, Tube], time_s: float) -> dict[int, FloatArray]:
    """Boxes of the objects that are seen at a time."""
    found = {}
    for number, tube in marked.items():
        (row,), (there,) = _rows(tube, np.array([time_s]))
        if there:
            found[number] = tube.boxes[row]
    return found


def _nearest(tube: Tube, time_s: float) -> FloatArray:
    box: FloatArray = tube.boxes[int(np.abs(tube.times_s - time_s).argmin())]
    return box


def _another(here: Mapping[int, FloatArray], before: FloatArray) -> int | None:
    """The object of a frame that overlaps a box best, else the largest; None in an empty frame."""
    if not here:
        return None
    boxes = np.stack(list(here.values()))
    overlaps = box_iou(before[None], boxes)[0]
    best = overlaps.argmax() if overlaps.any() else box_area(boxes).argmax()
    return list(here)[int(best)]
