"""What can be learned: one module a task, found by its name; see :mod:`stvg.train.tasks.base`."""
