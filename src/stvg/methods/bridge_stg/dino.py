"""Grounding DINO (arXiv 2303.05499) as the image encoder, and what its decoder begins with.

The detector's encoder sees a frame and what is looked for together, layer by layer. Queries of the
bridge stand where it has the words of its own BERT: they all see each other, and are at positions
0, 1, ... With the option ``bridge: sentence`` the words stay, as the detector itself reads them,
and nothing of the language model reaches the boxes.

The image backbone and BERT are frozen, and always as in evaluation; the paper's plan gives the
backbone a small rate, which we leave out, since most of the weights and of the memory are there.
They are not saved with what is learned: like the base of adapters, the detector is needed again
wherever a model that was trained with it is used. Nothing is dropped out in training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils.rnn import pad_sequence
from torch.utils.checkpoint import checkpoint

from stvg.errors import UsageError, WeightsError
from stvg.extras import require
from stvg.hub import why_not_loaded, without_bars
from stvg.methods.bridge_stg.decoder import Views
from stvg.perception.transformers_detector import caption_of

_ANCHOR = 0.05  # sides of an anchor of the finest level, as shares; each level's are twice as long
_EDGE = 0.01  # no candidate begins with its centre or sides this near to 0 or 1
_KIND = "GroundingDinoForObjectDetection"
_CONTENTS = "config.json, weights, preprocessor_config.json and a tokenizer"
_NO_DROPOUT = dict.fromkeys(
    (
        "dropout", "attention_dropout", "activation_dropout", "fusion_dropout", "fusion_droppath",
        "text_enhancer_dropout",
    ),
    0.0,
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Detector:
    """A loaded Grounding DINO.

    Attributes:
        model: A ``GroundingDinoForObjectDetection`` in float32, without dropout.
        mean: What is taken off red, green and blue of a frame in [0, 255].
        std: What they are divided by then.
    """

    model: Any
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def load(cls, name: str, *, width: int) -> Self:
        """Load a detector and what its preprocessor says of colours.

        Args:
            name: Folder or hub id.
            width: Length of its states, as the method's options have it.

        Raises:
            MissingExtraError: If transformers does not import.
            WeightsError: If there is no such model, or it is no Grounding DINO.
            UsageError: If its states have another length.
        """
        transformers = require("transformers", "models", "a detector for bridge_stg")
        try:
            config = transformers.AutoConfig.from_pretrained(name)
            _refuse_others(config)
            config.update(_NO_DROPOUT)
            with without_bars(transformers, name):
                model = transformers.GroundingDinoForObjectDetection.from_pretrained(
                    name, config=config, dtype=torch.float32
                )
            pictures = transformers.AutoImageProcessor.from_pretrained(name, backend="pil")
        except Exception as error:
            # A wrong folder makes transformers, its hub client and the readers of weights raise
            # classes that share no base but Exception.
            raise WeightsError(why_not_loaded(name, "Grounding DINO", _CONTENTS, error)) from error
        if config.d_model != width:
            raise UsageError(
                f"expected the option width to be {config.d_model}, the width of the detector "
                f"{name}, found {width}; set width={config.d_model}"
            )
        unit = float(pictures.rescale_factor)
        return cls(
            model,
            tuple(value / unit for value in pictures.image_mean),
            tuple(value / unit for value in pictures.image_std),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """What is looked for in N frames.

    Attributes:
        features: (N, T, d).
        is_text: Which of it is not padding, (N, T) bool; None for all.
        sees: What may attend to what, (N, T, T) bool; None for all to all.
        places: Their positions, (N, T) int64; None for 0, 1, ...
    """

    features: Tensor
    is_text: Tensor | None = None
    sees: Tensor | None = None
    places: Tensor | None = None

    def of(self, rows: Tensor) -> Asked:
        """That of the rows (M,) only, which may repeat."""
        own = (self.features, self.is_text, self.sees, self.places)
        features, *others = (None if each is None else each[rows] for each in own)
        assert features is not None
        return Asked(features, *others)


class DinoViews(nn.Module):  # type: ignore[misc]
    """Image backbone and encoder of a detector.

    Args:
        detector: Whose weights are taken, not copied.
    """

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        model = detector.model.model
        self.backbone = model.backbone.requires_grad_(False).eval()
        self.inputs = model.input_proj_vision
        self.level = model.level_embed
        self.encoder = model.encoder
        for name in ("mean", "std"):
            values = torch.tensor(getattr(detector, name))[:, None, None]
            self.register_buffer(name, values, persistent=False)
        _leave_out(self, "backbone")

    def train(self, mode: bool = True) -> Self:
        """As of any module; the backbone stays in evaluation."""
        super().train(mode)
        self.backbone.eval()
        return self

    def forward(self, frames: Tensor, is_real: Tensor, asked: Asked) -> Views:
        """What the encoder makes of frames and what is looked for in them.

        Padding changes what it makes of a frame a little, since the backbone does not know of it.
        Its layers are computed a second time in the backward pass: what they would keep for it, a
        sample of the states for each place, head, level and point, is most of the memory.

        Args:
            frames: RGB, filled up to one size, (N, 3, h, w) uint8.
            is_real: Pixels that are not padding, (N, h, w) bool.
            asked: What is looked for in each.
        """
        levels, places, real = self._levels(frames, is_real)
        shapes = tuple((each.shape[-2], each.shape[-1]) for each in levels)
        ratios = torch.stack([_real_share(each) for each in real], dim=1)  # (N, levels, 2)
        states, text = _in_a_row(levels), asked.features
        flat = torch.cat([each.flatten(1) for each in real], dim=1)  # (N, P)
        sizes = torch.tensor(shapes, device=states.device)
        shared = {
            "vision_position_embedding": _in_a_row(places),
            "spatial_shapes": sizes,
            "spatial_shapes_list": list(shapes),
            "level_start_index": torch.cat([sizes.new_zeros(1), sizes.prod(1).cumsum(0)[:-1]]),
            "key_padding_mask": ~flat,
            "reference_points": self.encoder.get_reference_points(shapes, ratios, states.device),
            "text_attention_mask": None if asked.is_text is None else ~asked.is_text,
            "text_self_attention_masks": ~_sees(asked),
            "text_position_ids": asked.places,
        }
        found = []
        for layer in self.encoder.layers:
            (states, text), _ = checkpoint(
                layer, states, text_features=text, use_reentrant=False, preserve_rng_state=False,
                **shared,
            )  # fmt: skip
            found.append(states)
        return Views(
            layers=found,
            anchors=_anchors(real),
            memory=states,
            shapes=shapes,
            text=text,
            is_real=flat,
            ratios=ratios,
            is_text=asked.is_text,
        )

    def _levels(
        self, frames: Tensor, is_real: Tensor
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """States and places (N, d, h, w), and what is real (N, h, w), of each level."""
        pixels = (frames.float() - self.mean) / self.std
        with torch.no_grad():
            found, places = self.backbone(pixels.masked_fill(~is_real[:, None], 0.0), is_real)
        real = [mask for _, mask in found]
        levels = [project(each) for project, (each, _) in zip(self.inputs, found, strict=False)]
        for number in range(len(found), len(self.inputs)):
            before = found[-1][0] if number == len(found) else levels[-1]
            levels.append(self.inputs[number](before))
            smaller = F.interpolate(is_real[None].float(), size=levels[-1].shape[-2:])
            real.append(smaller[0].bool())
            places.append(self.backbone.position_embedding(levels[-1], real[-1]))
        named = zip(places, self.level, strict=True)
        return levels, [place + own[:, None, None] for place, own in named], real


class Sentences(nn.Module):  # type: ignore[misc]
    """The detector's own text branch, of which the last projection is learned.

    Args:
        detector: Whose weights are taken, not copied.
    """

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        model = detector.model.model
        self.bert = model.text_backbone.requires_grad_(False).eval()
        self.project = model.text_projection
        self.longest: int = detector.model.config.max_text_len
        self.register_buffer("marks", model.special_tokens.clone(), persistent=False)
        _leave_out(self, "bert")

    def train(self, mode: bool = True) -> Self:
        """As of any module; BERT stays in evaluation."""
        super().train(mode)
        self.bert.eval()
        return self

    def forward(self, ids: Tensor, is_text: Tensor) -> Asked:
        """Sentences as the detector reads them: words see those of their own phrase.

        Args:
            ids: Tokens of :func:`sentence_ids`, (R, T), filled up.
            is_text: Which of them are not padding, (R, T) bool.
        """
        from transformers.models.grounding_dino.modeling_grounding_dino import (
            generate_masks_with_special_tokens_and_transfer_map as phrases_of,
        )

        ids, is_text = ids[:, : self.longest], is_text[:, : self.longest]
        sees, places = phrases_of(ids, self.marks)
        with torch.no_grad():
            states = self.bert(ids, sees[:, None], torch.zeros_like(ids), places)
        return Asked(self.project(states.last_hidden_state), is_text, sees, places)


def sentence_ids(name: str, text: str) -> tuple[int, ...]:
    """Tokens of a sentence as a detector is asked for one thing.

    Args:
        name: The detector: folder or hub id.
        text: The sentence.

    Raises:
        MissingExtraError: If transformers does not import.
        WeightsError: If it has no tokenizer.
    """
    return tuple(_tokenizer(name)(caption_of([text]))["input_ids"])


def padded_ids(words: Sequence[Sequence[int]], device: Any) -> tuple[Tensor, Tensor]:
    """Tokens of sentences as one batch (R, T), and which are not padding, (R, T) bool."""
    ids = [torch.tensor(each, device=device) for each in words]
    lengths = torch.tensor([len(each) for each in ids], device=device)
    filled = pad_sequence(ids, batch_first=True)
    return filled, torch.arange(filled.shape[1], device=device) < lengths[:, None]


@lru_cache(maxsize=2)
def _tokenizer(name: str) -> Any:
    transformers = require("transformers", "models", "a detector for bridge_stg")
    try:
        return transformers.AutoTokenizer.from_pretrained(name)
    except Exception as error:  # as in Detector.load
        raise WeightsError(why_not_loaded(name, "tokenizer", _CONTENTS, error)) from error


def _refuse_others(config: Any) -> None:
    """An error for what is no Grounding DINO as its authors built it."""
    saved = getattr(config, "architectures", None) or [_KIND]
    if config.model_type != "grounding-dino" or _KIND not in saved:
        raise ValueError(f"it holds a {saved[0]}, not a {_KIND}")
    if not (config.two_stage and config.embedding_init_target):
        raise ValueError("it does not choose its candidates in the encoder (two_stage)")


def _leave_out(module: nn.Module, name: str) -> None:
    """Keep a frozen part of a module out of what is saved and loaded; the detector brings it."""

    def drop(_: Any, state: dict[str, Tensor], prefix: str, __: Any) -> None:
        for key in [key for key in state if key.startswith(f"{prefix}{name}.")]:
            del state[key]

    def forgive(_: Any, keys: Any) -> None:
        keys.missing_keys[:] = [key for key in keys.missing_keys if name not in key.split(".")]

    module.register_state_dict_post_hook(drop)
    module.register_load_state_dict_post_hook(forgive)


def _in_a_row(levels: Sequence[Tensor]) -> Tensor:
    """Levels (N, d, h, w) as one row of P places, (N, P, d)."""
    return torch.cat([each.flatten(2).transpose(1, 2) for each in levels], dim=1)


def _real_share(is_real: Tensor) -> Tensor:
    """How much of a level (N, h, w) is real across and down, (N, 2)."""
    return torch.stack([is_real[:, 0].float().mean(1), is_real[:, :, 0].float().mean(1)], dim=-1)


def _sees(asked: Asked) -> Tensor:
    """What may attend to what, (N, T, T) bool."""
    if asked.sees is not None:
        return asked.sees
    count, length = asked.features.shape[:2]
    return torch.ones(count, length, length, dtype=torch.bool, device=asked.features.device)


def _anchors(real: Sequence[Tensor]) -> Tensor:
    """A box at each place of levels (N, h, w), centre and size as logits, (N, P, 4).

    Shares are of the real part of a frame; infinite in the padding and close to the edges.
    """
    found = []
    for level, is_real in enumerate(real):
        rows, columns = is_real.shape[1:]
        y, x = torch.meshgrid(
            torch.arange(rows, device=is_real.device) + 0.5,
            torch.arange(columns, device=is_real.device) + 0.5,
            indexing="ij",
        )
        across, down = is_real[:, 0].sum(1), is_real[:, :, 0].sum(1)  # (N,)
        middle = torch.stack([x / across[:, None, None], y / down[:, None, None]], dim=-1)
        boxes = torch.cat([middle, torch.full_like(middle, _ANCHOR * 2**level)], dim=-1)
        is_allowed = is_real & ((boxes > _EDGE) & (boxes < 1 - _EDGE)).all(-1)
        found.append(boxes.logit().masked_fill(~is_allowed[..., None], torch.inf).flatten(1, 2))
    return torch.cat(found, dim=1)
