"""Methods around the model in training: they encode its lessons and decode its answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stvg.backbones.qwen import QwenBackbone
from stvg.errors import UsageError
from stvg.methods.base import Method
from stvg.registry import find_method


def build_method(card: Mapping[str, Any], backbone: QwenBackbone) -> Method:
    """The method that a card names, with its options, around a model.

    Raises:
        UsageError: If there is no such method, or it is not built around a model.
    """
    name = str(card.get("method"))
    kind = find_method(name)
    try:
        method = kind(backbone, kind.options.of(card.get("options") or {}))
    except (TypeError, AttributeError) as error:
        raise UsageError(
            f"the method {name} is not built as {name}(backbone, options), so it cannot be trained "
            f"here: {error}"
        ) from error
    if not isinstance(method, Method):
        raise UsageError(f"expected a subclass of stvg.methods.base.Method from {name!r}")
    return method
