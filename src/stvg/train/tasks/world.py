"""Questions on clips of the procedural world, made in memory, with dense labels.

One task serves the whole curriculum: single steps without questions train the vision tower, single
steps with questions ("which of these is the red ball that moves left, and where") bind words to
what is seen ten times cheaper than clips do, and whole clips add time. A single step stands where
it stands in the whole clip: its tokens keep their positions and its answer its frame numbers.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from stvg.backbones.positions import Block, positions, token_types
from stvg.backbones.preprocess import patchify
from stvg.data.world import FPS, ClipPlan, Sentence, plan_clip
from stvg.errors import UsageError
from stvg.text import View, find_codec
from stvg.train.fresh import lacks_of_world
from stvg.train.rows import Batch, Row, collate
from stvg.train.scenes import STEP_FRAMES, Scene, make_scene
from stvg.train.tasks.base import Maker
from stvg.train.tasks.base import Task as Base
from stvg.types import IntArray, Interval, Tube

if TYPE_CHECKING:
    from stvg.backbones.qwen import QwenBackbone

_STYLES = (
    ((255, 255, 255), (0, 0, 0)), ((255, 40, 40), (255, 255, 255)), ((20, 20, 20), (255, 255, 255)),
    ((255, 40, 40), (0, 0, 0)),
)  # fmt: skip


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

    @property
    def title(self) -> str:
        """What logs call it."""
        return f"world-{self.level}-{self.steps}"

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
        return WorldMaker(self, backbone)


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
    """

    def __init__(self, task: Task, backbone: QwenBackbone) -> None:
        self.task, self.layout, self.rule = task, backbone.layout, backbone.rule
        self.tokenizer: Any = backbone.tokenizer
        self.table: dict[str, int] = self.tokenizer.get_vocab()
        self.codec = find_codec("compact")
        self.tokens_of = lru_cache(maxsize=20_000)(self._tokens_of)
        self.places_of = lru_cache(maxsize=20_000)(self._places_of)
        self.view_of = lru_cache(maxsize=8)(self._view_of)

    def batch(self, numbers: Sequence[int]) -> Batch:
        """The batch of these clips.

        Args:
            numbers: Numbers of the clips; a clip's number decides all that is random about it.
        """
        task = self.task
        pixels, scenes, rows, meant = [], [], [], []
        for place, number in enumerate(numbers):
            dice = random.Random(f"{task.seed}/{task.steps}/{number}")  # noqa: S311
            plan = plan_clip(number, split=task.split, level=task.level, seed=task.seed)
            steps = self._choose_steps(dice, plan)
            painted = None
            if dice.random() < task.numbered:
                painted = dice.sample(range(1, 10), len(plan.figures))
            scene = make_scene(
                plan, steps, side=task.side, cell=self.layout.cell, numbers=painted,
                style=dice.choice(_STYLES),
            )  # fmt: skip
            patches, grid = patchify(scene.frames, self.layout)
            pixels.append(patches)
            scenes.append(scene)
            for question in self._questions(dice, plan, steps, painted):
                row = self._row(question, scene, steps, plan.frames // STEP_FRAMES, place)
                if row is not None:
                    rows.append(row)
                    meant.append(_meant(question, scene, steps))
        tokens = [scene.cells.size for scene in scenes]
        return Batch(
            tuple((torch.from_numpy(patches), grid) for patches in pixels),
            collate(rows, self.table["<|video_pad|>"], tokens) if rows else None,
            seen=_labels(scenes),
            meant={name: torch.stack([part[name] for part in meant]) for name in meant[0]}
            if rows
            else {},
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

    def _row(
        self, question: Question, scene: Scene, steps: Sequence[int], whole: int, clip: int
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
        frames = np.arange(question.start, question.end)
        boxes = scene.frame_boxes[question.figure, frames - shown * STEP_FRAMES]
        seen = np.isfinite(boxes[:, 0])
        if question.number is not None:
            text = (
                f"target id : {question.number} , time range : <t_{question.start}> to "
                f"<t_{question.end}>"
            )
        elif len(np.unique(frames[seen] // STEP_FRAMES)) < len(np.unique(frames // STEP_FRAMES)):
            return None
        else:
            interval = Interval(question.start / FPS, question.end / FPS)
            tube = Tube(interval, frames[seen] / FPS, boxes[seen] * self.task.side)
            text = self.codec.render(tube, self.view_of(whole))
        return [self.table[word] for word in (*text.split(), "<|im_end|>")]

    def _view_of(self, steps: int) -> View:
        """A clip of so many steps as answers count it."""
        borders = np.arange(steps * STEP_FRAMES + 1) / FPS
        size = (self.task.side, self.task.side)
        return View(borders[:-1], borders, size, size, STEP_FRAMES)


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
