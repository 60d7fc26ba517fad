"""What ``spacevllm`` learns beside the language model: query vectors and the space decoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from stvg.backbones.learned import LearnedParts, Maps
from stvg.backbones.preprocess import Grid
from stvg.errors import UsageError
from stvg.methods.boxes import box_losses
from stvg.methods.spacevllm.config import SpaceVllmConfig
from stvg.methods.spacevllm.decoder import SpaceDecoder
from stvg.methods.spacevllm.places import Lesson, Spots

_SPREAD = 0.02  # standard deviation of new query vectors around their centre


class SpaceParts(LearnedParts):
    """See the module.

    Args:
        config: Options of the method.
        centre: Mean of new query vectors, (C,).
        steps: Most steps of a video.
        boxes: Boxes N that a query gives.
    """

    gauges = ("box_iou",)

    def __init__(self, config: SpaceVllmConfig, centre: Tensor, *, steps: int, boxes: int) -> None:
        super().__init__()
        size = len(centre)
        self.stand_in_prompt = config.query_tokens
        self.is_shared = config.shared_query
        self.weights: Mapping[str, float] = {
            "box_l1": config.box_loss.l1, "box_giou": config.box_loss.giou,
        }  # fmt: skip
        count = (1 if self.is_shared else steps) + 1  # the last one is that of pictures
        vectors = centre.float() + _SPREAD * torch.randn(count, size)
        self.queries = nn.Embedding.from_pretrained(vectors, freeze=False)
        self.decoder = SpaceDecoder(size, hidden=config.hidden, boxes=boxes, attends=config.decoder)

    def queries_of(self, steps: int) -> Tensor:
        """Vectors of the queries of a video, (S, C); a single step is a picture.

        Raises:
            UsageError: If the video has more steps than there are vectors.
        """
        vectors: Tensor = self.queries.weight
        most = len(vectors) - 1
        if steps == 1:
            return vectors[-1:]
        if self.is_shared:
            return vectors[:1].expand(steps, -1)
        if steps > most:
            raise UsageError(
                f"expected a video of at most {most} steps, as many as there are query vectors, "
                f"found {steps}; show fewer frames"
            )
        return vectors[:steps]

    def features(self, tokens: Tensor, grid: Grid) -> Tensor:
        """See :meth:`LearnedParts.features`."""
        if not self.stand_in_prompt:
            return tokens
        by_step = tokens.unflatten(0, (grid[0], -1))  # (S, K, C)
        queries = self.queries_of(grid[0])[:, None].to(tokens.dtype)  # (S, 1, C)
        return torch.cat([by_step, queries], dim=1).flatten(0, 1)  # (S * (K + 1), C)

    def find(self, states: Tensor, spots: Sequence[Spots]) -> Tensor:
        """Boxes of queries on videos of the same size.

        Args:
            states: (R, L, C) behind the final norm.
            spots: Where to look in each row; steps and tokens are the same for all.

        Returns:
            Centre and size as shares of the frame's sides, (R, S * N, 4) float32.
        """
        steps, tokens = spots[0].steps, spots[0].tokens
        count = steps * (tokens + self.stand_in_prompt)
        shown = torch.stack([row[at.first : at.first + count]
                             for row, at in zip(states, spots, strict=True)])  # fmt: skip
        shown = shown.unflatten(1, (steps, -1))  # (R, S, K + 1, C), or K where none stand there
        queries = (
            shown[:, :, -1]
            if self.stand_in_prompt
            else self.queries_of(steps).expand(len(spots), -1, -1)
        )  # (R, S, C)
        words = [row[list(at.sentence)] for row, at in zip(states, spots, strict=True)]
        lengths = torch.tensor([len(each) for each in words], device=states.device)
        text = pad_sequence(words, batch_first=True)  # (R, M, C)
        is_text = torch.arange(text.shape[1], device=states.device) < lengths[:, None]  # (R, M)
        boxes: Tensor = self.decoder(shown[:, :, :tokens], queries, text, is_text)
        return boxes.flatten(1, 2)

    def judge(
        self, states: Tensor, lessons: Sequence[Lesson], maps: Sequence[Maps] = ()
    ) -> tuple[dict[str, Tensor], dict[str, tuple[float, float]]]:
        """Losses of boxes, a mean over those of a query, summed over queries; and their IoU."""
        del maps
        sizes: dict[tuple[int, int], list[int]] = {}
        for row, lesson in enumerate(lessons):
            if lesson.counts["box"]:
                sizes.setdefault((lesson.spots.steps, lesson.spots.tokens), []).append(row)
        zero = sum(each.sum() for each in self.parameters()) * 0  # so that no process waits
        l1, giou, right, of = zero, zero, 0.0, 0
        for rows in sizes.values():
            found = self.find(states[rows], [lessons[row].spots for row in rows])
            right_boxes = np.stack([np.asarray(lessons[row].goals) for row in rows])
            goals = torch.from_numpy(right_boxes).to(found)  # (R, S * N, 4)
            is_known = goals.isfinite().all(-1)  # (R, S * N)
            share = (is_known / is_known.sum(-1, keepdim=True))[is_known]  # (M,)
            distance, apart, overlap = box_losses(found[is_known], goals[is_known])
            l1, giou = l1 + (distance * share).sum(), giou + (apart * share).sum()
            right, of = right + float(overlap.sum()), of + len(overlap)
        return {"box_l1": l1, "box_giou": giou}, {"box_iou": (right, float(of))}
