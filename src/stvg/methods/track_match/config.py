"""Options of ``track_match``."""

from __future__ import annotations

from pydantic import Field

from stvg.config import Config
from stvg.perception.track import TrackingConfig


class TrackMatchConfig(Config):
    """What looks at the video and how its findings are weighed. Values are ours."""

    detector: str = Field("yolox_nano", description="detector: a name, a path or a hub id")
    threshold: float = Field(
        0.1, ge=0, lt=1, description="detections below this confidence are dropped"
    )
    tracking: TrackingConfig = Field(TrackingConfig(), description="how objects are followed")
    min_class: float = Field(
        0.25, ge=0, le=1, description="share of an object's confidence that must fit the noun"
    )
    min_confidence: float = Field(
        0.3, ge=0, le=1, description="mean confidence that an answer's boxes must have"
    )
    min_colour: float = Field(
        0.06, ge=0, le=1, description="below this colour score for all objects, nothing is found"
    )
    min_motion: float = Field(
        0.3, ge=0, le=1, description="peak from which a motion counts as seen"
    )
    prominence_weight: float = Field(
        0.5, ge=0, description="weight of being large and long in view, against 1 for each cue"
    )
    candidates: int = Field(5, ge=1, description="objects shown with their scores in the details")
