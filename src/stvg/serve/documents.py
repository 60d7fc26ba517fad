"""Answers as the documents that the store keeps, and back.

A document is a ``stvg.prediction/1`` as text. It names its video as people call it, and tells
nothing of where the service keeps its files.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from stvg.formats.prediction import LIST_FORMAT, read_predictions, write_predictions
from stvg.types import Prediction


def documents(predictions: Sequence[Prediction], name: str) -> list[str]:
    """Predictions as ``stvg.prediction/1`` documents that tell nothing of the service's folders.

    Args:
        predictions: The answers.
        name: What the video is called in them.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "predictions.json"
        write_predictions(predictions, path)
        parts = json.loads(path.read_text(encoding="utf-8"))["predictions"]
    for part in parts:
        part["video"]["path"] = name
    return [json.dumps(part, ensure_ascii=False) for part in parts]


def predictions_of(texts: Sequence[str], video: str | None = None) -> list[Prediction]:
    """The reverse of :func:`documents`.

    Args:
        texts: The documents.
        video: Where the video lies; None leaves what it is called.
    """
    parts = [json.loads(text) for text in texts]
    if video is not None:
        for part in parts:
            part["video"]["path"] = video
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "predictions.json"
        path.write_text(json.dumps({"format": LIST_FORMAT, "predictions": parts}), "utf-8")
        return read_predictions(path)
