"""Dense losses against values worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest

from stvg.train.heads import DenseHeads

from .small import torch

WORDS = {"colour": [0, 1], "kind": [2, 3], "motion": [4, 5], "painted": [6, 7]}


def heads(seen: list[float], meant: list[float]) -> DenseHeads:
    """Heads that say the same of every token: 12 and 6 numbers."""
    made = DenseHeads(4, WORDS)
    with torch.no_grad():
        for head, values in ((made.seen, seen), (made.meant, meant)):
            head[2].weight.zero_()
            head[2].bias.copy_(torch.tensor(values))
        for each in made.spread.values():
            each.weight.copy_(torch.eye(4))
            each.bias.zero_()
        for each in made.sharpness.values():
            each.fill_(math.log(2.0))
    return made


def softplus(value: float) -> float:
    return math.log1p(math.exp(value))


@pytest.fixture
def labels() -> dict[str, Any]:
    """One clip, one step of 2 x 2 tokens; object 1 in the tokens 1 and 3, object 0 nowhere."""
    return {
        "cells": torch.tensor([[[-1, 1, -1, 1]]]),
        "boxes": torch.tensor([[[[0.0, 0.0, 0.1, 0.1]], [[0.5, 0.25, 1.0, 0.75]]]]),
        "changes": torch.tensor([[[[0.0, 0.0, 0.0]], [[0.25, -0.5, 0.125]]]]),
        "colour": torch.tensor([[0, 1]]),
        "kind": torch.tensor([[1, 0]]),
        "motion": torch.tensor([[[0], [1]]]),
        "painted": torch.tensor([[1, 0]]),
    }


@torch.no_grad()
def test_what_is_seen(labels: dict[str, Any]) -> None:
    said = [0.3, *[0.1, 0.2, 0.3, 0.4], *[1.0, 2.0, 3.0], *[0.0, 0.0, 0.0, 0.0]]
    tokens = torch.zeros(1, 1, 4, 4)
    tokens[..., 0] = 1.0
    table = torch.zeros(8, 4)
    table[0, 0], table[1, 1] = 5.0, 2.0  # colour: the token points at word 0, the truth is 1
    table[2, 0], table[3, 1] = 1.0, 3.0  # kind: it points at word 0, the truth
    table[4, 2], table[5, 3] = 1.0, 1.0  # motion: at neither
    table[6, 0], table[7, 1] = 2.0, 3.0  # painted: at word 0, the truth
    sums, gauges = heads(said, [0.0] * 6).judge_seen(tokens, table, labels)
    # two tokens show nothing, two something; logit 0.3 everywhere
    assert float(sums["cell"]) == pytest.approx((2 * softplus(0.3) + 2 * softplus(-0.3)) / 4)
    # in tokens the box is 1, 0.5, 2, 1.5; token 1 stands at (1, 0), token 3 at (1, 1)
    boxes = [[0.0, 0.5, 1.0, 1.5], [0.0, -0.5, 1.0, 0.5]]
    apart = [sum(abs(a - b) for a, b in zip(said[1:5], box, strict=True)) / 4 for box in boxes]
    assert float(sums["cell_box"]) == pytest.approx(sum(apart) / 2)
    # changes in tokens 0.5, -1, 0.25, four times as large in what is said
    assert float(sums["cell_change"]) == pytest.approx((1.0 + 6.0 + 2.0) / 3)
    # a half everywhere against 0.5, 0.25, 1, 0.75
    assert float(sums["cell_place"]) == pytest.approx((0 + 0.25 + 0.5 + 0.25) / 4)
    assert float(sums["cell_colour"]) == pytest.approx(softplus(2.0))
    assert float(sums["cell_kind"]) == pytest.approx(softplus(-2.0))
    assert float(sums["cell_motion"]) == pytest.approx(math.log(2))
    assert float(sums["cell_painted"]) == pytest.approx(softplus(-2.0))
    assert gauges["object"] == (2.0, 4.0)
    assert gauges["colour"] == (0.0, 2.0)
    assert gauges["kind"] == gauges["painted"] == (2.0, 2.0)


@torch.no_grad()
def test_objects_without_a_number_are_not_asked_for_it(labels: dict[str, Any]) -> None:
    labels["painted"] = torch.tensor([[1, -1]])
    sums, gauges = heads([0.0] * 12, [0.0] * 6).judge_seen(
        torch.randn(1, 1, 4, 4), torch.randn(8, 4), labels
    )
    assert float(sums["cell_painted"]) == 0
    assert gauges["painted"] == (0.0, 0.0)


def test_every_clip_counts_once_however_many_tokens_it_shows(labels: dict[str, Any]) -> None:
    said = [0.0, *[0.1] * 4, *[0.0] * 3, *[0.0] * 4]
    tokens = torch.randn(2, 1, 4, 4)
    table = torch.randn(8, 4)
    one = {**labels, "cells": torch.tensor([[[-1, 1, -1, -1]]])}
    both = {name: torch.cat([labels[name], one[name]]) for name in labels}
    made = heads(said, [0.0] * 6)
    together, _ = made.judge_seen(tokens, table, both)
    apart = [
        made.judge_seen(tokens[n : n + 1], table, part)[0] for n, part in ((0, labels), (1, one))
    ]
    for name, value in together.items():
        assert torch.allclose(value, apart[0][name] + apart[1][name], atol=1e-6), name


@torch.no_grad()
def test_nothing_is_seen() -> None:
    none = {
        "cells": torch.full((1, 1, 4), -1), "boxes": torch.zeros(1, 1, 1, 4),
        "changes": torch.zeros(1, 1, 1, 3), "colour": torch.zeros(1, 1, dtype=torch.long),
        "kind": torch.zeros(1, 1, dtype=torch.long),
        "motion": torch.zeros(1, 1, 1, dtype=torch.long),
        "painted": torch.zeros(1, 1, dtype=torch.long),
    }  # fmt: skip
    sums, gauges = heads([0.0] * 12, [0.0] * 6).judge_seen(
        torch.zeros(1, 1, 4, 4), torch.randn(8, 4), none
    )
    assert {name for name, value in sums.items() if float(value) != 0} == {"cell"}
    assert gauges["kind"] == (0.0, 0.0)


@torch.no_grad()
def test_what_is_meant() -> None:
    """Two steps of 2 x 1 tokens; the target is token 0 of the first step and happens there."""
    made = heads([0.0] * 12, [0.0, 0.7, 0.0, 0.0, 0.0, 0.0])
    labels = {
        "target": torch.tensor([[[True, False], [False, False]]]),
        "inside": torch.tensor([[1.0, 0.5]]),
        "box": torch.tensor([[[0.5, 0.5, 0.9, 0.7], [math.nan] * 4]]),
    }
    sums, gauges = made.judge_meant(torch.zeros(1, 2, 2, 4), labels)
    assert float(sums["target"]) == pytest.approx(math.log(2))  # one of two tokens, no idea
    now = [softplus(-0.7), 0.5 * softplus(-0.7) + 0.5 * softplus(0.7)]
    assert float(sums["target_now"]) == pytest.approx(sum(now) / 2)
    assert float(sums["target_box"]) == pytest.approx((0 + 0 + 0.4 + 0.2) / 4)
    assert gauges["now"] == (1.0, 2.0)  # happening everywhere, it says; half is not over a half
    assert gauges["target"][1] == 1.0


def test_losses_have_gradients_where_nothing_is_seen_at_all() -> None:
    made = heads([0.0] * 12, [0.1] * 6)
    states = torch.zeros(1, 1, 2, 4, requires_grad=True)
    labels = {"target": torch.zeros(1, 1, 2, dtype=torch.bool), "inside": torch.zeros(1, 1),
              "box": torch.full((1, 1, 4), math.nan)}  # fmt: skip
    sums, _ = made.judge_meant(states, labels)
    torch.stack(list(sums.values())).sum().backward()
    assert torch.isfinite(states.grad).all()
    assert float(sums["target"].detach()) == 0
