"""What loading any model of ``transformers`` by hub id or folder has in common.

Silence where nothing is fetched, and one clear paragraph when a model does not load: transformers,
its hub client and the readers of weights raise classes of many kinds.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

_LONGEST_REASON = 300


@contextmanager
def without_bars(transformers: ModuleType, name: str) -> Iterator[None]:
    """Silence the bars that transformers draws while it reads a folder; those of downloads stay.

    Args:
        transformers: The imported package.
        name: Folder or hub id.
    """
    logging = transformers.utils.logging
    draws = Path(name).is_dir() and logging.is_progress_bar_enabled()
    if draws:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        if draws:
            logging.enable_progress_bar()


def why_not_loaded(name: str, kind: str, contents: str, error: Exception) -> str:
    """One paragraph on a model that did not load.

    Args:
        name: Folder or hub id.
        kind: What it should have been, e.g. ``detector``.
        contents: What its folder should hold.
        error: What went wrong.
    """
    reason = " ".join(str(error).split()) or type(error).__name__
    if len(reason) > _LONGEST_REASON:
        reason = f"{reason[:_LONGEST_REASON]} ..."
    if Path(name).is_dir():
        return (
            f"expected a {kind} of transformers in the folder {name} ({contents}), which did not "
            f"load: {reason}"
        )
    return (
        f"the {kind} {name!r} could not be loaded from the Hugging Face hub, and there is no "
        f"folder of that name: {reason.rstrip('.')}. Without a network, fetch it elsewhere and "
        "give the folder it lies in"
    )
