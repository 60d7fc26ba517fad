"""RefCOCOg: as RefCOCO (see :mod:`stvg.data.refcoco`), longer expressions.

Use the split ``umd`` (``refs(umd).p``): the other one, ``google``, has no test set.
"""

from __future__ import annotations

from . import refcoco


class Benchmark(refcoco.Benchmark):
    """RefCOCOg."""

    name = "refcocog"
    title = "RefCOCOg"
    files = ("refs(umd).p", "instances.json", "finetune_refcocog_val.json")
    dataset_name = "refcocog"
