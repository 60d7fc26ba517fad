"""Writing results: everything as JSON, values by query as CSV or Parquet."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stvg.errors import MissingExtraError, UsageError
from stvg.formats.atomic import atomic_path

from .compare import Comparison
from .report import Report, clean


def write_metrics(report: Report, comparisons: Mapping[str, Comparison], path: Path) -> None:
    """Write a report, with the values of every query, as JSON.

    Args:
        report: What to write. Numbers are in [0, 1]; null where a query takes no part.
        comparisons: With another prediction file, by protocol; may be empty.
        path: The file; appears whole or not at all.

    Raises:
        OutputError: If the file cannot be written.
    """
    document = report.as_json()
    if comparisons:
        document["against"] = {name: each.as_json() for name, each in comparisons.items()}
    with atomic_path(path) as temporary:
        text = json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1)
        temporary.write_text(text + "\n", encoding="utf-8")


def write_per_query(report: Report, path: Path) -> None:
    """Write one row a query and protocol: ``protocol, id, form``, then the values in [0, 1].

    Args:
        report: What to write. A value that does not apply is an empty cell (null in Parquet).
        path: ``.csv`` or ``.parquet``.

    Raises:
        UsageError: If the suffix is another.
        MissingExtraError: If Parquet is asked for and pyarrow is not installed.
        OutputError: If the file cannot be written.
    """
    suffix = table_suffix(path)
    columns = _columns(report)
    with atomic_path(path) as temporary:
        if suffix == ".parquet":
            _write_parquet(columns, temporary)
            return
        with temporary.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(zip(*columns.values(), strict=True))


def table_suffix(path: Path) -> str:
    """The kind of table that a name asks for, ``.csv`` or ``.parquet``.

    Raises:
        UsageError: If the suffix is another.

    Example:
        >>> table_suffix(Path("values.CSV"))
        '.csv'
    """
    suffix = path.suffix.lower()
    if suffix not in {".csv", ".parquet"}:
        raise UsageError(f"--per-query is written as .csv or .parquet, found {path.name!r}")
    return suffix


def _columns(report: Report) -> dict[str, list[Any]]:
    """The table by column; protocols one below the other."""
    names = list(dict.fromkeys(n for result in report.results.values() for n in result.columns))
    table: dict[str, list[Any]] = {name: [] for name in ("protocol", "id", "form", *names)}
    for protocol, result in report.results.items():
        count = len(result.ids)
        table["protocol"] += [protocol] * count
        table["id"] += list(result.ids)
        table["form"] += list(report.forms)
        for name in names:
            values = result.columns.get(name)
            table[name] += (
                [None] * count if values is None else [clean(each) for each in values.tolist()]
            )
    return table


def _write_parquet(columns: dict[str, list[Any]], path: Path) -> None:
    """Write the table with pyarrow."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError(
            "Parquet needs pyarrow, which is not installed; pip install 'stvg[evaluate]', or write "
            ".csv"
        ) from error
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
