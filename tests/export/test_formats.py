"""What every format writes, compared with numbers worked out by hand."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from stvg.errors import FormatError, UsageError
from stvg.export.base import available_formats, find_format
from stvg.export.objects import (
    ExportedVideo,
    objects_of_predictions,
    objects_of_tracks,
    read_objects,
)
from stvg.formats.prediction import write_prediction, write_predictions
from stvg.formats.tracks import write_tracks
from stvg.geometry.masks import encode_masks
from stvg.types import Track, Tracks
from tests.export.scenes import BALL, BOX, VIDEO, answer, ball, nothing


def written(name: str, exported: ExportedVideo, folder: Path) -> Path:
    chosen = find_format(name)
    path = folder / f"out{chosen.suffix}"
    chosen.write(exported, path)
    return path


@pytest.fixture
def two_answers() -> ExportedVideo:
    """The ball on frames 5 to 9, nothing, and a box on the last two frames without a score."""
    box = answer(BOX, 18, 20, {18: [0, 0, 200, 100], 19: [0, 0, 200, 100]}, score=None)
    return objects_of_predictions([ball(), nothing("the cat"), box])


@pytest.fixture
def gappy_track() -> ExportedVideo:
    """A dog in frames 0 to 2 and in frame 6."""
    boxes = [[0, 0, 10, 10], [2, 0, 12, 10], [4, 0, 14, 10], [50, 50, 60, 60]]
    track = Track(3, "dog", [0, 1, 2, 6], boxes, [0.9, 0.8, 0.7, 0.6])
    return objects_of_tracks(Tracks(VIDEO, (track,)))


def cvat_boxes(track: ElementTree.Element) -> list[tuple[Any, ...]]:
    """Frame, outside and left edge of every box."""
    return [
        (int(box.attrib["frame"]), box.attrib["outside"], float(box.attrib["xtl"])) for box in track
    ]


def test_cvat(two_answers: ExportedVideo, tmp_path: Path) -> None:
    root = ElementTree.parse(written("cvat", two_answers, tmp_path)).getroot()
    first, second = root.findall("track")
    # straight from 10 to 40 over the frames 5 to 8, still until 9, hidden from 10 on
    assert cvat_boxes(first) == [(5, "0", 10), (8, "0", 40), (9, "0", 40), (10, "1", 40)]
    # the last frame of the video is 19: nothing hides the box after it
    assert cvat_boxes(second) == [(18, "0", 0), (19, "0", 0)]
    assert first.attrib == {"id": "0", "label": "tube", "source": "auto"}
    assert [box.findtext("attribute") for box in first] == [BALL] * 4
    box = first[0].attrib
    assert [box[side] for side in ("xtl", "ytl", "xbr", "ybr")] == [
        "10.00",
        "20.00",
        "30.00",
        "40.00",
    ]
    assert (box["keyframe"], box["occluded"], box["z_order"]) == ("1", "0", "0")
    task = root.find("meta/task")
    assert task is not None
    assert root.findtext("version") == "1.1"
    texts = {
        tag: task.findtext(tag) for tag in ("size", "mode", "start_frame", "stop_frame", "source")
    }
    assert texts == {"size": "20", "mode": "interpolation", "start_frame": "0", "stop_frame": "19",
                     "source": "street.mp4"}  # fmt: skip
    assert task.findtext("original_size/width") == "200"
    attribute = task.find("labels/label/attributes/attribute")
    assert attribute is not None
    assert attribute.findtext("name") == "query"
    assert attribute.findtext("mutable") == "False"


def test_cvat_of_a_track_with_a_gap(gappy_track: ExportedVideo, tmp_path: Path) -> None:
    root = ElementTree.parse(written("cvat", gappy_track, tmp_path)).getroot()
    (track,) = root.findall("track")
    assert track.attrib["label"] == "dog"
    assert cvat_boxes(track) == [(0, "0", 0), (2, "0", 4), (3, "1", 4), (6, "0", 50), (7, "1", 50)]
    assert not list(track.iter("attribute"))


def test_cvat_escapes_and_drops_what_xml_forbids(tmp_path: Path) -> None:
    sentence = 'a <b> & "c" \x01 \uffff \ud800 \U0001f600'
    odd = objects_of_predictions([answer(sentence, 0, 1, {0: [0, 0, 9, 9]})])
    root = ElementTree.parse(written("cvat", odd, tmp_path)).getroot()
    assert root.findtext("track/box/attribute") == 'a <b> & "c" \ufffd \ufffd \ufffd \U0001f600'


def test_mot(two_answers: ExportedVideo, tmp_path: Path) -> None:
    """Frames, ids and positions from 1, ordered by frame; without a score the confidence is 1."""
    assert written("mot", two_answers, tmp_path).read_text().splitlines() == [
        "6,1,11.000,21.000,20.000,20.000,0.500,-1,-1,-1",
        "7,1,21.000,21.000,20.000,20.000,0.500,-1,-1,-1",
        "8,1,31.000,21.000,20.000,20.000,0.500,-1,-1,-1",
        "9,1,41.000,21.000,20.000,20.000,0.500,-1,-1,-1",
        "10,1,41.000,21.000,20.000,20.000,0.500,-1,-1,-1",
        "19,3,1.000,1.000,200.000,100.000,1.000,-1,-1,-1",
        "20,3,1.000,1.000,200.000,100.000,1.000,-1,-1,-1",
    ]


def test_csv(two_answers: ExportedVideo, tmp_path: Path) -> None:
    with written("csv", two_answers, tmp_path).open(newline="") as file:
        rows = list(csv.DictReader(file))
    filled_in = rows[1]
    assert [
        float(filled_in.pop(f"{side}_px")) for side in ("x1", "y1", "x2", "y2")
    ] == pytest.approx([20, 20, 40, 40])
    assert filled_in == {
        "video": "street.mp4", "object": "1", "name": BALL, "frame": "6", "time_s": "0.6",
        "score": "0.5", "kind": "interpolated",
    }  # fmt: skip
    assert [row["frame"] for row in rows] == ["5", "6", "7", "8", "9", "18", "19"]
    assert (rows[5]["score"], rows[5]["kind"]) == ("", "predicted")


def test_times_of_uneven_frames(tmp_path: Path) -> None:
    """A file of predictions has the true times of each interval; each answer keeps its own."""
    uneven = replace(VIDEO, frame_times_s=np.array([0, *np.linspace(0.15, 1.9, 19)]))
    times_s = uneven.times_s[[1, 7]].tolist()
    path = tmp_path / "answers.json"
    write_predictions([answer("a", 1, 2, {1: [0, 0, 9, 9]}, video=uneven),
                       answer("b", 7, 8, {7: [0, 0, 9, 9]}, video=uneven)], path)  # fmt: skip
    with written("csv", read_objects(path), tmp_path).open(newline="") as file:
        assert [float(row["time_s"]) for row in csv.DictReader(file)] == times_s


def test_coco(two_answers: ExportedVideo, tmp_path: Path) -> None:
    document = json.loads(written("coco", two_answers, tmp_path).read_text())
    assert document["categories"] == [
        {"id": 1, "name": BALL, "supercategory": ""}, {"id": 2, "name": BOX, "supercategory": ""}
    ]  # fmt: skip
    assert len(document["images"]) == 20
    assert document["images"][5] == {
        "id": 6, "file_name": "street/000005.jpg", "width": 200, "height": 100, "video_id": 1,
        "frame_id": 5,
    }  # fmt: skip
    filled_in = document["annotations"][1]
    assert filled_in.pop("bbox") == pytest.approx([20, 20, 20, 20])
    assert filled_in.pop("area") == pytest.approx(400)
    assert filled_in == {
        "id": 2, "image_id": 7, "video_id": 1, "category_id": 1, "track_id": 1,
        "segmentation": [], "iscrowd": 0, "score": 0.5,
    }  # fmt: skip
    assert "score" not in document["annotations"][-1]


def test_coco_video(gappy_track: ExportedVideo, tmp_path: Path) -> None:
    document = json.loads(written("coco_video", gappy_track, tmp_path).read_text())
    (video,), (dog,) = document["videos"], document["annotations"]
    assert video["length"] == 20
    assert video["file_names"][19] == "street/000019.jpg"
    assert dog["bboxes"][:7] == [
        [0, 0, 10, 10], [2, 0, 10, 10], [4, 0, 10, 10], None, None, None, [50, 50, 10, 10]
    ]  # fmt: skip
    assert [dog["areas"][6], dog["areas"][7]] == [100, None]
    assert dog["segmentations"] == [None] * 20
    assert (dog["id"], dog["category_id"], dog["video_id"], dog["iscrowd"]) == (3, 1, 1, 0)
    assert dog["score"] == pytest.approx(0.75)  # of 0.9, 0.8, 0.7, 0.6


@pytest.mark.parametrize("name", ["coco", "coco_video"])
def test_coco_masks(name: str, tmp_path: Path) -> None:
    """A mask of 3 x 4 pixels on the first of two frames."""
    mask = np.zeros((100, 200), np.bool_)
    mask[10:14, 20:23] = True
    (rle,) = encode_masks(mask[None])
    tube = replace(
        answer(BOX, 0, 2, {0: [20, 10, 23, 14], 1: [20, 10, 23, 14]}).tube, masks=(rle, None)
    )
    seen = replace(ball(), tube=tube)
    document = json.loads(written(name, objects_of_predictions([seen]), tmp_path).read_text())
    annotations = document["annotations"]
    if name == "coco":
        found = [(each["segmentation"], each["area"]) for each in annotations]
    else:
        found = list(zip(annotations[0]["segmentations"], annotations[0]["areas"], strict=True))[:2]
    assert found[0] == ({"size": [100, 200], "counts": rle["counts"]}, 12)
    assert found[1] == ([] if name == "coco" else None, 12)  # the area of the box


def test_labelstudio(two_answers: ExportedVideo, tmp_path: Path) -> None:
    (task,) = json.loads(written("labelstudio", two_answers, tmp_path).read_text())
    assert task["data"] == {
        "video": "clips/street.mp4", "fps": 10.0,
        "queries": [{"value": BALL}, {"value": BOX}, {"value": "the cat"}],
    }  # fmt: skip
    (prediction,) = task["predictions"]
    assert prediction["model_version"] == "by_hand none"
    where, when, _, last = prediction["result"]
    assert (where["type"], where["from_name"], where["to_name"]) == (
        "videorectangle",
        "where",
        "video",
    )
    value = where["value"]
    assert (value["labels"], value["framesCount"], value["duration"]) == ([BALL], 20, 2.0)
    # frames from 1, percent of 200 x 100, the last frame that is shown is not enabled
    assert [(key["frame"], key["enabled"], key["x"], key["width"], key["y"], key["time"])
            for key in value["sequence"]] == [
        (6, True, 5.0, 10.0, 20.0, 0.6), (9, True, 20.0, 10.0, 20.0, 0.9),
        (10, False, 20.0, 10.0, 20.0, 1.0),
    ]  # fmt: skip
    assert when["type"] == "timelinelabels"
    assert when["value"] == {"ranges": [{"start": 6, "end": 10}], "timelinelabels": [BALL]}
    assert last["value"]["ranges"] == [{"start": 19, "end": 20}]
    assert len({region["id"] for region in prediction["result"]}) == 4


def test_fewer_keyframes_with_a_tolerance(tmp_path: Path) -> None:
    """Straight from frame 5 to frame 9 the ball would be 7.5 pixels behind at frame 8."""
    exported = objects_of_predictions([ball()])
    for tolerance_px, frames in ((7.4, [5, 8, 9, 10]), (7.6, [5, 9, 10])):
        find_format("cvat").write(exported, tmp_path / "out.xml", tolerance_px=tolerance_px)
        track = ElementTree.parse(tmp_path / "out.xml").getroot().find("track")
        assert track is not None
        assert [frame for frame, *_ in cvat_boxes(track)] == frames


@pytest.mark.parametrize("name", available_formats())
def test_nothing_found_is_a_file_without_tracks(name: str, tmp_path: Path) -> None:
    exported = objects_of_predictions([nothing("the cat")])
    assert exported.not_found == ("the cat",)
    assert written(name, exported, tmp_path).is_file()


def test_objects_are_read_from_all_three_kinds_of_file(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    write_prediction(ball(), path)
    assert [each.name for each in read_objects(path).objects] == [BALL]
    write_predictions([ball(), nothing("the cat")], path)
    assert [each.name for each in read_objects(path).objects] == [BALL]
    write_tracks(Tracks(VIDEO, (Track(0, "dog", [1], [[0, 0, 1, 1]], [0.5]),)), path)
    (dog,) = read_objects(path).objects
    assert (dog.id, dog.name, dog.frames.tolist()) == (1, "dog", [1])  # ids from 1
    path.write_text('{"format": "stvg.other/1"}')
    with pytest.raises(FormatError, match=r"stvg\.other"):
        read_objects(path)


def test_answers_on_several_videos_are_refused() -> None:
    other = replace(ball(), video=replace(VIDEO, path="clips/park.mp4"))
    with pytest.raises(UsageError, match=r"street\.mp4 .* and clips/park\.mp4"):
        objects_of_predictions([ball(), other])
    shorter = replace(ball(), video=replace(VIDEO, frames=15, duration_s=1.5))
    with pytest.raises(UsageError, match=r"200x100, 20 frames.* and .*200x100, 15 frames"):
        objects_of_predictions([ball(), shorter])
    with pytest.raises(UsageError, match="found none"):
        objects_of_predictions([])


def test_a_format_of_your_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "from stvg.export.base import Format\n\n\n"
        "class Mine(Format):\n"
        "    name, title, suffix = 'mine', 'Mine', '.txt'\n\n"
        "    def write(self, exported, path, *, tolerance_px=0):\n"
        "        path.write_text(str(len(exported.objects)))\n"
    )
    find_format(f"{path}:Mine").write(objects_of_predictions([ball()]), tmp_path / "out.txt")
    assert (tmp_path / "out.txt").read_text() == "1"
    path = tmp_path / "unfinished.py"
    path.write_text(
        "from stvg.export.base import Format\n\n\nclass Mine(Format):\n    name = 'a'\n"
    )
    with pytest.raises(UsageError, match=r"Mine, found one without title, suffix, write"):
        find_format(f"{path}:Mine")
    with pytest.raises(UsageError, match="did you mean 'cvat'"):
        find_format("cvta")
