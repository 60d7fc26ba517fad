"""One answer grammar a module; see :mod:`stvg.text.catalogue`."""
