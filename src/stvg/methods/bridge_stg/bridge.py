"""The bridge of Bridge-STG (arXiv 2604.08014): from states of the language model to queries.

Learned vectors stand behind the answer and read all before them: video, sentence, interval. What
they have become there is what the decoder looks for, in all frames of the interval alike.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_SPREAD = 0.02  # standard deviation of new vectors around their centre


class Bridge(nn.Module):  # type: ignore[misc]
    """See the module.

    Args:
        centre: Mean of new vectors, (C,).
        vectors: Number M of vectors; with 0 the state of the token in front of them is the bridge.
        width: Length d of a query.
    """

    def __init__(self, centre: Tensor, vectors: int, width: int) -> None:
        super().__init__()
        size = len(centre)
        begun = centre.float() + _SPREAD * torch.randn(vectors, size)
        self.vectors = nn.Embedding.from_pretrained(begun, freeze=False)
        self.project = nn.Sequential(
            nn.Linear(size, max(size // 2, width)),
            nn.GELU(),
            nn.Linear(max(size // 2, width), width),
            _begun_small(nn.LayerNorm(width)),
        )

    def forward(self, states: Tensor) -> Tensor:
        """Queries (R, T, d) from the states (R, 1 + M, C) of the last token and the vectors."""
        found: Tensor = self.project(states[:, 1:] if len(self.vectors.weight) else states)
        return found


class Words(nn.Module):  # type: ignore[misc]
    """A sentence as queries, without the language model (ablation): a layer on own embeddings.

    Args:
        vocabulary: Number of tokens.
        width: Length d of a query, a multiple of 16.
    """

    def __init__(self, vocabulary: int, width: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width)
        self.place = nn.Embedding(256, width)
        self.layer = nn.TransformerEncoderLayer(
            width, width // (16 if width % 32 else 32), 4 * width, dropout=0.0, batch_first=True
        )
        self.norm = _begun_small(nn.LayerNorm(width))

    def forward(self, ids: Tensor, is_text: Tensor) -> Tensor:
        """Queries (R, T, d) from tokens (R, T), of which some are padding."""
        places = torch.arange(ids.shape[1], device=ids.device).clamp(max=255)
        found = self.layer(self.embed(ids) + self.place(places), src_key_padding_mask=~is_text)
        queries: Tensor = self.norm(found)
        return queries


def _begun_small(norm: nn.LayerNorm) -> nn.LayerNorm:
    """A norm whose products with states of length 1 a number begin as small logits."""
    nn.init.constant_(norm.weight, norm.normalized_shape[0] ** -0.25)
    return norm
