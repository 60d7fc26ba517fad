"""``stvg export``, ``stvg data from-cvat`` and ``from-labelstudio`` from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stvg.formats.prediction import write_prediction, write_predictions
from stvg.types import VideoMeta
from stvg.video import probe
from tests.export.scenes import BOX, answer, ball, nothing, submitted, write_film
from tests.predict_methods import reference

Run = Callable[..., Any]


@pytest.fixture
def video(tmp_path: Path) -> VideoMeta:
    (tmp_path / "clips").mkdir()
    return probe(write_film(tmp_path / "clips" / "street.mp4"))


@pytest.fixture
def given(video: VideoMeta, tmp_path: Path) -> Path:
    """Two answers on the video."""
    path = tmp_path / "answers.json"
    write_predictions([ball(video), answer(BOX, 0, 20, {0: [1, 1, 9, 9]}, video=video)], path)
    return path


@pytest.mark.parametrize("words", [["export"], ["data", "from-cvat"], ["data", "from-labelstudio"]])
def test_help_has_an_example(words: list[str], stvg: Run) -> None:
    result = stvg(*words, "--help")
    assert result.code == 0
    assert f"stvg {' '.join(words)} " in result.out


@pytest.mark.parametrize("tool", ["cvat", "labelstudio"])
def test_corrected_tubes_are_a_benchmark(tool: str, given: Path, stvg: Run, tmp_path: Path) -> None:
    """What comes back is answered and scored: an answer that is the truth scores 100."""
    result = stvg("export", given, "--to", tool)
    assert result.code == 0
    assert "2 tracks for " in result.err
    (exported,) = tmp_path.glob(f"answers.{tool}.*")
    if tool == "labelstudio":
        submitted(exported)
    annotations, clips, predictions = (tmp_path / n for n in ("a.json", "clips", "p.jsonl"))
    result = stvg("data", f"from-{tool}", exported, "--videos", clips, "--out", annotations)
    assert result.code == 0, result.err
    assert "2 tubes on 1 video, benchmark vidstg" in result.err
    common = ["vidstg", "--annotations", annotations]
    result = stvg("predict", *common, "--videos", clips, "--method", reference("Perfect"),
                  "--model", f"vidstg={annotations}", "--out", predictions)  # fmt: skip
    assert result.code == 0, result.err
    result = stvg("evaluate", *common, "--predictions", predictions, "--json")
    assert result.code == 0, result.err
    for protocol in json.loads(result.out)["protocols"].values():
        assert protocol["metrics"]["m_vIoU"] == pytest.approx(1)


def test_several_files_of_cvat_are_one_annotation_file(
    given: Path, video: VideoMeta, stvg: Run, tmp_path: Path
) -> None:
    second = tmp_path / "more.json"
    write_prediction(answer("another", 3, 9, {3: [0, 0, 5, 5]}, video=video), second)
    for file in (given, second):
        stvg("export", file, "--to", "cvat")
    files = [tmp_path / "answers.cvat.xml", tmp_path / "more.cvat.xml"]
    out = tmp_path / "annotations.json"
    result = stvg("data", "from-cvat", *files, "--videos", tmp_path / "clips", "--out", out)
    assert "3 tubes on 1 video" in result.err


def test_what_was_not_found_is_told(stvg: Run, tmp_path: Path) -> None:
    path = tmp_path / "answer.json"
    write_prediction(nothing("the cat"), path)
    result = stvg("export", path, "--to", "csv", "--out", tmp_path / "out.csv")
    assert result.code == 0
    assert "no track for 'the cat': nothing was found" in result.err
    assert "0 tracks for CSV" in result.err


def test_wrong_usage(given: Path, stvg: Run, tmp_path: Path) -> None:
    result = stvg("export", given, "--to", "cvta")
    assert (result.code, "did you mean 'cvat'" in result.err) == (2, True)
    result = stvg("export", given, "--to", "csv", "--out", given)
    assert (result.code, "would replace the input" in result.err) == (2, True)
    words = ["data", "from-cvat", given, "--videos", tmp_path / "absent", "--out", tmp_path / "a"]
    assert stvg(*words).code == 2
