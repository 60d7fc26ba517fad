"""AdamW with groups, and the learning rate as a function of samples seen."""

from __future__ import annotations

import math
from typing import Any

from stvg.train.recipe import Optimiser


def make_optimiser(student: Any, options: Optimiser) -> Any:
    """AdamW over what is trained: matrices with weight decay, vectors and embeddings without.

    Args:
        student: Module whose parameters of the vision tower have ``visual`` in their names, and
            whose ``parts`` are what a method learns beside the model.
        options: Rates; the factors of these two are kept in their groups as ``factor``.
    """
    import torch

    tables = {id(each.weight) for each in student.modules() if isinstance(each, torch.nn.Embedding)}
    groups: dict[tuple[float, float], list[Any]] = {}
    for name, parameter in student.named_parameters():
        factor = 1.0
        if name.startswith("parts."):
            factor = options.parts
        elif ".visual." in name:
            factor = options.tower
        parameter.requires_grad_(parameter.requires_grad and factor > 0)
        if parameter.requires_grad:
            decays = parameter.ndim >= 2 and id(parameter) not in tables
            groups.setdefault((factor, options.weight_decay * decays), []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": members, "factor": factor, "weight_decay": decay}
            for (factor, decay), members in groups.items()
        ],
        lr=options.lr,
        betas=(options.beta1, options.beta2),
    )


def rate_at(seen: int, samples: int, options: Optimiser) -> float:
    """Learning rate after ``seen`` of ``samples`` samples: linear warm-up, then a cosine.

    Example:
        >>> options = Optimiser(lr=1.0, warmup=10, final=0.1)
        >>> [round(rate_at(seen, 110, options), 3) for seen in (0, 5, 10, 60, 110)]
        [0.0, 0.5, 1.0, 0.55, 0.1]
    """
    if seen < options.warmup:
        return options.lr * seen / options.warmup
    done = min((seen - options.warmup) / max(samples - options.warmup, 1), 1.0)
    share = options.final + (1 - options.final) * 0.5 * (1 + math.cos(math.pi * done))
    return options.lr * share


def set_rate(optimiser: Any, rate: float) -> None:
    """Give every group the rate times its factor."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["factor"]
