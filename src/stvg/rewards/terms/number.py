"""r_s of STVG-R1: whether the answer names the number painted on the right object."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from stvg.config import Config
from stvg.errors import UsageError
from stvg.rewards.base import Answer, Score, Target, unreadable
from stvg.rewards.base import Reward as Base


class NumberConfig(Config):
    """Options of the number reward."""

    reproduce: Literal["paper", "authors"] = Field(
        "paper",
        description="authors: the number alone counts, as in their code, wherever it is seen",
    )


class Reward(Base):
    """``1`` if the number is right and is seen in the answer's interval, else ``0``. Range {0, 1}.

    arXiv 2602.11730, r_s. The authors' code asks for the number only (``reproduce: authors``). 0
    where the answer has no number or no interval; not applicable where the right one is not known.
    Of an answer with several numbers the first counts, of several right objects any. What a
    correction took from another number is no sight of this one.
    """

    name = "number"
    options = NumberConfig

    @property
    def bounds(self) -> tuple[float, float]:
        """See :class:`Base`."""
        return 0.0, 1.0

    def judge(self, answer: Answer, target: Target) -> Score:
        """See :class:`Base`.

        Raises:
            UsageError: If the target does not say where its number is seen and that counts.
        """
        number, interval = answer.number, answer.parsed.interval
        if target.number is None:
            return Score(None, "there is no target")
        why = unreadable(answer.parsed)
        if why is not None or interval is None or number is None:
            return Score(0.0, why or "no number")
        if number not in (target.numbers or (target.number,)):
            return Score(0.0, f"number {number} instead of {target.number}")
        if self.config.reproduce == "authors":
            return Score(1.0, f"number {number} is right")
        if number not in target.marked:
            raise UsageError(
                f"the target does not say where number {number} is seen; give the tubes of the "
                "painted objects as Target.marked, or use reproduce=authors"
            )
        sights = target.marked[number]
        own_s = sights.times_s
        if sights.interpolated is not None:
            own_s = own_s[~sights.interpolated]
        if not interval.mask(own_s).any():
            return Score(0.0, f"number {number} is right but not seen in the interval")
        return Score(1.0, f"number {number} is right and seen in the interval")
