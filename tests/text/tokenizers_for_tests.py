"""Two tokenizers of the real class, built on the spot: words, and bytes with digits split."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

transformers = pytest.importorskip("transformers", reason="the models extra is not installed")

# How Qwen's tokenizers cut a text before merging bytes: words, single digits, signs, spaces.
QWEN_CUTS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
STOP = 1


def _wrapped(core: Any) -> Any:
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token="<eos>", pad_token="<pad>", unk_token="<unk>"
    )


@cache
def words() -> Any:
    """One token for each frame up to 64, for each number up to 100 and for the colon."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    names = [
        "<pad>",
        "<eos>",
        "<unk>",
        *(f"<t_{i}>" for i in range(65)),
        *map(str, range(101)),
        ":",
    ]
    core = Tokenizer(models.WordLevel({name: i for i, name in enumerate(names)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    core.add_special_tokens(names[:3])
    return _wrapped(core)


@cache
def byte_pairs() -> Any:
    """Byte pairs merged on a few answers, cut as Qwen does: digits stand alone."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN_CUTS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=340,
        special_tokens=["<pad>", "<eos>", "<unk>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    answers = [
        '{"time": [2.0, 5.5], "boxes": [{"time": 2.0, "bbox_2d": [012, 034, 056, 078]}, '
        '{"time": 3.5, "bbox_2d": [112, 134, 156, 178]}]}',
        "<t_3> <t_9> : <t_2> 20 31 40 52 <t_4> 21 31 41 52",
    ]
    core.train_from_iterator(answers * 9, trainer)
    return _wrapped(core)
