"""What a reward is given and gives back.

A reward takes an :class:`Answer` (what a model wrote and what that means) and a :class:`Target`
(the truth) and returns a :class:`Score`: a number and the reason for it. It is a pure function: no
files, no clock, no model. What the terms of STVG-o1 and STVG-R1 share stands at the end.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from stvg.config import Config
from stvg.errors import UsageError
from stvg.geometry.intervals import interval_iou
from stvg.geometry.tubes import viou
from stvg.text import Codec, Parsed, View
from stvg.types import Tube


@dataclass(frozen=True, slots=True)
class Score:
    """What an answer is worth in one respect.

    Attributes:
        value: Finite, or None for "not applicable", which is not the same as 0.
        reason: Why, in words, for people who watch a training.
        failed: Whether the reward itself broke down on this answer (the value is then None).

    Raises:
        UsageError: If the value is not finite, or there is no reason.
    """

    value: float | None
    reason: str
    failed: bool = False

    def __post_init__(self) -> None:
        if self.value is not None and not math.isfinite(self.value):
            raise UsageError(f"a reward must be finite or None, found {self.value}: {self.reason}")
        if not self.reason:
            raise UsageError(f"a reward needs a reason, found none for the value {self.value}")


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """One completion.

    Attributes:
        text: What the model wrote.
        parsed: What that means.
        number: Number of the object that it names, for answers that name one; else None.
        prompt: What the model was asked.
        ids: Tokens of the completion.
    """

    text: str
    parsed: Parsed
    number: int | None = None
    prompt: str = ""
    ids: tuple[int, ...] = ()

    @classmethod
    def of(cls, text: str, codec: Codec, view: View, prompt: str = "") -> Answer:
        """An answer in a grammar of :mod:`stvg.text`."""
        return cls(text, codec.parse(text, view), prompt=prompt)


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """The truth for one prompt.

    Attributes:
        tubes: What would be right: normally one tube; none where the truth is not known; of
            several the one counts that the answer comes nearest to.
        size: Width and height of the original frame in pixels.
        number: Number painted on the right object, or None.
        marked: Tubes of all painted objects by number.
        columns: Further facts by name, for reward functions of TRL.
        numbers: Numbers painted on all right objects where there are several; empty for one.
    """

    tubes: tuple[Tube, ...]
    size: tuple[int, int]
    number: int | None = None
    marked: Mapping[int, Tube] = field(default_factory=dict)
    columns: Mapping[str, Any] = field(default_factory=dict)
    numbers: tuple[int, ...] = ()

    def nearest(self, parsed: Parsed) -> Tube | None:
        """The tube with the highest vIoU, of equal ones that with the highest tIoU, then the first.

        None where there is no tube.
        """

        def closeness(tube: Tube) -> tuple[float, float]:
            overlap = 0.0 if parsed.tube is None else viou(parsed.tube, tube)
            when = 0.0 if parsed.interval is None else interval_iou(parsed.interval, tube.interval)
            return overlap, when

        return max(self.tubes, key=closeness, default=None)


class Reward(ABC):
    """Base of all rewards. A module of :mod:`stvg.rewards.terms` has one, named ``Reward``.

    Attributes:
        name: Name of the reward, the same as its module.
        options: Class of its configuration.

    Args:
        config: Options; by default all defaults.
    """

    name: ClassVar[str]
    options: ClassVar[type[Config]] = Config

    def __init__(self, config: Config | None = None) -> None:
        self.config: Any = self.options() if config is None else config

    @property
    @abstractmethod
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest value that can occur with these options."""

    @abstractmethod
    def judge(self, answer: Answer, target: Target) -> Score:
        """The score of one answer."""

    def __call__(self, answers: Sequence[Answer], targets: Sequence[Target]) -> list[Score]:
        """The scores of several answers, each with its own target.

        Raises:
            UsageError: If there are not as many targets as answers.
        """
        check_lengths(answers, targets)
        return [self.judge(answer, target) for answer, target in zip(answers, targets, strict=True)]


def check_lengths(answers: Sequence[Answer], targets: Sequence[Target]) -> None:
    """Refuse anything but one target an answer.

    Raises:
        UsageError: Naming both numbers.
    """
    if len(answers) != len(targets):
        raise UsageError(
            f"expected one target for every answer, found {len(targets)} for {len(answers)} answers"
        )


def unreadable(parsed: Parsed) -> str | None:
    """Why nothing of an answer can be scored, or None.

    An answer that lacks a part of its grammar (interval, draft or boxes) is worth nothing, whatever
    the other parts say; one whose boxes are there but unusable is not unreadable.
    """
    if parsed.form.lacks is not None:
        return parsed.form.lacks
    return parsed.problem if parsed.interval is None else None
