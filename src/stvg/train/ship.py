"""From a run's checkpoint to the embedded model: half the size, nothing that only training needs.

    python -m stvg.train.ship runs/tiny/text_box/last text_box
    python -m stvg.train.ship runs/tiny/video/last base --heads

Weights are stored in float16, which rounds them by at most one part in two thousand; commands
compute in float32. Scores of the embedded model are those of the stored weights.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from safetensors.torch import load_file

from stvg.backbones.learned import PARTS
from stvg.backbones.qwen import QwenBackbone
from stvg.backbones.tiny import TINY, read_card
from stvg.errors import StvgError, UsageError
from stvg.train.checkpoint import HEADS, save_model


def ship(folder: str | Path, target: str | Path, *, heads: bool = False) -> int:
    """Write a checkpoint as it is shipped.

    Args:
        folder: The checkpoint.
        target: Folder of the embedded checkpoint; replaced when everything has been written.
        heads: Whether to keep the dense heads, which training that goes on from here needs.

    Returns:
        Size of the target in bytes.

    Raises:
        UsageError: If the checkpoint has no card, or no heads to keep.
        WeightsError: If it cannot be loaded.
        OutputError: If the target cannot be written.
    """
    card = read_card(folder)
    if not card:
        raise UsageError(f"expected a checkpoint with a card (stvg.json) in {folder}, found none")
    backbone = QwenBackbone.load(folder, dtype="float32")
    target, parts = Path(target), _halved(Path(folder) / PARTS)
    kept = _halved(Path(folder) / HEADS) if heads else None
    if heads and kept is None:
        raise UsageError(f"expected dense heads ({HEADS}) in {folder}, found none")
    save_model(target, backbone.model.half(), backbone.tokenizer, kept, card, parts)
    return sum(path.stat().st_size for path in target.iterdir())


def _halved(path: Path) -> Any:
    """The tensors of a file in float16, as a module would give them; None where there is none."""
    if not path.is_file():
        return None
    tensors = {name: tensor.half() for name, tensor in load_file(path).items()}
    return SimpleNamespace(state_dict=lambda: tensors)


def main(words: Sequence[str]) -> int:
    """Ship a checkpoint by the words of a command; gives the exit code.

    Args:
        words: The checkpoint's folder, the name of the embedded checkpoint, and ``--heads`` where
            its dense heads are to be kept.
    """
    heads = "--heads" in words
    words = [word for word in words if word != "--heads"]
    try:
        if len(words) != 2 or not re.fullmatch(r"\w+", words[1]):
            found = " ".join(words) or "nothing"
            raise UsageError(
                "expected the folder of a checkpoint and the name of the embedded one, for example "
                f"runs/tiny/text_box/last text_box, found {found}"
            )
        place = Path(str(files("stvg"))) / TINY / words[1]
        size = ship(words[0], place, heads=heads)
    except StvgError as error:
        sys.stderr.write(f"stvg.train.ship: {error}\n")
        return error.exit_code
    sys.stdout.write(f"{place}: {size / 1e6:.1f} MB\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
