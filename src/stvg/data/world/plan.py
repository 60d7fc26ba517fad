"""Planning a clip from the words ``split/seed/level/index`` alone."""

from __future__ import annotations

import random

import numpy as np

from stvg.data.world.acting import make_figure
from stvg.data.world.draw import BACKGROUNDS
from stvg.data.world.parts import LEVELS, UNITS, ClipPlan, Figure, Level, LevelName, Split
from stvg.data.world.sentences import MOST_HIDDEN, hidden_share, is_in_view, sentences_of
from stvg.errors import UsageError

TEST_SEED = 20_417
"""Seed of the test split; used for nothing else, and never changed."""


def plan_clip(
    index: int, *, split: Split = "train", level: LevelName = "standard", seed: int = 0
) -> ClipPlan:
    """Plan clip ``index`` of a split; it has at least one sentence.

    Args:
        index: Number of the clip, from 0.
        split: ``train``, ``val`` or ``test``; the test split ignores ``seed``.
        level: One of :data:`LEVELS`.
        seed: Another seed, other clips.

    Raises:
        UsageError: If split or level are unknown.
    """
    if split not in ("train", "val", "test") or level not in LEVELS:
        raise UsageError(
            f"expected a split train, val or test and a level {', '.join(LEVELS)}, found "
            f"{split!r} and {level!r}"
        )
    chosen = TEST_SEED if split == "test" else seed
    dice = random.Random(f"{split}/{chosen}/{level}/{index}")  # noqa: S311
    while True:
        plan = _try_plan(dice, LEVELS[level])
        if plan.sentences:
            return plan


def _try_plan(dice: random.Random, level: Level) -> ClipPlan:
    figures: list[Figure] = []
    for _ in range(dice.randint(*level.objects)):
        figures.append(make_figure(dice, level, figures))
    screens = []
    for _ in range(dice.randint(0, level.screens)):
        left = dice.uniform(8, UNITS - 16)
        screens.append((left, left + dice.uniform(4, 7)))
    camera = np.zeros((level.frames, 2))
    if level.pan:
        speed = np.array([dice.uniform(-level.pan, level.pan), 0.0])
        middle = (level.frames - 1) / 2
        camera = (np.arange(level.frames)[:, None] - middle) * speed
    background = (dice.randrange(BACKGROUNDS), dice.randrange(UNITS), dice.randrange(UNITS))
    sentences = tuple(
        sentence
        for sentence in sentences_of(dice, figures)
        if is_in_view(sentence, figures, camera)
        and hidden_share(sentence, figures, screens) <= MOST_HIDDEN
    )
    return ClipPlan(level.frames, tuple(figures), tuple(screens), camera, background, sentences)
