"""``stvg world``: write a split of the procedural world."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from stvg.cli.common import QuietOption, note, progress_bars


def world(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A new folder.", show_default=False)
    ],
    split: Annotated[
        Literal["train", "val", "test"], typer.Option(help="Which part; test is fixed.")
    ] = "test",
    clips: Annotated[int, typer.Option(help="How many clips.")] = 400,
    seed: Annotated[int, typer.Option(help="Another seed, other clips; not for test.")] = 0,
    level: Annotated[
        Literal["easy", "standard", "hard"], typer.Option(help="How hard the clips are.")
    ] = "standard",
    side: Annotated[int, typer.Option(help="Width and height in pixels.")] = 256,
    quiet: QuietOption = False,
) -> None:
    """Write short clips of moving figures with exact tubes, masks and sentences.

    The folder reads as a benchmark: `annotations.json` has the schema of HC-STVG v2.

    Example: `stvg world worlds/test --split test --clips 400`
    """
    from stvg.data.world.files import write_world

    with progress_bars(quiet=quiet) as stages:
        write_world(
            folder,
            split=split,
            clips=clips,
            seed=seed,
            level=level,
            side=side,
            progress=stages("drawing clips"),
        )
    if not quiet:
        note(f"{clips} clip{'s' * (clips != 1)}: {folder}")
