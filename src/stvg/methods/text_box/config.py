"""Options of ``text_box``."""

from __future__ import annotations

from pydantic import Field

from stvg.config import Config


class TextBoxConfig(Config):
    """What the model sees and how it answers.

    Checkpoints of this project bring their own values; for others the defaults are meant for an
    instruction-tuned Qwen2.5-VL.
    """

    grammar: str = Field("qwen2_5_json", description="answer grammar: a name or file.py:Class")
    frames: int = Field(32, ge=1, le=768, description="frames that the model sees")
    side: int | None = Field(
        None, ge=8, description="frames are made square with this side, model pixels"
    )
    pixels: int = Field(
        448 * 252, ge=784, description="most pixels of a frame where no side is given"
    )
    query_first: bool = Field(False, description="whether the sentence stands before the video")
    even_steps: bool = Field(
        False, description="count steps instead of seconds in the positions of the video"
    )
    constrained: bool = Field(True, description="allow only what the grammar can write")
    max_new_tokens: int = Field(2048, ge=1, description="longest answer, tokens")
    temperature: float = Field(0.0, ge=0, description="0 takes the likeliest token each time")
    seed: int = Field(0, ge=0, description="seed for sampling")
    dtype: str | None = Field(
        None, description="float32, bfloat16 or float16; default by the device"
    )
    device: str | None = Field(None, description="as torch names it; default a graphics card")
