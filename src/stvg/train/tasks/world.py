"""Questions on clips of the procedural world, made in memory, with dense labels.

One task serves the whole curriculum: single steps without questions train the vision tower, single
steps with questions ("which of these is the red ball that moves left, and where") bind words to
what is seen ten times cheaper than clips do, and whole clips add time. A single step stands where
it stands in the whole clip: its tokens keep their positions and its answer its frame numbers.

Answers are those of ``text_box`` unless a method is named, which then encodes whole clips as it
encodes any video.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from stvg.backbones.asking import Pixels
from stvg.backbones.positions import Block, positions, token_types
from stvg.backbones.preprocess import patchify
from stvg.data.world import FPS, ClipPlan, Sentence, plan_clip
from stvg.data.world.parts import LEVELS
from stvg.errors import UsageError
from stvg.text import View, find_codec
from stvg.text.numbered import find_numbered
from stvg.train.fresh import lacks_of_world
from stvg.train.methods import text_method
from stvg.train.rows import Batch, Row, collate, lessons_of, row_of
from stvg.train.scenes import STEP_FRAMES, Scene, make_scene
from stvg.train.tasks.base import Maker
from stvg.train.tasks.base import Task as Base
from stvg.types import ByteArray, Clip, IntArray, Interval, Query, Tube, VideoMeta

if TYPE_CHECKING:
    from stvg.backbones.qwen import QwenBackbone
    from stvg.methods.text_answer import TextAnswer


class Task(Base):
    """Options of the task."""

    kind: Literal["world"] = Field("world", description="clips of the procedural world")
    clips: int = Field(
        16, ge=1, description="clips of a step, over all its parts and all processes"
    )
    queries: int = Field(4, ge=0, description="most questions on a clip")
    steps: int = Field(8, ge=1, description="steps (of two frames) of a clip that are shown")
    level: Literal["easy", "standard", "hard"] = Field("standard", description="level of the world")
    side: int = Field(64, ge=16, description="side of the picture in model pixels")
    seed: int = Field(0, ge=0, description="seed of the clips")
    plain: float = Field(0.1, ge=0, le=1, description="share of questions that only name an object")
    numbered: float = Field(0.0, ge=0, le=1, description="share of clips with painted numbers")
    dense: float = Field(0.3, ge=0, description="weight of the losses on the tower's tokens")
    target: float = Field(1.0, ge=0, description="weight of the losses on the model's tokens")
    split: Literal["train", "val"] = Field("train", description="split of the world")
    method: str | None = Field(
        None, description="method that encodes whole clips; default as text_box, parts of them too"
    )
    options: dict[str, Any] = Field(default_factory=dict, description="options of the method")

    @property
    def title(self) -> str:
        """What logs call it."""
        return f"world-{self.level}-{self.method or self.steps}"

    @property
    def scales(self) -> dict[str, float]:
        """Weight of each family of losses."""
        return {"answer": 1.0, "cell": self.dense, "target": self.target}

    def maker(self, backbone: QwenBackbone) -> WorldMaker:
        """See :meth:`Base.maker`."""
        lacks = lacks_of_world(backbone.tokenizer.get_vocab())
        if lacks:
            raise UsageError(
                "the task world is for vocabularies with a token for each number, frame number and "
                f"word of the world (fresh models); {backbone.name} lacks {len(lacks)} of them, "
                f"first {lacks[0]!r}; write clips with `stvg world` and use the task benchmark"
            )
        if self.side % backbone.layout.cell:
            raise UsageError(
                f"the side of the pictures must be a multiple of {backbone.layout.cell} pixels for "
                f"this model, found {self.side}"
            )
        return WorldMaker(self, backbone, self._encoder(backbone))

    def _encoder(self, backbone: QwenBackbone) -> TextAnswer | None:
        """The method that encodes clips.

        Raises:
            UsageError: If it needs more than frames, does not see whole clips as they are drawn, or
                its steps are not those of the dense labels that are asked for.
        """
        if self.method is None:
            return None
        method = text_method({"method": self.method, "options": self.options}, backbone)
        film = _film(np.zeros((LEVELS[self.level].frames, self.side, self.side, 3), np.uint8))
        wish, count = method.plan(film.meta, Query("the object")), len(film)
        plan = wish.frames
        if plan is None or wish.scene is not None or wish.numbered is not None:
            raise UsageError(
                f"the task world shows frames and nothing else; the method {self.method} wants "
                "more: write clips with `stvg world` and use the task benchmark"
            )
        asked = np.unique(film.meta.frame_at(plan.times(film.meta)))
        steps = method.pixels(film).grid[0]
        needs = {
            f"steps of at least {count // STEP_FRAMES}": self.steps * STEP_FRAMES >= count,
            "numbered of 0": not self.numbered,
            f"options.frames of {count}": len(asked) == count,
            f"options.side of {self.side}": plan.size(film.meta) == film.size,
            "dense and target of 0, whose labels are of steps of two frames":
                steps == count // STEP_FRAMES or not (self.dense or self.target),
        }  # fmt: skip
        lacks = [need for need, is_met in needs.items() if not is_met]
        if lacks:
            raise UsageError(
                f"the task world shows the method {self.method} whole clips of the level "
                f"{self.level} as they are drawn; that needs {', '.join(lacks)}"
            )
        return method


@dataclass(frozen=True, slots=True)
class Question:
    """A question on a clip: who, when, and what to ask."""

    text: str
    figure: int
    start: int
    end: int
    number: int | None = None


class WorldMaker(Maker):
    """Makes batches from their numbers alone.

    Args:
        task: The options.
        backbone: The model without weights; words, numbers and frame numbers are single tokens.
        encoder: The method that encodes clips; None for the lessons of this module.
    """

    def __init__(
        self, task: Task, backbone: QwenBackbone, encoder: TextAnswer | None = None
    ) -> None:
        self.task, self.layout, self.rule = task, backbone.layout, backbone.rule
        self.backbone, self.encoder = backbone, encoder
        self.tokenizer: Any = backbone.tokenizer
        self.table: dict[str, int] = self.tokenizer.get_vocab()
        self.codec = find_codec("compact")
        self.numbered = find_numbered("r1_compact")
        self.tokens_of = lru_cache(maxsize=20_000)(self._tokens_of)
        self.places_of = lru_cache(maxsize=20_000)(self._places_of)
        self.view_of = lru_cache(maxsize=8)(self._view_of)

    def batch(self, numbers: Sequence[int]) -> Batch:
        """The batch of these clips.

        Args:
            numbers: Numbers of the clips; a clip's number decides all that is random about it.
        """
        task = self.task
        videos, scenes, rows, meant = [], [], [], []
        for place, number in enumerate(numbers):
            dice = random.Random(f"{task.seed}/{task.steps}/{number}")  # noqa: S311
            plan = plan_clip(number, split=task.split, level=task.level, seed=task.seed)
            steps = self._choose_steps(dice, plan)
            painted = None
            if dice.random() < task.numbered:
                painted = dice.sample(range(1, len(plan.figures) + 2), len(plan.figures))
            scene = make_scene(plan, steps, side=task.side, cell=self.layout.cell, numbers=painted)
            scenes.append(scene)
            make: Callable[[Question], Row | None]
            if self.encoder is None:
                videos.append(Pixels(*patchify(scene.frames, self.layout), 1.0))
                make = partial(self._row, scene, steps, plan.frames // STEP_FRAMES, place)
            else:
                film = _film(scene.frames)
                videos.append(self.encoder.pixels(film))
                make = partial(self._encoded, self.encoder, film, scene, place)
            for question in self._questions(dice, plan, steps, painted):
                row = make(question)
                if row is not None:
                    rows.append(row)
                    meant.append(_meant(question, scene, steps))
        tokens = [each.block.tokens(self.rule.merge) for each in videos]
        is_dense = all(
            each.grid[0] == len(scene.cells) for each, scene in zip(videos, scenes, strict=True)
        )
        return Batch(
            tuple((torch.from_numpy(each.rows), each.grid) for each in videos),
            collate(rows, self.table["<|video_pad|>"], tokens) if rows else None,
            seen=_labels(scenes) if is_dense else {},
            meant={name: torch.stack([part[name] for part in meant]) for name in meant[0]}
            if rows and is_dense
            else {},
            lessons=lessons_of(rows),
        )

    def _choose_steps(self, dice: random.Random, plan: ClipPlan) -> list[int]:
        """The steps to show: all, or a stretch of them that an event overlaps."""
        whole, count = plan.frames // STEP_FRAMES, self.task.steps
        if count >= whole:
            return list(range(whole))
        sentence = dice.choice(plan.sentences)
        middle = dice.randrange(sentence.start, sentence.end) // STEP_FRAMES
        first = min(max(middle - dice.randrange(count), 0), whole - count)
        return list(range(first, first + count))

    def _questions(
        self,
        dice: random.Random,
        plan: ClipPlan,
        steps: Sequence[int],
        painted: Sequence[int] | None,
    ) -> Iterator[Question]:
        """Questions whose answer lies in the shown steps."""
        first, end = steps[0] * STEP_FRAMES, (steps[-1] + 1) * STEP_FRAMES
        fitting: list[Sentence] = [
            item for item in plan.sentences
            if min(item.end, end) - max(item.start, first) >= STEP_FRAMES
        ]  # fmt: skip
        dice.shuffle(fitting)
        for _ in range(self.task.queries):
            if dice.random() < self.task.plain:
                question = _naming(dice, plan, first, end)
            elif fitting:
                item = fitting.pop()
                start, stop = max(item.start, first), min(item.end, end)
                question = Question(item.text, item.figure, start, stop)
            else:
                question = None
            if question is not None and painted is not None:
                number = painted[question.figure]
                yield Question(
                    f"which number : {question.text}",
                    question.figure, question.start, question.end, number,
                )  # fmt: skip
            elif question is not None:
                yield question

    def _encoded(
        self, encoder: TextAnswer, film: Clip, scene: Scene, clip: int, question: Question
    ) -> Row | None:
        """Prompt and answer as a method encodes them."""
        tube = self._tube(question, scene, 0)
        if tube is None:
            return None
        outside = self._outside(question, scene)
        encoded = encoder.encode(film, Query(question.text), tube, outside=outside)
        return row_of(self.backbone, encoded, clip)

    def _row(
        self, scene: Scene, steps: Sequence[int], whole: int, clip: int, question: Question
    ) -> Row | None:
        """Prompt and answer as tokens, without the visual tokens of steps that are not shown."""
        answer = self._answer(question, scene, steps[0], whole)
        if answer is None:
            return None
        before, after = self.tokens_of(question.text)
        per_step = (self.task.side // self.layout.cell) ** 2
        video = self.table["<|video_pad|>"]
        ids = [*before, *([video] * (whole * per_step)), *after, *answer]
        shown = np.ones(len(ids), bool)
        shown[len(before) : len(before) + whole * per_step] = np.isin(
            np.arange(whole).repeat(per_step), steps
        )
        places = self.places_of(len(before), whole, len(after) + len(answer))
        visual = np.arange(len(steps) * per_step)
        return Row(np.array(ids)[shown], places[:, shown], len(answer), clip, visual)

    def _tokens_of(self, text: str) -> tuple[list[int], list[int]]:
        """Tokens of the prompt before and behind the video."""
        content = [{"type": "text", "text": text}, {"type": "video"}]
        prompt = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )
        before, after = prompt.split("<|video_pad|>")
        encode = self.tokenizer
        return (
            encode(before, add_special_tokens=False)["input_ids"],
            encode(after, add_special_tokens=False)["input_ids"],
        )

    def _places_of(self, before: int, steps: int, after: int) -> IntArray:
        """Positions of a prompt with a video of so many steps, (3, L)."""
        side = self.task.side // self.layout.patch
        block = Block((steps, side, side), 1 / self.rule.tokens_per_second)
        ids = [0] * before + [1] * block.tokens(self.rule.merge) + [0] * after
        return positions(token_types(ids, -1, 1), [block], self.rule).ids[:, 0]

    def _answer(self, question: Question, scene: Scene, shown: int, whole: int) -> list[int] | None:
        """Tokens of the answer, or None when the object is out of the picture in a step.

        Args:
            question: The question.
            scene: The steps that are shown.
            shown: The first of them.
            whole: Number of steps of the whole clip, whose frames the answer counts.
        """
        if question.number is not None:
            interval = Interval(question.start / FPS, question.end / FPS)
            text = self.numbered.render([question.number], interval, self.view_of(whole))
        else:
            tube = self._tube(question, scene, shown)
            if tube is None:
                return None
            text = self.codec.render(tube, self.view_of(whole))
        return [self.table[word] for word in (*text.split(), "<|im_end|>")]

    def _tube(self, question: Question, scene: Scene, shown: int) -> Tube | None:
        """The right tube, or None when the object is out of the picture in a step."""
        frames = np.arange(question.start, question.end)
        boxes = scene.frame_boxes[question.figure, frames - shown * STEP_FRAMES]
        seen = np.isfinite(boxes[:, 0])
        if len(np.unique(frames[seen] // STEP_FRAMES)) < len(np.unique(frames // STEP_FRAMES)):
            return None
        interval = Interval(question.start / FPS, question.end / FPS)
        return Tube(interval, frames[seen] / FPS, boxes[seen] * self.task.side)

    def _outside(self, question: Question, scene: Scene) -> Tube | None:
        """The object where it is seen before and behind the event; None if it is not."""
        boxes = scene.frame_boxes[question.figure]
        seen = np.isfinite(boxes[:, 0])
        seen[question.start : question.end] = False
        if not seen.any():
            return None
        times_s = np.flatnonzero(seen) / FPS
        return Tube(Interval(0, len(boxes) / FPS), times_s, boxes[seen] * self.task.side)

    def _view_of(self, steps: int) -> View:
        """A clip of so many steps as answers count it."""
        borders = np.arange(steps * STEP_FRAMES + 1) / FPS
        size = (self.task.side, self.task.side)
        return View(borders[:-1], borders, size, size, STEP_FRAMES)


def _film(frames: ByteArray) -> Clip:
    """Drawn frames as a clip of all frames of a video."""
    count, height, width = frames.shape[:3]
    meta = VideoMeta("world", width, height, Fraction(FPS), count / FPS, count)
    return Clip(meta, frames, np.arange(count) / FPS, np.arange(count))


def _naming(dice: random.Random, plan: ClipPlan, first: int, end: int) -> Question | None:
    """A question that only names an object which is like no other, and is there all the time."""
    alone = [
        n for n, figure in enumerate(plan.figures)
        if figure.present.all()
        and sum((f.kind, f.colour) == (figure.kind, figure.colour) for f in plan.figures) == 1
    ]  # fmt: skip
    if not alone:
        return None
    number = dice.choice(alone)
    figure = plan.figures[number]
    return Question(f"the {figure.colour} {figure.kind}", number, first, end)


def _labels(scenes: Sequence[Scene]) -> dict[str, Tensor]:
    """Dense labels of a batch, objects filled up to the largest number."""
    most = max(len(scene.kinds) for scene in scenes)

    def filled(arrays: Sequence[Any]) -> Tensor:
        out = np.zeros((len(arrays), most, *arrays[0].shape[1:]), arrays[0].dtype)
        for place, array in enumerate(arrays):
            out[place, : len(array)] = array
        return torch.from_numpy(out)

    return {
        "cells": torch.from_numpy(np.stack([scene.cells for scene in scenes])),
        "boxes": filled([scene.boxes for scene in scenes]).float(),
        "changes": filled([scene.changes for scene in scenes]).float(),
        "colour": filled([scene.colours for scene in scenes]),
        "kind": filled([scene.kinds for scene in scenes]),
        "motion": filled([scene.motions for scene in scenes]),
        "painted": filled([scene.painted for scene in scenes]) - 1,  # place in NAMES
    }


def _meant(question: Question, scene: Scene, steps: Sequence[int]) -> dict[str, Tensor]:
    """What the visual tokens of a row should know of the answer; see ``DenseHeads.judge_meant``."""
    frames = np.array(steps)[:, None] * STEP_FRAMES + np.arange(STEP_FRAMES)
    inside = ((frames >= question.start) & (frames < question.end)).mean(axis=1)
    return {
        "target": torch.from_numpy(scene.cells == question.figure),
        "inside": torch.from_numpy(inside).float(),
        "box": torch.from_numpy(scene.boxes[question.figure]).float(),
    }
