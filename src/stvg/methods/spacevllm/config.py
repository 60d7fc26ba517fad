"""Options of ``spacevllm``."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from stvg.config import Config
from stvg.methods.text_answer import TextAnswerConfig


class BoxLossConfig(Config):
    """Weights of the losses of boxes; the loss of the text has weight 1.

    The paper gives none. These are those of DETR and TubeDETR.
    """

    l1: float = Field(5.0, ge=0, description="on the distance of centre and size, in shares")
    giou: float = Field(2.0, ge=0, description="on 1 - generalised IoU")


class SpaceVllmConfig(TextAnswerConfig):
    """Those of all methods that answer with text, the queries and the decoder."""

    grammar: str = Field("seconds", description="grammar of the interval: a name or file.py:Class")
    frames: int = Field(64, ge=1, le=768, description="frames that the model sees")
    max_new_tokens: int = Field(32, ge=1, description="longest answer, tokens")
    query: Literal["frame", "step", "pair"] = Field(
        "frame",
        description="what a query stands for: a frame, which is shown twice to fill a step; a step "
        "of two frames, with one box; or the two frames of a step, with a box for each",
    )
    shared_query: bool = Field(
        False, description="one vector for all queries instead of one for each place (ablation)"
    )
    query_tokens: bool = Field(
        True,
        description="queries stand in the prompt; else they go to the decoder alone (ablation)",
    )
    decoder: bool = Field(
        True, description="the decoder attends; else it sees a query's state alone (ablation)"
    )
    hidden: int = Field(1024, ge=1, description="width of the decoder's layers")
    box_loss: BoxLossConfig = Field(
        default_factory=BoxLossConfig, description="weights of the losses of boxes"
    )

    @model_validator(mode="after")
    def _sees_something(self) -> Self:
        if not (self.query_tokens or self.decoder):
            raise ValueError("without query_tokens and without decoder boxes depend on nothing")
        return self
