"""The query-guided decoder of Bridge-STG (arXiv 2604.08014): candidates of all layers, then boxes.

The class is that of Grounding DINO as ``transformers`` has it, with one change: candidates come
from every layer of the image encoder instead of the last, a few of each, those that agree best with
a bridging query, and their features begin the decoder's queries. With the last layer only and the
gate closed it is Grounding DINO's own decoder. How the paper gathers them is not known in detail;
this is ours.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from stvg.errors import UsageError

_RARE = -4.0
"""Logit of a score before anything is learned: one in fifty."""


@dataclass(frozen=True, slots=True, eq=False)
class Views:
    """What an image encoder makes of N frames.

    Attributes:
        layers: States behind each of its layers, (N, P, d) each.
        anchors: A box at each of their P places, centre and size as logits, (N, P, 4); infinite
            where states count as nothing, as in padding.
        memory: What the decoder looks at, (N, P', d).
        shapes: Rows and columns of the levels of the memory.
        is_real: Places of the memory that are not padding, (N, P') bool; None for all.
        ratios: Real share of each level across and down, (N, levels, 2); None for all of it.
        text: What is looked for, (N, T, d).
        is_text: Which of it is not padding, (N, T) bool; None for all.
    """

    layers: Sequence[Tensor]
    anchors: Tensor
    memory: Tensor
    shapes: tuple[tuple[int, int], ...]
    text: Tensor
    is_real: Tensor | None = None
    ratios: Tensor | None = None
    is_text: Tensor | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """K candidates of N frames.

    Attributes:
        boxes: Centre and size as shares of the frame's sides, (N, K, 4), behind each stage: first
            as they were chosen, then behind each layer of the decoder.
        scores: How much each is what is looked for, as logits, (N, K), behind each stage.
        by_token: The last of them for each token of what is looked for, (N, K, T).
        places: Scores (N, P') and boxes (N, P', 4) of all places that candidates are chosen of;
            None unless asked for.
    """

    boxes: Sequence[Tensor]
    scores: Sequence[Tensor]
    by_token: Tensor
    places: tuple[Tensor, Tensor] | None = None


def decoder_config(*, width: int, depth: int, inner: int, candidates: int, levels: int) -> Any:
    """A decoder from scratch, as ``transformers`` configures Grounding DINO.

    Args:
        width: Length d of a state.
        depth: Layers.
        inner: Inner width of the feed-forward layers.
        candidates: Candidates K of a frame.
        levels: Levels of the memory.
    """
    from transformers import GroundingDinoConfig

    return GroundingDinoConfig(
        d_model=width,
        decoder_layers=depth,
        decoder_attention_heads=max(width // 16, 1) if width < 128 else 8,
        decoder_ffn_dim=inner,
        num_queries=candidates,
        num_feature_levels=levels,
        dropout=0.0,
        attention_dropout=0.0,
        activation_dropout=0.0,
    )


class QueryGuidedDecoder(nn.Module):  # type: ignore[misc]
    """See the module.

    Args:
        config: A ``GroundingDinoConfig``; ``num_queries`` is the number of candidates.
        layers: Layers of the image encoder that candidates come from, at most as many as those.
        score: How products with the tokens that are looked for make a candidate's score.
        is_new: Whether nothing has been learned yet: then features of candidates begin the
            decoder's queries at once rather than come in as the gate is learned, and scores begin
            low, since most candidates are wrong.
    """

    def __init__(
        self,
        config: Any,
        layers: int,
        *,
        score: Literal["mean", "best"] = "best",
        is_new: bool = False,
    ) -> None:
        super().__init__()
        from transformers.models.grounding_dino.modeling_grounding_dino import (
            GroundingDinoDecoder,
            GroundingDinoMLPPredictionHead,
        )

        size, count = config.d_model, config.num_queries

        def box_head() -> Any:
            head = GroundingDinoMLPPredictionHead(size, size, 4, 3)
            nn.init.zeros_(head.layers[-1].weight)
            nn.init.zeros_(head.layers[-1].bias)
            return head

        self.score = score
        self.prior = _RARE if is_new else 0.0
        self.shares = [count // layers + (n < count % layers) for n in range(layers)]
        self.project = nn.ModuleList(nn.Linear(size, size) for _ in range(layers))
        self.norm = nn.ModuleList(nn.LayerNorm(size, config.layer_norm_eps) for _ in range(layers))
        self.propose = box_head()
        self.content = nn.Embedding(count, size)
        self.gate = nn.Parameter(torch.tensor(float(is_new)))
        self.of_layer = nn.Parameter(torch.zeros(layers, size))
        self.decoder = GroundingDinoDecoder(config)
        self.decoder.bbox_embed = nn.ModuleList(box_head() for _ in range(config.decoder_layers))

    @classmethod
    def of_detector(
        cls,
        detector: Any,
        layers: int,
        candidates: int,
        *,
        score: Literal["mean", "best"] = "best",
    ) -> QueryGuidedDecoder:
        """With copies of the weights of a ``GroundingDinoForObjectDetection``.

        Until it is trained, the last layer alone gives what the detector gives. The embeddings of
        its queries are the first ones of the detector's, from the start again where it has fewer.
        The head for boxes, which the detector has once, is one for each layer from here on.
        """
        config, model = copy.deepcopy(detector.config), detector.model
        config.num_queries = candidates
        found = cls(config, layers, score=score)
        for project, norm in zip(found.project, found.norm, strict=True):
            project.load_state_dict(model.enc_output.state_dict())
            norm.load_state_dict(model.enc_output_norm.state_dict())
        found.propose.load_state_dict(model.encoder_output_bbox_embed.state_dict())
        found.decoder.load_state_dict(model.decoder.state_dict())
        embeddings = model.query_position_embeddings.weight.detach()
        with torch.no_grad():
            found.content.weight.copy_(embeddings[torch.arange(candidates) % len(embeddings)])
        return found

    def forward(self, views: Views, *, everywhere: bool = False) -> Candidates:
        """Candidates of frames, each refined layer by layer; with all places where asked for."""
        content, anchors, scores, places = self._choose(views, everywhere=everywhere)
        shapes = torch.tensor(views.shapes, device=anchors.device)  # (levels, 2)
        ratios = views.ratios
        if ratios is None:
            ratios = anchors.new_ones(len(anchors), len(shapes), 2)
        start = anchors.detach().sigmoid()
        out = self.decoder(
            inputs_embeds=content,
            vision_encoder_hidden_states=views.memory,
            vision_encoder_attention_mask=views.is_real,
            text_encoder_hidden_states=views.text,
            text_encoder_attention_mask=None if views.is_text is None else ~views.is_text,
            reference_points=start,
            spatial_shapes=shapes,
            spatial_shapes_list=list(views.shapes),
            level_start_index=torch.cat([shapes.new_zeros(1), shapes.prod(1).cumsum(0)[:-1]]),
            valid_ratios=ratios,
            return_dict=True,
        )
        states, references = out.intermediate_hidden_states, out.intermediate_reference_points
        boxes, by_token = [anchors.sigmoid()], scores
        all_scores = [self._rated(scores)]
        for stage, head in enumerate(self.decoder.bbox_embed):
            before = start if stage == 0 else references[:, stage - 1]
            moved = head(states[:, stage]) + torch.special.logit(before, eps=1e-5)
            boxes.append(moved.sigmoid())
            by_token = agreement(states[:, stage], views)
            all_scores.append(self._rated(by_token))
        return Candidates(boxes, all_scores, by_token, places)

    def _choose(
        self, views: Views, *, everywhere: bool
    ) -> tuple[Tensor, Tensor, Tensor, tuple[Tensor, Tensor] | None]:
        """Contents (N, K, d), boxes as logits (N, K, 4) and scores by token of the candidates."""
        layers = list(views.layers)[-len(self.shares) :]
        count = views.anchors.shape[1]
        if max(self.shares) > count:
            raise UsageError(
                f"expected at most {count * len(layers)} candidates in frames of {count} places "
                f"and {len(layers)} layers, found {sum(self.shares)}; lower the option candidates"
            )
        is_allowed = views.anchors.isfinite().all(-1, keepdim=True)
        parts: list[tuple[Tensor, Tensor, Tensor]] = []
        places: list[tuple[Tensor, Tensor]] = []
        for number, states in enumerate(layers):
            found = states.masked_fill(~is_allowed, 0.0)
            found = self.norm[number](self.project[number](found))  # (N, P, d)
            scores = agreement(found, views)
            best = (
                self._rated(scores).topk(self.shares[number], dim=1).indices[..., None]
            )  # (N, k, 1)
            chosen = found.gather(1, best.expand(-1, -1, found.shape[-1]))
            anchors = views.anchors.gather(1, best.expand(-1, -1, 4))
            shown = scores.gather(1, best.expand(-1, -1, scores.shape[-1]))
            content = self.gate * chosen + self.of_layer[number]
            parts.append((content, self.propose(chosen) + anchors, shown))
            if everywhere:
                boxes = (self.propose(found) + views.anchors).sigmoid()
                places.append((self._rated(scores), boxes))
        content, anchors, scores = (torch.cat(each, dim=1) for each in zip(*parts, strict=True))
        joined = tuple(torch.cat(each, dim=1) for each in zip(*places, strict=True))
        whole = (joined[0], joined[1]) if everywhere else None
        return content + self.content.weight, anchors, scores, whole

    def _rated(self, by_token: Tensor) -> Tensor:
        """Scores (N, K) from products with tokens (N, K, T), -inf at padding."""
        if self.score == "best":
            return by_token.max(-1).values + self.prior
        is_text = by_token.isfinite()
        return by_token.where(is_text, 0.0).sum(-1) / is_text.sum(-1) + self.prior


def agreement(states: Tensor, views: Views) -> Tensor:
    """Products of states (N, K, d) with what is looked for, (N, K, T); -inf at padding."""
    scores = states @ views.text.transpose(-1, -2)
    if views.is_text is None:
        return scores
    return scores.masked_fill(~views.is_text[:, None], -torch.inf)
