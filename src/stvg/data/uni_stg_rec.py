"""The boxes of Uni-STG; see :mod:`stvg.data.uni_stg`."""

from __future__ import annotations

from .base import BoxRecord
from .uni_stg import reader


class Benchmark(reader.Benchmark):
    """Boxes on images."""

    name = "uni_stg_rec"
    title = "Uni-STG, boxes"
    kind = BoxRecord
    media = "image"
    files = ("rec/*.parquet",)
    task = "rec"
