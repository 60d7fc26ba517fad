"""What ``bridge_stg`` learns beside the language model: the vectors, the bridge and the decoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from stvg.backbones.learned import LearnedParts, Maps
from stvg.methods.bridge_stg.bridge import Bridge, Words
from stvg.methods.bridge_stg.config import BridgeStgConfig
from stvg.methods.bridge_stg.decoder import Candidates, QueryGuidedDecoder, Views, decoder_config
from stvg.methods.bridge_stg.dino import Asked, Detector, DinoViews, Sentences, padded_ids
from stvg.methods.bridge_stg.frames import Lesson
from stvg.methods.bridge_stg.loss import best_overlaps, judge_stage
from stvg.methods.bridge_stg.tower import TowerViews


@dataclass(frozen=True, slots=True, eq=False)
class Wanted:
    """Frames of one video in which something is looked for.

    Attributes:
        bridge: States of the token that calls boxes and of the vectors behind it, (1 + M, C).
        words: Tokens of the sentence.
        frames: Numbers of the sampled frames, (F,) int64; None where a detector looks.
        maps: What the tower made of the video; nothing where a detector looks.
        pixels: The frames as a detector looks at them, (F, H, W, 3) uint8; None without one.
    """

    bridge: Tensor
    words: tuple[int, ...]
    frames: Tensor | None
    maps: Maps = ()
    pixels: Tensor | None = None

    def __len__(self) -> int:
        shown = self.frames if self.pixels is None else self.pixels
        assert shown is not None
        return len(shown)


class BridgeParts(LearnedParts):
    """See the module.

    Args:
        config: Options of the method.
        centre: Mean of new vectors, (C,).
        vocabulary: Number of tokens of the model.
        tower: Configuration of the vision tower.
        layers: Number of its layers that see whole frames.

    Raises:
        UsageError: If the option width is not that of the detector.
        WeightsError: If there is no such detector.
    """

    gauges = ("box_iou", "box_found")

    def __init__(
        self, config: BridgeStgConfig, centre: Tensor, *, vocabulary: int, tower: Any, layers: int
    ) -> None:
        super().__init__()
        self.is_detached = config.detached
        losses = config.space_loss
        self.weights: Mapping[str, float] = {
            "space_score": losses.score, "space_l1": losses.l1, "space_giou": losses.giou,
            "space_contrast": losses.contrast,
        }  # fmt: skip
        self.keeps_visible = config.visible == "nothing"
        self.matches = config.matches
        width = config.width
        self.bridge = Bridge(centre, config.vectors, width)
        has_words = config.bridge == "sentence"
        self.words: Words | Sentences | None = None
        self.images: TowerViews | DinoViews
        self.needs_maps = config.detector is None
        if config.detector is not None:
            detector = Detector.load(config.detector, width=width)
            self.words = Sentences(detector) if has_words else None
            self.images = DinoViews(detector)
            layers = detector.model.config.encoder_layers if config.layers == "all" else 1
            self.decoder = QueryGuidedDecoder.of_detector(
                detector.model,
                layers,
                config.candidates,
                score=config.score,
            )
            return
        self.words = Words(vocabulary, width) if has_words else None
        # In Qwen2-VL the hidden size is that of visual tokens.
        patch_size = getattr(tower, "embed_dim", tower.hidden_size)
        self.images = TowerViews(layers, patch_size, len(centre), width, tower.temporal_patch_size)
        shape = decoder_config(
            width=width, depth=config.depth, inner=config.inner,
            candidates=config.candidates, levels=2,
        )  # fmt: skip
        layers = layers if config.layers == "all" else 1
        self.decoder = QueryGuidedDecoder(shape, layers, score=config.score, is_new=True)

    @property
    def behind(self) -> Tensor:
        """See :class:`LearnedParts`."""
        vectors: Tensor = self.bridge.vectors.weight
        return vectors

    def find(self, wanted: Sequence[Wanted], *, everywhere: bool = False) -> Candidates:
        """Candidates in all frames, in their order.

        Args:
            wanted: The frames of all videos are of one size.
            everywhere: Give also all places that candidates are chosen of.
        """
        device = wanted[0].bridge.device
        with torch.autocast(device.type, enabled=False):
            counts = torch.tensor([len(each) for each in wanted], device=device)
            rows = torch.arange(len(wanted), device=device).repeat_interleave(counts)
            asked = self._asked(wanted, rows)
            found: Candidates = self.decoder(self._views(wanted, asked), everywhere=everywhere)
        return found

    def _asked(self, wanted: Sequence[Wanted], rows: Tensor) -> Asked:
        """What is looked for in each frame, of which ``rows`` (N,) says the video."""
        if self.words is not None:
            ids, is_text = padded_ids([each.words for each in wanted], rows.device)
            if isinstance(self.words, Sentences):
                read: Asked = self.words(ids, is_text)
                return read.of(rows)
            return Asked(self.words(ids, is_text), is_text).of(rows)
        states = torch.stack([each.bridge for each in wanted]).float()
        return Asked(self.bridge(states.detach() if self.is_detached else states)).of(rows)

    def _views(self, wanted: Sequence[Wanted], asked: Asked) -> Views:
        """What the image encoder makes of the frames."""
        views: Views
        if isinstance(self.images, DinoViews):
            pixels = [each.pixels for each in wanted if each.pixels is not None]
            frames = torch.cat(pixels).permute(0, 3, 1, 2)
            views = self.images(frames, torch.ones_like(frames[:, 0], dtype=torch.bool), asked)
        else:
            numbers = [each.frames for each in wanted if each.frames is not None]
            maps = [each.maps for each in wanted]
            views = self.images(maps, numbers, asked.features, asked.is_text)
        return views

    def judge(
        self, states: Tensor, lessons: Sequence[Lesson], maps: Sequence[Maps]
    ) -> tuple[dict[str, Tensor], dict[str, tuple[float, float]]]:
        """Losses of candidates over all stages; how well and how often the object is found."""
        nothing = sum(each.sum() for each in self.parameters() if each.requires_grad) * 0
        sums = dict.fromkeys(self.weights, nothing)
        shown = maps or [()] * len(lessons)
        sizes: dict[tuple[int, ...], list[int]] = {}
        for row, lesson in enumerate(lessons):
            if len(lesson.frames):
                pictures: Any = shown[row][-1] if maps else lesson.pixels
                sizes.setdefault(tuple(pictures.shape[1:]), []).append(row)
        overlap, right, of = 0.0, 0.0, 0
        for rows in sizes.values():
            wanted = [self._wanted(states[n], lessons[n], shown[n]) for n in rows]
            found = self.find(wanted, everywhere=self.matches > 0)
            goals, elsewhere = (
                torch.cat([torch.from_numpy(getattr(lessons[n], name)) for n in rows])
                .to(found.boxes[0])
                for name in ("goals", "elsewhere")
            )  # fmt: skip
            if self.keeps_visible:
                elsewhere = torch.full_like(elsewhere, torch.nan)
            stages = [(*each, 1) for each in zip(found.scores, found.boxes, strict=True)]
            if found.places is not None:
                stages[0] = (*found.places, self.matches)
            for scores, boxes, matches in stages:
                losses = judge_stage(scores, boxes, goals, elsewhere, matches)
                for name, value in losses.items():
                    sums[f"space_{name}"] = sums[f"space_{name}"] + value
            own = best_overlaps(found.scores[-1], found.boxes[-1], goals)
            overlap, of = overlap + float(own.sum()), of + len(own)
            right += float((own > 0.5).sum())
        return sums, {"box_iou": (overlap, float(of)), "box_found": (right, float(of))}

    def _wanted(self, states: Tensor, lesson: Lesson, maps: Maps) -> Wanted:
        assert lesson.first is not None
        end = lesson.first + 1 + len(self.behind)
        frames = torch.from_numpy(lesson.frames).to(states.device)
        pixels = lesson.pixels
        return Wanted(
            states[lesson.first : end], lesson.words, frames, maps,
            None if pixels is None else torch.from_numpy(pixels).to(states.device),
        )  # fmt: skip
