"""The boxes of a predictions line, read without making an object a box.

A line holds up to thousands of boxes, ``{"120": [4.0, 8.5, 60.0, 90.0], ...}``, and a benchmark
millions. Here the punctuation is checked and taken away in a few passes over the bytes, and what
is left, a plain list of numbers, is parsed at once: about four times as fast as checking each box.
Whatever does not have exactly the usual form is left to the thorough way
(:class:`stvg.formats.predictions_jsonl.PredictionLine`), which also words the errors.
"""

from __future__ import annotations

import re

import numpy as np
from pydantic_core import from_json

from stvg.types import FloatArray, IntArray

_KEY = re.compile(rb'"boxes"\s*:\s*\{')
_ODD_FRAME = re.compile(rb'"(?!(?:0|[1-9][0-9]{0,7})"|[ \t]*:)')
_IN_NUMBERS = b"0123456789.-+eE \t"
_ONE = b'"":[,,,],'
_COLON_TO_COMMA = bytes.maketrans(b":", b",")


def take_boxes(line: bytes) -> tuple[bytes, IntArray, FloatArray] | None:
    """Take the boxes out of a line.

    Args:
        line: One line of predictions JSONL.

    Returns:
        The line with an empty object in their place, the frame numbers (N,) int64, strictly
        increasing, and the boxes (N, 4), finite. None where the line has anything unusual: a frame
        twice, other than four numbers a box, no JSON.

    Example:
        >>> take_boxes(b'{"id": "q", "boxes": {"7": [1, 2.5, 3, 4]}}')
        (b'{"id": "q", "boxes": {}}', array([7]), array([[1. , 2.5, 3. , 4. ]]))
    """
    found = _KEY.search(line)
    if found is None or line.count(b'"boxes"') != 1:
        return None
    end = line.find(b"}", found.end())
    if end < 0:
        return None
    body = line[found.end() : end]
    rest = line[: found.end()] + line[end:]
    if not body.strip():
        return rest, np.zeros(0, np.int64), np.zeros((0, 4))
    skeleton = body.translate(None, _IN_NUMBERS) + b","
    count = len(skeleton) // len(_ONE)
    if skeleton != _ONE * count or _ODD_FRAME.search(body):
        return None
    try:
        numbers = from_json(b"[" + body.translate(_COLON_TO_COMMA, b'"[]') + b"]")
    except ValueError:
        return None
    table = np.array(numbers, np.float64).reshape(count, 5)
    if not (table[1:, 0] > table[:-1, 0]).all():
        table = table[np.argsort(table[:, 0], kind="stable")]
        if (table[1:, 0] == table[:-1, 0]).any():
            return None
    if not np.isfinite(table).all():
        return None
    return rest, table[:, 0].astype(np.int64), table[:, 1:]
