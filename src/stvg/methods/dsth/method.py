"""``dsth``: zero-shot grounding from the attention of a frozen model (arXiv 2509.15178).

"Unleashing the Potential of Multimodal LLMs for Zero-Shot Spatio-Temporal Video Grounding", Yang
and others, NeurIPS 2025. The sentence is split into looks and action; for each the model is asked
whether there is such a thing, what is added to its visual tokens is tuned until it says yes, and
the attention of the tokens behind the question says where, and when. A detector and a tracker
supply the tubes to choose from. The README beside this file lists where this differs from paper
and code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from stvg.backbones.asking import Pixels, once_a_clip
from stvg.backbones.prefix import Features
from stvg.backbones.preprocess import patchify
from stvg.backbones.qwen import QwenBackbone
from stvg.backbones.tiny import TINY, read_card, resolve_model
from stvg.backbones.token_grid import TokenGrid
from stvg.data.world.files import is_world_video
from stvg.errors import UsageError
from stvg.methods.base import Method, Plan, ScenePlan
from stvg.methods.dsth.candidates import Candidates, tube_of
from stvg.methods.dsth.config import DsthConfig
from stvg.methods.dsth.highlight import Branch, Highlight, choose_token, highlight, likeness
from stvg.methods.dsth.prompts import Prompt, answer_tokens
from stvg.methods.dsth.sentences import Parts, nouns_of, split_by_rules, whole
from stvg.methods.dsth.splitters import ModelSplitter, ask_backbone, ask_server, default_file
from stvg.methods.dsth.watching import Watcher
from stvg.methods.dsth.when import fit_interval, grow_window
from stvg.methods.dsth.where import attention_inside, cell_weights, score_objects
from stvg.types import Clip, FloatArray, Interval, Prediction, Query, Tube, VideoMeta
from stvg.video import SamplingPlan

_OF_CHECKPOINT = ("frames", "side", "query_first", "even_steps")
"""Options that a checkpoint's card gives, where it was trained for another method."""
_LATTICE = 8
"""Points to a cell, each way, at which attention inside a box is looked up."""
_AT_ONCE = 8
"""Sentences on one video whose questions are in memory together."""


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


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """What the maps mean.

    Attributes:
        scores: Of P objects, (P,).
        best: The object with the highest.
        signal: How much attention it draws in each of F frames, (F,) in [0, 1].
        tokens: Whose attention said where, and when; None for the mean of all.
        peaks: The highest relative attention of each token, for where and for when, (R,) each.
        consistency: Likeness of the maps forwards and in reverse; None without a reverse.
    """

    scores: FloatArray
    best: int
    signal: FloatArray
    tokens: tuple[int | None, int | None]
    peaks: tuple[FloatArray, FloatArray]
    consistency: float | None


class Dsth(Method):
    """See the module; options in :class:`DsthConfig`.

    Args:
        backbone: The model. Its weights should want no gradient, which costs memory otherwise.
        config: Options.
        name: What predictions call the model.
        trained_on_world: Whether the model knows nothing but the procedural world.

    Raises:
        UsageError: If the model lacks a layer that is asked for, or cannot cut frames of this side.
        WeightsError: If its tokenizer has no single tokens for yes and no.
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
        cell = backbone.layout.cell
        if config.side % cell:
            raise UsageError(
                f"expected a side that is a multiple of {cell} pixels, the cell of "
                f"{backbone.name}, found {config.side}; "
                f"{max(round(config.side / cell), 1) * cell} is near"
            )

    @classmethod
    def create(cls, model: str | None = None, assignments: Sequence[str] = ()) -> Self:
        """Build from a model's name and ``key=value`` options; see :class:`Method`.

        Any Qwen2.5-VL will do, also a checkpoint that was trained for another method; without a
        name it is the embedded one of ``text_box``.

        Raises:
            UsageError: If an option is unknown or out of range, or the model lacks a layer.
            MissingExtraError: If torch or transformers do not import.
            WeightsError: If the model, its tokenizer or card cannot be used.
        """
        name = model or TINY
        folder = resolve_model(f"{TINY}/text_box" if name == TINY else name, cls.name)
        card = read_card(folder)
        own = {
            key: card["options"][key] for key in _OF_CHECKPOINT if key in card.get("options", {})
        }
        is_of_world = card.get("data") == "world"
        if is_of_world:
            own |= {"detector": "blobs", "question": "{}", "split": "none"}  # as it was trained
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
            for start in range(0, len(numbers), _AT_ONCE):
                part = numbers[start : start + _AT_ONCE]
                found |= dict(
                    zip(part, self._watch(video, [encoded[n] for n in part]), strict=True)
                )
        return [found[number] for number in range(len(encoded))]

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
        found = self._decide(output, clip, candidates)
        chosen = candidates.objects[found.best] if candidates.objects else None
        return Prediction(
            query=query,
            video=clip.meta,
            tube=tube_of(chosen, self._interval(clip, found.signal), clip.meta),
            method=self.name,
            model=self.model_name,
            warnings=tuple(self._warnings(output, clip, candidates)),
            details=_details(output, candidates, found),
        )

    def _decide(self, output: Output, clip: Clip, candidates: Candidates) -> Decision:
        """Which object, and how much attention it draws over time."""
        config, meta, back = self.config, clip.meta, output.reversed_looks
        looks = output.looks.relative
        summed = looks if back is None else looks + back.relative
        space, token, peaks = choose_token(summed, config.token)
        time, time_token, time_peaks = choose_token(output.action.relative, config.time_token)
        rows, columns = space.shape[1:]
        boxes_cells = candidates.boxes * ([columns / meta.width, rows / meta.height] * 2)
        steps = np.arange(len(clip)) // (1 if config.repeat_frames else self._joined)
        pixels = (meta.height, meta.width) if config.mask == "pixels" else None
        scores = score_objects(space, cell_weights(boxes_cells, rows, columns, pixels), steps)
        best = int(scores.argmax())
        points = pixels or (_LATTICE * rows, _LATTICE * columns)
        signal = attention_inside(time, boxes_cells[best], steps, points)
        alike = None
        if back is not None:
            maps = (looks, back.relative)
            alike = likeness(*(each.mean(0) if token is None else each[token] for each in maps))
        return Decision(
            scores, best, signal / (signal.max() + 1e-4), (token, time_token), (peaks, time_peaks),
            alike,
        )  # fmt: skip

    def _interval(self, clip: Clip, signal: FloatArray) -> Interval:
        """From the first frame that is kept to the last, or to the one that is seen next.

        The published rule ends with the last kept frame itself.
        """
        frames, meta = clip.frame_indices, clip.meta
        if self.config.time == "window":
            keep = max(round(self.config.keep * len(signal)), 1)
            first, last = grow_window(signal, keep, ties_stop=self.config.ties_stop)
            return meta.span_of(int(frames[first]), int(frames[last]) + 1)
        first, last = fit_interval(signal)
        end = int(frames[last + 1]) if last + 1 < len(frames) else meta.frames
        return meta.span_of(int(frames[first]), end)

    def _warnings(self, output: Output, clip: Clip, candidates: Candidates) -> list[str]:
        """What a reader must know about an answer."""
        assert clip.scene is not None
        notes = []
        if not candidates.objects:
            sought = ", ".join(clip.scene.classes)
            notes.append(
                f"{clip.scene.detector} saw no object ({sought}): the boxes are the whole picture"
            )
        branches = [output.looks, output.action, output.reversed_looks]
        refused = sum(branch.refused for branch in branches if branch is not None)
        if refused:
            notes.append(f"{refused} steps of tuning had no finite gradient and were left out")
        if self.trained_on_world and not is_world_video(clip.meta.path):
            notes.append(
                f"{self.model_name} was trained on the procedural world only and knows nothing of "
                "natural video; use a large model (--model Qwen/Qwen2.5-VL-3B-Instruct)"
            )
        return notes

    def _make_pixels(self, clip: Clip) -> Pixels:
        """The clip as the vision tower takes it."""
        layout, config = self.backbone.layout, self.config
        joined = self._joined if config.repeat_frames else 1
        rows, grid = patchify(np.repeat(np.asarray(clip.frames), joined, axis=0), layout)
        if config.even_steps:
            return Pixels(rows, grid, 1 / self.backbone.rule.tokens_per_second)
        return Pixels(rows, grid, TokenGrid.of(clip, layout).seconds_per_step / joined)

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
        "signal": _rounded(found.signal),
        "tokens": dict(zip(("where", "when"), found.tokens, strict=True)),
        "peaks": dict(zip(("where", "when"), map(_rounded, found.peaks), strict=True)),
        "yes_over_no": {
            "looks": _rounded(output.looks.asked),
            "action": _rounded(output.action.asked),
            "general": _rounded(output.looks.general),
        },
        "consistency": None if found.consistency is None else round(found.consistency, 4),
    }


def _rounded(values: Sequence[float] | FloatArray) -> list[float]:
    return [round(float(value), 4) for value in values]
