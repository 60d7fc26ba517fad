"""SpaceVLLM (arXiv 2503.13983): time as text, boxes from a query token behind every frame.

The queries are placeholders of the video with learned vectors; a decoder that reads the last
states of a frame, its query and the sentence gives the frame's box. All it needs is there when the
prompt has been read, so an answer is one reading and a few tokens, however many boxes it has.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from stvg.backbones.asking import Pixels, pixels_of, sentence_places
from stvg.backbones.preprocess import patchify
from stvg.methods.interval_answer import IntervalAnswer
from stvg.methods.spacevllm.config import SpaceVllmConfig
from stvg.methods.spacevllm.places import Lesson, Slots, Spots, goals_of, slots_of, tube_of
from stvg.methods.text_answer import Encoded
from stvg.rewards import Answer as Judged
from stvg.text import View
from stvg.types import Clip, FloatArray, Query, Tube

if TYPE_CHECKING:
    from stvg.methods.spacevllm.parts import SpaceParts


class SpaceVllm(IntervalAnswer):
    """See the module; options in :class:`SpaceVllmConfig`.

    A picture is a clip of one frame, with a query of its own. Several sentences on a video share
    all that stands in front of them; with ``query_first`` that is nothing but the vision tower's
    work, for then the model sees every video through its sentence.
    """

    name = "spacevllm"
    options = SpaceVllmConfig
    parts_options = (
        "frames", "query", "shared_query", "query_tokens", "decoder", "hidden", "box_loss",
    )  # fmt: skip

    def new_parts(self) -> SpaceParts:
        """Query vectors around the mean visual token of noise, and an untrained decoder."""
        import torch

        from stvg.methods.spacevllm.parts import SpaceParts

        backbone, config = self.backbone, self.config
        side = 4 * backbone.layout.cell
        noise = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), dtype=np.uint8)
        with torch.no_grad():
            centre = backbone.encode_video(*patchify(noise, backbone.layout)).tokens.mean(0)
        step = 1 if config.query == "frame" else backbone.layout.temporal_patch
        parts = SpaceParts(
            config,
            centre.cpu(),
            steps=-(-config.frames // step),
            boxes=backbone.layout.temporal_patch if config.query == "pair" else 1,
        )
        moved: SpaceParts = parts.to(backbone.device)
        return moved

    def encode(
        self,
        clip: Clip,
        query: Query,
        target: Tube | None = None,
        *,
        seed: int = 0,
        outside: Tube | None = None,
    ) -> Encoded:
        """See :meth:`TextAnswer.encode`; also where the decoder looks, and the right boxes."""
        del outside
        encoded = super().encode(clip, query, target, seed=seed)
        question, view = encoded.question, encoded.view
        block, merge = question.pixels.block, self.backbone.layout.merge
        steps, visual = block.grid_thw[0], block.tokens(merge)
        sentence = sentence_places(
            self.backbone, self.prompt(query, view), query.text, visual,
            query_first=self.config.query_first,
        )  # fmt: skip
        first = question.ids.index(self.backbone.model.config.video_token_id)
        spots = Spots(first, steps, visual // steps - block.queries, tuple(sentence))
        goals = None if target is None else goals_of(target, view, self._slots(view))
        return replace(encoded, lesson=Lesson(spots, goals))

    def look(self, encoded: Encoded, states: Any) -> FloatArray:
        """The boxes of all slots, (S * N, 4), centre and size as shares of the frame's sides."""
        found = self.parts.find(states[None], [encoded.lesson.spots])[0]
        boxes: FloatArray = found.cpu().numpy().astype(np.float64)
        return boxes

    def read_for(self, query: Query, text: str, encoded: Encoded, clip: Clip) -> Judged:
        """The interval with the boxes of its frames."""
        read = super().read_for(query, text, encoded, clip)
        if read.parsed.interval is None:
            return read
        if not np.isfinite(encoded.seen).all():
            parsed = replace(read.parsed, problem="the boxes of the decoder are not finite")
        else:
            view = encoded.view
            tube = tube_of(encoded.seen, read.parsed.interval, view, self._slots(view))
            parsed = replace(read.parsed, tube=tube, problem=None)
        return replace(read, parsed=parsed)

    def _slots(self, view: View) -> Slots:
        return slots_of(len(view), self.backbone.layout.temporal_patch, self.config.query)

    def _make_pixels(self, clip: Clip) -> Pixels:
        """The clip as the vision tower takes it, each frame twice where a query is for a frame."""
        repeat = self.backbone.layout.temporal_patch if self.config.query == "frame" else 1
        pixels = pixels_of(clip, self.backbone, even_steps=self.config.even_steps, repeat=repeat)
        return replace(pixels, queries=int(self.config.query_tokens))
