"""Training compared on the world: arms that go on from each other, scored on its test split.

What the scripts of methods share (`stvg_o1.py`, `stvg_r1.py`). What is done is kept in a folder, so
a comparison can be stopped and started, and arms added to it.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from rich.console import Console
from rich.table import Table

from stvg.data.world.files import write_world
from stvg.evaluate import evaluate
from stvg.predicting import PredictConfig, Questions, predict
from stvg.train import grpo, sft
from stvg.train.recipe import load_recipe

ROOT = Path(__file__).resolve().parents[1]
SHOWN = ("m_tIoU", "m_vIoU", "gt_vIoU", "vIoU@0.3", "vIoU@0.5", "vIoU@0.7")
TEXT_BOX = ("tasks.0.method=text_box", "tasks.0.options.grammar=compact", "card.method=text_box",
            "card.options.grammar=compact")  # fmt: skip
"""Changes that make a recipe's method, named in its first task, the one that writes boxes."""
QUICK = {"train": 12, "test": 8, "samples": 24}


@dataclass(frozen=True)
class Arm:
    """A training.

    Attributes:
        name: Of the row.
        method: Whose answers are scored; None for a stage that others start from.
        recipe: Its recipe in `recipes/`, without the ending; None for a model as it is.
        changes: Of the recipe.
        start: Name of the arm whose model it goes on from, or of a model; None for what the recipe
            says.
        samples: Clips; None for as many as the recipe says.
        repeats: Whether it is trained once a seed.
    """

    name: str
    method: str | None
    recipe: str | None
    changes: tuple[str, ...] = ()
    start: str | None = None
    samples: int | None = None
    repeats: bool = True

    def folder(self, root: Path, seed: int) -> Path:
        """Where it is trained."""
        slug = "_".join(self.name.translate(str.maketrans("", "", ",:()")).split())
        return root / f"{slug}-{seed}"


def run(root: Path, arms: Sequence[Arm], seeds: int, sizes: Mapping[str, int]) -> dict[str, Any]:
    """Train and score all arms; what is done already is kept.

    Args:
        root: Folder of clips, models and predictions.
        arms: In an order in which each stands behind the one that it starts from.
        seeds: How often those that repeat are trained.
        sizes: Clips of the splits ``train`` and ``test``, and ``samples`` of every training where
            they are not the recipes' own.
    """
    for split in ("train", "test"):
        if not (root / split).exists():
            write_world(root / split, split=split, clips=sizes[split])
    rows = []
    for arm in arms:
        for seed in range(seeds if arm.repeats else 1):
            out = arm.folder(root, seed)
            taken = {} if arm.recipe is None else train(arm, seed, root, sizes.get("samples"))
            if arm.method is not None:
                model = str(arm.start if arm.recipe is None else out / "last")
                scores = score(arm.method, model, out, root / "test")
                rows.append({"arm": arm.name, "seed": seed, **scores, **taken})
    return {
        "machine": platform.processor() or platform.machine(), "torch": torch.__version__,
        "clips": dict(sizes), "rows": rows,
    }  # fmt: skip


def train(arm: Arm, seed: int, root: Path, samples: int | None) -> dict[str, float]:
    """Carry out an arm's recipe, where that is not done; its clips and CPU seconds."""
    path, out = ROOT / f"recipes/{arm.recipe}.yaml", arm.folder(root, seed)
    content = yaml.safe_load(path.read_text())
    changes = [f"out={out}", f"samples={samples or arm.samples or content['samples']}"]
    for place, task in enumerate(content["tasks"]):
        if task["kind"] == "benchmark":
            changes.append(f"tasks.{place}.annotations={root / 'train' / 'annotations.json'}")
        if seed:
            changes.append(f"tasks.{place}.seed={task['seed'] + 100 * seed}")
    if arm.start is not None:
        started = Arm(arm.start, None, None).folder(root, 0) / "last"
        changes.append(f"model={started if started.exists() else arm.start}")
    recipe = load_recipe(path, [*changes, f"seed={seed}", *arm.changes])
    (sft.train if recipe.grpo is None else grpo.train)(recipe)
    last = json.loads((out / "log.jsonl").read_text().splitlines()[-1])
    return {"clips": last["seen"], "cpu_s": last["cpu_s"]}


def score(method: str, model: str, out: Path, test: Path) -> dict[str, float]:
    """Metrics on the test split in percent."""
    out.mkdir(parents=True, exist_ok=True)
    annotations, lines = test / "annotations.json", out / "test.jsonl"
    config = PredictConfig(batch=50, threads=1)
    predict(Questions("hcstvg_v2", annotations), lines, method, model=model, config=config)
    report = evaluate("hcstvg_v2", annotations, lines, resamples=0)
    return {name: round(100 * report.metrics[name], 2) for name in SHOWN}


def main(
    name: str,
    about: str,
    arms: Sequence[Arm],
    quick: Sequence[str],
    finish: Callable[[Path, dict[str, Any]], None] | None = None,
) -> None:
    """The command line of a comparison.

    Args:
        name: Of the script.
        about: What it does, a line.
        arms: All of them.
        quick: Names of those that ``--quick`` runs.
        finish: Adds to the result of a folder.
    """
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=ROOT / "runs" / f"{name}_arms")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with ExitStack() as stack:
        if options.quick:
            root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            found = run(root, [arm for arm in arms if arm.name in quick], 1, QUICK)
        else:
            root = options.folder
            root.mkdir(parents=True, exist_ok=True)
            found = run(root, arms, options.seeds, {"train": 6000, "test": 400})
        result = {"benchmark": name, **found}
        if finish is not None:
            finish(root, result)
    if options.json:
        print(json.dumps(result))
        return
    table = Table("arm", "seed", *SHOWN, "CPU s", title="world, test split", box=None)
    for row in result["rows"]:
        shown = (f"{row[metric]:.1f}" for metric in SHOWN)
        table.add_row(row["arm"], str(row["seed"]), *shown, f"{row.get('cpu_s', 0):.0f}")
    Console().print(table)
