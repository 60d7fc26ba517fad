"""Public benchmarks: their files, field by field, as records of four kinds (see ``base``)."""

from .catalogue import available_benchmarks as available_benchmarks
from .catalogue import find_benchmark as find_benchmark
