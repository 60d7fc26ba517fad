"""RefCOCO+: as RefCOCO (see :mod:`stvg.data.refcoco`), expressions without words of place."""

from __future__ import annotations

from . import refcoco


class Benchmark(refcoco.Benchmark):
    """RefCOCO+."""

    name = "refcoco_plus"
    title = "RefCOCO+"
    files = ("refs(unc).p", "instances.json", "finetune_refcoco+_val.json")
    dataset_name = "refcoco+"
