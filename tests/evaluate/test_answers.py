"""Reading answers: the quick way equals the thorough one, faults are noted, errors name a line."""

import gzip
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stvg.errors import FormatError, UsageError
from stvg.evaluate.answers import REVERSED_CORNERS, REVERSED_SPAN, filled, held, read_answers
from stvg.formats.box_text import take_boxes
from stvg.formats.predictions_jsonl import PredictionRecord, PredictionsWriter, parse_answer_line
from tests.evaluate.helpers import tube_line, write_lines

NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**6), 10**6)
FRAMES = st.dictionaries(
    st.integers(0, 10**8 - 1).map(str), st.lists(NUMBERS, min_size=4, max_size=4), max_size=6
)


@given(FRAMES, st.sampled_from([(",", ":"), (", ", ": "), (" , ", " : ")]))
def test_the_quick_way_reads_what_the_thorough_way_reads(boxes, separators):
    boxes = dict(sorted(boxes.items(), key=lambda item: int(item[0])))
    document = {"id": "q", "answer": 'says "boxes": {', "boxes": boxes, "error": None}
    line = json.dumps(document, separators=separators).encode()
    taken = take_boxes(line)
    assert taken is not None
    rest, frames, found = taken
    assert json.loads(rest) == {**document, "boxes": {}}
    thorough = parse_answer_line(line, "a test").boxes
    assert frames.tolist() == [int(frame) for frame in thorough]
    np.testing.assert_array_equal(found, np.array(list(thorough.values())).reshape(-1, 4))


@pytest.mark.parametrize(
    "boxes",
    [
        '{"1": [1, 2, 3]}',  # three numbers
        '{"1": [1, 2, 3, 4, 5]}',  # five
        '{"1": [1, 2, 3, 4], "1": [1, 2, 3, 4]}',  # a frame twice
        '{"01": [1, 2, 3, 4]}',  # no frame number
        '{"1.0": [1, 2, 3, 4]}',
        '{"1e3": [1, 2, 3, 4]}',
        '{"-1": [1, 2, 3, 4]}',
        '{"1": [1, 2, 3, 1e999]}',  # infinite
        '{"1": [1, 2, 3, 4 5]}',  # no JSON
        '{"1": [1, , 3, 4]}',
        '{"1": ["1", 2, 3, 4]}',  # text
        '{"1": [1, 2, 3, NaN]}',
        '{"1": [1, 2, 3, null]}',
        '[[1, 2, 3, 4]]',
    ],
)  # fmt: skip
def test_the_quick_way_leaves_everything_unusual_to_the_thorough_one(boxes):
    assert take_boxes(f'{{"id": "q", "boxes": {boxes}}}'.encode()) is None


def test_frames_out_of_order_are_put_in_order():
    taken = take_boxes(b'{"boxes": {"10": [0, 0, 2, 2], "9": [0, 0, 1, 1]}}')  # as text is sorted
    assert taken[1].tolist() == [9, 10]
    assert taken[2][:, 2].tolist() == [1, 2]
    line = {"id": "q", "span_frames": [1, 3], "boxes": {"2": [0, 0, 2, 2], "1": [0, 0, 1, 1]}}
    (answer,) = read_answers([line])
    assert answer.frames.tolist() == [1, 2]
    assert answer.boxes[:, 2].tolist() == [1, 2]


def test_faults_are_noted_and_nothing_is_repaired():
    line = {"id": "q", "span_frames": [9, 5], "boxes": {"5": [9, 0, 1, 9], "6": [0, 0, 1, 1]}}
    (answer,) = read_answers([line])
    assert answer.span_frames == (9, 5)
    assert answer.boxes[0].tolist() == [9, 0, 1, 9]
    assert [(name, count) for name, _, count in answer.faults] == [
        (REVERSED_SPAN, 1),
        (REVERSED_CORNERS, 1),
    ]


def test_every_source_gives_the_same(tmp_path):
    record = PredictionRecord("q", (10, 12), [10, 11], [[0, 0, 9, 9], [1, 0, 9, 9]])
    path = tmp_path / "p.jsonl"
    with PredictionsWriter(path) as writer:
        writer.write(record)
    sources = [path, str(path), [record], [json.loads(path.read_text())], read_answers(path)]
    for source in sources:
        (answer,) = read_answers(source)
        assert answer.span_frames == (10, 12)
        np.testing.assert_array_equal(answer.boxes, record.boxes)


def test_answers_of_all_kinds_survive_writing(tmp_path):
    nothing = (np.zeros(0, np.int64), np.zeros((0, 4)))
    record = PredictionRecord(
        "q",
        None,
        *nothing,
        span_s=(1.0, 2.5),
        windows=np.array([[0.0, 2.0, 0.5]]),
        saliency=np.array([0.1, -0.2]),
    )
    path = tmp_path / "p.jsonl"
    with PredictionsWriter(path) as writer:
        writer.write(record)
    (answer,) = read_answers(path)
    assert answer.span_s == (1.0, 2.5)
    assert answer.windows.tolist() == [[0.0, 2.0, 0.5]]
    assert answer.saliency.tolist() == [0.1, -0.2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"id": "a"}', "line 1: expected an answer, found none of"),
        ('{"span_s": [1, 2]}', "line 1, field id: the field is missing"),
        ('{"id": "a", "span_s": [1, 2, 3]}', "field span_s: expected at most 2 values"),
        ('{"id": "a", "windows": [[1, 2]]}', r"field windows\[0\]: expected at least 3 values"),
        ('{"id": "a", "saliency": ["x"]}', r"field saliency\[0\]: expected a number"),
        ('{"id": "a", "span_s": [1, 2], "error": "no"}', "an error or an answer, found both"),
        ('{"id": "a", "spam_s": [1, 2]}', "field spam_s: expected no field"),
        ('{"id": "a", "boxes": {"7": [0, 0, 1, 1], "7": [0, 0, 2, 2]}}', 'found "7" twice'),
        ('{"id": "a", "id": "b", "boxes": {"7": [0, 0, 1, 1]}}', 'found "id" twice'),
        ('{"id": "a", "span_s": [1, 2], "span_s": [3, 4]}', 'found "span_s" twice'),
    ],
)
def test_lines_that_cannot_be_understood(tmp_path, text, message):
    path = tmp_path / "p.jsonl"
    path.write_text(text + "\n")
    with pytest.raises(FormatError, match=message) as caught:
        list(read_answers(path))
    assert str(path) in str(caught.value)


def test_a_compressed_file_is_named_as_such(tmp_path):
    path = tmp_path / "p.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"id": "a", "span_s": [1, 2]}\n'))
    with pytest.raises(FormatError, match="compressed with gzip; unpack it"):
        list(read_answers(path))


def test_an_id_answered_twice_names_both_lines(tmp_path):
    path = write_lines(tmp_path / "p.jsonl", [tube_line("a"), tube_line("b"), tube_line("a")])
    with pytest.raises(FormatError, match=r"line 3, field id: .* 'a' again, which .*line 1"):
        list(read_answers(path))


def test_what_is_no_answer_is_refused():
    with pytest.raises(UsageError, match="found int 3"):
        list(read_answers([3]))
    with pytest.raises(UsageError, match="JSON values only"):
        list(read_answers([{"id": "a", "span_s": {1, 2}}]))


def test_filling():
    line = {"id": "q", "span_frames": [0, 6], "boxes": {"1": [0, 0, 4, 4], "3": [4, 0, 8, 4]}}
    (answer,) = read_answers([line])
    assert filled(answer).frames.tolist() == [1, 2, 3]
    assert filled(answer).boxes[1].tolist() == [2, 0, 6, 4]
    assert held(answer).frames.tolist() == [1, 2, 3, 4, 5]
    assert held(answer).boxes[:, 0].tolist() == [0, 0, 4, 4, 4]
    (empty,) = read_answers([{"id": "q", "boxes": {}}])
    assert len(filled(empty).frames) == len(held(empty).frames) == 0
