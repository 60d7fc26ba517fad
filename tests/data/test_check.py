"""Checks: every fault that was put into a file is found, with its place, and nothing else."""

from __future__ import annotations

import json
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stvg.cli.main import main
from stvg.data import find_benchmark
from stvg.data.check import KINDS, Report, check
from stvg.errors import UsageError
from stvg.video.writer import VideoWriter
from tests.data.annotations import (
    CAPTIONS,
    HCSTVG_V1,
    MASK_DICT,
    MDETR,
    MEVIS,
    QVHIGHLIGHTS,
    RLE_FIRST,
    ST_ALIGN,
    STCAT,
    TVGBENCH,
    VIDOR,
    VIDSTG,
    changed,
)

KEY, OTHER = HCSTVG_V1
GOOD = {KEY: HCSTVG_V1[KEY]}


def checked(name: str, path: Path, media: Path | None = None, **companions: Path) -> Report:
    report = check(find_benchmark(name), path, companions, media)
    json.dumps(report.document(), allow_nan=False)
    assert {finding.kind for finding in report.findings} <= set(KINDS)
    return report


def kinds(report: Report) -> list[str]:
    return [finding.kind for finding in report.findings]


def test_nothing_wrong(store) -> None:
    report = checked("hcstvg_v1", store(GOOD))
    assert report.findings == []
    assert (report.records, report.media, report.without_truth) == (1, 1, 0)


def test_boxes(store) -> None:
    report = checked("hcstvg_v1", store(HCSTVG_V1))
    found = {finding.kind: finding for finding in report.findings}
    assert list(found) == ["box_reversed", "box_outside"]
    assert found["box_reversed"].detail == (
        "1 of 2, the first is [300.0, 200.0, 290.0, 260.0] in frame 1 of 320x240"
    )
    assert found["box_outside"].detail.startswith("2 of 2, the first is [-4.0, 0.0, 16.0, 20.0]")
    assert found["box_outside"].ids == (OTHER,)
    assert f'record "{OTHER}"' in found["box_outside"].place


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("st_frame", 0, ["span_before_start", "span_outside_input"]),
        ("st_frame", 499, ["span_past_end", "span_outside_input"]),  # frames 498 to 500 of 500
        ("bbox", [[1, 2, 0, 4]], ["box_empty"]),
        ("bbox", [], ["boxes_not_found", "span_empty"]),
        ("bbox", [[1, 2, 3]], ["malformed"]),
    ],
)
def test_one_fault(field, value, expected, store) -> None:
    assert kinds(checked("hcstvg_v1", store(changed(GOOD, [KEY, field], value)))) == expected


def test_repeated_keys(store) -> None:
    text = json.dumps(GOOD)
    report = checked("hcstvg_v1", store(text[:-1] + ", " + text[1:]))
    (finding,) = report.findings
    assert finding.kind == "duplicate_id"
    assert f'record "{KEY}"' in finding.detail


def test_malformed_records_do_not_hide_the_others(store) -> None:
    document = {"a.mp4": 5, "b.mp4": {}, **GOOD, "c.mp4": None}
    report = checked("hcstvg_v1", store({**GOOD, **document}))
    assert kinds(report) == ["malformed"] * 3
    assert report.records == 1
    assert [finding.place.partition(", ")[2] for finding in report.findings] == [
        'record "a.mp4"', 'record "b.mp4", field st_frame', 'record "c.mp4"',
    ]  # fmt: skip


def test_cut_file_is_a_finding(store) -> None:
    report = checked("hcstvg_v1", store(json.dumps(GOOD)[:-1] + ', "x.mp4": {"bbox'))
    assert kinds(report) == ["malformed"]
    assert "cut off" in report.findings[0].detail
    assert report.records == 1


def test_vidstg(store) -> None:
    boxes = store(VIDOR, "boxes.json")
    assert kinds(checked("vidstg", store(VIDSTG), trajectories=boxes)) == []
    assert kinds(checked("vidstg", store(VIDSTG))) == ["boxes_not_found"] * 4
    gap = store(changed(VIDOR, ["222", "trajectories", 2], []), "boxes.json")
    (finding,) = checked("vidstg", store(VIDSTG), trajectories=gap).findings
    assert (finding.kind, finding.detail) == ("box_missing", "1 of 3 frames, the first is 2")
    past = store(changed(VIDSTG, [0, "temporal_gt", "end_fid"], 9))
    report = checked("vidstg", past, trajectories=boxes)
    assert set(kinds(report)) == {"box_missing", "span_past_end", "span_outside_input"}
    reversed_ = store(changed(VIDSTG, [1, "temporal_gt", "end_fid"], 1))
    assert "span_empty" in kinds(checked("vidstg", reversed_, trajectories=boxes))


def test_stcat_box_counts(store) -> None:
    boxes = STCAT["0"]["target_bboxs"]
    assert kinds(checked("vidstg", store(STCAT))) == []
    long = store(changed(STCAT, ["0", "target_bboxs"], boxes + boxes))
    (finding,) = checked("vidstg", long).findings
    assert (finding.kind, finding.detail) == ("box_count", "8 boxes for 3 frames")
    short = checked("vidstg", store(changed(STCAT, ["0", "target_bboxs"], boxes[:2])))
    assert kinds(short) == ["box_count", "box_missing"]


def test_st_align(store) -> None:
    assert kinds(checked("st_align", store(ST_ALIGN))) == ["box_missing"]


def test_times(store) -> None:
    report = checked("activitynet_captions", store(CAPTIONS))
    assert [(f.kind, f.ids[0], f.detail) for f in report.findings] == [
        ("span_past_end", "v_abc_1", "it ends at 21 s, the video at 20 s"),
        ("span_empty", "v_abc_2", "from 7 to 7 s"),
    ]
    assert kinds(checked("tvgbench", store(TVGBENCH))) == ["span_past_end"]
    close = store({"v_a": {"duration": 95.04, "timestamps": [[1, 95.0401]], "sentences": ["x"]}})
    (finding,) = checked("activitynet_captions", close).findings
    assert finding.detail == "it ends at 95.0401 s, the video at 95.04 s"
    negative = store(changed(CAPTIONS, ["v_def", "timestamps", 0], [-1, 2]))
    assert "span_before_start" in kinds(checked("activitynet_captions", negative))
    assert checked("qvhighlights", store(QVHIGHLIGHTS)).without_truth == 1


def test_truth_that_is_not_public_is_no_fault(store) -> None:
    report = checked("hcstvg_v2", store({"a.mp4": "The man sits."}))
    assert report.findings == []
    assert report.without_truth == 1


def test_images_boxes(store) -> None:
    assert kinds(checked("refcoco", store(MDETR))) == []
    wide = changed(MDETR, ["annotations", 0, "bbox"], [600.0, 0, 40.5, 10])
    (finding,) = checked("refcoco", store(wide)).findings
    assert finding.detail == "is [600.0, 0.0, 640.5, 10.0] of 640x480"
    hair = changed(MDETR, ["annotations", 0, "bbox"], [564.22, 0, 75.78000000000003, 10])
    assert kinds(checked("refcoco", store(hair))) == []


def test_masks(store) -> None:
    path = store(MEVIS)
    assert kinds(checked("mevis", path, masks=store(MASK_DICT, "m.json"))) == []
    nowhere = store({**MASK_DICT, "4": [None, None]}, "m.json")
    (finding,) = checked("mevis", path, masks=nowhere).findings
    assert (finding.kind, finding.detail) == ("mask_empty", "object 1")
    other = {"size": [3, 2], "counts": RLE_FIRST["counts"]}
    mixed = store({**MASK_DICT, "4": [None, other]}, "m.json")
    assert kinds(checked("mevis", path, masks=mixed)) == ["mask_sizes"]


@pytest.fixture
def clips(tmp_path) -> Path:
    """A clip of 20 frames of 64 x 48 at 10 per second, in a subfolder."""
    folder = tmp_path / "clips"
    (folder / "part_1").mkdir(parents=True)
    with VideoWriter(folder / "part_1" / "a.mp4", fps=Fraction(10)) as writer:
        for number in range(20):
            writer.write(np.full((48, 64, 3), 10 * number, np.uint8), number / 10)
    return folder


def clip_record(**changes):
    values = {
        "bbox": [[1, 2, 3, 4]] * 3, "st_time": 0.0, "ed_time": 0.3, "img_num": 20, "st_frame": 1,
        "caption": "It gets light.", "width": 64, "height": 48,
    }  # fmt: skip
    return values | changes


def test_videos(store, clips) -> None:
    report = checked("hcstvg_v1", store({"a.mkv": clip_record()}), clips)
    assert report.findings == []
    assert report.media_folder == str(clips)


def test_faults_of_videos(store, clips) -> None:
    (clips / "broken.mp4").write_bytes(b"no video")
    document = {
        "a.mp4": clip_record(width=48, height=64, img_num=25, st_frame=20),
        "broken.mp4": clip_record(),
        "absent.mp4": clip_record(),
    }
    report = checked("hcstvg_v1", store(document), clips)
    found = {(finding.kind, Path(finding.file).name): finding for finding in report.findings}
    assert list(found) == [
        ("media_size", "a.mp4"),
        ("media_length", "a.mp4"),
        ("span_past_media", "a.mp4"),
        ("media_unreadable", "broken.mp4"),
        ("media_missing", "absent.mp4"),
    ]
    details = [finding.detail for finding in report.findings]
    assert details[0] == "64x48, annotated 48x64"
    assert details[1] == "20 frames, annotated 25"
    assert details[2] == "it ends at frame 22, the file at 20"
    assert found["media_missing", "absent.mp4"].ids == ("absent.mp4",)


def test_one_finding_names_all_queries_of_a_video(store, clips) -> None:
    report = checked("activitynet_captions", store({"v_abc": CAPTIONS["v_abc"]}), clips)
    missing = [finding for finding in report.findings if finding.kind == "media_missing"]
    assert [finding.ids for finding in missing] == [("v_abc_0", "v_abc_1", "v_abc_2")]


def test_durations_of_videos(store, clips) -> None:
    def document(duration):
        return store({"a": {"duration": duration, "timestamps": [[0, 1.5]], "sentences": ["It."]}})

    assert kinds(checked("activitynet_captions", document(2.9), clips)) == []
    report = checked("activitynet_captions", document(3.5), clips)
    assert [(f.kind, f.detail) for f in report.findings] == [
        ("media_length", "2.00 s, annotated 3.5 s")
    ]


def test_clips_of_longer_videos_are_not_measured(store, clips) -> None:
    item = changed(TVGBENCH, [1, "path"], "./videos/a.mp4")[1]
    report = checked("tvgbench", store([changed(item, ["answer"], "1-2")]), clips)
    assert report.findings == []


def test_same_name_twice(store, clips) -> None:
    (clips / "part_2").mkdir()
    (clips / "part_2" / "a.mp4").touch()
    (finding,) = checked("hcstvg_v1", store({"a.mp4": clip_record()}), clips).findings
    assert finding.kind == "media_ambiguous"
    assert "part_1" in finding.detail
    assert "part_2" in finding.detail


def test_images(store, tmp_path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    name = MDETR["images"][0]["file_name"]
    Image.new("RGB", (640, 480)).save(folder / name)
    assert kinds(checked("refcoco", store(MDETR), folder)) == []
    Image.new("RGB", (480, 640)).save(folder / name)
    assert kinds(checked("refcoco", store(MDETR), folder)) == ["media_size"]
    (folder / name).write_bytes((folder / name).read_bytes()[:300])
    assert kinds(checked("refcoco", store(MDETR), folder)) == ["media_unreadable"]


def test_folders_of_frames(store, tmp_path) -> None:
    folder = tmp_path / "JPEGImages"
    (folder / "0123456789ab").mkdir(parents=True)
    (folder / "0123456789ab" / "00000.jpg").touch()
    (finding,) = checked("mevis", store(MEVIS), folder).findings
    assert finding.detail == "1 of 2 frames missing, the first is 00001"
    assert len(finding.ids) == 2


def test_absent_folder(store, tmp_path) -> None:
    with pytest.raises(UsageError, match="expected a folder with the video files"):
        checked("hcstvg_v1", store(GOOD), tmp_path / "absent")


def test_documented_kinds_are_the_kinds() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "data.md").read_text()
    table = dict(re.findall(r"^\| `(\w+)` \| ([^|]+?)(?: \([^)|]*\))? \|$", page, re.MULTILINE))
    assert {kind: table.get(kind) for kind in KINDS} == KINDS


def test_the_report_never_replaces_what_is_checked(store, capsys) -> None:
    path = store(GOOD)
    before = path.read_bytes()
    assert main(["data", "check", "hcstvg_v1", "-a", str(path), "--out", str(path)]) == 2
    assert "would replace the annotations" in capsys.readouterr().err
    assert path.read_bytes() == before
