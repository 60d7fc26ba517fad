"""``stvg tracks``: every object of a video, followed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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

if TYPE_CHECKING:
    from stvg.types import Scene


def tracks(
    video: Annotated[Path, typer.Argument(metavar="VIDEO", help="The video.", show_default=False)],
    out: Annotated[Path | None, typer.Option(help="Write the tracks to this JSON.")] = None,
    detector: Annotated[
        str, typer.Option(help="Name, YOLOX .onnx, or transformers folder or hub id.")
    ] = "yolox_nano",
    classes: Annotated[
        str,
        typer.Option(help='Keep these classes, or look for these words: "dog, red cup".'),
    ] = "",
    threshold: Annotated[float, typer.Option(help="Drop detections below this confidence.")] = 0.1,
    overlay: Annotated[
        Path | None, typer.Option(help="Write the video with the tracks drawn on it (mp4, mov).")
    ] = None,
    assignments: SetOption = None,
    threads: ThreadsOption = 0,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Find and follow all objects of a video.

    Options for `--set` are those of `TrackingConfig`, e.g. `--set fps=10 --set tracker=bytetrack`.

    Example: `stvg tracks dog.mp4 --out tracks.json --overlay tracks.mp4`
    """
    from stvg.formats.tracks import write_tracks
    from stvg.perception.choose import load_detector, only_classes
    from stvg.perception.track import TrackingConfig, perceive

    words = tuple(word.strip() for word in classes.split(",") if word.strip())
    config = TrackingConfig.from_assignments(assignments or [])
    check_outputs({"the video itself": video}, out=out, overlay=overlay)
    with progress_bars(quiet=quiet) as stages:
        loaded = load_detector(
            detector, threshold=threshold, threads=threads, progress=stages("fetching weights")
        )
        if words and loaded.classes is not None:
            loaded = only_classes(loaded, words)
        scene = perceive(
            video, loaded, config, words=words, threads=threads, progress=stages("finding objects")
        )
        if out is not None:
            write_tracks(scene.tracks, out)
        if overlay is not None:
            from stvg.video.overlay import write_tracks_overlay

            write_tracks_overlay(scene.tracks, overlay, progress=stages("drawing the overlay"))
    if as_json:
        print_json(
            [
                {
                    "id": item.track.id,
                    "label": item.track.label,
                    "boxes": len(item.track),
                    "start_s": float(item.track.times_s(scene.video)[0]),
                    "last_s": float(item.track.times_s(scene.video)[-1]),
                    "score": round(float(item.track.scores.mean()), 4),
                }
                for item in scene.objects
            ]
        )
    elif not quiet:
        _show(scene)
        for name, path in (("tracks", out), ("overlay", overlay)):
            if path is not None:
                note(f"{name}: {path}")


def _show(scene: Scene) -> None:
    """A table for people."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("id", "label", "seen", "boxes", "score"):
        table.add_column(column)
    for item in scene.objects:
        times = item.track.times_s(scene.video)
        table.add_row(
            str(item.track.id),
            item.track.label,
            f"{times[0]:.2f} to {times[-1]:.2f} s",
            str(len(item.track)),
            f"{item.track.scores.mean():.2f}",
        )
    console = Console(highlight=False, markup=False)
    console.print(table if scene.objects else f"no objects were found in {scene.video.name}")
