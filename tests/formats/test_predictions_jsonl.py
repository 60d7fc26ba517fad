"""Predictions JSONL: round trips, resuming after a kill at any byte, every kind of bad line."""

import errno
import json
import tracemalloc
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stvg.errors import FormatError, OutputError, UsageError
from stvg.formats.predictions_jsonl import (
    PredictionRecord,
    PredictionsWriter,
    read_predictions_jsonl,
    record_of,
)
from stvg.types import Interval, Prediction, Query, Tube, VideoMeta

MASK = {"size": [2, 2], "counts": "22"}
GOOD = {
    "id": "q1",
    "span_frames": [3, 5],
    "boxes": {"3": [0, 0, 9.5, 9], "4": [1, 0, 9, 9]},
    "answer": "the dog",
    "error": None,
}
FAILED = {"id": "q2", "span_frames": None, "boxes": {}, "answer": None, "error": "no such video"}
NO_FRAMES = np.zeros(0, np.int64)
NO_BOXES = np.zeros((0, 4))


def lines(*documents):
    """Documents as the text of a JSONL file."""
    return "".join(json.dumps(document) + "\n" for document in documents)


def read(path):
    return list(read_predictions_jsonl(path))


def assert_same(found, expected):
    """Equal in everything."""
    for name in ("id", "span_frames", "answer", "error", "masks"):
        assert getattr(found, name) == getattr(expected, name)
    np.testing.assert_array_equal(found.frames, expected.frames)
    np.testing.assert_array_equal(found.boxes, expected.boxes)


@st.composite
def records(draw, name):
    """Answers, failures, and queries for which nothing was found."""
    if draw(st.booleans()):
        error = draw(st.none() | st.text(max_size=8))
        return PredictionRecord(name, None, NO_FRAMES, NO_BOXES, draw(st.none() | st.text()), error)
    frames = sorted(draw(st.sets(st.integers(0, 10**8 - 1), max_size=4)))
    start = draw(st.integers(0, 99))
    corner = st.tuples(*[st.floats(-1e6, 1e6)] * 2)
    pair = st.tuples(corner, corner)
    corners = draw(st.lists(pair, min_size=len(frames), max_size=len(frames)))
    masks = draw(st.none() | st.just(dict.fromkeys(frames[:1], MASK)))
    boxes = np.sort(np.array(corners).reshape(-1, 2, 2), axis=1).reshape(-1, 4)
    span = (start, start + draw(st.integers(1, 99)))
    return PredictionRecord(name, span, frames, boxes, draw(st.none() | st.text()), masks=masks)


files = st.lists(st.text(min_size=1, max_size=8), max_size=4, unique=True).flatmap(
    lambda names: st.tuples(*[records(name) for name in names])
)


def test_the_example_is_understood(store):
    found, failed = read(store(lines(GOOD, FAILED)))
    assert (found.id, found.span_frames, found.answer) == ("q1", (3, 5), "the dog")
    assert found.frames.tolist() == [3, 4]
    assert found.boxes.tolist() == [[0, 0, 9.5, 9], [1, 0, 9, 9]]
    assert found.error is None
    assert found.masks is None
    assert (failed.span_frames, len(failed.frames), failed.error) == (None, 0, "no such video")


@given(files)
def test_what_is_written_is_read_back_exactly(tmp_path_factory, several):
    path = tmp_path_factory.mktemp("round") / "p.jsonl"
    with PredictionsWriter(path) as writer:
        for record in several:
            writer.write(record)
    found = read(path)
    assert len(found) == len(several)
    for one, expected in zip(found, several, strict=True):
        assert_same(one, expected)


@pytest.mark.parametrize(
    ("content", "ids"),
    [
        ("", []),  # empty file
        ("\n\n", []),  # blank lines only
        (lines(GOOD) + "\n" + lines(FAILED), ["q1", "q2"]),  # a blank line between
        (lines(GOOD)[:-1], ["q1"]),  # no line end after the last
        (lines(GOOD).replace("\n", "\r\n"), ["q1"]),  # written on Windows
        (b"\xef\xbb\xbf" + lines(GOOD).encode(), ["q1"]),  # and marked as UTF-8
        (lines({k: GOOD[k] for k in ("id", "span_frames", "boxes")}), ["q1"]),  # optional absent
    ],
)
def test_harmless_differences_are_read(store, content, ids):
    assert [record.id for record in read(store(content))] == ids


def test_boxes_are_ordered_by_frame_number_not_by_text(store):
    found = read(store(lines({**GOOD, "boxes": {"10": [0, 0, 1, 1], "9": [0, 0, 2, 2]}})))[0]
    assert found.frames.tolist() == [9, 10]
    assert found.boxes[:, 2].tolist() == [2, 1]


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("id",), ..., "field id: the field is missing"),
        (("id",), "", "field id: .*at least 1"),
        (("id",), 7, "field id: expected text, found 7"),
        (("boxes",), ..., "field boxes: the field is missing"),
        (
            ("span_frame",),
            [1, 2],
            r"field span_frame: expected no field .*did you mean span_frames",
        ),
        (("span_frames",), [5, 5], r"span_frames: expected .* first < end, found \[5, 5\]"),
        (("span_frames",), [5, 3], r"span_frames: expected .* found \[5, 3\]"),
        (("span_frames",), [3], "span_frames: expected at least 2 values, found 1"),
        (("span_frames",), [3.5, 5], r"span_frames\[0\]: expected a whole number, found 3.5"),
        (("span_frames",), [-1, 5], r"span_frames\[0\]: expected a number greater"),
        (("boxes", "4"), [1, 0, 9], r'boxes\["4"\]: expected at least 4 values, found 3'),
        (("boxes", "4"), [1, 0, 9, 9, 1], r'boxes\["4"\]: expected at most 4 values, found 5'),
        (("boxes", "4"), [9, 0, 1, 9], r'boxes\["4"\]: expected corners in order.*\[9.0, 0.0'),
        (("boxes", "4"), [1, 0, "9", 9], r'boxes\["4"\]\[2\]: expected a number, found "9"'),
        (("boxes", "4"), [1, 0, True, 9], r'boxes\["4"\]\[2\]: expected a number, found true'),
        (("boxes", "04"), [1, 0, 9, 9], r'boxes\["04"\]: expected a frame number as key'),
        (("boxes", " 4"), [1, 0, 9, 9], "expected a frame number as key"),
        (("boxes", "4_0"), [1, 0, 9, 9], "expected a frame number as key"),
        (("boxes", "٤"), [1, 0, 9, 9], "expected a frame number as key"),  # an Arabic four
        (("boxes",), [[1, 0, 9, 9]], "field boxes: expected an object"),
        (("error",), "failed", "field error: expected an error or an answer, found both"),
        (("answer",), ["a"], "field answer: expected text"),
        (("masks",), {"3": {"size": [2, 2], "counts": "21"}}, r'masks\["3"\]: .* found 3'),
        (("masks",), {"x": MASK}, r"masks.x: expected a frame number as key"),
        (("format",), "stvg.prediction/1", 'a document with a field "format"'),
    ],
)
def test_every_bad_field_is_named_with_its_line(store, changed, place, value, message):
    path = store(lines(FAILED) + lines(changed(GOOD, place, value)))
    with pytest.raises(FormatError, match=message) as caught:
        read(path)
    assert f"{path}, line 2, " in str(caught.value)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_numbers_that_are_none_are_refused(store, number):
    path = store(lines(GOOD).replace("9.5", number))
    with pytest.raises(FormatError, match=r'line 1, field boxes\["3"\]\[2\]: expected a finite'):
        read(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lines(GOOD)[:40], "line 1, column 40: the line is cut off"),  # stopped while writing
        (lines(GOOD)[:40] + "\n", "line 1, column 40: not a JSON object on one line"),
        (json.dumps(GOOD, indent=1), "line 1, column 1: not a JSON object"),  # a pretty document
        (lines(GOOD)[:-1] + lines(FAILED), "line 1, column 1.*trailing characters"),  # two on one
        ("[]\n", "line 1, expected an object"),
        ("null\n", "line 1, expected an object"),
        (b"\x00" * 20 + b"\n", "line 1, column 1: not a JSON object"),  # after a power cut
    ],
)
def test_what_is_not_an_object_on_a_line_is_refused(store, content, message):
    with pytest.raises(FormatError, match=message):
        read(store(content))


def test_a_query_answered_twice_is_refused(store):
    with pytest.raises(FormatError, match=r"line 3, field id: .* 'q1' again, which line 1 answers"):
        read(store(lines(GOOD, FAILED, GOOD)))


def test_lines_before_a_bad_one_are_given_first(store):
    stream = read_predictions_jsonl(store(lines(GOOD) + "{"))
    assert next(stream).id == "q1"
    with pytest.raises(FormatError, match="line 2"):
        next(stream)


def test_a_missing_file_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="there is no such file"):
        read(tmp_path / "missing.jsonl")


def test_memory_does_not_grow_with_the_file(tmp_path):
    path = tmp_path / "big.jsonl"
    boxes = {str(frame): [0.5, 0.5, 100.25, 200.125] for frame in range(300)}
    with path.open("w") as file:
        for number in range(300):
            file.write(json.dumps({**GOOD, "id": str(number), "boxes": boxes}) + "\n")
    tracemalloc.start()
    count = sum(len(record.frames) for record in read_predictions_jsonl(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 300 * 300
    assert peak < 0.2 * path.stat().st_size


def write_all(path, *documents, **options):
    """Write answers made from documents; returns the writer, closed."""
    with PredictionsWriter(path, **options) as writer:
        for document in documents:
            frames = [int(frame) for frame in document["boxes"]]
            span = document["span_frames"]
            writer.write(
                PredictionRecord(
                    document["id"],
                    None if span is None else tuple(span),
                    frames,
                    np.array(list(document["boxes"].values())).reshape(-1, 4),
                    document["answer"],
                    document["error"],
                )
            )
    return writer


def test_a_resumed_run_gives_the_same_file_after_a_kill_at_any_byte(tmp_path):
    """Equivalence: however much of the second line had been written, the result is the same."""
    whole = tmp_path / "whole.jsonl"
    write_all(whole, GOOD, FAILED)
    expected = whole.read_bytes()
    first = expected.index(b"\n") + 1
    for cut in range(first, len(expected) + 1):
        path = tmp_path / "killed.jsonl"
        path.write_bytes(expected[:cut])
        with PredictionsWriter(path, resume=True) as writer:
            left = [document for document in (GOOD, FAILED) if document["id"] not in writer.done]
        assert (writer.repaired is not None) == (first < cut < len(expected) - 1)
        write_all(path, *left, resume=True)
        assert path.read_bytes() == expected


def test_the_repair_says_what_was_removed(tmp_path):
    path = tmp_path / "killed.jsonl"
    path.write_text(lines(GOOD) + '{"id": "q2", "sp')
    with PredictionsWriter(path, resume=True) as writer:
        assert writer.done == {"q1"}
        assert "removed line 2" in writer.repaired
        assert "after 16 bytes" in writer.repaired


def test_resume_of_nothing_is_a_fresh_start(tmp_path):
    assert write_all(tmp_path / "new.jsonl", GOOD, resume=True).done == {"q1"}
    (tmp_path / "empty.jsonl").touch()
    assert write_all(tmp_path / "empty.jsonl", GOOD).done == {"q1"}  # holds nothing to lose


def test_a_file_with_answers_is_not_overwritten(tmp_path):
    path = tmp_path / "p.jsonl"
    write_all(path, GOOD)
    with pytest.raises(OutputError, match="holds answers already; resume"):
        PredictionsWriter(path)
    assert len(read(path)) == 1


@pytest.mark.parametrize(
    "content",
    [
        '{"id": "q1"}\n' + lines(FAILED),  # a wrong line, whole
        '{"id": "q1"\n' + lines(FAILED),  # a broken line that is not the last
        lines(FAILED) + '{"id": "q1"}',  # the last line is whole but wrong
    ],
)
def test_a_file_with_other_faults_is_not_touched(tmp_path, content):
    path = tmp_path / "p.jsonl"
    path.write_text(content)
    with pytest.raises(FormatError, match="line"):
        PredictionsWriter(path, resume=True)
    assert path.read_text() == content


def test_a_query_is_not_answered_twice(tmp_path):
    path = tmp_path / "p.jsonl"
    write_all(path, GOOD)
    with pytest.raises(UsageError, match="answers the query 'q1' already"):
        write_all(path, GOOD, resume=True)


def test_an_answer_is_in_the_file_before_the_writer_is_closed(tmp_path):
    writer = PredictionsWriter(tmp_path / "p.jsonl")
    writer.write(PredictionRecord("q1", None, NO_FRAMES, NO_BOXES))
    assert [record.id for record in read(tmp_path / "p.jsonl")] == ["q1"]
    writer.close()


class FullDisk:
    """A file that takes ten bytes more and then says that the disk is full."""

    def __init__(self, file):
        self.file, self.room = file, 10

    def write(self, data):
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.room = 0
        return self.file.write(data[:10])

    def __getattr__(self, name):
        return getattr(self.file, name)


def test_a_full_disk_leaves_the_answers_before(tmp_path):
    path = tmp_path / "p.jsonl"
    write_all(path, GOOD)
    with PredictionsWriter(path, resume=True) as writer:
        writer._file = FullDisk(writer._file)
        with pytest.raises(OutputError, match=r"No space left .* before 'q2' are safe"):
            writer.write(PredictionRecord("q2", None, NO_FRAMES, NO_BOXES))
        assert "q2" not in writer.done
    assert path.read_text() == lines_compact(GOOD)


def test_an_interrupted_write_leaves_no_half_line(tmp_path):
    class Interrupted(FullDisk):
        def write(self, data):
            self.file.write(data[:7])
            raise KeyboardInterrupt

    path = tmp_path / "p.jsonl"
    with PredictionsWriter(path) as writer:
        whole, writer._file = writer._file, Interrupted(writer._file)
        with pytest.raises(KeyboardInterrupt):
            writer.write(PredictionRecord("q1", None, NO_FRAMES, NO_BOXES))
        writer._file = whole
        writer.write(PredictionRecord("q2", None, NO_FRAMES, NO_BOXES))
    assert [record.id for record in read(path)] == ["q2"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_device_without_room_is_explained():
    with (
        PredictionsWriter("/dev/full") as writer,
        pytest.raises(OutputError, match="No space left"),
    ):
        writer.write(PredictionRecord("q1", None, NO_FRAMES, NO_BOXES))


def lines_compact(document):
    """A line as the writer lays it out: no blanks, floats as floats."""
    boxes = {frame: [float(v) for v in box] for frame, box in document["boxes"].items()}
    return json.dumps({**document, "boxes": boxes}, separators=(",", ":")) + "\n"


def test_short_writes_are_continued(tmp_path):
    class Halting(FullDisk):
        def write(self, data):
            return self.file.write(data[:7])

    with PredictionsWriter(tmp_path / "p.jsonl") as writer:
        writer._file = Halting(writer._file)
        writer.write(PredictionRecord("q1", (3, 4), [3], [[0, 0, 9, 9]]))
    assert read(tmp_path / "p.jsonl")[0].span_frames == (3, 4)


def test_the_folder_is_checked_before_the_work(tmp_path):
    with pytest.raises(OutputError, match="does not exist"):
        PredictionsWriter(tmp_path / "missing" / "p.jsonl")


def test_answers_in_any_script_and_with_broken_text_are_written(tmp_path):
    with PredictionsWriter(tmp_path / "p.jsonl") as writer:
        writer.write(PredictionRecord("東", None, NO_FRAMES, NO_BOXES, "line\nbreak \ud83d"))
    found = read(tmp_path / "p.jsonl")[0]
    assert (found.id, found.answer) == ("東", "line\nbreak \ufffd")


def test_a_broken_mask_is_not_written(tmp_path):
    broken = PredictionRecord("q", (3, 4), [3], [[0, 0, 1, 1]], masks={3: {"size": [2, 2]}})
    with PredictionsWriter(tmp_path / "p.jsonl") as writer, pytest.raises(UsageError, match="mask"):
        writer.write(broken)
    assert (tmp_path / "p.jsonl").read_bytes() == b""


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"frames": [4]}, "frame numbers"),  # two boxes, one frame
        ({"frames": [4, 3]}, "increase"),
        ({"span_frames": (5, 5)}, "first < end"),
        ({"boxes": [[0, 0, 1, 1], [1, 0, 0, 1]]}, r'boxes\["4"\]: expected corners'),
        ({"boxes": [[0, 0, 1, 1], [0, 0, float("nan"), 1]]}, r'boxes\["4"\]'),
        ({"error": "failed"}, "found both"),
    ],
)
def test_a_record_refuses_what_makes_no_sense(fields, message):
    good = {"id": "q", "span_frames": (3, 5), "frames": [3, 4], "boxes": [[0, 0, 1, 1]] * 2}
    with pytest.raises(UsageError, match=message):
        PredictionRecord(**{**good, **fields})


VIDEO = VideoMeta("dog.mp4", 100, 50, Fraction(2), 5.0, 10)


def prediction(tube, name="q1", **more):
    return Prediction(Query("the dog", id=name), VIDEO, tube, "by_hand", "none", **more)


def test_a_prediction_in_seconds_becomes_a_record_in_frames():
    boxes = [[0, 0, 4, 4], [1, 0, 5, 4]]
    tube = Tube(Interval(0.9, 2.5), [1.0, 2.0], boxes, masks=(None, MASK))
    record = record_of(prediction(tube, answer="there"))
    assert record.span_frames == (2, 5)  # shown at 1.0, 1.5 and 2.0 s
    assert record.frames.tolist() == [2, 4]
    assert record.boxes.tolist() == boxes
    assert record.masks == {4: MASK}
    assert (record.id, record.answer, record.error) == ("q1", "there", None)


def test_a_prediction_of_nothing_becomes_a_record_without_a_span():
    record = record_of(prediction(None, warnings=("no dog",), answer="?"))
    assert (record.span_frames, len(record.frames), record.answer) == (None, 0, "?")


@pytest.mark.parametrize(
    ("tube", "name", "message"),
    [
        (Tube(Interval(0, 1), [0], [[0, 0, 4, 4]]), None, "needs its id"),
        (Tube(Interval(0.1, 0.4), [0.2], [[0, 0, 4, 4]]), "q", "holds no frame"),
        (Tube(Interval(0, 1), [0.1, 0.2], [[0, 0, 4, 4]] * 2), "q", "increase"),  # on one frame
    ],
)
def test_a_prediction_that_has_no_frames_is_refused(tube, name, message):
    with pytest.raises(UsageError, match=message):
        record_of(prediction(tube, name))
