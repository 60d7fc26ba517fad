"""Training of what a method learns beside the model, with ``spacevllm`` as the method."""

from __future__ import annotations

import json
import shutil
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stvg.backbones.learned import PARTS
from stvg.data.world import plan_clip
from stvg.data.world.files import write_world
from stvg.errors import UsageError, WeightsError
from stvg.methods.spacevllm import Method as SpaceVllm
from stvg.methods.spacevllm.config import SpaceVllmConfig
from stvg.train.checkpoint import save_model
from stvg.train.logs import names_of, numbers_of
from stvg.train.optimise import make_optimiser
from stvg.train.recipe import Optimiser
from stvg.train.rows import encode_videos, read_rows
from stvg.train.sft import judge, train
from stvg.train.ship import ship
from stvg.train.starting import load_learner, without_weights
from stvg.train.student import Student, total_loss
from stvg.train.tasks.world import Task
from stvg.types import Query, Tube

from .small import WORLD, backbone, drawn, recipe, tokenizer, torch
from .test_sft import assert_close, lines, start

accelerate = pytest.importorskip("accelerate", reason="the train extra is not installed")
OPTIONS = {"grammar": "frames", "frames": 16, "side": 64, "query_first": True,
           "even_steps": True, "query": "pair", "hidden": 48, "max_new_tokens": 8}  # fmt: skip
TASK = {**WORLD, "numbered": 0.0, "method": "spacevllm", "options": OPTIONS}
CARD = {"method": "spacevllm", "data": "world", "options": OPTIONS}
SCALES = {"answer": 1.0, "cell": 0.3, "target": 1.0}


def method(model: Any = None, **options: Any) -> SpaceVllm:
    made = SpaceVllm(model or backbone(), SpaceVllmConfig.of({**OPTIONS, **options}))
    torch.manual_seed(0)
    made.parts = made.new_parts()
    return made


def student_and_maker(**options: Any) -> tuple[Student, Any]:
    made = method(**options)
    task = Task.of({**TASK, "options": {**OPTIONS, **options}})
    student = Student(made.backbone.model, tokenizer(), (0.7, 0.4), made.parts)
    return student, task.maker(without_weights(made.backbone))


def gradients(student: Student, loss: Any) -> dict[str, float]:
    """Length of the gradient of each group of weights."""
    student.zero_grad()
    loss.backward(retain_graph=True)
    groups = {"queries": "parts.queries", "decoder": "parts.decoder.",
              "tower": "model.model.visual.", "words": "model.model.language_model."}  # fmt: skip
    return {
        group: sum(float(each.grad.norm()) for name, each in student.named_parameters()
                   if name.startswith(start) and each.grad is not None)
        for group, start in groups.items()
    }  # fmt: skip


@pytest.mark.parametrize("query_first", [True, False])
def test_what_learns_from_what(query_first: bool) -> None:
    """Boxes teach everything; the text everything but the decoder, which it does not see."""
    student, maker = student_and_maker(query_first=query_first)
    sums, _ = student(maker.batch(range(3)))
    boxes = gradients(student, sums["box_l1"] + sums["box_giou"])
    assert min(boxes.values()) > 0
    text = gradients(student, sums["answer"])
    assert text.pop("decoder") == 0
    assert min(text.values()) > 0


def test_training_sees_what_answering_sees() -> None:
    """The boxes of a batch of rows are those of the method on the same clip and sentence."""
    student, maker = student_and_maker()
    answering = method(student_backbone := backbone())
    student.model.load_state_dict(student_backbone.model.state_dict())
    answering.parts = student.parts
    batch = maker.batch([0, 1])
    with torch.no_grad():
        videos = encode_videos(student.model.model.visual, batch, student.layout)
        given = [student.parts.features(each, grid)
                 for each, (_, grid) in zip(videos, batch.videos, strict=True)]  # fmt: skip
        states, _ = read_rows(student.model, torch.cat(given), batch.rows)
        boxes = student.parts.find(states, [each.spots for each in batch.lessons])
    row = 0
    for number in (0, 1):
        clip, _ = drawn(plan_clip(number, split="train", seed=WORLD["seed"]))
        while row < len(boxes) and is_of(batch, row, number):
            ids = batch.rows.ids[row].tolist()
            said = tokenizer().decode(ids[: ids.index(tokenizer().eos_token_id)])
            text = said.split("user ")[1].split(" <|vision_start|>")[0]
            ((_, seen),) = answering.run([answering.encode(clip, Query(text))])
            np.testing.assert_allclose(seen.seen, boxes[row], atol=1e-5)
            row += 1
    assert row == len(boxes) > 2


def is_of(batch: Any, row: int, clip: int) -> bool:
    """Whether a row shows this clip."""
    per_clip = 8 * 17
    return int(batch.rows.features[row * per_clip]) // per_clip == clip


def test_questions_and_pictures_are_those_of_text_box() -> None:
    """Same seed, same clips, same sentences and times: only what is answered differs."""
    _, maker = student_and_maker()
    plain = Task.of({**WORLD, "numbered": 0.0}).maker(without_weights(backbone()))
    ours, theirs = maker.batch(range(4)), plain.batch(range(4))
    assert len(ours.rows.ids) == len(theirs.rows.ids) == len(ours.lessons)
    assert not theirs.lessons
    for (one, grid), (other, other_grid) in zip(ours.videos, theirs.videos, strict=True):
        assert torch.equal(one, other)
        assert grid == other_grid
    for row in range(len(ours.rows.ids)):
        ids, others = ours.rows.ids[row].tolist(), theirs.rows.ids[row].tolist()
        video = maker.table["<|video_pad|>"]
        assert ids[: ids.index(video)] == others[: others.index(video)]
        answer = [int(ids[n]) for n in ours.rows.judged[row].nonzero()]
        written = [int(others[n]) for n in theirs.rows.judged[row].nonzero()]
        assert [answer[0], answer[2]] == written[:2]  # first and end of the interval
    for name in ("seen", "meant"):
        for key, labels in getattr(theirs, name).items():
            np.testing.assert_array_equal(getattr(ours, name)[key], labels)  # NaN are alike


@pytest.mark.parametrize("clips", [[[0, 1], [2, 3]], [[3], [1, 2], [0]]])
def test_parts_of_a_step_are_the_whole(clips: list[list[int]]) -> None:
    student, maker = student_and_maker()
    accelerator = accelerate.Accelerator()

    def learned(batches: list[Any]) -> tuple[dict[str, float], dict[str, Any]]:
        student.zero_grad()
        numbers = judge(accelerator, nullcontext(), student, batches, SCALES)
        return numbers, {name: each.grad.clone() for name, each in student.named_parameters()}

    whole, expected = learned([maker.batch(range(4))])
    parts, found = learned([maker.batch(numbers) for numbers in clips])
    assert parts == pytest.approx(whole, rel=1e-4)
    assert {"loss/box_l1", "loss/box_giou", "right/box_iou"} <= set(whole) <= set(names_of(student))
    for name, gradient in expected.items():
        assert torch.allclose(found[name], gradient, atol=1e-5, rtol=1e-3), name


def test_losses_are_weighed_as_the_method_says() -> None:
    student, maker = student_and_maker()
    batch = maker.batch(range(2))
    sums, gauges = student(batch)
    only = {name: sums[name] for name in ("box_l1", "box_giou")}
    loss = total_loss(only, batch.counts, SCALES, student.weights)
    count = sum(each.counts["box"] for each in batch.lessons)
    assert batch.counts["box"] == count == len(batch.lessons)
    assert loss.item() == pytest.approx((5 * only["box_l1"] + 2 * only["box_giou"]).item() / count)
    assert set(numbers_of(sums, gauges, batch.counts)) <= set(names_of(student))


def test_query_vectors_do_not_decay() -> None:
    student, _ = student_and_maker()
    optimiser = make_optimiser(student, Optimiser(weight_decay=0.1))
    decay = {id(each): group["weight_decay"] for group in optimiser.param_groups
             for each in group["params"]}  # fmt: skip
    assert decay[id(student.parts.queries.weight)] == 0
    assert decay[id(student.parts.decoder.boxes[0].weight)] == 0.1


# --- runs -------------------------------------------------------------------------------------


def run_of(out: Path, **changes: Any) -> Any:
    return recipe(out, tasks=[TASK], card=CARD, validation=[TASK], validate_clips=2, **changes)


@pytest.fixture(scope="module")
def last(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(run_of(tmp_path_factory.mktemp("run") / "whole"))


def entries(last: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (last.parent / "log.jsonl").read_text().splitlines()]


def parts_of(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    found: dict[str, Any] = load_file(folder / PARTS)
    return found


def test_a_run_tells_of_boxes_and_its_model_answers(last: Path) -> None:
    log = entries(last)
    assert log[0]["parts"] == "new ones, which the model lacked"
    title = "world-standard-spacevllm"
    assert {f"{title}/loss/box_l1", f"{title}/loss/box_giou", f"{title}/share/box_iou"} <= set(
        log[1]
    )
    assert f"val/{title}/share/box_iou" in log[-1]
    clip, _ = drawn(plan_clip(0, split="val"))
    made = SpaceVllm.create(str(last))
    found = made.decode(made.run([made.encode(clip, Query("the red ball"))])[0], clip, Query("x"))
    assert isinstance(found.tube, Tube)
    for name, value in parts_of(last).items():
        assert torch.equal(made.parts.state_dict()[name], value)


def test_a_run_that_was_stopped_ends_the_same(last: Path, tmp_path: Path) -> None:
    train(run_of(tmp_path / "run", stop=12))
    again = train(run_of(tmp_path / "run"))
    expected = parts_of(last)
    for name, value in parts_of(again).items():
        assert torch.equal(value, expected[name]), name


def test_new_parts_are_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a run is stopped before its first checkpoint and begins anew."""
    options = run_of(tmp_path / "run", samples=8, save_every=100)
    with monkeypatch.context() as patch:
        patch.setattr("stvg.train.keeper.Keeper.after_step", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(options)
    assert sum("parts" in entry for entry in entries(train(options))) == 1


def interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def test_the_next_run_goes_on_with_the_parts(last: Path, tmp_path: Path) -> None:
    options = run_of(tmp_path / "run", fresh=None, model=str(last))
    learner = load_learner(options, precision="fp32")
    assert not learner.began_parts
    for name, value in parts_of(last).items():
        assert torch.equal(learner.student.parts.state_dict()[name], value)
    assert "parts" not in entries(train(options))[0]


def test_adapters_are_saved_with_the_parts(last: Path, tmp_path: Path) -> None:
    pytest.importorskip("peft", reason="the train extra is not installed")
    options = run_of(
        tmp_path / "run", fresh=None, model=str(last), lora={"rank": 2, "alpha": 4}, samples=8
    )
    found = train(options)
    assert not torch.equal(parts_of(found)["queries.weight"], parts_of(last)["queries.weight"])
    made = SpaceVllm.create(str(found))
    assert torch.equal(made.parts.queries.weight, parts_of(found)["queries.weight"])


def test_shipped_parts_take_half(last: Path, tmp_path: Path) -> None:
    ship(last, tmp_path / "spacevllm")
    for name, value in parts_of(tmp_path / "spacevllm").items():
        assert value.dtype == torch.float16
        assert torch.equal(value, parts_of(last)[name].half())
    assert SpaceVllm.create(str(tmp_path / "spacevllm")).parts.queries.weight.dtype == torch.float32


def test_files_of_a_benchmark_are_learned_from_too(tmp_path: Path) -> None:
    """Videos as files, several queries on each, frames that have a query each."""
    write_world(tmp_path / "world", split="train", clips=3, side=64)
    options = {**OPTIONS, "query": "frame", "query_first": False}
    task = {"kind": "benchmark", "benchmark": "hcstvg_v2", "method": "spacevllm", "clips": 2,
            "annotations": str(tmp_path / "world/annotations.json"), "options": options,
            }  # fmt: skip
    card = {**CARD, "options": options}
    found = train(recipe(tmp_path / "run", tasks=[task], card=card, samples=4))
    log = entries(found)
    assert 0 <= log[-1]["hcstvg_v2/share/box_iou"] <= 1


def test_pictures_are_learned_and_found(tmp_path: Path) -> None:
    """A benchmark of pictures: the query of pictures learns, and answers through prediction."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    (tmp_path / "train2014").mkdir()
    Image.fromarray(noise).save(tmp_path / "train2014" / "a.jpg")
    annotations = tmp_path / "finetune_refcoco_val.json"
    annotations.write_text(json.dumps({
        "images": [{"id": 7, "file_name": "a.jpg", "width": 96, "height": 64, "caption": "ball",
                    "dataset_name": "refcoco"}],
        "annotations": [{"bbox": [10, 20, 30.5, 22]}],
    }))  # fmt: skip
    options = {**OPTIONS, "query": "frame"}
    where = {"benchmark": "refcoco", "annotations": str(annotations), "videos": str(tmp_path)}
    task = {"kind": "benchmark", **where, "method": "spacevllm", "clips": 1, "options": options}
    card = {**CARD, "options": options}
    found = train(recipe(tmp_path / "run", tasks=[task], card=card, evaluate=where, samples=60))
    log = entries(found)
    assert log[-1]["evaluate/accuracy@0.5"] == 1
    assert log[-1]["evaluate/failed"] == 0


# --- what is refused --------------------------------------------------------------------------


def test_a_model_without_the_parts_is_refused(tmp_path: Path) -> None:
    model = backbone()
    save_model(
        tmp_path / "model", model.model, model.tokenizer, None, {"format": "stvg.checkpoint/1"}
    )
    with pytest.raises(WeightsError, match="lacks what spacevllm learns beside the language model"):
        SpaceVllm.create(str(tmp_path / "model"), ["grammar=frames", "side=64"])


def test_parts_of_other_options_are_refused(last: Path) -> None:
    with pytest.raises(WeightsError, match="do not fit the method's options"):
        SpaceVllm.create(str(last), ["hidden=32"])


@pytest.mark.parametrize("is_cut", [True, False])
def test_damaged_parts_are_told(last: Path, tmp_path: Path, is_cut: bool) -> None:
    shutil.copytree(last, tmp_path / "model")
    path = tmp_path / "model" / PARTS
    path.write_bytes(path.read_bytes()[:500] if is_cut else b"")
    with pytest.raises(WeightsError, match=r"parts.safetensors cannot be read: .*; copy the model"):
        SpaceVllm.create(str(tmp_path / "model"))


@pytest.mark.parametrize(
    ("card", "told"),
    [
        ({}, "the method spacevllm, .* expected it in .* card .* found no method"),
        ({"method": "text_box"}, "found text_box"),
        ({"query": "step"}, "query is 'step' there and 'pair' here"),
        ({"query_tokens": False}, "query_tokens is False there and True here"),
        ({"frames": 8, "hidden": 20}, "frames is 8 there and 16 here, hidden is 20 there"),
        ({"box_loss": {"l1": 0.0}}, r"l1=0.0, .* there and BoxLossConfig\(l1=5.0"),
    ],
)
@pytest.mark.parametrize("where", ["tasks", "validation"])
def test_lessons_are_for_the_parts_of_the_card(
    card: Any, told: str, where: str, tmp_path: Path
) -> None:
    if card and "method" not in card:
        card = {"method": "spacevllm", "options": {**OPTIONS, **card}}
    tasks = {"tasks": [WORLD], where: [TASK]}
    with pytest.raises(UsageError, match=told):
        load_learner(recipe(tmp_path / "run", **tasks, card=card), precision="fp32")


def test_rewards_do_not_train_parts(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"spacevllm learns parts .* rewards for texts do not"):
        load_learner(run_of(tmp_path / "run", grpo={}), precision="fp32")


def test_a_card_must_name_the_method_of_its_lessons() -> None:
    _, maker = student_and_maker()
    model = backbone()
    with pytest.raises(UsageError, match=r"expected the method that learns parts .* card"):
        Student(model.model, model.tokenizer, (0.7, 0.4))(maker.batch([0]))


@pytest.mark.parametrize(
    ("changes", "lacks"),
    [
        ({"steps": 1}, "steps of at least 8"),
        ({"numbered": 0.5}, "numbered of 0"),
        ({"level": "hard"}, "steps of at least 16, options.frames of 32"),
        ({"options": {**OPTIONS, "side": 32}}, "options.side of 64"),
        ({"options": {**OPTIONS, "query": "frame"}}, "dense and target of 0"),
    ],
)
def test_the_world_shows_methods_whole_clips_only(changes: Any, lacks: str) -> None:
    with pytest.raises(UsageError, match=f"that needs {lacks}"):
        Task.of({**TASK, **changes}).maker(without_weights(backbone()))


def test_the_world_has_nothing_but_frames_for_methods() -> None:
    options = {"grammar": "r1_compact", "frames": 16, "side": 64}
    task = Task.of({**TASK, "method": "stvg_r1", "options": options})
    with pytest.raises(UsageError, match="the method stvg_r1 wants more"):
        task.maker(without_weights(backbone()))


def test_frames_with_a_query_each_are_drawn_without_dense_labels() -> None:
    task = {**TASK, "options": {**OPTIONS, "query": "frame"}, "dense": 0, "target": 0}
    batch = Task.of(task).maker(without_weights(backbone())).batch([0, 1])
    assert not batch.seen
    assert not batch.meant
    assert batch.videos[0][1] == (16, 8, 8)
    made = method(query="frame")
    sums, _ = Student(made.backbone.model, tokenizer(), (0.7, 0.4), made.parts)(batch)
    assert set(sums) == {"answer", "box_l1", "box_giou"}


@pytest.mark.slow
def test_two_processes_learn_parts_as_one(tmp_path: Path) -> None:
    """Parts of a step of one clip in each process, of which some have no question."""
    task = {**TASK, "queries": 1}
    maker = Task.of(task).maker(without_weights(backbone()))
    assert maker.batch([5]).rows is None
    changes = {"tasks": [task], "card": CARD, "parts": 2, "validation": [task],
               "validate_clips": 6}  # fmt: skip
    launcher = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2",
                "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no",
                "--main_process_port", "0"]  # fmt: skip
    both = start(tmp_path / "two", launcher, **changes)
    _, said = both.communicate(timeout=300)
    assert both.returncode == 0, said
    alone = train(recipe(tmp_path / "one", **changes))
    (told, *found), (expected, *others) = lines(tmp_path / "two/run"), lines(tmp_path / "one")
    assert told == expected
    assert_close(found, others, 2e-3)
    for name, value in parts_of(tmp_path / "two/run/last").items():
        assert torch.allclose(value, parts_of(alone)[name], atol=1e-3), name


@pytest.mark.slow
def test_eight_clips_are_learned_by_heart() -> None:
    """Boxes to a vIoU above 0.9, given the true interval."""
    torch.manual_seed(0)
    student, maker = student_and_maker(query_first=False)
    batch = maker.batch(range(8))
    optimiser = torch.optim.AdamW(student.parameters(), lr=3e-3, betas=(0.9, 0.98))
    for step in range(1200):
        for group in optimiser.param_groups:
            group["lr"] = 3e-3 * (1 - step / 1200)
        loss = total_loss(student(batch)[0], batch.counts, SCALES, student.weights)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimiser.step()
    _, gauges = student(batch)
    right, of = gauges["box_iou"]
    assert right / of > 0.9
