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
        purpose: What needs it, as the subject of a sentence, e.g. ``the YOLOX detector``.

    Raises:
        MissingExtraError: If the import fails; carries the reason and the install line.
    """
    try:
        return import_module(module)
    except Exception as error:
        # Besides ImportError: OSError for a missing shared library, RuntimeError and
        # AttributeError from packages built for another version of what they stand on.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise MissingExtraError(
            f"{purpose} needs the package {module.partition('.')[0]}, which does not import here "
            f'({reason}); install it with: pip install "stvg[{extra}]"'
        ) from error
