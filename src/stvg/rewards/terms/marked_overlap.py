"""The continuous alternative to r_s of STVG-R1: overlap of the object that the answer names."""

from __future__ import annotations

from stvg.geometry.boxes import paired_iou
from stvg.rewards.base import Answer, Score, Target, unreadable
from stvg.rewards.base import Reward as Base


class Reward(Base):
    """Mean over the shared times of ``IoU(box of the named object, true box)``. Range [0, 1].

    arXiv 2602.11730, tried there in place of r_s (38.6 against 39.1 m_vIoU). Times are those of the
    true tube that lie in the answer's interval; where the object is not seen 0 counts. 0 without
    shared times or a known number; not applicable where the truth is not known.
    """

    name = "marked_overlap"

    @property
    def bounds(self) -> tuple[float, float]:
        """See :class:`Base`."""
        return 0.0, 1.0

    def judge(self, answer: Answer, target: Target) -> Score:
        """See :class:`Base`."""
        interval, tube = answer.parsed.interval, target.nearest(answer.parsed)
        if tube is None:
            return Score(None, "there is no target")
        why = unreadable(answer.parsed)
        if why is not None or interval is None or answer.number is None:
            return Score(0.0, why or "no number")
        if answer.number not in target.marked:
            return Score(0.0, f"there is no object {answer.number}")
        shared = tube.times_s[interval.mask(tube.times_s)]
        if not len(shared):
            return Score(0.0, "no time in common")
        overlaps = paired_iou(target.marked[answer.number].at(shared), tube.at(shared))
        value = float(overlaps.mean())
        return Score(value, f"object {answer.number}: {value:.3f} over {len(shared)} times")
