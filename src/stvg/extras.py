"""Optional dependencies: import them when needed, and say which extra brings a missing one.

A package counts as available when importing it works, not when it is merely installed.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from stvg.errors import MissingExtraError


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Import an optional module.

    Args:
        module: Dotted name, e.g. ``onnxruntime``.
        extra: The extra of this package that installs it, e.g. ``perception``.
        purpose: What it is needed for, as the start of a sentence, e.g. ``the YOLOX detector``.

    Raises:
        MissingExtraError: If the import fails; carries the reason and the install line.
    """
    try:
        return import_module(module)
    except (ImportError, OSError) as error:  # OSError: a shared library is missing
        raise MissingExtraError(
            f"{purpose} needs the package {module.partition('.')[0]}, which does not import here "
            f'({error}); install it with: pip install "stvg[{extra}]"'
        ) from error
