"""Descriptions: numbers that can be counted by hand in the made-up files."""

from __future__ import annotations

import json

import pytest

from stvg.cli.main import main
from stvg.data import find_benchmark
from stvg.data.describe import describe
from stvg.errors import FormatError
from tests.data.annotations import CAPTIONS, HCSTVG_V1, MDETR, MEVIS, VIDOR, VIDSTG, changed


def described(name, document, store, **companions):
    found = describe(find_benchmark(name), store(document), companions)
    json.dumps(found, allow_nan=False)
    return found


def test_tubes(store) -> None:
    found = described("vidstg", VIDSTG, store, trajectories=store(VIDOR, "boxes.json"))
    assert (found["records"], found["media"], found["malformed"]) == (4, 2, 0)
    assert found["forms"] == {"declarative": 2, "interrogative": 2}
    assert found["measures"]["span, frames"] == {"count": 4, "min": 3, "median": 3, "max": 3}
    assert found["measures"]["span, seconds"]["min"] == 0.12
    assert found["measures"]["span, seconds"]["max"] == 0.3
    assert found["measures"]["box width, pixels"]["median"] == 10
    assert found["measures"]["box, share of the image"]["median"] == 0.01  # 50 of 5000 pixels
    assert found["counts"]["video size"] == {"100x50": 4}
    assert found["counts"]["frames per second"] == {"10.00": 3, "25.00": 1}
    quirks = {quirk["name"]: quirk["count"] for quirk in found["quirks"]}
    assert quirks == {
        "ends_after_segment": 1, "ends_with_video": 1, "gone_at_end": 1, "shorter_than_sampling": 1,
    }  # fmt: skip


def test_times(store) -> None:
    document = changed(CAPTIONS, ["v_abc", "timestamps", 2], [0, 18.5])
    found = described("activitynet_captions", document, store)
    assert found["shared_spans"] == 2
    assert found["measures"]["span, seconds"] == {
        "count": 4, "min": 1, "median": 17.0, "max": 18.5,
    }  # fmt: skip
    assert found["measures"]["video, seconds"]["count"] == 4


def test_boxes_and_masks(store) -> None:
    found = described("refcoco", MDETR, store)
    assert found["media_kind"] == "image"
    assert found["measures"]["box width, pixels"]["min"] == 30
    found = described("mevis", MEVIS, store)
    assert found["without_truth"] == 2
    assert found["measures"]["objects a query"] == {"count": 2, "min": 1, "median": 1.5, "max": 2}


def test_malformed_entries_are_counted(store) -> None:
    key = next(iter(HCSTVG_V1))
    found = described("hcstvg_v1", changed(HCSTVG_V1, [key, "st_frame"], None), store)
    assert (found["records"], found["malformed"]) == (1, 1)


def test_queries_only(store) -> None:
    found = described("hcstvg_v2", {"a.mp4": "The man sits.", "b.mp4": "A boy runs."}, store)
    assert (found["records"], found["without_truth"]) == (2, 2)
    assert "span, seconds" not in found["measures"]


def test_empty_and_other_files(store) -> None:
    found = described("hcstvg_v1", {}, store)
    assert (found["records"], found["measures"], found["quirks"]) == (0, {}, [])
    with pytest.raises(FormatError, match="looks like ActivityNet Captions"):
        described("hcstvg_v1", CAPTIONS, store)


def test_a_file_without_one_good_entry_is_a_failure(store, capsys) -> None:
    path = store('{"a.mp4": {"bbox": []}}')
    assert main(["data", "describe", "hcstvg_v1", "-a", str(path)]) == 1
    assert "0 queries on 0 videos\n1 entries are not in order" in capsys.readouterr().out
