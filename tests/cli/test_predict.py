"""``stvg predict`` from the command line: what it prints, what it refuses."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stvg.cli.main import main
from stvg.data.world.files import write_world
from tests.predict_methods import reference

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("worlds") / "test"
    write_world(folder, clips=3, side=64)
    return folder / "annotations.json"


@pytest.fixture
def predict(stvg: Run, world: Path, tmp_path: Path) -> Run:
    """Runs the command on the world; the output is ``p.jsonl``."""

    def call(*words: object, benchmark: str = "hcstvg_v2", annotations: Path = world) -> Any:
        return stvg("predict", benchmark, "-a", annotations, "-o", tmp_path / "p.jsonl", *words)

    return call


def perfect(world: Path, name: str = "Perfect") -> list[str]:
    return ["--method", reference(name), "--model", f"hcstvg_v2={world}"]


def test_summary_ends_with_the_command_that_scores(
    predict: Run, world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = predict(*perfect(world), "--batch", 2, "--workers", 2)
    assert (result.code, result.out) == (0, "")
    assert "3 of 3 queries have a line; nothing found 0, failed 0" in result.err
    assert "3 videos in" in result.err
    command = next(line for line in result.err.splitlines() if line.startswith("score them: "))
    assert main(shlex.split(command.removeprefix("score them: stvg "))) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["m_vIoU", "100.00"] in [row[:2] for row in rows]


def test_json_is_one_line(predict: Run, world: Path) -> None:
    result = predict(*perfect(world), "--json", "--limit", 2)
    (line,) = result.out.splitlines()
    found = json.loads(line)
    assert (found["queries"], found["lines"], found["failed"], found["empty"]) == (2, 2, 0, 0)
    assert found["videos"] == 2
    assert "--limit" in found["notes"][0]
    assert found["evaluate"].startswith("stvg evaluate hcstvg_v2 --annotations ")
    assert result.err == ""


@pytest.mark.parametrize("name", ["middle_box", "random_object", "oracle_object"])
def test_baselines_of_a_world_need_no_options(predict: Run, name: str) -> None:
    result = predict("--baseline", name)
    assert result.code == 0, result.err
    assert f"a baseline, not a method: {name}, which knows" in result.err


def test_middle_box_of_another_file_names_it(predict: Run, world: Path, tmp_path: Path) -> None:
    train = tmp_path / "train.json"
    train.write_text(world.read_text())
    result = predict("--baseline", "middle_box", "--targets", train)
    assert f"the mean box of the targets of {train}" in result.err


def test_failures_are_counted_and_stop_a_run(predict: Run, world: Path, tmp_path: Path) -> None:
    result = predict(*perfect(world), "--set", "fail=test_00001", "--max-errors", 0.4)
    assert result.code == 0
    assert "failed 1 x RuntimeError" in result.err
    result = predict(*perfect(world), "--set", "fail=test_00001", "--overwrite")
    assert result.code == 1
    assert result.err.startswith("stvg: stopped: 1 of 3 queries failed (1 x RuntimeError)")
    result = predict(*perfect(world), "--set", "fail=test_00001", "--max-errors", 1,
                     "--retry-errors")  # fmt: skip
    assert result.code == 0
    assert "queries that failed and are asked again: 1" in result.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "expected either --method or --baseline, found neither"),
        (["--method", "track_match", "--baseline", "middle_box"], "found both"),
        (["--baseline", "middle_box", "--model", "x"], "--model is for methods"),
        (["--method", "track_mach"], "did you mean 'track_match'?"),
        (["--method", "track_match", "--set", "thresold=1"], "did you mean 'threshold'?"),
        (["--method", "track_match", "--model", "nothing"], "there is no detector 'nothing'"),
        (["--method", "track_match", "--videos", "nowhere"], "found none at nowhere"),
        (["--method", "track_match", "--limit", "0"], "limit of at least one query"),
        (["--method", "track_match", "--shard", "4/4"], "of 4 shards: 0/4, 1/4, 2/4, 3/4"),
        (["--method", "track_match", "--shard", "one"], "--shard expects I/N"),
        (["--baseline", "oracle_object", "--tracks", "nowhere"], "found none at nowhere"),
        (["--method", "track_match", "--batch", "0"], "--batch"),
    ],
)
def test_wrong_usage_writes_nothing(
    predict: Run, tmp_path: Path, words: list[str], said: str
) -> None:
    result = predict(*words)
    assert result.code == 2, result.err
    assert said in result.err
    assert result.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_missing_ray_is_said_before_any_output(
    predict: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    result = predict("--method", "track_match", "--engine", "ray")
    assert (result.code, 'pip install "stvg[ray]"' in result.err) == (1, True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["middle_box", "oracle_object"])
def test_baselines_have_no_masks(predict: Run, tmp_path: Path, name: str) -> None:
    expressions = tmp_path / "meta_expressions.json"
    expressions.write_text(
        '{"videos": {"v": {"frames": ["0"], "expressions": {"0": {"exp": "a dog"}}}}}'
    )
    result = predict("--baseline", name, benchmark="mevis", annotations=expressions)
    assert result.code == 2
    assert f"{name} answers with" in result.err


def test_methods_of_tracked_objects_do_not_answer_on_pictures(predict: Run, tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (20, 20)).save(tmp_path / "a.jpg")
    listed = tmp_path / "list.json"
    listed.write_text('[{"image": "a.jpg", "sent": "a dog", "bbox_xywh": [1, 1, 5, 5]}]')
    result = predict("--method", "track_match", "--videos", tmp_path, benchmark="refcoco",
                     annotations=listed)  # fmt: skip
    assert result.code == 2
    assert "tracked through a video, and a picture has none" in result.err


def test_videos_are_asked_for_where_the_layout_is_not_ours(
    predict: Run, world: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "val_v2.json"
    elsewhere.write_text(world.read_text())
    result = predict(*perfect(world), annotations=elsewhere)
    assert (result.code, "name it with --videos" in result.err) == (2, True)
    result = predict("--baseline", "random_object", annotations=elsewhere)
    assert (result.code, "name it with --tracks" in result.err) == (2, True)
    result = predict("--baseline", "oracle_object", annotations=elsewhere)
    assert "its boxes in every frame where it is annotated" in result.err


def test_inputs_and_folders_are_not_overwritten(stvg: Run, world: Path, tmp_path: Path) -> None:
    copy = tmp_path / "p.run.json"
    copy.write_text(world.read_text())
    for out in (copy, tmp_path / "p.jsonl"):  # the file itself, and what is written beside it
        result = stvg("predict", "hcstvg_v2", "-a", copy, "-o", out, "--baseline", "middle_box",
                      "--overwrite")  # fmt: skip
        assert (result.code, "would replace the annotations" in result.err) == (2, True)
    result = stvg("predict", "hcstvg_v2", "-a", world, "-o", tmp_path / "no" / "p.jsonl",
                  "--baseline", "middle_box")  # fmt: skip
    assert (result.code, "does not exist" in result.err) == (1, True)
    assert copy.read_text() == world.read_text()


def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "predict.md").read_text()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "worlds").mkdir()
    blocks = re.findall(r"```(bash|python)\n(.*?)```", page, re.DOTALL)
    assert [language for language, _ in blocks] == ["bash", "bash", "python"]
    for language, text in blocks:
        if language == "python":
            exec(compile(text, "predict.md", "exec"), {})
            continue
        for line in text.splitlines():
            assert main(shlex.split(line)[1:]) == 0, line


def test_help_has_an_example(stvg: Run) -> None:
    result = stvg("predict", "--help")
    assert result.code == 0
    assert "Example" in result.out
