"""Object detectors of ``transformers``: those that look for any words, and those with own classes.

Grounding DINO (and MM Grounding DINO), OWL-ViT and OWLv2 look for the words they are asked for;
DETR, RT-DETR, YOLOS and their kin know their own classes. They are loaded from the hub by id or
from a folder by path and run in float32 whatever they were saved in (several of them compute
wrongly or not at all in half precision), on the graphics card where torch finds one. Pictures are
prepared by the Pillow form of the model's own image processor, so torchvision is not needed and
results do not depend on it.

Words are given to the models as their authors do it: to Grounding DINO as one sentence, "dog. red
cup."; to OWL as "a photo of a dog", one of the templates it was trained with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from stvg.errors import UsageError, WeightsError
from stvg.extras import require
from stvg.geometry.boxes import clip_boxes, convert_boxes
from stvg.hub import why_not_loaded, without_bars
from stvg.perception.detect import Detections
from stvg.types import ByteArray, FloatArray, IntArray

if TYPE_CHECKING:
    from types import ModuleType

_DEFAULT_LONG_SIDE = 800
_GROUNDING = ("grounding-dino", "mm-grounding-dino")
_OWL = ("owlvit", "owlv2")
_CONTENTS = (
    "config.json, weights, preprocessor_config.json, and a tokenizer for one that looks for words"
)
_NO_CLASS = "N/A"  # fills the gaps in the numbering of COCO classes
_THINNEST = 1.0  # pixels of the given frame; what is left of a box outside it is thinner


@dataclass(frozen=True, slots=True)
class TransformersDetector:
    """A detection model with what prepares its inputs.

    Attributes:
        name: The hub id, or the folder's name.
        classes: Names it knows, or None for an open-vocabulary model.
        long_side: Longer side in pixels that its image processor resizes to.
        threshold: Boxes below this confidence are dropped.
        model: The network, in evaluation mode.
        image_processor: Prepares pictures.
        tokenizer: Prepares words; None for a model with classes of its own.
    """

    name: str
    classes: tuple[str, ...] | None
    long_side: int
    threshold: float
    model: Any
    image_processor: Any
    tokenizer: Any = None

    @classmethod
    def load(cls, name: str, *, threshold: float = 0.1, threads: int = 0) -> TransformersDetector:
        """Load a detector and what belongs to it.

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
            auto = _auto_class(transformers, config)
            with without_bars(transformers, name):
                model = auto.from_pretrained(name, config=config, dtype=torch.float32).eval()
            image_processor = transformers.AutoImageProcessor.from_pretrained(name, backend="pil")
            open_words = config.model_type in (*_GROUNDING, *_OWL)
            tokenizer = transformers.AutoTokenizer.from_pretrained(name) if open_words else None
        except Exception as error:
            # A wrong folder makes transformers, its hub client and the weight readers raise
            # classes that share no base but Exception.
            raise WeightsError(why_not_loaded(name, "detector", _CONTENTS, error)) from error
        names = dict.fromkeys(config.id2label.values()) if tokenizer is None else {}
        return cls(
            Path(name).resolve().name if Path(name).is_dir() else name,
            tuple(label for label in names if label != _NO_CLASS) if tokenizer is None else None,
            _long_side(image_processor),
            threshold,
            model.to("cuda" if torch.cuda.is_available() else "cpu"),
            image_processor,
            tokenizer,
        )

    def detect(self, frames: ByteArray, words: Sequence[str] = ()) -> list[Detections]:
        """Find objects; see :class:`stvg.perception.detect.Detector`.

        Raises:
            UsageError: If the model needs words and is given none, or more than it can read.
        """
        if frames.ndim != 4 or frames.shape[-1] != 3:
            raise UsageError(f"expected frames (B, H, W, 3), found {frames.shape}")
        if self.classes is not None:
            return [self._detect_classes(frame) for frame in frames]
        tidied = dict.fromkeys(" ".join(word.split()) for word in words)
        asked = [word for word in tidied if any(letter.isalnum() for letter in word)]
        if not asked:
            raise UsageError(
                f"{self.name} looks for the words it is given and was given none; name them, for "
                'example --classes "dog, red cup"'
            )
        if self.model.config.model_type in _OWL:
            return [self._detect_prompts(frame, asked) for frame in frames]
        return [self._detect_phrases(frame, asked) for frame in frames]

    def _detect_classes(self, frame: ByteArray) -> Detections:
        """Objects of the model's own classes (DETR and kin)."""
        outputs = self._run(frame)
        result = self._post_process(outputs, frame)
        names = self.model.config.id2label
        labels = [names[int(number)] for number in result["labels"]]
        return _inside(_numpy(result["boxes"]), _numpy(result["scores"]), labels, frame)

    def _detect_prompts(self, frame: ByteArray, words: list[str]) -> Detections:
        """Objects by one text a word (OWL-ViT, OWLv2)."""
        texts = self.tokenizer(
            [prompt_of(word) for word in words],
            padding="max_length",
            truncation=True,
            max_length=self.model.config.text_config.max_position_embeddings,
            return_tensors="pt",
        )
        outputs = self._run(
            frame, input_ids=texts["input_ids"], attention_mask=texts["attention_mask"]
        )
        # OWLv2 pads a picture to a square on the right and below; its image processor scales the
        # boxes by the longer side to match.
        result = self._post_process(outputs, frame)
        labels = [words[int(number)] for number in result["labels"]]
        return _inside(_numpy(result["boxes"]), _numpy(result["scores"]), labels, frame)

    def _detect_phrases(self, frame: ByteArray, words: list[str]) -> Detections:
        """Objects by one sentence of all words (Grounding DINO)."""
        texts = self.tokenizer(caption_of(words), return_tensors="pt")
        separator = self.tokenizer.convert_tokens_to_ids(".")
        spans = token_spans(texts["input_ids"][0].tolist(), separator)
        limit = int(self.model.config.max_text_len)
        if len(spans) != len(words) or texts["input_ids"].shape[1] > limit:
            raise UsageError(
                f"{self.name} reads at most {limit} pieces of words at once, found "
                f"{texts['input_ids'].shape[1]} in {len(words)} words; look for fewer words"
            )
        outputs = self._run(frame, **texts)
        height, width = frame.shape[:2]
        scores, best = phrase_scores(_numpy(outputs.logits[0]), spans)
        found = scores > self.threshold
        boxes = convert_boxes(_numpy(outputs.pred_boxes[0])[found], "cxcywh", "xyxy")
        boxes *= np.array([width, height] * 2)
        return _inside(boxes, scores[found], [words[i] for i in best[found]], frame)

    def _run(self, frame: ByteArray, **texts: Any) -> Any:
        """The network's output for one picture (1, ...)."""
        import torch

        pictures = self.image_processor(images=[Image.fromarray(frame)], return_tensors="pt")
        inputs = {
            name: value.to(self.model.device)
            for name, value in {**pictures, **texts}.items()
            if isinstance(value, torch.Tensor)
        }
        inputs["pixel_values"] = inputs["pixel_values"].to(self.model.dtype)
        with torch.inference_mode():
            return self.model(**inputs)

    def _post_process(self, outputs: Any, frame: ByteArray) -> Any:
        """Boxes in pixels of the frame, scores and label numbers above the threshold."""
        (result,) = self.image_processor.post_process_object_detection(
            outputs, threshold=self.threshold, target_sizes=[frame.shape[:2]]
        )
        return result


def prompt_of(word: str) -> str:
    """The text by which OWL is asked for a word.

    Example:
        >>> prompt_of("red cup"), prompt_of("the Dog")
        ('a photo of a red cup', 'a photo of the dog')
    """
    word = word.lower()
    article = "" if word.split(" ")[0] in ("a", "an", "the") else "a "
    return f"a photo of {article}{word}"


def caption_of(words: Sequence[str]) -> str:
    """The sentence by which Grounding DINO is asked for words; each ends in a full stop.

    The marks that separate phrases are taken out of the words themselves.

    Example:
        >>> caption_of(["dog", "St. Bernard"])
        'dog. st bernard.'
    """
    plain = [" ".join(word.lower().translate({46: " ", 63: " "}).split()) for word in words]
    return " ".join(f"{word}." for word in plain)


def token_spans(token_ids: Sequence[int], separator: int) -> list[slice]:
    """Where each word of a caption stands among its tokens.

    Args:
        token_ids: The caption's tokens, one before the first word that belongs to none.
        separator: The token that ends every word.

    Returns:
        One slice a word, without the separator.

    Example:
        >>> token_spans([101, 7, 8, 1012, 9, 1012, 102], separator=1012)
        [slice(1, 3, None), slice(4, 5, None)]
    """
    ends = [place for place, token in enumerate(token_ids) if token == separator]
    starts = [1, *(end + 1 for end in ends)]
    return [slice(start, end) for start, end in zip(starts, ends, strict=False)]


def phrase_scores(logits: FloatArray, spans: Sequence[slice]) -> tuple[FloatArray, IntArray]:
    """Score and number of the word that each box of Grounding DINO fits best.

    A word's score is the mean probability of its tokens, as the authors do it when they look for
    given phrases and in their evaluation on COCO. (Their demo instead reads a label off the tokens
    above a second threshold, which yields mixtures such as "red blue cup" when both a red and a
    blue cup are asked for, and no label at all for boxes below it.)

    Args:
        logits: (N, L) for N boxes and L tokens; minus infinity for padding.
        spans: The tokens of each word; at least one word, none of them empty.

    Returns:
        Scores (N,) in [0, 1] and word numbers (N,).

    Example:
        >>> scores, best = phrase_scores(np.array([[-9.0, 0.0, 0.0, -9.0, 2.0]]), [slice(1, 3),
        ...     slice(4, 5)])
        >>> scores.round(3).tolist(), best.tolist()
        ([0.881], [1])
    """
    chances = 1 / (1 + np.exp(-np.clip(logits, -50, 50)))  # (N, L)
    by_word = np.stack([chances[:, span].mean(axis=1) for span in spans], axis=1)  # (N, words)
    return by_word.max(axis=1), by_word.argmax(axis=1).astype(np.int64)


def _auto_class(transformers: ModuleType, config: Any) -> Any:
    """The auto class that loads a configuration as a detector; refuses what is none."""
    if config.model_type in (*_GROUNDING, *_OWL):
        auto = transformers.AutoModelForZeroShotObjectDetection
    elif type(config) in transformers.MODEL_FOR_ZERO_SHOT_OBJECT_DETECTION_MAPPING:
        raise ValueError(
            f"models of type {config.model_type} are not supported; those that look for words are "
            f"{', '.join((*_GROUNDING, *_OWL))}"
        )
    else:
        auto = transformers.AutoModelForObjectDetection
    mapping = auto._model_mapping
    saved = getattr(config, "architectures", None) or []
    if type(config) in mapping and saved and mapping[type(config)].__name__ not in saved:
        # It would load, with parts of it made up of random numbers.
        raise ValueError(f"it holds a {saved[0]}, not a {mapping[type(config)].__name__}")
    return auto


def _long_side(image_processor: Any) -> int:
    """Longer side in pixels that an image processor resizes to."""
    size = getattr(image_processor, "size", None) or {}
    sides = [size.get(key) for key in ("longest_edge", "height", "width")]
    return max((int(side) for side in sides if side), default=_DEFAULT_LONG_SIDE)


def _numpy(values: Any) -> FloatArray:
    """A tensor as float64 array of the same shape."""
    return np.asarray(values.float().cpu().numpy(), np.float64)


def _inside(
    boxes: FloatArray, scores: FloatArray, labels: Sequence[str], frame: ByteArray
) -> Detections:
    """Detections cut to the frame, surest first; without those outside it and those of no class."""
    height, width = frame.shape[:2]
    boxes = clip_boxes(boxes.reshape(-1, 4), width, height)
    seen = (boxes[:, 2:] - boxes[:, :2] >= _THINNEST).all(axis=1)
    seen &= np.array([label != _NO_CLASS for label in labels], bool)
    order = np.argsort(-scores, kind="stable")
    found = Detections(boxes, np.clip(scores, 0, 1), tuple(labels))
    return found.keep(order[seen[order]])
