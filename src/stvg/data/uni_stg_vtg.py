"""The moments of Uni-STG; see :mod:`stvg.data.uni_stg`."""

from __future__ import annotations

from .base import TimeRecord
from .uni_stg import reader


class Benchmark(reader.Benchmark):
    """Moments in videos."""

    name = "uni_stg_vtg"
    title = "Uni-STG, moments"
    kind = TimeRecord
    files = ("vtg/*.parquet",)
    task = "vtg"
