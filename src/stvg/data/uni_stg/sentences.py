"""Words for what a detector and a tracker saw: an object's name, what it does, a sentence on it.

A name is colour and class, ``the red ball``; for a person the colour of the upper half, ``the
person in red``. What it does is said of its way through the picture as a whole. A sentence is
written only where it fits one object of the video. All limits are ours.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from stvg.perception.appearance import COLOURS, PARTS
from stvg.types import FloatArray, SceneObject

from .rows import UnusableError

_COLOURED = 1 / 3  # share of the pixels from which an object has a colour
_MOVED = 0.15  # of the picture's side
_GREW = 1.5  # factor of the side of the box
_STILL = 0.04  # of the picture's side

_DIRECTIONS = (("moves to the left", "moves to the right"), ("moves up", "moves down"))


def name_of(item: SceneObject) -> str:
    """What to call an object.

    Example:
        >>> from stvg.types import Track
        >>> track = Track(1, "dog", [0], [[0, 0, 9, 9]], [0.9])
        >>> colours = np.zeros((3, 11))
        >>> colours[:, COLOURS.index("brown")] = 0.5
        >>> name_of(SceneObject(track, {"dog": 1.0}, colours))
        'the brown dog'
    """
    label = item.track.label
    part = "upper" if label == "person" else "whole"
    shares = item.colours[PARTS.index(part)]
    colour = COLOURS[int(shares.argmax())] if shares.max() >= _COLOURED else None
    if label in COLOURS or label == "teal":  # detectors that know colours and no kinds
        return f"the {label} thing"
    if colour is None:
        return f"the {label}"
    return f"the person in {colour}" if label == "person" else f"the {colour} {label}"


def motion_of(boxes: FloatArray, size: tuple[int, int]) -> str | None:
    """What an object does over all its boxes, or None where no word fits.

    Args:
        boxes: ``xyxy`` pixels, (N, 4), N >= 1.
        size: Width and height of the picture.

    Example:
        >>> motion_of(np.array([[0, 0, 10, 10], [50, 0, 60, 10]], float), (100, 100))
        'moves to the right'
    """
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2 / np.array(size)  # (N, 2), shares of the picture
    way = centres[-1] - centres[0]
    axis = int(np.abs(way).argmax())
    if abs(way[axis]) >= _MOVED:
        return _DIRECTIONS[axis][int(way[axis] > 0)]
    sides = np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(axis=1))
    if sides[-1] >= _GREW * sides[0]:
        return "comes closer"
    if sides[0] >= _GREW * sides[-1]:
        return "goes away"
    return "stays where it is" if np.ptp(centres, axis=0).max() <= _STILL else None


def template(name: str, motion: str | None, others: Sequence[tuple[str, str | None]]) -> str:
    """A sentence on one object that fits no other.

    Args:
        name: Of the object.
        motion: What it does.
        others: Names and motions of the other objects of the video.

    Raises:
        UnusableError: If every sentence fits another object too.

    Example:
        >>> template("the red ball", "moves up", [("the red ball", "moves down")])
        'the red ball moves up'
    """
    rivals = [other for called, other in others if called == name]
    if rivals and (motion is None or motion in rivals or None in rivals):
        raise UnusableError("sentence fits several objects")
    return name if motion is None else f"{name} {motion}"


def subject_in(caption: str, words: Sequence[str]) -> str | None:
    """The first of the words that a caption names; None where it names none.

    Example:
        >>> subject_in("A dog follows the person.", ("person", "dog"))
        'dog'
    """
    found = [
        (place.start(), word)
        for word in words
        if (place := re.search(rf"\b{re.escape(word)}\b", caption, re.IGNORECASE))
    ]
    return min(found)[1] if found else None
