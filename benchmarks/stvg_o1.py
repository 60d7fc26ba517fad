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

import argparse
import json
import platform
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from stvg.data.world.files import write_world
from stvg.evaluate import evaluate
from stvg.predicting import PredictConfig, Questions, predict
from stvg.train import grpo, sft
from stvg.train.recipe import load_recipe

ROOT = Path(__file__).resolve().parents[1]
COLD, RECIPE = (ROOT / f"recipes/stvg_o1/{name}.yaml" for name in ("world_cold_start", "world"))
SHOWN = ("m_tIoU", "m_vIoU", "gt_vIoU", "vIoU@0.3", "vIoU@0.5")
BOXES = ("tasks.0.method=text_box", "tasks.0.options.grammar=compact", "card.method=text_box",
         "card.options.grammar=compact")  # fmt: skip


@dataclass(frozen=True)
class Arm:
    """A way to go on from a cold start.

    Attributes:
        name: Of the row.
        changes: Of the recipe; None for the cold start itself.
        draft: Whether answers have a draft.
        times: Clips, as a multiple of those of the others.
    """

    name: str
    changes: tuple[str, ...] | None
    draft: bool = True
    times: int = 1

    @property
    def method(self) -> str:
        """Whose answers they are."""
        return "stvg_o1" if self.draft else "text_box"

    @property
    def slug(self) -> str:
        """Name of its folder."""
        return "_".join(self.name.replace(",", "").replace(":", "").split())


ARMS = (
    Arm("cold start", None),
    Arm("right answers only", ("grpo=null",)),
    Arm("right answers only, five times the clips", ("grpo=null",), times=5),
    Arm("GRPO, all rewards", ()),
    Arm("GRPO, no think reward", ("grpo.rewards.think=0",)),
    Arm("GRPO, GIoU without L1", ("grpo.rewards.boxes.l1=false",)),
    Arm("GRPO, hardly any right answers", ("grpo.anchor=0.1",)),
    Arm("no draft: cold start", None, draft=False),
    Arm("no draft: right answers only", ("grpo=null",), draft=False),
    Arm("no draft: GRPO", (), draft=False),
)


def run(folder: Path, arms: tuple[Arm, ...], seeds: int, sizes: dict[str, int]) -> dict[str, Any]:
    """Train and score all arms; what is done already is kept."""
    for split, count in (("train", sizes["train"]), ("test", sizes["test"])):
        if not (folder / split).exists():
            write_world(folder / split, split=split, clips=count)
    rows = []
    for arm in arms:
        for seed in range(1 if arm.changes is None else seeds):
            out = folder / f"{arm.slug}-{seed}"
            if arm.changes is None:
                train(COLD, arm, out, folder, samples=sizes["cold"])
            else:
                start = folder / f"{_cold(arm).slug}-0" / "last"
                more = (
                    f"model={start}",
                    f"seed={seed}",
                    f"tasks.0.seed={10 + seed if seed else 2}",
                )
                train(
                    RECIPE, arm, out, folder, *arm.changes, *more, samples=sizes["arm"] * arm.times
                )
            rows.append({"arm": arm.name, "seed": seed, **score(arm, out, folder / "test"),
                         **_taken(out)})  # fmt: skip
    return {
        "benchmark": "stvg_o1", "machine": platform.processor() or platform.machine(),
        "torch": torch.__version__, "clips": sizes, "rows": rows,
    }  # fmt: skip


def train(recipe: Path, arm: Arm, out: Path, folder: Path, *changes: str, samples: int) -> None:
    """Carry out a recipe; nothing happens where that is done."""
    boxes = () if arm.draft else BOXES
    data = f"tasks.0.annotations={folder / 'train' / 'annotations.json'}"
    loaded = load_recipe(recipe, [f"out={out}", data, f"samples={samples}", *boxes, *changes])
    (sft.train if loaded.grpo is None else grpo.train)(loaded)


def score(arm: Arm, out: Path, test: Path) -> dict[str, float]:
    """Metrics on the test split in percent."""
    annotations, lines = test / "annotations.json", out / "test.jsonl"
    questions = Questions("hcstvg_v2", annotations)
    config = PredictConfig(batch=50, threads=1)
    predict(questions, lines, arm.method, model=str(out / "last"), config=config)
    report = evaluate("hcstvg_v2", annotations, lines, resamples=0)
    return {name: round(100 * report.metrics[name], 2) for name in SHOWN}


def _cold(arm: Arm) -> Arm:
    """The cold start that an arm goes on from."""
    return next(each for each in ARMS if each.changes is None and each.draft == arm.draft)


def _taken(out: Path) -> dict[str, float]:
    """Clips and CPU seconds of a training."""
    last = json.loads((out / "log.jsonl").read_text().splitlines()[-1])
    return {"clips": last["seen"], "cpu_s": last["cpu_s"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=ROOT / "runs/stvg_o1_arms")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.quick:
        with tempfile.TemporaryDirectory() as name:
            sizes = {"train": 12, "test": 8, "cold": 24, "arm": 24}
            result = run(Path(name), (*ARMS[:2], ARMS[3]), 1, sizes)
    else:
        sizes = {"train": 6000, "test": 400, "cold": 4000, "arm": 2400}
        options.folder.mkdir(parents=True, exist_ok=True)
        result = run(options.folder, ARMS, options.seeds, sizes)
    if options.json:
        print(json.dumps(result))
        return
    table = Table("arm", "seed", *SHOWN, "CPU s", title="world, test split", box=None)
    for row in result["rows"]:
        shown = (f"{row[name]:.1f}" for name in SHOWN)
        table.add_row(row["arm"], str(row["seed"]), *shown, f"{row['cpu_s']:.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
