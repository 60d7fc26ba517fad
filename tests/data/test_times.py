"""Charades-STA, ActivityNet Captions, TVGBench, QVHighlights: times worked out by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from stvg.data import find_benchmark
from stvg.errors import FormatError, UsageError
from tests.data.annotations import (
    CAPTIONS,
    CHARADES_LENGTHS,
    CHARADES_LINES,
    QVHIGHLIGHTS,
    TVGBENCH,
    changed,
)

CHARADES = find_benchmark("charades_sta")
ACTIVITYNET = find_benchmark("activitynet_captions")
TVG = find_benchmark("tvgbench")
QV = find_benchmark("qvhighlights")


def lines(records) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def test_charades_lines(store) -> None:
    table = store(CHARADES_LENGTHS, "lengths.csv")
    records = list(CHARADES.read(store(CHARADES_LINES, "test.txt"), durations=table))
    assert [record.id for record in records] == ["AB12C_0", "XY34Z_0", "AB12C_1"]
    assert [record.windows.tolist() for record in records] == [[[1, 4.5]], [[0, 6.9]], [[3, 12]]]
    assert [record.duration_s for record in records] == [10.5, 20, 10.5]
    assert records[2].query.text == "the person leaves."
    assert records[2].place.endswith("test.txt, line 3")
    assert list(CHARADES.quirks_of(records[2])) == ["ends_after_video", "covers_most"]
    assert list(CHARADES.quirks_of(records[0])) == []


def test_charades_durations_beside_the_file(store) -> None:
    store(CHARADES_LENGTHS, "Charades_v1_test.csv")
    assert next(CHARADES.read(store(CHARADES_LINES, "test.txt"))).duration_s == 10.5


def test_charades_without_durations(store) -> None:
    record = next(CHARADES.read(store(CHARADES_LINES, "test.txt")))
    assert np.isnan(record.duration_s)
    assert list(CHARADES.quirks_of(record)) == []


def test_charades_shares(store) -> None:
    """LLaVA-ST writes times as shares of the video."""
    table = store(CHARADES_LENGTHS, "lengths.csv")
    path = store(
        [{"image_id": "v_XY34Z.mp4", "caption": "a person sits.", "timestamp": [0.1, 0.5]}]
    )
    (record,) = CHARADES.read(path, durations=table)
    assert (record.id, record.media) == ("XY34Z_0", "XY34Z")
    assert record.windows.tolist() == [[2.0, 10.0]]
    with pytest.raises(FormatError, match="a video with a known duration"):
        list(CHARADES.read(path))


@pytest.mark.parametrize(
    "line", ["AB12C 1.0##text", "AB12C one two##text", "AB12C 1.0 2.0 text", "AB12C 1.0 2.0##  "]
)
def test_bad_charades_lines(line, store) -> None:
    path = store(CHARADES_LINES + line + "\n", "test.txt")
    with pytest.raises(FormatError, match=r"test\.txt, line 4"):
        list(CHARADES.read(path))
    assert len(list(CHARADES.attempt(path))) == 4


@pytest.mark.parametrize(
    ("table", "message"),
    [("a,b\n1,2\n", "columns id and length"), ("id,length\nAB12C,long\n", "seconds in the column")],
)
def test_bad_durations(table, message, store) -> None:
    with pytest.raises(FormatError, match=message):
        list(CHARADES.read(store(CHARADES_LINES, "test.txt"), durations=store(table, "t.csv")))


def test_captions_by_video(store) -> None:
    records = list(ACTIVITYNET.read(store(CAPTIONS)))
    assert [record.id for record in records] == ["v_abc_0", "v_abc_1", "v_abc_2", "v_def_0"]
    assert records[1].query.text == "He goes on."  # the leading blank is removed
    assert records[1].windows.tolist() == [[5.5, 21.0]]
    assert (records[1].media, records[1].duration_s) == ("v_abc", 20)
    quirks = [list(ACTIVITYNET.quirks_of(record)) for record in records]
    assert quirks == [["covers_most"], ["ends_after_video"], ["not_in_order"], []]


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (["duration"], "20", "field duration: expected a number"),
        (["timestamps", 1], [1], r"field timestamps\[1\]: expected \[start, end\]"),
        (["timestamps"], [[0, 1]], "field sentences: expected one for each of the 1 timestamps"),
        (["sentences", 2], 7, "sentence 2, field sentences: expected text"),
        ([], None, 'video "v_abc": expected an object'),
    ],
)
def test_bad_captions(place, value, message, store) -> None:
    path = store(changed(CAPTIONS, ["v_abc", *place], value))
    with pytest.raises(FormatError, match=message):
        list(ACTIVITYNET.read(path))


def test_tvgbench(store) -> None:
    first, second = TVG.read(store(TVGBENCH))
    assert (first.id, second.id) == ("Charades_sta_test_0", "nlq_r1_val_1")
    assert first.media == "videos/ab.mp4"
    assert first.query.text == "Where is the cup?"
    assert first.windows.tolist() == [[2.5, 7.25]]
    assert second.windows.tolist() == [[0, 15]]
    assert (second.extra["start"], second.extra["end"]) == (100.5, 112.5)
    assert first.extra["dataset_name"] == "charades"
    assert list(TVG.quirks_of(first)) == []
    assert list(TVG.quirks_of(second)) == [
        "ends_after_video", "covers_most", "clip_of_longer_video", "no_dataset_name",
    ]  # fmt: skip


@pytest.mark.parametrize("answer", ["2.5", "2.5 to 3", "-1-2", "a-b", "", 5, None, "1-2-3"])
def test_bad_tvgbench_answers(answer, store) -> None:
    with pytest.raises(FormatError, match="record 1, field answer: expected"):
        list(TVG.read(store(changed(TVGBENCH, [1, "answer"], answer))))


@pytest.mark.parametrize("as_lines", [True, False])
def test_qvhighlights(as_lines, store) -> None:
    first, second = QV.read(store(lines(QVHIGHLIGHTS) if as_lines else QVHIGHLIGHTS))
    assert (first.id, first.media, first.duration_s) == ("71", "abcDEF_60.0_210.0", 150)
    assert first.windows.tolist() == [[2, 6], [10, 12]]
    assert first.extra["relevant_clip_ids"].tolist() == [1, 2, 5]
    assert first.extra["saliency_scores"].tolist() == [[1, 1, 2], [0, 3, 4], [2, 2, 2]]
    assert second.windows.shape == (0, 2)
    assert not second.extra
    assert list(QV.quirks_of(first)) == ["several_windows"]
    assert list(QV.quirks_of(second)) == ["shorter_than_150", "no_truth"]
    assert first.place.endswith("line 1" if as_lines else "record 0")


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (["qid"], None, "line 1, field qid: expected a name"),
        (["relevant_windows"], [[1, 2, 3]], r"field relevant_windows\[0\]"),
        (["saliency_scores"], [[1, 2, 3]], "one triple for each of 3 clips"),
        (["saliency_scores", 0], [1, 2], r"field saliency_scores\[0\]"),
        (["relevant_clip_ids", 0], "1", r"field relevant_clip_ids\[0\]"),
        (["query"], "", "field query: expected a sentence"),
    ],
)
def test_bad_qvhighlights(place, value, message, store) -> None:
    path = store(lines(changed(QVHIGHLIGHTS, [0, *place], value)), "val.jsonl")
    with pytest.raises(FormatError, match=message):
        list(QV.read(path))
    error, record = QV.attempt(path)
    assert isinstance(error, FormatError)
    assert record.id == "72"


def test_cut_line_of_qvhighlights(store) -> None:
    path = store(lines(QVHIGHLIGHTS)[:-30], "val.jsonl")
    records = QV.read(path)
    assert next(records).id == "71"
    with pytest.raises(FormatError, match=r"val\.jsonl, line 2, column .* cut off"):
        next(records)


def test_lines_are_read_one_by_one(tmp_path) -> None:
    path = tmp_path / "huge.jsonl"
    path.write_text(lines(QVHIGHLIGHTS) + "nonsense\n" * 1000)
    records = QV.read(path)
    assert [next(records).id, next(records).id] == ["71", "72"]


def test_absent_file(tmp_path) -> None:
    for reader in (CHARADES, ACTIVITYNET, TVG, QV):
        with pytest.raises(UsageError, match="there is no such file"):
            list(reader.read(tmp_path / "absent"))


def test_bytes_that_are_no_text(store) -> None:
    with pytest.raises(FormatError, match=r"no utf-8|not UTF-8"):
        list(CHARADES.read(store(b"AB12C 1.0 2.0##\xff\xfe\n", "test.txt")))


@pytest.mark.parametrize("reader", [CHARADES, ACTIVITYNET, TVG], ids=lambda each: each.name)
def test_a_plain_list_of_queries(reader, store) -> None:
    entry = {"id": "mine", "query": " A dog barks.", "duration": 9.5, "timestamp": [1, 2.5]}
    first, second = reader.read(store([entry, {**entry, "id": "other", "video": "v.mp4"}]))
    assert (first.id, first.media, first.duration_s) == ("mine", "mine", 9.5)
    assert first.windows.tolist() == [[1.0, 2.5]]
    assert second.media == "v.mp4"
    assert list(reader.quirks_of(first)) == []
    with pytest.raises(FormatError, match="record 0, field timestamp"):
        list(reader.read(store([{**entry, "timestamp": [1, 2, 3]}])))
