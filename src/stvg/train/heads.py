"""Dense heads: what every visual token shows, asked of the vision tower and of the language model.

They are used in training only, as extra losses that tell every token what it should know, and as
gauges of which part of a model holds it back. The tower's tokens are asked for what they show;
colours, kinds and motions, and numbers painted on objects, are told apart by the embeddings of
their words, so that a token of a red ball points where the words *red* and *ball* do. The language
model's tokens, one layer before the last so that an answer can still read them, are asked whether
they show what the sentence means and whether it happens now. Neither comes from a paper.

Every loss is a mean over the tokens that it concerns, within a clip or a row; what is returned is
the sum over clips or rows, so that parts of a batch add up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

Sums = dict[str, Tensor]
"""Losses by name, each summed over clips, rows or tokens of answers."""
Gauges = dict[str, tuple[float, float]]
"""Shares by name: how many are right, of how many."""

_UNKNOWN = -1  # a label that asks nothing


class DenseHeads(nn.Module):  # type: ignore[misc]
    """Heads on visual tokens.

    Args:
        size: Length C of a token.
        words: Token ids of the words of each question that words answer (``colour``, ``kind``,
            ``motion``, ``painted``), in the order of the labels.
    """

    def __init__(self, size: int, words: Mapping[str, Sequence[int]]) -> None:
        super().__init__()
        self.words = {name: list(ids) for name, ids in words.items()}
        self.seen = nn.Sequential(nn.Linear(size, 128), nn.GELU(), nn.Linear(128, 12))
        self.meant = nn.Sequential(nn.Linear(size, 128), nn.GELU(), nn.Linear(128, 6))
        self.sharpness = nn.ParameterDict({name: torch.tensor(2.3) for name in words})
        self.spread = nn.ModuleDict({name: nn.Linear(size, size) for name in words})

    def judge_seen(
        self, tokens: Tensor, table: Tensor, labels: Mapping[str, Tensor]
    ) -> tuple[Sums, Gauges]:
        """Losses of what the tower's tokens show, summed over clips.

        Args:
            tokens: (B, S, K, C), K tokens a step.
            table: Word embeddings (V, C).
            labels: ``cells`` (B, S, K) object of each token or -1; of the N objects ``boxes``
                (B, N, S, 4) as shares of the side, ``changes`` (B, N, S, 3), ``motion`` (B, N, S),
                ``colour``, ``kind`` and ``painted`` (B, N), the last -1 where no number is.
        """
        cells = labels["cells"]
        shown = cells >= 0
        out = self.seen(tokens)  # (B, S, K, 12): object?, box from the token on, changes, box
        there = F.binary_cross_entropy_with_logits(out[..., 0], shown.float(), reduction="none")
        clip, step, token = torch.nonzero(shown, as_tuple=True)
        number = cells[shown]
        share = 1 / shown.flatten(1).sum(-1).clamp(min=1)[clip]  # (M,): each clip counts once
        found = tokens[shown]  # (M, C)
        side = math.isqrt(cells.shape[-1])  # tokens across and down
        corner = torch.stack([token % side, token // side], dim=-1).repeat(1, 2)
        places = labels["boxes"][clip, number, step]  # (M, 4)
        boxes = places * side - corner  # in tokens, from the corner of this one
        changes = labels["changes"][clip, number, step] * side
        sums = {
            "cell": there.flatten(1).mean(-1).sum(),
            "cell_box": ((out[shown][:, 1:5] - boxes).abs().mean(-1) * share).sum(),
            "cell_change": ((out[shown][:, 5:8] - 4 * changes).abs().mean(-1) * share).sum(),
        }
        sums["cell_place"] = ((out[shown][:, 8:].sigmoid() - places).abs().mean(-1) * share).sum()
        gauges = {"object": _right((out[..., 0] > 0) == shown)}
        truths = {
            "colour": labels["colour"][clip, number],
            "kind": labels["kind"][clip, number],
            "motion": labels["motion"][clip, number, step],
            "painted": labels["painted"][clip, number],
        }
        for name, truth in truths.items():
            rows = F.normalize(table[self.words[name]], dim=-1)
            scores = F.normalize(self.spread[name](found), dim=-1) @ rows.T
            scores = scores * self.sharpness[name].exp()
            loss = F.cross_entropy(scores, truth, reduction="none", ignore_index=_UNKNOWN)
            sums[f"cell_{name}"] = (loss * share).sum()
            gauges[name] = _right((scores.argmax(-1) == truth)[truth != _UNKNOWN])
        return sums, gauges

    def judge_meant(self, states: Tensor, labels: Mapping[str, Tensor]) -> tuple[Sums, Gauges]:
        """Losses of what the language model's visual tokens know of the answer, summed over rows.

        Args:
            states: (R, S, K, C), one row a query.
            labels: ``target`` (R, S, K) whether a token shows the target, ``inside`` (R, S) share
                of the step within the interval, ``box`` (R, S, 4) of the target, anything where
                it is not seen.
        """
        out = self.meant(states)  # (R, S, K, 6): target?, now?, box
        target, inside = labels["target"], labels["inside"]
        tokens = target.sum(-1)  # (R, S)
        seen = tokens > 0
        share = seen / seen.sum(-1, keepdim=True).clamp(min=1)  # (R, S): each row counts once
        goal = target / tokens.clamp(min=1)[..., None]
        pointing = -(goal * out[..., 0].log_softmax(-1)).sum(-1)  # (R, S)
        now = out[..., 1].mean(-1)
        truth = labels["box"].nan_to_num()[:, :, None]  # (R, S, 1, 4)
        apart = (out[..., 2:].sigmoid() - truth).abs().mean(-1)  # (R, S, K)
        sums = {
            "target": (pointing * share).sum(),
            "target_now": F.binary_cross_entropy_with_logits(now, inside, reduction="none")
            .mean(-1)
            .sum(),
            "target_box": ((apart * goal).sum(-1) * share).sum(),
        }
        best = target.gather(-1, out[..., 0].argmax(-1, keepdim=True))[..., 0]
        gauges = {
            "target": _right(best[seen & (inside > 0)]),
            "now": _right((now > 0) == (inside > 0.5)),
        }
        return sums, gauges


def _right(hits: Tensor) -> tuple[float, float]:
    return float(hits.sum()), float(hits.numel())
