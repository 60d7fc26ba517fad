"""Prediction JSON: the design example, round trips, every kind of bad file."""

import json
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stvg.errors import FormatError, OutputError, UsageError
from stvg.formats.prediction import (
    read_prediction,
    read_predictions,
    write_prediction,
    write_predictions,
)
from stvg.types import Interval, Prediction, Query, Tube, VideoMeta

VIDEO = {
    "path": "dog.mp4",
    "width": 100,
    "height": 50,
    "fps": "30000/1001",
    "duration_s": 0.5005,
    "frames": 15,
}
STEP_S = 1001 / 30000
GOOD = {
    "format": "stvg.prediction/1",
    "video": VIDEO,
    "query": "the dog",
    "start_s": 0.05,
    "end_s": 0.11,
    "score": 0.83,
    "boxes": [
        {"frame": 2, "time_s": 2 * STEP_S, "xyxy": [8.5, 3, 16, 24], "kind": "predicted"},
        {"frame": 3, "time_s": 3 * STEP_S, "xyxy": [9.5, 3, 17, 24], "kind": "interpolated"},
    ],
    "method": "track_match",
    "model": "yolox_nano",
    "answer": None,
    "timing_s": {"decode": 0.4, "model": 2.1, "total": 2.6},
    "warnings": [],
}
NOTHING = {**GOOD, "start_s": None, "end_s": None, "boxes": [], "warnings": ["no dog found"]}

MASK = {"size": [50, 100], "counts": "`h4h3"}  # 4,880 pixels outside, then 120 inside

texts = st.text(max_size=12)
sentences = texts.filter(lambda text: text.strip())
json_values = st.recursive(
    st.none() | st.integers(-9, 9) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def videos(draw):
    """Videos with a constant frame rate, or with the time of every frame."""
    frames = draw(st.integers(3, 12))
    gaps = draw(st.none() | st.lists(st.floats(0.001, 2), min_size=frames, max_size=frames))
    times_s = None if gaps is None else np.concatenate([[0.0], np.cumsum(gaps)[:-1]])
    fps = draw(st.fractions(1, 240, max_denominator=1001))
    duration_s = frames / float(fps) if gaps is None else float(np.sum(gaps))
    return VideoMeta(draw(texts), 100, 50, fps, duration_s, frames, times_s)


@st.composite
def predictions(draw):
    """Predictions with a box in every frame of their interval, or with none."""
    video = draw(videos())
    start = draw(st.integers(0, video.frames - 1))
    end = draw(st.integers(start + 1, video.frames))
    corner = st.tuples(st.floats(0, 100), st.floats(0, 50))
    corners = draw(st.lists(st.tuples(corner, corner), min_size=end - start, max_size=end - start))
    tube = Tube(
        video.span_of(start, end),
        video.times_s[start:end],
        np.sort(np.array(corners), axis=1).reshape(-1, 4),
        interpolated=draw(st.lists(st.booleans(), min_size=end - start, max_size=end - start)),
        masks=draw(st.none() | st.tuples(*[st.none() | st.just(MASK)] * (end - start))),
    )
    is_empty = draw(st.booleans())
    return Prediction(
        query=Query(draw(sentences)),
        video=video,
        tube=None if is_empty else tube,
        method=draw(texts),
        model=draw(texts),
        score=draw(st.none() | st.floats(0, 1)),
        answer=draw(st.none() | texts),
        timing_s=draw(st.dictionaries(texts, st.floats(0, 1e6), max_size=3)),
        warnings=tuple(draw(st.lists(texts, min_size=int(is_empty), max_size=2))),
        details=draw(st.none() | st.dictionaries(texts, json_values, max_size=2)),
    )


def assert_same(found, expected):
    """Equal in everything that the format holds."""
    for name in ("query", "video", "score", "answer", "method", "model", "warnings", "details"):
        assert getattr(found, name) == getattr(expected, name)
    assert dict(found.timing_s) == dict(expected.timing_s)
    assert (found.tube is None) == (expected.tube is None)
    if expected.tube is not None:
        assert found.tube.interval == expected.tube.interval
        masks = expected.tube.masks
        assert found.tube.masks == (masks if masks is not None and any(masks) else None)
        for name in ("times_s", "boxes", "interpolated"):
            np.testing.assert_array_equal(getattr(found.tube, name), getattr(expected.tube, name))


def simple(tube, video=None, **more):
    """A prediction of little else than a tube, in a video of 10 frames at 1 a second."""
    video = VideoMeta("dog.mp4", 100, 50, Fraction(1), 10.0, 10) if video is None else video
    return Prediction(Query("the dog"), video, tube, "by_hand", "none", **more)


def test_the_example_is_understood(store):
    found = read_prediction(store(GOOD))
    assert found.query.text == "the dog"
    assert found.video == VideoMeta("dog.mp4", 100, 50, Fraction(30000, 1001), 0.5005, 15)
    assert found.tube.interval == Interval(0.05, 0.11)
    assert found.tube.boxes.tolist() == [[8.5, 3, 16, 24], [9.5, 3, 17, 24]]
    assert found.tube.interpolated.tolist() == [False, True]
    assert (found.score, found.method, found.model) == (0.83, "track_match", "yolox_nano")
    assert found.timing_s == {"decode": 0.4, "model": 2.1, "total": 2.6}
    assert found.details is None


def test_the_example_is_written_as_it_was_read(store, tmp_path):
    for document in (GOOD, NOTHING, {**GOOD, "details": {"cues": [1, 2.5, "red"], "empty": {}}}):
        write_prediction(read_prediction(store(document)), tmp_path / "again.json")
        again = json.loads((tmp_path / "again.json").read_text())
        assert again == document
        assert list(again) == list(document)  # in the same order


def test_nothing_found_is_an_answer(store):
    found = read_prediction(store(NOTHING))
    assert found.is_empty
    assert found.warnings == ("no dog found",)


@given(predictions())
def test_what_is_written_is_read_back_exactly(tmp_path_factory, prediction):
    path = tmp_path_factory.mktemp("round") / "p.json"
    write_prediction(prediction, path)
    found = read_prediction(path)
    assert_same(found, prediction)
    write_prediction(found, path)  # the times of the frames survive, too
    assert_same(read_prediction(path), prediction)


@given(st.lists(predictions(), max_size=3))
def test_lists_are_read_back_in_order(tmp_path_factory, several):
    path = tmp_path_factory.mktemp("list") / "p.json"
    write_predictions(several, path)
    found = read_predictions(path)
    assert len(found) == len(several)
    for one, expected in zip(found, several, strict=True):
        assert_same(one, expected)


def test_one_prediction_may_stand_in_a_list_and_alone(store, tmp_path):
    assert len(read_predictions(store(GOOD))) == 1
    alone = {"format": "stvg.predictions/1", "predictions": [GOOD]}
    assert read_prediction(store(alone)).query.text == "the dog"


@pytest.mark.parametrize("count", [0, 2])
def test_not_exactly_one_prediction_is_said(store, count):
    path = store({"format": "stvg.predictions/1", "predictions": [GOOD] * count})
    with pytest.raises(FormatError, match=f"holds {count} predictions .*exactly one was expected"):
        read_prediction(path)


def test_sparse_boxes_are_filled_in_and_marked(tmp_path):
    tube = Tube(Interval(2, 5), [2, 4], [[0, 0, 4, 4], [8, 0, 12, 4]])
    write_prediction(simple(tube), tmp_path / "p.json")
    boxes = json.loads((tmp_path / "p.json").read_text())["boxes"]
    assert boxes == [
        {"frame": 2, "time_s": 2.0, "xyxy": [0.0, 0.0, 4.0, 4.0], "kind": "predicted"},
        {"frame": 3, "time_s": 3.0, "xyxy": [4.0, 0.0, 8.0, 4.0], "kind": "interpolated"},
        {"frame": 4, "time_s": 4.0, "xyxy": [8.0, 0.0, 12.0, 4.0], "kind": "predicted"},
    ]


def test_boxes_a_rounding_error_outside_are_cut_to_the_frame(tmp_path):
    tube = Tube(Interval(2, 3), [2], [[-5e-7, 0, 100 + 5e-7, 4]])
    write_prediction(simple(tube), tmp_path / "p.json")
    assert read_prediction(tmp_path / "p.json").tube.boxes.tolist() == [[0, 0, 100, 4]]


def test_frame_numbers_survive_a_variable_frame_rate(tmp_path):
    times_s = np.array([0, 0.1, 0.2, 1.0, 1.1, 1.2])  # a pause after the third frame
    video = VideoMeta("dog.mp4", 100, 50, Fraction(4), 1.5, 6, times_s)
    tube = Tube(Interval(1.0, 1.15), [1.0, 1.1], [[0, 0, 4, 4]] * 2)
    write_prediction(simple(tube, video), tmp_path / "p.json")
    found = read_prediction(tmp_path / "p.json")
    assert found.video.frame_at(found.tube.times_s).tolist() == [3, 4]


def test_text_that_is_not_unicode_is_written_with_replacement(tmp_path):
    tube = Tube(Interval(2, 3), [2], [[0, 0, 4, 4]])
    video = VideoMeta("caf\udce9.mp4", 100, 50, Fraction(1), 10.0, 10)  # a Latin-1 file name
    write_prediction(
        simple(tube, video, answer="\ud83d", warnings=("\ud83d",)), tmp_path / "p.json"
    )
    found = read_prediction(tmp_path / "p.json")
    assert (found.video.path, found.answer) == ("caf\ufffd.mp4", "\ufffd")


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("format",), "stvg.prediction/2", r"reads stvg.prediction/1 or stvg.predictions/1; upd"),
        (("format",), "stvg.tracks/1", "another kind: stvg.tracks/1, the tracks of one video"),
        (("format",), ..., 'no field "format"'),
        (("query",), ..., "field query: the field is missing"),
        (("boxes", 1, "kind"), ..., r"field boxes\[1\].kind: the field is missing"),
        (("querry",), "dog", r"field querry: expected no field .*\(did you mean query\?\)"),
        (("query",), " \n", "field query: expected a sentence"),
        (("video", "fps"), 29.97, "field video.fps: expected text, found 29.97"),
        (("video", "fps"), "29.97", 'expected a fraction above 0 such as "30000/1001"'),
        (("video", "fps"), "0/1", "expected a fraction above 0"),
        (("video", "fps"), "30/0", "expected a fraction above 0"),
        (("video", "fps"), "-30", "expected a fraction above 0"),
        (("video", "width"), 0, "field video.width: expected a number greater"),
        (("video", "frames"), 3, r"boxes\[1\].frame: expected a frame of the video, which has 3"),
        (("video", "frames"), 10**12, "field video.frames: expected a number less"),
        (("score",), 1.5, "field score: expected a number less than or equal to 1, found 1.5"),
        (("score",), "0.5", 'field score: expected a number, found "0.5"'),
        (("start_s",), None, "expected start_s, end_s and boxes together"),
        (("end_s",), 0.05, r"expected start_s < end_s .* found \[0.05, 0.05\)"),
        (("end_s",), 0.01, "expected start_s < end_s"),
        (("start_s",), -1, "field start_s: expected a number greater"),
        (("end_s",), 0.08, r"boxes\[1\].time_s: expected a time in the interval \[0.05, 0.08\)"),
        (("boxes",), [], "found .* and 0 boxes"),
        (("boxes", 0, "frame"), 4, r"field boxes\[1\].frame: expected 5, because every frame"),
        (("boxes", 1, "frame"), 2, r"field boxes\[1\].frame: expected 3"),
        (("boxes", 1, "frame"), -1, r"field boxes\[1\].frame: expected a number greater"),
        (("boxes", 1, "frame"), 3.0, r"field boxes\[1\].frame: expected a whole number, found 3.0"),
        (("boxes", 0, "frame"), 0, r"boxes\[0\].time_s: .* 0 for frame 0 and only for it"),
        (("start_s",), 0, r"field boxes\[0\].frame: expected 0, because frame 0 is shown at 0 s"),
        (("boxes", 1, "time_s"), 0.06, r"field boxes\[1\].time_s: expected a time after 0.0667"),
        (("boxes", 1, "xyxy"), [1, 2, 3], r"boxes\[1\].xyxy: expected at least 4 values, found 3"),
        (("boxes", 1, "xyxy"), [1, 2, 3, 4, 5], r"expected at most 4 values, found 5"),
        (("boxes", 1, "xyxy"), [3, 2, 1, 4], "corners in order, x1 <= x2 and y1 <= y2, found"),
        (("boxes", 1, "xyxy"), [1, 4, 3, 2], "corners in order"),
        (("boxes", 1, "xyxy"), [-1, 2, 3, 4], "expected a box inside the 100x50 frame, found"),
        (("boxes", 1, "xyxy"), [1, 2, 3, 50.1], "expected a box inside the 100x50 frame, found"),
        (("boxes", 1, "xyxy"), [1, 2, "3", 4], r'xyxy\[2\]: expected a number, found "3"'),
        (("boxes", 1, "xyxy"), [1, 2, None, 4], r"xyxy\[2\]: expected a number, found null"),
        (("boxes", 1, "xyxy"), {"x1": 1}, r"boxes\[1\].xyxy: expected a list"),
        (
            ("boxes", 1, "mask"),
            {**MASK, "size": [100, 50]},
            r"\[1\].mask.size: .* \[50, 100\], found",
        ),
        (("boxes", 1, "mask"), {**MASK, "counts": "`h4h2"}, r"\[1\].mask: the run lengths"),
        (("boxes", 1, "kind"), "seen", "expected 'predicted' or 'interpolated', found \"seen\""),
        (("timing_s",), {"total": -1}, "field timing_s.total: expected a number greater"),
        (("warnings",), "careful", "field warnings: expected a list"),
        (("details",), None, "field details: expected an object, found null"),
        (("details",), [1], "field details: expected an object"),
        (("answer",), 7, "field answer: expected text, found 7"),
    ],
)
def test_every_bad_field_is_named(store, changed, place, value, message):
    path = store(changed(GOOD, place, value))
    with pytest.raises(FormatError, match=message) as caught:
        read_prediction(path)
    assert str(path) in str(caught.value)


def test_a_bad_field_in_a_list_has_the_whole_path(store, changed):
    bad = changed(GOOD, ("boxes", 1, "frame"), 9)
    path = store({"format": "stvg.predictions/1", "predictions": [GOOD, bad]})
    with pytest.raises(FormatError, match=r"field predictions\[1\].boxes\[1\].frame: expected 3"):
        read_predictions(path)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_are_none_are_refused_with_line_and_column(store, number):
    text = json.dumps(GOOD).replace("8.5", "\n" + number)
    with pytest.raises(FormatError, match=r"line 2, column [12]: not a JSON document"):
        read_prediction(store(text))


def test_a_number_too_large_to_hold_is_refused(store):
    text = json.dumps(GOOD).replace("8.5", "1e999")
    with pytest.raises(FormatError, match=r"boxes\[0\].xyxy\[0\]: expected a finite number"):
        read_prediction(store(text))
    with pytest.raises(FormatError, match="field details: expected finite numbers"):
        read_prediction(
            store(json.dumps({**GOOD, "details": {"a": 0.5}}).replace("0.5}", "1e999}"))
        )


def test_nothing_found_needs_a_reason(store):
    with pytest.raises(FormatError, match="field warnings: expected the reason"):
        read_prediction(store({**NOTHING, "warnings": []}))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"score": 1.5}, "the prediction cannot be written, field score"),
        ({"details": {"a": float("nan")}}, "field details: expected finite numbers, found nan"),
        ({"details": {"a": {1, 2}}}, "field details: expected JSON values only, found set"),
        ({"timing_s": {"total": -1.0}}, "field timing_s.total"),
    ],
)
def test_what_no_reader_would_take_is_not_written(tmp_path, more, message):
    tube = Tube(Interval(2, 3), [2], [[0, 0, 4, 4]])
    with pytest.raises(UsageError, match=message):
        write_prediction(simple(tube, **more), tmp_path / "p.json")
    assert list(tmp_path.iterdir()) == []


def test_an_interval_without_a_frame_is_refused(tmp_path):
    tube = Tube(Interval(2.2, 2.8), [2.5], [[0, 0, 4, 4]])
    with pytest.raises(UsageError, match="no frame is first shown"):
        write_prediction(simple(tube), tmp_path / "p.json")


def test_a_missing_folder_is_an_output_error(tmp_path):
    tube = Tube(Interval(2, 3), [2], [[0, 0, 4, 4]])
    with pytest.raises(OutputError, match="does not exist"):
        write_prediction(simple(tube), tmp_path / "missing" / "p.json")
