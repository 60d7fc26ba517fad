"""Tuning what is added to the visual tokens until the model says yes (LRA).

The model is asked about a phrase; what is learned is a vector for each visual token, added where
the tokens enter the language model, so that the answer moves from no to yes. The published update
is gradient descent that is read at the mean of the last two values (from ControlMLLM, arXiv
2407.21534). The general question, under the same shift, keeps the model from saying yes to
anything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stvg.backbones.prefix import Tensor


@dataclass(slots=True)
class Descent:
    """A value that goes downhill, read at a mean of its last two.

    Attributes:
        value: The newest.
        rate: Step length.
        average: Weight of the newest value in the mean, (0, 1]; 1 is plain descent.
        before: The one before; None before the first step.
        refused: Steps that were not taken because the gradient was not finite.
    """

    value: Tensor
    rate: float
    average: float
    before: Tensor | None = None
    refused: int = 0

    @property
    def point(self) -> Tensor:
        """Where to take the gradient, and what the result is."""
        if self.before is None:
            return self.value
        return self.average * self.value + (1 - self.average) * self.before

    def step(self, gradient: Tensor) -> None:
        """Go on.

        Args:
            gradient: Of the loss with respect to :attr:`point`.
        """
        if not gradient.isfinite().all():
            self.refused += 1
            return
        share = 1.0 if self.before is None else self.average  # at first the two are the same
        self.value, self.before = self.value - self.rate * share * gradient, self.value


Objective = Callable[[Tensor, Tensor], Tensor]
"""From yes over no of the question and of the general one, in logits, to a loss."""


def contrast(asked: Tensor, general: Tensor) -> Tensor:
    """Yes over no of a question beyond that of the general one (released code)."""
    return 1 - (asked - general)


def ratio(asked: Tensor, general: Tensor) -> Tensor:
    """How many times likelier yes is than no, whatever the general question's (paper)."""
    del general
    return -asked.exp()


OBJECTIVES: dict[str, Objective] = {"contrast": contrast, "ratio": ratio}
