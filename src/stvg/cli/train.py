"""``stvg train``: train a model as a recipe says."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from stvg.cli.common import QuietOption, note, progress_bars


def train(
    recipe: Annotated[
        Path,
        typer.Argument(metavar="RECIPE.yaml", help="A recipe, see `recipes/`.", show_default=False),
    ],
    assignments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="Choices in place of the recipe's: `optimiser.lr=1e-4`, `tasks.0.clips=4`.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show the resolved recipe, sizes and the first batch."),
    ] = False,
    quiet: QuietOption = False,
) -> None:
    """Train a model; a run that was stopped goes on when it is started again.

    The run's folder gets `last` (the newest model, for `--model`), `log.jsonl` and the resolved
    recipe. Several processes: `accelerate launch -m stvg train RECIPE.yaml`.

    Example: `stvg train recipes/tiny/text_box.yaml out=runs/mine samples=1000`
    """
    from stvg.extras import require
    from stvg.train.recipe import load_recipe

    for package in ("torch", "transformers", "accelerate"):
        require(package, "train", "training")
    loaded = load_recipe(recipe, assignments or [])
    from stvg.train import grpo, sft
    from stvg.train.preview import preview

    run = sft.train if loaded.grpo is None else grpo.train

    if dry_run:
        for line in preview(loaded):
            sys.stdout.write(f"{line}\n")
        return
    is_first = os.environ.get("RANK", "0") == "0"  # of several processes one talks
    with progress_bars(quiet=quiet or not is_first) as stages:
        folder = run(loaded, progress=stages("training on clips"))
    if is_first and not quiet:
        note(f"model: {folder}")
        note(f"log: {folder.parent / 'log.jsonl'}")
