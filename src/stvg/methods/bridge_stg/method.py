"""Bridge-STG (arXiv 2604.08014): time from the language model, place from a bridged decoder.

The model reads a video with the time of each step beside its pictures and writes the interval.
Behind that stand learned vectors, whose states tell a detection decoder what to look for; it looks
at the frames of the interval only, all at once, so that its cost is linear in the interval and
knows nothing of the rest of the video.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from stvg.backbones.asking import Answer, Behind, Pixels, pixels_of
from stvg.backbones.prefix import Features, Tensor
from stvg.backbones.tower import window_side
from stvg.errors import UsageError
from stvg.methods.base import Plan
from stvg.methods.bridge_stg.config import BridgeStgConfig
from stvg.methods.bridge_stg.files import check_file, frames_at, frames_in
from stvg.methods.bridge_stg.frames import (
    Lesson,
    boxes_at,
    choose_frames,
    frames_of,
    smoothed,
    tube_of,
)
from stvg.methods.interval_answer import IntervalAnswer
from stvg.methods.text_answer import Encoded
from stvg.rewards import Answer as Judged
from stvg.rewards import Target
from stvg.text import View
from stvg.types import Clip, FloatArray, IntArray, Interval, Query, Tube, VideoMeta

if TYPE_CHECKING:
    from stvg.backbones.learned import Maps
    from stvg.methods.bridge_stg.parts import BridgeParts, Wanted

_AT_ONCE = 64
"""Frames that are decoded together from states of the tower, on which memory depends."""
_DETECTED_AT_ONCE = 8
"""Frames that a detector looks at together."""
Boxes = tuple[FloatArray, FloatArray, FloatArray]
"""Boxes, their scores and times of F frames: (F, 4), (F,), (F,)."""


class BridgeStg(IntervalAnswer):
    """See the module; options in :class:`BridgeStgConfig`."""

    name = "bridge_stg"
    options = BridgeStgConfig
    parts_options = (
        "det", "vectors", "bridge", "detached", "detector", "layers", "candidates",
        "width", "depth", "inner", "visible", "score", "matches", "space_loss",
    )  # fmt: skip

    def _check(self) -> None:
        super()._check()
        if len(self._tokens(self.config.det)) != 1:
            raise UsageError(
                f"expected a single token of {self.backbone.name} in the option det, found "
                f"{self.config.det!r}; name one of its vocabulary that answers do not use otherwise"
            )
        self.is_stamped = self.config.stamps != "none"
        self._maps: dict[int, Maps] = {}

    def plan(self, meta: VideoMeta, query: Query) -> Plan:
        """See :class:`Method`; frames whose layers the tower gives have windows of one size."""
        plan, config = super().plan(meta, query), self.config
        window = window_side(self.backbone.model.config.vision_config)
        if plan.frames is None or window is None or config.detector or config.side is not None:
            return plan
        return replace(plan, frames=replace(plan.frames, multiple_of=window))

    def new_parts(self) -> BridgeParts:
        """Vectors around the mean word, and an untrained bridge and decoder."""
        import torch

        from stvg.backbones.tower import whole_layers
        from stvg.methods.bridge_stg.parts import BridgeParts

        model = self.backbone.model
        words = model.get_input_embeddings().weight.detach()
        parts = BridgeParts(
            self.config,
            words.mean(0, dtype=torch.float32).cpu(),
            vocabulary=len(words),
            tower=model.config.vision_config,
            layers=len(whole_layers(model.model.visual)),
        )
        moved: BridgeParts = parts.to(self.backbone.device)
        return moved

    @property
    def end_token(self) -> int:
        """The token that calls boxes."""
        return self._tokens(self.config.det)[0]

    @property
    def behind(self) -> Behind:
        """The vectors behind it."""
        return Behind(self.end_token, self.parts.behind)

    def encode(
        self,
        clip: Clip,
        query: Query,
        target: Tube | None = None,
        *,
        seed: int = 0,
        outside: Tube | None = None,
    ) -> Encoded:
        """See :meth:`TextAnswer.encode`; also the frames to learn boxes from."""
        encoded = super().encode(clip, query, target, seed=seed)
        view, config = encoded.view, self.config
        frames: IntArray = np.zeros(0, np.int64)
        first = None
        if target is not None and encoded.target is not None:
            first = len(encoded.question.ids) + len(encoded.target) - 1
            drawn = [
                seed,
                *(int(1000 * t) for t in (target.interval.start_s, target.interval.end_s)),
            ]
            counts = config.inside, config.outside
            frames = choose_frames(target, outside, view, counts, np.random.default_rng(drawn))
        goals, elsewhere = (boxes_at(tube, view, frames) for tube in (target, outside))
        elsewhere[np.isfinite(goals)] = np.nan
        lesson = Lesson(
            first, self._words(query.text), frames, view.times_s[frames], goals, elsewhere
        )
        if config.detector is not None:
            check_file(clip.meta)
            lesson = replace(lesson, video=clip.meta, begins=clip.first)
            if len(frames):
                pixels = frames_at(clip.meta, lesson.times_s, config.box_side, first=clip.first)
                lesson = replace(lesson, pixels=pixels)
        return replace(encoded, lesson=lesson, behind=config.vectors)

    def encode_time(self, clip: Clip, query: Query, interval: Interval) -> Encoded:
        """A query whose interval is known and no box: time is learned from it alone.

        Args:
            clip: What the model sees.
            query: The question.
            interval: The right one.
        """
        encoded = super().encode(clip, query)
        truth = Target((), encoded.view.size, columns={"query": query.text, "id": query.id})
        try:
            text = self.codec.render(interval, encoded.view)
        except UsageError as error:
            return replace(encoded, truth=truth, problem=str(error))
        frames, boxes = np.zeros(0, np.int64), np.zeros((0, 4))
        lesson = Lesson(None, (), frames, np.zeros(0), boxes, boxes)
        return replace(
            encoded, target=(*self._tokens(text), self.end_token), truth=truth, lesson=lesson,
            behind=self.config.vectors,
        )  # fmt: skip

    def _words(self, text: str) -> tuple[int, ...]:
        """Tokens of a sentence for decoders that see nothing else."""
        if self.config.bridge != "sentence":
            return ()
        if self.config.detector is None:
            return tuple(self._tokens(text))
        from stvg.methods.bridge_stg.dino import sentence_ids

        return sentence_ids(self.config.detector, text)

    def look(self, encoded: Encoded, states: Tensor) -> Tensor:
        """The states of the bridge; the decoder runs when all answers are there."""
        del encoded
        return states

    def run(self, encoded: Sequence[Encoded]) -> list[tuple[Answer, Encoded]]:
        """The model's answers, and boxes in the frames of their intervals."""
        try:
            return [
                (said, replace(item, seen=self._locate(said.text, item)))
                for said, item in super().run(encoded)
            ]
        finally:
            self._maps = {}

    def read_for(self, query: Query, text: str, encoded: Encoded, clip: Clip) -> Judged:
        """The interval with the boxes of its frames."""
        read = super().read_for(query, text, encoded, clip)
        if read.parsed.interval is None:
            return read
        boxes, scores, times_s = encoded.seen
        if not np.isfinite(boxes).all():
            parsed = replace(read.parsed, problem="the boxes of the decoder are not finite")
        else:
            tube = tube_of(boxes, scores, times_s, read.parsed.interval, encoded.view)
            parsed = replace(read.parsed, tube=tube, problem=None)
        return replace(read, parsed=parsed)

    def _locate(self, text: str, item: Encoded) -> Boxes | None:
        """Boxes of an answer, whose ``seen`` is its bridge; None without an interval."""
        import torch

        interval = self.codec.parse(text, item.view).interval
        if interval is None:
            return None
        found: list[Boxes] = []
        with torch.no_grad():
            for times_s, wanted in self._looked_at(interval, item):
                candidates = self.parts.find([wanted])
                boxes = candidates.boxes[-1].double().cpu().numpy()
                scores = candidates.scores[-1].double().sigmoid().cpu().numpy()
                found.append((boxes, scores, times_s))
        boxes, scores, times_s = (np.concatenate(each) for each in zip(*found, strict=True))
        return (*self._chosen(boxes, scores), times_s)

    def _looked_at(self, interval: Interval, item: Encoded) -> Iterator[tuple[FloatArray, Wanted]]:
        """The frames of an interval, some at a time, with when they are shown."""
        import torch

        from stvg.methods.bridge_stg.parts import Wanted

        config, bridge, words = self.config, item.seen, item.lesson.words
        if config.detector is not None:
            for times_s, pixels in frames_in(
                interval, item.lesson.video, rate=config.box_rate, side=config.box_side,
                most=_DETECTED_AT_ONCE, first=item.lesson.begins,
            ):  # fmt: skip
                shown = torch.from_numpy(pixels).to(bridge.device)
                yield times_s, Wanted(bridge, words, None, pixels=shown)
            return
        frames, times_s = frames_of(interval, item.view)
        maps = self._maps[id(item.question.pixels)]
        for first in range(0, len(frames), _AT_ONCE):
            some = slice(first, first + _AT_ONCE)
            numbers = torch.from_numpy(frames[some]).to(bridge.device)
            yield times_s[some], Wanted(bridge, words, numbers, maps)

    def _chosen(self, boxes: FloatArray, scores: FloatArray) -> tuple[FloatArray, FloatArray]:
        """One candidate a frame: boxes (F, 4) and scores (F,) of (F, K, 4) and (F, K)."""
        best = smoothed(boxes, scores) if self.config.smooth else scores.argmax(axis=1)
        rows = np.arange(len(boxes))
        return boxes[rows, best], scores[rows, best]

    def _features(self, pixels: Pixels) -> Features:
        """See :class:`TextAnswer`; what the tower's layers gave is kept for the decoder."""
        from stvg.backbones.learned import as_map

        video = super()._features(pixels)
        if not self.parts.needs_maps:
            return video
        tokens = as_map(video.tokens, video.grid_thw, self.backbone.layout.merge)
        self._maps[id(pixels)] = (*video.layers, tokens)
        return video

    def _make_pixels(self, clip: Clip) -> Pixels:
        """The clip as the vision tower takes it, with the time of each step behind it."""
        pixels = pixels_of(clip, self.backbone, even_steps=self.config.even_steps)
        if not self.is_stamped:
            return pixels
        view = View.of(clip, self.backbone.layout.temporal_patch)
        stamps = tuple(
            tuple(self._tokens(self.codec.stamp(view, view.step_frames(step)[0])))
            for step in range(view.steps)
        )
        return replace(pixels, stamps=stamps, pushes=self.config.stamps == "pushing")

    def _tokens(self, text: str) -> list[int]:
        found: list[int] = self.backbone.tokenizer(text, add_special_tokens=False)["input_ids"]
        return found
