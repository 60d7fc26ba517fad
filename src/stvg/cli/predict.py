"""``stvg predict``: run a method over a benchmark."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from stvg.cli.common import (
    JsonOption,
    QuietOption,
    SetOption,
    ThreadsOption,
    check_outputs,
    note,
    progress_bars,
)
from stvg.cli.data import companion_files, named_inputs
from stvg.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stvg.predicting import Baseline, Questions, Summary

BaselineName = Literal["middle_box", "random_object", "oracle_object"]


def predict(
    benchmark: Annotated[
        str,
        typer.Argument(
            metavar="BENCHMARK",
            help="Name (see `stvg data list`) or file.py:Class.",
            show_default=False,
        ),
    ],
    annotations: Annotated[
        Path, typer.Option("--annotations", "-a", help="The annotation file.", show_default=False)
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            help="Predictions JSONL; continued where it is there.",
            show_default=False,
        ),
    ],
    videos: Annotated[
        Path | None,
        typer.Option(
            help="Folder with the videos or pictures, at any depth.",
            show_default="the one beside the annotations of `stvg world`",
        ),
    ] = None,
    method: Annotated[str | None, typer.Option(help="Name of a method, or file.py:Class.")] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Model or detector: name, path or hub id.", show_default="the method's"),
    ] = None,
    assignments: SetOption = None,
    baseline: Annotated[
        BaselineName | None,
        typer.Option(help="Instead of a method a trivial answer, which knows some of the truth."),
    ] = None,
    targets: Annotated[
        Path | None,
        typer.Option(
            help="middle_box: annotations whose boxes are averaged, normally the training split.",
            show_default="those that are answered",
        ),
    ] = None,
    tracks: Annotated[
        Path | None,
        typer.Option(
            help="random_object, oracle_object: folder of tracks JSON, named as the videos.",
            show_default="the one beside the annotations of `stvg world`",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="random_object: of the choice.")] = 0,
    trajectories: Annotated[
        Path | None,
        typer.Option(help="VidOR annotations, for VidSTG; short for --with trajectories=PATH."),
    ] = None,
    companions: Annotated[
        list[str] | None,
        typer.Option(
            "--with", metavar="NAME=PATH", help="A further file that the benchmark reads."
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Only the first N queries.")] = None,
    shard: Annotated[
        str | None,
        typer.Option(metavar="I/N", help="Every N-th video from the I-th on: 0/4, 1/4, 2/4, 3/4."),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Videos in one call of the model.")] = 1,
    workers: Annotated[
        int,
        typer.Option(
            min=1, help="Threads that read videos ahead; with ray, processes with a model each."
        ),
    ] = 1,
    threads: ThreadsOption = 0,
    engine: Annotated[
        Literal["local", "ray"], typer.Option(help="This machine, or a Ray cluster.")
    ] = "local",
    gpus: Annotated[float, typer.Option(min=0, help="ray: GPUs that each process holds.")] = 0,
    max_errors: Annotated[
        float,
        typer.Option(min=0, max=1, help="Share of the queries that may fail before it stops."),
    ] = 0.1,
    retry_errors: Annotated[
        bool, typer.Option("--retry-errors", help="Ask queries again that failed before.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Throw away the answers of an earlier run.")
    ] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Answer the queries of a benchmark, to be scored by `stvg evaluate`.

    A run that was stopped goes on when it is started again. Exit codes: 0 done, 1 too many queries
    failed, 2 wrong usage.

    Example: `stvg predict hcstvg_v2 -a worlds/test/annotations.json --method track_match --model
    blobs --out preds.jsonl`
    """
    from stvg.predicting import PredictConfig, Questions, predict_baseline
    from stvg.predicting import predict as run

    further = companion_files(companions, trajectories)
    questions = Questions(benchmark, annotations, further, limit, _shard(shard))
    _check_choice(method, baseline, {"--videos": videos, "--model": model, "--set": assignments})
    inputs = {"the annotations": annotations, "the file of --targets": targets,
              "the method's file": _own_file(method), **named_inputs(further)}  # fmt: skip
    _check_outputs(inputs, out)
    config = PredictConfig(
        batch=batch, workers=workers, threads=threads, engine=engine, gpus=gpus,
        max_errors=max_errors, retry_errors=retry_errors, overwrite=overwrite,
    )  # fmt: skip
    with progress_bars(quiet=quiet or as_json) as stages:
        if method is None:
            assert baseline is not None
            trivial = _baseline(baseline, questions, targets, tracks, seed)
            summary = predict_baseline(questions, out, trivial, config=config, stages=stages)
        else:
            summary = run(
                questions, out, method, videos=videos, model=model, options=assignments or [],
                config=config, stages=stages,
            )  # fmt: skip
    _show(summary, as_json=as_json, quiet=quiet)


def _show(summary: Summary, *, as_json: bool, quiet: bool) -> None:
    """One line of JSON on standard output, or lines for people on standard error."""
    if as_json:
        sys.stdout.write(json.dumps(summary.as_json(), ensure_ascii=False) + "\n")
    elif not quiet:
        for line in summary.text():
            note(line)


def _shard(text: str | None) -> tuple[int, int] | None:
    """``I/N`` as numbers; whether they fit is checked later."""
    if text is None:
        return None
    first, slash, second = text.partition("/")
    if not (slash and first.isdecimal() and second.isdecimal()):
        raise UsageError(f"--shard expects I/N, for example 0/4, found {text!r}")
    return int(first), int(second)


def _check_choice(
    method: str | None, baseline: str | None, of_methods: Mapping[str, object]
) -> None:
    """Refuse both or none of method and baseline, and options of the other."""
    if (method is None) == (baseline is None):
        found = "both" if method is not None else "neither"
        raise UsageError(f"expected either --method or --baseline, found {found}")
    given = [name for name, value in of_methods.items() if value]
    if baseline is not None and given:
        raise UsageError(f"{given[0]} is for methods, and --baseline looks at no video")


def _own_file(method: str | None) -> Path | None:
    """The user's file that a method is in."""
    place = (method or "").rpartition(":")[0]
    return Path(place) if place.endswith(".py") else None


def _check_outputs(inputs: Mapping[str, Path | None], out: Path) -> None:
    """Refuse outputs that cannot be written or would replace an input."""
    from stvg.predicting.journal import sidecar_of

    check_outputs(inputs, out=out)
    check_outputs(inputs, out=sidecar_of(out))


def _baseline(
    name: BaselineName, questions: Questions, targets: Path | None, tracks: Path | None, seed: int
) -> Baseline:
    """The baseline of a name."""
    from stvg.predicting.baselines import middle_box, oracle_object, random_object

    if name == "middle_box":
        others = questions if targets is None else questions.of_split(targets)
        source = "these very targets" if targets is None else f"the targets of {targets}"
        return middle_box(others.records(with_truth=True), source)
    folder = tracks or questions.tracks_beside
    if folder is not None and not folder.is_dir():
        raise UsageError(f"--tracks expects a folder of tracks JSON, found none at {folder}")
    if name == "oracle_object":
        return oracle_object(folder)
    if folder is None:
        raise UsageError(
            "random_object needs the tracks of all objects: a folder of `stvg.tracks/1` files, one "
            "a video; name it with --tracks"
        )
    return random_object(folder, seed)
