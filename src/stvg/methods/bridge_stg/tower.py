"""The vision tower of the language model as image encoder of the decoder: nothing is seen twice.

Candidates come from the patches of every layer that sees whole frames, each with the visual token
that it becomes a part of; the decoder looks at the patches of the last of them and at the tokens.
A step of the tower covers several frames; each of them is decoded from the same states, which are
told which of them is meant.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stvg.backbones.learned import Maps
from stvg.methods.bridge_stg.decoder import Views

_CELLS = 2.0  # sides of an anchor, in patches
_OCTAVES = 5  # of the waves by which a place is told


class TowerViews(nn.Module):  # type: ignore[misc]
    """See the module.

    Args:
        layers: Number of layers.
        patch_size: Length C' of their states.
        token_size: Length C of a visual token.
        width: Length d of the decoder's states.
        step_frames: Frames of a step.
    """

    def __init__(
        self, layers: int, patch_size: int, token_size: int, width: int, step_frames: int
    ) -> None:
        super().__init__()
        self.in_step = nn.Embedding(step_frames, width)
        self.inputs = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(size), nn.Linear(size, width))
            for size in [*[patch_size] * layers, token_size]
        )
        self.level = nn.Parameter(0.02 * torch.randn(2, width))
        self.place = nn.Linear(4 * _OCTAVES, width)

    def forward(
        self,
        maps: Sequence[Maps],
        frames: Sequence[Tensor],
        text: Tensor,
        is_text: Tensor | None = None,
    ) -> Views:
        """Frames of several videos of one size.

        Args:
            maps: Of each video.
            frames: Numbers of its frames, (F,) int64; N frames in all.
            text: What is looked for in each, (N, T, d).
            is_text: Which of it is not padding, (N, T) bool; None for all.
        """
        count = self.in_step.num_embeddings
        chosen = [
            torch.cat([own[number][each // count] for own, each in zip(maps, frames, strict=True)])
            for number in range(len(self.inputs))
        ]  # (N, rows, columns, C') each
        which = self.in_step(torch.cat(list(frames)) % count)[:, None, None]  # (N, 1, 1, d)
        fine, coarse = chosen[-2].shape[1:3], chosen[-1].shape[1:3]
        *patches, tokens = (
            project(states.float()) + self._placed(*states.shape[1:3]) + which
            for project, states in zip(self.inputs, chosen, strict=True)
        )
        above = tokens.repeat_interleave(fine[0] // coarse[0], 1)
        above = above.repeat_interleave(fine[1] // coarse[1], 2)  # the token of each patch
        found = [each.flatten(1, 2) for each in (*(patch + above for patch in patches), tokens)]
        return Views(
            layers=found[:-1],
            anchors=_anchors(*fine).to(text).expand(len(text), -1, -1),
            memory=torch.cat([found[-2] + self.level[0], found[-1] + self.level[1]], dim=1),
            shapes=(tuple(fine), tuple(coarse)),
            text=text,
            is_text=is_text,
        )

    def _placed(self, rows: int, columns: int) -> Tensor:
        """Where each state stands, (rows, columns, d): the tower itself knows no places."""
        middle = _middles(rows, columns).to(self.level)[..., None]
        waves = middle * math.pi * 2.0 ** torch.arange(_OCTAVES, device=middle.device)
        placed: Tensor = self.place(torch.cat([waves.sin(), waves.cos()], dim=-1).flatten(2))
        return placed


def _middles(rows: int, columns: int) -> Tensor:
    """The middle of each cell of a picture, x and y as shares of its sides, (rows, columns, 2)."""
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    return torch.stack([(x + 0.5) / columns, (y + 0.5) / rows], dim=-1)


def _anchors(rows: int, columns: int) -> Tensor:
    """A box in the middle of each patch, centre and size as logits, (1, rows * columns, 4)."""
    middle = _middles(rows, columns)
    size = torch.tensor([_CELLS / columns, _CELLS / rows]).clamp(max=0.9).expand_as(middle)
    return torch.cat([middle, size], dim=-1).reshape(1, -1, 4).logit()
