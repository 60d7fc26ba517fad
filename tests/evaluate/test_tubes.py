"""Tubes by hand: every choice of a protocol worked out on paper, and what must always hold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stvg.evaluate import evaluate
from stvg.evaluate.answers import Answer, read_answers
from stvg.evaluate.protocols import TABLES, protocols_for
from stvg.evaluate.tubes import (
    paired_box_iou,
    score_tube,
    span_overlap,
    st_align_frames,
    tubedetr_grid,
)
from stvg.geometry.boxes import paired_iou
from tests.evaluate.helpers import tube_line, tube_record

HC, VIDSTG = protocols_for("tubes", "hcstvg_v1"), protocols_for("tubes", "vidstg")


def score(protocol, line, record=None, table=HC):
    """tIoU, vIoU, gt_vIoU of one line."""
    (answer,) = read_answers([line])
    found = score_tube(record or tube_record(), answer, table[protocol])
    return [found.tiou, found.viou, found.gt_viou]


@pytest.mark.parametrize(
    ("protocol", "span", "expected"),
    [
        # truth [10, 20), boxes right everywhere
        ("ours", (10, 20), [1, 1, 1]),
        ("ours", (15, 25), [5 / 15, 5 / 15, 5 / 10]),  # half in time; no box on 10 to 14
        ("ours", (30, 40), [0, 0, 0]),
        ("stcat", (10, 20), [9 / 10, 9 / 10, 1]),  # the true span is [10, 19)
        ("stcat", (10, 19), [1, 1, 9 / 10]),  # all ten true boxes count for the third
        ("cgstvg", (10, 20), [9 / 10, 9 / 10, 1]),
        ("llava_next_stvg", (10, 20), [9 / 10, 10 / 11, 1]),  # both end frames count
        ("challenge", (10, 20), [1, 1, None]),
        ("challenge", (5, 20), [10 / 15, 10 / 15, None]),
        # seconds 0.4 to 0.8; frames 10 to 20 with both ends, no box on 20
        ("stvg_r1", (10, 20), [1, 10 / 11, None]),
        # The truth is taken for [11, 21), the grid is 0, 5, 10, 15, 20, ...: 15 is in both, 10
        # and 20 in one; frame 20 is true and has no box.
        ("tubedetr", (10, 20), [9 / 11, 1 / 3, 1 / 2]),
    ],
)
def test_every_protocol_by_hand(protocol, span, expected):
    found = score(protocol, tube_line(span=span))
    for ours, value in zip(found, expected, strict=True):
        assert np.isnan(ours) if value is None else ours == pytest.approx(value, abs=1e-12)


def test_half_a_box_is_half_the_overlap():
    line = tube_line(box=(0, 0, 10, 5))
    assert score("ours", line) == pytest.approx([1, 0.5, 0.5])


@pytest.mark.parametrize(
    ("span", "expected"),
    [((15, 15), [0, 0]), ((20, 10), [0, 0]), ((15, 16), [1 / 10, 1 / 10])],
)
def test_degenerate_spans(span, expected):
    line = tube_line(span=span, frames=range(10, 20))
    assert score("ours", line)[:2] == pytest.approx(expected)
    assert score("ours", line)[2] == 1  # whatever the span says


def test_the_end_frame_of_llava_next_makes_an_empty_span_count():
    line = tube_line(span=(15, 15), frames=range(10, 20))
    assert score("llava_next_stvg", line)[:2] == pytest.approx([0, 1 / 10])  # 10 to 19, frame 15


def test_challenge_lowers_tiou_where_boxes_are_missing():
    line = tube_line(span=(10, 20), frames=range(10, 15))
    assert score("challenge", line)[:2] == pytest.approx([1 / 2, 1 / 2])
    assert score("ours", line) == pytest.approx([1, 1 / 2, 1 / 2])


def test_stcat_on_vidstg_cuts_at_the_segment_and_looks_at_the_end_frame():
    # The segment's last frame is 24. A span that ends before it: the frame 20 counts too.
    record = tube_record(segment=(0, 25), extra={"box_at_end": np.array([0, 0, 10, 5.0])})
    line = tube_line(span=(10, 20), frames=range(10, 21))
    assert score("stcat", line, record, VIDSTG) == pytest.approx([1, 1, 10.5 / 11])
    gone = tube_record(segment=(0, 25), extra={"box_at_end": None})  # the last box is repeated
    assert score("stcat", line, gone, VIDSTG) == pytest.approx([1, 1, 1])
    # A span that ends with the segment loses a frame and has no end frame.
    cut = tube_record(segment=(0, 20))
    assert score("stcat", line, cut, VIDSTG) == pytest.approx([9 / 10, 9 / 10, 1])


def test_clipped_truth():
    record = tube_record(box=(0, 0, 200, 80))  # the picture is 100 wide
    line = tube_line(box=(0, 0, 100, 80))
    assert score("cgstvg", line, record)[2] == pytest.approx(1)
    assert score("stcat", line, record)[2] == pytest.approx(0.5)


def test_llava_next_on_vidstg_has_a_threshold_of_its_own():
    assert VIDSTG["llava_next_stvg"].thresholds == (0.3, 0.48, 0.7)


def test_annotated_seconds_are_used_where_there_are_any():
    record = tube_record(extra={"st_time": 0.4, "ed_time": 1.2})  # frames 10 to 30
    assert score("stvg_r1", tube_line(), record)[0] == pytest.approx(0.5)
    timed = {**tube_line(), "span_s": [0.4, 1.2]}
    assert score("stvg_r1", timed, record)[0] == pytest.approx(1)


@pytest.mark.parametrize(
    ("begin", "end", "fps", "expected"),
    [
        (0, 30, 25.0, [0, 5, 10, 15, 20, 25]),
        (3, 12, 5.0, list(range(3, 12))),  # every frame
        (3, 9, 10.0, [3, 4, 6, 8]),  # the first, then where int(f / 2) rises
        (7, 7, 25.0, []),
    ],
)
def test_grid_of_tubedetr(begin, end, fps, expected):
    assert tubedetr_grid(begin, end, fps).tolist() == expected


def test_grid_of_tubedetr_by_its_own_words():
    for begin, end, fps in ((0, 480, 24.0), (17, 900, 29.97), (5, 4000, 14.5)):
        rate, taken = 5 / fps, [begin]
        for frame in range(begin, end):
            if int(taken[-1] * rate) < int(frame * rate):
                taken.append(frame)
        if len(taken) > 200:
            taken = [taken[j * len(taken) // 200] for j in range(200)]
        assert tubedetr_grid(begin, end, fps).tolist() == taken


def test_frames_of_st_align():
    frames = st_align_frames((122, 222))
    assert (frames[0], frames[-1], len(frames)) == (122, 221, 100)


def test_a_span_without_a_sampled_frame_scores_nothing_but_tiou():
    record = tube_record(span=(11, 13))
    line = tube_line(span=(12, 14))
    assert score("tubedetr", line, record) == [1, 0, 0]


def test_no_frames_to_compare_gives_zeros_not_nan():
    record = tube_record(boxes=np.full((10, 4), np.nan))
    for protocol in HC:
        _, viou, gt_viou = score(protocol, tube_line(), record)
        assert viou == 0
        assert gt_viou == 0 or HC[protocol].gt_viou is None


NUMBERS = st.integers(-20, 120)
BOXES = st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS)


@given(st.lists(st.tuples(BOXES, BOXES), min_size=1, max_size=20))
def test_box_overlap_is_that_of_the_geometry(pairs):
    a = np.array([pair[0] for pair in pairs], np.float64)
    b = np.array([pair[1] for pair in pairs], np.float64)
    found = paired_box_iou(a, b)
    np.testing.assert_allclose(found, paired_iou(a, b), atol=1e-12)
    assert ((found >= 0) & (found <= 1)).all()


@st.composite
def answers(draw):
    """Any answer, with faults."""
    start, end = draw(st.integers(0, 60)), draw(st.integers(0, 60))
    frames = sorted(draw(st.sets(st.integers(0, 60), max_size=30)))
    boxes = [draw(BOXES) for _ in frames]
    span = draw(st.sampled_from([None, (start, end)]))
    return Answer(
        "q",
        span_frames=span,
        frames=np.array(frames, np.int64),
        boxes=np.array(boxes, np.float64).reshape(-1, 4),
    )


@settings(max_examples=150)
@given(answers(), BOXES, st.integers(0, 20), st.integers(1, 30))
def test_every_score_is_in_range_whatever_is_answered(answer, box, start, length):
    record = tube_record(span=(start, start + length), box=box, frames=60)
    for table in (HC, VIDSTG):
        cache = {}
        for protocol in table.values():
            shared = score_tube(record, answer, protocol, cache)
            assert shared == score_tube(record, answer, protocol) or np.isnan(shared.gt_viou)
            for value in (shared.tiou, shared.viou, shared.gt_viou):
                assert np.isnan(value) or -1e-12 <= value <= 1 + 1e-12
            assert (
                shared.viou <= shared.tiou + 1e-9
                or protocol.grid != "every frame"
                or (protocol.end_frame_counts or protocol.tiou != "spans")
            )


@given(st.tuples(NUMBERS, NUMBERS), st.tuples(NUMBERS, NUMBERS))
def test_span_overlap_is_symmetric_and_in_range(a, b):
    assert span_overlap(a, b) == span_overlap(b, a)
    assert 0 <= span_overlap(a, b) <= 1


def test_a_file_scores_as_its_lines_do_one_by_one():
    generator = np.random.default_rng(0)
    records, lines = [], []
    for number in range(12):
        start = int(generator.integers(0, 60))
        record = tube_record(f"q{number}", span=(start, start + 20))
        moved = max(0, start + int(generator.integers(-8, 8)))
        lines.append(tube_line(record.id, span=(moved, moved + 18), box=(1, 1, 9, 12)))
        records.append(record)
    together = evaluate("hcstvg_v1", records, lines, protocol="all", resamples=0)
    for record, line in zip(records, lines, strict=True):
        alone = evaluate("hcstvg_v1", [record], [line], protocol="all", resamples=0)
        for name, result in together.results.items():
            assert result.of(record.id) == alone.results[name].of(record.id)
    for name, result in together.results.items():
        values = [each["vIoU"] for each in result.per_query().values()]
        assert together.results[name].metrics["m_vIoU"] == pytest.approx(np.mean(values))


def test_every_tube_protocol_is_reachable():
    reachable = {each.name for table in (HC, VIDSTG) for each in table.values()} | {"st_align"}
    assert reachable == {each.name for each in TABLES["tubes"]}
