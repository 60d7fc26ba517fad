"""A drawn clip that the commands are tried on; the detector ``blobs`` needs no weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from stvg.cli.main import main
from stvg.video.writer import VideoWriter


@pytest.fixture(scope="session")
def drawn_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2 s at 10 fps: a red ball goes right, a green box stays."""
    path = tmp_path_factory.mktemp("drawn") / "drawn.mp4"
    with VideoWriter(path, fps=Fraction(10)) as writer:
        for number in range(20):
            picture = Image.new("RGB", (320, 180), (236, 232, 224))
            pen = ImageDraw.Draw(picture)
            pen.rectangle((150, 20, 190, 60), fill=(40, 150, 70))
            pen.ellipse((20 + 10 * number, 100, 60 + 10 * number, 140), fill=(214, 40, 40))
            writer.write(np.asarray(picture), number / 10)
    return path


@dataclass(frozen=True)
class Result:
    """What a command did."""

    code: int
    out: str
    err: str


@pytest.fixture
def stvg(capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Runs a command line and gives exit code and output."""

    def run(*words: object) -> Result:
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return run
