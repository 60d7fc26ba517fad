"""``stvg_r1`` with answers from a file, for tests: everything but the model's words is real."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from stvg.backbones.asking import Answer
from stvg.backbones.qwen import QwenBackbone
from stvg.methods.stvg_r1 import Method as StvgR1
from stvg.methods.stvg_r1.config import StvgR1Config
from stvg.train.fresh import FreshConfig, fresh_model, fresh_tokenizer

SMALL = FreshConfig(hidden=32, layers=2, inner=32, tower_hidden=32, tower_inner=32)
OPTIONS = {"frames": 4, "side": 64, "detector": "figures"}


class Scripted(StvgR1):
    """``model`` is a JSON file, the answer by sentence."""

    answers: dict[str, str]

    @classmethod
    def create(cls, model: str | None = None, assignments: Sequence[str] = ()) -> Self:
        backbone = QwenBackbone(fresh_model(SMALL), fresh_tokenizer(), "random")
        method = cls(backbone, StvgR1Config.from_assignments(assignments, **OPTIONS))
        method.answers = json.loads(Path(str(model)).read_text())
        return method

    def encode(self, clip: Any, query: Any, target: Any = None, *, seed: int = 0) -> Any:
        return query.text, super().encode(clip, query, target, seed=seed)

    def run(self, encoded: Sequence[Any]) -> list[Any]:
        return [(Answer(self.answers[text], (1, 2), 0.5, True), item) for text, item in encoded]
