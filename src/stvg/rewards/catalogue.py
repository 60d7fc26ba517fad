"""From the name of a reward to the object that gives it.

A reward is a module of :mod:`stvg.rewards.terms` with a class ``Reward`` whose ``name`` is the
module's name; nothing lists it. Users name their own as ``path/to/file.py:Class``, and functions
with TRL's calling convention as ``package.module:function``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stvg.config import Config
from stvg.errors import UsageError
from stvg.registry import load_object, modules_of, reference_of

from .base import Reward
from .trl import FromTrl, TrlConfig

_PACKAGE = "stvg.rewards.terms"


def available_rewards() -> list[str]:
    """Names of all rewards, sorted.

    Example:
        >>> "temporal" in available_rewards()
        True
    """
    return modules_of(_PACKAGE)


def find_reward(name: str, options: Mapping[str, Any] | None = None) -> Reward:
    """The reward of a name (``temporal``) or of a reference (``file.py:Class``).

    Args:
        name: Name, or reference to a class derived from :class:`Reward` or to a function with
            TRL's calling convention.
        options: Its options by name.

    Raises:
        UsageError: If there is no such reward or option; suggests the nearest name.

    Example:
        >>> find_reward("spatial", {"l1_reduction": "sum", "spatial_floor": None}).bounds
        (-10.0, 2.0)
    """
    found = _load(name)
    kind = options_of(found)
    config = kind.of(options or {})
    if isinstance(found, type):
        reward: Reward = found(config)
        return reward
    return FromTrl(found, config)


def options_of(name_or_kind: Any) -> type[Config]:
    """The class of the options of a reward: of its name, its class or its function."""
    kind = _load(name_or_kind) if isinstance(name_or_kind, str) else name_or_kind
    if isinstance(kind, type) and issubclass(kind, Reward):
        return kind.options
    return TrlConfig


def _load(name: str) -> Any:
    """The class or function of a name."""
    found = load_object(reference_of(name, _PACKAGE, "Reward", "reward"))
    is_reward = isinstance(found, type) and issubclass(found, Reward)
    if not is_reward and (isinstance(found, type) or not callable(found)):
        raise UsageError(
            f"expected {name!r} to be a subclass of stvg.rewards.Reward or a function, found "
            f"{found!r}"
        )
    return found
