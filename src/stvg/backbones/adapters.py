"""Low-rank adapters that training wrote (by peft) as models: the base that they name, merged.

A folder with ``adapter_config.json`` holds no model but the difference to one. Loading it loads the
base and adds the difference to its weights, which costs nothing when answers are written.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from stvg.errors import WeightsError
from stvg.extras import require

_CONFIG = "adapter_config.json"


def base_of(folder: str) -> str | None:
    """The model that a folder of adapters is for; None where there are no adapters.

    Raises:
        WeightsError: If the folder does not say which.
    """
    path = Path(folder) / _CONFIG
    if not path.is_file():
        return None
    try:
        base = json.loads(path.read_text(encoding="utf-8")).get("base_model_name_or_path")
    except (ValueError, AttributeError) as error:
        raise WeightsError(f"{path} is not readable as JSON ({error}); fetch it again") from error
    if not isinstance(base, str) or not base:
        raise WeightsError(f"{path} does not name the model that the adapters are for")
    return base


def merged(model: Any, folder: str) -> Any:
    """A model with the adapters of a folder added to its weights.

    Args:
        model: The base, a transformers model; it is changed.
        folder: The adapters.

    Raises:
        MissingExtraError: If peft does not import.
        WeightsError: If the adapters do not fit the model.
    """
    peft = require("peft", "train", f"the adapters in {folder}")
    try:
        return peft.PeftModel.from_pretrained(model, folder).merge_and_unload()
    except Exception as error:  # peft, torch and safetensors have no common base
        reason = " ".join(str(error).split())[:300]
        raise WeightsError(f"the adapters in {folder} do not load: {reason}") from error
