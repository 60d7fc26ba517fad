"""Small grammars for tests: places in an answer that know what may come next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tests.backbones.tiny_qwen import SPECIALS, VOCABULARY


@dataclass(frozen=True)
class Row:
    """The allowed tokens of each place, one place after the other."""

    slots: tuple[tuple[int, ...], ...]

    @property
    def allowed(self) -> tuple[int, ...]:
        return self.slots[0] if self.slots else ()

    def after(self, token: int) -> Row:
        assert token in self.allowed
        return Row(self.slots[1:])


@dataclass(frozen=True)
class Wild:
    """A grammar drawn from a seed: forced runs and choices, and every answer of its own length."""

    seed: int
    path: tuple[int, ...] = ()

    @property
    def allowed(self) -> tuple[int, ...]:
        rng = np.random.default_rng([self.seed, *self.path])
        if len(self.path) > 6 and rng.random() < 0.15:
            return ()
        count = rng.choice([1, 1, 1, 1, 2, 3, 8])
        tokens = rng.choice(np.arange(len(SPECIALS), VOCABULARY), count, replace=False)
        return tuple(sorted(int(token) for token in tokens))

    def after(self, token: int) -> Wild:
        assert token in self.allowed
        return Wild(self.seed, (*self.path, token))
