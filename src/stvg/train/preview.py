"""What a recipe would do, without doing it: sizes, steps, and the first batch in words."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from stvg.train.batches import StepsOf
from stvg.train.recipe import Recipe, titles_of
from stvg.train.rollouts import mix_of
from stvg.train.rows import Batch
from stvg.train.running import make_makers, precision_of
from stvg.train.starting import load_learner
from stvg.train.state import find_state

_ROWS = 4  # of the first batch that are shown


def preview(recipe: Recipe) -> Iterator[str]:
    """Lines on a recipe: all choices, parameters, samples and steps, the first batch in words.

    Raises:
        StvgError: As training would before its first step.
    """
    yield recipe.to_yaml().rstrip()
    found = find_state(recipe)
    learner = load_learner(recipe, precision=precision_of(recipe))
    yield ""
    yield f"parameters: {learner.trained:,} trained, {learner.frozen:,} frozen"
    yield f"samples: {recipe.end:,} clips in {_steps(recipe):,} steps or a few more or less"
    if found is not None:
        yield f"a run in {recipe.out} goes on from step {found['state']['step']:,}"
    makers, _ = make_makers(recipe, learner, 1)
    titles = titles_of(recipe.tasks)
    for title, maker in zip(titles, makers, strict=True):
        if maker.size is not None:
            yield f"{title}: {maker.size:,} clips, {len(maker.broken):,} unusable"
        if recipe.grpo is not None:
            mix = mix_of(maker, recipe.grpo)
            low, high = mix.bounds
            rewards = ", ".join(f"{weight:g} {name}" for name, weight in mix.weights.items())
            yield f"{title}: {recipe.grpo.group} answers to each query, worth {low:g} to {high:g}:"
            yield f"  {rewards}"
    first = StepsOf(recipe, makers, 0, 1)[0]
    yield f"first batch, of {titles[first.task]}:"
    yield from _in_words(first.parts[0], learner.backbone.tokenizer)


def _steps(recipe: Recipe) -> int:
    """About how many steps a run has."""
    weights = sum(task.weight for task in recipe.tasks)
    clips = sum(task.clips * task.weight / weights for task in recipe.tasks)
    return max(round(recipe.end / clips), 1)


def _in_words(batch: Batch, tokenizer: Any) -> Iterator[str]:
    """Sizes of a batch, and its first rows as text."""
    grids = [grid for _, grid in batch.videos]
    queries = 0 if batch.rows is None else len(batch.rows.ids)
    yield f"  {len(grids)} clips, {queries} queries, {batch.counts['answer']} tokens of answers"
    for grid, group in itertools.groupby(sorted(grids)):
        yield f"  {len(list(group))} clips of {grid[0]} steps of {grid[1]} x {grid[2]} patches"
    for name, why in batch.broken.items():
        yield f"  left out: {name}: {why}"
    if batch.rows is None:
        return
    rows = batch.rows
    for number in range(min(queries, _ROWS)):
        judged, shown = rows.judged[number], rows.shown[number]
        first, end = int(shown.nonzero()[0]), int(shown.nonzero()[-1]) + 1
        start = int(judged.nonzero()[0])
        stop = int(judged.nonzero()[-1]) + 1
        ids = rows.ids[number].tolist()
        before, after, answer = (
            tokenizer.decode(part) for part in (ids[:first], ids[end:start], ids[start:stop])
        )
        yield f"  {before!r} + {int(shown.sum())} visual tokens + {after!r}"
        yield f"    -> {answer!r}"
