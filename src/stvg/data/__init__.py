"""Public benchmarks: their files, field by field, as records of four kinds (see ``base``)."""
