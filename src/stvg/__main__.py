"""``python -m stvg`` is the ``stvg`` command."""

from stvg.cli.main import run

run()
