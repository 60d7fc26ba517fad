"""``dsth``: zero-shot grounding from the attention of a frozen model (arXiv 2509.15178).

"Unleashing the Potential of Multimodal LLMs for Zero-Shot Spatio-Temporal Video Grounding", Yang
and others, NeurIPS 2025. The sentence is split into looks and action; for each the model is asked
whether there is such a thing, what is added to its visual tokens is tuned until it says yes, and
the attention of the tokens behind the question says where, and when. A detector and a tracker
supply the tubes to choose from. The README beside this file lists where this differs from paper
and code.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from stvg.backbones.asking import Pixels, check_side, once_a_clip, pixels_of
from stvg.backbones.prefix import Features
from stvg.backbones.qwen import QwenBackbone
from stvg.backbones.tiny import TINY, read_card, resolve_model
from stvg.data.world.files import is_world_video
from stvg.errors import UsageError
from stvg.methods.base import Method, Plan, ScenePlan
from stvg.methods.dsth.candidates import Candidates, tube_of
from stvg.methods.dsth.config import DsthConfig
from stvg.methods.dsth.deciding import Decision, decide, interval_of
from stvg.methods.dsth.highlight import Branch, Highlight, highlight
from stvg.methods.dsth.prompts import Prompt, answer_tokens
from stvg.methods.dsth.sentences import Parts, nouns_of, split_by_rules, whole
from stvg.methods.dsth.splitters import ModelSplitter, ask_backbone, ask_server, default_file
from stvg.methods.dsth.watching import Watcher
from stvg.types import Clip, FloatArray, Prediction, Query, Tube, VideoMeta
from stvg.video import SamplingPlan

_OF_CHECKPOINT = ("frames", "side", "query_first", "even_steps")
"""Options that a checkpoint's card gives, where it was trained for another method."""
_AT_ONCE = 8
"""Most sentences on one video whose questions are in memory together."""


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """A query as the model is asked about it.

    Attributes:
        pixels: The video; queries on one clip share this object.
        parts: The sentence in two.
        sentence: The sentence undivided, without the mark at its end.
        prompts: The questions, by their text.
    """

    pixels: Pixels
    parts: Parts
    sentence: str
    prompts: dict[str, Prompt]


@dataclass(frozen=True, slots=True, eq=False)
class Output:
    """What the model looked at.

    Attributes:
        encoded: The query.
        looks: For how the target looks, on the video forwards.
        action: For what it does.
        reversed_looks: As ``looks``, with the steps in reverse; None where that is not asked.
    """

    encoded: Encoded
    looks: Highlight
    action: Highlight
    reversed_looks: Highlight | None = None


class Dsth(Method):
    """See the module; options in :class:`DsthConfig`.

    Args:
        backbone: The model. Its weights should want no gradient, which costs memory otherwise.
        config: Options.
        name: What predictions call the model.
        trained_on_world: Whether the model knows nothing but the procedural world.

    Raises:
        UsageError: If the model lacks a layer that is asked for, its chat template a token, or it
            cannot cut frames of this side.
        WeightsError: If its tokenizer has no single tokens for yes and no, or no chat template with
            a place for a video.
    """

    name = "dsth"
    options = DsthConfig

    def __init__(
        self,
        backbone: QwenBackbone,
        config: DsthConfig,
        *,
        name: str | None = None,
        trained_on_world: bool = False,
    ) -> None:
        self.backbone, self.config = backbone, config
        self.trained_on_world = trained_on_world
        self.model_name = name or backbone.name
        self.layers = layers_of(config.layers, backbone.model.config.text_config.num_hidden_layers)
        self.answers = answer_tokens(backbone) if config.steps else None
        self.split = _splitter(backbone, config, self.model_name)
        self._pixels = once_a_clip(self._make_pixels)
        check_side(backbone, config.side)
        _check_tokens(backbone, config)

    @classmethod
    def create(cls, model: str | None = None, assignments: Sequence[str] = ()) -> Self:
        """Build from a model's name and ``key=value`` options; see :class:`Method`.

        Any Qwen2.5-VL or Qwen2-VL will do, also a checkpoint that was trained for another method;
        without a name it is the embedded one of ``text_box``.

        Raises:
            UsageError: If an option is unknown or out of range, or the model lacks a layer.
            MissingExtraError: If torch or transformers do not import.
            WeightsError: If the model, its tokenizer, chat template or card cannot be used.
        """
        name = model or TINY
        folder = resolve_model(f"{TINY}/text_box" if name == TINY else name, cls.name)
        card = read_card(folder)
        own = {
            key: card["options"][key] for key in _OF_CHECKPOINT if key in card.get("options", {})
        }
        is_of_world = card.get("data") == "world"
        if is_of_world:
            own |= {"detector": "figures", "question": "{}", "split": "none"}  # as it was trained
        config = DsthConfig.from_assignments(assignments, **own)
        backbone = QwenBackbone.load(folder, dtype=config.dtype, device=config.device)
        backbone.model.requires_grad_(False)
        return cls(backbone, config, name=name, trained_on_world=is_of_world)

    def plan(self, meta: VideoMeta, query: Query) -> Plan:
        """Square frames spread over the video, and the objects that the sentence may mean."""
        del meta
        config = self.config
        size = (config.side, config.side)
        nouns = nouns_of(split_by_rules(query.text).looks)
        return Plan(
            SamplingPlan(count=config.frames, fixed_size=size, spread="ends"),
            ScenePlan(config.detector, config.threshold, config.tracking, nouns),
        )

    def encode(
        self, clip: Clip, query: Query, target: Tube | None = None, *, seed: int = 0
    ) -> Encoded:
        """The video, the sentence in two, and the questions."""
        del target, seed  # nothing is trained
        pixels, config = self._pixels(clip), self.config
        parts, sentence = self.split(query.text), whole(query.text).looks
        asked = [self._asked(text) for text in (parts.looks, parts.action, sentence)]
        prompts = {
            text: Prompt.of(self.backbone, text, pixels.grid, query_first=config.query_first)
            for text in (*asked, config.general)
        }
        return Encoded(pixels, parts, sentence, prompts)

    def run(self, encoded: Sequence[Encoded]) -> list[Output]:
        """Where the model looks; queries on one clip share the reading of its video."""
        import torch

        videos: dict[int, list[int]] = {}
        for number, item in enumerate(encoded):
            videos.setdefault(id(item.pixels), []).append(number)
        found: dict[int, Output] = {}
        for numbers in videos.values():
            pixels = encoded[numbers[0]].pixels
            with torch.no_grad():
                video = self.backbone.encode_video(
                    pixels.rows, pixels.grid, seconds_per_step=pixels.seconds_per_step
                )
            count = self._at_once
            for start in range(0, len(numbers), count):
                part = numbers[start : start + count]
                found |= dict(
                    zip(part, self._watch(video, [encoded[n] for n in part]), strict=True)
                )
        return [found[number] for number in range(len(encoded))]

    @property
    def _at_once(self) -> int:
        """Sentences in memory together: one where each keeps a graph of the video of its own."""
        return 1 if self.config.query_first and self.config.steps else _AT_ONCE

    def _watch(self, video: Features, items: Sequence[Encoded]) -> list[Output]:
        """The highlights of a few queries on one video."""
        prompts = {text: prompt for item in items for text, prompt in item.prompts.items()}
        watcher = Watcher(self.backbone, video, prompts, self.layers, self.answers)
        wanted = [self._branches(item) for item in items]
        every = list(dict.fromkeys(branch for branches in wanted for branch in branches))
        found = highlight(watcher, every, self.config.general, self.config)
        return [
            Output(item, *(found[branch] for branch in branches))
            for item, branches in zip(items, wanted, strict=True)
        ]

    def _branches(self, item: Encoded) -> list[Branch]:
        """What is tuned and read for a query: looks, action, and looks in reverse."""
        looks, action = self._asked(item.parts.looks), self._asked(item.parts.action)
        read = self._asked(item.sentence) if self.config.reads == "sentence" else None
        branches = [Branch(looks, read or looks), Branch(action, read or action)]
        return [*branches, Branch(looks, read or looks, True)] if self.config.reverse else branches

    def _asked(self, phrase: str) -> str:
        """A phrase as a question."""
        return self.config.question.replace("{}", phrase)

    def decode(self, output: Output, clip: Clip, query: Query) -> Prediction:
        """The object and the interval that the maps mean."""
        candidates = Candidates.of(clip, self.config.objects)
        maps = (output.looks, output.action, output.reversed_looks)
        found = decide(*maps, clip, candidates, self.config, self._joined)
        chosen = candidates.objects[found.best] if candidates.objects else None
        return Prediction(
            query=query,
            video=clip.meta,
            tube=tube_of(chosen, interval_of(clip, found.signal, self.config), clip.meta),
            method=self.name,
            model=self.model_name,
            warnings=tuple(self._warnings(output, clip, candidates)),
            details=_details(output, candidates, found),
        )

    def _warnings(self, output: Output, clip: Clip, candidates: Candidates) -> list[str]:
        """What a reader must know about an answer."""
        assert clip.scene is not None
        notes = []
        if not candidates.objects:
            sought = ", ".join(clip.scene.classes)
            notes.append(
                f"{clip.scene.detector} saw no object ({sought}): the boxes are the whole picture"
            )
        branches = set(_branches_of(output).values())  # equal parts share one
        refused = sum(branch.refused for branch in branches)
        if refused:
            notes.append(f"{refused} steps of tuning had no finite gradient and were left out")
        if not all(branch.is_finite for branch in branches):
            notes.append(
                f"attention of {self.model_name} is not finite and was taken for none; try "
                "--set dtype=bfloat16, or smaller steps of tuning (--set rate=...)"
            )
        if self.trained_on_world and not is_world_video(clip.meta.path):
            notes.append(
                f"{self.model_name} was trained on the procedural world only and knows nothing of "
                "natural video; use a large model (--model Qwen/Qwen2.5-VL-3B-Instruct)"
            )
        return notes

    def _make_pixels(self, clip: Clip) -> Pixels:
        """The clip as the vision tower takes it."""
        config = self.config
        repeat = self._joined if config.repeat_frames else 1
        return pixels_of(clip, self.backbone, even_steps=config.even_steps, repeat=repeat)

    @property
    def _joined(self) -> int:
        """Frames that the model joins to one step."""
        return self.backbone.layout.temporal_patch


def layers_of(wanted: tuple[int, int] | str, count: int) -> range:
    """The layers whose attention is read.

    Args:
        wanted: First and last; ``all``; or ``middle``: of 26 layers or more those from the 26th to
            the 7th from the end, as in the released code, of fewer all but three sixteenths at
            each end.
        count: Layers of the model.

    Raises:
        UsageError: If the model has no such layer.

    Example:
        >>> layers_of("middle", 32), layers_of("middle", 28), layers_of("middle", 16)
        (range(6, 26), range(2, 22), range(3, 13))
    """
    if wanted == "all":
        return range(count)
    if isinstance(wanted, str):
        outer = 3 * count // 16
        return range(count - 26, count - 6) if count >= 26 else range(outer, count - outer)
    first, last = wanted
    if not 0 <= first <= last < count:
        raise UsageError(
            f"expected first and last of the layers 0 to {count - 1} of the model, found "
            f"{list(wanted)}"
        )
    return range(first, last + 1)


def _check_tokens(backbone: QwenBackbone, config: DsthConfig) -> None:
    """Refuse a chat template without a place for a video, and tokens that it does not write."""
    merge = backbone.layout.merge
    small, query_first = (1, merge, merge), config.query_first
    count = Prompt.of(backbone, config.general, small, query_first=query_first).watched
    for token in (config.token, config.time_token):
        if isinstance(token, int) and not -count <= token < count:
            raise UsageError(
                f"expected a token from {-count} to {count - 1}, of those that the chat template "
                f"of {backbone.name} writes behind the text, found {token}"
            )


def _splitter(backbone: QwenBackbone, config: DsthConfig, name: str) -> Callable[[str], Parts]:
    """Who splits sentences."""
    if config.split in ("rules", "none"):
        return split_by_rules if config.split == "rules" else whole
    file = Path(config.split_cache) if config.split_cache else default_file()
    if config.split == "model":
        return ModelSplitter(ask_backbone(backbone), name, file)
    ask = ask_server(config.endpoint, config.endpoint_model)
    return ModelSplitter(ask, f"{config.endpoint_model} at {config.endpoint}", file)


def _details(output: Output, candidates: Candidates, found: Decision) -> dict[str, Any]:
    """What a reader needs to follow the decision."""
    parts = output.encoded.parts
    return {
        "split": {"by": parts.source, "looks": parts.looks, "action": parts.action},
        "objects": [
            {"track": each.track.id, "label": each.track.label, "score": round(float(score), 4)}
            for each, score in zip(candidates.objects, found.scores, strict=False)
        ],
        "chosen": candidates.objects[found.best].track.id if candidates.objects else None,
        "signal": _rounded(found.signal),
        "tokens": dict(zip(("where", "when"), found.tokens, strict=True)),
        "peaks": dict(zip(("where", "when"), map(_rounded, found.peaks), strict=True)),
        "yes_over_no": {
            name: {"asked": _rounded(branch.asked), "general": _rounded(branch.general)}
            for name, branch in _branches_of(output).items()
        },
        "consistency": None if found.consistency is None else round(found.consistency, 4),
        "attention": _packed(found.where, found.times_s),
    }


def _packed(attention: FloatArray, times_s: FloatArray) -> dict[str, Any]:
    """A map (T, rows, columns), at least 0, with a byte a cell; its highest value is 255."""
    _, rows, columns = attention.shape
    cells = np.round(attention * (255 / (attention.max() or 1))).astype(np.uint8)
    return {
        "rows": rows,
        "columns": columns,
        "times_s": _rounded(times_s),
        "values": base64.b64encode(cells.tobytes()).decode("ascii"),
    }


def _branches_of(output: Output) -> dict[str, Highlight]:
    """The highlights by what they are for."""
    found = {"looks": output.looks, "action": output.action}
    back = output.reversed_looks
    return found if back is None else {**found, "looks_in_reverse": back}


def _rounded(values: Sequence[float] | FloatArray) -> list[float | None]:
    """Numbers as JSON has them; None for one that is not finite."""
    return [round(float(value), 4) if np.isfinite(value) else None for value in values]
