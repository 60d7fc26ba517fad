"""What a method learns beside the language model: vectors of its own, and a head on its states.

The model itself is not changed. :class:`LearnedParts` puts vectors between the visual tokens of a
video (:meth:`~LearnedParts.features`) or behind each answer (:attr:`~LearnedParts.behind`), makes
losses of the states that the model gives (:meth:`~LearnedParts.judge`), and lies as one file beside
the model's weights.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

from torch import Tensor, nn

from stvg.backbones.preprocess import Grid
from stvg.errors import WeightsError

PARTS = "parts.safetensors"
"""Learned parts in a model's folder."""


Maps = Sequence[Tensor]
"""What the vision tower makes of a video: states of the patches behind each layer that sees whole
frames, (S, rows, columns, C') each, and last the visual tokens, (S, rows / m, columns / m, C)."""


class Lesson(Protocol):
    """What parts are to learn from one query; made by the method's ``encode``, without torch."""

    @property
    def counts(self) -> Mapping[str, int]:
        """What each family of losses is divided by, summed over queries."""


class LearnedParts(nn.Module, ABC):  # type: ignore[misc]
    """Base class of learned parts.

    Attributes:
        weights: Weight of each loss, by its name. What stands before the first ``_`` is its family:
            losses of a family are divided by the same count.
        gauges: Names of its gauges.
        needs_maps: Whether it looks at the states of the vision tower's layers.
    """

    weights: Mapping[str, float]
    gauges: ClassVar[tuple[str, ...]]
    needs_maps: bool = False

    @property
    def behind(self) -> Tensor | None:
        """Vectors (M, C) that stand behind each answer; None for a method without."""
        return None

    def features(self, tokens: Tensor, grid: Grid) -> Tensor:
        """The tokens of a video with vectors of the method behind those of each step.

        Args:
            tokens: (S * K, C), K visual tokens in each of S steps.
            grid: Patches in time, height and width.

        Returns:
            (S * (K + queries), C); without such vectors the tokens themselves.
        """
        del grid
        return tokens

    @abstractmethod
    def judge(
        self, states: Tensor, lessons: Sequence[Any], maps: Sequence[Maps]
    ) -> tuple[dict[str, Tensor], dict[str, tuple[float, float]]]:
        """Losses and gauges of queries.

        Args:
            states: (R, L, C) behind the final norm, arbitrary behind the end of a row.
            lessons: What is to be learned of each row.
            maps: Of the video of each row; empty where they are not needed.

        Returns:
            Losses by name, each summed so that the family's count makes it a mean; and gauges:
            a sum, and of how many.
        """


def as_map(tokens: Tensor, grid: Grid, merge: int) -> Tensor:
    """Visual tokens (K, C) of a video as the last of its :data:`Maps`."""
    steps, height, width = grid
    return tokens.reshape(steps, height // merge, width // merge, -1)


def load_parts(parts: LearnedParts, folder: str | Path) -> bool:
    """Take over the learned parts of a model's folder.

    Args:
        parts: Where they go.
        folder: The folder, or a hub id, which has none.

    Returns:
        Whether there are any.

    Raises:
        WeightsError: If they cannot be read or do not fit.
    """
    from safetensors.torch import load_file

    path = Path(folder) / PARTS
    if not path.is_file():
        return False
    try:
        tensors = load_file(path)
    except Exception as error:  # safetensors has a class of its own
        raise WeightsError(
            f"the learned parts in {path} cannot be read: {_in_short(error)}; copy the model again"
        ) from error
    try:
        parts.load_state_dict(tensors)
    except RuntimeError as error:
        raise WeightsError(
            f"the learned parts in {path} do not fit the method's options: {_in_short(error)}; "
            "leave the options as they were in training"
        ) from error
    return True


def _in_short(error: Exception) -> str:
    """What an error says, on one line."""
    return " ".join(str(error).split())[:200]
