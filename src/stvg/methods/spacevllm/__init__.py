"""``spacevllm``: a query token behind every frame, and a decoder from its state to a box."""

from stvg.methods.spacevllm.method import SpaceVllm as Method

__all__ = ["Method"]
