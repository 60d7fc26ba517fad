"""A built Uni-STG as benchmarks, so that it is trained on, checked and described like any other.

``uni_stg`` gives the tubes of a built folder, ``uni_stg_rec`` its boxes and ``uni_stg_vtg`` its
moments, because records of one benchmark are of one kind. The annotations are the folder, or one of
its Parquet files; media are looked for below the folder that the recipe calls ``media``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from stvg.data.base import Record, TubeRecord
from stvg.data.reading import FileBenchmark, Part
from stvg.errors import FormatError, UsageError
from stvg.extras import require

from .rows import COLUMNS, Task, record_of

_BATCH = 256  # samples read at a time


class Benchmark(FileBenchmark):
    """The tubes of Uni-STG; ``extra`` names the ``source``."""

    name = "uni_stg"
    title = "Uni-STG, tubes"
    kind: ClassVar[type[Record]] = TubeRecord
    protocols: ClassVar[tuple[str, ...]] = ("ours",)
    source = "https://arxiv.org/abs/2503.13983"
    licence = "that of its sources"
    files = ("stvg/*.parquet",)
    task: ClassVar[Task] = "stvg"
    """Which samples it gives; also the name of their folder."""

    def parts(self, path: Path, companions: Mapping[str, Path]) -> Iterator[Part]:
        """One part a sample, shard after shard."""
        del companions
        for file in self._shards(path):
            for number, row in enumerate(rows_in(file)):
                yield partial(self._record, row, f"{file}, row {number}")

    def _shards(self, path: Path) -> list[Path]:
        if not path.is_dir():
            return [path]
        found = sorted((path / self.task).glob("*.parquet"))
        if not found:
            raise UsageError(
                f"expected a folder of `stvg data build-uni-stg` with {self.task}/*.parquet, found "
                f"none in {path}"
            )
        return found

    def _record(self, row: Mapping[str, Any], place: str) -> list[Record]:
        if row["task"] != self.task:
            raise FormatError(
                f"{place}: expected samples of the task {self.task}, found {row['task']}; the "
                "benchmarks uni_stg, uni_stg_rec and uni_stg_vtg read one task each"
            )
        return [record_of(row, place)]


def rows_in(file: Path) -> Iterator[dict[str, Any]]:
    """The samples of a shard, a few at a time.

    Raises:
        UsageError: If there is no such file.
        FormatError: If it is no shard of Uni-STG.
        MissingExtraError: If pyarrow does not import.
    """
    parquet = require("pyarrow.parquet", "data", "reading Uni-STG")
    if not file.is_file():
        raise UsageError(f"cannot read {file}: there is no such file; name a folder or a shard")
    try:
        shard = parquet.ParquetFile(file)
    except (OSError, ValueError) as error:  # Arrow's errors are ValueErrors
        reason = " ".join(str(error).split())
        raise FormatError(
            f"{file}: expected a Parquet file of Uni-STG, which cannot be opened: {reason:.200}; "
            "name the folder that `stvg data build-uni-stg` wrote"
        ) from error
    missing = [name for name in COLUMNS if name not in shard.schema_arrow.names]
    if missing:
        raise FormatError(
            f"{file}: expected the columns of Uni-STG, but {', '.join(missing)} are missing; "
            "docs/uni_stg.md lists them"
        )
    with shard:
        for batch in shard.iter_batches(_BATCH):
            yield from batch.to_pylist()
