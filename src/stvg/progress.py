"""How long work tells that it goes on.

The library never prints. A stage of work takes a :data:`Progress` callback ``(done, total)``; work
of several stages takes :data:`Stages`, which gives a callback for each stage by its name. The
command line passes ones that draw bars.
"""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""Called with the number of steps done and the number of steps in all."""

Stages = Callable[[str], Progress]
"""Called with the name of a stage ("looking at frames"), gives its callback."""


def no_progress(done: int, total: int) -> None:
    """Report nothing."""


def no_stages(name: str) -> Progress:
    """Report nothing about any stage."""
    del name
    return no_progress
