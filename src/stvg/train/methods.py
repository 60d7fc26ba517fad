"""Methods around the model in training: they encode its lessons and decode its answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from stvg.backbones.learned import LearnedParts
from stvg.backbones.qwen import QwenBackbone
from stvg.errors import UsageError
from stvg.methods.base import Method
from stvg.methods.text_answer import TextAnswer
from stvg.registry import find_method
from stvg.train.tasks.base import Task


def build_method(
    card: Mapping[str, Any], backbone: QwenBackbone, parts: LearnedParts | None = None
) -> Method:
    """The method that a card names, with its options, around a model.

    Args:
        card: What a checkpoint says of itself.
        backbone: The model; without its weights, for encoding only.
        parts: What the method has learned beside it.

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
    if isinstance(method, TextAnswer):
        method.parts = parts
    return method


def text_method(card: Mapping[str, Any], backbone: QwenBackbone) -> TextAnswer:
    """The method of a card, which encodes what is trained here.

    Raises:
        UsageError: If it does not answer with text, or as :func:`build_method`.
    """
    method = build_method(card, backbone)
    if not isinstance(method, TextAnswer):
        raise UsageError(
            "expected a method that answers with text (a subclass of TextAnswer) to train here, "
            f"found {card.get('method')}"
        )
    return method


def check_lessons(card: Mapping[str, Any], tasks: Iterable[Task]) -> None:
    """Refuse tasks that encode for other learned parts than those of a card's method.

    Args:
        card: What checkpoints will say of themselves.
        tasks: Of training and validation.

    Raises:
        UsageError: If a task's method learns parts and the card names another method, or other
            options that decide them.
    """
    for task in tasks:
        name = getattr(task, "method", None)
        kind: Any = find_method(name) if name is not None else None
        keys: Sequence[str] = getattr(kind, "parts_options", ())
        if not keys:
            continue
        if card.get("method") != name:
            raise UsageError(
                f"the task {task.title} encodes for the method {name}, which learns parts beside "
                f"the model: expected it in the recipe's card (card: {{method: {name}, options: "
                f"...}}), found {card.get('method', 'no method')}"
            )
        ours = kind.options.of(card.get("options") or {})
        theirs = kind.options.of(getattr(task, "options", {}))
        differ = [
            f"{key} is {getattr(ours, key)!r} there and {getattr(theirs, key)!r} here"
            for key in keys
            if getattr(ours, key) != getattr(theirs, key)
        ]
        if differ:
            raise UsageError(
                f"expected the options of {name} in card also in the task {task.title}, for what "
                f"is learned beside the model; {', '.join(differ)}"
            )


def new_parts(card: Mapping[str, Any], backbone: QwenBackbone) -> LearnedParts | None:
    """What the method of a card learns beside a model, not trained yet; None for nothing.

    Raises:
        UsageError: As :func:`build_method`.
    """
    method = build_method(card, backbone) if "method" in card else None
    return method.new_parts() if isinstance(method, TextAnswer) else None
