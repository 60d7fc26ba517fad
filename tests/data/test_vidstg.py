"""VidSTG in its three forms: the same queries, spans and boxes, worked out by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from stvg.data import find_benchmark
from stvg.data.entries import Entry
from stvg.data.trajectories import TITLE, Trajectories, video_boxes
from stvg.errors import FormatError, UsageError
from tests.data.annotations import (
    STCAT,
    TUBEDETR,
    VIDOR,
    VIDSTG,
    changed,
    vidor_box,
    xyxy,
)

VIDSTG_READER = find_benchmark("vidstg")


@pytest.fixture
def published(store):
    """The published form with its trajectories, as one JSON."""
    boxes = store(VIDOR, "boxes.json")
    return {
        record.id: record
        for record in VIDSTG_READER.read(store(VIDSTG, "test.json"), trajectories=boxes)
    }


def test_ids_and_order(published) -> None:
    assert list(published) == [
        "0:declarative:0",
        "0:interrogative:0",
        "0:interrogative:1",
        "1:declarative:0",
    ]


def test_canonical_form(published) -> None:
    record = published["0:declarative:0"]
    assert record.query.text == "a dog chases a ball."
    assert (record.query.form, record.query.id) == ("declarative", "0:declarative:0")
    assert record.media == "0001/111.mp4"
    assert (record.width, record.height, record.fps, record.frame_count) == (100, 50, 10, 8)
    assert record.segment == (1, 7)  # end_fid 6 of the segment is inclusive
    assert record.span == (2, 5)  # end_fid 5 of the truth is exclusive
    assert record.first_box_frame == 2
    assert record.boxes.tolist() == [xyxy(2), xyxy(3), xyxy(4)]
    assert record.extra["box_at_end"].tolist() == xyxy(5)
    assert record.extra["used_segment"] == {"begin_fid": 1, "end_fid": 6}
    assert record.extra["temporal_gt"] == {"begin_fid": 2, "end_fid": 5}
    assert (record.extra["target_id"], record.extra["category"]) == (0, "dog")
    assert "no_boxes" not in record.extra


def test_object_that_is_gone_at_the_end(published) -> None:
    record = published["0:interrogative:1"]
    assert record.query.form == "interrogative"
    assert record.boxes.tolist() == [xyxy(42), xyxy(43), xyxy(44)]
    assert record.extra["box_at_end"] is None
    assert list(VIDSTG_READER.quirks_of(record)) == ["gone_at_end"]


def test_span_that_ends_with_the_video(published) -> None:
    record = published["1:declarative:0"]
    assert (record.segment, record.span) == ((0, 4), (1, 4))
    assert record.extra["box_at_end"] is None
    # 3 frames at 25 per second last 0.12 s
    quirks = ["ends_after_segment", "ends_with_video", "shorter_than_sampling"]
    assert list(VIDSTG_READER.quirks_of(record)) == quirks


def test_running_numbers_of_others(published) -> None:
    """STCAT numbers captions first, TubeDETR questions first."""
    numbers = {id_: (r.extra["stcat_id"], r.extra["tubedetr_id"]) for id_, r in published.items()}
    assert numbers == {
        "0:declarative:0": (0, 2),
        "0:interrogative:0": (1, 0),
        "0:interrogative:1": (2, 1),
        "1:declarative:0": (3, 3),
    }


@pytest.mark.parametrize(("document", "number"), [(STCAT, "stcat_id"), (TUBEDETR, "tubedetr_id")])
def test_prepared_forms_agree(document, number, published, store) -> None:
    prepared = {record.id: record for record in VIDSTG_READER.read(store(document))}
    assert set(prepared) == set(published)
    for id_, record in prepared.items():
        other = published[id_]
        assert record.query == other.query
        assert record.span == other.span
        assert record.segment == other.segment
        assert record.first_box_frame == other.first_box_frame
        assert (record.width, record.height, record.fps) == (other.width, other.height, other.fps)
        np.testing.assert_array_equal(record.boxes, other.boxes)
        for name in ("used_segment", "temporal_gt", number):
            assert record.extra[name] == other.extra[name]


def test_box_at_end_in_prepared_forms(store) -> None:
    stcat = {record.id: record.extra for record in VIDSTG_READER.read(store(STCAT))}
    assert stcat["0:declarative:0"]["box_at_end"].tolist() == xyxy(5)
    assert stcat["0:interrogative:1"]["box_at_end"].tolist() == xyxy(44)  # the last one repeated
    assert stcat["1:declarative:0"]["box_at_end"] is None
    tubedetr = {record.id: record.extra for record in VIDSTG_READER.read(store(TUBEDETR))}
    assert tubedetr["0:declarative:0"]["box_at_end"].tolist() == xyxy(5)
    assert tubedetr["0:interrogative:1"]["box_at_end"] is None


def test_stcat_missing_boxes(store) -> None:
    document = changed(STCAT, ["1", "target_bboxs", 1], {})
    record = list(VIDSTG_READER.read(store(document)))[1]
    assert np.isnan(record.boxes[1]).all()
    assert record.boxes[0].tolist() == xyxy(2)
    assert "boxes_missing" in VIDSTG_READER.quirks_of(record)


def test_stcat_lengths(store) -> None:
    """Its frame_count is that of the segment; the video lasts at least to the segment's end."""
    record = next(VIDSTG_READER.read(store(STCAT)))
    assert record.frame_count == 7
    assert record.extra["frame_count_unknown"]
    assert record.extra["box_count"] == 4


def test_folder_of_vidor_files_beside_the_annotations(store, published) -> None:
    for vid, document in VIDOR.items():
        store(document, f"vidor/0001/{vid}.json")
    (store(VIDSTG, "boxes.json")).unlink()
    records = list(VIDSTG_READER.read(store(VIDSTG, "val_annotations.json")))
    for record in records:
        np.testing.assert_array_equal(record.boxes, published[record.id].boxes)


def test_without_trajectories(store) -> None:
    records = list(VIDSTG_READER.read(store(VIDSTG)))
    assert [record.span for record in records] == [(2, 5)] * 3 + [(1, 4)]
    assert all(record.boxes.shape == (0, 4) and not record.has_boxes for record in records)
    assert "no VidOR trajectories" in records[0].extra["no_boxes"]
    assert records[0].media == "111.mp4"
    assert "no_boxes" in list(VIDSTG_READER.quirks_of(records[0]))
    assert records[0].sample().target is None


@pytest.mark.parametrize(
    ("boxes", "reason"),
    [
        ({"222": VIDOR["222"]}, "has no video 111"),
        (changed(VIDOR, ["111", "trajectories"], [[vidor_box(4, 1)]] * 8), "no object 0 in VidOR"),
    ],
)
def test_boxes_that_are_not_there(boxes, reason, store) -> None:
    path = store(boxes, "boxes.json")
    record = next(VIDSTG_READER.read(store(VIDSTG), trajectories=path))
    assert reason in record.extra["no_boxes"]
    assert record.boxes.shape == (0, 4)


def test_several_trajectories_are_not_guessed(store) -> None:
    store(VIDOR, "vidor_a.json")
    store(VIDOR, "trajectories.json")
    with pytest.raises(UsageError, match=r"trajectories\.json, vidor_a\.json; name the one"):
        list(VIDSTG_READER.read(store(VIDSTG)))


def test_tubedetr_layout_as_trajectories(store) -> None:
    """Its intermediate files, vidor_training.json, and the bare object by video."""
    bare = store(TUBEDETR["trajectories"], "bare.json")
    record = next(VIDSTG_READER.read(store(VIDSTG), trajectories=bare))
    assert record.boxes.tolist() == [xyxy(2), xyxy(3), xyxy(4)]


def test_boxes_keep_fractions_and_large_numbers() -> None:
    """Compact storage must not change a number."""
    frames = {"0": {"bbox": [0.1, 0.2, 40000.5, 3]}, "2": {"bbox": [1, 2, 3, 4]}}
    video = video_boxes(Entry({"7": frames}, "a", TITLE))
    boxes = video.between(7, 0, 3)
    assert boxes[0].tolist() == [0.1, 0.2, 0.1 + 40000.5, 3.2]
    assert np.isnan(boxes[1]).all()
    assert boxes[2].tolist() == [1, 2, 4, 6]
    assert video.between(7, 5, 9).shape == (4, 4)
    assert video.between(7, 2, 1).shape == (0, 4)
    assert video.between(8, 0, 1) is None


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ([0, "vid"], None, "record 0, field vid: expected a name, found null"),
        ([0, "fps"], 0, "field fps: expected a number above 0"),
        ([0, "fps"], "25", "field fps: expected a number, found"),
        ([0, "frame_count"], 0, "field frame_count: expected a whole number of at least 1"),
        ([0, "temporal_gt"], [2, 5], "field temporal_gt: expected an object"),
        ([0, "temporal_gt", "end_fid"], ..., "field temporal_gt, field end_fid: .* is missing"),
        ([0, "used_segment", "begin_fid"], 1.5, "field begin_fid: expected a whole number"),
        ([0, "captions"], {}, "field captions: expected a list"),
        ([0, "captions", 0, "target_id"], "0", "field target_id: expected a whole number"),
        ([0, "questions", 1, "description"], "", "field description: expected a sentence"),
        ([0, "subject/objects", 0, "tid"], ..., "field tid: expected"),
        ([0], 5, "record 0: expected an object, found 5"),
    ],
)
def test_bad_records(place, value, message, store) -> None:
    path, boxes = store(changed(VIDSTG, place, value)), store(VIDOR, "boxes.json")
    with pytest.raises(FormatError, match=message):
        list(VIDSTG_READER.read(path, trajectories=boxes))
    *_, last = VIDSTG_READER.attempt(path, trajectories=boxes)
    assert last.id == "1:declarative:0"


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (["111", "trajectories", 3], [{"tid": 0}], r"field trajectories\[3\]: expected objects"),
        (["111", "trajectories", 3], 7, r"field trajectories\[3\]"),
        (["111", "trajectories", 0, 0, "bbox", "xmin"], "1", "numbers as coordinates of object 0"),
        (["111", "trajectories", 0, 0, "bbox", "xmin"], True, "numbers as coordinates of object 0"),
        (["111", "trajectories", 0], [vidor_box(0, 1), vidor_box(0, 2)], "one finite box a frame"),
        (["111", "trajectories"], 5, "field trajectories: expected an object"),
        (["111", "video_path"], 5, "field video_path: expected text"),
        (["111"], [], 'video "111": expected an object'),
    ],
)
def test_bad_trajectories(place, value, message, store) -> None:
    boxes = store(changed(VIDOR, place, value), "boxes.json")
    with pytest.raises(FormatError, match=message) as caught:
        list(VIDSTG_READER.read(store(VIDSTG), trajectories=boxes))
    assert "boxes.json" in str(caught.value)


def test_trajectories_that_are_none(store, tmp_path) -> None:
    with pytest.raises(UsageError, match="there is no such file"):
        Trajectories(tmp_path / "absent.json")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="found none"):
        Trajectories(tmp_path / "empty")
    with pytest.raises(FormatError, match="expected VidOR trajectories, an object"):
        Trajectories(store("[]"))


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (["0", "target_bboxs", 0, "xmin"], "3", r"field target_bboxs\[0\]: expected four numbers"),
        (["0", "target_bboxs", 0, "xmin"], ..., r"field target_bboxs\[0\]: expected \{xmin"),
        (["0", "target_bboxs", 0], 5, r"field target_bboxs\[0\]: expected \{xmin"),
        (["0", "target_bboxs"], None, "field target_bboxs: expected a list"),
        (["0", "qtype"], "caption", "field qtype: expected one of"),
        (["0", "ori_temp_gt"], ..., "field ori_temp_gt: expected an object"),
        (["0", "sentence"], 5, "field sentence: expected text"),
        (["1", "vid"], "333", "questions of another video or span in one record"),
        (["0", "qtype"], "inter", "a caption before the first question|another video"),
    ],
)
def test_bad_stcat(place, value, message, store) -> None:
    with pytest.raises(FormatError, match=message):
        list(VIDSTG_READER.read(store(changed(STCAT, place, value))))


def test_stcat_with_gaps_cannot_be_numbered(store) -> None:
    document = {key: value for key, value in STCAT.items() if key != "1"}
    with pytest.raises(FormatError, match=r'field id: expected running number 1 .* found "2"'):
        list(VIDSTG_READER.read(store(document)))


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (["videos", 1, "video_id"], 7, "expected running number 1"),
        (["videos", 1, "original_video_id"], "222", "questions of another video or span"),
        (["videos", 0, "tube_end_frame"], None, r"field videos\[0\], field tube_end_frame"),
        (["videos", 0, "video_path"], ..., "field video_path: expected text"),
        (["trajectories", "111", "0", "x"], {}, 'video "111".*field x: expected a number as key'),
        (["trajectories", "111", "0", "3"], {"bbox": [1, 2, 3]}, 'video "111", field 0'),
    ],
)
def test_bad_tubedetr(place, value, message, store) -> None:
    with pytest.raises(FormatError, match=message):
        list(VIDSTG_READER.read(store(changed(TUBEDETR, place, value))))


def test_tubedetr_in_any_order_of_fields(store) -> None:
    document = dict(reversed(list(TUBEDETR.items())))
    assert len(list(VIDSTG_READER.read(store(document)))) == 4


def test_tubedetr_without_trajectories_of_an_object(store) -> None:
    document = changed(TUBEDETR, ["trajectories", "222"], ...)
    *_, record = VIDSTG_READER.read(store(document))
    assert "has no object 1 of video 222" in record.extra["no_boxes"]
    assert record.boxes.shape == (0, 4)


def test_cut_file(store) -> None:
    text = json.dumps(STCAT)
    records = VIDSTG_READER.read(store(text[: len(text) // 2]))
    assert next(records).id == "0:declarative:0"
    with pytest.raises(FormatError, match="cut off"):
        list(records)
