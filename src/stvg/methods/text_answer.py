"""``text_box``: the interval and the boxes as text, written by an unchanged video MLLM.

The baseline of all methods with a language model: nothing is added to the backbone, supervised
fine-tuning teaches the grammar, and an instruction-tuned model that knows a grounding format of its
own answers in that one without any training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import numpy as np

from stvg.backbones.asking import Answer, Pixels, Question, answer, prompt_ids
from stvg.backbones.preprocess import patchify
from stvg.backbones.qwen import QwenBackbone
from stvg.backbones.tiny import CARD, TINY, read_card, resolve_model
from stvg.backbones.token_grid import TokenGrid
from stvg.data.world.files import is_world_video
from stvg.errors import UsageError, WeightsError
from stvg.geometry.tubes import densify
from stvg.methods.base import Method, Plan
from stvg.methods.text_box.config import TextBoxConfig
from stvg.text import Codec, View, Vocabulary, find_codec, prompt_of
from stvg.types import Clip, Interval, Prediction, Query, Tube, VideoMeta
from stvg.video import SamplingPlan


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """A query as the model sees it.

    Attributes:
        question: Prompt, video and grammar.
        view: The clip in the answer's units.
        target: Tokens of the right answer with the stop token; None without a target.
        unknown: Words of the sentence that the model's vocabulary lacks.
    """

    question: Question
    view: View
    target: tuple[int, ...] | None
    unknown: tuple[str, ...]


class TextBox(Method):
    """See the module; options in :class:`TextBoxConfig`.

    Args:
        backbone: The model.
        config: Options.
        name: What predictions call the model.
        trained_on_world: Whether the model knows nothing but the procedural world.

    Raises:
        UsageError: If there is no such grammar, or the model cannot cut frames of this side.
    """

    name = "text_box"
    options = TextBoxConfig

    def __init__(
        self,
        backbone: QwenBackbone,
        config: TextBoxConfig,
        *,
        name: str | None = None,
        trained_on_world: bool = False,
    ) -> None:
        self.backbone, self.config = backbone, config
        self.model_name = name or backbone.name
        self.trained_on_world = trained_on_world
        self.codec: Codec = find_codec(config.grammar)
        self.vocabulary = Vocabulary(backbone.tokenizer)
        self._pixels = lru_cache(maxsize=4)(self._make_pixels)
        cell, side = backbone.layout.cell, config.side
        if side is not None and side % cell:
            raise UsageError(
                f"expected a side that is a multiple of {cell} pixels, the cell of "
                f"{backbone.name}, found {side}; {max(round(side / cell), 1) * cell} is near"
            )

    @classmethod
    def create(cls, model: str | None = None, assignments: Sequence[str] = ()) -> Self:
        """Build from a model's name and ``key=value`` options; see :class:`Method`.

        Raises:
            UsageError: If an option is unknown or out of range, or the model is for another method.
            MissingExtraError: If torch or transformers do not import.
            WeightsError: If the model, its tokenizer, chat template or card cannot be used.
        """
        name = model or TINY
        folder = resolve_model(name, cls.name)
        card = read_card(folder)
        if card.get("method", cls.name) != cls.name:
            raise UsageError(
                f"{name} is a checkpoint for the method {card['method']}, not for {cls.name}; use "
                f"--method {card['method']}"
            )
        options = card.get("options", {})
        try:
            TextBoxConfig.of(options)
        except UsageError as error:
            raise WeightsError(
                f"the options in {Path(folder) / CARD} are not those of {cls.name}: {error}; "
                "update stvg if a newer one wrote them, or fetch the checkpoint again"
            ) from error
        config = TextBoxConfig.from_assignments(assignments, **options)
        backbone = QwenBackbone.load(folder, dtype=config.dtype, device=config.device)
        grid = (1, backbone.layout.merge, backbone.layout.merge)
        prompt_ids(backbone, "", grid, query_first=config.query_first)  # refuses a bad template now
        return cls(backbone, config, name=name, trained_on_world=card.get("data") == "world")

    def plan(self, meta: VideoMeta, query: Query) -> Plan:
        """Frames spread over the whole video."""
        del meta, query
        config, cell = self.config, self.backbone.layout.cell
        if config.side is not None:
            size = (config.side, config.side)
            return Plan(SamplingPlan(count=config.frames, fixed_size=size))
        return Plan(SamplingPlan(count=config.frames, pixel_budget=config.pixels, multiple_of=cell))

    def encode(self, clip: Clip, query: Query, target: Tube | None = None) -> Encoded:
        """Prompt and video; with a target also the right answer."""
        layout, tokenizer = self.backbone.layout, self.backbone.tokenizer
        view = View.of(clip, layout.temporal_patch)
        pixels = self._pixels(_Same(clip))
        text = prompt_of(query, self.codec, view)
        ids = prompt_ids(self.backbone, text, pixels.grid, query_first=self.config.query_first)
        grammar = self.codec.grammar(view, self.vocabulary) if self.config.constrained else None
        answer_ids = None
        if target is not None:
            written = tokenizer(self.codec.render(target, view), add_special_tokens=False)
            answer_ids = (*written["input_ids"], tokenizer.eos_token_id)
        unknown = [
            word for word in query.text.split()
            if tokenizer.unk_token_id is not None
            and tokenizer.unk_token_id in tokenizer(word, add_special_tokens=False)["input_ids"]
        ]  # fmt: skip
        question = Question(tuple(ids), pixels, grammar)
        return Encoded(question, view, answer_ids, tuple(unknown))

    def run(self, encoded: Sequence[Encoded]) -> list[tuple[Answer, Encoded]]:
        """The model's answers; queries on one clip share its video."""
        answers = answer(
            self.backbone,
            [item.question for item in encoded],
            max_new_tokens=self.config.max_new_tokens,
            temperature=self.config.temperature,
            seed=self.config.seed,
        )
        return list(zip(answers, encoded, strict=True))

    def decode(self, output: tuple[Answer, Encoded], clip: Clip, query: Query) -> Prediction:
        """The tube that an answer means, or why it means none."""
        said, encoded = output
        parsed = self.codec.parse(said.text, encoded.view)
        warnings = [*parsed.repairs]
        if not said.finished:
            warnings.append(f"the answer was cut off after {len(said.ids)} tokens (max_new_tokens)")
        if encoded.unknown:
            warnings.append(f"words that the model does not know: {', '.join(encoded.unknown)}")
        if self.trained_on_world and not is_world_video(clip.meta.path):
            warnings.append(
                f"{self.model_name} was trained on the procedural world only and knows nothing of "
                "natural video; use a detector (--method track_match) or a large model (--method "
                "text_box --model Qwen/Qwen2.5-VL-7B-Instruct)"
            )
        tube, meta = None, clip.meta
        if parsed.tube is not None:
            shown = _at_least_a_frame(parsed.tube, meta)
            if shown is not parsed.tube:
                warnings.append("no frame appears in the interval: begun at the one on screen")
            tube = densify(shown, meta.times_s)
        else:
            warnings.insert(0, f"nothing found: {parsed.problem}")
        return Prediction(
            query=query,
            video=meta,
            tube=tube,
            score=round(said.confidence, 4) if tube is not None else None,
            method=self.name,
            model=self.model_name,
            answer=said.text,
            warnings=tuple(warnings),
        )

    def _make_pixels(self, same: _Same) -> Pixels:
        """The clip as the vision tower takes it."""
        clip, layout = same.clip, self.backbone.layout
        rows, grid = patchify(np.asarray(clip.frames), layout)
        if self.config.even_steps:
            seconds = 1 / self.backbone.rule.tokens_per_second
        else:
            seconds = TokenGrid.of(clip, layout).seconds_per_step
        return Pixels(rows, grid, seconds)


def _at_least_a_frame(tube: Tube, meta: VideoMeta) -> Tube:
    """The tube; begun at the frame on screen where none appears in its interval."""
    if tube.interval.mask(meta.times_s).any():
        return tube
    on_screen = max(int(np.searchsorted(meta.times_s, tube.interval.start_s)) - 1, 0)
    start_s = float(meta.times_s[on_screen])
    return replace(tube, interval=Interval(start_s, tube.interval.end_s))


@dataclass(frozen=True, slots=True)
class _Same:
    """A clip that is equal to itself only, by its frames."""

    clip: Any

    def __hash__(self) -> int:
        return id(self.clip.frames)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.clip.frames is self.clip.frames
