"""The loop: it learns, and neither parts, processes nor interruptions change what it learns."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from stvg.errors import MissingExtraError, OutputError, StvgError, UsageError
from stvg.train.batches import StepsOf
from stvg.train.logs import Log
from stvg.train.preview import preview
from stvg.train.sft import judge, train
from stvg.train.starting import without_weights
from stvg.train.student import Student, total_loss

from .small import SIZES, WORLD, backbone, recipe, torch

accelerate = pytest.importorskip("accelerate", reason="the train extra is not installed")
CLOCKS = {"seconds", "cpu_s", "clips_per_s"}


def lines(run: Path) -> list[dict[str, Any]]:
    """The log without what clocks say."""
    entries = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in entry.items() if k not in CLOCKS} for entry in entries]


def weights(run: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    last = run / "last"
    return {**load_file(last / "model.safetensors"), **load_file(last / "heads.safetensors")}


def assert_close(one: Any, other: Any, tolerance: float) -> None:
    """Numbers, texts and groups of them are the same."""
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_close(one[key], other[key], tolerance)
    elif isinstance(one, list):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_close(a, b, tolerance)
    else:
        assert one == pytest.approx(other, abs=tolerance, rel=tolerance)


def student_and_maker(**options: Any) -> tuple[Student, Any]:
    from stvg.train.tasks.world import Task

    model = backbone()
    maker = Task.of({**WORLD, **options}).maker(without_weights(model))
    return Student(model.model, model.tokenizer, (0.7, 0.4)), maker


SCALES = {"answer": 1.0, "cell": 0.3, "target": 1.0}


def test_loss_falls_on_a_fixed_batch() -> None:
    student, maker = student_and_maker()
    batch = maker.batch(range(3))
    optimiser = torch.optim.AdamW(student.parameters(), lr=3e-3)
    losses = []
    for _ in range(12):
        loss = total_loss(student(batch)[0], batch.counts, SCALES)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def gradients(student: Student, batches: list[Any]) -> tuple[dict[str, float], dict[str, Any]]:
    """Losses of the batches together, and their gradients."""
    student.zero_grad()
    accelerator = accelerate.Accelerator()
    numbers = judge(accelerator, nullcontext(), student, batches, SCALES)
    return numbers, {name: each.grad.clone() for name, each in student.named_parameters()}


@pytest.mark.parametrize("clips", [[[0, 1], [2, 3]], [[3], [1, 2], [0]]])
def test_parts_are_the_whole(clips: list[list[int]]) -> None:
    """A batch of one at a time, or a few, gives the losses and gradients of all at once."""
    student, maker = student_and_maker()
    whole, expected = gradients(student, [maker.batch(range(4))])
    parts, found = gradients(student, [maker.batch(numbers) for numbers in clips])
    assert parts == pytest.approx(whole, rel=1e-5)
    for name, gradient in expected.items():
        assert torch.allclose(found[name], gradient, atol=1e-5, rtol=1e-4), name


def test_a_batch_of_nothing_moves_nothing() -> None:
    from stvg.train.rows import Batch

    student, maker = student_and_maker()
    _, expected = gradients(student, [maker.batch([0])])
    numbers, found = gradients(student, [maker.batch([0]), Batch((), None, broken={"a": "b"})])
    assert numbers["count/cell"] == 1
    for name, gradient in expected.items():
        assert torch.equal(found[name], gradient)


def test_processes_share_out_a_step(tmp_path: Path) -> None:
    """Ranks and parts take each clip of a step once, in every layout the same clips."""

    class Numbers:
        size = None

        @staticmethod
        def batch(numbers: Any) -> list[int]:
            return list(numbers)

    options = recipe(tmp_path, tasks=[{**WORLD, "clips": 8}], parts=2)
    for step in (0, 5):
        shares = [StepsOf(options, [Numbers()], rank, 2)[step].parts for rank in (0, 1)]  # type: ignore
        assert [len(part) for parts in shares for part in parts] == [2, 2, 2, 2]
        together = sorted(n for parts in shares for part in parts for n in part)
        assert together == list(range(8 * step, 8 * step + 8))


def test_tasks_are_mixed_by_weight(tmp_path: Path) -> None:
    class Nothing:
        size = None

        @staticmethod
        def batch(numbers: Any) -> None: ...

    tasks = [{**WORLD, "weight": 3.0}, {**WORLD, "weight": 1.0}]
    steps = StepsOf(recipe(tmp_path, tasks=tasks), [Nothing(), Nothing()], 0, 1)  # type: ignore
    drawn = [steps[number].task for number in range(400)]
    assert 270 < drawn.count(0) < 330
    assert drawn == [steps[number].task for number in range(400)]


def test_a_task_of_so_many_clips_takes_each_once(tmp_path: Path) -> None:
    """Steps that another task gets cost it no clips, wherever a worker or a new start begins."""

    class Some:
        def __init__(self, size: int | None) -> None:
            self.size = size

        def batch(self, numbers: Any) -> list[int]:
            return list(numbers)

    def steps() -> Any:
        tasks = [{**WORLD, "weight": 2.0}, {**WORLD, "seed": 4}]
        return StepsOf(recipe(tmp_path, tasks=tasks), [Some(None), Some(100)], 0, 1)  # type: ignore

    whole = steps()
    drawn = [whole[number] for number in range(60)]
    taken: list[int] = [n for step in drawn if step.task == 1 for n in step.parts[0]]  # type: ignore
    assert taken == list(range(len(taken)))
    assert len(taken) > 40
    made = [(number, step.parts[0]) for number, step in enumerate(drawn) if step.task == 0]
    assert all(numbers == list(range(4 * n, 4 * n + 4)) for n, numbers in made)  # type: ignore
    for number in (59, 7, 30):
        assert steps()[number] == whole[number] == drawn[number]


class Stopped(BaseException):
    """Nothing catches it, as nothing catches a killed process."""


def stop_at(seen: int) -> Any:
    def progress(done: int, total: int) -> None:
        if done >= seen:
            raise Stopped

    return progress


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing interrupts: two tasks, six steps, validated, logged every fourth step."""
    run = tmp_path_factory.mktemp("whole")
    train(recipe(run, **PLAIN))
    return run


PLAIN: dict[str, Any] = {
    "tasks": [WORLD, {**WORLD, "steps": 1, "seed": 4, "weight": 0.5}],
    "validation": [{**WORLD, "split": "val", "clips": 2}], "validate_clips": 4,
    "validate_every": 16, "log_every": 4,
}  # fmt: skip


def test_a_stopped_run_goes_on_to_the_same_curve(whole: Path, tmp_path: Path) -> None:
    for seen in (4, 12, 20):  # before the first checkpoint, beside one, between two
        with pytest.raises(Stopped):
            train(recipe(tmp_path, **PLAIN), progress=stop_at(seen))
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write('{"step": 5, "cut of')
    train(recipe(tmp_path, **PLAIN))
    assert lines(tmp_path) == lines(whole)
    expected, found = weights(whole), weights(tmp_path)
    assert expected.keys() == found.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    starts = json.loads((tmp_path / "about.json").read_text())["starts"]
    assert [start["from_step"] for start in starts] == [0, 0, 2, 4]
    assert starts[0]["packages"]["torch"] == torch.__version__


def test_what_a_run_leaves(whole: Path) -> None:
    assert sorted(each.name for each in whole.iterdir()) == [
        "about.json", "checkpoints", "last", "live.html", "log.jsonl", "recipe.yaml",
    ]  # fmt: skip
    card = json.loads((whole / "last/stvg.json").read_text())
    assert (card["format"], card["step"], card["seen"]) == ("stvg.checkpoint/1", 6, 24)
    entries = lines(whole)
    # a line, a validation; the last two steps, the last validation
    assert [entry["step"] for entry in entries] == [4, 4, 6, 6]
    assert entries[2].keys() == entries[0].keys()
    validated = [entry for entry in entries if "val/world-standard-8/loss/answer" in entry]
    assert [entry["seen"] for entry in validated] == [16, 24]
    train(recipe(whole, **PLAIN))  # a run that is done does nothing
    assert lines(whole) == entries


def test_parts_and_workers_change_nothing_but_rounding(whole: Path, tmp_path: Path) -> None:
    train(recipe(tmp_path, **PLAIN, parts=2, workers=1))
    assert_close(lines(tmp_path), lines(whole), 2e-3)
    expected = weights(whole)
    for name, found in weights(tmp_path).items():
        assert torch.allclose(found, expected[name], atol=1e-3), name


def test_a_run_of_an_earlier_version_goes_on(tmp_path: Path) -> None:
    """Options that it did not know have their defaults, and only those."""
    last = train(recipe(tmp_path / "run", stop=12))
    (path,) = sorted((last.parent / "checkpoints").glob("*/state.pt"))[-1:]
    state = torch.load(path, weights_only=True)
    del state["recipe"]["optimiser"]["parts"]
    torch.save(state, path)
    factor = {"lr": 3e-3, "warmup": 8, "tower": 0.5, "parts": 2.0}
    with pytest.raises(UsageError, match=r"another recipe \(optimiser.parts was 1.0, is 2.0\)"):
        train(recipe(tmp_path / "run", optimiser=factor))
    assert train(recipe(tmp_path / "run")).exists()


def test_a_run_of_another_recipe_is_refused(whole: Path) -> None:
    with pytest.raises(UsageError, match=r"another recipe \(optimiser.lr was 0.003, is 0.5\)"):
        train(recipe(whole, **PLAIN, optimiser={"lr": 0.5, "warmup": 8, "tower": 0.5}))


def test_a_run_ends_early_and_goes_on(whole: Path, tmp_path: Path) -> None:
    """`stop` ends a run where an uninterrupted one would be; raised or taken away it goes on."""
    told: list[tuple[int, int]] = []
    stopped = recipe(tmp_path, **PLAIN, stop=11)
    train(stopped, progress=lambda *pair: told.append(pair))
    assert told == [(4, 11), (8, 11), (11, 11)]
    card = json.loads((tmp_path / "last/stvg.json").read_text())
    assert (card["step"], card["seen"]) == (3, 12)
    assert "stop: 11" in (tmp_path / "recipe.yaml").read_text()
    entries = lines(tmp_path)
    assert [entry["seen"] for entry in entries] == [12, 12]  # what is measured at an end is
    assert entries[0]["rate"] == pytest.approx(3e-3)  # of the whole cosine: 8 of 24 is its top
    train(stopped)
    train(recipe(tmp_path, **PLAIN, stop=8))  # over already
    assert lines(tmp_path) == entries
    assert any("samples: 11 clips in 3 steps" in line for line in preview(stopped))

    train(recipe(tmp_path, **PLAIN, stop=16))
    train(recipe(tmp_path, **PLAIN))
    expected, found = weights(whole), weights(tmp_path)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert [entry["step"] for entry in lines(tmp_path)] == [3, 3, 4, 4, 6, 6]
    assert lines(tmp_path)[-1] == lines(whole)[-1]


def test_two_tasks_of_one_title_are_told_apart(tmp_path: Path) -> None:
    train(recipe(tmp_path, tasks=[WORLD, {**WORLD, "seed": 9}], validation=[WORLD, WORLD],
                 validate_clips=2))  # fmt: skip
    names = {name for entry in lines(tmp_path) for name in entry}
    for prefix in ("", "val/"):
        assert f"{prefix}world-standard-8/loss/answer" in names
        assert f"{prefix}world-standard-8-2/loss/answer" in names


def test_a_model_of_another_size_under_the_same_name(tmp_path: Path) -> None:
    def put(**sizes: int) -> None:
        from stvg.train.fresh import FreshConfig, fresh_model, fresh_tokenizer

        fresh_model(FreshConfig.of({**SIZES, **sizes})).save_pretrained(tmp_path / "model")
        fresh_tokenizer().save_pretrained(tmp_path / "model")

    options = recipe(tmp_path / "run", fresh=None, model=str(tmp_path / "model"), samples=8)
    put()
    train(options)
    for sizes in ({"inner": 96}, {"layers": 3}):
        put(**sizes)
        with pytest.raises(UsageError, match="begun with another model than the recipe"):
            train(options)


def test_a_gradient_that_is_no_number_ends_the_run(tmp_path: Path) -> None:
    changes = {"optimiser": {"lr": 1e30, "warmup": 0, "clip": 1e30, "final": 1.0}, "save_every": 1}
    with pytest.raises(StvgError, match="expected a finite gradient in step"):
        train(recipe(tmp_path, **changes))
    assert all(torch.isfinite(each).all() for each in weights(tmp_path).values())


def test_accumulation_is_the_recipes_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4")
    with pytest.raises(UsageError, match="accumulate 4 steps; here the recipe says"):
        train(recipe(tmp_path))


def test_a_damaged_line_of_the_log_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 1}\n\x00\x00\n3\n{"step": 2}\n{"step": 3}\n{"st')
    Log(path, 2, accelerate.Accelerator()).close()
    assert path.read_text() == '{"step": 1}\n{"step": 2}\n'


def test_continuing_takes_the_dense_heads_along(whole: Path, tmp_path: Path) -> None:
    options = {"fresh": None, "model": str(whole / "last"), "samples": 4}
    train(recipe(tmp_path / "next", **options, optimiser={"lr": 1e-9, "warmup": 0}))
    expected = weights(whole)
    for name, found in weights(tmp_path / "next").items():
        assert torch.allclose(found, expected[name], atol=1e-6), name


def test_computation_in_bf16(tmp_path: Path) -> None:
    train(recipe(tmp_path, samples=8, precision="bf16", checkpointing=True))
    assert all(each.dtype == torch.float32 for each in weights(tmp_path).values())
    losses = [entry["world-standard-8/loss/answer"] for entry in lines(tmp_path)]
    assert len(losses) == 2
    assert all(3 < loss < 9 for loss in losses)


def test_what_cannot_work_is_said_before_anything_is_done(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be made"):
        train(recipe(tmp_path / "file" / "run"))
    with pytest.raises(MissingExtraError, match="pip install trackio"):
        train(recipe(tmp_path / "run", trackers=["trackio"]))
    assert not (tmp_path / "run").exists()


def test_a_full_disk_while_logging(tmp_path: Path) -> None:
    log = Log(None, 0, accelerate.Accelerator())
    log._path, log._file = tmp_path, open("/dev/full", "w")  # noqa: SIM115
    with pytest.raises(OutputError, match="No space left"):
        log.write({"step": 1})


def start(run: Path, launcher: list[str], **changes: Any) -> subprocess.Popen[str]:
    """`stvg train` in a process of its own."""
    run.mkdir(parents=True, exist_ok=True)
    (run / "given.yaml").write_text(recipe(run / "run", **changes).to_yaml())
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [sys.executable, *launcher, "-m", "stvg", "train", str(run / "given.yaml")],
        env=environment, text=True, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.mark.slow
def test_a_killed_process_goes_on_to_the_same_curve(tmp_path: Path) -> None:
    changes = {"samples": 96, "save_every": 4, "workers": 1}
    straight = start(tmp_path / "straight", [], **changes)
    assert straight.wait() == 0, straight.stderr
    for kills in range(2):
        running = start(tmp_path / "killed", [], **changes)
        log = tmp_path / "killed/run/log.jsonl"
        while running.poll() is None:
            if log.exists() and len(log.read_text().splitlines()) >= 8 * (kills + 1):
                break
            time.sleep(0.02)
        running.send_signal(signal.SIGKILL)
        assert running.wait() == -signal.SIGKILL
    final = start(tmp_path / "killed", [], **changes)
    assert final.wait() == 0, final.stderr
    assert lines(tmp_path / "killed/run") == lines(tmp_path / "straight/run")
    expected, found = weights(tmp_path / "straight/run"), weights(tmp_path / "killed/run")
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    starts = json.loads((tmp_path / "killed/run/about.json").read_text())["starts"]
    assert len(starts) == 3
    assert starts[-1]["from_step"] > 0


@pytest.mark.slow
def test_two_processes_are_one_with_the_whole_batch(tmp_path: Path) -> None:
    changes = {"fresh": SIZES, "samples": 24, "validation": [{**WORLD, "split": "val"}],
               "validate_clips": 6}  # fmt: skip
    launcher = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2",
                "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no",
                "--main_process_port", "0"]  # fmt: skip
    both = start(tmp_path / "two", launcher, **changes)
    _, said = both.communicate(timeout=300)
    assert both.returncode == 0, said
    assert said.count("model: ") == 1  # one of them talks
    starts = json.loads((tmp_path / "two/run/about.json").read_text())["starts"]
    assert starts[0]["machine"]["processes"] == 2
    train(recipe(tmp_path / "one", **changes))
    assert_close(lines(tmp_path / "two/run"), lines(tmp_path / "one"), 2e-3)
    expected = weights(tmp_path / "one")
    for name, found in weights(tmp_path / "two/run").items():
        assert torch.allclose(found, expected[name], atol=1e-3), name
