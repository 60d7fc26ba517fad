"""R_c of STVG-o1: whether there is exactly one box for every step of the interval."""

from __future__ import annotations

from stvg.rewards.base import Answer, Score, Target, unreadable
from stvg.rewards.base import Reward as Base


class Reward(Base):
    """``1`` if draft and final boxes each have one box for every step and no other, else ``0``.

    Range {0, 1}. arXiv 2511.21375, consistency reward. A box without an area counts as missing
    (ours). For grammars without drafts the one list counts. Applies to every answer.
    """

    name = "consistency"

    @property
    def bounds(self) -> tuple[float, float]:
        """See :class:`Base`."""
        return 0.0, 1.0

    def judge(self, answer: Answer, target: Target) -> Score:
        """See :class:`Base`."""
        del target
        parsed, draft = answer.parsed, answer.parsed.draft
        why = unreadable(parsed)
        if why is not None:
            return Score(0.0, why)
        faults = []
        if draft is not None and draft.form.unmatched is not None:
            faults.append(f"draft: {draft.form.unmatched}")
        if parsed.form.unmatched is not None:
            faults.append(f"boxes: {parsed.form.unmatched}")
        if faults:
            return Score(0.0, "; ".join(faults))
        return Score(1.0, f"one box for each of {len(parsed.form.steps_s)} steps")
