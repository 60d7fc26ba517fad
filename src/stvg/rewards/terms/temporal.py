"""R_t of STVG-o1 and r_t of STVG-R1: overlap in time."""

from __future__ import annotations

from stvg.geometry.intervals import interval_iou
from stvg.rewards.base import Answer, Score, Target, unreadable
from stvg.rewards.base import Reward as Base


class Reward(Base):
    """``|P and G| / |P or G|`` in seconds. Range [0, 1].

    arXiv 2511.21375, temporal reward (which does not say whether time is counted in steps; seconds
    are ours) and arXiv 2602.11730, r_t, whose code divides by the hull of both intervals: for those
    that meet the same, for the others the value is 0 either way. 0 where the answer has no
    interval or lacks a part of its grammar; not applicable where the truth is not known.
    """

    name = "temporal"

    @property
    def bounds(self) -> tuple[float, float]:
        """See :class:`Base`."""
        return 0.0, 1.0

    def judge(self, answer: Answer, target: Target) -> Score:
        """See :class:`Base`."""
        tube = target.nearest(answer.parsed)
        if tube is None:
            return Score(None, "there is no target")
        why, interval = unreadable(answer.parsed), answer.parsed.interval
        if why is not None or interval is None:
            return Score(0.0, why or "no interval")
        value = interval_iou(interval, tube.interval)
        return Score(
            value,
            f"{interval.start_s:g} to {interval.end_s:g} s against {tube.interval.start_s:g} to "
            f"{tube.interval.end_s:g} s: {value:.3f}",
        )
