"""The interface of a method: four questions, answered by one class in a folder.

What frames do you want (``plan``), what does the model see (``encode``), what does its output mean
(``decode``), what is the training signal (``loss`` or ``rewards``); between the last two stands
``run``, which gives the model's outputs for all queries on a video, or on several, at once.
Running, training, evaluation, serving and viewing are written once, against this class.

A method's folder exports its class as ``Method``; nothing else lists it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from stvg.config import Config
from stvg.perception.prepared import FrontEnd
from stvg.perception.track import TrackingConfig
from stvg.types import Clip, Prediction, Query, Tube, VideoMeta
from stvg.video import SamplingPlan


@dataclass(frozen=True, slots=True)
class ScenePlan:
    """A wish for the objects of the video.

    Attributes:
        detector: Name, path, hub id or reference (see ``load_detector``).
        threshold: Detections below this confidence are dropped.
        tracking: How often and how strictly.
        words: What an open-vocabulary detector looks for.
    """

    detector: str
    threshold: float = 0.1
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What a method wants to be given for a query.

    Attributes:
        frames: Which frames at what size, or None when it looks at no frames itself.
        scene: Which objects, or None when it needs none.
        numbered: What finds and numbers the objects, kept on disk once it has; or None.
    """

    frames: SamplingPlan | None = None
    scene: ScenePlan | None = None
    numbered: FrontEnd | None = None


class Method(ABC):
    """Base class of all methods.

    Attributes:
        name: Name of the method, the same as its folder.
        options: Class of its configuration.
    """

    name: ClassVar[str]
    options: ClassVar[type[Config]]

    @classmethod
    @abstractmethod
    def create(cls, model: str | None = None, assignments: Sequence[str] = ()) -> Self:
        """Build the method.

        Args:
            model: Model, detector or checkpoint: a name, a path or a hub id; None for the
                method's default.
            assignments: Options as ``key=value`` texts.

        Raises:
            UsageError: If an option is unknown or out of range.
        """

    @abstractmethod
    def plan(self, meta: VideoMeta, query: Query) -> Plan:
        """What frames and objects the method wants for this query."""

    @abstractmethod
    def encode(self, clip: Clip, query: Query, target: Tube | None = None, *, seed: int = 0) -> Any:
        """What the model sees; with a target also the labels that training needs.

        The seed decides what is drawn at random in the labels.
        """

    @abstractmethod
    def run(self, encoded: Sequence[Any]) -> list[Any]:
        """The model's output for each query, in order.

        Queries on one video stand together; a call may hold several videos.
        """

    @abstractmethod
    def decode(self, output: Any, clip: Clip, query: Query) -> Prediction:
        """What an output means.

        Never raises on what a model produced: an unusable answer is an empty prediction with the
        reason.
        """
