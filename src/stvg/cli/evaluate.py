"""``stvg evaluate``: score a prediction file under one, several or all protocols."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stvg.cli.common import (
    JsonOption,
    QuietOption,
    check_outputs,
    note,
    print_json,
    progress_bars,
)
from stvg.cli.data import companion_files, named_inputs
from stvg.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.table import Table

    from stvg.evaluate.compare import Comparison
    from stvg.evaluate.report import Part, Report, Result


def evaluate(
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
    predictions: Annotated[
        Path,
        typer.Option("--predictions", "-p", help="Predictions JSONL.", show_default=False),
    ],
    protocol: Annotated[
        str, typer.Option(help="Name, several with commas, or `all`; see docs/evaluate.md.")
    ] = "ours",
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop where the protocol's official code stops.")
    ] = False,
    fill: Annotated[
        str, typer.Option(help="Between answered boxes: `none` (counts 0), `linear` or `hold`.")
    ] = "none",
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
    against: Annotated[
        Path | None, typer.Option(help="Other predictions: paired differences to these.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write everything, per query too, to this JSON.")
    ] = None,
    per_query: Annotated[
        Path | None, typer.Option(help="Write values by query to this .csv or .parquet.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write a page with plots: FILE.html or a folder.")
    ] = None,
    videos: Annotated[
        Path | None, typer.Option(help="Folder with the videos, for pictures in the report.")
    ] = None,
    resamples: Annotated[
        int, typer.Option(min=0, help="Draws for the confidence intervals, 0 for none.")
    ] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of these draws.")] = 0,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Score predictions; one table a protocol, in percent.

    Example: `stvg evaluate vidstg -a test_annotations.json --trajectories vidor -p mine.jsonl
    --protocol stcat,tubedetr --out metrics.json`
    """
    from stvg.evaluate.compare import compare
    from stvg.evaluate.files import table_suffix
    from stvg.evaluate.runner import load_truth, score_file

    further = companion_files(companions, trajectories)
    page = None if report is None else _page_of(report)
    inputs = {
        "the annotations": annotations,
        "the predictions": predictions,
        "the file of --against": against,
        **named_inputs(further),
    }
    check_outputs(inputs, out=out, per_query=per_query, report=page)
    if per_query is not None:
        table_suffix(per_query)
    if videos is not None and not videos.is_dir():
        raise UsageError(f"--videos expects a folder with the video files, found none at {videos}")
    options = {"protocol": protocol, "strict": strict, "fill": _fill_of(fill),
               "resamples": resamples, "seed": seed}  # fmt: skip
    with progress_bars(quiet=quiet or as_json) as stages:
        truth = load_truth(benchmark, annotations, further)
        found = score_file(truth, predictions, progress=stages("scoring"), **options)  # type: ignore[arg-type]
        other = None
        comparisons: Mapping[str, Comparison] = {}
        if against is not None:
            other = score_file(truth, against, progress=stages("scoring the other"), **options)  # type: ignore[arg-type]
            comparisons = compare(other, found, resamples=max(resamples, 1), seed=seed)
        _write(found, comparisons, out, per_query)
        if page is not None:
            from stvg.evaluate.page import write_page

            write_page(found, truth, predictions, page, videos=videos, comparisons=comparisons)
    if as_json:
        document = found.as_json(with_queries=False)
        if comparisons:
            document["against"] = {name: each.as_json() for name, each in comparisons.items()}
        print_json(document)
        return
    _show(found, other, comparisons, against)
    if not quiet:
        for name, path in (("metrics", out), ("per query", per_query), ("report", page)):
            if path is not None:
                note(f"{name}: {path}")


def _page_of(report: Path) -> Path:
    """The file of the page: ``report`` itself, or ``index.html`` in a folder that is made."""
    if report.suffix.lower() in {".html", ".htm"}:
        return report
    if report.is_file():
        raise UsageError(f"--report expects a folder or FILE.html, found the file {report}")
    report.mkdir(parents=True, exist_ok=True)
    return report / "index.html"


def _fill_of(fill: str) -> str:
    """A checked way of filling."""
    if fill not in {"none", "linear", "hold"}:
        raise UsageError(f"--fill expects none, linear or hold, found {fill!r}")
    return fill


def _write(
    found: Report,
    comparisons: Mapping[str, Comparison],
    out: Path | None,
    per_query: Path | None,
) -> None:
    """Write the files that were asked for."""
    from stvg.evaluate.files import write_metrics, write_per_query

    if out is not None:
        write_metrics(found, comparisons, out)
    if per_query is not None:
        write_per_query(found, per_query)


def _show(
    found: Report,
    other: Report | None,
    comparisons: Mapping[str, Comparison],
    against: Path | None,
) -> None:
    """Tables and notes for people."""
    from rich.console import Console

    console = Console(highlight=False, markup=False, soft_wrap=True)
    for line in _head(found):
        console.print(line)
    for result in found.results.values():
        console.print()
        console.print(_title(found, result))
        console.print(_table(result))
    for name, comparison in comparisons.items():
        console.print()
        console.print(
            f"{name}: this file minus {against}, {comparison.queries:,} queries in both, "
            f"percentage points with 95 % interval (thresholds {comparison.rule})"
        )
        console.print(_difference_table(comparison))
        console.print(_changed(comparison))
    if other is not None and other.forgiven.entries:
        console.print(f"forgiven in {against}:")
        for line in other.forgiven.lines():
            console.print(f"  {line}")


def _head(found: Report) -> Iterator[str]:
    """What was scored, what failed, what was forgiven."""
    yield (
        f"{found.benchmark}: {found.queries:,} queries, {found.answered:,} answered, "
        f"{sum(map(len, found.failures.values())):,} failed, {len(found.missing):,} without a "
        f"line, {len(found.nothing_found):,} nothing found"
    )
    for name, ids in sorted(found.failures.items(), key=lambda item: -len(item[1])):
        yield f"  failed {len(ids):,} x {name}: {_few(ids)}"
    if found.missing:
        yield f"  without a line: {_few(found.missing)}"
    if found.nothing_found:
        yield f"  nothing found: {_few(found.nothing_found)}"
    for line in found.forgiven.lines():
        yield f"  forgiven {line}"


def _few(ids: tuple[str, ...], most: int = 3) -> str:
    """The first ids of several."""
    return ", ".join(ids[:most]) + (", ..." if len(ids) > most else "")


def _title(found: Report, result: Result) -> str:
    """Protocol, number of queries, rule."""
    protocol = result.protocol
    kind = "strict, value > threshold" if protocol.strict else "non-strict, value >= threshold"
    rule = f"; thresholds {kind}" if protocol.thresholds else ""
    left_out = f", {result.left_out:,} left out of the mean" if result.left_out else ""
    failed = sum(map(len, found.failures.values()))
    return (
        f"protocol {protocol.name} ({protocol.source}): {result.parts[0].queries:,} queries, "
        f"{failed:,} failed{left_out}; percent{rule}"
    )


SHOWN_MOMENTS = ("R1@0.5", "R1@0.7", "mAP", "mAP@0.5", "mAP@0.75")


def _is_shown(name: str) -> bool:
    """Whether a metric goes into the table; QVHighlights has too many."""
    if not name.startswith("MR-"):
        return True
    _, part, metric = name.split("-", 2)
    return metric in SHOWN_MOMENTS if part == "full" else metric == "mAP"


def _table(result: Result) -> Table:
    """Metrics as rows, all queries and splits as columns."""
    from rich.table import Table

    whole, splits = result.parts[0], result.parts[1:]
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("metric", no_wrap=True)
    table.add_column(whole.name, justify="right", no_wrap=True)
    if whole.intervals:
        table.add_column("95 % interval", justify="right", no_wrap=True)
    for part in splits:
        table.add_column(part.name, justify="right")
    dash = [""] if whole.intervals else []
    counts = [f"{part.queries:,}" for part in splits]
    table.add_row("queries", f"{whole.queries:,}", *dash, *counts, style="dim")
    for name in result.metrics:
        if not _is_shown(name):
            continue
        ends = [_interval(whole, name)] if whole.intervals else []
        values = [f"{100 * part.metrics[name]:.2f}" for part in splits]
        table.add_row(name, f"{100 * whole.metrics[name]:.2f}", *ends, *values)
    return table


def _interval(part: Part, name: str) -> str:
    """The confidence interval of a metric in percent."""
    low, high = part.intervals[name]
    return f"[{100 * low:.2f}, {100 * high:.2f}]"


def _difference_table(comparison: Comparison) -> Table:
    """Both means and the difference of every metric."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("metric")
    for column in ("other", "this", "difference", "interval", ""):
        table.add_column(column, justify="right")
    for name, each in comparison.differences.items():
        if not _is_shown(name):
            continue
        table.add_row(
            name,
            f"{100 * each.first:.2f}",
            f"{100 * each.second:.2f}",
            f"{100 * each.difference:+.2f}",
            f"[{100 * each.low:+.2f}, {100 * each.high:+.2f}]",
            "clear" if each.is_clear else "not clear",
        )
    return table


def _changed(comparison: Comparison) -> Table:
    """The queries that changed most."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("changed most", comparison.column + " other", "this", "change"):
        table.add_column(column, justify="left" if column == "changed most" else "right")
    for each in comparison.changed:
        table.add_row(
            each.id,
            f"{100 * each.first:.1f}",
            f"{100 * each.second:.1f}",
            f"{100 * (each.second - each.first):+.1f}",
        )
    return table
