"""JSON Schema of every file format, generated from the models that check the files.

For editors, for other languages and for ``stvg schema``. What a schema cannot say (corners in
order, a box for every frame) is in the descriptions, and is checked on reading.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from .prediction import PredictionFile, PredictionsFile
from .predictions_jsonl import PredictionLine
from .tracks import TracksFile

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schemas() -> dict[str, dict[str, Any]]:
    """JSON Schema by name of the format.

    Returns:
        ``prediction``, ``predictions`` and ``tracks`` for whole files, ``predictions_jsonl`` for
        one line of a file. Each value is a JSON Schema (draft 2020-12).

    Example:
        >>> sorted(schemas())
        ['prediction', 'predictions', 'predictions_jsonl', 'tracks']
        >>> schemas()["tracks"]["title"]
        'stvg.tracks/1'
    """
    models: dict[str, type[BaseModel]] = {
        "prediction": PredictionFile,
        "predictions": PredictionsFile,
        "predictions_jsonl": PredictionLine,
        "tracks": TracksFile,
    }
    return {
        name: {"$schema": _DIALECT, **model.model_json_schema()} for name, model in models.items()
    }
