"""Out to an annotation tool and back as training data: the same tube, read by everything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stvg.data import find_benchmark
from stvg.data.base import TubeRecord
from stvg.data.check import check
from stvg.errors import FormatError
from stvg.export.base import find_format
from stvg.export.corrections import Videos, write_annotations
from stvg.export.from_cvat import read_cvat
from stvg.export.from_labelstudio import read_labelstudio
from stvg.export.keyframes import keyframes
from stvg.export.objects import objects_of_predictions
from stvg.geometry.boxes import interpolate_boxes
from stvg.types import Prediction, VideoMeta
from stvg.video import probe
from tests.export.scenes import BALL, BOX, answer, ball, submitted, write_film


@pytest.fixture
def video(tmp_path: Path) -> VideoMeta:
    return film_of_20(tmp_path)


def there_and_back(name: str, answers: list[Prediction], folder: Path) -> list[TubeRecord]:
    """The records that answers become when nobody corrects anything."""
    path, annotations = folder / "tool", folder / "annotations.json"
    find_format(name).write(objects_of_predictions(answers), path)
    if name == "labelstudio":
        submitted(path)
    read: Any = {"cvat": read_cvat, "labelstudio": read_labelstudio}[name]
    write_annotations(read(path, Videos(folder / "clips")), annotations)
    records: list[Any] = list(find_benchmark("vidstg").read(annotations))
    return records


@pytest.mark.parametrize("name", ["cvat", "labelstudio"])
def test_same_tubes(name: str, video: VideoMeta, tmp_path: Path) -> None:
    """A moving ball, a box to the end of the video, a tube of one frame."""
    rng = np.random.default_rng(0)
    corners = {frame: [*(left := rng.uniform(0, 90, 2)), *(left + rng.uniform(1, 10, 2))]
               for frame in range(12, 20)}  # fmt: skip
    answers = [ball(video), answer(BOX, 12, 20, corners, video=video),
               answer("a flash", 3, 4, {3: [0, 0, 200, 100]}, video=video)]  # fmt: skip
    records = there_and_back(name, answers, tmp_path)
    assert [record.query.text for record in records] == [BALL, BOX, "a flash"]
    for record, sent in zip(records, answers, strict=True):
        assert sent.tube is not None
        target = record.sample().target
        assert target is not None
        assert (record.media, record.width, record.height) == ("street.mp4", 200, 100)
        assert target.interval.start_s == pytest.approx(sent.tube.interval.start_s)
        assert target.interval.end_s == pytest.approx(sent.tube.interval.end_s)
        assert target.boxes == pytest.approx(sent.tube.at(target.times_s + 1e-9), abs=0.02)
        assert len(target) == record.span[1] - record.span[0]


def film_of_20(folder: Path) -> VideoMeta:
    (folder / "clips").mkdir()
    return probe(write_film(folder / "clips" / "street.mp4"))


@st.composite
def tubes(draw: st.DrawFn) -> dict[int, list[float]]:
    """Boxes with an area on a stretch of the 20 frames of 200 x 100 pixels, edges included."""
    start = draw(st.integers(0, 19))
    left, top = st.integers(0, 198), st.integers(0, 98)
    found = {}
    for frame in range(start, draw(st.integers(start + 1, 20))):
        x, y = draw(left), draw(top)
        right, bottom = draw(st.integers(x + 1, 200)), draw(st.integers(y + 1, 100))
        found[frame] = [float(each) for each in (x, y, right, bottom)]
    return found


@pytest.mark.parametrize("name", ["cvat", "labelstudio"])
def test_any_tube_comes_back(name: str, tmp_path: Path) -> None:
    """Whole pixels are exact in both tools; with every keyframe written all of the tube is."""
    video = film_of_20(tmp_path)

    @given(boxes=tubes())
    @settings(deadline=None, max_examples=100)
    def check_one(boxes: dict[int, list[float]]) -> None:
        start, end = min(boxes), max(boxes) + 1
        (record,) = there_and_back(name, [answer(BOX, start, end, boxes, video=video)], tmp_path)
        assert record.span == (start, end)
        assert record.boxes == pytest.approx(np.array(list(boxes.values())), abs=0.011)

    check_one()


def test_the_annotation_file_is_in_order(video: VideoMeta, tmp_path: Path) -> None:
    there_and_back("cvat", [ball(video)], tmp_path)
    report = check(find_benchmark("vidstg"), tmp_path / "annotations.json", {}, tmp_path / "clips")
    assert report.document()["findings"] == []


def test_hidden_frames_come_back_without_a_box(video: VideoMeta, tmp_path: Path) -> None:
    path, annotations = tmp_path / "tool.xml", tmp_path / "annotations.json"
    exported = objects_of_predictions([ball(video)])
    find_format("cvat").write(exported, path)
    hidden = path.read_text().replace('frame="8" keyframe="1" outside="0"',
                                      'frame="8" keyframe="1" outside="1"')  # fmt: skip
    path.write_text(hidden)
    write_annotations(read_cvat(path, Videos(tmp_path / "clips")), annotations)
    (record,) = find_benchmark("vidstg").read(annotations)
    assert isinstance(record, TubeRecord)
    assert record.span == (5, 10)
    assert np.isnan(record.boxes[:, 0]).tolist() == [False, False, False, True, False]


def test_two_tubes_of_one_sentence_are_refused(video: VideoMeta, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"track 0 and .*track 1: expected one tube a sentence"):
        there_and_back("cvat", [ball(video), ball(video)], tmp_path)
    with pytest.raises(FormatError, match="expected at least one tube"):
        write_annotations([], tmp_path / "annotations.json")


@given(
    corners=st.lists(st.lists(st.floats(0, 100), min_size=4, max_size=4), min_size=1, max_size=30),
    tolerance_px=st.floats(0, 20),
)
@settings(deadline=None)
def test_keyframes_give_every_box_back(corners: list[list[float]], tolerance_px: float) -> None:
    boxes, frames = np.array(corners), np.arange(7, 7 + len(corners))
    rows = keyframes(frames, boxes, tolerance_px)
    assert rows == sorted({0, len(corners) - 1, *rows})
    back = interpolate_boxes(frames[rows], boxes[rows], frames)
    assert np.abs(back - boxes).max() <= tolerance_px + 1e-9
