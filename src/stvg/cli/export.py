"""``stvg export``: answers and tracks in the files of annotation tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stvg.cli.common import QuietOption, check_outputs, note


def export(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="Predictions or tracks, as stvg writes them.", show_default=False
        ),
    ],
    to: Annotated[
        str,
        typer.Option(
            metavar="FORMAT",
            help="coco, coco_video, csv, cvat, labelstudio, mot, or file.py:Class.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="The file to write.", show_default="FILE.FORMAT.suffix")
    ] = None,
    tolerance: Annotated[
        float,
        typer.Option(
            min=0,
            metavar="PX",
            help="How far boxes between keyframes may be off (cvat, labelstudio): more pixels, "
            "fewer keyframes to correct.",
        ),
    ] = 0.01,
    quiet: QuietOption = False,
) -> None:
    """Write answers or tracks for an annotation tool: one track a sentence or object.

    Corrected tubes come back with `stvg data from-cvat` and `stvg data from-labelstudio`.

    Example: `stvg export dog.json --to cvat --tolerance 2`
    """
    from stvg.export.base import find_format
    from stvg.export.objects import read_objects

    chosen = find_format(to)
    ending = chosen.suffix.removeprefix(f".{chosen.name}")  # no answers.csv.csv
    path = out or file.with_name(f"{file.stem}.{chosen.name}{ending}")
    check_outputs({"the input": file}, out=path)
    exported = read_objects(file)
    chosen.write(exported, path, tolerance_px=tolerance)
    if not quiet:
        for sentence in exported.not_found:
            note(f"no track for {sentence!r}: nothing was found")
        count = len(exported.objects)
        note(f"{count} track{'s' * (count != 1)} for {chosen.title}: {path}")
