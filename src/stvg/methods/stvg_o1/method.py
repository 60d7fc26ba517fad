"""STVG-o1 (arXiv 2511.21375): an interval, a draft of the boxes as thinking, then the boxes.

The backbone is unchanged. GRPO pays for form, completeness, time, boxes, and boxes that are better
than their draft (:class:`stvg.rewards.StvgO1Rewards`); a cold start on drafts with noise, which the
paper does not have, teaches the grammar to a model that cannot write it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stvg.errors import UsageError
from stvg.methods.stvg_o1.config import StvgO1Config
from stvg.methods.stvg_o1.drafts import draft_of
from stvg.methods.text_answer import Encoded, TextAnswer
from stvg.rewards import Answer, StvgO1Rewards, Target
from stvg.text import View
from stvg.text.drafted import Drafted
from stvg.types import Clip


class StvgO1(TextAnswer):
    """See the module; options in :class:`StvgO1Config`.

    Where the final boxes cannot be used the draft is the answer, and a warning says so; rewards
    see only what was written as final.

    Raises:
        UsageError: If the grammar has no drafts, or as :class:`TextAnswer`.
    """

    name = "stvg_o1"
    options = StvgO1Config
    rewards = StvgO1Rewards

    def _check(self) -> None:
        """See :meth:`TextAnswer._check`."""
        super()._check()
        if not isinstance(self.codec, Drafted):
            raise UsageError(
                f"expected a grammar with drafts for {self.name}, found {self.config.grammar!r}; "
                "use o1, or o1_compact for a model of the procedural world"
            )

    def write(self, truth: Target, view: View, seed: int) -> str:
        """Interval, a draft with noise, the boxes."""
        (target,) = truth.tubes
        draft = draft_of(target, view.size, self.config.draft, seed)
        text: str = self.codec.render(target, view, draft)
        return text

    def details(self, read: Answer, encoded: Encoded, clip: Clip) -> Mapping[str, Any] | None:
        """``draft``: its boxes in order, ``t_s`` in seconds, ``box`` in pixels of the original."""
        del encoded, clip
        draft = read.parsed.draft
        if draft is None or draft.tube is None:
            return None
        times_s, boxes = draft.tube.times_s.round(6), draft.tube.boxes.round(2)
        return {
            "draft": [
                {"t_s": time_s, "box": box}
                for time_s, box in zip(times_s.tolist(), boxes.tolist(), strict=True)
            ]
        }
