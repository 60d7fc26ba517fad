"""From the name of a reward to the object that gives it.

A reward is a module of :mod:`stvg.rewards.terms` with a class ``Reward`` whose ``name`` is the
module's name; nothing lists it. Users name their own as ``path/to/file.py:Class``, and functions
with TRL's calling convention as ``package.module:function``.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from typing import Any

import stvg.rewards.terms
from stvg.config import Config
from stvg.errors import UsageError
from stvg.registry import load_object, suggest

from .base import Reward
from .trl import FromTrl, TrlConfig


def available_rewards() -> list[str]:
    """Names of all rewards, sorted.

    Example:
        >>> "temporal" in available_rewards()
        True
    """
    return sorted(entry.name for entry in pkgutil.iter_modules(stvg.rewards.terms.__path__))


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
    if ":" not in name:
        known = available_rewards()
        if name not in known:
            raise UsageError(
                f"there is no reward {name!r}; {suggest(name, known)}; one of your own is named "
                "as file.py:Class"
            )
        name = f"stvg.rewards.terms.{name}:Reward"
    found = load_object(name)
    is_reward = isinstance(found, type) and issubclass(found, Reward)
    if not is_reward and (isinstance(found, type) or not callable(found)):
        raise UsageError(
            f"expected {name!r} to be a subclass of stvg.rewards.Reward or a function, found "
            f"{found!r}"
        )
    return found
