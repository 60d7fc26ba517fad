"""This package inside other projects' programs."""

from __future__ import annotations

from typing import Any


def lmms_eval_models() -> Any:
    """What lmms-eval is told of this package; it asks through the entry point ``lmms_eval.models``.

    Apart from the model itself, because lmms-eval cannot be imported while it asks.
    """
    from lmms_eval.models.registry_v2 import ModelManifest

    return ModelManifest(model_id="stvg", simple_class_path="stvg.integrations.lmms_eval.Model")
