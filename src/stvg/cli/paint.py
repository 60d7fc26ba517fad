"""``stvg paint``: every object of a video gets a number that stays with it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stvg.cli.common import (
    JsonOption,
    QuietOption,
    SetOption,
    ThreadsOption,
    check_outputs,
    note,
    print_json,
    progress_bars,
)
from stvg.errors import UsageError


def paint(
    video: Annotated[Path, typer.Argument(metavar="VIDEO", help="The video.", show_default=False)],
    out: Annotated[
        Path, typer.Option(help="Write the painted video (mp4, mov).", show_default=False)
    ],
    tracks: Annotated[
        Path | None, typer.Option(help="Paint these tracks instead of finding objects.")
    ] = None,
    sheet: Annotated[Path | None, typer.Option(help="Write six of its frames (png).")] = None,
    table: Annotated[
        Path | None, typer.Option(help="Write which number is where to this tracks JSON.")
    ] = None,
    model_side: Annotated[
        int, typer.Option(help="Longer side in pixels at which a model will look.")
    ] = 336,
    smallest: Annotated[
        float,
        typer.Option(help="No number below this share of the largest of its class; paper: 0.33."),
    ] = 0.0,
    detector: Annotated[
        str, typer.Option(help="Name, YOLOX .onnx, or transformers folder or hub id.")
    ] = "yolox_nano",
    classes: Annotated[
        str,
        typer.Option(help='Keep these classes, or look for these words: "dog, red cup".'),
    ] = "",
    threshold: Annotated[float, typer.Option(help="Drop detections below this confidence.")] = 0.1,
    assignments: SetOption = None,
    threads: ThreadsOption = 0,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Paint a number on every object of a video.

    Options for `--set` are those of `NumberingConfig`, e.g. `--set fps=10 --set most=12`.

    Example: `stvg paint dog.mp4 --out painted.mp4 --sheet painted.png --table numbers.json`
    """
    from stvg.formats.tracks import read_tracks, write_tracks
    from stvg.perception.numbering import NumberingConfig, without_small
    from stvg.perception.painted_film import require_tracks_of, write_painted
    from stvg.perception.painting import PaintStyle
    from stvg.perception.prepared import FrontEnd
    from stvg.video import probe
    from stvg.video.writer import MUXERS

    if out.suffix.lower() not in MUXERS:
        raise UsageError(f"--out is written as {' or '.join(MUXERS)}, found {out.name!r}")
    style = PaintStyle(height=PaintStyle.height_for_model(model_side))
    words = tuple(word.strip() for word in classes.split(",") if word.strip())
    config = NumberingConfig.from_assignments(assignments or [])
    inputs = {"the video itself": video, "the tracks": tracks}
    check_outputs(inputs, out=out, sheet=sheet, table=table)
    with progress_bars(quiet=quiet) as stages:
        if tracks is not None:
            found = read_tracks(tracks)
            require_tracks_of(found, probe(video))
        else:
            front_end = FrontEnd(detector, words, threshold, config, threads)
            found = front_end.number(video, stages=stages)
        painted = without_small(found, smallest)
        write_painted(video, painted, out, style=style, sheet=sheet, progress=stages("painting"))
        if table is not None:
            write_tracks(found, table)
    if as_json:
        print_json(
            [
                {"number": track.id, "label": track.label, "boxes": len(track)}
                for track in found.tracks
            ]
        )
    elif not quiet:
        count = len(found)
        what = f"{count} object{'s' * (count != 1)}" if count else "no objects: a plain copy"
        note(f"painted {what}: {out}")
        for name, path in (("sheet", sheet), ("table", table)):
            if path is not None:
                note(f"{name}: {path}")
