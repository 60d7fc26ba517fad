"""Trivial baselines: values worked out by hand on a split of two videos."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from stvg.errors import UsageError
from stvg.evaluate.runner import evaluate
from stvg.formats.predictions_jsonl import read_predictions_jsonl
from stvg.formats.tracks import write_tracks
from stvg.predicting import PredictConfig, Questions, predict_baseline
from stvg.predicting.baselines import middle_box, oracle_object, random_object
from stvg.predicting.journal import sidecar_of
from stvg.types import Track, Tracks, VideoMeta
from tests.evaluate.helpers import box_record, time_record, tube_record


def annotation(width, height, box, caption):
    """20 frames; the target is there in frames 5 to 14 and does not move."""
    return {
        "bbox": [box] * 10, "st_frame": 6, "st_time": 0.5, "ed_time": 1.5, "img_num": 20,
        "fps": 10, "width": width, "height": height, "caption": caption,
    }  # fmt: skip


@pytest.fixture
def split(tmp_path: Path) -> Questions:
    """Two videos with tracks: the target in frames 0 to 17, another object in frames 2 to 19."""
    path = tmp_path / "test.json"
    path.write_text(json.dumps({
        "a.mp4": annotation(100, 80, [0, 0, 40, 40], "the man"),  # shares 0, 0, 0.4, 0.5
        "b.mp4": annotation(200, 160, [40, 64, 80, 64], "the dog"),  # shares 0.2, 0.4, 0.6, 0.8
    }))  # fmt: skip
    (tmp_path / "tracks").mkdir()
    for name, size, target in (("a", (100, 80), (0, 0, 40, 40)),
                               ("b", (200, 160), (40, 64, 120, 128))):  # fmt: skip
        meta = VideoMeta(f"{name}.mp4", *size, Fraction(10), 2.0, 20)
        objects = [
            Track(1, "other", np.arange(2, 20), np.tile([60.0, 50, 90, 75], (18, 1)), np.ones(18)),
            Track(2, "target", np.arange(18), np.tile(np.array(target, float), (18, 1)),
                  np.ones(18)),
        ]  # fmt: skip
        write_tracks(Tracks(meta, tuple(objects)), tmp_path / "tracks" / f"{name}.json")
    return Questions("hcstvg_v1", path)


def scores(questions: Questions, baseline, out: Path, **config) -> dict[str, list[float]]:
    """Values of the two queries after writing and reading the file."""
    predict_baseline(questions, out, baseline, config=PredictConfig(**config))
    found = evaluate(questions.benchmark, questions.annotations, out, resamples=0).per_query()
    names = ("tIoU", "vIoU", "gt_vIoU")
    return {id_: [round(values[name], 6) for name in names] for id_, values in found.items()}


def test_middle_box(split: Questions, tmp_path: Path) -> None:
    out = tmp_path / "p.jsonl"
    baseline = middle_box(split.records(with_truth=True), "these very targets")
    found = scores(split, baseline, out)
    # The mean is 0.1, 0.2, 0.5, 0.65: 10, 16, 50, 52 of 100 x 80 and 20, 32, 100, 104 of 200 x 160.
    lines = {line.id: line for line in read_predictions_jsonl(out)}
    assert lines["a.mp4"].span_frames == (0, 20)
    assert lines["a.mp4"].boxes[7] == pytest.approx([10, 16, 50, 52])
    assert lines["b.mp4"].boxes[7] == pytest.approx([20, 32, 100, 104])
    # a: 30 x 24 = 720 of 1600 + 1440 - 720; b: 60 x 40 = 2400 of 5120 + 5760 - 2400.
    a, b = 720 / 2320, 2400 / 8480
    assert found == {
        "a.mp4": pytest.approx([0.5, a / 2, a], abs=1e-6),
        "b.mp4": pytest.approx([0.5, b / 2, b], abs=1e-6),
    }


def test_oracle_object_lacks_the_time_alone(split: Questions, tmp_path: Path) -> None:
    expected = {"a.mp4": [0.5, 0.5, 1.0], "b.mp4": [0.5, 0.5, 1.0]}
    assert scores(split, oracle_object(), tmp_path / "p.jsonl") == expected
    assert scores(split, oracle_object(tmp_path / "tracks"), tmp_path / "q.jsonl") == expected
    short, long = (next(read_predictions_jsonl(tmp_path / name)) for name in ("p.jsonl", "q.jsonl"))
    assert short.span_frames == long.span_frames == (0, 20)
    assert short.frames.tolist() == list(range(5, 15))  # known where it is annotated
    assert long.frames.tolist() == list(range(18))  # known where it is tracked


def test_random_object_is_one_of_the_objects(split: Questions, tmp_path: Path) -> None:
    chosen = set()
    for seed in range(12):
        out = tmp_path / f"{seed}.jsonl"
        found = scores(split, random_object(tmp_path / "tracks", seed), out)
        for line in read_predictions_jsonl(out):
            first, last = int(line.frames[0]), int(line.frames[-1])
            assert (first, last) in {(2, 19), (0, 17)}
            chosen.add((line.id, first))
            # The target for itself; the other object of a does not touch it. In b it does:
            # 30 x 11 = 330 of 750 + 5120 - 330.
            other = 0.0 if line.id == "a.mp4" else 330 / 5540
            hit = 1.0 if first == 0 else other
            assert found[line.id] == pytest.approx([0.5, hit / 2, hit], abs=1e-6)
    assert len(chosen) == 4  # each of both videos
    again = tmp_path / "again.jsonl"
    scores(split, random_object(tmp_path / "tracks", 3), again)
    assert again.read_text() == (tmp_path / "3.jsonl").read_text()


def test_only_the_input_is_answered() -> None:
    record = tube_record("q", span=(20, 25), frames=100, segment=(10, 30))
    line = middle_box([record], "x").answer(record)
    assert (line.span_frames, line.frames.tolist()) == ((10, 30), list(range(10, 30)))


def test_targets_count_once_each_and_without_what_is_no_box() -> None:
    long = tube_record("long", span=(0, 50), box=(0, 0, 50, 40))
    short = tube_record("short", span=(0, 2), box=(50, 40, 100, 80))
    broken = tube_record("broken", span=(0, 2), box=(np.nan, 0, 1, 1))
    empty = tube_record("empty", span=(0, 2), box=(5, 5, 5, 9))
    line = middle_box([long, short, broken, empty], "x").answer(broken)
    assert line.boxes[0].tolist() == [25, 20, 75, 60]


def test_targets_without_boxes_are_refused() -> None:
    with pytest.raises(UsageError, match="needs targets with boxes, found none among train"):
        middle_box([tube_record(boxes=np.zeros((0, 4)))], "train")


def test_times_and_pictures() -> None:
    baseline = middle_box([box_record(box=(10, 8, 50, 40))], "x")
    line = baseline.answer(box_record(width=200, height=160))
    assert (line.span_frames, line.boxes.tolist()) == ((0, 1), [[20, 16, 100, 80]])
    times = middle_box([time_record()], "x")
    assert times.knows == "the length of the video"
    assert times.answer(time_record(duration_s=30.0)).span_s == (0.0, 30.0)
    assert "length unknown" in str(times.answer(time_record(duration_s=np.nan)).error)
    assert "size unknown" in str(baseline.answer(box_record(width=0, height=0)).error)


def test_what_a_baseline_cannot_answer_is_said(split: Questions, tmp_path: Path) -> None:
    (tmp_path / "tracks" / "b.json").unlink()
    summary = predict_baseline(
        split, tmp_path / "p.jsonl", oracle_object(tmp_path / "tracks"),
        config=PredictConfig(max_errors=0.5),
    )  # fmt: skip
    assert dict(summary.tally.failures) == {"UsageError": 1}
    times = tmp_path / "sta.txt"
    times.write_text("AB12C 0.0 5.0##a person sits.\n")
    with pytest.raises(UsageError, match="random_object answers with tubes of objects"):
        predict_baseline(
            Questions("charades_sta", times), tmp_path / "q.jsonl", random_object(tmp_path)
        )


def test_files_say_that_it_is_a_baseline_and_what_it_knows(
    split: Questions, tmp_path: Path
) -> None:
    out = tmp_path / "p.jsonl"
    baseline = middle_box(split.records(with_truth=True), "the targets of train.json")
    summary = predict_baseline(split, out, baseline)
    said = "middle_box, which knows the mean box of the targets of train.json"
    assert summary.baseline == said
    assert f"a baseline, not a method: {said}" in list(summary.text())
    settings = json.loads(sidecar_of(out).read_text())["settings"]
    assert settings["baseline"]["knows"] == "the mean box of the targets of train.json"
    assert "method" not in settings
    with pytest.raises(UsageError, match="other settings: baseline was"):
        predict_baseline(split, out, oracle_object())
