"""Options of ``bridge_stg``."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from stvg.config import Config
from stvg.methods.text_answer import TextAnswerConfig


class SpaceLossConfig(Config):
    """Weights of the losses of boxes, those of Grounding DINO; the loss of the text has weight 1.

    The paper gives none.
    """

    score: float = Field(1.0, ge=0, description="on the focal loss of scores")
    l1: float = Field(5.0, ge=0, description="on the distance of centre and size, in shares")
    giou: float = Field(2.0, ge=0, description="on 1 - generalised IoU")
    contrast: float = Field(
        0.0, ge=0, description="on the likelihood of the right query among those of its frame"
    )


class BridgeStgConfig(TextAnswerConfig):
    """Those of all methods that answer with text, the bridge and the decoder."""

    grammar: str = Field("seconds", description="grammar of the interval: a name or file.py:Class")
    frames: int = Field(256, ge=1, le=768, description="frames that the model sees")
    max_new_tokens: int = Field(32, ge=1, description="longest answer, tokens")
    stamps: Literal["aside", "pushing", "none"] = Field(
        "aside",
        description="the time of every step behind its visual tokens: at positions beside theirs, "
        "as any other text (ablation), or not at all (ablation)",
    )
    det: str = Field("<|box_start|>", description="token that ends the interval and calls boxes")
    vectors: int = Field(
        8, ge=0, le=64, description="vectors behind the answer; 0: the state of det (ablation)"
    )
    bridge: Literal["states", "sentence"] = Field(
        "states",
        description="what the decoder looks for: states of the vectors, or the words of the "
        "sentence alone, which a detector reads by itself (ablation)",
    )
    detached: bool = Field(
        False, description="whether losses of boxes stop at the bridge (ablation)"
    )
    detector: str | None = Field(
        None,
        description="Grounding DINO to begin with, a folder or a hub id, needed later too; default "
        "a decoder of the same class, from scratch, on the layers of the vision tower",
    )
    layers: Literal["all", "last"] = Field(
        "all", description="layers of the image encoder that candidates come from"
    )
    candidates: int = Field(300, ge=1, description="candidates of a frame, over all layers")
    width: int = Field(
        256, ge=16, multiple_of=16, description="width of the decoder; with a detector its own"
    )
    depth: int = Field(6, ge=1, description="layers of a decoder from scratch")
    inner: int = Field(2048, ge=1, description="inner width of its feed-forward layers")
    inside: int = Field(6, ge=1, description="frames of the event that a query is trained on")
    outside: int = Field(
        2, ge=0, description="frames outside of it in which nothing is to be found"
    )
    visible: Literal["ignored", "nothing"] = Field(
        "ignored",
        description="candidates on the object where it is seen outside the event: not judged, or "
        "wrong as all others",
    )
    score: Literal["mean", "best"] = Field(
        "best",
        description="a candidate's score: the mean over what is looked for, which learns several "
        "times faster from scratch, or the best of it, as in Grounding DINO",
    )
    matches: int = Field(
        0,
        ge=0,
        description="places of all layers that a right box is matched with before candidates are "
        "chosen, which begins faster; 0: one of those chosen, as in Grounding DINO",
    )
    box_rate: float = Field(
        5.0, gt=0, description="frames of a second that a detector looks at in the interval"
    )
    box_side: int = Field(
        640, ge=128, description="their shorter side, pixels; less where the longer would pass 1066"
    )
    smooth: bool = Field(
        False, description="the likeliest path through the best candidates instead of the best"
    )
    space_loss: SpaceLossConfig = Field(
        default_factory=SpaceLossConfig, description="weights of the losses of boxes"
    )

    @model_validator(mode="after")
    def _has_places(self) -> Self:
        if self.matches > self.candidates:
            raise ValueError(
                f"matches {self.matches} is above candidates {self.candidates}, of which there are "
                "no more than places"
            )
        return self
