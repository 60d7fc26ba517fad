"""Watching and tuning against the plain forward of the model class, and on a toy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from stvg.backbones.positions import positions, token_types
from stvg.backbones.qwen import QwenBackbone
from stvg.methods.dsth.config import DsthConfig
from stvg.methods.dsth.highlight import Branch, choose_token, highlight, likeness
from stvg.methods.dsth.prompts import Prompt, answer_tokens
from stvg.methods.dsth.watching import Watcher
from tests.methods.dsth.models import noise, small_backbone, small_qwen2, torch

STEPS = 3
GRID = (STEPS, 8, 8)
LOOKS, ACTION, GENERAL = "is there the red ball ?", "is there the ball moves ?", "what happens ?"
EXACT = 1e-6


def watcher_of(backbone: QwenBackbone, *, query_first: bool = False) -> Watcher:
    """Three questions on noise; in 64 bits, so that only the method's own rounding remains."""
    backbone.model.double()
    prompts = {
        text: Prompt.of(backbone, text, GRID, query_first=query_first)
        for text in (LOOKS, ACTION, GENERAL)
    }
    layers, video = range(1, 3), noise(backbone, steps=STEPS)
    return Watcher(backbone, video, prompts, layers, answer_tokens(backbone))


@pytest.fixture(params=["video first", "question first", "Qwen2-VL"])
def watcher(request: pytest.FixtureRequest) -> Watcher:
    if request.param == "Qwen2-VL":
        return watcher_of(small_qwen2())
    return watcher_of(small_backbone(), query_first=request.param == "question first")


def separately(watcher: Watcher, added: Any, name: str, *, reverse: bool = False) -> Any:
    """Yes over no and attention rows of one question, by the class's own forward."""
    backbone: QwenBackbone = watcher.backbone
    prompt, video = watcher.prompts[name], watcher.video
    ids = [*prompt.trunk, *prompt.tail]
    tokens = video.tokens
    if reverse:
        tokens = torch.cat([tokens[32:], tokens[16:32], tokens[:16]])
    config = backbone.model.config
    types = token_types(ids, config.image_token_id, config.video_token_id)
    backbone.model.set_attn_implementation("eager")
    out = backbone.model(
        inputs_embeds=backbone.embed(ids, [replace(video, tokens=tokens + added)]),
        position_ids=torch.from_numpy(positions(types, [video.block], backbone.rule).ids),
        output_attentions=True,
    )
    backbone.model.set_attn_implementation("sdpa")
    assert watcher.answers is not None
    yes, no = watcher.answers
    rows = torch.stack([out.attentions[layer] for layer in watcher.layers]).mean((0, 2))[0]
    columns = np.flatnonzero(np.array(ids) == config.video_token_id)
    maps = rows[-prompt.watched :][:, columns].reshape(-1, STEPS, 4, 4)
    return out.logits[0, -1, yes] - out.logits[0, -1, no], maps


@pytest.mark.parametrize("reverse", [False, True], ids=["forwards", "in reverse"])
def test_questions_together_are_questions_apart(watcher: Watcher, reverse: bool) -> None:
    added = torch.randn(48, 32, generator=torch.Generator().manual_seed(2)) * 0.1
    ours = added.clone().requires_grad_()
    values = watcher.yes_over_no(ours, [LOOKS, ACTION, GENERAL], reverse=reverse)
    maps = watcher.attention(added, [LOOKS, ACTION, GENERAL], reverse=reverse)
    for name, value in values.items():
        theirs = added.clone().requires_grad_()
        expected, expected_maps = separately(watcher, theirs, name, reverse=reverse)
        assert value.item() == pytest.approx(expected.item(), rel=EXACT)
        np.testing.assert_allclose(maps[name], expected_maps.detach(), rtol=EXACT)
        (gradient,) = torch.autograd.grad(value, ours, retain_graph=True)
        (wanted,) = torch.autograd.grad(expected, theirs)
        assert (gradient - wanted).norm() <= EXACT * wanted.norm()


def plainly(watcher: Watcher, branch: Branch, config: DsthConfig) -> np.ndarray:
    """Tuned relative map of one branch, every question in a pass of its own."""
    value = before = torch.zeros(48, 32)
    for step in range(config.steps):
        point = (config.average * value + (1 - config.average) * before).requires_grad_()
        asked, _ = separately(watcher, point, branch.asked, reverse=branch.reverse)
        general, _ = separately(watcher, point, GENERAL, reverse=branch.reverse)
        loss = 1 - (asked - general) if config.objective == "contrast" else -asked.exp()
        (gradient,) = torch.autograd.grad(loss, point)
        share = config.average if step else 1.0
        value, before = value - config.rate * share * gradient, value
    point = config.average * value + (1 - config.average) * before
    _, maps = separately(watcher, point, branch.read, reverse=branch.reverse)
    shift = point if config.shift_general else torch.zeros_like(point)
    _, general = separately(watcher, shift, GENERAL, reverse=branch.reverse)
    relative = (maps / (general + 1e-4)).detach().numpy()
    return relative[:, ::-1] if branch.reverse else relative


@pytest.mark.parametrize(
    "options",
    [{}, {"steps": 0}, {"objective": "ratio", "steps": 1, "shift_general": False}],
    ids=["tuned", "not tuned", "as in the paper"],
)
def test_highlights_are_those_of_separate_passes(watcher: Watcher, options: dict[str, Any]) -> None:
    config = DsthConfig.of({"rate": 500.0, **options})
    branches = [Branch(LOOKS, LOOKS), Branch(ACTION, LOOKS), Branch(LOOKS, LOOKS, True)]
    found = highlight(watcher, branches, GENERAL, config)
    untuned = highlight(watcher, branches, GENERAL, DsthConfig(steps=0))
    for branch in branches:
        assert len(found[branch].asked) == config.steps
        np.testing.assert_allclose(
            found[branch].relative, plainly(watcher, branch, config), rtol=1e-5
        )
        moved = np.abs(found[branch].relative / untuned[branch].relative - 1).max()
        assert (moved > 1e-3) == (config.steps > 0)


def test_a_step_raises_yes_beyond_that_of_the_general_question() -> None:
    watcher = watcher_of(small_backbone())
    branch = Branch(LOOKS, LOOKS)
    found = highlight(watcher, [branch], GENERAL, DsthConfig(steps=2, rate=0.1))[branch]
    before, after = (a - g for a, g in zip(found.asked, found.general, strict=True))
    assert after > before


@dataclass
class Toy:
    """A watcher whose attention knows no positions: tokens by a vector a question.

    Attributes:
        tokens: (steps, cells, channels).
        refuses: Whether the gradient is to be infinite.
        seen: Of each reading of attention the questions, and whether in reverse.
    """

    tokens: Any
    refuses: bool = False
    seen: list[tuple[list[str], bool]] = field(default_factory=list)

    def nothing(self) -> Any:
        return torch.zeros_like(self.tokens.flatten(0, 1))

    def _shares(self, added: Any, name: str, *, reverse: bool) -> Any:
        tokens = self.tokens.flip(0) if reverse else self.tokens
        shown = tokens.flatten(0, 1) + added
        generator = torch.Generator().manual_seed(len(name))
        return shown, (shown @ torch.randn(shown.shape[1], generator=generator)).softmax(0)

    def yes_over_no(self, added: Any, names: Sequence[str], *, reverse: bool = False) -> Any:
        scale = float("inf") if self.refuses else 1.0
        found = {}
        for name in names:
            shown, shares = self._shares(added, name, reverse=reverse)
            found[name] = scale * (shares @ shown).sin().sum()
        return found

    def attention(self, added: Any, names: Sequence[str], *, reverse: bool = False) -> Any:
        self.seen.append((list(names), reverse))
        return {
            name: self._shares(added, name, reverse=reverse)[1].detach().numpy().reshape(1, 3, 2, 2)
            for name in names
        }


def test_without_positions_the_reverse_turned_back_is_the_same() -> None:
    toy: Any = Toy(torch.randn(3, 4, 8, generator=torch.Generator().manual_seed(0)))
    branches = [Branch("looks", "looks"), Branch("looks", "looks", True)]
    forth, back = highlight(toy, branches, "all", DsthConfig(rate=1.0)).values()
    assert sorted(reverse for _, reverse in toy.seen) == [False, True]
    np.testing.assert_allclose(forth.relative, back.relative, rtol=1e-5)
    assert likeness(forth.relative, back.relative) == pytest.approx(1.0)


def test_steps_without_a_finite_gradient_are_left_out_and_counted() -> None:
    toy: Any = Toy(torch.ones(3, 4, 8), refuses=True)
    (found,) = highlight(toy, [Branch("looks", "looks")], "all", DsthConfig()).values()
    assert found.refused == 2
    assert np.isfinite(found.relative).all()


def test_the_general_question_on_the_bare_video_is_read_once_a_direction() -> None:
    toy: Any = Toy(torch.randn(3, 4, 8, generator=torch.Generator().manual_seed(0)))
    branches = [
        Branch("looks", "all of it"),
        Branch("action", "all of it"),
        Branch("looks", "", True),
    ]
    highlight(toy, branches, "general", DsthConfig(steps=1, rate=1.0, shift_general=False))
    assert toy.seen.count((["general"], False)) == toy.seen.count((["general"], True)) == 1
    assert len(toy.seen) == 5


def test_attention_that_is_not_finite_counts_as_none() -> None:
    toy: Any = Toy(torch.full((3, 4, 8), torch.nan))
    (found,) = highlight(toy, [Branch("looks", "looks")], "all", DsthConfig(steps=0)).values()
    assert not found.is_finite
    np.testing.assert_array_equal(found.relative, np.zeros((1, 3, 2, 2)))


def test_the_token_with_the_highest_peak_is_chosen() -> None:
    maps = np.zeros((3, 2, 1, 2))
    maps[0, 0, 0, 0], maps[1, 1, 0, 1], maps[2, 0, 0, 1] = 3, 7, 5
    chosen, number, peaks = choose_token(maps, "activation")
    assert (number, peaks.tolist()) == (1, [3, 7, 5])
    np.testing.assert_array_equal(chosen, maps[1])
    mean, number, _ = choose_token(maps, "mean")
    assert number is None
    np.testing.assert_allclose(mean[0, 0], [1, 5 / 3])
    assert choose_token(maps, -3)[1] == 0


def test_likeness_by_hand() -> None:
    one = np.array([[3.0, 4.0]])
    assert likeness(one, 2 * one) == pytest.approx(1)
    assert likeness(one, np.array([[4.0, -3.0]])) == pytest.approx(0)
    assert likeness(one, np.array([[4.0, 3.0]])) == pytest.approx(24 / 25)
    assert likeness(one, 0 * one) == 0
