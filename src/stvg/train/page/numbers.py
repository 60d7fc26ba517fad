"""Numbers of a log: which of them count, and how they are told."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stvg.types import FloatArray


def finite(value: Any) -> float | None:
    """A finite number as such, anything else as None."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None


def recent(entries: Sequence[Mapping[str, Any]], key: str, most: int) -> FloatArray:
    """The newest finite values of a key, at most ``most``, oldest first; (N,)."""
    found: list[float] = []
    for entry in reversed(entries):
        value = finite(entry.get(key))
        if value is not None:
            found.append(value)
            if len(found) == most:
                break
    return np.array(found[::-1])


def short(value: float) -> str:
    """A number in three digits, or whole where it is large.

    Example:
        >>> short(0.13629), short(-1.0), short(9015.4)
        ('0.136', '−1', '9,015')
    """
    told = f"{value:,.0f}" if 1000 <= abs(value) < 1e7 else f"{value:.3g}"
    return told.replace("-", "−")
