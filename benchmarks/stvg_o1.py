"""What rewards teach the embedded model, beside right answers alone: STVG-o1 on the world.

From one cold start (`recipes/stvg_o1/world_cold_start.yaml`, 4,000 clips) every arm goes on for the
same 2,400 clips with `recipes/stvg_o1/world.yaml`, changed as the table says (right answers five
times as long, too, about the CPU seconds of rewards); "no draft" starts from a cold start of
`text_box` on as many clips. Scored on the test split of the world, standard
level (protocol `ours`); nothing was chosen on it: rate and anchor are from 300 clips of the
validation split. CPU seconds are those of the training.

The consistency reward has no arm: answers follow the grammar, so it is 1 for every one of them and
cancels in its group.

Run:  python benchmarks/stvg_o1.py [--quick] [--json] [--seeds 3] [--folder runs/stvg_o1_arms]
Takes two and a half hours on one core with 3 seeds; what is done is kept in the folder, so it can
be stopped and started. --quick: two arms of a few clips, to see that everything runs (its scores
mean nothing); leaves nothing behind.
"""

from __future__ import annotations

from _arms import TEXT_BOX, Arm, main

COLD, PLAIN = "cold start", "no draft: cold start"
RECIPE = "stvg_o1/world"


def _goes_on(name: str, *changes: str, samples: int | None = None) -> Arm:
    return Arm(name, "stvg_o1", RECIPE, changes, COLD, samples)


def _without_draft(name: str, *changes: str) -> Arm:
    return Arm(name, "text_box", RECIPE, (*TEXT_BOX, *changes), PLAIN)


ARMS = (
    Arm(COLD, "stvg_o1", "stvg_o1/world_cold_start", repeats=False),
    _goes_on("right answers only", "grpo=null"),
    _goes_on("right answers only, five times the clips", "grpo=null", samples=12_000),
    _goes_on("GRPO, all rewards"),
    _goes_on("GRPO, no think reward", "grpo.rewards.think=0"),
    _goes_on("GRPO, GIoU without L1", "grpo.rewards.boxes.l1=false"),
    _goes_on("GRPO, hardly any right answers", "grpo.anchor=0.1"),
    Arm(PLAIN, "text_box", "stvg_o1/world_cold_start", TEXT_BOX, repeats=False),
    _without_draft("no draft: right answers only", "grpo=null"),
    _without_draft("no draft: GRPO"),
)

if __name__ == "__main__":
    main("stvg_o1", "STVG-o1 on the world", ARMS, (COLD, "right answers only", "GRPO, all rewards"))
