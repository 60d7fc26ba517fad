"""What the tools' own readers make of our files; skipped by name where a reader is not installed.

The readers bring versions of packages that ours need not get along with; in an environment of
theirs: ``pip install datumaro`` (or ``label-studio-sdk``), the core dependencies of stvg, pytest,
and ``PYTHONPATH=src``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stvg.export.base import find_format
from stvg.export.formats.labelstudio import CONFIG
from stvg.export.objects import ExportedVideo, objects_of_predictions
from stvg.geometry.boxes import convert_boxes
from tests.export.scenes import BALL, BOX, answer, ball


@pytest.fixture
def exported() -> ExportedVideo:
    """A ball on frames 5 to 9, a box on the last two."""
    return objects_of_predictions([ball(), answer(BOX, 18, 20, {18: [0, 0, 20, 10]})])


def write(name: str, exported: ExportedVideo, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    find_format(name).write(exported, path)
    return path


def sides(exported: ExportedVideo, number: int) -> dict[int, list[float]]:
    """``[x, y, width, height]`` by frame of one object."""
    each = exported.objects[number]
    rows = convert_boxes(each.boxes, "xyxy", "xywh").tolist()
    return dict(zip(each.frames.tolist(), rows, strict=True))


def test_datumaro_reads_cvat(exported: ExportedVideo, tmp_path: Path) -> None:
    """It reads boxes as they stand, so keyframes only; hidden ones are marked."""
    datumaro = pytest.importorskip("datumaro")
    write("cvat", exported, tmp_path / "annotations.xml")
    dataset = datumaro.Dataset.import_from(str(tmp_path), "cvat")
    found = {item.attributes["frame"]: item.annotations[0] for item in dataset if item.annotations}
    assert sorted(found) == [5, 8, 9, 10, 18, 19]
    assert [found[frame].attributes["outside"] for frame in sorted(found)] == [
        False, False, False, True, False, False
    ]  # fmt: skip
    for number, frames in ((0, (5, 8, 9)), (1, (18, 19))):
        for frame in frames:
            assert found[frame].get_bbox() == pytest.approx(sides(exported, number)[frame])
            assert found[frame].attributes["query"] == (BALL, BOX)[number]
            assert found[frame].attributes["track_id"] == number


def test_datumaro_reads_coco(exported: ExportedVideo, tmp_path: Path) -> None:
    datumaro = pytest.importorskip("datumaro")
    (tmp_path / "images").mkdir()
    write("coco", exported, tmp_path / "annotations" / "instances_street.json")
    dataset = datumaro.Dataset.import_from(str(tmp_path), "coco_instances")
    found = {int(item.id.rpartition("/")[2]): item.annotations for item in dataset}
    assert sorted(found) == list(range(20))
    labels = [each.name for each in dataset.categories()[datumaro.AnnotationType.label]]
    for number, sentence in enumerate((BALL, BOX)):
        for frame, box in sides(exported, number).items():
            (annotation,) = found[frame]
            assert annotation.get_bbox() == pytest.approx(box)
            assert labels[annotation.label] == sentence
    assert found[0] == []


def test_datumaro_reads_mot(exported: ExportedVideo, tmp_path: Path) -> None:
    """It leaves positions as they are, from 1; sizes, frames from 1 and ids agree."""
    datumaro = pytest.importorskip("datumaro")
    write("mot", exported, tmp_path / "gt" / "gt.txt")
    dataset = datumaro.Dataset.import_from(str(tmp_path), "mot_seq")
    found = {int(item.id): item.annotations for item in dataset}
    assert sorted(found) == [6, 7, 8, 9, 10, 19, 20]
    for number in (0, 1):
        for frame, box in sides(exported, number).items():
            (annotation,) = found[frame + 1]
            assert annotation.get_bbox() == pytest.approx(np.add(box, [1, 1, 0, 0]), abs=1e-3)
            assert annotation.attributes["track_id"] == number + 1


def test_pycocotools_reads_coco(exported: ExportedVideo, tmp_path: Path) -> None:
    """A core dependency: never skipped."""
    from pycocotools.coco import COCO

    coco = COCO(str(write("coco", exported, tmp_path / "coco.json")))
    assert [each["name"] for each in coco.loadCats(coco.getCatIds())] == [BALL, BOX]
    (number,) = coco.getAnnIds(imgIds=[9], catIds=[1])  # frame 8
    assert coco.loadAnns([number])[0]["bbox"] == [40, 20, 20, 20]
    assert coco.loadImgs([9])[0]["file_name"] == "street/000008.jpg"


def test_label_studio_fills_in_between_keyframes(exported: ExportedVideo, tmp_path: Path) -> None:
    """Label Studio's own export of all frames: those of the tube, where the tube has them."""
    video = pytest.importorskip(
        "label_studio_sdk._extensions.label_studio_tools.postprocessing.video"
    )
    (task,) = json.loads(write("labelstudio", exported, tmp_path / "tasks.json").read_text())
    regions: list[Any] = video.extract_key_frames(task["predictions"][0]["result"])
    rectangles = [each for each in regions if each["type"] == "videorectangle"]
    for number, region in enumerate(rectangles):
        found = {key["frame"]: key for key in region["value"]["sequence"]}
        expected = sides(exported, number)
        assert sorted(found) == [frame + 1 for frame in expected]
        for frame, (x, y, width, height) in expected.items():
            key = found[frame + 1]
            percent = [key["x"], key["y"], key["width"], key["height"]]
            assert percent == pytest.approx([x / 2, y, width / 2, height])  # of 200 x 100


def test_label_studio_accepts_tasks(exported: ExportedVideo, tmp_path: Path) -> None:
    """The labelling configuration is valid, and tasks and pre-annotations fit it."""
    interface = pytest.importorskip("label_studio_sdk.label_interface")
    config = interface.LabelInterface(CONFIG)
    config.validate()
    (task,) = json.loads(write("labelstudio", exported, tmp_path / "tasks.json").read_text())
    assert config.validate_task({"data": task["data"]})
    assert config.validate_prediction(task["predictions"][0], return_errors=True) == []
