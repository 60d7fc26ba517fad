"""A new small model of the real Qwen2.5-VL class, with a vocabulary of its own, to be trained.

Words are tokens, whole numbers from 0 to 100 and frame numbers ``<t_0>`` to ``<t_128>`` are single
tokens, special tokens have the names of the released models, and the chat template has their form,
so that everything that handles a released checkpoint handles this one. Numbers and frame numbers
start with embeddings that change smoothly along the scale: what is learned of 40 holds nearly for
41 from the first step on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import Field

from stvg.config import Config
from stvg.data.world.parts import LEVELS
from stvg.data.world.sentences import PHRASES
from stvg.data.world.sprites import COLOURS, KINDS
from stvg.extras import require
from stvg.text.numbered.grammars.r1_compact import NAMES

SPECIALS = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>",
    "<|image_pad|>", "<|video_pad|>", "<|unknown|>",
)  # fmt: skip
NUMBERS = 101
"""Whole numbers 0 to 100, one token each."""
FRAMES = 129
"""Frame numbers ``<t_0>`` to ``<t_128>``, one token each."""
MOTIONS = ("left", "right", "up", "down", "grows", "shrinks", "spins", "blinks", "stays")
"""Words for what can be seen of an object within two frames."""
ROPE_THETA = 20.0
"""Base of the rotary frequencies. Rows and columns get the lower ones of a head, which with the
usual 1e6 and a head of 32 hardly turn over the four rows and columns of a small picture: the model
could not tell places apart."""
_STRUCTURE = (
    "<think> </think> <answer> </answer> <time> </time> <box> </box> <region> "
    "user assistant system : , . ; ? ! ( ) [ ] { } - to and"
)
_TALK = (
    "the a an is are in on at of it this that there which what who where when does do with during "
    "number target id time range start end interval frame frames second seconds box boxes object "
    "objects video clip image thing things colour kind doing happens moves moving action find give "
    "describe first then next now before after while same other another one two three four five "
    "six seven eight nine yes no not none i will look answer check see seen here"
)
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|> {{ message['role'] }} "
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'video' %} <|vision_start|> <|video_pad|> <|vision_end|> "
    "{% elif part['type'] == 'image' %} <|vision_start|> <|image_pad|> <|vision_end|> "
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %} <|im_end|> {% endfor %}"
    "{% if add_generation_prompt %}<|im_start|> assistant {% endif %}"
)


class FreshConfig(Config):
    """Sizes of a new model."""

    hidden: int = Field(96, ge=32, multiple_of=32, description="width of the language model")
    layers: int = Field(4, ge=2, description="layers of the language model")
    inner: int = Field(256, ge=32, description="inner width of its feed-forward layers")
    tower_hidden: int = Field(96, ge=32, multiple_of=32, description="width of the vision tower")
    tower_depth: int = Field(3, ge=1, description="layers of the vision tower")
    tower_inner: int = Field(256, ge=32, description="inner width of its feed-forward layers")
    patch: int = Field(8, ge=2, description="side of a patch in model pixels")
    seed: int = Field(0, ge=0, description="seed of the random weights")


WORLD_WORDS = {
    "colour": tuple(COLOURS), "kind": tuple(KINDS), "motion": MOTIONS, "painted": NAMES,
}  # fmt: skip
"""Words for what a visual token shows, by question."""


def lacks_of_world(table: Mapping[str, int]) -> list[str]:
    """The tokens that lessons of the world need and a vocabulary (token -> id) lacks."""
    answers = "<|im_end|> : , target id time range to".split()
    words = [word for group in WORLD_WORDS.values() for word in group]
    scales = [*map(str, range(NUMBERS)), *(f"<t_{number}>" for number in range(FRAMES))]
    return [token for token in (*answers, *words, *scales) if token not in table]


def vocabulary() -> list[str]:
    """All tokens in the order of their ids."""
    said = " ".join(phrase.format("") for phrases in PHRASES.values() for phrase in phrases)
    actions = sorted({action for level in LEVELS.values() for action in level.actions})
    words = [
        *_STRUCTURE.split(), *_TALK.split(), *COLOURS, *KINDS, *actions, *MOTIONS, *said.split(),
    ]  # fmt: skip
    plain = [word for word in dict.fromkeys(words) if word not in SPECIALS]
    numbers = [str(number) for number in range(NUMBERS)]
    return [*SPECIALS, *numbers, *(f"<t_{number}>" for number in range(FRAMES)), *plain]


def fresh_tokenizer() -> Any:
    """The tokenizer: words by white space and punctuation, lower case, unknown words as one."""
    tokenizers = require("tokenizers", "models", "a new model")
    transformers = require("transformers", "models", "a new model")
    names = vocabulary()
    core = tokenizers.Tokenizer(
        tokenizers.models.WordLevel(
            {name: number for number, name in enumerate(names)},
            unk_token="<|unknown|>",  # noqa: S106
        )
    )
    core.normalizer = tokenizers.normalizers.Lowercase()
    core.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        [tokenizers.pre_tokenizers.WhitespaceSplit(), tokenizers.pre_tokenizers.Punctuation()]
    )
    core.add_special_tokens(list(SPECIALS))
    tagged = [name for name in names if re.fullmatch(r"</?\w+>", name)]
    core.add_tokens([tokenizers.AddedToken(name, normalized=False) for name in tagged])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token="<|im_end|>",  # noqa: S106
        pad_token="<|endoftext|>",  # noqa: S106
        unk_token="<|unknown|>",  # noqa: S106
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def fresh_model(config: FreshConfig) -> Any:
    """A ``Qwen2_5_VLForConditionalGeneration`` with random weights, float32."""
    torch = require("torch", "models", "a new model")
    transformers = require("transformers", "models", "a new model")
    ids = {name: number for number, name in enumerate(vocabulary())}
    heads = config.hidden // 32
    settings = transformers.Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(ids), "hidden_size": config.hidden,
            "intermediate_size": config.inner, "num_hidden_layers": config.layers,
            "num_attention_heads": heads, "num_key_value_heads": heads,
            "max_position_embeddings": 4096, "initializer_range": 0.05,
            "tie_word_embeddings": True, "bos_token_id": None,
            "eos_token_id": ids["<|im_end|>"], "pad_token_id": None,
            "rope_parameters": {
                "rope_type": "default", "rope_theta": ROPE_THETA, "mrope_section": [4, 6, 6],
            },
        },
        vision_config={
            "depth": config.tower_depth, "hidden_size": config.tower_hidden,
            "intermediate_size": config.tower_inner, "num_heads": config.tower_hidden // 32,
            "patch_size": config.patch, "out_hidden_size": config.hidden, "window_size": 4096,
            "tokens_per_second": 1, "fullatt_block_indexes": list(range(config.tower_depth)),
            "initializer_range": 0.05,
        },
        image_token_id=ids["<|image_pad|>"], video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"], vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=True,
    )  # fmt: skip
    torch.manual_seed(config.seed)
    model = transformers.Qwen2_5_VLForConditionalGeneration(settings)
    model.generation_config.eos_token_id = ids["<|im_end|>"]
    model.generation_config.pad_token_id = ids["<|endoftext|>"]
    with torch.no_grad():
        table = model.get_input_embeddings().weight
        for first, count in ((ids["0"], NUMBERS), (ids["<t_0>"], FRAMES)):
            table[first : first + count] = torch.from_numpy(
                smooth_rows(count, config.hidden, seed=config.seed + first)
            )
    return model.eval()


def smooth_rows(count: int, size: int, *, seed: int, scale: float = 0.05) -> Any:
    """Vectors (count, size) float32 that change smoothly from row to row.

    Sines and cosines of twelve frequencies, half a turn to 23 turns over a scale of 101, mixed at
    random; the mean square of an entry is ``scale`` squared.
    """
    rng = np.random.default_rng(seed)
    turns = 0.5 * 2.0 ** (np.arange(12) / 2) / 101
    angles = 2 * np.pi * np.arange(count)[:, None] * turns
    waves = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)  # (count, 24)
    rows = waves @ rng.normal(size=(waves.shape[1], size)) / np.sqrt(len(turns))
    return (rows * scale).astype(np.float32)
