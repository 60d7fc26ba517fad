"""From answers and tracks to what is drawn in which frame and said below it."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from stvg.geometry.masks import encode_masks
from stvg.types import Interval, Prediction, Query, Track, Tracks, Tube, VideoMeta
from stvg.video.draw import Color, color_of
from stvg.video.layers import (
    Layer,
    answer_layer,
    answer_row,
    track_layer,
    track_rows,
    without_flicker,
)

RED: Color = (255, 0, 0)


def clip(frames: int) -> VideoMeta:
    """A video with ten frames a second."""
    return VideoMeta("clip.mp4", 96, 64, Fraction(10), frames / 10, frames)


def answer(tube: Tube | None, **fields: Any) -> Prediction:
    """A prediction about a clip of ten frames."""
    return Prediction(Query("the dog"), clip(10), tube, "track_match", "tiny", **fields)


def test_boxes_are_looked_up_for_every_frame_of_the_interval() -> None:
    """Boxes at 0.3 s and 0.5 s in [0.2, 0.7): repeated outside them, half-way between them."""
    tube = Tube(Interval(0.2, 0.7), [0.3, 0.5], [[0, 0, 10, 10], [20, 0, 30, 10]])
    layer = answer_layer(answer(tube), clip(10), "dog", RED)
    lefts = layer.boxes[:, 0]
    assert np.isnan(lefts[[0, 1, 7, 8, 9]]).all()
    assert lefts[2:7].tolist() == pytest.approx([0, 0, 10, 20, 20])


def test_style_and_mask_belong_to_their_frames() -> None:
    rle = encode_masks(np.ones((1, 64, 96), np.bool_))[0]
    boxes = [[0, 0, 10, 10]] * 3
    tube = Tube(
        Interval(0.2, 0.7),
        [0.2, 0.3, 0.5],
        boxes,
        interpolated=[False, True, False],
        masks=(None, rle, rle),
    )
    layer = answer_layer(answer(tube), clip(10), "dog", RED)
    assert np.flatnonzero(layer.dashed).tolist() == [3, 4]  # frame 4 shows what frame 3 says
    assert sorted(layer.masks) == [3, 5]  # a mask is shown in its own frame only


def test_nothing_found_makes_a_layer_without_boxes() -> None:
    layer = answer_layer(answer(None, warnings=("no dog",)), clip(10), "dog", RED)
    assert np.isnan(layer.boxes).all()
    assert not layer.dashed.any()


def test_a_track_has_boxes_where_it_was_seen() -> None:
    track = Track(4, "dog", [2, 5], [[0, 0, 10, 10], [8, 0, 18, 10]], [0.5, 0.6])
    layer = track_layer(track, clip(10), "4 dog", RED)
    assert np.flatnonzero(np.isfinite(layer.boxes[:, 0])).tolist() == [2, 5]
    assert layer.boxes[5].tolist() == [8, 0, 18, 10]
    assert layer.masks == {}


@pytest.mark.parametrize(
    ("seen", "drawn"),
    [
        # One letter every 0.1 s; s: seen, i: filled in (interpolated), .: no box; drawn: S or D.
        ("ssssssssss", "SSSSSSSSSS"),
        ("iiiiiiiiii", "DDDDDDDDDD"),
        ("siisiisiis", "SSSSSSSSSS"),  # sampled three times a second: steady
        ("siiiiiiiis", "DDDDDDDDDD"),  # ends of a long gap would only flash
        ("sssiiiiiiiisss", "SSSDDDDDDDDSSS"),  # lost for 0.8 s: shown
        ("sssiiiiisss", "SSSSSSSSSSS"),  # lost for 0.5 s: not shown
        ("siiiiiiiiisiiiiiiiiis", "DDDDDDDDDDDDDDDDDDDDD"),  # sampled once a second
        (".ssss..iiiiiiii.", ".SSSS..DDDDDDDD."),
        ("ii", "DD"),  # nothing was seen at all: must not look seen
        ("....", "...."),
    ],
)
def test_dashes_do_not_flicker(seen: str, drawn: str) -> None:
    boxes = np.where(np.array(list(seen))[:, None] == ".", np.nan, np.ones((len(seen), 4)))
    dashed = np.array([letter == "i" for letter in seen])
    layer = Layer(RED, "dog", boxes, dashed, {})
    steady = without_flicker(layer, clip(len(seen))).dashed
    letters = ("." if s == "." else "D" if d else "S" for s, d in zip(seen, steady, strict=True))
    assert "".join(letters) == drawn


@pytest.mark.parametrize(
    ("fields", "facts"),
    [
        ({}, "0.2 s to 0.7 s · track_match"),
        ({"score": 0.834}, "0.2 s to 0.7 s · score 0.83 · track_match"),
        ({"score": 0.0}, "0.2 s to 0.7 s · score 0.00 · track_match"),
    ],
)
def test_facts_of_an_answer(fields: dict[str, Any], facts: str) -> None:
    tube = Tube(Interval(0.2, 0.7), [0.2], [[0, 0, 10, 10]])
    row = answer_row(answer(tube, **fields), RED, "1")
    assert (row.text, row.facts, row.note, row.badge) == ("the dog", facts, "", "1")
    assert row.intervals == (tube.interval,)


def test_the_reason_is_said_when_nothing_was_found() -> None:
    row = answer_row(answer(None, warnings=("no dog", "2 frames unreadable")), RED, "")
    assert (row.facts, row.note) == ("not found · track_match", "no dog; 2 frames unreadable")
    assert row.intervals == ()


@pytest.mark.parametrize(
    ("details", "cues"),
    [
        (None, ()),
        ({}, ()),
        ({"cues": {}}, ()),
        ({"cues": {"class": 1, "colour": 0.25}}, (("class", 1.0), ("colour", 0.25))),
        ({"cues": {"class": None, "colour": "high", "x": float("nan"), "y": 0.5}}, (("y", 0.5),)),
        ({"cues": [0.1]}, ()),
    ],
)
def test_cues_are_the_numbers_among_the_details(
    details: dict[str, Any] | None, cues: tuple[tuple[str, float], ...]
) -> None:
    assert answer_row(answer(None, warnings=("",), details=details), RED, "").cues == cues


def test_tracks_are_counted_and_their_times_shown() -> None:
    box = [[0, 0, 10, 10]]
    tracks = Tracks(
        clip(10),
        (
            Track(7, "dog", [0, 1, 4], box * 3, [1.0] * 3),
            Track(2, "cat", [9], box, [1.0]),
            Track(3, "dog", [5, 6], box * 2, [1.0] * 2),
        ),
    )
    rows = track_rows(tracks, clip(10))
    assert [row.text for row in rows] == ["3 tracks: dog (2), cat (1)", "", ""]
    assert [row.color for row in rows] == [color_of(number) for number in (2, 3, 7)]
    assert rows[2].intervals == (Interval(0.0, 0.2), Interval(0.4, 0.5))
    assert rows[0].intervals == (Interval(0.9, 1.0),)


@pytest.mark.parametrize(
    ("count", "rows", "text"),
    [(0, 1, "no tracks"), (1, 1, "1 track: dog (1)"), (40, 16, "40 tracks: dog (40)")],
)
def test_number_of_rows(count: int, rows: int, text: str) -> None:
    tracks = tuple(Track(i, "dog", [0], [[0, 0, 9, 9]], [1.0]) for i in range(count))
    made = track_rows(Tracks(clip(10), tracks), clip(10))
    assert (len(made), made[0].text) == (rows, text)
    assert ("longest 16" in made[0].facts) == (count > 16)
