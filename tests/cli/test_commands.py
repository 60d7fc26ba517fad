"""The other commands, and what all have in common."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stvg import __version__
from stvg.formats.tracks import read_tracks
from stvg.video import probe

Run = Callable[..., Any]
COMMANDS = ["doctor", "ground", "schema", "tracks", "world"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command: str, stvg: Run) -> None:
    result = stvg(command, "--help")
    assert result.code == 0
    assert f"stvg {command}" in result.out
    assert "Example" in result.out


def test_help_lists_all_commands(stvg: Run) -> None:
    result = stvg("--help")
    assert result.code == 0
    assert all(command in result.out for command in COMMANDS)


@pytest.mark.parametrize("words", [[], ["data"]])
def test_without_words_the_help_is_shown_once(words: list[str], stvg: Run) -> None:
    result = stvg(*words)
    assert result.code == 2
    assert (result.out + result.err).count("Usage:") == 1
    assert "stvg: " not in result.err


@pytest.mark.parametrize(
    ("redirection", "code", "said"),
    [
        (">&-", 0, ""),  # closed by the caller
        ("| true", 0, ""),  # a reader that goes away; the code is the reader's
        pytest.param(
            "> /dev/full", 1, "stvg: cannot print the result",
            marks=pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full"),
        ),
    ],
)  # fmt: skip
def test_standard_output_that_takes_nothing(redirection: str, code: int, said: str) -> None:
    line = f"{shlex.quote(sys.executable)} -m stvg schema {redirection}"
    result = subprocess.run(line, shell=True, capture_output=True, text=True, check=False)
    assert result.returncode == code
    assert result.stderr.startswith(said)
    assert result.stderr.count("\n") == bool(said)


def test_version(stvg: Run) -> None:
    assert stvg("--version").out.strip() == f"stvg {__version__}"


def test_unknown_command_suggests(stvg: Run) -> None:
    result = stvg("grund")
    assert result.code == 2
    assert "ground" in result.err


def test_python_m_stvg() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "stvg", "--version"], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == f"stvg {__version__}"


def test_exit_code_of_the_process(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "stvg", "ground", str(tmp_path / "absent.mp4"), "the dog"]
    result = subprocess.run(words, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.startswith("stvg: ")


def test_tracks(stvg: Run, drawn_clip: Path, tmp_path: Path) -> None:
    out, overlay = tmp_path / "t.json", tmp_path / "t.mp4"
    result = stvg("tracks", drawn_clip, "--detector", "blobs", "--out", out, "--overlay", overlay)
    assert result.code == 0, result.err
    found = read_tracks(out)
    assert sorted(track.label for track in found.tracks) == ["ball", "box"]
    assert [len(track) for track in found.tracks] == [20, 20]
    assert probe(overlay).frames == 20


def test_tracks_of_some_classes(stvg: Run, drawn_clip: Path) -> None:
    words = ("tracks", drawn_clip, "--detector", "blobs", "--json")
    (only,) = json.loads(stvg(*words, "--classes", "ball").out)
    assert only == {
        "id": 1, "label": "ball", "boxes": 20, "start_s": 0.0, "last_s": 1.9,
        "score": only["score"],
    }  # fmt: skip
    wrong = stvg(*words, "--classes", "bal")
    assert wrong.code == 2
    assert "did you mean 'ball'" in wrong.err


def test_tracks_options(stvg: Run, drawn_clip: Path) -> None:
    words = ("tracks", drawn_clip, "--detector", "blobs", "--json")
    found = json.loads(stvg(*words, "--set", "fps=5", "--set", "tracker=botsort").out)
    assert {item["boxes"] for item in found} == {10}
    assert stvg(*words, "--set", "tracker=nothing").code == 2
    assert stvg(*words, "--threshold", "2").code == 2


def test_schema(stvg: Run) -> None:
    everything = json.loads(stvg("schema").out)
    assert {"prediction", "predictions", "predictions_jsonl", "tracks"} == set(everything)
    one = json.loads(stvg("schema", "tracks").out)
    assert one == everything["tracks"]
    wrong = stvg("schema", "track")
    assert wrong.code == 2
    assert "did you mean 'tracks'" in wrong.err


def test_doctor(stvg: Run) -> None:
    result = stvg("doctor", "--json")
    assert result.code == 0
    findings = {item["what"]: item for item in json.loads(result.out)}
    assert findings["video decoding and writing (PyAV)"]["state"] == "ok"
    weights = findings["detector weights (yolox_nano)"]
    assert weights["state"] == "missing"  # the tests' cache is empty
    assert "STVG_WEIGHTS" in weights["remedy"]
    assert stvg("doctor", "--strict", "--json").code == 1
    assert "PyAV" in stvg("doctor").out


def test_doctor_says_what_is_broken(
    stvg: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "yolox_nano.onnx").write_bytes(b"not the weights")
    monkeypatch.setenv("STVG_WEIGHTS", str(tmp_path))
    result = stvg("doctor", "--json")
    assert result.code == 1
    states = {item["what"]: item["state"] for item in json.loads(result.out)}
    assert states["detector weights (yolox_nano)"] == "broken"


def test_doctor_tries_the_cache(stvg: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise PermissionError

    def state() -> str:
        findings = json.loads(stvg("doctor", "--json").out)
        return next(str(item["state"]) for item in findings if item["what"] == "frame cache")

    monkeypatch.setenv("STVG_CACHE", str(tmp_path))
    assert state() == "ok"
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr("stvg.diagnosis.tempfile.TemporaryFile", refuse)  # root may write anywhere
    assert state() == "broken"


def test_world(stvg: Run, tmp_path: Path) -> None:
    words = ("world", tmp_path / "w", "--clips", "2", "--side", "64", "--level", "easy")
    result = stvg(*words)
    assert result.code == 0, result.err
    assert len(list((tmp_path / "w" / "videos").iterdir())) == 2
    again = stvg(*words)
    assert again.code == 1
    assert "not an empty folder" in again.err
    assert stvg("world", tmp_path / "x", "--level", "brutal").code == 2
