"""``stvg data``: what it prints, writes and leaves with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.data.annotations import CAPTIONS, HCSTVG_V1, VIDOR, VIDSTG

Run = Callable[..., Any]


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Any, str], Path]:
    def store(document: Any, name: str) -> Path:
        path = tmp_path / name
        path.write_text(json.dumps(document))
        return path

    return store


@pytest.mark.parametrize(
    "words", [["data"], ["data", "describe"], ["data", "check"], ["data", "list"]]
)
def test_help_has_an_example(words: list[str], stvg: Run) -> None:
    result = stvg(*words, "--help")
    assert result.code == 0
    assert "Example" in result.out
    assert "stvg data" in result.out


def test_group_is_listed(stvg: Run) -> None:
    assert "data" in stvg("--help").out


def test_list(stvg: Run) -> None:
    result = stvg("data", "list", "--json")
    found = {each["name"]: each for each in json.loads(result.out)}
    assert found["vidstg"]["kind"] == "TubeRecord"
    assert "trajectories" in found["vidstg"]["with"]
    assert "HC-STVG v1" in stvg("data", "list").out


def test_describe(stvg: Run, write: Any) -> None:
    annotations, boxes = write(VIDSTG, "test.json"), write(VIDOR, "boxes.json")
    words = ["data", "describe", "vidstg", "--annotations", annotations, "--trajectories", boxes]
    result = stvg(*words)
    assert result.code == 0
    assert "VidSTG: 4 queries on 2 videos (2 declarative, 2 interrogative)" in result.out
    assert "gone_at_end" in result.out
    document = json.loads(stvg(*words, "--json").out)
    assert document["format"] == "stvg.data_description/1"
    assert document["records"] == 4


def test_check(stvg: Run, write: Any, tmp_path: Path) -> None:
    annotations, out = write(HCSTVG_V1, "test.json"), tmp_path / "report.json"
    result = stvg("data", "check", "hcstvg_v1", "-a", annotations, "--out", out)
    assert result.code == 1
    assert "box_outside" in result.out
    assert 'record "8_hijkLMN.two.dots.mkv"' in result.out
    document = json.loads(out.read_text())
    assert document["format"] == "stvg.data_check/1"
    assert document["findings_by_kind"] == {"box_reversed": 1, "box_outside": 1}
    assert document["findings"][0]["ids"] == ["8_hijkLMN.two.dots.mkv"]
    assert (
        json.loads(stvg("data", "check", "hcstvg_v1", "-a", annotations, "--json").out) == document
    )


def test_check_of_a_good_file(stvg: Run, write: Any) -> None:
    annotations = write({"v_def": CAPTIONS["v_def"]}, "val.json")
    result = stvg("data", "check", "activitynet_captions", "-a", annotations)
    assert result.code == 0
    assert "0 findings" in result.out


def test_check_with_companions(stvg: Run, write: Any) -> None:
    annotations, boxes = write(VIDSTG, "test.json"), write(VIDOR, "boxes.json")
    words = ["data", "check", "vidstg", "-a", annotations]
    assert stvg(*words).code == 1
    assert stvg(*words, "--with", f"trajectories={boxes}").code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["describe", "vidsgt", "-a", "x"], "did you mean 'vidstg'"),
        (["check", "vidstg", "-a", "absent.json"], "there is no such file"),
        (["check", "vidstg"], "annotations"),
        (["check", "vidstg", "-a", "x", "--with", "boxes"], "expects NAME=PATH"),
        (["chekc"], "check"),
    ],
)
def test_wrong_usage(words: list[str], message: str, stvg: Run) -> None:
    result = stvg("data", *words)
    assert result.code == 2
    assert message in result.err


def test_file_of_another_benchmark(stvg: Run, write: Any) -> None:
    result = stvg("data", "describe", "hcstvg_v1", "-a", write(CAPTIONS, "val.json"))
    assert result.code == 1
    assert "looks like ActivityNet Captions" in " ".join(result.err.split())


def test_report_that_cannot_be_written_is_refused_first(stvg: Run, write: Any) -> None:
    annotations = write(HCSTVG_V1, "test.json")
    result = stvg("data", "check", "hcstvg_v1", "-a", annotations, "--out", "absent/report.json")
    assert result.code == 1
    assert "absent" in result.err
