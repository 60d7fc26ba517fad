"""What follows every step, whatever was learned in it: log, show, validate, save."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from stvg.progress import Progress
from stvg.train.checkpoint import LAST
from stvg.train.logs import Log, Tally
from stvg.train.page import Sample, write_page
from stvg.train.recipe import Recipe, titles_of
from stvg.train.running import crosses, write_beginning
from stvg.train.starting import Learner
from stvg.train.state import State, save
from stvg.train.tasks.base import Maker
from stvg.train.validate import validate

PAGE = "live.html"
"""Name of the page in a run's folder."""


class Keeper:
    """Keeps the log, the live page and the checkpoints of a run.

    Args:
        recipe: What is done.
        accelerator: Of accelerate.
        learner: The model.
        optimiser: Whose state is saved.
        state: How far the run is; its clocks are set here.
        held_out: What makes batches for validation.
        autocast: Makes the precision of the computation, as a context.
        progress: Called with the clips seen and in all.

    Attributes:
        tally: What is counted for the next line of the log.
    """

    def __init__(
        self,
        recipe: Recipe,
        accelerator: Any,
        learner: Learner,
        optimiser: Any,
        state: State,
        held_out: Sequence[Maker],
        autocast: Callable[[], AbstractContextManager[Any]],
        progress: Progress,
    ) -> None:
        self.recipe, self.accelerator, self.learner = recipe, accelerator, learner
        self.optimiser, self.state, self.held_out = optimiser, state, held_out
        self.autocast, self.progress = autocast, progress
        self.out = Path(recipe.out)
        self.tally = Tally(state.tally)
        self.is_main = bool(accelerator.is_main_process)
        if self.is_main:
            write_beginning(recipe, state, accelerator)
        self.log = Log(self.out / "log.jsonl" if self.is_main else None, state.step, accelerator)
        if learner.began_parts and not state.step and not self.log.entries:
            self.log.write({"step": 0, "seen": 0, "parts": "new ones, which the model lacked"})
        self._began = time.perf_counter() - state.seconds
        self._cpu_began = time.process_time() - state.cpu_s

    def after_step(
        self,
        before: int,
        numbers: Mapping[str, Any],
        tell: Callable[[], Mapping[str, Any]] = dict,
        show: Callable[[], Sequence[Sample]] = list,
        *,
        is_end: bool = False,
    ) -> None:
        """Note a step; log, show, validate and save where it is time.

        Args:
            before: Clips seen before the step.
            numbers: Of the step, for a line of the log.
            tell: Gives what else the line tells; called where there is one.
            show: Gives samples for the live page; called where there is a line.
            is_end: Whether the run cannot go on; then the step is told, and not saved.

        Raises:
            OutputError: If the log or the checkpoint cannot be written.
        """
        recipe, state = self.recipe, self.state
        is_last = state.seen >= recipe.end
        self.progress(min(state.seen, recipe.end), recipe.end)
        state.seconds = time.perf_counter() - self._began
        state.cpu_s = time.process_time() - self._cpu_began
        where = {"step": state.step, "seen": state.seen}
        has_line = is_last or is_end or state.step % recipe.log_every == 0
        if has_line:
            self.log.write({**where, **numbers, **self._clocks(), **self.tally.take(), **tell(),
                            **state.tell_broken(self.accelerator)})  # fmt: skip
        if is_end:
            self._show(show(), is_over=True)
            return
        if is_last or crosses(before, state.seen, recipe.validate_every):
            measured = validate(
                recipe, self.learner.student, self.learner.backbone, self.held_out,
                self.accelerator, self.autocast(),
            )  # fmt: skip
            if measured:
                self.log.write({**where, **measured})
        if has_line:
            self._show(show(), is_over=is_last)
        if is_last or state.step % recipe.save_every == 0:
            if self.is_main:
                state.tally = self.tally.totals
                save(recipe, self.learner, self.optimiser, state)
            self.accelerator.wait_for_everyone()

    def close(self) -> Path:
        """End the log; the folder of the newest model."""
        self.log.close()
        return self.out / LAST

    def _show(self, samples: Sequence[Sample], *, is_over: bool) -> None:
        """Write the live page."""
        if self.is_main:
            title = f"{self.out.name}: {', '.join(titles_of(self.recipe.tasks))}"
            write_page(self.out / PAGE, title, self.log.entries, samples, is_over=is_over)

    def _clocks(self) -> dict[str, float]:
        state = self.state
        return {
            "seconds": round(state.seconds, 1),
            "cpu_s": round(state.cpu_s, 1),
            "clips_per_s": round(state.seen / max(state.seconds, 1e-9), 2),
        }
