"""The state of a run: how far it is; kept beside every checkpoint so that it can go on there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from stvg import __version__
from stvg.backbones.tiny import CARD_FORMAT
from stvg.errors import UsageError
from stvg.train.checkpoint import (
    drop_older,
    load_state,
    model_writer,
    newest_checkpoint,
    save_checkpoint,
)
from stvg.train.distributed import gather
from stvg.train.recipe import Recipe, differences
from stvg.train.rows import Batch
from stvg.train.starting import Learner
from stvg.train.tasks.base import Maker


@dataclass(slots=True)
class State:
    """How far a run is.

    Attributes:
        step: Steps done.
        drawn: Draws of clips; as many as steps, but for GRPO, whose steps may draw again.
        seen: Clips seen.
        seconds: Seconds that it took, those before it was stopped included.
        cpu_s: Seconds of computation in the first process.
        tally: What is counted for the next line of the log; see :class:`Tally`.
        broken: Clips that could not be used, by task and name -> reason.
        told: How many of each task, the first ones, the log has told about.
        recent: Of the last steps of GRPO, answers that were written, whose rewards failed, that
            were cut off.
        faults: Rewards that failed and that no line of the log has told about, a few.
        samples: The newest answer whose reward ``failed``, and that was ``cut`` off, in words.
    """

    step: int = 0
    drawn: int = 0
    seen: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0
    tally: dict[str, list[float]] = field(default_factory=dict)
    broken: dict[str, dict[str, str]] = field(default_factory=dict)
    told: dict[str, int] = field(default_factory=dict)
    recent: list[list[int]] = field(default_factory=list)
    faults: list[dict[str, str]] = field(default_factory=list)
    samples: dict[str, str] = field(default_factory=dict)

    def note_broken(self, task: str, maker: Maker, parts: Sequence[Batch]) -> None:
        """Remember what a step could not use.

        Raises:
            StvgError: If it is more than the task forgives.
        """
        known = self.broken.setdefault(task, dict(maker.broken))
        found = {name: why for part in parts for name, why in part.broken.items()}
        if found.keys() - known.keys():
            known |= found
            maker.check_broken(known)

    def tell_faults(self) -> dict[str, Any]:
        """The rewards that failed since the last line of the log, a few of them."""
        faults, self.faults = self.faults, []
        return {"faults": faults} if faults else {}

    def tell_broken(self, accelerator: Any) -> dict[str, Any]:
        """The clips that no line of the log has told about, and how many there are of each task."""
        pairs = gather(accelerator, [(task, *pair) for task, found in self.broken.items()
                                     for pair in found.items()])  # fmt: skip
        for task, name, why in pairs:
            self.broken.setdefault(task, {})[name] = why
        new = {task: dict(islice(found.items(), self.told.get(task, 0), None))
               for task, found in self.broken.items()}  # fmt: skip
        self.told = {task: len(found) for task, found in self.broken.items()}
        new = {task: found for task, found in new.items() if found}
        if not new:
            return {}
        counts = {f"{task}/broken": count for task, count in self.told.items() if count}
        return {**counts, "broken": new}


def find_state(recipe: Recipe) -> dict[str, Any] | None:
    """The state of the run in the recipe's folder, or None where none was begun.

    Raises:
        UsageError: If the folder belongs to another recipe; names the keys that differ.
    """
    out = Path(recipe.out)
    checkpoint = newest_checkpoint(out)
    if checkpoint is None:
        return None
    state = load_state(checkpoint)
    changed = differences(_with_defaults(state["recipe"], recipe), recipe.what_decides())
    if changed:
        raise UsageError(
            f"{out} holds a run of another recipe ({'; '.join(changed)}); choose another folder "
            "(out=...), or remove that one"
        )
    return state


def _with_defaults(values: Mapping[str, Any], recipe: Recipe) -> Mapping[str, Any]:
    """What decided an earlier run; options that did not exist then have their defaults."""
    try:
        return type(recipe).of({**values, "out": recipe.out}).what_decides()
    except UsageError:  # an option is gone: then the values themselves say what differs
        return values


def restore(found: Mapping[str, Any], learner: Learner, optimiser: Any) -> State:
    """Put a run's weights and the optimiser back to where they were.

    Raises:
        UsageError: If they are those of another model.
    """
    student = learner.student
    trained = {name for name, each in student.named_parameters() if each.requires_grad}
    try:
        if trained != set(found["student"]):
            raise ValueError("other weights are trained")
        student.load_state_dict(found["student"], strict=False)  # frozen ones are not in it
        optimiser.load_state_dict(found["optimiser"])
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise UsageError(
            "the run was begun with another model than the recipe starts from now, though of the "
            f"same name: {reason}; choose another folder (out=...), or put the model back"
        ) from error
    return State(**found["state"])


def save(recipe: Recipe, learner: Learner, optimiser: Any, state: State) -> None:
    """Write the checkpoint of a step."""
    out, student = Path(recipe.out), learner.student
    card = {"format": CARD_FORMAT, "stvg": __version__, "step": state.step, "seen": state.seen,
            **recipe.card}  # fmt: skip
    trained = {name for name, each in student.named_parameters() if each.requires_grad}
    weights = {name: each for name, each in student.state_dict().items() if name in trained}
    save_checkpoint(
        out,
        state.step,
        model_writer(learner.saved, learner.backbone.tokenizer, student.heads, card, student.parts),
        {
            "student": weights,
            "optimiser": optimiser.state_dict(),
            "state": {name: getattr(state, name) for name in State.__slots__},
            "recipe": recipe.what_decides(),
        },
    )
    drop_older(out, recipe.keep_every)
