"""The rewards of the published methods with their weights, as options of a recipe."""

from __future__ import annotations

from abc import abstractmethod

from pydantic import Field

from stvg.config import Config

from .boxes import BoxConfig
from .mix import Mix
from .terms.number import NumberConfig


class RewardsConfig(Config):
    """Options of the rewards of a method: what a recipe may say of them."""

    @abstractmethod
    def mix(self) -> Mix:
        """The rewards."""


class StvgO1Rewards(RewardsConfig):
    """Rewards of STVG-o1 (arXiv 2511.21375): ``R = R_f + R_c + R_t + R_s + 0.5 R_k``.

    Example:
        >>> StvgO1Rewards.of({"think": 0, "boxes": {"l1": False}}).mix().weights["think"]
        0.0
    """

    format: float = Field(1.0, ge=0, description="weight of the form of the answer, R_f")
    consistency: float = Field(1.0, ge=0, description="weight of one box for every step, R_c")
    temporal: float = Field(1.0, ge=0, description="weight of the overlap in time, R_t")
    spatial: float = Field(1.0, ge=0, description="weight of draft and boxes, R_s")
    think: float = Field(
        0.5, ge=0, le=1, description="weight of boxes better than the draft, R_k; at most 1"
    )
    boxes: BoxConfig = Field(
        default_factory=BoxConfig, description="options of the spatial and the think reward"
    )
    others: dict[str, float] = Field(
        default_factory=dict, description="weights of further rewards: a name or file.py:Class"
    )

    def mix(self) -> Mix:
        """The rewards."""
        names = ("format", "consistency", "temporal", "spatial", "think")
        weights = {name: float(getattr(self, name)) for name in names}
        return Mix.of({**weights, **self.others}, self.boxes.model_dump())


class StvgR1Rewards(RewardsConfig):
    """Rewards of STVG-R1 (arXiv 2602.11730): ``R = r_t + r_s + r_f``.

    Example:
        >>> sorted(StvgR1Rewards().mix().rewards)
        ['marked_overlap', 'number', 'temporal', 'think_format']
    """

    temporal: float = Field(1.0, ge=0, description="weight of the overlap in time, r_t")
    number: float = Field(1.0, ge=0, description="weight of the right number, r_s")
    marked_overlap: float = Field(
        0.0, ge=0, description="weight of the overlap of the named object, in place of r_s"
    )
    think_format: float = Field(1.0, ge=0, description="weight of the form of the answer, r_f")
    options: NumberConfig = Field(
        default_factory=NumberConfig, description="options of the number reward"
    )
    others: dict[str, float] = Field(
        default_factory=dict, description="weights of further rewards: a name or file.py:Class"
    )

    def mix(self) -> Mix:
        """The rewards."""
        names = ("temporal", "number", "marked_overlap", "think_format")
        weights = {name: float(getattr(self, name)) for name in names}
        return Mix.of({**weights, **self.others}, self.options.model_dump())
