"""One module a file format; see :mod:`stvg.export.base`."""
