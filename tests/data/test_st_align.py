"""ST-Align in the schema of its loader."""

from __future__ import annotations

import numpy as np
import pytest

from stvg.data import find_benchmark
from stvg.errors import FormatError, UsageError
from tests.data.annotations import ST_ALIGN, changed

READER = find_benchmark("st_align")


def test_canonical_form(store) -> None:
    (record,) = READER.read(store(ST_ALIGN, "stvg.json"))
    assert (record.id, record.media) == ("0", "set/a.mp4")
    assert record.query.text == "When and where does the dog run?"
    assert record.segment == (10, 30)  # both ends of split are inclusive
    assert record.span == (12, 15)  # <e> is inclusive
    assert record.first_box_frame == 12
    assert record.boxes[[0, 2]].tolist() == [[1, 2, 4, 6], [5, 6, 12, 14]]
    assert np.isnan(record.boxes[1]).all()
    assert record.extra["task"] == "stvg"
    assert record.extra["answer"] == "From <s> to <e>, <bboxes>"
    assert list(READER.quirks_of(record)) == ["boxes_skip_frames"]


def test_times_need_a_frame_rate(store) -> None:
    (record,) = READER.read(store(ST_ALIGN))
    assert np.isnan(record.fps)
    with pytest.raises(UsageError, match="gives no frame rate"):
        record.sample()
    assert record.sample(fps=2).target.times_s.tolist() == [6.0, 7.0]


def test_span_from_boxes_where_there_are_no_time_tokens(store) -> None:
    (record,) = READER.read(store(changed(ST_ALIGN, [0, "meta", "time_token"], {})))
    assert record.span == (12, 15)


def test_box_outside_the_span(store) -> None:
    (record,) = READER.read(store(changed(ST_ALIGN, [0, "meta", "time_token", "<e>"], 13)))
    assert "box_outside_span" in READER.quirks_of(record)


def test_records_that_the_authors_leave_out(store) -> None:
    records = list(READER.read(store(ST_ALIGN * 2001)))
    assert [record.id for record in records if "not_evaluated" in READER.quirks_of(record)] == [
        "2000"
    ]


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (["meta", "split"], [1], "field split: expected|field split\\[0\\]"),
        (["meta", "spatial_token", "<bboxes>"], ..., "field <bboxes>: expected an object"),
        (["meta", "spatial_token", "<bboxes>", "x"], [1, 2, 3, 4], "a frame number as key"),
        (["meta", "spatial_token", "<bboxes>", "12"], [1, 2], r"field 12\[0\]"),
        (["meta", "time_token", "<s>"], "12", "field <s>: expected a whole number"),
        (["conversations"], [], "field conversations: expected two turns"),
        (["video_path"], None, "field video_path: expected text"),
    ],
)
def test_bad_records(place, value, message, store) -> None:
    with pytest.raises(FormatError, match=message):
        list(READER.read(store(changed(ST_ALIGN, [0, *place], value))))
