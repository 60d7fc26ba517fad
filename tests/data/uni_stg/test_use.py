"""A built set is trained on, answered and described like any benchmark, and built by a command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stvg.cli.main import main
from stvg.data.uni_stg.build import build
from tests.predict_methods import reference

pytest.importorskip("datasets", reason="the data extra is not installed")


@pytest.fixture
def built(recipe: Any, world: Path, tmp_path: Path) -> Path:
    source = {"name": "world", "benchmark": "hcstvg_v2", "folder": "videos",
              "annotations": world / "annotations.json"}  # fmt: skip
    build(recipe(source, media=world), tmp_path / "set")
    return tmp_path / "set"


def test_training_sees_what_the_source_says(built: Path, world: Path) -> None:
    """A step on the set is the step on the annotations that it was built from."""
    from stvg.train.starting import without_weights
    from stvg.train.tasks.benchmark import Task
    from tests.train.small import TEXT_BOX, backbone

    def batch(benchmark: str, annotations: Path, videos: Path) -> Any:
        values = {"benchmark": benchmark, "annotations": str(annotations), "videos": str(videos),
                  "clips": 3, "options": {**TEXT_BOX, "constrained": False}}  # fmt: skip
        return Task.of(values).maker(without_weights(backbone())).batch(range(3))

    mine = batch("uni_stg", built, world)
    its = batch("hcstvg_v2", world / "annotations.json", world / "videos")
    assert mine.rows.ids.tolist() == its.rows.ids.tolist()
    assert mine.counts == its.counts
    for (pixels, _), (others, _) in zip(mine.videos, its.videos, strict=True):
        assert (pixels == others).all()
    for prompt, other in zip(mine.prompts, its.prompts, strict=True):
        np.testing.assert_array_equal(prompt.truth.tubes[0].boxes, other.truth.tubes[0].boxes)


def test_check_finds_the_videos(
    built: Path, world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["data", "check", "uni_stg", "-a", str(built), "--videos", str(world), "--json"]
    code = main(words)
    report = json.loads(capsys.readouterr().out)
    assert (code, report["records"], report["findings"]) == (0, 3, [])


def test_predict_and_evaluate(
    built: Path, world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "answers.jsonl"
    words = ["--annotations", str(built), "--videos", str(world), "--out", str(out)]
    answering = ["--method", reference("Perfect"), "--model", f"uni_stg={built}", "-q"]
    assert main(["predict", "uni_stg", *words, *answering]) == 0
    capsys.readouterr()
    words = ["--annotations", str(built), "--predictions", str(out), "--json"]
    assert main(["evaluate", "uni_stg", *words]) == 0
    (scores,) = json.loads(capsys.readouterr().out)["protocols"].values()
    assert scores["metrics"]["m_vIoU"] == pytest.approx(1.0)


def test_command(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = tmp_path / "recipe.yaml", tmp_path / "set"
    source = {"name": "world", "benchmark": "hcstvg_v2", "count": 9,
              "annotations": str(world / "annotations.json")}  # fmt: skip
    path.write_text(json.dumps({"sources": [source]}))
    words = ["data", "build-uni-stg", str(path), "--out", str(out)]
    assert main([*words, "--json"]) == 0
    card = json.loads(capsys.readouterr().out)
    assert card == json.loads((out / "card.json").read_text())
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "3 samples: 3 stvg" in shown
    assert "world: 3 of 9 samples, there are no more" in shown
    assert main(["data", "build-uni-stg", "absent.yaml", "--out", str(out)]) == 2
    assert "expected a recipe at absent.yaml" in capsys.readouterr().err
    assert main(["data", "build-uni-stg", "--help"]) == 0
    assert "Example" in capsys.readouterr().out
