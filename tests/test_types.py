"""The vocabulary: what is accepted, what is refused, and how frames and times translate."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from stvg.errors import UsageError
from stvg.types import Clip, Interval, Prediction, Query, Track, Tracks, Tube, VideoMeta

# Ten frames at uneven times: a pause of 0.5 s after frame 4.
UNEVEN = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.9, 1.0, 1.1, 1.2, 1.3])
META = VideoMeta("folder/clip.mp4", 100, 50, Fraction(10), 1.4, 10, UNEVEN)


@pytest.mark.parametrize(
    ("start_s", "end_s"), [(1.0, 0.5), (float("nan"), 1.0), (0.0, float("inf"))]
)
def test_bad_intervals(start_s: float, end_s: float) -> None:
    with pytest.raises(UsageError, match="interval"):
        Interval(start_s, end_s)


def test_interval_is_half_open() -> None:
    interval = Interval(0.1, 0.4)
    assert interval.mask(UNEVEN).tolist() == [False, True, True, True] + [False] * 6
    assert 0.1 in interval
    assert 0.4 not in interval
    assert Interval(1.0, 1.0).duration_s == 0


@pytest.mark.parametrize(
    ("time_s", "frame"),
    [
        (0.0, 0),
        (0.05, 0),  # on screen until the next one
        (0.1, 1),
        (0.6, 4),  # in the pause
        (0.89995, 5),  # within a tenth of a millisecond of the next
        (0.8998, 4),
        (-1.0, 0),  # before the first
        (99.0, 9),  # after the last
    ],
)
def test_frame_on_screen(time_s: float, frame: int) -> None:
    assert META.frame_at(time_s).tolist() == [frame]


def test_frame_ends_are_the_next_starts() -> None:
    assert META.frame_ends_s.tolist() == [*UNEVEN[1:], 1.4]


def test_span_of_frames() -> None:
    assert META.span_of(4, 5) == Interval(0.4, 0.9)  # the pause belongs to frame 4
    assert META.span_of(0, 10) == Interval(0.0, 1.4)
    for bad in [(3, 3), (-1, 2), (5, 11)]:
        with pytest.raises(UsageError, match="not a span"):
            META.span_of(*bad)


def test_without_frame_times_the_rate_is_constant() -> None:
    meta = VideoMeta("clip.mp4", 100, 50, Fraction(30000, 1001), 10 * 1001 / 30000, 10)
    assert meta.times_s[3] == pytest.approx(0.1001)
    assert meta.name == "clip.mp4"


@pytest.mark.parametrize(
    "fields",
    [{"width": 0}, {"height": -1}, {"fps": Fraction(0)}, {"frames": -1}],
)
def test_bad_meta(fields: dict[str, Any]) -> None:
    good = {"path": "x", "width": 4, "height": 4, "fps": Fraction(1), "duration_s": 1.0,
            "frames": 1}  # fmt: skip
    VideoMeta(**good)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="a video needs"):
        VideoMeta(**{**good, **fields})  # type: ignore[arg-type]


BOX = [0.0, 0.0, 10.0, 10.0]


@pytest.mark.parametrize(
    ("times_s", "boxes", "message"),
    [
        ([], np.zeros((0, 4)), "N >= 1"),
        ([0.0, 0.5], [BOX], "N >= 1 times"),  # one box short
        ([0.0], [[0, 0, 10]], "N >= 1 times"),  # three numbers
        ([0.0], ["box"], "expected boxes"),
        ([0.5, 0.5], [BOX, BOX], "increase"),
        ([0.5, 0.2], [BOX, BOX], "increase"),
        ([1.0], [BOX], "must lie in its interval"),  # the end is exclusive
        ([0.0], [[10, 0, 0, 10]], "x1 <= x2"),
        ([0.0], [[0, 0, np.nan, 10]], "finite"),
    ],
)
def test_bad_tubes(times_s: list[float], boxes: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Tube(Interval(0, 1), times_s, boxes)  # type: ignore[arg-type]


@pytest.mark.parametrize("field", ["scores", "interpolated"])
def test_columns_of_a_tube_have_its_length(field: str) -> None:
    with pytest.raises(UsageError, match=f"as many {field}"):
        Tube(Interval(0, 1), [0.0], [BOX], **{field: [1, 1]})  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="as many masks"):
        Tube(Interval(0, 1), [0.0], [BOX], masks=(None, None))  # type: ignore[arg-type]


def test_tube_between_and_outside_its_boxes() -> None:
    tube = Tube(Interval(1, 4), [1.5, 2.5], [[0, 0, 10, 10], [10, 0, 20, 10]])  # type: ignore[arg-type]
    boxes = tube.at([0.9, 1.0, 2.0, 3.9, 4.0])
    assert np.isnan(boxes[[0, 4]]).all()  # outside the interval
    assert boxes[1].tolist() == [0, 0, 10, 10]  # before the first box: repeated
    assert boxes[2].tolist() == [5, 0, 15, 10]  # half way
    assert boxes[3].tolist() == [10, 0, 20, 10]


def test_values_cannot_be_changed_from_outside() -> None:
    boxes = np.array([BOX])
    tube = Tube(Interval(0, 1), [0.0], boxes)  # type: ignore[arg-type]
    boxes[:] = 99
    assert tube.boxes[0].tolist() == BOX
    with pytest.raises(ValueError, match="read-only"):
        tube.boxes[0, 0] = 1


@pytest.mark.parametrize("text", ["", "   ", "\n\t"])
def test_empty_queries(text: str) -> None:
    with pytest.raises(UsageError, match="empty"):
        Query(text)


def test_query_spaces_are_settled() -> None:
    assert Query("  the \n dog ").text == "the dog"


def prediction(**fields: Any) -> Prediction:
    return Prediction(Query("x"), META, method="m", model="m", **{"tube": None, **fields})


def test_prediction_without_a_tube_says_why() -> None:
    assert prediction(warnings=("nothing there",)).is_empty
    with pytest.raises(UsageError, match="must say why"):
        prediction()


@pytest.mark.parametrize("box", [[-1, 0, 5, 5], [0, 0, 101, 5], [0, 0, 5, 50.1]])
def test_predicted_boxes_lie_in_the_frame(box: list[float]) -> None:
    prediction(tube=Tube(Interval(0, 1), [0.0], [[0, 0, 100, 50]]))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="inside the 100x50 frame"):
        prediction(tube=Tube(Interval(0, 1), [0.0], [box]))  # type: ignore[arg-type]


def test_timing_is_added_up() -> None:
    timed = prediction(warnings=("w",)).with_timing(decode=1.0).with_timing(total=2.0)
    assert timed.timing_s == {"decode": 1.0, "total": 2.0}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"frames": []}, "N >= 1"),
        ({"frames": [2, 2]}, "N >= 1"),
        ({"frames": [-1]}, "at least 0"),
        ({"id": -1}, "at least 0"),
        ({"boxes": [[5, 0, 0, 5]]}, "x1 <= x2"),
        ({"scores": [1.5]}, "in \\[0, 1\\]"),
        ({"masks": (None, None)}, "as many masks"),
    ],
)
def test_bad_tracks(fields: dict[str, Any], message: str) -> None:
    good = {"id": 1, "label": "dog", "frames": [3], "boxes": [BOX], "scores": [0.5]}
    Track(**good)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=message):
        Track(**{**good, **fields})


def test_tracks_of_one_video() -> None:
    track = Track(1, "dog", [9], [BOX], [0.5])  # type: ignore[arg-type]
    assert track.times_s(META).tolist() == [1.3]
    for bad in ([track, track], [Track(1, "dog", [10], [BOX], [0.5])]):  # type: ignore[arg-type]
        with pytest.raises(UsageError):
            Tracks(META, tuple(bad))


def test_clip_scale_turns_decoded_into_original_pixels() -> None:
    clip = Clip(META, np.zeros((2, 25, 25, 3), np.uint8), np.zeros(2), np.zeros(2, int))
    assert clip.size == (25, 25)
    assert clip.scale.tolist() == [4, 2, 4, 2]
    assert len(clip) == 2
