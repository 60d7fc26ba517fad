"""Options of ``stvg_r1``."""

from __future__ import annotations

from string import Formatter
from typing import Literal

from pydantic import Field, field_validator

from stvg.methods.text_answer import TextAnswerConfig
from stvg.perception.matching import MatchConfig
from stvg.perception.numbering import NumberingConfig


class StvgR1Config(TextAnswerConfig):
    """Those of all methods that answer with text, how objects are numbered, and the read-out."""

    grammar: str = Field("r1", description="answer grammar: r1, r1_compact or file.py:Class")
    frames: int = Field(40, ge=1, le=768, description="frames that the model sees")
    pixels: int = Field(
        364 * 196, ge=784, description="most pixels of a frame where no side is given"
    )
    query_first: bool = Field(True, description="whether the sentence stands before the video")
    template: str | None = Field(
        None,
        description="user message in place of ours, with {query} and {duration} in it, for "
        "checkpoints that were trained on another",
    )
    detector: str = Field("yolox_nano", description="what finds objects, see `stvg tracks`")
    classes: tuple[str, ...] = Field(
        (), description="classes or words that get numbers; empty for all"
    )
    threshold: float = Field(0.25, ge=0, le=1, description="detections below it are dropped")
    numbering: NumberingConfig = Field(
        default_factory=NumberingConfig, description="how objects are followed and numbered"
    )
    small: float = Field(
        0.0,
        ge=0,
        le=1,
        description="objects below this share of the frame's largest one are not painted (1/3 in "
        "the paper); answers may name them all the same",
    )
    match: MatchConfig = Field(
        default_factory=MatchConfig, description="which number is the target's, for training"
    )
    asks: Literal["tube", "object", "objects"] | None = Field(
        None,
        description="one object and when, one object or every object that fits in all frames; "
        "default what the query asks for: benchmarks of masks for the latter two",
    )
    use_range: bool = Field(
        False, description="cut also answers to queries about all frames to their time range"
    )
    repair: Literal["hold", "authors"] = Field(
        "hold",
        description="frames in which the object is not seen: the tracker's corrections are "
        "followed and its own boxes carried on, or another object's are taken as in the released "
        "code",
    )

    @field_validator("template")
    @classmethod
    def _has_the_query(cls, template: str | None) -> str | None:
        if template is None:
            return None
        wanted = "needs {query} and may have {duration}, other braces doubled ({{ and }})"
        try:
            names = {
                f"{name}:{form}" if form else name
                for _, name, form, _ in Formatter().parse(template)
                if name is not None
            }
        except ValueError as error:
            raise ValueError(f"{wanted}: {error}") from error
        if not {"query"} <= names <= {"query", "duration"}:
            raise ValueError(f"{wanted}; found {sorted(names)}")
        return template
