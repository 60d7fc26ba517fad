"""r_f of STVG-R1: thinking, then an answer."""

from __future__ import annotations

import re

from stvg.rewards.base import Answer, Score, Target
from stvg.rewards.base import Reward as Base

_TAGS = ["<think>", "</think>", "<answer>", "</answer>"]


class Reward(Base):
    """``1`` if the stripped text is a think block, white space and an answer block, else ``0``.

    Range {0, 1}. arXiv 2602.11730, r_f. What stands in the blocks does not count; each tag stands
    there once (ours). Applies to every answer.
    """

    name = "think_format"

    @property
    def bounds(self) -> tuple[float, float]:
        """See :class:`Base`."""
        return 0.0, 1.0

    def judge(self, answer: Answer, target: Target) -> Score:
        """See :class:`Base`."""
        del target
        text = answer.text.strip()
        pieces = re.split(r"(</?(?:think|answer)>)", text)
        if pieces[1::2] != _TAGS:
            found = " ".join(pieces[1:16:2]) or "no tags"
            return Score(0.0, f"expected {' '.join(_TAGS)}, found {found}")
        around = [pieces[0], pieces[4], pieces[8]]
        if any(piece.strip() for piece in around):
            return Score(0.0, "text outside the blocks")
        return Score(1.0, "thinking, then an answer")
