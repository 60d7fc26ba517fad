"""Real annotations: counts that were made independently, and ids that join golden predictions.

The files may not be published; where they are absent these tests are skipped by name.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stvg.data import find_benchmark
from stvg.data.check import check
from stvg.data.describe import describe

pytestmark = pytest.mark.shared


def quirks(name: str, path: Path, **companions: Path) -> dict[str, int]:
    benchmark = find_benchmark(name)
    records = benchmark.read(path, **companions)
    return dict(Counter(quirk for record in records for quirk in benchmark.quirks_of(record)))


def exact_case(shared_data: Path, name: str) -> dict[str, Any]:
    """The golden predictions that equal the truth, by id."""
    document = json.loads((shared_data / "golden" / name / "predictions.json").read_text())
    return document["cases"]["exact"]


def test_hcstvg_v1(shared_data: Path) -> None:
    path = shared_data / "annotations/hcstvg_v1/test_first10.json"
    records = list(find_benchmark("hcstvg_v1").read(path))
    assert len(records) == 10
    first = records[0]
    assert (first.id, first.span, first.fps) == ("55_vfjywN5CN0Y.mp4", (156, 278), 24)
    assert (first.width, first.height, len(first.boxes)) == (480, 360, 122)
    found = quirks("hcstvg_v1", path)
    assert found["boxes_stop_before_seconds"] == 10  # in all ten, 7.3 to 8.9 frames
    lasts = [record.extra["ed_time"] - record.extra["st_time"] for record in records]
    short = [s * r.fps - len(r.boxes) for s, r in zip(lasts, records, strict=True)]
    assert (round(min(short), 1), round(max(short), 1)) == (7.3, 8.9)
    assert found["start_frame_off"] == 1  # 9 of 10 follow the rule
    assert found["jump_at_an_end"] == 3
    assert check(find_benchmark("hcstvg_v1"), path, {}).findings == []


@pytest.mark.parametrize("name", ["hcstvg_v1", "hcstvg_v2"])
def test_hcstvg_truth_is_the_exact_prediction(name: str, shared_data: Path) -> None:
    path = shared_data / "golden" / name / "ground_truth.json"
    assert_same_tubes(list(find_benchmark(name).read(path)), exact_case(shared_data, name))


@pytest.mark.parametrize("name", ["vidstg", "vidstg_real"])
def test_vidstg_truth_is_the_exact_prediction(name: str, shared_data: Path) -> None:
    """The trajectories lie beside the file and are found."""
    path = shared_data / "golden" / name / "annotations.json"
    assert_same_tubes(list(find_benchmark("vidstg").read(path)), exact_case(shared_data, name))


def assert_same_tubes(records: list[Any], exact: dict[str, Any]) -> None:
    assert {record.id for record in records} == set(exact)
    for record in records:
        answer = exact[record.id]
        assert record.span == tuple(answer["sted"])
        boxes = [answer["boxes"][str(frame)] for frame in range(*record.span)]
        if (record.boxes[:, 2:] >= record.boxes[:, :2]).all():
            np.testing.assert_array_equal(record.boxes, boxes)


def test_hcstvg_v2_queries(shared_data: Path) -> None:
    path = shared_data / "annotations/hcstvg_v2/query_v2.json"
    found = describe(find_benchmark("hcstvg_v2"), path, {})
    assert (found["records"], found["without_truth"]) == (2931, 2931)


def test_hcstvg_v2_faults(shared_data: Path) -> None:
    path = shared_data / "golden/hcstvg_v2/ground_truth.json"
    report = check(find_benchmark("hcstvg_v2"), path, {})
    assert {finding.ids[0].partition("_")[0] for finding in report.findings} == {"11", "12", "13"}


def test_vidstg_with_real_boxes(shared_data: Path) -> None:
    folder = shared_data / "annotations/vidstg"
    benchmark = find_benchmark("vidstg")
    path = folder / "test_annotations_with_boxes.json"
    records = list(benchmark.read(path, trajectories=folder / "vidor"))
    assert len(records) == 11
    assert Counter(record.query.form for record in records) == {
        "declarative": 5, "interrogative": 6,
    }  # fmt: skip
    assert all(np.isfinite(record.boxes).all() for record in records)
    assert {record.media for record in records} == {"0009/11566930393.mp4", "0001/2793806282.mp4"}
    assert sum(record.extra["box_at_end"] is None for record in records) == 2
    report = check(benchmark, path, {"trajectories": folder / "vidor"})
    assert report.findings == []


@pytest.mark.parametrize(
    ("file", "records"),
    [("test_annotations_first300.json", 300), ("val_annotations_first100.json", 100)],
)
def test_vidstg_sentences(file: str, records: int, shared_data: Path) -> None:
    found = list(find_benchmark("vidstg").read(shared_data / "annotations/vidstg" / file))
    forms = Counter(record.query.form for record in found)
    assert forms["declarative"] == records  # exactly one caption a record
    for record in found:
        begin, end = record.segment
        assert end <= record.frame_count  # the inclusive end is never above frame_count - 1
        assert begin <= record.span[0] < record.span[1] <= record.frame_count
        assert record.extra["used_relation"]["begin_fid"] == record.span[0]
        assert record.extra["used_relation"]["end_fid"] == record.span[1]


def test_charades(shared_data: Path) -> None:
    folder = shared_data / "annotations/charades_sta"
    table = folder / "charades_v1_test_id_length.csv"
    benchmark = find_benchmark("charades_sta")
    lines = list(benchmark.read(folder / "charades_sta_test.txt", durations=table))
    videos = list(benchmark.read(folder / "charades_test.json"))
    assert len(lines) == len(videos) == 3720
    assert len({record.media for record in lines}) == 1334
    by_id = {record.id: record for record in videos}
    for record in lines:
        other = by_id[record.id]
        assert record.query == other.query
        assert record.windows.tolist() == other.windows.tolist()
        assert record.duration_s == other.duration_s
    assert quirks("charades_sta", folder / "charades_test.json")["ends_after_video"] == 562
    report = check(benchmark, folder / "charades_test.json", {})
    assert report.by_kind() == {"span_past_end": 562}
    exact = exact_case(shared_data, "charades_sta")
    assert all(by_id[id_].windows[0].tolist() == answer for id_, answer in exact.items())


def test_charades_train_lines(shared_data: Path) -> None:
    path = shared_data / "annotations/charades_sta/charades_sta_train_first500.txt"
    assert len(list(find_benchmark("charades_sta").read(path))) == 500


@pytest.mark.parametrize("file", ["val_1_first200.json", "val_2_first200.json"])
def test_activitynet(file: str, shared_data: Path) -> None:
    path = shared_data / "annotations/activitynet_captions" / file
    document = json.loads(path.read_text())
    records = {r.id: r for r in find_benchmark("activitynet_captions").read(path)}
    assert len({record.media for record in records.values()}) == 200
    assert len(records) == sum(len(video["sentences"]) for video in document.values())
    assert not any(record.query.text.startswith(" ") for record in records.values())
    if file.startswith("val_2"):
        exact = exact_case(shared_data, "activitynet_captions")
        common = set(exact) & set(records)
        assert len(common) == 9
        assert all(records[id_].windows[0].tolist() == exact[id_] for id_ in common)


def test_tvgbench(shared_data: Path) -> None:
    path = shared_data / "annotations/tvgbench/tvgbench.json"
    records = {record.id: record for record in find_benchmark("tvgbench").read(path)}
    assert len(records) == 800
    assert len({record.media for record in records.values()}) == 462
    names = Counter(record.extra["dataset_name"] for record in records.values())
    assert names == {"tacos": 168, "anet": 168, None: 168, "hirest": 158, "charades": 138}
    found = quirks("tvgbench", path)
    assert found["clip_of_longer_video"] == 252
    assert found["ends_after_video"] == 27
    exact = exact_case(shared_data, "tvgbench")
    assert all(records[id_].windows[0].tolist() == answer for id_, answer in exact.items())


def test_qvhighlights(shared_data: Path) -> None:
    folder = shared_data / "annotations/qvhighlights"
    benchmark = find_benchmark("qvhighlights")
    records = list(benchmark.read(folder / "highlight_val_first200.jsonl"))
    assert len({record.id for record in records}) == 200
    for record in records:
        assert (record.windows % 2 == 0).all()
        clips = record.extra["relevant_clip_ids"]
        assert record.extra["saliency_scores"].shape == (len(clips), 3)
        assert (
            0 <= record.extra["saliency_scores"].min() <= record.extra["saliency_scores"].max() <= 4
        )
        seconds = (record.windows[:, 1] - record.windows[:, 0]).sum()
        assert len(clips) == seconds / 2
    test = list(benchmark.read(folder / "highlight_test_first50.jsonl"))
    assert len(test) == 50
    assert not any(len(record.windows) for record in test)
    golden = shared_data / "golden/qvhighlights"
    truth = {record.id for record in benchmark.read(golden / "ground_truth.json")}
    cases = json.loads((golden / "predictions.json").read_text())["cases"]
    assert truth == {str(line["qid"]) for line in cases["published_model"]}


@pytest.mark.parametrize("file", ["annotations/refcoco/refcoco_unc_testA_first50.json",
                                  "golden/refcoco/ground_truth.json"])  # fmt: skip
def test_refcoco(file: str, shared_data: Path) -> None:
    records = {r.id: r for r in find_benchmark("refcoco").read(shared_data / file)}
    exact = exact_case(shared_data, "refcoco")
    assert set(records) == set(exact)
    for id_, answer in exact.items():
        np.testing.assert_allclose(records[id_].box, answer, rtol=0, atol=1e-9)


def test_refer_youtube_vos(shared_data: Path) -> None:
    path = shared_data / "annotations/ref_youtube_vos/meta_expressions_first100.json"
    records = list(find_benchmark("refer_youtube_vos").read(path))
    assert len({record.media for record in records}) == 100
    document = json.loads(path.read_text())["videos"]
    assert len(records) == sum(len(video["expressions"]) for video in document.values())
    numbers = {int(frame) for record in records for frame in record.frames}
    assert all(number % 5 == 0 for number in numbers)  # every fifth frame, some left out


REAL = [
    ("hcstvg_v1", "hcstvg_v1/test_first10.json"),
    ("hcstvg_v2", "hcstvg_v2/query_v2.json"),
    ("vidstg", "vidstg/test_annotations_first300.json"),
    ("charades_sta", "charades_sta/charades_sta_test.txt"),
    ("charades_sta", "charades_sta/charades_test.json"),
    ("activitynet_captions", "activitynet_captions/val_1_first200.json"),
    ("tvgbench", "tvgbench/tvgbench.json"),
    ("qvhighlights", "qvhighlights/highlight_val_first200.jsonl"),
    ("refer_youtube_vos", "ref_youtube_vos/meta_expressions_first100.json"),
    ("refcoco", "refcoco/refcoco_unc_testA_first50.json"),
]


@pytest.mark.parametrize(("name", "file"), REAL)
def test_real_files_are_recognised(name: str, file: str, shared_data: Path) -> None:
    from stvg.data.catalogue import benchmark_of

    found = benchmark_of(shared_data / "annotations" / file)
    assert found is not None
    assert found.name == name
