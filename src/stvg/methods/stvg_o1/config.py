"""Options of ``stvg_o1``."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from stvg.config import Config
from stvg.methods.text_answer import TextAnswerConfig


class DraftConfig(Config):
    """How the drafts differ from the truth that a cold start is taught; all zero for not at all.

    The paper has no cold start. Drafts that equal the truth would teach copying, with nothing left
    for the think reward; the defaults bring them to a mean IoU of about 0.75.
    """

    shift: float = Field(
        0.08, ge=0, description="standard deviation of the shift of a track, in sides of its boxes"
    )
    smallest: float = Field(0.9, gt=0, description="least factor on the sides of a track's boxes")
    largest: float = Field(1.15, gt=0, description="largest factor on them")
    jitter: float = Field(
        0.03, ge=0, description="standard deviation of each corner in each step, in sides"
    )

    @model_validator(mode="after")
    def _is_ordered(self) -> Self:
        if self.smallest > self.largest:
            raise ValueError(f"smallest {self.smallest} is above largest {self.largest}")
        return self


class StvgO1Config(TextAnswerConfig):
    """Those of all methods that answer with text, and what a cold start is taught."""

    grammar: str = Field("o1", description="answer grammar: a name or file.py:Class, with drafts")
    draft: DraftConfig = Field(
        default_factory=DraftConfig, description="noise of the drafts of a cold start"
    )
