"""GRPO: gradients equal the plain ones, and neither parts, processes nor kills change the curve."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stvg.data.world.files import write_world
from stvg.errors import StvgError, UsageError
from stvg.train.group_loss import grpo_loss, pick_weights
from stvg.train.grpo import COUNTS, Turn, counts_of, learn, sample, train
from stvg.train.policy import Policy
from stvg.train.recipe import Grpo, Recipe
from stvg.train.rollouts import Rollout, Writer, measure, mix_of
from stvg.train.running import make_makers
from stvg.train.starting import Learner, load_learner

from .small import SIZES, TEXT_BOX, WORLD, recipe, torch
from .test_sft import Stopped, assert_close, lines, start, stop_at, weights

CLIPS = 6


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files") / "world"
    write_world(folder, split="train", clips=CLIPS, side=64)
    return folder


def options_of(world: Path, **changes: Any) -> dict[str, Any]:
    """A recipe's values: groups of three answers to one query of two clips a step."""
    task = {"kind": "benchmark", "benchmark": "hcstvg_v2", "options": TEXT_BOX, "clips": 2,
            "queries": 1, "annotations": str(world / "annotations.json"),
            **changes.pop("task", {})}  # fmt: skip
    options = {"group": 3, **changes.pop("grpo", {})}
    return {"tasks": [task], "grpo": options, "samples": 12, **changes}


def made(out: Path, world: Path, **changes: Any) -> Recipe:
    return recipe(out, **options_of(world, **changes))


def writer_of(policy: Policy, maker: Any) -> Writer:
    mix = mix_of(maker, policy.options)
    return Writer(policy.learner.backbone, maker, mix, policy.options, 0)


def played(options: Recipe) -> tuple[Policy, list[Turn]]:
    """A policy and what it writes in the first draw."""
    learner = load_learner(options, precision="fp32")
    policy = Policy.of(options, learner, options.grpo or Grpo())
    makers, _ = make_makers(options, learner, 1)
    writer = writer_of(policy, makers[0])
    own = [range(2)[part :: options.parts] for part in range(options.parts)]
    step = SimpleNamespace(task=0, parts=tuple(makers[0].batch(numbers) for numbers in own))
    return policy, list(sample(policy, writer, step, "cpu"))


def gradients(learner: Learner) -> dict[str, Any]:
    named = learner.student.model.named_parameters()
    return {name: each.grad.clone() for name, each in named if each.grad is not None}


def plain_gradients(policy: Policy, turns: list[Turn]) -> dict[str, Any]:
    """The same by the definition: every answer behind a prompt of its own, tower and all."""
    backbone, options = policy.learner.backbone, policy.options
    rollouts = [(turn, each) for turn in turns for each in turn.rollouts if not each.is_flat]
    answers = sum(len(each.kept) for _, each in rollouts)
    picks = sum(each.picks[number] for _, each in rollouts for number in each.kept)
    backbone.model.zero_grad()
    for turn, rollout in rollouts:
        for value, number in zip(rollout.values, rollout.kept, strict=True):
            pixels, grid = turn.batch.videos[rollout.prompt.clip]
            features = backbone.encode_video(
                pixels, grid, seconds_per_step=rollout.prompt.seconds_per_step
            )
            scored = backbone.score(
                backbone.prefill(rollout.prompt.ids, [features]),
                [rollout.ids[number]],
                grammar=rollout.grammar,
                temperature=options.temperature,
            )
            weights = pick_weights(
                scored.picked, options.mean, completions=answers, picks=picks, longest=64
            )
            loss = grpo_loss(scored.log_probs, None, value[None], weights)
            loss.loss.backward()
    return gradients(policy.learner)


@pytest.mark.parametrize("form", ["row", "cache"])
@pytest.mark.parametrize("tower", [0.5, 0.0], ids=["tower trained", "tower frozen"])
@pytest.mark.parametrize("mean", ["sequence", "token", "constant"])
def test_gradients_are_those_of_the_definition(
    world: Path, tmp_path: Path, form: str, tower: float, mean: str
) -> None:
    options = made(
        tmp_path, world, grpo={"form": form, "mean": mean, "temperature": 0.9},
        optimiser={"lr": 1e-3, "tower": tower}, task={"queries": 2, "clips": 2},
    )  # fmt: skip
    policy, turns = played(options)
    counts = counts_of(turns)
    assert counts["groups"] == counts["unequal"] == 2
    learn(policy, turns, counts, processes=1)
    found = gradients(policy.learner)
    expected = plain_gradients(policy, turns)
    assert found.keys() == expected.keys()
    assert any("visual" in name for name in found) == bool(tower)
    for name, gradient in expected.items():
        assert torch.allclose(found[name], gradient, atol=1e-5, rtol=1e-4), name


def test_parts_are_the_whole(world: Path, tmp_path: Path) -> None:
    results = []
    for parts in (1, 2):
        options = made(tmp_path, world, parts=parts, grpo={"anchor": 0.5, "kl": 0.1})
        policy, turns = played(options)
        assert len(turns) == parts
        for each in policy.first.model.parameters():  # type: ignore[union-attr]
            each.mul_(1.05)  # the reference is another model
        policy, turns = played_again(policy, turns, options)
        learned = learn(policy, turns, counts_of(turns), processes=1)
        results.append((learned, gradients(policy.learner)))
    (one, expected), (other, found) = results
    assert one["kl"][0] > 1e-4
    assert one.keys() == other.keys() == {"loss/policy", "loss/anchor", "kl", "clipped", "entropy"}
    for name, pair in one.items():
        assert other[name] == pytest.approx(pair, rel=1e-4, abs=1e-6), name
    for name, gradient in expected.items():
        assert torch.allclose(found[name], gradient, atol=1e-6, rtol=1e-4), name


def played_again(policy: Policy, turns: list[Turn], options: Recipe) -> tuple[Policy, list[Turn]]:
    """The same draw after the policy's reference was changed."""
    makers, _ = make_makers(options, policy.learner, 1)
    writer = writer_of(policy, makers[0])
    step = SimpleNamespace(task=0, parts=tuple(turn.batch for turn in turns))
    return policy, list(sample(policy, writer, step, "cpu"))


def test_the_anchor_is_the_supervised_loss(world: Path, tmp_path: Path) -> None:
    """With rewards that are all equal nothing but the anchor is left."""
    from stvg.train.student import total_loss

    flat = {"format": 1, "consistency": 0, "temporal": 0, "spatial": 0, "think": 0}
    options = made(tmp_path, world, grpo={"anchor": 0.5, "rewards": flat})
    policy, turns = played(options)
    assert all(each.is_flat for turn in turns for each in turn.rollouts)
    learned = learn(policy, turns, counts_of(turns), processes=1)
    found = gradients(policy.learner)
    student = policy.learner.student
    student.zero_grad()
    batch = turns[0].batch
    sums, _ = student(batch)
    loss = total_loss(sums, batch.counts, {"answer": 0.5, "cell": 0.0, "target": 0.0})
    loss.backward()
    assert learned["loss/anchor"][0] == pytest.approx(float(sums["answer"].detach()), rel=1e-5)
    for name, gradient in gradients(policy.learner).items():
        assert torch.allclose(found[name], gradient, atol=1e-6, rtol=1e-4), name


def test_flat_groups_count_in_the_means(world: Path, tmp_path: Path) -> None:
    """A group that teaches nothing halves what the other one of the step weighs."""
    policy, turns = played(made(tmp_path, world))
    one, other = turns[0].rollouts
    for kl in (0.0, 1e-12):
        flat = replace(other, values=torch.zeros_like(other.values))
        lessons = [each for each in turns[0].lessons if kl or each.rollout is one]
        turn = replace(turns[0], rollouts=[one, flat], lessons=lessons)
        counts = counts_of([turn])
        assert (counts["answers"], counts["unequal"]) == (6, 1)
    only = replace(turns[0], lessons=[turns[0].lessons[0]])
    both, alone = counts_of([turns[0]]), counts_of([replace(only, rollouts=[one])])
    norms = []
    for counts in (both, alone):
        policy.learner.student.zero_grad()
        learn(policy, [only], counts, processes=1)
        norms.append(
            sum(float(g.square().sum()) for g in gradients(policy.learner).values()) ** 0.5
        )
    assert norms[1] == pytest.approx(2 * norms[0], rel=1e-4)


def test_the_reference_has_a_tower_of_its_own(world: Path, tmp_path: Path) -> None:
    """Encoded once a clip, by the model that the run started from."""
    options = made(tmp_path, world, grpo={"kl": 0.1}, optimiser={"lr": 1e-3, "tower": 0.5})
    policy, turns = played(options)
    before = [lesson.reference for lesson in turns[0].lessons]
    with torch.no_grad():
        for each in policy.learner.backbone.model.model.visual.parameters():
            each.mul_(1.1)
    first = policy.encode_first(turns[0].batch, policy.encode(turns[0].batch))
    for lesson, expected in zip(turns[0].lessons, before, strict=True):
        own = replace(lesson.group.features[0], tokens=first[lesson.rollout.prompt.clip])
        found = policy.reference(replace(lesson.group, features=[own]))
        assert torch.allclose(found, expected, atol=1e-6)
        now = policy.scorer.score(lesson.group).log_probs
        assert torch.allclose(now, expected, atol=1e-5)  # features of before, the same language


def test_what_the_reference_shares(world: Path, tmp_path: Path) -> None:
    frozen = {"grpo": {"kl": 0.1}, "optimiser": {"lr": 1e-3, "tower": 0}}
    policy, _ = played(made(tmp_path, world, **frozen))
    assert policy.first is not None
    own, first = (each.model.state_dict() for each in (policy.learner.backbone, policy.first))
    for name, weight in own.items():
        assert (weight.data_ptr() == first[name].data_ptr()) == ("visual" in name), name


def test_old_log_probabilities_are_those_before_the_update(world: Path, tmp_path: Path) -> None:
    options = made(tmp_path, world, grpo={"iterations": 2})
    policy, turns = played(options)
    counts = counts_of(turns)
    first = learn(policy, turns, counts, processes=1)
    assert first["clipped"][0] == 0  # all ratios are 1
    with torch.no_grad():
        for each in policy.learner.backbone.model.parameters():
            each.mul_(1.2)
    assert learn(policy, turns, counts, processes=1)["clipped"][0] > 0


def test_lora_compares_with_the_model_without_adapters(world: Path, tmp_path: Path) -> None:
    from stvg.train.fresh import FreshConfig, fresh_model, fresh_tokenizer

    pytest.importorskip("peft", reason="the train extra is not installed")
    fresh_model(FreshConfig.of(SIZES)).save_pretrained(tmp_path / "model")
    fresh_tokenizer().save_pretrained(tmp_path / "model")
    options = made(
        tmp_path / "run", world, fresh=None, model=str(tmp_path / "model"),
        lora={"rank": 4, "alpha": 8}, grpo={"kl": 0.1}, samples=8,
    )  # fmt: skip
    policy, turns = played(options)
    assert policy.first is None
    lesson = turns[0].lessons[0]
    with torch.no_grad():
        same = policy.scorer.score(lesson.group).log_probs
        assert torch.allclose(same, lesson.reference, atol=1e-6)  # adapters begin at nothing
        for name, each in policy.learner.student.named_parameters():
            if "lora_B" in name:
                each.normal_(std=0.1)
        assert not torch.allclose(policy.scorer.score(lesson.group).log_probs, same, atol=1e-3)
    again = policy.reference(lesson.group)
    assert torch.allclose(again, same, atol=1e-6)
    train(options)
    assert (tmp_path / "run/last/adapter_model.safetensors").is_file()


def test_the_reward_rises(world: Path, tmp_path: Path) -> None:
    """A policy without any knowledge learns to write what is paid for."""
    reward = tmp_path / "paid.py"
    reward.write_text(
        "def early(completions, **columns):\n"
        "    return [-float(each[0]['content'].split()[0][3:-1]) / 16 for each in completions]\n"
    )
    only = {"others": {f"{reward}:early": 1.0}, "format": 0, "consistency": 0, "temporal": 0,
            "spatial": 0, "think": 0}  # fmt: skip
    options = made(
        tmp_path / "run", world, samples=80, grpo={"group": 16, "rewards": only},
        optimiser={"lr": 1e-2, "warmup": 0, "tower": 0, "final": 1.0},
    )  # fmt: skip
    train(options)
    totals = [entry["reward/total"] for entry in lines(tmp_path / "run")]
    assert -0.6 < totals[0] < -0.3  # any of 16 frames
    assert sum(totals[-5:]) / 5 > -0.1


@pytest.fixture(scope="module")
def whole(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing interrupts: six steps, logged every second, saved every third."""
    run = tmp_path_factory.mktemp("whole")
    train(made(run, world, **PLAIN))
    return run


PLAIN: dict[str, Any] = {"log_every": 2, "save_every": 3, "grpo": {"anchor": 0.1, "kl": 0.01}}


def test_a_stopped_run_goes_on_to_the_same_curve(whole: Path, world: Path, tmp_path: Path) -> None:
    for seen in (2, 8, 10):  # before the first checkpoint, between two
        with pytest.raises(Stopped):
            train(made(tmp_path, world, **PLAIN), progress=stop_at(seen))
    train(made(tmp_path, world, **PLAIN))
    assert lines(tmp_path) == lines(whole)
    expected, found = weights(whole), weights(tmp_path)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_parts_change_nothing_but_rounding(whole: Path, world: Path, tmp_path: Path) -> None:
    train(made(tmp_path, world, **PLAIN, parts=2))
    assert_close(lines(tmp_path), lines(whole), 2e-3)


def test_what_the_log_tells(whole: Path) -> None:
    entries = lines(whole)
    assert [entry["step"] for entry in entries] == [2, 4, 6]
    for entry in entries:
        parts = [entry[f"reward/{name}"] for name in
                 ("format", "consistency", "temporal", "spatial")]  # fmt: skip
        assert entry["reward/total"] == pytest.approx(sum(parts), abs=1e-4)
        assert entry["reward/format"] == entry["reward/consistency"] == 1  # the grammar sees to it
        assert 0 < entry["entropy"] < 5
        assert entry["share/cut"] == entry["share/failed"] == 0


@pytest.mark.slow
def test_two_processes_are_one(world: Path, tmp_path: Path) -> None:
    changes = options_of(world, **PLAIN)
    launcher = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2",
                "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no",
                "--main_process_port", "0"]  # fmt: skip
    both = start(tmp_path / "two", launcher, **changes)
    _, said = both.communicate(timeout=300)
    assert both.returncode == 0, said
    train(recipe(tmp_path / "one", **changes))
    assert_close(lines(tmp_path / "two/run"), lines(tmp_path / "one"), 2e-3)
    expected = weights(tmp_path / "one")
    for name, found in weights(tmp_path / "two/run").items():
        assert torch.allclose(found, expected[name], atol=1e-3), name


def reward_file(folder: Path, body: str) -> dict[str, Any]:
    """Rewards with a function of the user's beside the method's."""
    path = folder / "mine.py"
    path.write_text(
        f"calls = []\ndef mine(completions, **columns):\n    calls.append(1)\n    {body}\n"
    )
    return {"others": {f"{path}:mine": 1.0}}


def test_a_reward_that_fails_sometimes_is_told_and_left_out(world: Path, tmp_path: Path) -> None:
    rewards = reward_file(
        tmp_path, "return [float('nan') if i == 1 else 1.0 for i in range(len(completions))]"
    )
    train(made(tmp_path / "run", world, samples=4,
               grpo={"rewards": rewards, "max_failed": 0.5}))  # fmt: skip
    entries = lines(tmp_path / "run")
    assert [entry["share/failed"] for entry in entries] == [pytest.approx(1 / 3, abs=1e-4)] * 2
    fault = entries[0]["faults"][0]
    assert fault["reward"].endswith("mine.py:mine")
    assert fault["reason"] == "mine returned nan"
    assert ".mp4, query" in fault["sample"]


def test_rewards_that_fail_too_often_end_the_run(world: Path, tmp_path: Path) -> None:
    rewards = reward_file(tmp_path, "raise KeyError('boxes')")
    options = made(tmp_path / "run", world, samples=100, grpo={"rewards": rewards, "group": 8})
    with pytest.raises(StvgError, match=r"rewards of 64 of the last 64 .*KeyError: 'boxes'"):
        train(options)
    entries = lines(tmp_path / "run")
    assert len(entries) == 4  # steps of 16 answers until there were enough; the last is told too
    assert len(entries[0]["faults"]) == 2  # one a query, though all its answers failed
    assert "KeyError: 'boxes'" in (tmp_path / "run/live.html").read_text().replace("&#x27;", "'")


def test_a_run_that_cannot_go_on_is_told_before_its_first_line(world: Path, tmp_path: Path) -> None:
    rewards = reward_file(tmp_path, "raise KeyError('boxes')")
    options = made(tmp_path / "run", world, samples=100, log_every=50,
                   grpo={"rewards": rewards, "group": 8})  # fmt: skip
    with pytest.raises(StvgError, match="rewards of 64"):
        train(options)
    assert [entry["step"] for entry in lines(tmp_path / "run")] == [4]
    page = (tmp_path / "run/live.html").read_text()
    assert "the run is over" in page
    assert "raised KeyError" in page


def test_failing_rewards_end_a_run_of_few_answers_too(world: Path, tmp_path: Path) -> None:
    rewards = reward_file(tmp_path, "raise KeyError('boxes')")
    options = made(tmp_path / "run", world, samples=100, grpo={"rewards": rewards, "group": 2},
                   task={"clips": 1})  # fmt: skip
    with pytest.raises(StvgError, match=r"rewards of 40 of the last 40 answers failed"):
        train(options)


def test_a_reward_without_weight_may_fail(world: Path, tmp_path: Path) -> None:
    rewards = reward_file(tmp_path, "raise KeyError('boxes')")
    rewards["others"] = dict.fromkeys(rewards["others"], 0.0)
    train(made(tmp_path / "run", world, samples=4, grpo={"rewards": rewards}))
    for entry in lines(tmp_path / "run"):
        assert entry["share/failed"] == 0
        assert entry["norm"] > 0
        assert entry["faults"]  # told all the same


def test_rewards_that_do_not_apply_are_no_failures(world: Path, tmp_path: Path) -> None:
    none = dict.fromkeys(("format", "consistency", "temporal", "spatial", "think"), 0)
    rewards = {**none, **reward_file(tmp_path, "return [None] * len(completions)")}
    train(made(tmp_path / "run", world, samples=20, grpo={"rewards": rewards, "group": 8}))
    for entry in lines(tmp_path / "run"):
        assert (entry["share/failed"], entry["share/unjudged"], entry["norm"]) == (0, 1, 0)
    with pytest.raises(UsageError, match="all rewards have the weight 0"):
        train(made(tmp_path / "other", world, grpo={"rewards": none}))


def test_reward_functions_of_trl_are_given_query_and_columns(world: Path, tmp_path: Path) -> None:
    path = tmp_path / "seen.py"
    path.write_text(
        "seen = []\ndef mine(prompts, completions, query, id, **columns):\n"
        "    seen.append((prompts[0][0]['content'], query[0], id[0]))\n"
        "    return [0.0] * len(completions)\n"
    )
    rewards = {"others": {f"{path}:mine": 1.0}}
    _, turns = played(made(tmp_path, world, grpo={"rewards": rewards}))
    (reward,) = [score for rollout in turns[0].rollouts[:1] for name, score in
                 rollout.totals[0].scores.items() if name.endswith("mine")]  # fmt: skip
    assert reward.value == 0.0
    answer = turns[0].rollouts[0].answers[0]
    assert answer.prompt == turns[0].rollouts[0].prompt.query
    assert turns[0].rollouts[0].prompt.truth.columns["query"] == answer.prompt


def test_answers_that_never_end(world: Path, tmp_path: Path) -> None:
    task = {"options": {**TEXT_BOX, "max_new_tokens": 3}}
    options = made(tmp_path / "run", world, samples=100, task=task, grpo={"group": 8})
    with pytest.raises(StvgError, match=r"64 of the last 64 answers were cut off .* to .*query"):
        train(options)
    entry = lines(tmp_path / "run")[0]
    assert entry["share/cut"] == 1
    assert entry["share/unreadable"] == 1


def test_cut_answers_can_be_left_out(world: Path, tmp_path: Path) -> None:
    task = {"options": {**TEXT_BOX, "max_new_tokens": 20}}
    _, turns = played(made(tmp_path, world, task=task, grpo={"drop_cut": True, "group": 12}))
    rollouts = [each for turn in turns for each in turn.rollouts]
    assert {len(each.kept) for each in rollouts} - {0, 12}
    for rollout in rollouts:
        assert [rollout.finished[number] for number in rollout.kept] == [True] * len(rollout.kept)
        assert len(rollout.kept) == sum(rollout.finished)


def test_clipped_ratios_are_told(world: Path, tmp_path: Path) -> None:
    train(made(tmp_path, world, samples=4, grpo={"iterations": 3, "low": 0.0, "high": 0.0},
               optimiser={"lr": 3e-2, "warmup": 0, "tower": 0}))  # fmt: skip
    assert all(entry["clipped"] > 0 for entry in lines(tmp_path))


def test_drawing_ends_when_enough_groups_are_unequal(world: Path, tmp_path: Path) -> None:
    rewards = {"rewards": {"format": 0, "consistency": 0}, "group": 8}
    train(made(tmp_path, world, samples=8, grpo={**rewards, "draws": 4}))
    assert [entry["seen"] for entry in lines(tmp_path)] == [2, 4, 6, 8]


def test_a_run_with_several_draws_goes_on_to_the_same_curve(world: Path, tmp_path: Path) -> None:
    flat = {"format": 1, "consistency": 0, "temporal": 0, "spatial": 0, "think": 0}
    changes = {"samples": 24, "save_every": 1, "grpo": {"rewards": flat, "draws": 2, "anchor": 1}}
    train(made(tmp_path / "whole", world, **changes))
    with pytest.raises(Stopped):
        train(made(tmp_path / "cut", world, **changes), progress=stop_at(12))
    train(made(tmp_path / "cut", world, **changes))
    assert lines(tmp_path / "cut") == lines(tmp_path / "whole")


def test_what_may_change_between_starts(whole: Path, world: Path) -> None:
    more = {**PLAIN, "grpo": {**PLAIN["grpo"], "max_cut": 1.0, "shown": 1, "form": "cache"}}
    train(made(whole, world, **more))  # done already
    with pytest.raises(UsageError, match=r"another recipe \(grpo.group was 3, is 4\)"):
        train(made(whole, world, **{**PLAIN, "grpo": {**PLAIN["grpo"], "group": 4}}))


def test_a_method_without_rewards(world: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "from stvg.methods.text_answer import TextAnswer\n"
        "class Mine(TextAnswer):\n    name = 'mine'\n"
    )
    with pytest.raises(UsageError, match="the method mine names no rewards"):
        train(made(tmp_path / "run", world, task={"method": f"{path}:Mine"}))


def test_gradients_of_several_types_are_added_up() -> None:
    from stvg.train.distributed import add_gradients

    doubled = SimpleNamespace(num_processes=2, device="cpu", reduce=lambda t, reduction: 2 * t)
    weights = [torch.nn.Parameter(torch.ones(2, dtype=kind)) for kind in
               (torch.float32, torch.bfloat16, torch.float32)]  # fmt: skip
    weights[0].grad, weights[1].grad = torch.ones(2), torch.ones(2, dtype=torch.bfloat16)
    add_gradients(doubled, weights)
    assert [None if each.grad is None else each.grad.tolist() for each in weights] == [
        [2, 2], [2, 2], None,
    ]  # fmt: skip


def test_flat_groups_are_drawn_again(world: Path, tmp_path: Path) -> None:
    flat = {"format": 1, "consistency": 0, "temporal": 0, "spatial": 0, "think": 0}
    train(made(tmp_path, world, samples=12, grpo={"rewards": flat, "draws": 3}))
    entries = lines(tmp_path)
    assert [entry["seen"] for entry in entries] == [6, 12]  # three draws of two clips a step
    assert [entry["share/flat"] for entry in entries] == [1, 1]
    assert [entry["norm"] for entry in entries] == [0, 0]  # nothing was learned, nothing changed


def test_a_video_is_read_and_encoded_once_a_draw(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many queries, answers and updates stand on it."""
    from stvg.excerpt import Excerpt

    reads: list[str] = []
    encoded: list[int] = []
    prompts: list[int] = []
    monkeypatch.setattr(Excerpt, "read", counting(Excerpt.read, lambda *_: reads.append("")))
    monkeypatch.setattr(
        Policy, "_encode", counting(Policy._encode, lambda *a: encoded.append(len(a[2].videos)))
    )
    from stvg.backbones.qwen import QwenBackbone

    monkeypatch.setattr(
        QwenBackbone, "prefill_batch",
        counting(QwenBackbone.prefill_batch, lambda *a: prompts.append(len(a[1]))),
    )  # fmt: skip
    train(
        made(tmp_path, world, samples=CLIPS, grpo={"group": 4, "iterations": 3, "kl": 0.1},
             optimiser={"lr": 1e-3, "tower": 0})
    )  # fmt: skip
    assert len(reads) == sum(encoded) == CLIPS
    assert sum(prompts) == CLIPS  # queries, one a clip; scoring reads them in the group's row


def counting(function: Callable[..., Any], note: Callable[..., None]) -> Callable[..., Any]:
    def counted(*arguments: Any, **options: Any) -> Any:
        note(*arguments)
        return function(*arguments, **options)

    return counted


def test_what_cannot_be_learned_from(world: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="tasks with a method that answers"):
        train(recipe(tmp_path, grpo={}, tasks=[WORLD]))
    with pytest.raises(UsageError, match="no option 'tmporal', did you mean 'temporal'"):
        train(made(tmp_path / "b", world, grpo={"rewards": {"tmporal": 1}}))
    with pytest.raises(UsageError, match="exclude each other"):
        made(tmp_path, world, grpo={"form": "cache"}, checkpointing=True)
    lora = {"lora": {"dropout": 0.1}, "fresh": None, "model": "tiny"}
    with pytest.raises(UsageError, match=r"without dropout: lora.dropout is 0"):
        made(tmp_path, world, **lora)


def test_bf16_and_checkpointing(world: Path, tmp_path: Path) -> None:
    train(made(tmp_path, world, samples=4, precision="bf16", checkpointing=True,
               grpo={"anchor": 0.1, "kl": 0.01}))  # fmt: skip
    assert all(each.dtype == torch.float32 for each in weights(tmp_path).values())
    assert all(entry["norm"] > 0 for entry in lines(tmp_path))


def test_measures_by_hand(world: Path, tmp_path: Path) -> None:
    from stvg.rewards import Answer, Score, Total
    from stvg.text import Parsed
    from stvg.types import Interval

    _, turns = played(made(tmp_path, world))
    prompt = turns[0].rollouts[0].prompt
    truth = prompt.truth.tubes[0].interval
    outside = Interval(truth.end_s, truth.end_s + 1)
    values = [1.0, 3.0, None]
    rollout = Rollout(
        prompt, None, ((1, 2), (1, 2, 3), (1,)), (2, 3, 1), (True, True, False),
        tuple(Answer("", Parsed(None, outside, problem="none")) for _ in values),
        tuple(
            Total(1.0 if value is None else value,
                  {"mine": Score(value, "told", failed=value is None)})
            for value in values
        ),
        (False, False, True), (0, 1), torch.tensor([-1.0, 1.0]),
    )  # fmt: skip
    assert measure([rollout]) == {
        "reward/total": (4.0, 2), "spread/total": (pytest.approx(2**0.5), 1),
        "reward/mine": (4.0, 2), "spread/mine": (pytest.approx(2**0.5), 1),
        "length": (6.0, 3), "share/unreadable": (3, 3), "share/cut": (1, 3),
        "share/failed": (1, 3), "share/unjudged": (0, 3), "share/flat": (0.0, 1),
        "share/no_overlap": (1.0, 1),
    }  # fmt: skip
    assert set(counts_of(turns)) == set(COUNTS)
