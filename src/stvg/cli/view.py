"""``stvg view``: predictions as a page to look at, compare and correct."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stvg.cli.common import QuietOption, check_outputs, note, progress_bars


def view(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="PREDICTION...",
            help="Predictions on one video; several files or methods are shown side by side.",
            show_default=False,
        ),
    ],
    video: Annotated[
        Path | None,
        typer.Option(help="The video.", show_default="where the predictions say, or beside them"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The page to write.", show_default="PREDICTION.html")
    ] = None,
    link: Annotated[
        bool,
        typer.Option(
            "--link", help="Refer to the video instead of putting it into the page; for large ones."
        ),
    ] = False,
    quiet: QuietOption = False,
) -> None:
    """Write answers and their video as one HTML file, which any browser opens without a server.

    The page plays the video with the boxes on it. Intervals and boxes can be corrected there and
    saved as predictions again.

    Example: `stvg view dog.json dog_by_text_box.json --video dog.mp4 --out dog.html`
    """
    from stvg.view.page import write_view

    path = out or files[0].with_suffix(".html")
    check_outputs(
        {**{f"the predictions {file}": file for file in files}, "the video": video}, out=path
    )
    with progress_bars(quiet=quiet) as stages:
        write_view(files, path, video=video, link=link, stages=stages)
    if not quiet:
        note(f"page: {path}")
