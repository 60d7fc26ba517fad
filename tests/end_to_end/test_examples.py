"""The examples run, offline, and stay short enough to be read at a glance."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from stvg.formats.prediction import read_predictions

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_example_runs(path: Path, tmp_path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 60
    result = subprocess.run(
        [sys.executable, str(path), "demo"], cwd=tmp_path, env=os.environ | {"PYTHONWARNINGS": ""},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr


def test_first_tube_finds_what_it_drew(tmp_path: Path) -> None:
    """One orange bug blinks in frames 1 to 4 and grows in frames 7 to 14 (clip 21, validation)."""
    subprocess.run([sys.executable, str(EXAMPLES / "first_tube.py"), "demo"], cwd=tmp_path,
                   check=True, capture_output=True)  # fmt: skip
    blinks, grows = read_predictions(tmp_path / "demo" / "prediction.json")
    assert (blinks.query.text, grows.query.text) == (
        "the orange bug blinks", "the orange bug grows"
    )  # fmt: skip
    assert blinks.method == "text_box"
    assert blinks.model == "tiny"
    for prediction, span_s in ((blinks, (0.125, 0.625)), (grows, (0.875, 1.875))):
        assert prediction.tube is not None
        assert prediction.warnings == ()
        ends = prediction.tube.interval.start_s, prediction.tube.interval.end_s
        assert ends == pytest.approx(span_s, abs=0.26)  # two frames
        x1, y1, x2, y2 = prediction.tube.boxes[0]
        assert x1 < 163 < x2  # the bug stays where it is, its middle near (163, 180)
        assert y1 < 180 < y2
    made = {path.name for path in (tmp_path / "demo").iterdir()}
    assert made == {"clip.mp4", "prediction.json", "overlay.mp4", "sheet.png"}


def test_every_example_is_documented() -> None:
    page = (ROOT / "docs" / "python.md").read_text()
    for path in EXAMPLES.glob("*.py"):
        assert f"### [{path.name}](../examples/{path.name})" in page


def test_a_correction_comes_back(tmp_path: Path) -> None:
    """Two frames fewer of a clip of 8 a second: a quarter of a second."""
    result = subprocess.run([sys.executable, str(EXAMPLES / "correct_in_cvat.py"), "demo"],
                            cwd=tmp_path, check=True, capture_output=True, text=True)  # fmt: skip
    (answered,) = read_predictions(tmp_path / "demo" / "answer.json")
    assert answered.tube is not None
    interval = answered.tube.interval
    corrected = f"corrected: Interval(start_s={interval.start_s}, end_s={interval.end_s - 0.25})"
    assert corrected in result.stdout


def test_scores_of_answers_that_start_a_frame_late(tmp_path: Path) -> None:
    """Of a true span of n frames n - 1 are answered, all with the true box."""
    result = subprocess.run([sys.executable, str(EXAMPLES / "score_your_answers.py"), "demo"],
                            cwd=tmp_path, check=True, capture_output=True, text=True)  # fmt: skip
    annotations = json.loads((tmp_path / "demo" / "world" / "annotations.json").read_text())
    lengths = [len(each["bbox"]) for each in annotations.values()]
    mean = 100 * sum((length - 1) / length for length in lengths) / len(lengths)
    assert re.search(rf"^m_vIoU +{mean:.2f} ", result.stdout, re.MULTILINE)
