"""The task ``world``: its rows are the method's, its labels are what the plan says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from stvg.backbones.positions import Block, positions, token_types
from stvg.data.world import draw_clip, plan_clip
from stvg.errors import UsageError
from stvg.text.numbered.grammars.r1_compact import NAMES
from stvg.train.scenes import make_scene
from stvg.train.starting import without_weights
from stvg.train.tasks.world import Question, Task, WorldMaker
from stvg.types import Query
from tests.backbones.tiny_qwen import tiny_model, tiny_tokenizer

from .small import backbone, drawn, text_box, tokenizer, torch, tube_of

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(("level", "frames", "clips"), [("standard", 16, 16), ("hard", 32, 6)])
def test_rows_of_whole_clips_are_those_of_text_box(level: str, frames: int, clips: int) -> None:
    """Training and inference see the same prompt, pixels, positions, and mean the same answer."""
    model = backbone()
    task = Task.of({"kind": "world", "clips": 1, "steps": frames // 2, "queries": 6, "plain": 0.2,
                    "seed": 7, "level": level})  # fmt: skip
    maker = task.maker(without_weights(model))
    method = text_box(model, frames=frames, constrained=False)
    compared = 0
    for number in range(clips):
        asked: list[Question] = []
        batch = asking(maker, asked).batch([number])
        clip, boxes = drawn(plan_clip(number, split="train", level=level, seed=7))
        kept = [each for each in asked if in_every_step(boxes[each.figure], each)]
        assert batch.counts["target"] == len(kept)
        for row, question in enumerate(kept):
            tube = tube_of(boxes[question.figure], question.start, question.end)
            encoded = method.encode(clip, Query(question.text), tube)
            pixels, ids = encoded.question.pixels, [*encoded.question.ids, *encoded.target]
            assert batch.rows.ids[row, : len(ids)].tolist() == ids
            assert not batch.rows.ids[row, len(ids) :].any()
            types = token_types(ids, -1, model.model.config.video_token_id)
            block = Block(pixels.grid, pixels.seconds_per_step)
            expected = positions(types, [block], model.rule).ids[:, 0]
            assert np.array_equal(batch.rows.places[:, row, : len(ids)], expected)
            judged = np.flatnonzero(batch.rows.judged[row])
            assert judged.tolist() == list(range(len(encoded.question.ids), len(ids)))
            assert np.array_equal(batch.videos[0][0], pixels.rows)
            assert batch.videos[0][1] == pixels.grid
            compared += 1
    assert compared > 2 * clips


def asking(maker: WorldMaker, asked: list[Question]) -> WorldMaker:
    """The same, telling what it asks."""
    questions = type(maker)._questions

    def told(*arguments: Any) -> Iterator[Question]:
        for question in questions(maker, *arguments):
            asked.append(question)
            yield question

    maker._questions = told  # type: ignore[method-assign]
    return maker


def in_every_step(boxes: np.ndarray, question: Question) -> bool:
    """Whether an object (T, 4) is in the picture at some time in every step of an answer."""
    inside = np.zeros(len(boxes), bool)
    inside[question.start : question.end] = True
    seen = (np.isfinite(boxes[:, 0]) & inside).reshape(-1, 2).any(axis=1)
    return bool(seen[inside.reshape(-1, 2).any(axis=1)].all())


def test_one_step_stands_where_it_stands_in_the_whole_clip() -> None:
    model = backbone()
    options = {"kind": "world", "clips": 1, "queries": 3, "seed": 1, "steps": 1, "plain": 1.0}
    part = Task.of(options).maker(without_weights(model))
    dice_steps = []
    choose = part._choose_steps
    part._choose_steps = lambda *a: dice_steps.append(choose(*a)) or dice_steps[-1]  # type: ignore
    table = tokenizer().get_vocab()
    seen = 0
    for number in range(12):
        batch = part.batch([number])
        (step,) = dice_steps[-1]
        if batch.rows is None:
            continue
        seen += 1
        ids, places = batch.rows.ids[0], batch.rows.places[:, 0]
        shown = batch.rows.shown[0]
        assert int(shown.sum()) == 16
        before = int(shown.nonzero()[0])
        # time: one position a step behind the words before the video; rows and columns 0 to 3
        assert set(places[0, shown].tolist()) == {before + step}
        assert set(places[1, shown].tolist()) == set(range(before, before + 4))
        # behind the video text goes on where it does behind all eight steps
        assert int(places[0, int(shown.nonzero()[-1]) + 1]) == before + 8
        answer = ids[batch.rows.judged[0]].tolist()
        assert answer[:3] == [table[f"<t_{2 * step}>"], table[f"<t_{2 * step + 2}>"], table[":"]]
        assert len(answer) == 3 + 5 + 1
    assert seen > 5


def test_dense_labels_follow_the_plan() -> None:
    task = Task.of({"kind": "world", "clips": 1, "queries": 1, "seed": 2, "plain": 0.0})
    maker = task.maker(without_weights(backbone()))
    for number in range(10):
        batch = maker.batch([number])
        plan = plan_clip(number, split="train", level="standard", seed=2)
        _, boxes = drawn(plan)
        if batch.rows is None:
            continue
        seen = batch.seen
        for figure in range(len(plan.figures)):
            for step in range(8):
                pair = boxes[figure, 2 * step : 2 * step + 2] / 64
                if np.isfinite(pair).all():
                    assert np.allclose(seen["boxes"][0, figure, step], pair.mean(axis=0))
        target, inside = batch.meant["target"][0], batch.meant["inside"][0]
        figures = set(seen["cells"][0][target].tolist())
        assert len(figures) <= 1
        judged = tokenizer().decode(batch.rows.ids[0, batch.rows.judged[0]])
        start, end = (int(word[3:-1]) for word in judged.split()[:2])
        overlap = [max(min(end, 2 * step + 2) - max(start, 2 * step), 0) / 2 for step in range(8)]
        assert inside.tolist() == overlap


def test_screens_hide_where_the_camera_shows_them() -> None:
    """At the hard level screens move through the picture; what stands behind one is not seen."""
    hidden, seen = 0, []
    for number in range(30):
        plan = plan_clip(number, level="hard", seed=2)
        if not plan.screens or not plan.camera.any():
            continue
        steps = range(plan.frames // 2)
        scene = make_scene(plan, steps, side=64, cell=16)
        grey = (draw_clip(plan, 128).frames[::2] == (72, 74, 80)).all(axis=(1, 3))  # (S, 128)
        for figure, boxes in enumerate(scene.boxes):
            middle = np.nan_to_num(128 * (boxes[:, 0] + boxes[:, 2]) / 2, nan=-9)
            for step in steps:
                near = grey[step, max(round(middle[step]) - 4, 0) : round(middle[step]) + 4]
                if len(near) == 8 and near.all():  # well behind a screen
                    hidden += 1
                    assert not (scene.cells[step] == figure).any()
                elif len(near) == 8 and not near.any():  # well beside it
                    seen.append((scene.cells[step] == figure).any())
    assert hidden > 20
    assert np.mean(seen) > 0.8  # others may show more of themselves in the same cells


def test_splits_and_stages_never_share_a_clip() -> None:
    """Train, val and test, seeds and levels: no two of the words give the same clip."""
    words = [(split, level, seed) for split in ("train", "val", "test")
             for level in ("easy", "standard") for seed in (0, 1, 5, 20_417)
             if split != "test" or not seed]  # fmt: skip
    clips = {}
    for split, level, seed in words:
        for index in range(6):
            plan = plan_clip(index, split=split, level=level, seed=seed)  # type: ignore[arg-type]
            places = b"".join(figure.centres.tobytes() for figure in plan.figures)
            clips[plan.background, places] = (split, level, seed, index)
    assert len(clips) == 6 * len(words)


def test_stages_of_the_embedded_model_have_clips_of_their_own() -> None:
    from stvg.train.recipe import load_recipe

    recipes = [load_recipe(path) for path in sorted(ROOT.glob("recipes/tiny/*.yaml"))]
    tasks = [task for each in recipes for task in (*each.tasks, *each.validation)]
    used = [(task.split, task.level, task.seed) for task in tasks if isinstance(task, Task)]
    assert len(used) == len(tasks) > 5
    assert len(set(used)) == len(used)


def test_numbers_decide_and_nothing_else() -> None:
    maker = Task.of({"kind": "world", "numbered": 0.5}).maker(without_weights(backbone()))
    together = maker.batch([5, 9])
    alone = maker.batch([9])
    assert torch.equal(together.videos[1][0], alone.videos[0][0])
    assert maker.batch([9]).rows.ids.tolist() == alone.rows.ids.tolist()
    assert not torch.equal(together.videos[0][0], together.videos[1][0])


def test_painted_numbers_are_asked_for_and_are_labels() -> None:
    maker = Task.of({"kind": "world", "numbered": 1.0}).maker(without_weights(backbone()))
    batch = maker.batch([0])
    on_objects = {NAMES[place] for place in batch.seen["painted"][0].tolist()}
    for ids, judged in zip(batch.rows.ids, batch.rows.judged, strict=True):
        words = tokenizer().decode(ids[judged]).split()
        assert words[:3] == ["target", "id", ":"]
        assert words[3] in on_objects
        assert words[5:8] == ["time", "range", ":"]


def test_where_nothing_is_painted_no_number_is_a_label() -> None:
    maker = Task.of({"kind": "world"}).maker(without_weights(backbone()))
    assert (maker.batch([0, 1]).seen["painted"] == -1).all()


def test_other_vocabularies_are_refused() -> None:
    from stvg.backbones.qwen import QwenBackbone

    foreign = QwenBackbone(tiny_model(), tiny_tokenizer(), "qwen")
    table = {name: n for name, n in tokenizer().get_vocab().items() if name != "kite"}
    lacking = SimpleNamespace(
        tokenizer=SimpleNamespace(get_vocab=lambda: table), name="mine", layout=backbone().layout
    )
    for queries in (0, 2):
        with pytest.raises(UsageError, match="mine lacks 1 of them, first 'kite'"):
            Task.of({"kind": "world", "queries": queries}).maker(lacking)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="use the task benchmark"):
        Task.of({"kind": "world"}).maker(foreign)
    with pytest.raises(UsageError, match="multiple of 16 pixels"):
        Task.of({"kind": "world", "side": 72}).maker(without_weights(backbone()))
