"""The embedded model as it is shipped: size, scores on the world's test split, and its honesty."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the models extra is not installed")
pytest.importorskip("transformers", reason="the models extra is not installed")

from stvg.data.world import draw_clip, plan_clip  # noqa: E402
from stvg.data.world.files import write_clip, write_world  # noqa: E402
from stvg.evaluate import evaluate  # noqa: E402
from stvg.grounding import ground  # noqa: E402
from stvg.predicting import Questions, predict  # noqa: E402

torch.set_num_threads(1)
EMBEDDED = Path(str(files("stvg"))) / "tiny"


@pytest.fixture(scope="module")
def split(tmp_path_factory: Any) -> Path:
    folder = tmp_path_factory.mktemp("world") / "test"
    write_world(folder, clips=32, side=128)
    return folder


def test_scores_on_the_test_split(split: Path, tmp_path: Path) -> None:
    """The first 32 clips of the split; the model card has the figures of all 400."""
    annotations, out = split / "annotations.json", tmp_path / "tiny.jsonl"
    questions = Questions("hcstvg_v2", annotations)
    predict(questions, out, "text_box", videos=split / "videos")
    report = evaluate("hcstvg_v2", annotations, out)
    assert (report.answered, report.nothing_found) == (32, ())
    assert report.metrics["m_tIoU"] > 0.70
    assert report.metrics["m_vIoU"] > 0.45


def test_the_same_object_at_two_times(split: Path) -> None:
    """Clip 0 of the validation split: the purple bug moves down first and shrinks later."""
    video = split.parent / "val_0.mp4"
    write_clip(video, draw_clip(plan_clip(0, split="val"), 128))
    moves, shrinks = ground(video, ["the purple bug moves down", "the purple bug shrinks"])
    assert moves.tube is not None
    assert shrinks.tube is not None
    assert moves.tube.interval.start_s == pytest.approx(0.0, abs=0.26)  # frames 0 to 4
    assert moves.tube.interval.end_s == pytest.approx(0.625, abs=0.26)
    assert shrinks.tube.interval.start_s == pytest.approx(0.875, abs=0.26)  # frames 7 to 12
    assert shrinks.tube.interval.end_s == pytest.approx(1.625, abs=0.26)
    first, last = shrinks.tube.boxes[0], shrinks.tube.boxes[-1]
    assert last[2] - last[0] < first[2] - first[0]


@pytest.mark.shared
def test_natural_video_is_answered_with_a_warning(shared_data: Path) -> None:
    (prediction,) = ground(shared_data / "real" / "01_dog.mp4", "the dog")
    (about_world,) = (line for line in prediction.warnings if "procedural world" in line)
    assert "--method track_match" in about_world
    assert "words that the model does not know: dog" in prediction.warnings


def test_all_checkpoints_are_small_and_carry_a_card() -> None:
    folders = sorted(path.parent for path in EMBEDDED.glob("*/config.json"))
    assert {"base", "text_box"} <= {folder.name for folder in folders}
    for folder in folders:
        card = json.loads((folder / "stvg.json").read_text())
        assert card["format"] == "stvg.checkpoint/1"
        assert card["data"] == "world"
    assert sum(path.stat().st_size for path in EMBEDDED.rglob("*")) < 20e6
