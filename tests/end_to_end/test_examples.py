"""The examples run, offline, and stay short enough to be read at a glance."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stvg.formats.prediction import read_predictions

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_example_runs(path: Path, tmp_path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 60
    result = subprocess.run(
        [sys.executable, str(path), "demo"], cwd=tmp_path, env=os.environ | {"PYTHONWARNINGS": ""},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr


def test_first_tube_finds_what_it_drew(tmp_path: Path) -> None:
    """The red ball is there all six seconds; the blue one comes at 2 s and rolls until 4.5 s."""
    subprocess.run([sys.executable, str(EXAMPLES / "first_tube.py"), "demo"], cwd=tmp_path,
                   check=True, capture_output=True)  # fmt: skip
    red, blue, elephant = read_predictions(tmp_path / "demo" / "prediction.json")
    assert red.tube is not None
    ends = red.tube.interval.start_s, red.tube.interval.end_s
    assert ends == pytest.approx((0.0, 6.0), abs=0.2)
    assert blue.tube is not None
    assert blue.tube.interval.start_s == pytest.approx(2.0, abs=0.1)
    assert blue.tube.interval.end_s == pytest.approx(4.5, abs=0.3)
    x1, y1, x2, y2 = blue.tube.at(3.0)[0]
    assert (x1, y1, x2, y2) == pytest.approx((410, 60, 461, 111), abs=4)
    assert elephant.is_empty
    made = {path.name for path in (tmp_path / "demo").iterdir()}
    assert made == {"clip.mp4", "prediction.json", "overlay.mp4", "sheet.png"}
