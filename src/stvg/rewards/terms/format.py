"""R_f of STVG-o1: whether the answer is exactly in the form of its grammar."""

from __future__ import annotations

from stvg.rewards.base import Answer, Score, Target
from stvg.rewards.base import Reward as Base


class Reward(Base):
    """``1`` if the whole answer has the form of the grammar, else ``0``. Range {0, 1}.

    arXiv 2511.21375, format reward. The form is that of the tags, signs and numbers; whether the
    boxes are for the right steps is the consistency reward. Applies to every answer.
    """

    name = "format"

    @property
    def bounds(self) -> tuple[float, float]:
        """See :class:`Base`."""
        return 0.0, 1.0

    def judge(self, answer: Answer, target: Target) -> Score:
        """See :class:`Base`."""
        del target
        form, parsed = answer.parsed.form, answer.parsed
        fault = form.fault or form.lacks or (parsed.problem if parsed.interval is None else None)
        return Score(0.0, fault) if fault else Score(1.0, "in the form of the grammar")
