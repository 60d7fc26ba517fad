"""When it happens, from how much attention the object draws over time.

The published rule grows a window of a fixed length around the highest value: every video of a
benchmark gets an answer of the same relative length, which cannot fit short and long events alike.
:func:`fit_interval` takes the stretch that lies above the signal's own mean instead.
"""

from __future__ import annotations

import numpy as np

from stvg.types import FloatArray

_OUTSIDE = -100.0


def grow_window(signal: FloatArray, keep: int, *, ties_stop: bool = False) -> tuple[int, int]:
    """The published rule: from the peak, take the larger neighbour until enough are kept.

    Args:
        signal: Over the sampled frames, (F,).
        keep: How many to keep.
        ties_stop: Stop where both neighbours are equal, as the released code does; else the right
            one is taken.

    Returns:
        First and last frame, both inside.

    Example:
        >>> grow_window(np.array([0.1, 0.2, 0.9, 0.8, 0.3, 0.85, 0.4, 0.1, 0, 0]), 5)
        (2, 6)
    """
    first = last = int(signal.argmax())
    while last - first + 1 < keep:
        before = signal[first - 1] if first > 0 else _OUTSIDE
        after = signal[last + 1] if last + 1 < len(signal) else _OUTSIDE
        if before == after and (ties_stop or before == _OUTSIDE):
            break
        if before > after:
            first -= 1
        else:
            last += 1
    return first, last


def fit_interval(signal: FloatArray) -> tuple[int, int]:
    """The stretch whose logarithms exceed their mean by most, all together. Ours; no parameter.

    Logarithms, since attention is a ratio: half as much counts against a frame as much as twice as
    much counts for it, and a single high peak does not outweigh the rest. A short dip stays inside.

    Args:
        signal: Over the sampled frames, (F,), at least 0; 0 where the object is not seen, which
            counts as half of the lowest of the others.

    Returns:
        First and last frame, both inside; all frames where they are all alike.

    Example:
        >>> fit_interval(np.array([1.0, 4.0, 8.0, 2.0, 8.0, 1.0, 0.0, 1.0]))
        (1, 4)
    """
    seen = signal[signal > 0]
    if not len(seen) or signal.min() == signal.max():
        return 0, len(signal) - 1
    height = np.log(np.maximum(signal, seen.min() / 2))
    sums = np.append(0.0, np.cumsum(height - height.mean()))
    first, last = np.triu_indices(len(signal))
    best = int((sums[last + 1] - sums[first]).argmax())
    return int(first[best]), int(last[best])
