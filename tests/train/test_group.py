"""Completions of one prompt scored together against the real class on each of them alone.

The plain computation is ``Qwen2_5_VLForConditionalGeneration``'s own forward on prompt and
completion, pixels included, once for every completion; probabilities are written out anew here.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from stvg.backbones.positions import Block, positions, token_types
from stvg.backbones.preprocess import normalise
from stvg.backbones.qwen import QwenBackbone
from stvg.errors import UsageError
from tests.backbones.grammars import Row, Wild
from tests.backbones.tiny_qwen import (
    EOS,
    IMAGE_PAD,
    SPECIALS,
    VIDEO_PAD,
    VISION_END,
    VISION_START,
    framed,
    tiny_model,
    tiny_tokenizer,
    torch,
    video_of,
    words,
)

from stvg.train.group import Group, GroupScorer, Scores  # isort: skip
from stvg.train.group_loss import advantages, grpo_loss, pick_weights  # isort: skip

EXACT = 1e-5
SECONDS = 3.0
PROMPT = [*words(1, 4), *framed(36), *words(2, 3)]  # a video of three steps
BANNED = [VISION_START, VISION_END, IMAGE_PAD, VIDEO_PAD]
SHAPES = {
    "one completion": [5],
    "one token": [1],
    "one token each": [1, 1, 1],
    "alike": [6, 6, 6],
    "ragged": [1, 9, 4, 1, 13],
    "two": [30, 2],
}
HEADS = {"grouped": {}, "alone": {"num_key_value_heads": 2}}
WAYS = [("row", 1), ("cache", 1), ("cache", 2), ("cache", 9)]


@pytest.fixture(params=HEADS)
def backbone(request: pytest.FixtureRequest) -> QwenBackbone:
    return make(**HEADS[request.param])


@pytest.fixture
def tiny() -> QwenBackbone:
    return make()


def make(**text: Any) -> QwenBackbone:
    return QwenBackbone(tiny_model(**text), tiny_tokenizer())


def answers(lengths: Sequence[int]) -> list[list[int]]:
    return [words(10 + number, length) for number, length in enumerate(lengths)]


def group_of(backbone: QwenBackbone, completions: Any, **more: Any) -> Group:
    video = backbone.encode_video(*video_of(backbone), seconds_per_step=SECONDS)
    return Group(PROMPT, [video], completions, **more)


def options_along(place: Any, completion: Sequence[int]) -> list[tuple[int, ...]]:
    found = []
    for token in completion:
        found.append(place.allowed or (EOS,))
        place = place.after(token) if place.allowed else place
    return found


def plain(
    backbone: QwenBackbone, completions: Any, *, grammar: Any = None, temperature: float = 1.0
) -> list[Any]:
    """Log-probabilities of each completion, (length,) each, with their graph."""
    rows, grid = video_of(backbone)
    found = []
    for completion in completions:
        ids = [*PROMPT, *completion]
        types = token_types(ids, IMAGE_PAD, VIDEO_PAD)
        block = Block(tuple(grid[0].tolist()), SECONDS)
        logits = backbone.model(
            input_ids=torch.tensor([ids]),
            mm_token_type_ids=torch.from_numpy(types[None]),
            pixel_values_videos=torch.from_numpy(normalise(rows, backbone.layout)),
            video_grid_thw=torch.from_numpy(grid),
            position_ids=torch.from_numpy(positions(types, [block], backbone.rule).ids),
            use_cache=False,
        ).logits[0, len(PROMPT) - 1 : -1]
        every = torch.arange(logits.shape[-1])
        free = tuple(int(token) for token in every if token not in BANNED)
        options = options_along(grammar, completion) if grammar else [free] * len(completion)
        found.append(
            torch.stack(
                [
                    (scores[list(allowed)] / temperature).log_softmax(-1)[allowed.index(token)]
                    for scores, allowed, token in zip(logits, options, completion, strict=True)
                ]
            )
        )
    return found


def some_loss(log_probs: Any, rows: slice = slice(None)) -> Any:
    """A weighted mean; the weights are those of the tokens' places among all."""
    weights = torch.linspace(-1, 1, 40)[: log_probs.shape[1]] + torch.arange(9)[rows, None] / 3
    return (log_probs * weights[:, : log_probs.shape[1]]).sum() / 20


def gradients(backbone: QwenBackbone) -> dict[str, Any]:
    """Of all parameters; they are forgotten."""
    named = dict(backbone.model.named_parameters())
    found = {name: each.grad for name, each in named.items() if each.grad is not None}
    backbone.model.zero_grad()
    return found


def plain_gradients(backbone: QwenBackbone, completions: Any, **more: Any) -> tuple[Any, Any]:
    padded = torch.nn.utils.rnn.pad_sequence(plain(backbone, completions, **more), batch_first=True)
    some_loss(padded, slice(0, len(completions))).backward()
    return padded.detach(), gradients(backbone)


def close(one: Any, two: Any, size: float = 1.0) -> None:
    torch.testing.assert_close(one, two, rtol=0, atol=EXACT * max(size, 1.0))


def check(scorer: GroupScorer, group: Group, **more: Any) -> Scores:
    """Log-probabilities and gradients of a group are those of its completions alone."""
    expected, of_each = plain_gradients(scorer.backbone, group.completions, **more)
    scores = scorer.backward(group, lambda part, rows: some_loss(part.log_probs, rows))
    close(scores.log_probs, expected)
    found = gradients(scorer.backbone)
    # what is trained but was not reached has a gradient of zero in one and none in the other
    for name in {*found, *of_each}:
        one, two = found.get(name), of_each.get(name)
        like = one if two is None else two
        zero = torch.zeros_like(like)
        close(zero if one is None else one, zero if two is None else two, float(like.abs().max()))
    assert not scores.log_probs.requires_grad
    return scores


@pytest.mark.parametrize(("form", "at_once"), WAYS)
@pytest.mark.parametrize(
    ("heads", "shape"), [*(("grouped", shape) for shape in SHAPES), ("alone", "ragged")]
)
def test_log_probabilities_and_gradients(heads: str, form: Any, at_once: int, shape: str) -> None:
    """Of the whole model, the vision tower included."""
    backbone = make(**HEADS[heads])
    scorer = GroupScorer(backbone, form, at_once=at_once)
    group = group_of(backbone, answers(SHAPES[shape]))
    scores = check(scorer, group)
    lengths = torch.tensor(SHAPES[shape])
    assert torch.equal(scores.picked.sum(-1), lengths)
    with torch.no_grad():
        again = scorer.score(group)
    close(again.log_probs, scores.log_probs)
    close(again.entropies, scores.entropies)


@pytest.mark.parametrize("form", ["row", "cache"])
def test_gradients_without_backward_of_ours(tiny: QwenBackbone, form: Any) -> None:
    completions = answers([3, 5])
    expected, of_each = plain_gradients(tiny, completions)
    scores = GroupScorer(tiny, form).score(group_of(tiny, completions))
    some_loss(scores.log_probs, slice(0, 2)).backward()
    close(scores.log_probs.detach(), expected)
    found = gradients(tiny)
    for name, gradient in of_each.items():
        close(found[name], gradient, float(gradient.abs().max()))


def test_a_dense_mask_gives_the_same(tiny: QwenBackbone) -> None:
    """The row of the form ``row`` through the attention of the class, with all that it sees."""
    completions = answers([4, 7, 2])
    group = group_of(tiny, completions)
    reader = tiny._reader
    embeds, found, _ = reader.embed_prompts([PROMPT], [group.features])
    lengths = [len(PROMPT), *(len(each) for each in completions)]
    part = np.repeat(np.arange(4), lengths)
    seen = (part[:, None] == part) | (part == 0)
    mask = torch.from_numpy(np.tril(seen))[None, None]
    places = [found.ids, *(found.continued(length) for length in lengths[1:])]
    tail = reader.embed_text(np.concatenate(completions)[None])
    states = reader.language_model(
        inputs_embeds=torch.cat([embeds, tail], dim=1),
        position_ids=torch.from_numpy(np.concatenate(places, axis=2)),
        attention_mask={"full_attention": mask},
        use_cache=False,
    ).last_hidden_state[0]
    logits = tiny.model.lm_head(states)
    logits[:, BANNED] = -float("inf")
    log_probs = logits.log_softmax(-1)
    scores = GroupScorer(tiny).score(group).log_probs
    ends = np.cumsum(lengths)
    for number, completion in enumerate(completions):
        before = [len(PROMPT) - 1, *range(ends[number], ends[number + 1] - 1)]
        close(scores[number, : len(completion)], log_probs[before, completion])


@pytest.mark.parametrize("form", ["row", "cache"])
def test_a_frozen_tower(tiny: QwenBackbone, form: Any) -> None:
    tiny.model.model.visual.requires_grad_(False)
    with torch.no_grad():
        group = group_of(tiny, answers([4, 2, 7]))
    check(GroupScorer(tiny, form), group)


def test_a_prompt_without_a_video(tiny: QwenBackbone) -> None:
    completions, ids = answers([4, 7]), words(5, 11)
    scores = GroupScorer(tiny).score(Group(ids, [], completions))
    for row, completion in enumerate(completions):
        alone = tiny.score(tiny.prefill(ids), [completion])
        close(scores.log_probs[row, : len(completion)], alone.log_probs[0])


# --- the policy ---------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["row", "cache"])
def test_temperature(tiny: QwenBackbone, form: Any) -> None:
    check(GroupScorer(tiny, form, 0.6), group_of(tiny, answers([4, 6])), temperature=0.6)


@pytest.mark.parametrize("form", ["row", "cache"])
def test_a_grammar(tiny: QwenBackbone, form: Any) -> None:
    place = Wild(4)
    with torch.no_grad():
        group = group_of(tiny, [[1]])
        written = tiny.generate(
            tiny.prefill(PROMPT, group.features),
            max_new_tokens=12, samples=4, grammar=place, temperature=1.3,
        )  # fmt: skip
    scorer = GroupScorer(tiny, form, 1.3)
    group = group_of(tiny, written.ids, grammar=place)
    scores = check(scorer, group, grammar=place, temperature=1.3)
    forced = [[len(allowed) == 1 for allowed in options_along(place, ids)] for ids in written.ids]
    assert any(any(row) for row in forced)
    assert not all(all(row) for row in forced)
    for row, own in enumerate(forced):
        assert scores.picked[row, : len(own)].tolist() == [not each for each in own]
        assert not scores.log_probs[row][~scores.picked[row]].any()
        assert not scores.entropies[row][~scores.picked[row]].any()
    close(scores.log_probs, written.log_probs)


@pytest.mark.parametrize("form", ["row", "cache"])
def test_a_grammar_for_each(tiny: QwenBackbone, form: Any) -> None:
    """One is free, one has nothing to pick."""
    first, second, third = (len(SPECIALS) + number for number in range(3))
    places = [None, Row(((first,), (second,))), Row(((first, third), (second,)))]
    completions = [[first, second, third], [first, second], [first, second]]
    group = group_of(tiny, completions, grammar=places)
    scores = GroupScorer(tiny, form).backward(
        group, lambda part, rows: some_loss(part.log_probs, rows)
    )
    assert scores.picked.tolist() == [[True] * 3, [False] * 3, [True, False, False]]
    assert gradients(tiny)


@pytest.mark.parametrize("form", ["row", "cache"])
def test_nothing_to_pick_at_all(tiny: QwenBackbone, form: Any) -> None:
    word = len(SPECIALS)
    group = group_of(tiny, [[word], [word]], grammar=Row(((word,),)))
    scores = GroupScorer(tiny, form).backward(group, lambda part, rows: part.log_probs.sum())
    assert not scores.picked.any()
    assert not gradients(tiny)


def test_entropies(tiny: QwenBackbone) -> None:
    """Of two tokens with probability p and 1 - p, and of all that are not banned."""
    first, second = len(SPECIALS), len(SPECIALS) + 1
    bound = Row(((first, second),))
    with torch.no_grad():
        group = group_of(tiny, [[first], [first]], grammar=[bound, None])
        scores = GroupScorer(tiny).score(group)
        logits = tiny.model.lm_head(tiny.prefill(PROMPT, group.features).last_hidden)[0]
    p = float(scores.log_probs[0, 0].exp())
    assert float(scores.entropies[0, 0]) == pytest.approx(
        -p * np.log(p) - (1 - p) * np.log(1 - p), abs=1e-6
    )
    free = [token for token in range(len(logits)) if token not in BANNED]
    chances = logits[free].softmax(-1)
    close(scores.entropies[1, 0], -(chances * chances.log()).sum())


@pytest.mark.parametrize("form", ["row", "cache"])
@pytest.mark.parametrize("grammar", [None, Wild(7)])
def test_what_was_written_has_the_probability_of_writing_it(
    backbone: QwenBackbone, form: Any, grammar: Any
) -> None:
    with torch.no_grad():
        group = group_of(backbone, [[1]])
        written = backbone.generate(
            backbone.prefill(PROMPT, group.features),
            max_new_tokens=20, samples=5, temperature=0.8, top_p=0.9, grammar=grammar,
        )  # fmt: skip
        rollouts = Group(PROMPT, group.features, written.ids, grammar)
        scores = GroupScorer(backbone, form, 0.8).score(rollouts)
    close(scores.log_probs, written.log_probs)
    assert torch.equal(scores.picked, written.picked)


# --- adapters, checkpointing, precision -----------------------------------------------------------


@pytest.fixture
def adapted() -> tuple[Any, QwenBackbone]:
    """A model with adapters that differ from nothing, in training; dropout is off."""
    peft = pytest.importorskip("peft", reason="the train extra is not installed")
    torch.manual_seed(3)
    wrapped = peft.get_peft_model(
        tiny_model(), peft.LoraConfig(r=3, target_modules=["q_proj", "v_proj", "down_proj"])
    )
    for name, each in wrapped.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(each, std=0.1)
    return wrapped, QwenBackbone(wrapped.get_base_model(), tiny_tokenizer())


@pytest.mark.parametrize("form", ["row", "cache"])
def test_adapters(adapted: tuple[Any, QwenBackbone], form: Any) -> None:
    wrapped, backbone = adapted
    wrapped.train()
    group = group_of(backbone, answers([3, 8, 5]))
    check(GroupScorer(backbone, form), group)
    scorer = GroupScorer(backbone, form)
    with torch.no_grad():
        now = scorer.score(group).log_probs
        with wrapped.disable_adapter():
            reference = scorer.score(group).log_probs
        frozen = QwenBackbone(tiny_model(), tiny_tokenizer())  # the seed of the fixture's base
        close(reference, GroupScorer(frozen, form).score(group).log_probs)
    assert not torch.allclose(now, reference, atol=1e-3)


@pytest.mark.parametrize("is_reentrant", [False, True])
@pytest.mark.parametrize("with_adapters", [False, True])
def test_checkpointing(
    tiny: QwenBackbone, adapted: tuple[Any, QwenBackbone], is_reentrant: bool, with_adapters: bool
) -> None:
    backbone = adapted[1] if with_adapters else tiny
    model = backbone.model.train()
    enable = getattr(model, "activation_checkpointing_enable", None)  # transformers >= 5.20
    (enable or model.gradient_checkpointing_enable)({"use_reentrant": is_reentrant})
    if is_reentrant:
        model.enable_input_require_grads()
    scorer = GroupScorer(backbone)
    group = group_of(backbone, answers([3, 8, 5]))
    scores = check(scorer, group)
    with torch.no_grad():
        close(scorer.score(group_of(backbone, answers([3, 8, 5]))).log_probs, scores.log_probs)
    for form in ("row", "cache"):
        with pytest.raises(UsageError, match="checkpointing"):
            GroupScorer(backbone, form).score(group)
    with pytest.raises(UsageError, match="form 'row'"):
        GroupScorer(backbone, "cache").backward(group, lambda part, rows: part.log_probs.sum())


@pytest.mark.parametrize("form", ["row", "cache"])
def test_bfloat16(tiny: QwenBackbone, form: Any) -> None:
    """Rounded, near the exact, and gradients in the type of the weights."""
    group = group_of(tiny, answers([4, 6]))
    exact = GroupScorer(tiny, form).score(group).log_probs.detach()
    scorer = GroupScorer(tiny, form, precision="bf16")
    scores = scorer.backward(group, lambda part, rows: part.log_probs.sum())
    assert scores.log_probs.dtype == torch.float32
    difference = float((scores.log_probs - exact).abs().max())
    assert 1e-6 < difference < 0.1
    assert all(each.dtype == torch.float32 for each in gradients(tiny).values())


# --- the loss of a group --------------------------------------------------------------------------


@pytest.mark.parametrize(("form", "at_once"), WAYS)
@pytest.mark.parametrize("mean", ["sequence", "token"])
def test_the_loss_of_a_group(tiny: QwenBackbone, form: Any, at_once: int, mean: Any) -> None:
    """In parts as in one, with ratios on both sides of the clip and a reference."""
    completions = answers([1, 9, 4, 6])
    group = group_of(tiny, completions)
    values = advantages(torch.tensor([1.0, 0.0, 0.5, 2.0])).values
    old = GroupScorer(tiny).score(group).log_probs.detach()
    shift = torch.linspace(-0.4, 0.4, old.numel()).reshape(old.shape)
    picked = torch.arange(9) < torch.tensor([[1], [9], [4], [6]])
    weights = pick_weights(picked, mean, completions=4, picks=20)

    def loss(log_probs: Any, rows: slice) -> Any:
        return grpo_loss(
            log_probs, (old + shift)[rows], values[rows], weights[rows],
            reference=(old - shift)[rows], kl=0.1,
        )  # fmt: skip

    padded = torch.nn.utils.rnn.pad_sequence(plain(tiny, completions), batch_first=True)
    whole = loss(padded, slice(0, 4))
    assert 0 < float(whole.clipped) < 1
    whole.loss.backward()
    expected = gradients(tiny)
    shares: list[Any] = []

    def share(part: Scores, rows: slice) -> Any:
        shares.append(loss(part.log_probs, rows))
        return shares[-1].loss

    GroupScorer(tiny, form, at_once=at_once).backward(group_of(tiny, completions), share)
    for name in ("loss", "clipped", "kl"):
        total = sum(getattr(each, name).detach() for each in shares)
        close(total, getattr(whole, name).detach())
    found = gradients(tiny)
    for name, gradient in expected.items():
        close(found[name], gradient, float(gradient.abs().max()))


# --- refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["row", "cache"])
@pytest.mark.parametrize(
    ("completions", "said"),
    [
        ([], "at least one completion"),
        ([[9], []], r"found lengths \[1, 0\]"),
        ([[9], [9, VIDEO_PAD]], "answer 1 holds the placeholder"),
    ],
)
def test_completions_that_cannot_be_scored(
    tiny: QwenBackbone, form: Any, completions: Any, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        GroupScorer(tiny, form).score(group_of(tiny, completions))


def test_completions_outside_their_grammar(tiny: QwenBackbone) -> None:
    with pytest.raises(UsageError, match="leaves its grammar"):
        GroupScorer(tiny).score(group_of(tiny, [[9]], grammar=Row(((10, 11),))))


def test_a_backward_without_gradients(tiny: QwenBackbone) -> None:
    group = group_of(tiny, [[9]])
    with torch.no_grad(), pytest.raises(UsageError, match="switched off"):
        GroupScorer(tiny).backward(group, lambda part, rows: part.log_probs.sum())


@pytest.mark.parametrize(
    "options", [{"form": "mask"}, {"temperature": 0.0}, {"at_once": 0}, {"precision": "int8"}]
)
def test_options_out_of_range(tiny: QwenBackbone, options: Any) -> None:
    with pytest.raises(UsageError, match="expected"):
        GroupScorer(tiny, **options)


@pytest.fixture
def interrupted(tiny: QwenBackbone) -> QwenBackbone:
    """A model whose loss failed in the middle of a group."""

    def fail(part: Scores, rows: slice) -> Any:
        with pytest.raises(UsageError, match="cannot read otherwise"):
            tiny.prefill(PROMPT, group.features)
        raise KeyError

    group = group_of(tiny, answers([3]))
    with pytest.raises(KeyError):
        GroupScorer(tiny).backward(group, fail)
    return tiny


def test_the_model_is_as_it_was_after_a_failure(interrupted: QwenBackbone) -> None:
    assert interrupted.model.config.text_config._attn_implementation == "sdpa"
    fresh = copy.deepcopy(interrupted)
    check(GroupScorer(fresh), group_of(fresh, answers([3])))


def test_dropout_in_attention_is_refused() -> None:
    backbone = make(attention_dropout=0.1)
    group = group_of(backbone, answers([3]))
    backbone.model.train()
    with pytest.raises(UsageError, match="without dropout"):
        GroupScorer(backbone).score(group)
