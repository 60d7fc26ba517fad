"""Any object detector of ``transformers``: Grounding DINO, OWLv2, RT-DETR, DETR and their kin.

Open-vocabulary models look for the words they are asked for; the others know their own classes.
Loaded from the hub by id or from a folder by path; the Pillow form of the image processor is
asked for, so that torchvision is not needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stvg.errors import UsageError, WeightsError
from stvg.extras import require
from stvg.geometry.boxes import clip_boxes
from stvg.perception.detect import Detections
from stvg.types import ByteArray

_DEFAULT_LONG_SIDE = 800


@dataclass(frozen=True, slots=True)
class TransformersDetector:
    """A detection model with its processor.

    Attributes:
        name: The hub id, or the folder's name.
        classes: Names it knows, or None for an open-vocabulary model.
        long_side: Longer side in pixels that its processor resizes to.
    """

    name: str
    classes: tuple[str, ...] | None
    long_side: int
    threshold: float
    model: Any
    processor: Any

    @classmethod
    def load(cls, name: str, *, threshold: float = 0.1, threads: int = 0) -> TransformersDetector:
        """Load a detector and its processor.

        Args:
            name: Hub id (``owner/name``) or local folder.
            threshold: Boxes below this confidence are dropped.
            threads: CPU threads, 0 leaves torch's own choice.

        Raises:
            MissingExtraError: If torch or transformers do not import.
            WeightsError: If the folder or id cannot be loaded as a detector.
        """
        torch = require("torch", "models", "a transformers detector")
        transformers = require("transformers", "models", "a transformers detector")
        if threads:
            torch.set_num_threads(threads)
        try:
            config = transformers.AutoConfig.from_pretrained(name)
            open_words = type(config) in transformers.MODEL_FOR_ZERO_SHOT_OBJECT_DETECTION_MAPPING
            auto = (
                transformers.AutoModelForZeroShotObjectDetection
                if open_words
                else transformers.AutoModelForObjectDetection
            )
            model = auto.from_pretrained(name).eval()
            load_processor = (
                transformers.AutoProcessor if open_words else (transformers.AutoImageProcessor)
            )
            processor = load_processor.from_pretrained(name, backend="pil")
        except (OSError, ValueError, ImportError) as error:
            raise WeightsError(
                f"expected a detection model of transformers in {name!r}, which did not load: "
                f"{str(error).splitlines()[0]}"
            ) from error
        device = "cuda" if torch.cuda.is_available() else "cpu"
        labels = (
            None
            if open_words
            else tuple(model.config.id2label[i] for i in sorted(model.config.id2label))
        )
        return cls(
            Path(name).name if Path(name).is_dir() else name,
            labels,
            _long_side(processor),
            threshold,
            model.to(device),
            processor,
        )

    def detect(self, frames: ByteArray, words: Sequence[str] = ()) -> list[Detections]:
        """Find objects; see :class:`stvg.perception.detect.Detector`.

        Raises:
            UsageError: If the model needs words and none are given.
        """
        if frames.ndim != 4 or frames.shape[-1] != 3:
            raise UsageError(f"expected frames (B, H, W, 3), found {frames.shape}")
        if self.classes is None and not words:
            raise UsageError(
                f"{self.name} looks for the words it is given and was given none; name them, for "
                'example --classes "dog, red cup"'
            )
        return [self._detect_one(frame, list(words)) for frame in frames]

    def _detect_one(self, frame: ByteArray, words: list[str]) -> Detections:
        import torch

        height, width = frame.shape[:2]
        text = {} if self.classes is not None else {"text": [words]}
        inputs = self.processor(images=[frame], return_tensors="pt", **text).to(self.model.device)
        with torch.inference_mode():
            outputs = self.model(**inputs)
        sizes = [(height, width)]
        if self.classes is not None:
            (result,) = self.processor.post_process_object_detection(
                outputs, threshold=self.threshold, target_sizes=torch.tensor(sizes)
            )
            labels = [self.classes[int(label)] for label in result["labels"]]
        else:
            (result,) = self.processor.post_process_grounded_object_detection(
                outputs, threshold=self.threshold, target_sizes=sizes, text_labels=[words],
                **({"input_ids": inputs["input_ids"]} if self._reads_phrases else {}),
            )  # fmt: skip
            labels = [str(label) for label in result["text_labels"]]
        scores = result["scores"].float().cpu().numpy().astype(np.float64)
        boxes = clip_boxes(result["boxes"].float().cpu().numpy().astype(np.float64), width, height)
        named = np.array([bool(label) for label in labels], bool)
        return Detections(boxes, scores, tuple(labels)).keep(named)

    @property
    def _reads_phrases(self) -> bool:
        """Whether labels are read back from the prompt's tokens (Grounding DINO)."""
        return "grounding-dino" in self.model.config.model_type


def _long_side(processor: Any) -> int:
    """Longer side in pixels that an image processor resizes to."""
    size = getattr(getattr(processor, "image_processor", processor), "size", None) or {}
    sides = [size.get(key) for key in ("longest_edge", "height", "width")]
    return max((int(side) for side in sides if side), default=_DEFAULT_LONG_SIDE)
