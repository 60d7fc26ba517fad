"""Uni-STG: one training set of images, moments and tubes, built from what other makers publish.

SpaceVLLM (arXiv:2503.13983) is trained on 320K expressions on images (``rec``), 50K moments
(``vtg``), 110K tubes (``stvg``) and about 200K samples of general video data (``chat``). Its set is
not published; ``stvg data build-uni-stg`` builds one by the same steps from a recipe that names the
sources (:mod:`.recipe`). All become rows of one form (:mod:`.rows`), written as Parquet shards
(:mod:`.shards`), and are read again as three benchmarks, one a kind of record: ``uni_stg``,
``uni_stg_rec`` and ``uni_stg_vtg`` (:mod:`.reader`).
"""

from .reader import Benchmark as Benchmark
