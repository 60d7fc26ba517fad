"""Metrics and protocols: every published way of scoring, side by side.

Example:
    >>> from stvg.evaluate import evaluate
    >>> report = evaluate("hcstvg_v1", "test.json", "mine.jsonl", protocol="stcat")
    Traceback (most recent call last):
    ...
    stvg.errors.UsageError: cannot read test.json: there is no such file; ...
"""

from .compare import Comparison, compare
from .report import Part, Report, Result
from .runner import evaluate

__all__ = ["Comparison", "Part", "Report", "Result", "compare", "evaluate"]
