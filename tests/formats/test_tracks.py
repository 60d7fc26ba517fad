"""Tracks JSON and the types behind it: round trips, every kind of bad file."""

import json
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stvg.errors import FormatError, UsageError
from stvg.formats.tracks import read_tracks, write_tracks
from stvg.types import Correction, Track, Tracks, VideoMeta

SMALL = {"path": "dog.mp4", "width": 3, "height": 2, "fps": "2/1", "duration_s": 2.0, "frames": 4}
MASK = {"size": [2, 3], "counts": "24"}  # the middle and the right column
GOOD = {
    "format": "stvg.tracks/1",
    "video": SMALL,
    "tracks": [
        {
            "id": 1,
            "label": "dog",
            "boxes": {"0": [0, 0, 1, 2, 0.5], "2": [1, 0, 3, 2, 1]},
            "masks": {"2": MASK},
        },
        {"id": 7, "label": "cat", "boxes": {"3": [0, 0, 1, 1, 0]}},
    ],
}
META = VideoMeta("dog.mp4", 3, 2, Fraction(2), 2.0, 4)
BOX = [[0, 0, 1, 1]]


@st.composite
def track_sets(draw):
    """Some tracks with some boxes and masks in a video of 3 x 2 pixels and 4 frames."""
    tracks = []
    for number in draw(st.lists(st.integers(0, 99), max_size=3, unique=True)):
        frames = sorted(draw(st.sets(st.integers(0, 3), min_size=1)))
        count = len(frames)
        corner = st.tuples(st.floats(0, 3), st.floats(0, 2))
        corners = draw(st.lists(st.tuples(corner, corner), min_size=count, max_size=count))
        masks = draw(st.none() | st.tuples(*[st.none() | st.just(MASK)] * count))
        boxes = np.sort(np.array(corners), axis=1).reshape(-1, 4)
        scores = draw(st.lists(st.floats(0, 1), min_size=count, max_size=count))
        tracks.append(Track(number, draw(st.text(max_size=5)), frames, boxes, scores, masks))
    return Tracks(META, tuple(tracks))


@given(track_sets())
def test_what_is_written_is_read_back_exactly(tmp_path_factory, tracks):
    path = tmp_path_factory.mktemp("round") / "t.json"
    write_tracks(tracks, path)
    found = read_tracks(path)
    assert found.video == tracks.video
    assert len(found) == len(tracks)
    for one, expected in zip(found.tracks, tracks.tracks, strict=True):
        assert (one.id, one.label, one.masks) == (expected.id, expected.label, expected.masks)
        for name in ("frames", "boxes", "scores"):
            np.testing.assert_array_equal(getattr(one, name), getattr(expected, name))


def test_the_example_is_understood_and_written_as_it_was_read(store, tmp_path):
    found = read_tracks(store(GOOD))
    dog, cat = found.tracks
    assert (dog.id, dog.label, len(dog)) == (1, "dog", 2)
    assert dog.frames.tolist() == [0, 2]
    assert dog.boxes.tolist() == [[0, 0, 1, 2], [1, 0, 3, 2]]
    assert dog.scores.tolist() == [0.5, 1.0]
    assert dog.masks == (None, MASK)
    assert cat.masks is None
    assert dog.times_s(found.video).tolist() == [0.0, 1.0]  # frames 0 and 2 at 2 a second
    write_tracks(found, tmp_path / "again.json")
    assert json.loads((tmp_path / "again.json").read_text()) == GOOD


def test_a_video_without_tracks_is_an_answer(store):
    assert len(read_tracks(store({**GOOD, "tracks": []}))) == 0


def test_boxes_are_ordered_by_frame_number_not_by_text(store, changed):
    boxes = {"10": [0, 0, 1, 1, 1], "9": [0, 0, 2, 2, 1]}
    document = changed(GOOD, ("tracks",), [{"id": 1, "label": "dog", "boxes": boxes}])
    document["video"]["frames"] = 11
    track = read_tracks(store(document)).tracks[0]
    assert track.frames.tolist() == [9, 10]
    assert track.boxes[:, 2].tolist() == [2, 1]


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("format",), "stvg.prediction/1", "another kind: stvg.prediction/1, one prediction"),
        (("format",), "stvg.tracks/2", "reads stvg.tracks/1; update"),
        (("video",), ..., "field video: the field is missing"),
        (("tracks", 0, "id"), -1, r"tracks\[0\].id: expected a number greater"),
        (("tracks", 0, "id"), 7, r"tracks\[1\].id: expected a number of its own, found 7 again"),
        (("tracks", 0, "label"), None, r"tracks\[0\].label: expected text"),
        (("tracks", 0, "colour"), "red", "colour: expected no field of this name"),
        (("tracks", 0, "boxes"), {}, "expected at least 1 value, found 0"),
        (("tracks", 0, "boxes", "01"), [0, 0, 1, 1, 1], r'boxes\["01"\]: expected a frame number'),
        (("tracks", 0, "boxes", "-1"), [0, 0, 1, 1, 1], "expected a frame number as key"),
        (("tracks", 0, "boxes", "1.0"), [0, 0, 1, 1, 1], "expected a frame number as key"),
        (("tracks", 0, "boxes", "9" * 9), [0, 0, 1, 1, 1], "expected a frame number as key"),
        (("tracks", 0, "boxes", "4"), [0, 0, 1, 1, 1], r'\["4"\]: expected a frame of the video'),
        (
            ("tracks", 0, "boxes", "2"),
            [0, 0, 1, 1],
            r'\["2"\]: expected at least 5 values, found 4',
        ),
        (("tracks", 0, "boxes", "2"), [0] * 6, "expected at most 5 values, found 6"),
        (("tracks", 0, "boxes", "2"), [1, 0, 0, 1, 1], "corners in order"),
        (("tracks", 0, "boxes", "2"), [0, 0, 4, 1, 1], "expected a box inside the 3x2 frame"),
        (("tracks", 0, "boxes", "2"), [0, 0, 1, 1, 2], r'boxes\["2"\]\[4\]: expected a score'),
        (("tracks", 0, "masks", "1"), MASK, r'masks\["1"\]: .* found no box'),
        (("tracks", 0, "masks", "2"), {"size": [2, 3]}, r'masks\["2"\].counts: the field is miss'),
        (("tracks", 0, "masks", "2", "counts"), "23", r"2 x 3 = 6 pixels, found 5"),
        (("tracks", 0, "masks", "2", "size"), [3, 2], r"expected the size of the video, \[2, 3\]"),
        (("corrections",), [{"frame": 4, "old": 1, "new": 7}], r"corrections\[0\].frame: expected"),
        (("corrections",), [{"frame": 3, "old": 1, "new": 2}], r"\[0\].new: .* a track, found 2"),
        (("corrections",), [{"frame": 3, "old": 7, "new": 7}], r"\[0\]: .*two ids, found 7 twice"),
    ],
)
def test_every_bad_field_is_named(store, changed, place, value, message):
    with pytest.raises(FormatError, match=message):
        read_tracks(store(changed(GOOD, place, value)))


def test_a_broken_mask_is_not_written(tmp_path):
    track = Track(1, "dog", [0], BOX, [1], ({"size": [2, 3], "counts": "23"},))
    with pytest.raises(UsageError, match="the mask cannot be written"):
        write_tracks(Tracks(META, (track,)), tmp_path / "t.json")
    other_size = Track(1, "dog", [0], BOX, [1], ({"size": [1, 1], "counts": "1"},))
    with pytest.raises(UsageError, match="expected the size of the video"):
        write_tracks(Tracks(META, (other_size,)), tmp_path / "t.json")


def test_masks_with_counts_in_bytes_are_written_as_text(tmp_path):
    track = Track(1, "dog", [0], BOX, [1], ({"size": [2, 3], "counts": b"24"},))
    write_tracks(Tracks(META, (track,)), tmp_path / "t.json")
    assert read_tracks(tmp_path / "t.json").tracks[0].masks == (MASK,)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"frames": []}, "N >= 1 frames"),  # no box at all
        ({"frames": [0, 1]}, "N >= 1 frames"),  # two frames, one box
        ({"frames": [-1]}, "at least 0"),  # before the video
        ({"id": -1}, "at least 0"),
        ({"frames": [2, 1], "boxes": BOX * 2, "scores": [1, 1]}, "increase strictly"),
        ({"frames": [1, 1], "boxes": BOX * 2, "scores": [1, 1]}, "increase strictly"),
        ({"boxes": [[1, 0, 0, 1]]}, "x1 <= x2 .* in frame 0 of track 1"),  # reversed corners
        ({"boxes": [[0, 0, float("nan"), 1]]}, "must be finite"),
        ({"scores": [1.1]}, r"scores in \[0, 1\]"),
        ({"scores": [float("nan")]}, r"scores in \[0, 1\]"),
        ({"scores": [1, 1]}, "as many scores"),
        ({"masks": (None, None)}, "as many masks, found 2"),
    ],
)
def test_a_track_refuses_what_makes_no_sense(fields, message):
    good = {"id": 1, "label": "dog", "frames": [0], "boxes": BOX, "scores": [1.0]}
    assert len(Track(**good)) == 1
    with pytest.raises(UsageError, match=message):
        Track(**{**good, **fields})


def test_a_track_keeps_copies_that_cannot_be_changed():
    boxes = np.array(BOX, float)
    track = Track(1, "dog", [0], boxes, [1.0])
    boxes[0, 0] = 0.5
    assert track.boxes[0, 0] == 0
    with pytest.raises(ValueError, match="read-only"):
        track.boxes[0, 0] = 1


@pytest.mark.parametrize(
    ("tracks", "message"),
    [
        ([Track(1, "a", [0], BOX, [1]), Track(1, "b", [0], BOX, [1])], r"\[1\] more than once"),
        ([Track(1, "a", [4], BOX, [1])], r"box in frame 4, .* frames \[0, 4\)"),
        ([Track(1, "a", [0], [[0, 0, 3.1, 1]], [1])], "inside the 3x2 frame"),
        ([Track(1, "a", [0], [[-1, 0, 1, 1]], [1])], "inside the 3x2 frame"),
    ],
)
def test_tracks_must_belong_to_their_video(tracks, message):
    with pytest.raises(UsageError, match=message):
        Tracks(META, tracks)


def test_corrections_are_written_in_order_and_read_back(tmp_path):
    tracks = tuple(Track(number, "dog", [0], [[0, 0, 1, 1]], [1.0]) for number in (1, 4, 7))
    corrections = (Correction(3, 1, 7), Correction(2, 4, 1))
    write_tracks(Tracks(META, tracks, corrections), tmp_path / "t.json")
    document = json.loads((tmp_path / "t.json").read_text())
    first = {"frame": 2, "old": 4, "new": 1}
    assert document["corrections"] == [first, {"frame": 3, "old": 1, "new": 7}]
    assert read_tracks(tmp_path / "t.json").corrections == corrections[::-1]
    write_tracks(Tracks(META, tracks), tmp_path / "none.json")
    assert "corrections" not in json.loads((tmp_path / "none.json").read_text())


@pytest.mark.parametrize("wrong", [(4, 1, 7), (0, 1, 2), (0, 7, 7), (-1, 1, 7)])
def test_corrections_of_other_tracks_are_refused(wrong):
    tracks = tuple(Track(number, "dog", [0], [[0, 0, 1, 1]], [1.0]) for number in (1, 7))
    with pytest.raises(UsageError, match="a correction needs two ids"):
        Tracks(META, tracks, (Correction(*wrong),))
