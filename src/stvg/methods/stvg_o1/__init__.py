"""``stvg_o1``: draft boxes in a thinking block, then the boxes; trained with five rewards."""

from stvg.methods.stvg_o1.method import StvgO1 as Method

__all__ = ["Method"]
