"""``stvg_r1``: objects carry painted numbers; the model names one and an interval."""

from stvg.methods.stvg_r1.method import StvgR1 as Method

__all__ = ["Method"]
