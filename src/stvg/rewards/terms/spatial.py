"""R_s of STVG-o1: how well draft and final boxes agree with the truth."""

from __future__ import annotations

from stvg.rewards.base import Answer, Score, Target, unreadable
from stvg.rewards.base import Reward as Base
from stvg.rewards.boxes import BoxConfig, list_score


class Reward(Base):
    """``R_spa(draft) + R_spa(boxes)``; see :mod:`stvg.rewards.boxes`. Range [-2, 2].

    arXiv 2511.21375, spatial reward. With other options the range is ``bounds``. For grammars
    without drafts the one list counts, range [-1, 1]. ``unreadable_value`` where the answer lacks
    a part of its grammar; not applicable where the truth is not known.
    """

    name = "spatial"
    options = BoxConfig

    @property
    def bounds(self) -> tuple[float, float]:
        """See :class:`Base`."""
        low, high = self.config.list_bounds
        return min(2 * low, self.config.unreadable_value), 2 * high

    def judge(self, answer: Answer, target: Target) -> Score:
        """See :class:`Base`."""
        parsed, tube = answer.parsed, target.nearest(answer.parsed)
        if tube is None:
            return Score(None, "there is no target")
        why = unreadable(parsed)
        if why is not None:
            return Score(self.config.unreadable_value, why)
        value, told = list_score(parsed, tube, target.size, self.config)
        if parsed.draft is None:
            return Score(value, f"boxes {told}")
        first, told_first = list_score(parsed.draft, tube, target.size, self.config)
        return Score(first + value, f"draft {told_first}; boxes {told}")
