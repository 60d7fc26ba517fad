"""Learning rate and groups of parameters."""

from __future__ import annotations

import math

import pytest

from stvg.train.optimise import make_optimiser, rate_at, set_rate
from stvg.train.recipe import Optimiser
from stvg.train.student import Student

from .small import backbone


@pytest.mark.parametrize(
    ("seen", "share"),
    [
        (0, 0.0),  # the first step of a warm-up moves nothing
        (25, 0.25),
        (100, 1.0),
        (350, 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi / 4))),  # a quarter of the way down
        (600, 0.02 + 0.98 * 0.5),  # half-way
        (1100, 0.02),
        (2000, 0.02),  # past the end
    ],
)
def test_cosine_by_hand(seen: int, share: float) -> None:
    options = Optimiser(lr=3e-3, warmup=100, final=0.02)
    assert rate_at(seen, 1100, options) == pytest.approx(3e-3 * share)


def test_a_run_that_is_all_warm_up() -> None:
    options = Optimiser(lr=1.0, warmup=100)
    assert rate_at(50, 60, options) == 0.5


def test_groups() -> None:
    model = backbone()
    student = Student(model.model, model.tokenizer, (0.7, 0.4))
    optimiser = make_optimiser(student, Optimiser(tower=0.25, weight_decay=0.1))
    set_rate(optimiser, 2.0)
    names = {id(each): name for name, each in student.named_parameters()}
    found = {
        names[id(each)]: (group["lr"], group["weight_decay"])
        for group in optimiser.param_groups
        for each in group["params"]
    }
    layer = "model.model.language_model.layers.0"
    assert found[f"{layer}.mlp.up_proj.weight"] == (2.0, 0.1)
    assert found[f"{layer}.input_layernorm.weight"] == (2.0, 0.0)
    assert found["model.model.language_model.embed_tokens.weight"] == (2.0, 0.0)
    assert found["model.model.visual.blocks.0.mlp.up_proj.weight"] == (0.5, 0.1)
    assert found["heads.seen.0.weight"] == (2.0, 0.1)
    assert set(found) == {name for name, _ in student.named_parameters()}


def test_a_factor_of_nothing_freezes_the_tower() -> None:
    model = backbone()
    student = Student(model.model, model.tokenizer, (0.7, 0.4))
    optimiser = make_optimiser(student, Optimiser(tower=0.0))
    trained = {id(each) for group in optimiser.param_groups for each in group["params"]}
    for name, each in student.named_parameters():
        assert (id(each) in trained) == (".visual." not in name) == each.requires_grad
