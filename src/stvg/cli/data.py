"""``stvg data``: what benchmarks there are, what is in their files, what is wrong with them."""

from __future__ import annotations

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
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from rich.table import Table

    from stvg.export.corrections import CorrectedTube, Videos

data = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="List benchmarks, describe and check their annotation files.\n\n"
    "Example: `stvg data describe hcstvg_v1 --annotations test.json`",
)

BenchmarkArgument = Annotated[
    str,
    typer.Argument(
        metavar="BENCHMARK",
        help="Name (see `stvg data list`) or file.py:Class.",
        show_default=False,
    ),
]
AnnotationsOption = Annotated[
    Path, typer.Option("--annotations", "-a", help="The annotation file.", show_default=False)
]
TrajectoriesOption = Annotated[
    Path | None,
    typer.Option(help="VidOR annotations, for VidSTG; short for --with trajectories=PATH."),
]
WithOption = Annotated[
    list[str] | None,
    typer.Option(
        "--with",
        metavar="NAME=PATH",
        help="A further file that the benchmark reads, e.g. masks=mask_dict.json.",
    ),
]

_SHOWN = 20


@data.command("list")
def list_benchmarks(as_json: JsonOption = False) -> None:
    """List the benchmarks that can be read.

    Example: `stvg data list`
    """
    from stvg.data import available_benchmarks, find_benchmark

    found = [find_benchmark(name) for name in available_benchmarks()]
    if as_json:
        print_json(
            [
                {
                    "name": each.name,
                    "title": each.title,
                    "kind": each.kind.__name__,
                    "files": list(each.files),
                    "with": dict(each.companions),
                    "protocols": list(each.protocols),
                    "source": each.source,
                    "licence": each.licence,
                }
                for each in found
            ]
        )
        return
    table = _table("name", "benchmark", "files", "with")
    for each in found:
        table.add_row(each.name, each.title, ", ".join(each.files), ", ".join(each.companions))
    _print(table)


@data.command()
def describe(
    benchmark: BenchmarkArgument,
    annotations: AnnotationsOption,
    trajectories: TrajectoriesOption = None,
    companions: WithOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Say what is in an annotation file: counts, lengths, sizes, and its quirks.

    Exit code: 0 done, 1 no entry can be read, 2 wrong usage.

    Example: `stvg data describe vidstg --annotations test_annotations.json --trajectories vidor`
    """
    from stvg.data import find_benchmark
    from stvg.data.describe import describe as describe_file

    reader = find_benchmark(benchmark)
    with progress_bars(quiet=quiet or as_json) as stages:
        found = describe_file(
            reader,
            annotations,
            companion_files(companions, trajectories),
            stages("reading records"),
        )
    if as_json:
        print_json(found)
    else:
        _show_description(found)
    if found["malformed"] and not found["records"]:
        raise typer.Exit(1)


@data.command()
def check(
    benchmark: BenchmarkArgument,
    annotations: AnnotationsOption,
    trajectories: TrajectoriesOption = None,
    companions: WithOption = None,
    videos: Annotated[
        Path | None, typer.Option(help="Folder with the videos, folders of frames or images.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write all findings to this JSON.")] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Find everything that is wrong with an annotation file and its videos.

    Exit code: 0 nothing found, 1 something found, 2 wrong usage.

    Example: `stvg data check hcstvg_v2 --annotations val_v2.json --videos clips --out report.json`
    """
    import json

    from stvg.data import find_benchmark
    from stvg.data.check import KINDS
    from stvg.data.check import check as check_file
    from stvg.formats.atomic import atomic_path

    reader = find_benchmark(benchmark)
    further = companion_files(companions, trajectories)
    check_outputs({"the annotations": annotations, **named_inputs(further)}, out=out)
    with progress_bars(quiet=quiet or as_json) as stages:
        report = check_file(reader, annotations, further, videos, stages)
    if out is not None:
        with atomic_path(out) as temporary:
            text = json.dumps(report.document(), indent=1, ensure_ascii=False)
            temporary.write_text(text + "\n", encoding="utf-8")
    if as_json:
        print_json(report.document())
    elif not quiet:
        _show_report(report.document(), KINDS)
        if out is not None:
            note(f"report: {out}")
    if report.findings:
        raise typer.Exit(1)


@data.command("prepare-tracks")
def prepare_tracks(
    benchmark: BenchmarkArgument,
    annotations: AnnotationsOption,
    videos: Annotated[Path, typer.Option(help="Folder with the videos.", show_default=False)],
    trajectories: TrajectoriesOption = None,
    companions: WithOption = None,
    folder: Annotated[
        Path | None, typer.Option("--out", help="Also write them here, named as their videos.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write the number of every query to this JSON.")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Where results are kept; default the user's cache.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Videos prepared at the same time.")] = 1,
    detector: Annotated[
        str, typer.Option(help="Name, YOLOX .onnx, or transformers folder or hub id.")
    ] = "yolox_nano",
    classes: Annotated[
        str,
        typer.Option(help='Keep these classes, or look for these words: "person, red cup".'),
    ] = "",
    threshold: Annotated[float, typer.Option(help="Drop detections below this confidence.")] = 0.1,
    assignments: SetOption = None,
    threads: ThreadsOption = 1,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Find and number the objects of all videos of a benchmark, once.

    What is done is kept by the content of the video and all options, so the command can be killed
    and started again. Options for `--set` are those of `NumberingConfig`.

    Exit code: 0 done, 1 a video could not be prepared, 2 wrong usage.

    Example: `stvg data prepare-tracks hcstvg_v2 -a val_v2.json --videos clips --workers 8`
    """
    import json

    from stvg.formats.atomic import atomic_path
    from stvg.perception.benchmark import number_benchmark
    from stvg.perception.numbering import NumberingConfig
    from stvg.perception.prepared import FrontEnd, TracksCache

    words = tuple(word.strip() for word in classes.split(",") if word.strip())
    config = NumberingConfig.from_assignments(assignments or [])
    front_end = FrontEnd(detector, words, threshold, config, threads)
    further = companion_files(companions, trajectories)
    check_outputs({"the annotations": annotations, **named_inputs(further)}, report=report)
    with progress_bars(quiet=quiet or as_json) as stages:
        found = number_benchmark(
            benchmark,
            annotations,
            videos,
            front_end,
            TracksCache(cache),
            companions=further,
            workers=workers,
            folder=folder,
            progress=stages("numbering objects"),
        )
    if report is not None:
        with atomic_path(report) as temporary:
            text = json.dumps(found.document(), indent=1, ensure_ascii=False)
            temporary.write_text(text + "\n", encoding="utf-8")
    if as_json:
        print_json(found.document())
    elif not quiet:
        _show_numbering(found.document())
    if found.problems:
        raise typer.Exit(1)


@data.command("build-uni-stg")
def build_uni_stg(
    recipe: Annotated[
        Path, typer.Argument(metavar="RECIPE", help="The sources, a YAML.", show_default=False)
    ],
    out: Annotated[
        Path, typer.Option(help="Folder of the set: new, or begun before.", show_default=False)
    ],
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Build Uni-STG: boxes, moments, tubes and conversations of many sources as one training set.

    The command can be killed and started again; what was finished is not done twice. The set is
    read as the benchmarks `uni_stg`, `uni_stg_rec` and `uni_stg_vtg`.

    Example: `stvg data build-uni-stg recipes/uni_stg/samples.yaml --out uni_stg`
    """
    from stvg.data.uni_stg.build import build
    from stvg.data.uni_stg.recipe import load_recipe

    with progress_bars(quiet=quiet or as_json) as stages:
        card = build(load_recipe(recipe), out, stages)
    if as_json:
        print_json(card)
    elif not quiet:
        _show_card(card)
        note(f"the set and its card: {out}")


VideosOption = Annotated[
    Path,
    typer.Option(help="Folder with the videos, or the one video.", show_default=False),
]
AnnotationsOutOption = Annotated[
    Path, typer.Option(help="The annotation file to write.", show_default=False)
]


@data.command("from-cvat")
def from_cvat(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help='Exports in the format "CVAT for video 1.1": XML or ZIP.',
            show_default=False,
        ),
    ],
    videos: VideosOption,
    out: AnnotationsOutOption,
    quiet: QuietOption = False,
) -> None:
    """Make training data of tubes that were corrected in CVAT.

    The sentence of a track is its attribute `query`, else its label. The result is read as the
    benchmark `vidstg`.

    Example: `stvg data from-cvat task_1.zip task_2.zip --videos clips --out annotations.json`
    """
    from stvg.export.from_cvat import read_cvat

    _take_back(files, read_cvat, videos, out, quiet=quiet)


@data.command("from-labelstudio")
def from_labelstudio(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="Exports in the format JSON.", show_default=False),
    ],
    videos: VideosOption,
    out: AnnotationsOutOption,
    quiet: QuietOption = False,
) -> None:
    """Make training data of tubes that were corrected in Label Studio.

    The sentence of a region is its label. The result is read as the benchmark `vidstg`.

    Example: `stvg data from-labelstudio export.json --videos clips --out annotations.json`
    """
    from stvg.export.from_labelstudio import read_labelstudio

    _take_back(files, read_labelstudio, videos, out, quiet=quiet)


def _take_back(
    files: Sequence[Path],
    read: Callable[[Path, Videos], Iterable[CorrectedTube]],
    videos: Path,
    out: Path,
    *,
    quiet: bool,
) -> None:
    """Read corrected tubes and write them as annotations."""
    from stvg.export.corrections import Videos, write_annotations

    check_outputs({f"the input {file}": file for file in files}, out=out)
    found = Videos(videos)
    tubes = [tube for file in files for tube in read(file, found)]
    write_annotations(tubes, out)
    if not quiet:
        media = len({tube.media for tube in tubes})
        note(
            f"{len(tubes)} tube{'s' * (len(tubes) != 1)} on {media} video{'s' * (media != 1)}, "
            f"benchmark vidstg: {out}"
        )


def companion_files(given: list[str] | None, trajectories: Path | None) -> dict[str, Path]:
    """Further files by name.

    Args:
        given: ``name=path`` each, or None.
        trajectories: The file or folder of that name, or None.

    Raises:
        UsageError: If one is not ``name=path``.
    """
    found: dict[str, Path] = {}
    for each in given or []:
        name, equals, path = each.partition("=")
        if not (name and equals and path):
            raise UsageError(f"--with expects NAME=PATH, e.g. masks=mask_dict.json, found {each!r}")
        found[name] = Path(path)
    if trajectories is not None:
        found["trajectories"] = trajectories
    return found


def named_inputs(further: Mapping[str, Path]) -> dict[str, Path]:
    """Further files by what messages call them."""
    return {f"the file of --with {name}": path for name, path in further.items()}


def _show_description(found: dict[str, Any]) -> None:
    """A description for people."""
    media = "images" if found["media_kind"] == "image" else "videos"
    forms = ", ".join(f"{number:,} {form}" for form, number in found["forms"].items())
    head = f"{found['title']}: {found['records']:,} queries on {found['media']:,} {media}"
    lines = [head + (f" ({forms})" if set(found["forms"]) - {"not told"} else "")]
    if found["malformed"]:
        lines.append(
            f"{found['malformed']:,} entries are not in order; `stvg data check` lists them"
        )
    if found["without_truth"]:
        lines.append(f"{found['without_truth']:,} queries without truth")
    if found["shared_spans"]:
        lines.append(f"{found['shared_spans']:,} queries share their span with another")
    measures = _table("", "number", "min", "median", "max")
    for name, each in found["measures"].items():
        numbers = (f"{each[key]:g}" for key in ("min", "median", "max"))
        measures.add_row(name, f"{each['count']:,}", *numbers)
    for name, counts in found["counts"].items():
        lines.append(f"{name}: " + ", ".join(f"{value} ({n:,})" for value, n in counts.items()))
    quirks = _table("quirk", "queries", "meaning")
    for each in found["quirks"]:
        quirks.add_row(each["name"], f"{each['count']:,}", each["meaning"])
    _print(*lines, "", measures, *(["", quirks] if found["quirks"] else []))


def _show_report(report: dict[str, Any], meanings: dict[str, str]) -> None:
    """A report for people: counts by kind, then the first findings."""
    findings = report["findings"]
    where = report["media_folder"] or "not looked for, give --videos"
    lines = [
        f"{report['records']:,} queries on {report['media']:,} videos or images ({where}), "
        f"{len(findings):,} findings"
    ]
    if report["without_truth"]:
        lines.append(f"{report['without_truth']:,} queries without truth")
    kinds = _table("finding", "number", "meaning")
    for kind, number in report["findings_by_kind"].items():
        kinds.add_row(kind, f"{number:,}", meanings[kind])
    each = _table("finding", "place", "found")
    for finding in findings[:_SHOWN]:
        place = finding["place"].removeprefix(f"{report['annotations']}, ")
        each.add_row(finding["kind"], place, finding["detail"])
    more = len(findings) - _SHOWN
    rest = [f"and {more:,} more; --out or --json gives them all"] if more > 0 else []
    _print(*lines, *(["", kinds, "", each, *rest] if findings else []))


def _show_numbering(found: dict[str, Any]) -> None:
    """What became of the videos, then which share of the queries has a number."""
    lines = [
        f"{found['videos']:,} videos: {found['prepared']:,} prepared, {found['kept']:,} were "
        f"already, {len(found['problems']):,} failed"
    ]
    lines += [f"{name}: {reason}" for name, reason in list(found["problems"].items())[:_SHOWN]]
    table = _table("", "queries", "share", "m_vIoU, right number and time")
    queries = max(found["queries"], 1)
    rows = [("with a target", found["queries"], found["ceiling"]),
            ("with a number", found["matched"], found["ceiling_of_matched"])]  # fmt: skip
    for name, count, ceiling in rows:
        table.add_row(name, f"{count:,}", f"{count / queries:.1%}", f"{100 * ceiling:.1f}")
    for reason, count in found["reasons"].items():
        table.add_row(f"none: {reason}", f"{count:,}", f"{count / queries:.1%}", "")
    _print(*lines, "", table)


def _show_card(card: dict[str, Any]) -> None:
    """What a built set holds, then what is missing."""
    table = _table("source", "task", "looked at", "samples", "seconds", "dropped")
    for each in card["sources"]:
        drops = ", ".join(f"{reason} ({number:,})" for reason, number in each["drops"].items())
        table.add_row(
            each["name"], each["task"], f"{each['seen']:,}", f"{each['written']:,}",
            f"{each['seconds']:.1f}", drops,
        )  # fmt: skip
    tasks = ", ".join(f"{each['written']:,} {name}" for name, each in card["tasks"].items())
    _print(f"{card['written']:,} samples: {tasks}", *card["short"], "", table)


def _table(*columns: str) -> Table:
    """An empty table."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column)
    return table


def _print(*parts: Any) -> None:
    """Print lines and tables on standard output."""
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    for part in parts:
        console.print(part)
