"""The backbone against the plain forward and generate of the real model class.

Where numbers are compared they come from ``Qwen2_5_VLForConditionalGeneration`` itself, on the
whole sequence at once; the backbone must give the same from its shared cache.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stvg.backbones.choosing import Chooser, log_probabilities
from stvg.backbones.positions import IMAGE, Block, positions, token_types
from stvg.backbones.prefix import growing_cache
from stvg.backbones.preprocess import normalise
from stvg.backbones.qwen import QwenBackbone
from stvg.errors import MissingExtraError, UsageError, WeightsError
from tests.backbones.tiny_qwen import (
    EOS,
    IMAGE_PAD,
    SPECIALS,
    VIDEO_PAD,
    VISION_START,
    framed,
    save_tiny,
    tiny_model,
    tiny_tokenizer,
    torch,
    transformers,
    video_of,
    words,
)

EXACT = 1e-5
SECONDS = 3.0
PROMPT = [*words(1, 4), *framed(36), *words(2, 3)]  # a video of three steps
QUESTIONS = [words(3, 5), words(4, 2), words(5, 9)]


@pytest.fixture(scope="module")
def model() -> Any:
    return tiny_model()


@pytest.fixture(scope="module", params=["checkpoint", "installed"])
def backbone(model: Any, request: pytest.FixtureRequest) -> QwenBackbone:
    return QwenBackbone(model, tiny_tokenizer(), convention=request.param)


@pytest.fixture(scope="module")
def pixels(backbone: QwenBackbone) -> Any:
    return video_of(backbone)


@pytest.fixture(scope="module")
def prompt(backbone: QwenBackbone, pixels: Any) -> Any:
    """The prompt with its video, read once."""
    with torch.no_grad():
        video = backbone.encode_video(*pixels, seconds_per_step=SECONDS)
        return backbone.prefill(PROMPT, [video], hidden=True)


def full(backbone: QwenBackbone, pixels: Any, ids: list[int], **changes: Any) -> Any:
    """The plain forward on everything; positions are left to the model where it knows them."""
    rows, grid = pixels
    inputs = {
        "input_ids": torch.tensor([ids]),
        "mm_token_type_ids": torch.from_numpy(token_types([ids], IMAGE_PAD, VIDEO_PAD)),
        "pixel_values_videos": torch.from_numpy(normalise(rows, backbone.layout)),
        "video_grid_thw": torch.from_numpy(grid),
        "second_per_grid_ts": torch.tensor([SECONDS]),
        "output_hidden_states": True,
    }
    if backbone.convention == "checkpoint" and "position_ids" not in changes:
        inputs["position_ids"] = torch.from_numpy(places(backbone, ids, grid))
    with torch.no_grad():
        return backbone.model(**{**inputs, **changes})


def places(backbone: QwenBackbone, ids: list[int], grid: np.ndarray) -> np.ndarray:
    block = Block(tuple(grid[0].tolist()), SECONDS)
    return positions(token_types(ids, IMAGE_PAD, VIDEO_PAD), [block], backbone.rule).ids


def close(one: Any, two: Any, tolerance: float = EXACT) -> None:
    torch.testing.assert_close(one, two, rtol=0, atol=tolerance)


def plain_log_probs(logits: Any, answer: list[int]) -> Any:
    """Of each token of an answer at the end, from the logits (1, S, V) of everything."""
    scores = logits[0, -len(answer) - 1 : -1].log_softmax(-1)
    return scores.gather(-1, torch.tensor(answer)[:, None])[:, 0]


def test_features_are_those_of_the_model(backbone: QwenBackbone, pixels: Any) -> None:
    rows, grid = pixels
    floats = normalise(rows, backbone.layout)
    with torch.no_grad():
        theirs = backbone.model.get_video_features(
            torch.from_numpy(floats), torch.from_numpy(grid)
        ).pooler_output[0]
        close(backbone.encode_video(floats, grid).tokens, theirs, 0)
        rows.setflags(write=False)  # as from a cache
        close(backbone.encode_video(rows, grid).tokens, theirs)


def test_embeddings_have_features_in_place_of_placeholders(
    backbone: QwenBackbone, pixels: Any
) -> None:
    with torch.no_grad():
        video = backbone.encode_video(*pixels)
        embeds = backbone.embed(PROMPT, [video])[0]
        table = backbone.model.get_input_embeddings().weight
    close(embeds[5:41], video.tokens, 0)
    close(embeds[:5], table[PROMPT[:5]], 0)
    close(embeds[41:], table[PROMPT[41:]], 0)


def test_a_prompt_equals_the_plain_forward(
    backbone: QwenBackbone, pixels: Any, prompt: Any
) -> None:
    expected = full(backbone, pixels, PROMPT)
    close(backbone.model.lm_head(prompt.hidden), expected.logits)
    close(prompt.last_hidden, expected.hidden_states[-1][:, -1])


def test_questions_on_one_prefix_equal_the_plain_forward(
    backbone: QwenBackbone, pixels: Any, prompt: Any
) -> None:
    with torch.no_grad():
        asked = backbone.extend(prompt, QUESTIONS, hidden=True)
    for row, question in enumerate(QUESTIONS):
        expected = full(backbone, pixels, PROMPT + question).logits[:, len(PROMPT) :]
        found = backbone.model.lm_head(asked.hidden[row, : len(question)])
        close(found[None], expected)
        close(backbone.model.lm_head(asked.last_hidden[row]), expected[0, -1])


def test_answers_are_scored_as_the_plain_forward_would(
    backbone: QwenBackbone, pixels: Any, prompt: Any
) -> None:
    answers = [words(20 + row, length) for row, length in enumerate((6, 1, 4))]
    with torch.no_grad():
        asked = backbone.extend(prompt, QUESTIONS)
        scored = backbone.score(asked, answers, ban=False, hidden=True)
    for row, (question, answer) in enumerate(zip(QUESTIONS, answers, strict=True)):
        expected = full(backbone, pixels, PROMPT + question + answer)
        close(scored.log_probs[row, : len(answer)], plain_log_probs(expected.logits, answer))
        states = expected.hidden_states[-1][0, -len(answer) :]
        close(scored.hidden[row, : len(answer)], states)
        assert scored.mask[row].tolist() == [True] * len(answer) + [False] * (6 - len(answer))
        assert not scored.log_probs[row, len(answer) :].any()


def test_several_answers_to_each_question(backbone: QwenBackbone, pixels: Any, prompt: Any) -> None:
    """Answers come in the order of the questions, the samples of one next to each other."""
    with torch.no_grad():
        asked = backbone.extend(prompt, QUESTIONS)
        written = backbone.generate(
            asked, max_new_tokens=4, samples=2, temperature=1.0, stop=(), ban=False
        )
        scored = backbone.score(asked, written.ids, ban=False)
    for row, answer in enumerate(written.ids):
        logits = full(backbone, pixels, PROMPT + QUESTIONS[row // 2] + list(answer)).logits
        close(written.log_probs[row], plain_log_probs(logits, list(answer)))
        close(scored.log_probs[row], plain_log_probs(logits, list(answer)))


def test_a_question_and_its_answer_in_two_steps_equal_one(
    backbone: QwenBackbone, prompt: Any
) -> None:
    """Reading on behind padded rows: what stands in the padding must not be seen."""
    with torch.no_grad():
        twice = backbone.extend(backbone.extend(prompt, QUESTIONS), [[9], [10, 11], []])
        once = backbone.extend(
            prompt, [q + e for q, e in zip(QUESTIONS, [[9], [10, 11], []], strict=True)]
        )
    close(twice.last_hidden, once.last_hidden)
    assert twice.following.tolist() == once.following.tolist()


@pytest.mark.parametrize("temperature", [0.0, 1.0, 0.7])
def test_log_probs_while_writing_are_those_while_scoring(
    backbone: QwenBackbone, prompt: Any, temperature: float
) -> None:
    with torch.no_grad():
        asked = backbone.extend(prompt, QUESTIONS)
        written = backbone.generate(
            asked, max_new_tokens=12, samples=2, temperature=temperature, seed=3
        )
        scored = backbone.score(asked, written.ids, temperature=temperature or 1)
    assert len(written) == 6
    close(scored.log_probs, written.log_probs)
    assert scored.finished == written.finished
    assert (scored.mask == written.mask).all()


def test_greedy_answers_are_those_of_the_class_itself(model: Any) -> None:
    """In its own positions, the only ones that ``generate`` of transformers knows."""
    backbone = QwenBackbone(model, convention="installed")
    pixels = video_of(backbone)
    with torch.no_grad():
        video = backbone.encode_video(*pixels, seconds_per_step=SECONDS)
        prompt = backbone.prefill(PROMPT, [video])
    rows, grid = pixels
    with torch.no_grad():
        written = backbone.generate(
            backbone.extend(prompt, QUESTIONS), max_new_tokens=10, ban=False
        )
    for row, question in enumerate(QUESTIONS):
        ids = PROMPT + question
        theirs = model.generate(
            input_ids=torch.tensor([ids]),
            mm_token_type_ids=torch.from_numpy(token_types([ids], IMAGE_PAD, VIDEO_PAD)),
            pixel_values_videos=torch.from_numpy(normalise(rows, backbone.layout)),
            video_grid_thw=torch.from_numpy(grid),
            second_per_grid_ts=torch.tensor([SECONDS]),
            max_new_tokens=10,
            do_sample=False,
        )
        assert list(written.ids[row]) == theirs[0, len(ids) :].tolist()


def test_greedy_answers_are_the_likeliest_of_the_plain_forward(
    backbone: QwenBackbone, pixels: Any, prompt: Any
) -> None:
    with torch.no_grad():
        written = backbone.generate(
            backbone.extend(prompt, QUESTIONS[:1]), max_new_tokens=5, hidden=True
        )
    answer = list(written.ids[0])
    expected = full(backbone, pixels, PROMPT + QUESTIONS[0] + answer)
    logits = expected.logits[0, -len(answer) - 1 : -1].clone()
    logits[:, list(backbone.banned_tokens)] = -torch.inf
    assert logits.argmax(-1).tolist() == answer
    close(written.hidden[0], expected.hidden_states[-1][0, -len(answer) :])


def test_a_row_does_not_depend_on_its_neighbours(backbone: QwenBackbone, prompt: Any) -> None:
    options = {"max_new_tokens": 8, "temperature": 1.0}
    with torch.no_grad():
        asked = backbone.extend(prompt, QUESTIONS)
        together = backbone.generate(asked, seed=[7, 8, 9], **options)
        for row in range(3):
            alone = backbone.generate(
                backbone.extend(prompt, [QUESTIONS[row]]), seed=[7 + row], **options
            )
            assert alone.ids[0] == together.ids[row]
            close(alone.log_probs[0], together.log_probs[row, : len(alone.ids[0])])
            picked = backbone.generate(asked.selected([row]), seed=[7 + row], **options)
            assert picked.ids == alone.ids


def test_a_prefix_is_not_changed_by_its_use(backbone: QwenBackbone, prompt: Any) -> None:
    before = [(keys.clone(), values.clone()) for keys, values in prompt.key_values]
    with torch.no_grad():
        asked = backbone.extend(prompt, QUESTIONS)
        backbone.generate(asked, max_new_tokens=3, samples=2)
        backbone.score(prompt, [[9, 9], [8]])
    assert (len(prompt), prompt.length) == (1, len(PROMPT))
    for (keys, values), (old_keys, old_values) in zip(prompt.key_values, before, strict=True):
        close(keys, old_keys, 0)
        close(values, old_values, 0)


def test_video_and_prompt_are_computed_once(backbone: QwenBackbone, pixels: Any) -> None:
    """Counted at the vision tower and the language model, in tokens."""
    seen: dict[str, list[int]] = {"vision": [], "language": []}
    inner = backbone.model.model
    hooks = [
        inner.visual.register_forward_hook(lambda *_: seen["vision"].append(1)),
        inner.language_model.register_forward_pre_hook(
            lambda _, __, inputs: seen["language"].append(inputs["inputs_embeds"].shape[1]),
            with_kwargs=True,
        ),
    ]
    try:
        with torch.no_grad():
            video = backbone.encode_video(*pixels)
            asked = backbone.extend(backbone.prefill(PROMPT, [video]), QUESTIONS)
            written = backbone.generate(asked, max_new_tokens=4, stop=())
            scored = backbone.score(asked, written.ids)
    finally:
        for hook in hooks:
            hook.remove()
    assert seen["vision"] == [1]
    # the prompt, the longest question, a token of three answers three times, then the answers but
    # their last token
    assert seen["language"] == [len(PROMPT), 9, 3, 3, 3, 3]
    assert (written.calls, scored.calls) == (3, 1)


def test_gradients_are_those_of_the_plain_forward(backbone: QwenBackbone, pixels: Any) -> None:
    answer = words(30, 4)
    model = backbone.model
    model.zero_grad()
    video = backbone.encode_video(*pixels, seconds_per_step=SECONDS)
    prefix = backbone.extend(backbone.prefill(PROMPT, [video]), QUESTIONS[:1])
    backbone.score(prefix, [answer], ban=False).totals.sum().backward()
    ours = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    rows, grid = pixels
    ids = PROMPT + QUESTIONS[0] + answer
    logits = model(
        input_ids=torch.tensor([ids]),
        pixel_values_videos=torch.from_numpy(normalise(rows, backbone.layout)),
        video_grid_thw=torch.from_numpy(grid),
        position_ids=torch.from_numpy(places(backbone, ids, grid)),
    ).logits
    plain_log_probs(logits, answer).sum().backward()
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            close(ours[name], parameter.grad, 1e-4)
    model.zero_grad()


def test_silent_failure_of_missing_token_types(
    backbone: QwenBackbone, pixels: Any, prompt: Any
) -> None:
    """Left out, the class counts positions 0, 1, 2 without a word; here they cannot be."""
    wrong = full(backbone, pixels, PROMPT, mm_token_type_ids=None, position_ids=None)
    right = full(backbone, pixels, PROMPT)
    assert (wrong.logits - right.logits).abs().max() > 0.01
    close(backbone.model.lm_head(prompt.last_hidden), right.logits[:, -1])


def test_silent_failure_of_positions_left_on_the_module(
    backbone: QwenBackbone, pixels: Any, prompt: Any
) -> None:
    """``rope_deltas`` of an earlier call decides where the class goes on from a cache."""
    inner = backbone.model.model
    right = full(backbone, pixels, PROMPT + QUESTIONS[0]).logits[:, -1]
    inner.rope_deltas = torch.tensor([[999]])
    with torch.no_grad():
        asked = backbone.extend(prompt, QUESTIONS[:1])
        close(backbone.model.lm_head(asked.last_hidden), right)
        assert inner.rope_deltas.tolist() == [[999]]
        stock = backbone.model(
            input_ids=torch.tensor(QUESTIONS[:1]), past_key_values=growing_cache(prompt.key_values)
        )
    inner.rope_deltas = None
    assert (stock.logits[:, -1] - right).abs().max() > 0.01


def test_silent_failure_of_written_placeholders(backbone: QwenBackbone, pixels: Any) -> None:
    """A model that wants to write placeholders: it cannot, and if it did, they score as words."""
    eager = replace(backbone, model=tiny_model(1))
    with torch.no_grad():
        video = eager.encode_video(*pixels, seconds_per_step=SECONDS)
        prefix = eager.prefill(PROMPT, [video])
        direction = prefix.last_hidden[0] / prefix.last_hidden[0].norm()
        for token in (VIDEO_PAD, IMAGE_PAD, VISION_START):
            eager.model.lm_head.weight[token] = direction
        free = eager.generate(prefix, max_new_tokens=3, ban=False)
        assert set(free.ids[0]) & set(eager.banned_tokens)
        held = eager.generate(prefix, max_new_tokens=8, samples=8, temperature=1.5)
        assert not set(eager.banned_tokens) & {token for row in held.ids for token in row}
        answer = [9, VIDEO_PAD, 10]
        with pytest.raises(UsageError, match=f"answer 1 holds the placeholder {VIDEO_PAD}"):
            eager.score(prefix, [[9], answer])
        scored = eager.score(prefix, [answer], ban=False)
        # The plain class refuses such a row ("features and tokens do not match"), so by hand:
        ids = PROMPT + answer
        embeds = torch.cat(
            [
                eager.embed(PROMPT, [video]),
                eager.model.get_input_embeddings()(torch.tensor([answer])),
            ],
            dim=1,
        )
        types = token_types(ids, IMAGE_PAD, VIDEO_PAD)
        types[len(PROMPT) :] = 0
        at = positions(types, [video.block], eager.rule).ids
        states = eager.model.model.language_model(
            inputs_embeds=embeds, position_ids=torch.from_numpy(at)
        ).last_hidden_state
        with pytest.raises(ValueError, match="do not match"):
            full(eager, pixels, ids, position_ids=torch.from_numpy(at))
    close(scored.log_probs[0], plain_log_probs(eager.model.lm_head(states), answer))


def test_two_videos_and_an_image_in_one_prompt(model: Any) -> None:
    backbone = QwenBackbone(model, convention="installed")
    one, two = video_of(backbone, count=4, seed=1), video_of(backbone, count=2, seed=2)
    picture = video_of(backbone, count=1, seed=3)
    ids = [*framed(24), 20, *framed(12, IMAGE_PAD), 21, *framed(12), 22, 23]
    with torch.no_grad():
        features = [
            backbone.encode_video(*one, seconds_per_step=1.5),
            backbone.encode_video(*picture, kind=IMAGE),
            backbone.encode_video(*two, seconds_per_step=0.5),
        ]
        found = backbone.prefill(ids, features, hidden=True)
        expected = backbone.model(
            input_ids=torch.tensor([ids]),
            mm_token_type_ids=torch.from_numpy(token_types([ids], IMAGE_PAD, VIDEO_PAD)),
            pixel_values_videos=torch.from_numpy(
                normalise(np.concatenate([one[0], two[0]]), backbone.layout)
            ),
            video_grid_thw=torch.from_numpy(np.concatenate([one[1], two[1]])),
            pixel_values=torch.from_numpy(normalise(picture[0], backbone.layout)),
            image_grid_thw=torch.from_numpy(picture[1]),
            second_per_grid_ts=torch.tensor([1.5, 0.5]),
        ).logits
    close(backbone.model.lm_head(found.hidden), expected)


def test_text_alone(backbone: QwenBackbone) -> None:
    ids = words(40, 7)
    with torch.no_grad():
        found = backbone.prefill(ids, hidden=True)
        close(backbone.model.lm_head(found.hidden), backbone.model(torch.tensor([ids])).logits)


def test_own_embeddings_take_the_place_of_the_prompts(
    backbone: QwenBackbone, pixels: Any, prompt: Any
) -> None:
    with torch.no_grad():
        video = backbone.encode_video(*pixels, seconds_per_step=SECONDS)
        embeds = backbone.embed(PROMPT, [video])
        close(backbone.prefill(PROMPT, [video], embeds=embeds).last_hidden, prompt.last_hidden, 0)
        other = backbone.prefill(PROMPT, [video], embeds=embeds * 0.5)
    assert (other.last_hidden - prompt.last_hidden).abs().max() > 0.01


def test_answers_stop_at_the_end_token(backbone: QwenBackbone, prompt: Any) -> None:
    with torch.no_grad():
        free = backbone.generate(prompt, max_new_tokens=6, stop=())
        third = free.ids[0][2]
        cut = backbone.generate(prompt, max_new_tokens=6, stop=[third])
    assert (len(free.ids[0]), free.finished) == (6, (False,))
    until = free.ids[0].index(third) + 1
    assert (cut.ids[0], cut.finished) == (free.ids[0][:until], (True,))
    assert cut.log_probs.shape == (1, until)
    assert EOS in backbone.stop_tokens


def test_empty_answers_have_no_log_probs(backbone: QwenBackbone, prompt: Any) -> None:
    with torch.no_grad():
        assert backbone.score(prompt, [[], []]).log_probs.shape == (2, 0)
        mixed = backbone.score(prompt, [[], [9]])
    assert mixed.totals[0] == 0
    assert mixed.finished == (False, False)


def test_bans_and_temperature_by_hand() -> None:
    found = log_probabilities(torch.tensor([[0.0, np.log(3.0), 50.0]]), [2])
    close(found.exp(), torch.tensor([[0.25, 0.75, 0.0]]))
    found = log_probabilities(torch.tensor([[0.0, np.log(4.0)]]), [], temperature=2.0)
    close(found.exp(), torch.tensor([[1 / 3, 2 / 3]]))


def test_sampling_follows_the_probabilities() -> None:
    log_probs = torch.tensor([[0.5, 0.0, 0.3, 0.2]]).log().expand(4000, 4)
    counts = np.bincount(Chooser(4000, 1.0, seed=1)(log_probs).numpy(), minlength=4) / 4000
    np.testing.assert_allclose(counts, [0.5, 0, 0.3, 0.2], atol=0.03)
    counts = np.bincount(Chooser(4000, 1.0, top_p=0.6, seed=1)(log_probs).numpy(), minlength=4)
    np.testing.assert_allclose(counts / 4000, [0.625, 0, 0.375, 0], atol=0.03)  # .5 and .3 of .8
    assert set(Chooser(4000, 1.0, top_p=0.4)(log_probs).tolist()) == {0}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda b, p: b.prefill([]), "at least one token"),
        (lambda b, p: b.prefill(PROMPT), "36 placeholders"),
        (lambda b, p: b.extend(p, [framed(2)]), "text only"),
        (lambda b, p: b.extend(p, []), "found 0 in all"),
        (lambda b, p: b.score(p, [[9]], temperature=0), "above 0"),
        (lambda b, p: b.generate(p, max_new_tokens=0), "at least 1"),
        (lambda b, p: b.generate(p, max_new_tokens=1, temperature=-1), "at least 0"),
        (lambda b, p: b.generate(p, max_new_tokens=1, samples=2, seed=[1]), "expected one seed"),
        (lambda b, p: b.encode_video(np.zeros((4, 9)), [1, 2, 2]), r"\(4, 384\) for a grid"),
        (lambda b, p: b.encode_video(np.zeros((3, 384)), [1, 1, 3]), "multiples of 2"),
    ],
)
def test_impossible_calls_are_refused(
    call: Any, message: str, backbone: QwenBackbone, prompt: Any
) -> None:
    with pytest.raises(UsageError, match=message):
        call(backbone, prompt)


def test_gradient_checkpointing_is_refused(prompt: Any) -> None:
    """transformers drops the cache then, and the question would not see the video."""
    model = tiny_model()
    for layer in model.model.language_model.layers:
        layer.gradient_checkpointing = True
    backbone = QwenBackbone(model)
    backbone.extend(prompt, QUESTIONS)  # harmless while not training
    model.train()
    for call in (lambda: backbone.extend(prompt, QUESTIONS), lambda: backbone.prefill([9])):
        with pytest.raises(UsageError, match="switch it off"):
            call()


def test_loading_a_folder(tmp_path: Path, prompt: Any, backbone: QwenBackbone, pixels: Any) -> None:
    loaded = QwenBackbone.load(
        save_tiny(tmp_path), dtype="float32", device="cpu", convention=backbone.convention
    )
    with torch.no_grad():
        video = loaded.encode_video(*pixels, seconds_per_step=SECONDS)
        close(loaded.prefill(PROMPT, [video]).last_hidden, prompt.last_hidden)
    assert loaded.tokenizer.convert_tokens_to_ids("<|video_pad|>") == VIDEO_PAD
    assert loaded.name == str(tmp_path)
    assert not loaded.model.training


def test_what_cannot_be_loaded(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="which did not load"):
        QwenBackbone.load(tmp_path)
    with pytest.raises(WeightsError, match="there is no folder of that name"):
        QwenBackbone.load(str(tmp_path / "nothing" / "here"))
    other = transformers.GPT2Config(n_layer=1, n_head=1, n_embd=8, vocab_size=9)
    other.save_pretrained(tmp_path / "other")
    with pytest.raises(WeightsError, match="type qwen2_5_vl or qwen2_vl, found the type 'gpt2'"):
        QwenBackbone.load(tmp_path / "other")
    with pytest.raises(UsageError, match="float32, bfloat16"):
        QwenBackbone.load(tmp_path, dtype="int8")
    with pytest.raises(UsageError, match="cannot use the device 'nonsense': "):
        QwenBackbone.load(tmp_path, device="nonsense")
    with pytest.raises(UsageError, match="found the type 'gpt2' in model"):
        QwenBackbone(transformers.GPT2LMHeadModel(other))


def test_missing_weights_are_an_error(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    file = save_tiny(tmp_path) / "model.safetensors"
    weights = load_file(file)
    weights.pop(next(name for name in weights if name.endswith("layers.1.mlp.up_proj.weight")))
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(WeightsError, match=r"1 tensors are missing, first .*up_proj"):
        QwenBackbone.load(tmp_path)


def test_sliding_windows_are_refused() -> None:
    model = tiny_model(use_sliding_window=True, sliding_window=8, max_window_layers=1)
    with pytest.raises(UsageError, match="sliding windows"):
        QwenBackbone(model)


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtraError, match=r"stvg\[models\]"):
        QwenBackbone.load("owner/name")


def test_every_special_token_is_known() -> None:
    tokenizer = tiny_tokenizer()
    assert tokenizer.convert_tokens_to_ids(list(SPECIALS)) == list(range(len(SPECIALS)))
