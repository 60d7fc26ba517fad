"""Naming painted numbers against writing boxes, with rewards and without: STVG-R1 on the world.

Two cold starts on the same 4,000 clips: one names numbers (`recipes/stvg_r1/world_numbers.yaml`,
which teaches the vision tower to read them, then `world_cold_start.yaml`), one writes boxes, as the
base has learned to. From them every arm goes on for the same 2,400 clips with
`recipes/stvg_r1/world.yaml`, changed as the table says. Scored on the test split of the world,
standard level (protocol `ours`); nothing was chosen on it: rates and anchors are from 300 clips of
the validation split. CPU seconds are those of the training; finding and following the objects of a
clip takes 0.12 more, once.

Beside the rows: the ceiling that the front end sets (right number, true interval), and the share of
answers that name the right number.

Run:  python benchmarks/stvg_r1.py [--quick] [--json] [--seeds 3] [--folder runs/stvg_r1_arms]
Takes two hours on one core with 3 seeds; what is done is kept in the folder, so it can be stopped
and started. --quick: three arms of a few clips, to see that everything runs (its scores mean
nothing); leaves nothing behind.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from _arms import Arm, main

from stvg.perception.benchmark import number_benchmark
from stvg.perception.prepared import FrontEnd, TracksCache
from stvg.text.numbered.grammars.r1_compact import name_of

NUMBERS, COLD, BOXES_COLD = "reading numbers", "numbers: cold start", "boxes: cold start"
RECIPE = "stvg_r1/world"
OPTIONS = (
    "{grammar: compact, frames: 16, side: 64, query_first: true, even_steps: true, "
    "max_new_tokens: 96}"
)
BOXES = ("tasks.0.method=text_box", f"tasks.0.options={OPTIONS}", "card.method=text_box",
         f"card.options={OPTIONS}")  # fmt: skip


def _named(name: str, *changes: str) -> Arm:
    return Arm(f"numbers: {name}", "stvg_r1", RECIPE, changes, COLD)


def _written(name: str, *changes: str) -> Arm:
    return Arm(f"boxes: {name}", "text_box", RECIPE, (*BOXES, *changes), BOXES_COLD)


ARMS = (
    Arm(NUMBERS, None, "stvg_r1/world_numbers", repeats=False),
    Arm(COLD, "stvg_r1", "stvg_r1/world_cold_start", start=NUMBERS, repeats=False),
    _named("right answers only", "grpo=null"),
    _named("GRPO"),
    _named("GRPO, hardly any right answers", "grpo.anchor=0.1"),
    _named(
        "GRPO, overlap in place of the number",
        "grpo.rewards.number=0",
        "grpo.rewards.marked_overlap=1",
    ),
    Arm(BOXES_COLD, "text_box", "stvg_r1/world_cold_start", BOXES, "tiny/base", repeats=False),
    _written("right answers only", "grpo=null"),
    _written("GRPO", "grpo.rewards={}"),
    Arm("tiny", "stvg_r1", "stvg_r1/tiny", start=NUMBERS, repeats=False),
)


def add_numbers(root: Path, result: dict[str, Any]) -> None:
    """Add the ceiling of the front end, and the share of right numbers to the rows."""
    annotations, videos = root / "test" / "annotations.json", root / "test" / "videos"
    front_end = FrontEnd("figures", (), 0.25)
    found = number_benchmark("hcstvg_v2", annotations, videos, front_end, TracksCache())
    result["ceiling"] = round(100 * found.coverage.ceiling, 2)
    for row in result["rows"]:
        arm = next(each for each in ARMS if each.name == row["arm"])
        if arm.method == "stvg_r1":
            lines = (arm.folder(root, row["seed"]) / "test.jsonl").read_text().splitlines()
            answers = {line["id"]: line["answer"] for line in map(json.loads, lines)}
            right = sum(
                match.id is not None and f"id : {name_of(match.id)} ," in (answers[name] or "")
                for name, match in found.matches.items()
            )
            row["right_number"] = round(100 * right / len(found.matches), 2)


if __name__ == "__main__":
    main("stvg_r1", "STVG-R1 on the world", ARMS, (NUMBERS, COLD, "numbers: GRPO"), add_numbers)
