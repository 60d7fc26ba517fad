"""A reward of ours inside TRL's own trainer, and one of TRL's inside our mix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stvg.rewards import (
    Answer,
    FromTrl,
    Reward,
    Score,
    Target,
    as_trl,
    find_reward,
    trl_columns,
)
from stvg.text import Parsed, find_codec
from tests.rewards.answers import SIZE, VIEW, target, tube

pytestmark = pytest.mark.slow
trl = pytest.importorskip("trl", reason="trl is not installed (pip install trl)")


def tiny_model() -> tuple[Any, Any]:
    """A random text model over the embedded model's vocabulary."""
    import torch
    import transformers

    from stvg.train.fresh import fresh_tokenizer

    tokenizer = fresh_tokenizer()
    torch.manual_seed(0)
    config = transformers.Qwen2Config(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    return transformers.Qwen2ForCausalLM(config), tokenizer


class Numbers(Reward):
    """Share of the words that are numbers: differs from sample to sample even at random."""

    name = "numbers"
    bounds = (0.0, 1.0)

    def judge(self, answer: Answer, target: Target) -> Score:
        del target
        words = answer.text.split()
        share = sum(word.isdecimal() for word in words) / max(len(words), 1)
        return Score(share, f"{share:.2f} of {len(words)} words")


def test_ours_in_the_trainer_of_trl(tmp_path: Path) -> None:
    import datasets

    model, tokenizer = tiny_model()
    before = {name: weights.clone() for name, weights in model.state_dict().items()}
    rows = [
        {"prompt": "the dog moves", **trl_columns(VIEW, target(tube(0, 8)))},
        {"prompt": "the box", **trl_columns(VIEW, target())},  # the truth is not known
    ]
    codec = find_codec("o1_compact")
    named = [find_reward(name) for name in ("format", "temporal", "spatial")]
    trainer = trl.GRPOTrainer(
        model=model,
        processing_class=tokenizer,
        reward_funcs=[as_trl(reward, codec) for reward in (*named, Numbers())],
        train_dataset=datasets.Dataset.from_list(rows),
        args=trl.GRPOConfig(
            output_dir=str(tmp_path), max_steps=2, per_device_train_batch_size=8,
            num_generations=8, max_completion_length=16, logging_steps=1, report_to=[],
            save_strategy="no", use_cpu=True, bf16=False, shuffle_dataset=False,
            learning_rate=1e-3,
        ),
    )  # fmt: skip
    trainer.train()
    known, unknown = [row for row in trainer.state.log_history if "reward_std" in row]
    assert known["rewards/format/mean"] == unknown["rewards/format/mean"] == 0  # random words
    assert known["rewards/temporal/mean"] == known["rewards/spatial/mean"] == 0
    assert unknown["rewards/temporal/mean"] is None  # not applicable, as TRL logs it
    assert known["rewards/numbers/std"] > 0
    assert known["grad_norm"] > 0
    after = model.state_dict()
    assert any((after[name] != weights).any() for name, weights in before.items())


def test_one_of_trl_in_ours() -> None:
    from trl.rewards import think_format_reward

    texts = ["<think>\na\n</think>\nb", "b"]
    answers = [Answer(text, Parsed(None, None, problem="no boxes")) for text in texts]
    scores = FromTrl(think_format_reward)(answers, [Target((), SIZE)] * 2)
    assert [score.value for score in scores] == [1.0, 0.0]
    assert scores[0].reason == "think_format_reward returned 1.0"
