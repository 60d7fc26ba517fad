"""R_k of STVG-o1: whether the final boxes are better than the draft."""

from __future__ import annotations

from stvg.rewards.base import Answer, Score, Target, unreadable
from stvg.rewards.base import Reward as Base
from stvg.rewards.boxes import BoxConfig, list_score


class Reward(Base):
    """``max(R_spa(boxes) - R_spa(draft), 0)``; see :mod:`stvg.rewards.boxes`. Range [0, 2].

    arXiv 2511.21375, think reward. Its weight is 0.5 there and must not exceed 1: where the boxes
    beat the draft, the draft is paid with 1 minus the weight. 0 where the answer lacks a part of
    its grammar; not applicable where the grammar has no draft or the truth is not known.
    """

    name = "think"
    options = BoxConfig

    @property
    def bounds(self) -> tuple[float, float]:
        """See :class:`Base`."""
        low, high = self.config.list_bounds
        return 0.0, high - low

    def judge(self, answer: Answer, target: Target) -> Score:
        """See :class:`Base`."""
        parsed, tube = answer.parsed, target.nearest(answer.parsed)
        if parsed.draft is None:
            return Score(None, "the grammar has no draft")
        if tube is None:
            return Score(None, "there is no target")
        why = unreadable(parsed)
        if why is not None:
            return Score(0.0, why)
        value, _ = list_score(parsed, tube, target.size, self.config)
        first, _ = list_score(parsed.draft, tube, target.size, self.config)
        return Score(max(value - first, 0.0), f"draft {first:.3f}, boxes {value:.3f}")
