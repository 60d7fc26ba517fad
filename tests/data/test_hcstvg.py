"""HC-STVG v1 and v2: canonical values worked out by hand, quirks, bad records."""

from __future__ import annotations

import numpy as np
import pytest

from stvg.data import find_benchmark
from stvg.errors import FormatError
from tests.data.annotations import HCSTVG_V1, HCSTVG_V2, changed

V1, V2 = find_benchmark("hcstvg_v1"), find_benchmark("hcstvg_v2")
KEY, OTHER = HCSTVG_V1


def test_canonical_form(store) -> None:
    record, other = V1.read(store(HCSTVG_V1))
    assert record.id == record.media == record.query.id == KEY
    assert record.query.text == "The man in grey sits down."
    assert (record.width, record.height, record.fps, record.frame_count) == (320, 240, 25, 500)
    assert record.segment == (0, 500)
    assert record.span == (100, 103)  # st_frame 101 counts from 1; three boxes
    assert record.first_box_frame == 100
    assert record.boxes.tolist() == [[10, 20, 40, 60], [12, 20, 42, 60], [14, 21, 44, 60]]
    assert dict(record.extra) == {"st_frame": 101, "img_num": 500, "st_time": 4.0, "ed_time": 4.5}
    assert f'record "{KEY}"' in record.place
    assert (other.id, other.fps) == (OTHER, 30)


def test_faults_are_kept(store) -> None:
    record = list(V1.read(store(HCSTVG_V1)))[1]
    assert record.boxes.tolist() == [[-4, 0, 16, 20], [300, 200, 290, 260]]
    assert record.has_boxes


def test_sample_is_clean(store) -> None:
    first, second = (record.sample() for record in V1.read(store(HCSTVG_V1)))
    assert first.target.interval.start_s == pytest.approx(4.0)
    assert first.target.interval.end_s == pytest.approx(4.12)
    assert first.target.times_s.tolist() == pytest.approx([4.0, 4.04, 4.08])
    assert second.target.boxes.tolist() == [[0, 0, 16, 20]]  # clipped; the reversed one left out


def test_v2_field_names(store) -> None:
    (record,) = V2.read(store(HCSTVG_V2))
    assert (record.width, record.height) == (854, 480)
    assert record.query.text == "The boy looks back."
    assert record.span == (499, 500)


def test_v2_takes_the_names_of_v1(store) -> None:
    assert [r.span for r in V2.read(store(HCSTVG_V1))] == [(100, 103), (0, 2)]


def test_v2_queries_without_truth(store) -> None:
    (record,) = V2.read(store({"1_a.mkv": " The man sits. "}))
    assert (record.id, record.query.text) == ("1_a.mkv", "The man sits.")
    assert record.boxes.shape == (0, 4)
    assert not record.has_boxes
    assert record.extra["not_public"]
    assert record.sample().target is None


def test_quirks(store) -> None:
    first, second = V1.read(store(HCSTVG_V1))
    # 4.5 s * 25 = 112.5, the boxes end at frame 103; floor(4.0 * 25) + 1 = 101 as annotated.
    assert list(V1.quirks_of(first)) == ["boxes_stop_before_seconds"]
    # 0.07 s * 30 = 2.1: no more than half a frame after the boxes. The box jumps by 304 pixels.
    assert list(V1.quirks_of(second)) == ["jump_at_an_end", "negative_size", "box_outside_image"]
    (last,) = V2.read(store(HCSTVG_V2))
    assert list(V2.quirks_of(last)) == ["tube_reaches_last_frame"]


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (["bbox"], ..., "field bbox: expected a list .* but the field is missing"),
        (["bbox"], [[1, 2, 3]], r"field bbox\[0\]: expected \[x, y, width, height\]"),
        (["bbox", 1, 2], "30", r"field bbox\[1\]"),
        (["bbox", 1, 2], float("nan"), "NaN is no JSON value"),
        (["st_frame"], "157", "field st_frame: expected a whole number, found"),
        (["st_frame"], 1.5, "field st_frame: expected a whole number"),
        (["img_num"], 0, "field img_num: expected a whole number of at least 1, found 0"),
        (["st_time"], None, "field st_time: expected a number, found null"),
        (["ed_time"], ..., "field ed_time: expected a number"),
        (["caption"], "  ", "field caption: expected a sentence that is not empty"),
        (["caption"], ..., "field caption: expected text"),
        (["width"], -5, "field width: expected a whole number of at least 1"),
        ([], [1, 2], "expected an object, found"),
        ([], None, "expected an object, found null"),
    ],
)
def test_bad_records(place, value, message, store) -> None:
    path = store(changed(HCSTVG_V1, [KEY, *place], value))
    with pytest.raises(FormatError, match=message) as caught:
        list(V1.read(path))
    assert "file.json" in str(caught.value)
    # All but what is no JSON: the other record is read all the same, and the fault is named.
    if "NaN" not in message:
        error, record = V1.attempt(path)
        assert isinstance(error, FormatError)
        assert f'record "{KEY}"' in str(error)
        assert record.id == OTHER


@pytest.mark.parametrize("size", [[480], [0, 5], "480x854", [480, None]])
def test_bad_sizes_of_v2(size, store) -> None:
    path = store(changed(HCSTVG_V2, ["9_opq.mp4", "img_size"], size))
    with pytest.raises(FormatError, match="field img_size"):
        list(V2.read(path))


def test_no_boxes(store) -> None:
    path = store(changed(HCSTVG_V1, [KEY, "bbox"], []))
    record = next(V1.read(path))
    assert record.span == (100, 100)
    assert record.extra["no_boxes"] == "the annotation has none"
    assert record.sample().target is None
    assert list(V1.quirks_of(record)) == []


def test_frames_before_the_first(store) -> None:
    record = next(V1.read(store(changed(HCSTVG_V1, [KEY, "st_frame"], 0))))
    assert record.span == (-1, 2)
    assert len(record.sample().target) == 2


def test_the_first_record_needs_only_the_start(tmp_path) -> None:
    import json

    text = json.dumps(HCSTVG_V1)[:-1] + ", " + " " * 3_000_000 + "and then nonsense"
    path = tmp_path / "huge.json"
    path.write_text(text)
    records = V1.read(path)
    assert next(records).id == KEY
    assert next(records).id == OTHER
    with pytest.raises(FormatError, match="expected a key"):
        next(records)


def test_boxes_are_floats(store) -> None:
    assert next(V1.read(store(HCSTVG_V1))).boxes.dtype == np.float64


def test_clips_of_another_length_may_give_their_frame_rate(store) -> None:
    """The published clips last 20 s each; others in the same schema need not."""
    document = changed(HCSTVG_V2, ["9_opq.mp4", "fps"], 8)
    (record,) = V2.read(store(document))
    assert record.fps == 8
    with pytest.raises(FormatError, match="field fps: expected a number"):
        list(V2.read(store(changed(HCSTVG_V2, ["9_opq.mp4", "fps"], "8"))))
