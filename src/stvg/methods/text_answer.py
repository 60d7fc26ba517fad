"""What methods share whose answer is text in a grammar, written by an unchanged video MLLM.

:class:`TextAnswer` asks, answers and decodes; a method of this kind names its options and its
rewards, and says what is written for a target and what a text means where that is not all that its
grammar says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from pydantic import Field

from stvg.backbones.asking import (
    Answer,
    Behind,
    Pixels,
    Question,
    answer,
    check_side,
    once_a_clip,
    pixels_of,
    prompt_ids,
)
from stvg.backbones.prefix import Features, Tensor
from stvg.backbones.qwen import QwenBackbone
from stvg.backbones.tiny import CARD, TINY, read_card, resolve_model
from stvg.config import Config
from stvg.data.world.files import is_world_video
from stvg.errors import UsageError, WeightsError
from stvg.geometry.tubes import densify
from stvg.methods.base import Method, Plan
from stvg.rewards import Answer as Judged
from stvg.rewards import RewardsConfig, Target
from stvg.text import Codec, Position, View, Vocabulary, find_codec, prompt_of
from stvg.types import Clip, Interval, Prediction, Query, Tube, VideoMeta
from stvg.video import SamplingPlan

if TYPE_CHECKING:
    from stvg.backbones.learned import LearnedParts


class TextAnswerConfig(Config):
    """What the model sees and how it answers.

    Checkpoints of this project bring their own values; for others the defaults are meant for an
    instruction-tuned Qwen2.5-VL.
    """

    grammar: str = Field("qwen2_5_json", description="answer grammar: a name or file.py:Class")
    frames: int = Field(32, ge=1, le=768, description="frames that the model sees")
    side: int | None = Field(
        None, ge=8, description="frames are made square with this side, model pixels"
    )
    pixels: int = Field(
        448 * 252, ge=784, description="most pixels of a frame where no side is given"
    )
    query_first: bool = Field(False, description="whether the sentence stands before the video")
    even_steps: bool = Field(
        False, description="count steps instead of seconds in the positions of the video"
    )
    constrained: bool = Field(True, description="allow only what the grammar can write")
    max_new_tokens: int = Field(2048, ge=1, description="longest answer, tokens")
    temperature: float = Field(0.0, ge=0, description="0 takes the likeliest token each time")
    seed: int = Field(0, ge=0, description="seed for sampling")
    dtype: str | None = Field(
        None, description="float32, bfloat16 or float16; default by the device"
    )
    device: str | None = Field(None, description="as torch names it; default a graphics card")


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """A query as the model sees it; can be sent to another process.

    Attributes:
        question: Prompt and video, the grammar left out (:meth:`TextAnswer.grammar`).
        view: The clip in the answer's units.
        unknown: Words of the sentence that the model's vocabulary lacks.
        marked: The objects that carry a number, each as a tube; none for methods without numbers.
        target: Tokens of the right answer with the stop token; None without a target.
        truth: What rewards compare an answer with; None without a target.
        problem: Why there is no right answer though there is a target, or None.
        lesson: What the method's learned parts need to know of it, and what they are to learn with
            a target; None for methods without.
        seen: What they made of the prompt or the answer; None before it was read.
        behind: Vectors of the method that stand behind the answer.
    """

    question: Question
    view: View
    unknown: tuple[str, ...]
    marked: Mapping[int, Tube] = field(default_factory=dict)
    target: tuple[int, ...] | None = None
    truth: Target | None = None
    problem: str | None = None
    lesson: Any = None
    seen: Any = None
    behind: int = 0


class TextAnswer(Method):
    """See the module.

    Attributes:
        rewards: Options of the rewards that the method is trained with; they make the ``Mix``.
        parts: What the method has learned beside the model; None for methods that add nothing.
        parts_options: Names of the options that decide what these are and how they are trained, in
            which lessons must agree with the method that is trained.
        pixels: From a clip to its pixels as the vision tower takes them, made once a clip.

    Args:
        backbone: The model.
        config: Options.
        name: What predictions call the model.
        trained_on_world: Whether the model knows nothing but the procedural world.

    Raises:
        UsageError: If there is no such grammar, or the model cannot cut frames of this side.
    """

    options: ClassVar[type[TextAnswerConfig]] = TextAnswerConfig
    rewards: ClassVar[type[RewardsConfig]]
    parts_options: ClassVar[tuple[str, ...]] = ()
    parts: Any = None

    def __init__(
        self,
        backbone: QwenBackbone,
        config: Any,
        *,
        name: str | None = None,
        trained_on_world: bool = False,
    ) -> None:
        self.backbone, self.config = backbone, config
        self.model_name = name or backbone.name
        self.trained_on_world = trained_on_world
        self.codec: Any = self.find_grammar(config.grammar)
        self.vocabulary = Vocabulary(backbone.tokenizer)
        self.pixels = once_a_clip(self._make_pixels)
        self._check()

    def find_grammar(self, name: str) -> Any:
        """The answer grammar of a name."""
        codec: Codec = find_codec(name)
        return codec

    def _check(self) -> None:
        """Refuse options that do not fit each other or the model."""
        if self.config.side is not None:
            check_side(self.backbone, self.config.side)

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
            cls.options.of(options)
        except UsageError as error:
            raise WeightsError(
                f"the options in {Path(folder) / CARD} are not those of {cls.name}: {error}; "
                "update stvg if a newer one wrote them, or fetch the checkpoint again"
            ) from error
        config = cls.options.from_assignments(assignments, **options)
        backbone = QwenBackbone.load(folder, dtype=config.dtype, device=config.device)
        grid = (1, backbone.layout.merge, backbone.layout.merge)
        prompt_ids(backbone, "", grid, query_first=config.query_first)  # refuses a bad template now
        method = cls(backbone, config, name=name, trained_on_world=card.get("data") == "world")
        method.parts = method.new_parts()
        if method.parts is not None:
            from stvg.backbones.learned import load_parts

            if not load_parts(method.parts, folder):
                raise WeightsError(
                    f"{name} lacks what {cls.name} learns beside the language model; train it "
                    f"first (recipes/{cls.name}), or name a model that was trained so"
                )
        return method

    def new_parts(self) -> LearnedParts | None:
        """What the method learns beside the model, not trained yet; None for nothing."""
        return None

    def plan(self, meta: VideoMeta, query: Query) -> Plan:
        """Frames spread over the whole video."""
        del meta, query
        config, cell = self.config, self.backbone.layout.cell
        if config.side is not None:
            size = (config.side, config.side)
            return Plan(SamplingPlan(count=config.frames, fixed_size=size))
        return Plan(SamplingPlan(count=config.frames, pixel_budget=config.pixels, multiple_of=cell))

    def encode(
        self,
        clip: Clip,
        query: Query,
        target: Tube | None = None,
        *,
        seed: int = 0,
        outside: Tube | None = None,
    ) -> Encoded:
        """Prompt and video; with a target also the right answer and what rewards need.

        Args:
            clip: What the model sees.
            query: The question.
            target: The right tube.
            seed: Decides what is drawn at random.
            outside: The same object at other times, where that is known; for methods that learn
                from frames in which nothing is to be found.
        """
        del outside
        layout, tokenizer = self.backbone.layout, self.backbone.tokenizer
        view = View.of(clip, layout.temporal_patch)
        pixels = self.pixels(clip)
        text = self.prompt(query, view)
        ids = prompt_ids(
            self.backbone, text, pixels.grid, query_first=self.config.query_first,
            queries=pixels.queries, stamps=pixels.stamps,
        )  # fmt: skip
        unknown = [
            word for word in query.text.split()
            if tokenizer.unk_token_id is not None
            and tokenizer.unk_token_id in tokenizer(word, add_special_tokens=False)["input_ids"]
        ]  # fmt: skip
        asked = Encoded(Question(tuple(ids), pixels), view, tuple(unknown), self.marked(clip))
        if target is None:
            return asked
        truth = replace(
            self.truth(target, clip, asked.marked), columns={"query": query.text, "id": query.id}
        )
        try:
            text = self.write(truth, view, seed)
        except UsageError as error:
            return replace(asked, truth=truth, problem=str(error))
        written = tokenizer(text, add_special_tokens=False)["input_ids"]
        return replace(asked, target=(*written, self.end_token), truth=truth)

    @property
    def behind(self) -> Behind | None:
        """What is read behind each answer, of whose states :meth:`look` is told; None: nothing."""
        return None

    @property
    def end_token(self) -> int:
        """What ends a right answer."""
        token: int = self.backbone.tokenizer.eos_token_id
        return token

    def prompt(self, query: Query, view: View) -> str:
        """What the user says beside the video."""
        return prompt_of(query, self.codec, view)

    def marked(self, clip: Clip) -> Mapping[int, Tube]:
        """The objects that carry a number, each as a tube; none where nothing is painted."""
        del clip
        return {}

    def truth(self, target: Tube, clip: Clip, marked: Mapping[int, Tube]) -> Target:
        """What rewards compare an answer with."""
        return Target((target,), (clip.meta.width, clip.meta.height), marked=marked)

    def write(self, truth: Target, view: View, seed: int) -> str:
        """The right answer; the seed is for what is drawn at random in it.

        Raises:
            UsageError: If there is none.
        """
        del seed
        text: str = self.codec.render(truth.tubes[0], view)
        return text

    def grammar(self, view: View, marked: Mapping[int, Tube]) -> Position | None:
        """What may be answered, or None for anything."""
        del marked
        return self.codec.grammar(view, self.vocabulary) if self.config.constrained else None

    def read(self, text: str, view: View, marked: Mapping[int, Tube]) -> Judged:
        """A text as rewards are given it, with what it means."""
        del marked
        return Judged(text, self.codec.parse(text, view))

    def read_for(self, query: Query, text: str, encoded: Encoded, clip: Clip) -> Judged:
        """A text as the answer to a query; see :meth:`read`."""
        del query, clip
        return self.read(text, encoded.view, encoded.marked)

    def details(self, read: Judged, encoded: Encoded, clip: Clip) -> Mapping[str, Any] | None:
        """What there is to show for an answer beside its tube, as JSON has it; None for nothing."""
        del read, encoded, clip
        return None

    def judged(self, ids: Sequence[int], view: View, marked: Mapping[int, Tube]) -> Judged:
        """The tokens of an answer as rewards are given it."""
        text = self.backbone.tokenizer.decode(ids, skip_special_tokens=True).strip()
        return replace(self.read(text, view, marked), ids=tuple(ids))

    def look(self, encoded: Encoded, states: Tensor) -> Any:
        """What the learned parts make of the states (L, C) of a prompt, or of :attr:`behind`."""

    def run(self, encoded: Sequence[Encoded]) -> list[tuple[Answer, Encoded]]:
        """The model's answers; queries on one clip share its video."""

        def look(number: int, states: Tensor) -> Any:
            return self.look(encoded[number], states)

        answers = answer(
            self.backbone,
            [
                replace(item.question, grammar=self.grammar(item.view, item.marked))
                for item in encoded
            ],
            max_new_tokens=self.config.max_new_tokens,
            temperature=self.config.temperature,
            seed=self.config.seed,
            encode=self._features,
            look=None if self.parts is None else look,
            behind=self.behind,
        )
        return [
            (said, replace(item, seen=said.seen))
            for said, item in zip(answers, encoded, strict=True)
        ]

    def decode(self, output: tuple[Answer, Encoded], clip: Clip, query: Query) -> Prediction:
        """The tube that an answer means, or why it means none."""
        said, encoded = output
        read = self.read_for(query, said.text, encoded, clip)
        parsed = read.parsed.or_draft()
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
            details=self.details(read, encoded, clip),
        )

    def _features(self, pixels: Pixels) -> Features:
        """What the vision tower makes of a video, with what the method puts between."""
        video = self.backbone.encode_video(
            pixels.rows, pixels.grid, seconds_per_step=pixels.seconds_per_step,
            layers=self.parts is not None and self.parts.needs_maps,
        )  # fmt: skip
        if self.parts is None:
            return video
        tokens, block = self.parts.features(video.tokens, video.grid_thw), pixels.block
        return replace(
            video, tokens=tokens, queries=block.queries, stamps=block.stamps, pushes=block.pushes
        )

    def _make_pixels(self, clip: Clip) -> Pixels:
        """The clip as the vision tower takes it."""
        return pixels_of(clip, self.backbone, even_steps=self.config.even_steps)


def _at_least_a_frame(tube: Tube, meta: VideoMeta) -> Tube:
    """The tube; begun at the frame on screen where none appears in its interval."""
    if tube.interval.mask(meta.times_s).any():
        return tube
    on_screen = max(int(np.searchsorted(meta.times_s, tube.interval.start_s)) - 1, 0)
    start_s = float(meta.times_s[on_screen])
    return replace(tube, interval=Interval(start_s, tube.interval.end_s))
