"""``stvg ground`` on a drawn clip: results, files, and every way of getting it wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stvg.formats.prediction import read_prediction, read_predictions
from stvg.geometry.boxes import paired_iou
from stvg.video import probe

Run = Callable[..., Any]
MATCH = ("{clip}", "the ball", "--method", "track_match")
BLOBS = ("--method", "track_match", "--model", "blobs")


def test_everything_at_once(stvg: Run, drawn_clip: Path, tmp_path: Path) -> None:
    out, overlay, sheet = (tmp_path / name for name in ("p.json", "o.mp4", "s.png"))
    result = stvg(
        "ground", drawn_clip, "the red ball", *BLOBS,
        "--out", out, "--overlay", overlay, "--sheet", sheet,
    )  # fmt: skip
    assert result.code == 0, result.err
    assert "the red ball" in result.out

    tube = read_prediction(out).tube
    assert tube is not None
    assert (tube.interval.start_s, tube.interval.end_s) == pytest.approx((0.0, 2.0))
    drawn = np.array([[20 + 10 * n, 100, 61 + 10 * n, 141] for n in range(20)], float)
    assert paired_iou(tube.boxes, drawn).min() > 0.85

    assert probe(overlay).frames == 20
    assert Image.open(sheet).size[0] > 320
    assert sorted(path.name for path in tmp_path.iterdir()) == ["o.mp4", "p.json", "s.png"]


def test_prediction_file_has_the_documented_fields(
    stvg: Run, drawn_clip: Path, tmp_path: Path
) -> None:
    stvg("ground", drawn_clip, "the red ball", *BLOBS, "--out", tmp_path / "p.json")
    written = json.loads((tmp_path / "p.json").read_text())
    assert written["format"] == "stvg.prediction/1"
    assert written["video"]["fps"] == "10/1"
    assert written["method"] == "track_match"
    assert written["model"] == "blobs"
    assert written["answer"] is None
    assert [box["frame"] for box in written["boxes"]] == list(range(20))
    assert {"decode", "model", "total"} <= set(written["timing_s"])
    assert written["details"]["cues"]["colour red (whole)"] == 1.0


def test_several_sentences_share_one_file(stvg: Run, drawn_clip: Path, tmp_path: Path) -> None:
    listed = tmp_path / "queries.txt"
    listed.write_text("the green box\n\n  the elephant  \n", encoding="utf-8-sig")
    result = stvg(
        "ground", drawn_clip, "the red ball", "--queries", listed, *BLOBS,
        "--out", tmp_path / "p.json",
    )  # fmt: skip
    assert result.code == 0
    ball, box, elephant = read_predictions(tmp_path / "p.json")
    assert [p.query.text for p in (ball, box, elephant)] == [
        "the red ball", "the green box", "the elephant"
    ]  # fmt: skip
    assert ball.tube is not None
    assert box.tube is not None
    assert ball.tube.iou(box.tube) == 0
    assert elephant.is_empty


def test_several_sentences_equal_one_at_a_time(stvg: Run, drawn_clip: Path) -> None:
    sentences = ["the red ball", "the green box"]
    together = json.loads(stvg("ground", drawn_clip, *sentences, *BLOBS, "--json").out)
    for sentence, expected in zip(sentences, together, strict=True):
        (alone,) = json.loads(stvg("ground", drawn_clip, sentence, *BLOBS, "--json").out)
        for field in ("start_s", "end_s", "score", "boxes", "details", "warnings"):
            assert alone[field] == expected[field]


def test_nothing_found_is_a_result(stvg: Run, drawn_clip: Path, tmp_path: Path) -> None:
    result = stvg("ground", drawn_clip, "the elephant", *BLOBS, "--out", tmp_path / "p.json")
    assert result.code == 0
    prediction = read_prediction(tmp_path / "p.json")
    assert prediction.is_empty
    assert "elephant" in prediction.warnings[0]
    assert "not found" in result.out


def test_quiet_prints_nothing(stvg: Run, drawn_clip: Path) -> None:
    result = stvg("ground", drawn_clip, "the red ball", *BLOBS, "--quiet")
    assert (result.code, result.out, result.err) == (0, "", "")


def test_options_reach_the_method(stvg: Run, drawn_clip: Path) -> None:
    words = ("ground", drawn_clip, "the red ball", *BLOBS, "--json")
    (sparse,) = json.loads(stvg(*words, "--set", "tracking.fps=5").out)
    assert sparse["boxes"] == 20  # still one a frame, interpolated
    (strict,) = json.loads(stvg(*words, "--set", "min_confidence=1.0").out)
    assert strict["boxes"] == 0


def test_a_users_own_method_by_path(stvg: Run, drawn_clip: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from stvg.methods.track_match import Method\nclass Mine(Method):\n    name = 'mine'\n"
    )
    (found,) = json.loads(
        stvg(
            "ground", drawn_clip, "the red ball", *BLOBS, "--json",
            "--method", f"{tmp_path / 'mine.py'}:Mine",
        ).out
    )  # fmt: skip
    assert found["method"] == "mine"
    assert found["boxes"] == 20


def make_bad(tmp_path: Path, drawn_clip: Path) -> dict[str, Path]:
    """Files that are no videos."""
    made = {name: tmp_path / f"{name}.mp4" for name in ("text", "empty", "missing", "cut")}
    made["text"].write_text("this is no video\n" * 100)
    made["empty"].touch()
    made["cut"].write_bytes(drawn_clip.read_bytes()[:600])
    (tmp_path / "folder.mp4").mkdir()
    return {**made, "folder": tmp_path / "folder.mp4"}


@pytest.mark.parametrize("kind", ["text", "empty", "missing", "cut", "folder"])
def test_what_is_no_video(kind: str, stvg: Run, drawn_clip: Path, tmp_path: Path) -> None:
    path = make_bad(tmp_path, drawn_clip)[kind]
    before = sorted(tmp_path.iterdir())
    result = stvg("ground", path, "the dog", "--out", tmp_path / "p.json", "--overlay",
                  tmp_path / "o.mp4")  # fmt: skip
    assert result.code == 1
    assert_one_paragraph(result.err, path.name)
    assert sorted(tmp_path.iterdir()) == before  # nothing was left behind


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["{clip}"], "no sentence"),
        (["{clip}", ""], "empty"),
        (["{clip}", "   "], "empty"),
        (["{clip}", "the ball", "--method", "trackmatch"], "did you mean 'track_match'"),
        (["{clip}", "the ball", "--method", "no.such:Thing"], "cannot be imported"),
        ([*MATCH, "--model", "nothing"], "there is no detector 'nothing'"),
        ([*MATCH, "--set", "min_clas=1"], "did you mean 'min_class'"),
        (["{clip}", "the ball", "--set", "min_class"], "key=value"),
        (["{clip}", "the ball", "--set", "grammr=compact"], "did you mean 'grammar'"),
        (["{clip}", "the ball", "--set", "grammar=compct"], "did you mean 'compact'"),
        (["{clip}", "the ball", "--model", "tiny/none"], "no checkpoint for 'none'"),
        (["{clip}", "the ball", "--queries", "{tmp}/absent.txt"], "cannot be read"),
        (["{clip}", "the ball", "--queries", "{tmp}/blank.txt"], "found none"),
        (["{clip}", "the ball", "--out", "{clip}"], "would replace the video"),
        (["{clip}", "the ball", "--method", "fractions:Fraction"], "subclass of stvg.methods"),
        ([*MATCH, "--model", "fractions:Fraction"], "to make a detector"),
        ([*MATCH, "--set", "tracking.lost_s=.inf"], "finite"),
        (["{clip}", "a", "--out", "{tmp}/x.mp4", "--overlay", "{tmp}/x.mp4"], "would replace"),
        (["{clip}", "the ball", "--overlay", "{tmp}/x.avi"], ".mp4"),
        (["{clip}", "the ball", "--sheet", "{tmp}/x.jpg"], ".png"),
        (["{clip}", "the ball", "--bogus"], "--bogus"),
        (["{clip}", "the ball", "--threads", "-1"], "--threads"),
        ([], "VIDEO"),
    ],
)
def test_wrong_usage(
    words: list[str], expected: str, stvg: Run, drawn_clip: Path, tmp_path: Path
) -> None:
    (tmp_path / "blank.txt").write_text("\n  \n")
    result = stvg("ground", *(word.format(clip=drawn_clip, tmp=tmp_path) for word in words))
    assert result.code == 2, result.err
    assert_one_paragraph(result.err, expected)
    assert [path.name for path in tmp_path.iterdir()] == ["blank.txt"]


def test_the_sentences_are_not_overwritten(stvg: Run, drawn_clip: Path, tmp_path: Path) -> None:
    sentences = tmp_path / "sentences.txt"
    sentences.write_text("the ball\n")
    result = stvg("ground", drawn_clip, "--queries", sentences, *BLOBS, "--out", sentences)
    assert result.code == 2
    assert_one_paragraph(result.err, "would replace the file with the sentences")
    assert sentences.read_text() == "the ball\n"


@pytest.mark.parametrize("option", ["--out", "--overlay", "--sheet"])
def test_unwritable_place_is_told_before_the_work(
    option: str, stvg: Run, drawn_clip: Path, tmp_path: Path
) -> None:
    name = {"--out": "x.json", "--overlay": "x.mp4", "--sheet": "x.png"}[option]
    result = stvg("ground", drawn_clip, "the ball", *BLOBS, option, tmp_path / "absent" / name)
    assert result.code == 1
    assert_one_paragraph(result.err, "does not exist")


def test_an_earlier_result_survives_a_failure(stvg: Run, drawn_clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "p.json"
    out.write_text("an earlier result")
    missing = tmp_path / "missing.mp4"
    assert stvg("ground", missing, "the ball", *BLOBS, "--out", out).code == 1
    assert out.read_text() == "an earlier result"


def test_ctrl_c_is_said_and_leaves_nothing_half_written(
    stvg: Run, drawn_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("stvg.video.overlay.VideoWriter.write", interrupted)
    words = ("the ball", *BLOBS, "--out", tmp_path / "p.json", "--overlay", tmp_path / "o.mp4")
    result = stvg("ground", drawn_clip, *words)
    assert result.code == 130
    assert_one_paragraph(result.err, "interrupted")
    assert [path.name for path in tmp_path.iterdir()] == ["p.json"]  # complete before the overlay


def test_debug_shows_the_traceback(stvg: Run, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="there is no"):
        stvg("ground", tmp_path / "missing.mp4", "the ball", "--debug")


def assert_one_paragraph(text: str, expected: str) -> None:
    assert text.count("\n") == 1, text
    assert text.startswith("stvg: ")
    assert expected in text
    assert "Traceback" not in text
