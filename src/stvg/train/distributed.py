"""The few things that know of several processes: sums over all of them, and what all have found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def sum_over_all(
    accelerator: Any, numbers: Mapping[str, Any], names: Sequence[str]
) -> dict[str, float]:
    """Numbers added up over all processes.

    Args:
        accelerator: Of accelerate.
        numbers: What this process has, any of the names.
        names: All that some process may have, the same for every process.

    Returns:
        The sums of what any process has, in float64.
    """
    if accelerator.num_processes == 1:
        return {name: float(number) for name, number in numbers.items()}
    import torch

    own = [float(numbers.get(name, 0)) for name in names]
    has = [float(name in numbers) for name in names]
    both = torch.tensor([own, has], dtype=torch.float64, device=accelerator.device)  # (2, N)
    sums, counts = accelerator.reduce(both, reduction="sum").tolist()
    return {name: sums[n] for n, name in enumerate(names) if counts[n]}


def add_gradients(accelerator: Any, parameters: Iterable[Any]) -> None:
    """Make every process's gradients the sum of those of all.

    A parameter without a gradient in all processes stays without.

    Args:
        accelerator: Of accelerate.
        parameters: Those of the model, in the same order in every process.
    """
    if accelerator.num_processes == 1:
        return
    import torch

    trained = [each for each in parameters if each.requires_grad]
    has = torch.tensor([float(each.grad is not None) for each in trained])
    counts = accelerator.reduce(has.to(accelerator.device), reduction="sum").tolist()
    reached = [each for each, count in zip(trained, counts, strict=True) if count]
    kinds: dict[Any, list[Any]] = {}
    for each in reached:
        kinds.setdefault(each.dtype, []).append(each)
    for some in kinds.values():
        flat = torch.cat(
            [torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() for p in some]
        )
        flat = accelerator.reduce(flat, reduction="sum")
        for each, part in zip(some, flat.split([p.numel() for p in some]), strict=True):
            each.grad = part.view_as(each)


def gather(accelerator: Any, items: Sequence[Any]) -> list[Any]:
    """What all processes have, in the order of their numbers."""
    if accelerator.num_processes == 1:
        return list(items)
    from accelerate.utils import gather_object

    found: list[Any] = gather_object(list(items))
    return found
