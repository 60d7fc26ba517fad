"""``dsth``: grounding without training, from what a model looks at while it is asked."""

from stvg.methods.dsth.method import Dsth as Method

__all__ = ["Method"]
