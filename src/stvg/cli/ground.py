"""``stvg ground``: a video and sentences in, tubes out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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

if TYPE_CHECKING:
    from stvg.types import Prediction


def ground(
    video: Annotated[Path, typer.Argument(metavar="VIDEO", help="The video.", show_default=False)],
    query: Annotated[
        list[str] | None,
        typer.Argument(metavar="QUERY", help="One sentence or several.", show_default=False),
    ] = None,
    queries: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Text file with a sentence on each line.")
    ] = None,
    method: Annotated[str, typer.Option(help="Name of a method, or file.py:Class.")] = ("text_box"),
    model: Annotated[
        str | None,
        typer.Option(
            help="Model or detector: name, path or hub id; tiny is the embedded model.",
            show_default="the method's",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the prediction to this JSON.")] = None,
    overlay: Annotated[
        Path | None, typer.Option(help="Write the video with the tube drawn on it (mp4, mov).")
    ] = None,
    sheet: Annotated[
        Path | None, typer.Option(help="Write a picture with a few frames of the answer (png).")
    ] = None,
    assignments: SetOption = None,
    threads: ThreadsOption = 0,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Find when and where a sentence happens in a video.

    Several sentences on one video cost little more than one: the video is looked at once.

    Without --method and --model the embedded model answers, which knows the procedural world only.

    Example: `stvg ground dog.mp4 "the dog" "the woman" --method track_match --overlay tubes.mp4`
    """
    from stvg.formats.prediction import write_prediction, write_predictions
    from stvg.grounding import ground as find

    sentences = _sentences(query or [], queries)
    inputs = {"the video itself": video, "the file with the sentences": queries}
    check_outputs(inputs, out=out, overlay=overlay, sheet=sheet)
    with progress_bars(quiet=quiet) as stages:
        predictions = find(
            video,
            sentences,
            method=method,
            model=model,
            options=assignments or [],
            threads=threads,
            stages=stages,
        )
        if out is not None:
            if len(predictions) == 1:
                write_prediction(predictions[0], out)
            else:
                write_predictions(predictions, out)
        if overlay is not None or sheet is not None:
            from stvg.video.overlay import contact_sheet, write_overlay

            if overlay is not None:
                write_overlay(predictions, overlay, progress=stages("drawing the overlay"))
            if sheet is not None:
                contact_sheet(predictions, sheet)
    if as_json:
        print_json([summary(prediction) for prediction in predictions])
    elif not quiet:
        _show(predictions)
        for name, path in (("prediction", out), ("overlay", overlay), ("sheet", sheet)):
            if path is not None:
                note(f"{name}: {path}")


def _sentences(query: Sequence[str], file: Path | None) -> list[str]:
    """Sentences of the command line, then those of the file; blank lines are left out."""
    sentences = list(query)
    if file is not None:
        try:
            lines = file.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(
                f"expected a UTF-8 text file with a sentence on each line, {file} cannot be read: "
                f"{error}"
            ) from error
        found = [line.strip() for line in lines if line.strip()]
        if not found:
            raise UsageError(f"expected a sentence on each line of {file}, found none")
        sentences += found
    if not sentences:
        raise UsageError(
            'no sentence was given; name one after the video, e.g. "the dog", or a file with '
            "--queries"
        )
    return sentences


def summary(prediction: Prediction) -> dict[str, Any]:
    """A prediction in one small JSON object, without its boxes."""
    tube = prediction.tube
    return {
        "query": prediction.query.text,
        "start_s": tube.interval.start_s if tube else None,
        "end_s": tube.interval.end_s if tube else None,
        "boxes": len(tube) if tube else 0,
        "score": prediction.score,
        "method": prediction.method,
        "model": prediction.model,
        "details": prediction.details,
        "timing_s": dict(prediction.timing_s),
        "warnings": list(prediction.warnings),
    }


def _show(predictions: Sequence[Prediction]) -> None:
    """A table for people: when, how sure, why."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("query", "when", "score", "boxes", "why"):
        table.add_column(column, overflow="fold")
    for prediction in predictions:
        tube = prediction.tube
        when = (
            f"{tube.interval.start_s:.2f} to {tube.interval.end_s:.2f} s" if tube else "not found"
        )
        cues = (prediction.details or {}).get("cues", {})
        why = [", ".join(f"{name} {value:.2f}" for name, value in cues.items())]
        score = "" if prediction.score is None else f"{prediction.score:.2f}"
        table.add_row(
            prediction.query.text,
            when,
            score,
            str(len(tube)) if tube else "",
            "\n".join([*(text for text in why if text), *prediction.warnings]),
        )
    Console(highlight=False, markup=False).print(table)
