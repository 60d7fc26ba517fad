"""``text_box``: the model writes the interval and the boxes as text."""

from stvg.methods.text_box.method import TextBox as Method

__all__ = ["Method"]
