"""The query-guided space decoder (SpaceVLLM, arXiv 2503.13983): from states to boxes.

Two attentions without any parameters: the visual states of a frame look at the sentence, then the
frame's query looks at them; a small network turns what it finds into a box. The first one is how
language reaches boxes where the question stands behind the video, since causal states of the video
have not seen it. Residuals, scaling and norm are ours, the paper's text names none; both softmaxes
are computed in float32, since states are large and 16 bits lose their order.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SpaceDecoder(nn.Module):  # type: ignore[misc]
    """See the module.

    Args:
        size: Length C of a state.
        hidden: Width of the network's inner layers.
        boxes: Boxes N a query gives.
        attends: Whether it attends at all; without, it sees the state of the query alone.
    """

    def __init__(self, size: int, *, hidden: int = 1024, boxes: int = 1, attends: bool = True):
        super().__init__()
        self.attends = attends
        self.norm = nn.LayerNorm(size)
        self.boxes = nn.Sequential(
            nn.Linear(size, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, 4 * boxes),
        )

    def forward(self, visual: Tensor, queries: Tensor, text: Tensor, is_text: Tensor) -> Tensor:
        """Boxes of the T frames of B videos.

        Args:
            visual: States of the visual tokens, (B, T, K, C).
            queries: States of the queries, (B, T, C).
            text: States of the sentence's tokens, (B, M, C), anything where it is shorter.
            is_text: Which of them are tokens, (B, M) bool, at least one in each row.

        Returns:
            Centre and size (cx, cy, w, h) as shares of the frame's sides, (B, T, N, 4) float32 in
            [0, 1].
        """
        with torch.autocast(queries.device.type, enabled=False):
            found = queries.float()  # (B, T, C)
            if self.attends:
                found = found + self._attended(visual.float(), found, text.float(), is_text)
            boxes = self.boxes(self.norm(found)).sigmoid()  # (B, T, 4 N)
        return boxes.unflatten(-1, (-1, 4))  # (B, T, N, 4)

    @staticmethod
    def _attended(visual: Tensor, queries: Tensor, text: Tensor, is_text: Tensor) -> Tensor:
        """What each query finds in its frame, (B, T, C); all arguments in float32."""
        scale = queries.shape[-1] ** -0.5
        words = text[:, None]  # (B, 1, M, C)
        scores = visual @ words.transpose(-1, -2) * scale  # (B, T, K, M)
        scores = scores.masked_fill(~is_text[:, None, None], -torch.inf)  # (B, T, K, M)
        told = visual + scores.softmax(-1) @ words  # (B, T, K, C)
        asked = queries[:, :, None]  # (B, T, 1, C)
        weights = (asked @ told.transpose(-1, -2) * scale).softmax(-1)  # (B, T, 1, K)
        return (weights @ told)[:, :, 0]  # (B, T, C)
