"""Overlap, interpolation and conversion of boxes, intervals, tubes and masks: pure NumPy."""
