"""Options of ``dsth``, and what the released code and the paper set otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from stvg.config import Config
from stvg.perception.track import TrackingConfig

REPRODUCED: dict[str, dict[str, Any]] = {
    "authors": {
        "frames": 20, "repeat_frames": True, "token": -3, "time_token": -3, "mask": "pixels",
        "time": "window", "ties_stop": True,
    },
    "paper": {
        "frames": 20, "repeat_frames": True, "objective": "ratio", "steps": 1,
        "reads": "sentence", "shift_general": False, "layers": "all", "time_token": "activation",
        "mask": "pixels", "time": "window", "ties_stop": True,
    },
}  # fmt: skip
"""Values that ``reproduce`` puts in place of defaults; a value that is given stays."""


class DsthConfig(Config):
    """What the model sees and is asked, how its attention is tuned and read, how it decides.

    The names of the paper are in brackets.
    """

    reproduce: Literal["authors", "paper"] | None = Field(
        None, description="take the values of the released code, or of the paper's algorithm"
    )
    frames: int = Field(40, ge=1, le=768, description="frames that the model sees")
    repeat_frames: bool = Field(
        False, description="show each frame as often as the model joins frames to one step"
    )
    side: int = Field(224, ge=8, description="frames are made square with this side, model pixels")
    query_first: bool = Field(False, description="whether the question stands before the video")
    even_steps: bool = Field(
        False, description="count steps instead of seconds in the positions of the video"
    )
    split: Literal["rules", "model", "endpoint", "none"] = Field(
        "rules",
        description="who splits the sentence into looks and action [DSTH]: rules, the model itself,"
        " a server with the interface of OpenAI, or nobody",
    )
    endpoint: str = Field(
        "http://localhost:8000/v1", description="address of the server, up to /v1"
    )
    endpoint_model: str = Field("default", description="what the server calls its model")
    split_cache: str | None = Field(
        None, description="file that keeps splits of models; default in the user's cache"
    )
    question: str = Field(
        "Is there {} in this video?", description="what is asked of each part, {} in its place"
    )
    general: str = Field(
        "Describe this video.", description="what is asked to see what always draws attention"
    )
    steps: int = Field(2, ge=0, description="steps of tuning [LRA]; 0 reads without tuning")
    rate: float = Field(8.0, gt=0, description="step length of tuning")
    average: float = Field(
        0.5, gt=0, le=1, description="weight of the newest value in the mean of the last two"
    )
    objective: Literal["contrast", "ratio"] = Field(
        "contrast",
        description="what tuning raises: yes over no beyond the general question's, or by itself",
    )
    shift_general: bool = Field(
        True, description="whether the general question sees what tuning added too"
    )
    reads: Literal["part", "sentence"] = Field(
        "part", description="which question's attention is read behind what was tuned"
    )
    reverse: bool = Field(
        True, description="look for the object also with the steps in reverse [TAS]"
    )
    layers: tuple[int, int] | Literal["middle", "all"] = Field(
        "middle", description="layers that are read: first and last, from 0, or a rule"
    )
    token: int | Literal["activation", "mean"] = Field(
        "activation",
        description="whose attention says where: the token with the highest peak, the mean of all,"
        " or a token by its number, -1 the last of the prompt",
    )
    time_token: int | Literal["activation", "mean"] = Field(
        "mean", description="whose attention says when, likewise"
    )
    mask: Literal["share", "pixels"] = Field(
        "share",
        description="weight of a cell for a box: the share of the smaller that both have, or that"
        " of a mask at full size brought to the size of the map",
    )
    time: Literal["window", "fitted"] = Field(
        "fitted",
        description="length of the answer: a fixed share of the video, or fitted to the attention",
    )
    keep: float = Field(0.55, gt=0, le=1, description="window: share of the frames that are kept")
    ties_stop: bool = Field(
        False, description="window: end it early where both neighbours are equal"
    )
    detector: str = Field(
        "IDEA-Research/grounding-dino-tiny",
        description="detector: a name, a path or a hub id; figures with the embedded model",
    )
    threshold: float = Field(
        0.4, ge=0, lt=1, description="detections below this confidence are dropped"
    )
    tracking: TrackingConfig = Field(TrackingConfig(), description="how objects are followed")
    objects: int = Field(16, ge=1, description="most objects to choose from, the surest ones")
    dtype: str | None = Field(
        None, description="float32, bfloat16 or float16; default by the device"
    )
    device: str | None = Field(None, description="as torch names it; default a graphics card")

    @field_validator("question")
    @classmethod
    def _has_a_place(cls, question: str) -> str:
        if question.count("{}") != 1:
            raise ValueError("needs {} once, where the phrase goes")
        return question

    @model_validator(mode="before")
    @classmethod
    def _as_reproduced(cls, values: Any) -> Any:
        """Defaults of another origin under what was given."""
        if not isinstance(values, Mapping):
            return values
        return {**REPRODUCED.get(str(values.get("reproduce")), {}), **values}
