"""What a task is: options in a recipe, and a maker of batches.

A task is a module of this package with a class ``Task``, whose ``kind`` is the module's name;
nothing lists it. Users name their own as ``path/to/file.py:Class``. Options say how the losses of
the task are weighed and make the :class:`Maker`, which turns numbers of clips into batches. A
number decides everything about its clip, so that a run can be stopped anywhere and shared out over
any number of processes without changing what is learned.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from stvg.config import Config
from stvg.errors import UsageError
from stvg.registry import load_subclass, modules_of, reference_of

if TYPE_CHECKING:
    from stvg.backbones.qwen import QwenBackbone
    from stvg.methods.text_answer import TextAnswer
    from stvg.train.rows import Batch

_PACKAGE = "stvg.train.tasks"


class Task(Config, ABC):
    """Options that all tasks have; a subclass adds its own and says how batches are made."""

    kind: str = Field(description="name of the task, or file.py:Class")
    weight: float = Field(1.0, gt=0, description="share of steps that this task gets")
    clips: int = Field(8, ge=1, description="clips of a step, over all its parts and all processes")

    @property
    @abstractmethod
    def title(self) -> str:
        """What logs call it."""

    @property
    def scales(self) -> Mapping[str, float]:
        """Weight of each family of losses: ``answer``, ``cell``, ``target``."""
        return {"answer": 1.0, "cell": 0.0, "target": 0.0}

    @abstractmethod
    def maker(self, backbone: QwenBackbone) -> Maker:
        """What makes its batches.

        Args:
            backbone: The model that is trained, without its weights: tokenizer, configuration,
                layout of patches and rule of positions.

        Raises:
            UsageError: If an option does not fit the model, or a file is not there.
        """


class Maker(ABC):
    """Makes the batches of a task; used in worker processes.

    Attributes:
        size: How many different clips there are; None for any number.
        broken: Clips that are known to be unusable before the first step, name -> reason.
        method: The method that encodes its queries and reads answers to them; None for lessons that
            are not questions to a method.
    """

    size: int | None = None
    method: TextAnswer | None = None
    broken: Mapping[str, str] = {}

    @abstractmethod
    def batch(self, numbers: Sequence[int]) -> Batch:
        """The batch of these clips; what cannot be read is left out and named in it.

        Args:
            numbers: Numbers of clips, from 0 on without end.
        """

    def check_broken(self, found: Mapping[str, str]) -> None:  # noqa: B027
        """Stop a run in which too many clips are broken.

        Args:
            found: All that were found so far, name -> reason.

        Raises:
            StvgError: If the task's options do not forgive so many.
        """


def available_tasks() -> list[str]:
    """Names of all tasks, sorted.

    Example:
        >>> available_tasks()
        ['benchmark', 'world']
    """
    return modules_of(_PACKAGE)


def find_task(kind: str) -> type[Task]:
    """The options of a kind of task (``world``) or of a reference (``file.py:Class``).

    Raises:
        UsageError: If there is no such task; suggests the nearest name.
    """
    return load_subclass(reference_of(kind, _PACKAGE, "Task", "task"), Task)


def task_of(value: Any) -> Any:
    """The options of a task as they stand in a recipe, as an object of its own class.

    Raises:
        UsageError: If the kind is missing or unknown, or as :meth:`Config.of`.
    """
    if not isinstance(value, Mapping):
        return value  # built already, or left to the field to refuse
    if not isinstance(value.get("kind"), str):
        raise UsageError(
            f"a task needs a kind, one of {', '.join(available_tasks())} or file.py:Class"
        )
    return find_task(value["kind"]).of(value)
