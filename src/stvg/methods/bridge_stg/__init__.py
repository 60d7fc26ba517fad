"""``bridge_stg``: time from the language model, place from a detection decoder bridged to it."""

from stvg.methods.bridge_stg.method import BridgeStg as Method

__all__ = ["Method"]
