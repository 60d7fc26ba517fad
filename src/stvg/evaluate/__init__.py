"""Metrics and protocols: every published way of scoring, side by side."""
