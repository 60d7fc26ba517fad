"""Running methods over benchmarks: right frames, failures that stay where they belong, resuming."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stvg.data.world.files import write_world
from stvg.errors import FormatError, OutputError, StvgError, UsageError
from stvg.evaluate.runner import evaluate
from stvg.excerpt import Excerpt
from stvg.formats.predictions_jsonl import read_predictions_jsonl, record_of
from stvg.grounding import ground, prepare
from stvg.methods.track_match import Method as TrackMatch
from stvg.predicting import PredictConfig, Questions, predict
from stvg.predicting.answering import Answerer, answer_here
from stvg.predicting.journal import Journal, sidecar_of
from stvg.predicting.placing import has_other_length, input_part, misfit
from stvg.predicting.questions import jobs_of
from stvg.progress import no_progress
from stvg.types import Correction, Query, Track, Tracks, VideoMeta
from stvg.video import SamplingPlan, probe
from stvg.video.writer import VideoWriter
from tests.evaluate.helpers import time_record, tube_record
from tests.predict_methods import Options, Perfect, reference


def write_video(path: Path, frames: int = 30, size: tuple[int, int] = (96, 64), fps: int = 10):
    """A video whose frame n is grey of level 8 n."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, fps=Fraction(fps)) as writer:
        for number in range(frames):
            grey = np.full((size[1], size[0], 3), 8 * number % 256, np.uint8)
            writer.write(grey, number / fps)
    return path


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("worlds") / "test"
    write_world(folder, clips=5, side=64)
    return folder


@pytest.fixture
def vidstg(tmp_path: Path) -> Path:
    """Two videos; segments that are the middle, the end and the whole; three objects."""

    def record(vid, segment, span, targets):
        return {
            "vid": vid, "fps": 10, "frame_count": 30, "width": 96, "height": 64,
            "subject/objects": [{"tid": tid, "category": "dog"} for tid in (0, 1)],
            "used_segment": {"begin_fid": segment[0], "end_fid": segment[1]},
            "temporal_gt": {"begin_fid": span[0], "end_fid": span[1]},
            "captions": [{"description": "a dog", "type": "subject", "target_id": targets[0]}],
            "questions": [{"description": "what?", "type": "object", "target_id": targets[1]}],
        }  # fmt: skip

    def vidor(vid):
        return {
            "video_id": vid, "video_path": f"0001/{vid}.mp4", "frame_count": 30, "fps": 10,
            "width": 96, "height": 64, "subject/objects": [],
            "trajectories": [
                [{"tid": tid, "bbox": {"xmin": 5 + frame, "ymin": 3 + 20 * tid,
                                       "xmax": 25 + frame, "ymax": 15 + 20 * tid}}
                 for tid in (0, 1)]
                for frame in range(30)
            ],
        }  # fmt: skip

    records = [
        record("11", (5, 24), (10, 20), (0, 1)),
        record("22", (12, 29), (12, 30), (1, 0)),
        record("11", (0, 29), (3, 4), (1, 1)),
    ]
    (tmp_path / "annotations.json").write_text(json.dumps(records))
    (tmp_path / "vidor_trajectories.json").write_text(
        json.dumps({"11": vidor("11"), "22": vidor("22")})
    )
    write_video(tmp_path / "videos" / "0001" / "11.mp4")
    write_video(tmp_path / "videos" / "22.mov")
    return tmp_path


def run(benchmark, annotations, out, videos=None, method="Perfect", config=None, **changes):
    """``predict`` with a method that knows the targets."""
    shape = {name: changes.pop(name) for name in ("limit", "shard") if name in changes}
    options = changes.pop("options", ())
    return predict(
        Questions(benchmark, annotations, **shape),
        out,
        reference(method),
        videos=videos,
        model=f"{benchmark}={annotations}",
        options=options,
        config=config or PredictConfig(**changes),
    )


def lines_in(path: Path) -> list[str]:
    return sorted(path.read_text().splitlines())


# Right answers score 100


def test_a_perfect_method_scores_100_on_the_world(world: Path, tmp_path: Path) -> None:
    annotations, out = world / "annotations.json", tmp_path / "p.jsonl"
    summary = run("hcstvg_v2", annotations, out)
    assert (summary.queries, summary.tally.lines, summary.tally.failed) == (5, 5, 0)
    metrics = evaluate("hcstvg_v2", annotations, out, strict=True).metrics
    assert metrics["m_tIoU"] == metrics["m_vIoU"] == metrics["gt_vIoU"] == 1.0
    run("hcstvg_v2", annotations, tmp_path / "late.jsonl", method="Late")
    assert evaluate("hcstvg_v2", annotations, tmp_path / "late.jsonl").metrics["m_tIoU"] < 1.0


def test_a_perfect_method_scores_100_on_hcstvg_v1(tmp_path: Path) -> None:
    annotations = tmp_path / "test.json"
    boxes = [[4 + n, 6, 20, 30] for n in range(9)]  # frames 10 to 18
    annotations.write_text(json.dumps({"1_a.mp4": {
        "bbox": boxes, "st_frame": 11, "st_time": 1.0, "ed_time": 2.7, "img_num": 30,
        "caption": "the man", "width": 96, "height": 64, "fps": 10,
    }}))  # fmt: skip
    write_video(tmp_path / "videos" / "1" / "1_a.mp4")
    out = tmp_path / "p.jsonl"
    run("hcstvg_v1", annotations, out, tmp_path / "videos")
    (line,) = read_predictions_jsonl(out)
    assert line.span_frames == (10, 19)
    assert line.frames.tolist() == list(range(10, 19))
    assert line.boxes[0].tolist() == [4, 6, 24, 36]
    assert evaluate("hcstvg_v1", annotations, out, strict=True).metrics["m_vIoU"] == 1.0


def test_a_perfect_method_scores_100_on_segments_of_vidstg(vidstg: Path) -> None:
    annotations, out = vidstg / "annotations.json", vidstg / "p.jsonl"
    summary = run("vidstg", annotations, out, vidstg / "videos")
    assert (summary.queries, summary.tally.videos) == (6, 2)
    spans = {line.id: line.span_frames for line in read_predictions_jsonl(out)}
    assert spans["0:declarative:0"] == (10, 20)
    assert spans["1:interrogative:0"] == (12, 30)
    report = evaluate("vidstg", annotations, out, strict=True, protocol="ours")
    assert report.metrics["m_tIoU"] == report.metrics["m_vIoU"] == 1.0


def test_a_perfect_method_scores_100_on_times_and_on_clips_of_longer_videos(
    tmp_path: Path,
) -> None:
    annotations = tmp_path / "tvgbench.json"
    item = {"source": "a.json", "duration": 3.0, "question": "what?", "answer": "0.5-1.5"}
    annotations.write_text(json.dumps([
        {**item, "path": "a.mp4"},
        {**item, "path": "long.mp4", "start": 1.05, "end": 2.05, "answer": "0.25-0.85",
         "duration": 1.0},
    ]))  # fmt: skip
    write_video(tmp_path / "v" / "a.mp4")
    write_video(tmp_path / "v" / "long.mp4")
    out = tmp_path / "p.jsonl"
    run("tvgbench", annotations, out, tmp_path / "v")
    whole, part = read_predictions_jsonl(out)
    assert (whole.span_s, whole.span_frames, len(whole.boxes)) == ((0.5, 1.5), (5, 15), 0)
    # The frame on screen at 1.05 s is shown from 1.0 s: times of the method count from there,
    # those of the benchmark from 1.05 s.
    assert part.span_s == pytest.approx((0.2, 0.8))
    assert evaluate("tvgbench", annotations, out).metrics["mIoU"] > 0.9


def test_a_perfect_method_scores_100_on_pictures_of_another_size(tmp_path: Path) -> None:
    annotations = tmp_path / "finetune_refcoco_val.json"
    annotations.write_text(json.dumps({
        "images": [{"id": 7, "file_name": "a.jpg", "width": 96, "height": 64, "caption": "dog",
                    "dataset_name": "refcoco"}],
        "annotations": [{"bbox": [10, 20, 30.5, 22]}],
    }))  # fmt: skip
    (tmp_path / "train2014").mkdir()
    Image.new("L", (48, 32)).save(tmp_path / "train2014" / "a.jpg")
    out = tmp_path / "p.jsonl"
    run("refcoco", annotations, out, tmp_path)
    (line,) = read_predictions_jsonl(out)
    assert line.boxes.tolist() == [[10, 20, 40.5, 42]]
    assert evaluate("refcoco", annotations, out, strict=True).metrics["accuracy@0.5"] == 1.0


def test_track_match_answers_as_ground_does(world: Path, tmp_path: Path) -> None:
    questions = Questions("hcstvg_v2", world / "annotations.json")
    asked = {"model": "blobs", "options": ["threshold=0.05"]}
    predict(questions, tmp_path / "p.jsonl", "track_match", **asked)
    lines = {line.id: line for line in read_predictions_jsonl(tmp_path / "p.jsonl")}
    for record in questions.records():
        video = world / "videos" / record.media
        (alone,) = ground(video, record.query, method="track_match", **asked)
        expected = record_of(alone)
        assert lines[record.id].span_frames == expected.span_frames
        assert np.allclose(lines[record.id].boxes, expected.boxes, atol=0.01)
    assert any(line.span_frames is not None for line in lines.values())


# Parts of videos


def test_an_excerpt_reads_as_a_video_of_its_own(tmp_path: Path) -> None:
    meta = probe(write_video(tmp_path / "v.mp4"))
    excerpt = Excerpt.of(meta, (10, 20))
    clip = excerpt.read(SamplingPlan(), threads=1, progress=no_progress)
    assert clip.frame_indices.tolist() == list(range(10))
    assert clip.times_s == pytest.approx(np.arange(10) / 10)
    levels = clip.frames.mean(axis=(1, 2, 3))
    assert levels == pytest.approx(8 * np.arange(10, 20), abs=4)
    few = excerpt.read(SamplingPlan(count=2, long_side=48), threads=1, progress=no_progress)
    assert (few.frame_indices.tolist(), few.size) == ([2, 7], (48, 32))


def test_objects_of_a_video_are_cut_to_an_excerpt(world: Path) -> None:
    video = next((world / "videos").iterdir())
    method = TrackMatch.create("blobs", ())
    meta = probe(video)
    query = Query("the red ball")
    whole, part = (
        prepare(method, meta, [query], parts=[each]).clips[0].scene for each in (None, (4, 9))
    )
    assert whole is not None
    assert part is not None
    assert part.video.frames == 5
    assert part.frames_seen.tolist() == [0, 1, 2, 3, 4]
    by_id = {item.track.id: item.track for item in whole.objects}
    for item in part.objects:
        kept = np.isin(by_id[item.track.id].frames, range(4, 9))
        assert item.track.frames.tolist() == (by_id[item.track.id].frames[kept] - 4).tolist()
        assert np.array_equal(item.track.boxes, by_id[item.track.id].boxes[kept])


def test_corrections_are_cut_to_an_excerpt() -> None:
    """Frames 4 to 8; object 3 is not seen in them."""
    meta = VideoMeta("v.mp4", 64, 64, Fraction(10), 2.0, 20)
    seen = {1: [2, 5], 2: [0, 6, 12], 3: [12, 13]}
    tracks = tuple(
        Track(number, "dog", frames, [[0, 0, 9, 9]] * len(frames), [1.0] * len(frames))
        for number, frames in seen.items()
    )
    noted = (Correction(3, 1, 2), Correction(6, 2, 1), Correction(7, 2, 3), Correction(12, 1, 2))
    cut = Excerpt.of(meta, (4, 9)).cut_tracks(Tracks(meta, tracks, noted))
    assert [track.frames.tolist() for track in cut.tracks] == [[1], [2]]
    assert cut.corrections == (Correction(0, 1, 2), Correction(2, 2, 1))


@pytest.mark.parametrize(
    ("changes", "frames", "expected"),
    [
        ({"segment": (0, 100)}, 100, None),  # the whole video
        ({"segment": (0, 100)}, 98, None),  # the file is a little shorter
        ({"segment": (5, 100)}, 103, (5, 103)),  # to the end of the file
        ({"segment": (5, 60)}, 100, (5, 60)),
        ({"segment": (0, 60), "frame_count": 60, "extra": {"frame_count_unknown": True}}, 100,
         (0, 60)),  # the annotation knows the segment only
        ({"segment": (0, 0), "frame_count": 0}, 100, None),  # nothing is said
    ],
)  # fmt: skip
def test_the_input_is_the_segment(changes, frames, expected) -> None:
    meta = probe_like(frames)
    assert input_part(tube_record(**changes), meta) == expected


def probe_like(frames: int, size: tuple[int, int] = (100, 80), fps: int = 25):
    return VideoMeta("v.mp4", *size, Fraction(fps), frames / fps, frames)


@pytest.mark.parametrize(
    ("meta", "reason"),
    [
        (probe_like(100), None),
        (probe_like(100, (50, 40)), None),  # half the size
        (probe_like(97), None),  # cut a little short
        (probe_like(60), None),  # cut short, same rate: the frames are the same ones
        (probe_like(40, fps=10), "other frame rate than annotated"),
        (probe_like(100, (80, 100)), "other shape than annotated"),  # turned
        (probe_like(9), "input beyond the video"),
    ],
)
def test_files_that_cannot_be_the_annotated_ones(meta, reason) -> None:
    record = tube_record(segment=(9, 60), frames=100)
    found = misfit(record, meta)
    assert (found and found.partition(":")[0]) == reason


def test_other_lengths_are_noticed_where_the_annotation_counts_frames() -> None:
    assert has_other_length(tube_record(frames=100), probe_like(99))
    assert not has_other_length(tube_record(frames=100), probe_like(100))
    assert not has_other_length(time_record(), probe_like(100))


# Batches, workers, shards


def test_batches_and_workers_answer_as_one_by_one(vidstg: Path, world: Path) -> None:
    for benchmark, truth, videos in (
        ("vidstg", vidstg / "annotations.json", vidstg / "videos"),
        ("hcstvg_v2", world / "annotations.json", None),
    ):
        alone = vidstg / f"{benchmark}_alone.jsonl"
        run(benchmark, truth, alone, videos)
        for batch, workers in ((2, 1), (3, 2), (64, 3)):
            out = vidstg / f"{benchmark}_{batch}.jsonl"
            run(benchmark, truth, out, videos, batch=batch, workers=workers)
            assert lines_in(out) == lines_in(alone)


def test_a_batch_is_one_call_of_the_model_in_the_order_of_the_annotations(world: Path) -> None:
    questions = Questions("hcstvg_v2", world / "annotations.json")
    jobs = jobs_of(questions.records(), questions.reader, world / "videos")
    records = {each.id: each for each in questions.records(with_truth=True)}
    method = Perfect(records, Options())
    outcomes = list(answer_here(Answerer(method), jobs, batch=2))
    assert [len(call) for call in method.calls] == [2, 2, 1]
    assert [line.id for each in outcomes for line in each.lines] == list(records)


def test_a_batch_that_raises_is_asked_one_by_one(vidstg: Path) -> None:
    out = vidstg / "p.jsonl"
    summary = run("vidstg", vidstg / "annotations.json", out, vidstg / "videos", batch=2,
                  options=["fail=1:inter"], max_errors=0.5)  # fmt: skip
    assert summary.tally.failures == {"RuntimeError": 1}
    errors = {line.id: line.error for line in read_predictions_jsonl(out)}
    assert [id_ for id_, error in errors.items() if error] == ["1:interrogative:0"]
    assert "cannot think about 1:interrogative:0" in str(errors["1:interrogative:0"])
    assert "predict_methods.py, line" in str(errors["1:interrogative:0"])


def test_shards_together_are_everything(world: Path, tmp_path: Path) -> None:
    annotations = world / "annotations.json"
    run("hcstvg_v2", annotations, tmp_path / "all.jsonl")
    shards = []
    for number in range(3):
        run("hcstvg_v2", annotations, tmp_path / f"{number}.jsonl", shard=(number, 3))
        shards += lines_in(tmp_path / f"{number}.jsonl")
    assert sorted(shards) == lines_in(tmp_path / "all.jsonl")
    assert len(lines_in(tmp_path / "0.jsonl")) == 2
    with pytest.raises(UsageError, match="none for shard 7/9"):
        run("hcstvg_v2", annotations, tmp_path / "none.jsonl", shard=(7, 9))


# Failures


def test_videos_that_are_missing_or_broken_are_counted_by_name(vidstg: Path) -> None:
    (vidstg / "videos" / "22.mov").write_bytes(b"no video")
    out = vidstg / "p.jsonl"
    summary = run("vidstg", vidstg / "annotations.json", out, vidstg / "videos", max_errors=0.5)
    assert summary.tally.failures == {"VideoError": 2}
    report = evaluate("vidstg", vidstg / "annotations.json", out)
    assert {name: len(ids) for name, ids in report.failures.items()} == {"VideoError": 2}
    (vidstg / "videos" / "22.mov").unlink()
    write_video(vidstg / "videos" / "copy" / "11.mp4")  # two of that name, one at the right path
    summary = run("vidstg", vidstg / "annotations.json", vidstg / "q.jsonl", vidstg / "videos",
                  max_errors=0.5)  # fmt: skip
    assert summary.tally.failures == {"video missing": 2}


def test_too_many_missing_videos_are_refused_before_any_work(vidstg: Path) -> None:
    (vidstg / "videos" / "22.mov").unlink()
    with pytest.raises(UsageError, match=r"2 of 6 queries have no file.*video missing"):
        run("vidstg", vidstg / "annotations.json", vidstg / "p.jsonl", vidstg / "videos")
    assert not (vidstg / "p.jsonl").exists()


def test_a_run_stops_past_the_stated_share_and_goes_on_when_mended(
    world: Path, tmp_path: Path
) -> None:
    out, annotations = tmp_path / "p.jsonl", world / "annotations.json"
    broken = tmp_path / "videos"
    broken.mkdir()
    for path in sorted((world / "videos").iterdir()):
        (broken / path.name).write_bytes(path.read_bytes())
    for name in ("test_00001.mp4", "test_00003.mp4"):
        (broken / name).write_bytes(b"nothing")
    with pytest.raises(StvgError, match=r"stopped: 2 of 5 queries failed.*2 x VideoError"):
        run("hcstvg_v2", annotations, out, broken, max_errors=0.3)
    assert len(lines_in(out)) == 4
    assert json.loads(sidecar_of(out).read_text())["starts"][0]["state"] == "stopped"
    with pytest.raises(StvgError, match="stopped: 2 of 5"):  # the errors are still there
        run("hcstvg_v2", annotations, out, broken, max_errors=0.3)
    summary = run("hcstvg_v2", annotations, out, broken, max_errors=0.5)
    assert (summary.tally.lines, summary.tally.failed_before) == (5, 2)
    assert "failed in an earlier start and keep their lines: 2" in "\n".join(summary.text())

    summary = run("hcstvg_v2", annotations, out, retry_errors=True)
    assert (summary.tally.lines_before, summary.tally.lines, summary.tally.failed) == (3, 5, 0)
    run("hcstvg_v2", annotations, tmp_path / "fresh.jsonl")
    assert lines_in(out) == lines_in(tmp_path / "fresh.jsonl")


def test_a_method_with_too_few_outputs_is_named(world: Path, tmp_path: Path) -> None:
    class Short(Perfect):
        def run(self, encoded):
            return []

    questions = Questions("hcstvg_v2", world / "annotations.json", limit=1)
    with pytest.raises(StvgError, match="stopped"):
        predict(questions, tmp_path / "p.jsonl", Short({}, Options()))
    (line,) = read_predictions_jsonl(tmp_path / "p.jsonl")
    assert "an output of perfect.run for each of 1 queries, found 0" in str(line.error)


# Resuming


def test_a_killed_run_goes_on_to_the_same_lines(world: Path, tmp_path: Path) -> None:
    annotations, out = world / "annotations.json", tmp_path / "p.jsonl"
    words = [
        sys.executable, "-m", "stvg", "predict", "hcstvg_v2", "-a", annotations, "--out", out,
        "--method", reference(), "--model", f"hcstvg_v2={annotations}", "--set", "sleep_s=0.3",
    ]  # fmt: skip
    process = subprocess.Popen([str(word) for word in words], env=os.environ | {"PYTHONPATH": str(
        Path(__file__).resolve().parents[1])})  # fmt: skip
    deadline = time.monotonic() + 60
    while (not out.exists() or out.read_bytes().count(b"\n") < 2) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    left = out.read_bytes()
    assert 2 <= left.count(b"\n") < 5
    assert json.loads(sidecar_of(out).read_text())["starts"][0]["state"] == "running"
    out.write_bytes(left + b'{"id": "test_0')  # as a kill in the middle of a line leaves it

    summary = run("hcstvg_v2", annotations, out, options=["sleep_s=0.3"])
    assert "was cut off" in "\n".join(summary.text())
    assert summary.tally.lines_before == left.count(b"\n")
    run("hcstvg_v2", annotations, tmp_path / "fresh.jsonl")
    assert lines_in(out) == lines_in(tmp_path / "fresh.jsonl")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "fresh.jsonl", "fresh.run.json", "p.jsonl", "p.run.json"
    ]  # fmt: skip


def test_a_finished_run_does_nothing_and_more_queries_are_added(
    world: Path, tmp_path: Path
) -> None:
    annotations, out = world / "annotations.json", tmp_path / "p.jsonl"
    run("hcstvg_v2", annotations, out, limit=2)
    before = out.read_text()
    summary = run("hcstvg_v2", annotations, out, limit=2)
    assert (summary.tally.videos, out.read_text()) == (0, before)
    summary = run("hcstvg_v2", annotations, out)
    assert (summary.tally.lines, summary.counts()["new"]) == (5, 3)
    assert out.read_text().startswith(before)
    assert [start["state"] for start in json.loads(sidecar_of(out).read_text())["starts"]] == [
        "done", "done", "done"
    ]  # fmt: skip


def test_answers_of_other_settings_are_never_mixed(world: Path, tmp_path: Path) -> None:
    annotations, out = world / "annotations.json", tmp_path / "p.jsonl"
    run("hcstvg_v2", annotations, out, limit=1)
    before = out.read_text()
    with pytest.raises(UsageError, match=r"other settings: options was \[\], is \['shift=1'\]"):
        run("hcstvg_v2", annotations, out, limit=1, options=["shift=1"])
    changed = tmp_path / "annotations.json"
    changed.write_text(annotations.read_text() + " ")
    with pytest.raises(UsageError, match="annotations_sha256"):
        run("hcstvg_v2", changed, out, world / "videos", limit=1)
    assert out.read_text() == before
    kept = json.loads(sidecar_of(out).read_text())
    for damaged in ({"settings": None}, {"starts": [3]}, {"starts": {}}, {"format": "x/1"}):
        sidecar_of(out).write_text(json.dumps({**kept, **damaged}))
        with pytest.raises(FormatError, match="expected a document with"):
            run("hcstvg_v2", annotations, out, limit=1)
    sidecar_of(out).unlink()
    with pytest.raises(FormatError, match="which says what made them, cannot be read"):
        run("hcstvg_v2", annotations, out, limit=1)
    assert out.read_text() == before
    summary = run("hcstvg_v2", annotations, out, limit=2, overwrite=True, method="Late")
    assert summary.tally.lines_before == 0


def test_two_processes_cannot_write_one_run(world: Path, tmp_path: Path) -> None:
    out = tmp_path / "p.jsonl"
    journal = Journal(out, {}, {})
    with pytest.raises(OutputError, match="another process is writing"):
        run("hcstvg_v2", world / "annotations.json", out)
    journal.close("done", {})
    assert not list(tmp_path.glob(".*"))


def test_repeated_ids_are_refused(world: Path, tmp_path: Path, monkeypatch) -> None:
    questions = Questions("hcstvg_v2", world / "annotations.json")
    twice = questions.records() * 2
    monkeypatch.setattr(type(questions.reader), "read", lambda *_, **__: iter(twice))
    with pytest.raises(FormatError, match="expected every query once"):
        questions.records()


@pytest.mark.slow
def test_the_engine_ray_writes_the_same_lines(world: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason='Ray is not installed: pip install "stvg[ray]"')
    annotations = world / "annotations.json"
    run("hcstvg_v2", annotations, tmp_path / "here.jsonl")
    summary = run("hcstvg_v2", annotations, tmp_path / "ray.jsonl", engine="ray", batch=2)
    assert (summary.tally.videos, summary.tally.failed) == (5, 0)
    assert lines_in(tmp_path / "ray.jsonl") == lines_in(tmp_path / "here.jsonl")
    with pytest.raises(StvgError, match="the pipeline on Ray stopped"):
        run("hcstvg_v2", annotations, tmp_path / "no.jsonl", engine="ray", options=["typo=1"])
