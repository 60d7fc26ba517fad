"""What all commands share: consoles, progress bars, option texts, the JSON they print.

Results go to standard output, everything else to standard error.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from stvg.errors import UsageError
from stvg.progress import Progress, Stages, no_stages

SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="An option of the method or tracker."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
ThreadsOption = Annotated[
    int, typer.Option(min=0, help="CPU threads for decoding and detection, 0 for all.")
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars, no notes.")]


def print_json(value: Any) -> None:
    """Print a result as indented JSON on standard output."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def note(text: str) -> None:
    """Tell a person something on standard error, one paragraph."""
    from rich.console import Console

    Console(stderr=True, highlight=False, markup=False, soft_wrap=True).print(text)


@contextmanager
def progress_bars(*, quiet: bool) -> Iterator[Stages]:
    """Bars with rate and time left on standard error, one a stage.

    Nothing is drawn when asked to be quiet or when standard error is not a terminal.
    """
    if quiet or not sys.stderr.isatty():
        yield no_stages
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TaskID,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bars
    from rich.text import Text

    class Rate(TextColumn):
        """Steps a second."""

        def render(self, task: Any) -> Text:
            """The rate once it is known."""
            return Text(f"{task.speed:.1f}/s" if task.speed else "", style="dim")

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Rate(""),
               TimeRemainingColumn())  # fmt: skip
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def stage(name: str) -> Progress:
            def report(done: int, total: int) -> None:
                if name not in tasks:
                    tasks[name] = bars.add_task(name, total=total)
                bars.update(tasks[name], completed=done, total=total)

            return report

        yield stage


def check_outputs(inputs: Mapping[str, Path | None], **outputs: Path | None) -> None:
    """Refuse, before any work, outputs that cannot be written or that would replace something.

    Args:
        inputs: What an input is called in a message -> path, None where it was not given.
        **outputs: Option name -> path, None where it was not given.

    Raises:
        UsageError: If two outputs, or an output and an input, are the same file, or a suffix
            names a kind of file that is not written.
        OutputError: If a place cannot be written to.
    """
    from stvg.formats.atomic import check_writable
    from stvg.video.writer import MUXERS

    suffixes = {"overlay": tuple(MUXERS), "sheet": (".png",)}
    taken = {path.resolve(): what for what, path in inputs.items() if path is not None}
    for name, path in outputs.items():
        if path is None:
            continue
        option = f"--{name.replace('_', '-')}"
        if path.resolve() in taken:
            raise UsageError(
                f"{option} {path} would replace {taken[path.resolve()]}; choose another name"
            )
        allowed = suffixes.get(name, (path.suffix.lower(),))
        if path.suffix.lower() not in allowed:
            raise UsageError(f"{option} is written as {' or '.join(allowed)}, found {path.name!r}")
        taken[path.resolve()] = option
        check_writable(path)
