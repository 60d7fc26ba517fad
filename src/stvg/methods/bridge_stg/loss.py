"""Losses of candidates on frames: one box is right in a frame, or none."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from stvg.methods.boxes import overlaps, to_centre

ALPHA, GAMMA = 0.25, 2.0
"""Of the focal loss (arXiv 1708.02002)."""
COST_SCORE, COST_L1, COST_GIOU = 2.0, 5.0, 2.0
"""Of matching, as in Grounding DINO."""
NEAR = 0.5
"""IoU from which on a candidate counts as being on an object."""


def judge_stage(
    scores: Tensor, boxes: Tensor, goals: Tensor, elsewhere: Tensor, matches: int = 1
) -> dict[str, Tensor]:
    """Losses of the candidates of one stage of a decoder.

    The right box of a frame is matched with the candidate of least cost; with one box a frame,
    Hungarian matching is that.

    Args:
        scores: Of each candidate, as logits, (N, K).
        boxes: Centre and size as shares of the frame's sides, (N, K, 4).
        goals: The right box of each frame, corners ``xyxy`` as shares, (N, 4); NaN where nothing
            is to be found.
        elsewhere: The object where it is seen though nothing is to be found, (N, 4) likewise;
            candidates on it are not judged.
        matches: How many candidates, at most K, a right box is matched with; losses are shares of
            theirs, so that a frame counts the same.

    Returns:
        ``score``, ``l1``, ``giou`` and ``contrast``, each summed over frames.
    """
    is_found = goals.isfinite().all(-1)  # (N,)
    best = matched(scores[is_found], boxes[is_found], goals[is_found], matches)  # (M, matches)
    wanted = torch.zeros_like(scores)
    wanted[is_found] = wanted[is_found].scatter(1, best, 1.0)
    judged = ~(overlaps(boxes.detach(), elsewhere[:, None].nan_to_num(-1.0))[0] > NEAR)  # (N, K)
    chosen = boxes[is_found].gather(1, best[..., None].expand(-1, -1, 4))  # (M, matches, 4)
    right = goals[is_found][:, None]
    general = overlaps(chosen, right)[1]
    likely = scores[is_found].log_softmax(-1).gather(1, best)
    sums = {
        "score": (focal(scores, wanted) * judged).sum(),
        "l1": (chosen - to_centre(right)).abs().sum(),
        "giou": (1 - general).sum(),
        "contrast": -likely.sum(),
    }
    return {name: value / matches for name, value in sums.items()}


def matched(scores: Tensor, boxes: Tensor, goals: Tensor, count: int) -> Tensor:
    """Candidates of least cost in each frame, (M, count) int64; else as in ``judge_stage``."""
    with torch.no_grad():
        chance = scores.sigmoid()
        found = -ALPHA * (1 - chance) ** GAMMA * F.logsigmoid(scores)
        missed = -(1 - ALPHA) * chance**GAMMA * F.logsigmoid(-scores)
        apart = (boxes - to_centre(goals)[:, None]).abs().sum(-1)
        general = overlaps(boxes, goals[:, None])[1]
        cost = COST_SCORE * (found - missed) + COST_L1 * apart - COST_GIOU * general
        return cost.topk(count, dim=-1, largest=False).indices


def focal(scores: Tensor, wanted: Tensor) -> Tensor:
    """Focal loss of logits, of the same shape; ``wanted`` is 1 or 0."""
    loss = F.binary_cross_entropy_with_logits(scores, wanted, reduction="none")
    chance = scores.sigmoid()
    wrong = wanted * (1 - chance) + (1 - wanted) * chance
    return (wanted * ALPHA + (1 - wanted) * (1 - ALPHA)) * wrong**GAMMA * loss


def best_overlaps(scores: Tensor, boxes: Tensor, goals: Tensor) -> Tensor:
    """IoU of the likeliest candidate of each frame with a right box, (M,)."""
    is_found = goals.isfinite().all(-1)
    best = scores[is_found].argmax(-1)
    rows = torch.arange(len(best), device=best.device)
    return overlaps(boxes[is_found][rows, best], goals[is_found])[0].detach()
