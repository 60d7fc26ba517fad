"""Records become samples and samples the same records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stvg.data import find_benchmark
from stvg.data.base import BoxRecord, TimeRecord, TubeRecord
from stvg.data.uni_stg.rows import COLUMNS, UnusableError, record_of, row_of
from stvg.types import Query
from tests.data.annotations import HCSTVG_V1, MDETR, TVGBENCH, VIDOR, VIDSTG


def tube(**changes: Any) -> TubeRecord:
    values: dict[str, Any] = {
        "id": "7", "query": Query("the dog runs", "declarative"), "media": "a/b.mp4",
        "place": "here", "width": 100, "height": 50, "fps": 30000 / 1001, "frame_count": 300,
        "segment": (0, 300), "span": (31, 35), "first_box_frame": 31,
        "boxes": np.array([[0, 0, 10, 10], [1, 0, 11, 10], [2, 0, 12, 10], [3, 0, 13, 10]], float),
    }  # fmt: skip
    return TubeRecord(**{**values, **changes})


def back(record: Any) -> Any:
    row = row_of(record, "source")
    assert list(row) == list(COLUMNS)
    return record_of(json.loads(json.dumps(row)), "there")


def same_tube(record: TubeRecord, other: TubeRecord) -> None:
    for name in ("media", "width", "height", "fps", "frame_count", "segment"):
        assert getattr(other, name) == getattr(record, name), name
    assert (other.query.text, other.query.form) == (record.query.text, record.query.form)
    mine, its = record.sample().target, other.sample().target
    assert mine is not None
    assert its is not None
    assert its.interval == mine.interval
    assert its.times_s.tolist() == mine.times_s.tolist()
    assert its.boxes.tolist() == mine.boxes.tolist()


@pytest.mark.parametrize("document", [(HCSTVG_V1, "hcstvg_v1"), (VIDSTG, "vidstg")])
def test_tubes_of_benchmarks_come_back(document: Any, store: Any) -> None:
    values, name = document
    companions = {"trajectories": store(VIDOR, "boxes.json")} if name == "vidstg" else {}
    records = list(find_benchmark(name).read(store(values), **companions))
    assert records
    for record in records:
        same_tube(record, back(record))


def test_frames_come_back_at_an_odd_rate() -> None:
    """Every frame of ten minutes at 29.97, through seconds and back."""
    count = 18_000
    boxes = np.tile([0.0, 0.0, 10.0, 10.0], (count, 1))
    record = tube(frame_count=count, segment=(0, count), span=(0, count), boxes=boxes,
                  first_box_frame=0)  # fmt: skip
    found = back(record)
    assert found.span == (0, count)
    assert found.boxes.shape == (count, 4)
    assert np.isfinite(found.boxes).all()


def test_boxes_that_are_not_there_stay_away() -> None:
    boxes = tube().boxes.copy()
    boxes[1] = np.nan
    found = back(tube(boxes=boxes))
    assert np.isnan(found.boxes[:, 0]).tolist() == [False, True, False, False]
    assert found.first_box_frame == 31
    same_tube(tube(boxes=boxes), found)


def test_an_input_that_is_a_part_comes_back() -> None:
    record = tube(segment=(20, 80))
    assert row_of(record, "s")["clip_s"] == pytest.approx([20 * 1001 / 30000, 80 * 1001 / 30000])
    assert back(record).segment == (20, 80)
    unknown = back(tube(frame_count=80, segment=(20, 80), extra={"frame_count_unknown": True}))
    assert unknown.segment == (20, 80)
    assert unknown.extra["frame_count_unknown"]


def test_boxes_come_back_cut_to_the_picture(store: Any) -> None:
    for record in find_benchmark("refcoco").read(store(MDETR)):
        assert isinstance(record, BoxRecord)
        found = back(record)
        edge = [record.width, record.height] * 2
        assert found.box.tolist() == np.clip(record.box, 0, edge).tolist()
        assert (found.width, found.media) == (record.width, record.media)


def test_moments_come_back_cut_to_the_video(store: Any) -> None:
    for record in find_benchmark("tvgbench").read(store(TVGBENCH)):
        assert isinstance(record, TimeRecord)
        found = back(record)
        assert found.windows[0, 0] == record.windows[0, 0]
        assert found.windows[0, 1] == min(record.windows[0, 1], record.duration_s)
        assert found.extra.get("start") == record.extra.get("start")


def moment(*windows: list[float], duration_s: float = 10.0) -> TimeRecord:
    return TimeRecord(
        id="1", query=Query("a door opens"), media="v", place="here", duration_s=duration_s,
        windows=np.array(windows, float).reshape(-1, 2),
    )  # fmt: skip


def picture(box: list[float], size: tuple[int, int] = (20, 20)) -> BoxRecord:
    return BoxRecord(id="1", query=Query("a door"), media="a.jpg", place="here", width=size[0],
                     height=size[1], box=np.array(box, float))  # fmt: skip


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (moment(), "no moment"),
        (moment([1, 2], [3, 4]), "several moments"),
        (moment([10, 12]), "empty interval"),  # behind the end
        (moment([3, 3]), "empty interval"),
        (picture([np.nan] * 4), "no box"),
        (picture([5, 5, 5, 9]), "empty box"),
        (picture([25, 5, 30, 9]), "empty box"),  # outside the picture
        (tube(boxes=np.zeros((0, 4))), "no boxes"),
        (tube(fps=float("nan")), "no frame rate"),
        (tube(boxes=np.tile([200.0, 0, 210, 10], (4, 1))), "no usable box"),
    ],
)
def test_what_nothing_can_be_learnt_from(record: Any, reason: str) -> None:
    with pytest.raises(UnusableError, match=f"^{reason}$"):
        row_of(record, "source")


def test_sizes_and_lengths_that_are_not_known() -> None:
    assert back(moment([1, 99], duration_s=float("nan"))).windows.tolist() == [[1, 99]]
    found = back(picture([1, 1, 500, 500], (0, 0)))
    assert (found.width, found.box.tolist()) == (0, [1, 1, 500, 500])


def test_columns_are_described_in_the_docs() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "uni_stg.md").read_text()
    assert all(f"| `{name}` | {meaning} |" in page for name, meaning in COLUMNS.items())
