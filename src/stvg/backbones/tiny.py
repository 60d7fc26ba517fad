"""Where the embedded model lies, and what a checkpoint of ours says of itself.

``tiny`` is a model of about a million parameters that this project trained from scratch on its
procedural world; it is shipped inside the package, one checkpoint a method and the base that they
were tuned from. A checkpoint's card, ``stvg.json``, names the method that it is for, the options
that it was trained with, which become the method's defaults, and what it was trained on.
"""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from stvg.errors import UsageError, WeightsError

TINY = "tiny"
"""Name of the embedded model."""
CARD = "stvg.json"
"""Name of a checkpoint's card within its folder."""
CARD_FORMAT = "stvg.checkpoint/1"


def resolve_model(model: str, method: str) -> str:
    """The folder of the embedded model for a method, or any other name as it is.

    Args:
        model: ``tiny``, ``tiny/base``, a local folder or a hub id.
        method: Name of the method that asks.

    Raises:
        UsageError: If there is no embedded checkpoint for the method.
        WeightsError: If the name can only be a folder, and there is none.
    """
    if model != TINY and not model.startswith(f"{TINY}/"):
        if model.count("/") > 1 and not Path(model).exists():  # hub ids have one
            raise WeightsError(
                f"there is no folder {model} with a model; train it first, or name another model"
            )
        return model
    wanted = model.partition("/")[2] or method
    root = Path(str(files("stvg"))) / TINY
    if not (root / wanted / "config.json").is_file():
        known = sorted(path.parent.name for path in root.glob("*/config.json"))
        raise UsageError(
            f"the embedded model has no checkpoint for {wanted!r}; it has {', '.join(known)}"
        )
    return str(root / wanted)


def read_card(folder: str | Path) -> dict[str, Any]:
    """What a checkpoint says of itself; nothing for one that is not ours.

    Args:
        folder: A local folder; a hub id has no card.

    Raises:
        WeightsError: If the card is damaged or of another version.
    """
    path = Path(folder) / CARD
    if not path.is_file():
        return {}
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise WeightsError(f"{path} is not readable as JSON ({error}); fetch it again") from error
    if not isinstance(card, dict) or card.get("format") != CARD_FORMAT:
        found = card.get("format") if isinstance(card, dict) else card
        raise WeightsError(
            f"expected a card of the format {CARD_FORMAT} in {path}, found {found!r:.60}; update "
            "stvg if a newer one wrote it, or fetch the checkpoint again"
        )
    if not isinstance(card.get("options", {}), dict):
        raise WeightsError(
            f"expected options by name in {path}, found {card['options']!r:.60}; fetch the "
            "checkpoint again"
        )
    return card
