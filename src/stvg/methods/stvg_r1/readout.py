"""From a number and an interval to a tube: the boxes of the object that carries the number.

Where the object is not seen its own boxes are carried on (``hold``): straight lines between two
sights, the nearest one before the first and after the last. ``authors`` is what the released code
of STVG-R1 does: the object that overlaps the last box of the right one best, or the largest of the
frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from stvg.geometry.boxes import box_area, box_iou
from stvg.types import FloatArray, Interval, Tube


@dataclass(frozen=True, slots=True, eq=False)
class ReadOut:
    """What a number and an interval mean.

    Attributes:
        tube: The boxes; None where no frame appears in the interval.
        repairs: What was done for frames in which the object is not seen, in words.
    """

    tube: Tube | None
    repairs: tuple[str, ...] = ()


def hold(
    marked: Mapping[int, Tube], number: int, interval: Interval, times_s: FloatArray
) -> ReadOut:
    """The object's own boxes.

    Args:
        marked: The objects by number, one box for each frame in which it is seen.
        number: One of them.
        interval: When, seconds.
        times_s: Times of all frames, (N,).
    """
    wanted = times_s[interval.mask(times_s)]
    if not len(wanted):
        return ReadOut(None)
    own = marked[number]
    seen = np.isin(wanted, own.times_s)
    tube = Tube(interval, wanted, own.at(wanted))
    missing = int((~seen).sum())
    if not missing:
        return ReadOut(tube)
    between = (wanted > own.times_s[0]) & (wanted < own.times_s[-1]) & ~seen
    told = []
    if between.any():
        told.append(f"object {number} is not seen in {int(between.sum())} frames: boxes between "
                    "its sights are on a straight line")  # fmt: skip
    if missing > between.sum():
        told.append(f"object {number} is not seen in {missing - int(between.sum())} frames at the "
                    "ends of the interval: its nearest box is held")  # fmt: skip
    return ReadOut(tube, tuple(told))


def as_authors(
    marked: Mapping[int, Tube], number: int, interval: Interval, times_s: FloatArray
) -> ReadOut:
    """The boxes that the released code reads out; arguments as :func:`hold`."""
    wanted = times_s[interval.mask(times_s)]
    if not len(wanted):
        return ReadOut(None)
    boxes, kept, taken = [], None, 0
    for time_s in wanted:
        here = _sights(marked, time_s)
        if number in here:
            kept = here[number]
            boxes.append(kept)
            continue
        taken += 1
        before = kept if kept is not None else _nearest(marked[number], time_s)
        boxes.append(_another(here, before))
    told = (f"object {number} is not seen in {taken} frames: boxes of others are taken",)
    return ReadOut(Tube(interval, wanted, np.array(boxes)), told if taken else ())


def _sights(marked: Mapping[int, Tube], time_s: float) -> dict[int, FloatArray]:
    """Boxes of the objects that are seen at a time."""
    found = {}
    for number, tube in marked.items():
        place = int(np.searchsorted(tube.times_s, time_s))
        if place < len(tube.times_s) and tube.times_s[place] == time_s:
            found[number] = tube.boxes[place]
    return found


def _nearest(tube: Tube, time_s: float) -> FloatArray:
    box: FloatArray = tube.boxes[int(np.abs(tube.times_s - time_s).argmin())]
    return box


def _another(here: Mapping[int, FloatArray], before: FloatArray) -> FloatArray:
    """The object of a frame that overlaps a box best, else the largest, else the box itself."""
    if not here:
        return before
    boxes = np.stack(list(here.values()))
    overlaps = box_iou(before[None], boxes)[0]
    best = overlaps.argmax() if overlaps.any() else box_area(boxes).argmax()
    found: FloatArray = boxes[int(best)]
    return found


READ_OUTS = {"hold": hold, "authors": as_authors}
"""By the value of the option ``repair``."""
