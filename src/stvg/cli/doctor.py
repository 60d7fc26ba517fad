"""``stvg doctor``: what works on this machine, what is missing and how to get it."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from stvg.cli.common import JsonOption, print_json


def doctor(
    as_json: JsonOption = False,
    strict: Annotated[
        bool, typer.Option(help="Leave with 1 when anything optional is missing too.")
    ] = False,
) -> int:
    """Show what works on this machine, what is missing and how to get it.

    Example: `stvg doctor`
    """
    from stvg.diagnosis import diagnose

    findings = diagnose()
    if as_json:
        print_json([finding.as_dict() for finding in findings])
    else:
        from rich.console import Console
        from rich.table import Table

        marks = {"ok": "[green]ok[/]", "missing": "[yellow]missing[/]", "broken": "[red]broken[/]"}
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in ("", "what", "found", "to get it"):
            table.add_column(column, overflow="fold")
        for finding in findings:
            table.add_row(marks[finding.state], finding.what, finding.found, finding.remedy)
        Console(highlight=False, width=None if sys.stdout.isatty() else 140).print(table)
    bad = [f for f in findings if f.state == "broken" or (strict and f.state == "missing")]
    return 1 if bad else 0
