"""From a run's checkpoint to the embedded model: half the size, nothing that only training needs.

    python -m stvg.train.ship runs/tiny/text_box/last text_box

Weights are stored in float16, which rounds them by at most one part in two thousand; commands
compute in float32. Scores of the embedded model are those of the stored weights.
"""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path

from stvg.backbones.qwen import QwenBackbone
from stvg.backbones.tiny import TINY, read_card
from stvg.errors import UsageError
from stvg.train.checkpoint import save_model


def ship(folder: str | Path, target: str | Path) -> int:
    """Write a checkpoint as it is shipped.

    Args:
        folder: The checkpoint.
        target: Folder of the embedded checkpoint; replaced when everything has been written.

    Returns:
        Size of the target in bytes.

    Raises:
        UsageError: If the checkpoint has no card.
        WeightsError: If it cannot be loaded.
        OutputError: If the target cannot be written.
    """
    card = read_card(folder)
    if not card:
        raise UsageError(f"expected a checkpoint with a card (stvg.json) in {folder}, found none")
    backbone = QwenBackbone.load(folder, dtype="float32")
    target = Path(target)
    save_model(target, backbone.model.half(), backbone.tokenizer, None, card)
    return sum(path.stat().st_size for path in target.iterdir())


if __name__ == "__main__":
    source, name = sys.argv[1:]
    place = Path(str(files("stvg"))) / TINY / name
    size = ship(source, place)
    sys.stdout.write(f"{place}: {size / 1e6:.1f} MB\n")
