"""The vision tower on several videos of one size at once; the same numbers, far fewer calls.

The towers of Qwen2.5-VL and Qwen2-VL lay all patches of all videos in one row and, without flash
attention, loop over the stretches that may see each other: one call a frame pair and layer, or one
a window, of which Qwen2-VL has none. Videos of one size have stretches of one size, so that a plain
batch does the same work in one call a layer. The patch embedding, a convolution whose stride is its
kernel, is a product with a matrix.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from stvg.backbones.prefix import Tensor
from stvg.backbones.preprocess import Grid
from stvg.errors import UsageError


def can_batch(tower: Any, grid_thw: Grid) -> bool:
    """Whether :func:`encode_alike` takes frames of this size.

    Not where windows, if there are any, come in several sizes, and not where the tower runs on
    flash attention, which needs no help.
    """
    if "flash" in str(tower.config._attn_implementation):
        return False
    if len(whole_layers(tower)) == len(tower.blocks):
        return True
    side = tower.window_size // tower.patch_size // tower.spatial_merge_size
    rows, columns = (number // tower.spatial_merge_size for number in grid_thw[1:])
    return all(number <= side or number % side == 0 for number in (rows, columns))


def refuse_windows(tower: Any, grid_thw: Grid) -> None:
    """An error where the states of layers cannot be had, since :func:`can_batch` says no.

    Raises:
        UsageError: If that is so.
    """
    if not can_batch(tower, grid_thw):
        raise UsageError(
            "the states of the vision tower's layers are to be had for frames whose windows are of "
            f"one size, and without flash attention; found frames of {grid_thw[1]} by "
            f"{grid_thw[2]} patches: make their sides multiples of {tower.window_size} pixels"
        )


def encode_alike(tower: Any, pixels: Tensor, grid_thw: Grid) -> Tensor:
    """Visual tokens of several videos of one size; gradients flow.

    Args:
        tower: The ``visual`` module of a Qwen2.5-VL or Qwen2-VL model.
        pixels: Normalised rows of ``patchify``, (B, S, D) in the tower's type.
        grid_thw: Patches of each video in time, height and width.

    Returns:
        (B, S / merge^2, C) as the tower's ``pooler_output``.

    Raises:
        ValueError: If frames of this size have windows of several sizes; see :func:`can_batch`.
    """
    return _encoded(tower, pixels, grid_thw, keep=False)[0]


def encode_layers(tower: Any, pixels: Tensor, grid_thw: Grid) -> tuple[Tensor, list[Tensor]]:
    """Visual tokens as :func:`encode_alike` gives them, and the states that they came of.

    Returns:
        Tokens (B, S / merge^2, C), and of each layer that sees whole frames the states of the
        patches, row by row, (B, steps, height, width, C'), in the order of the layers.

    Raises:
        ValueError: As :func:`encode_alike`.
    """
    return _encoded(tower, pixels, grid_thw, keep=True)


def _encoded(
    tower: Any, pixels: Tensor, grid_thw: Grid, *, keep: bool
) -> tuple[Tensor, list[Tensor]]:
    """Tokens, and the states of layers where they are to be kept."""
    import torch
    from transformers.vision_utils import get_vision_position_ids

    if not can_batch(tower, grid_thw):
        raise ValueError(f"frames of {grid_thw[1:]} patches have windows of several sizes")
    merge = tower.spatial_merge_size
    steps, height, width = grid_thw
    one = torch.tensor([[1, height, width]], device=pixels.device)
    weight = tower.patch_embed.proj.weight
    hidden = torch.nn.functional.linear(pixels, weight.reshape(len(weight), -1))
    hidden = hidden.reshape(len(pixels) * steps, height * width, -1)  # (N, P, C), N frame pairs
    order, windows = _windows(tower, one)
    hidden = _reordered(hidden, order, merge)
    places = get_vision_position_ids(one, merge)
    rotary = tuple(
        _reordered(part[None], order, merge)[0] for part in tower.rotary_pos_emb(hidden, places)
    )
    undivided, back = whole_layers(tower), torch.argsort(order)
    layers = []
    for number, block in enumerate(tower.blocks):
        parts = 1 if number in undivided else windows
        hidden = hidden + _attend(block.attn, block.norm1(hidden), rotary, parts)
        hidden = hidden + block.mlp(block.norm2(hidden))
        if keep and number in undivided:
            rows = _reordered(hidden, back, merge)
            rows = rows.unflatten(1, (height // merge, width // merge, merge, merge))
            rows = rows.transpose(2, 3).reshape(len(pixels), steps, height, width, -1)
            layers.append(rows)
    merged = tower.merger(hidden).reshape(len(hidden), height * width // merge**2, -1)
    return merged[:, back].reshape(len(pixels), -1, merged.shape[-1]), layers


def whole_layers(tower: Any) -> Collection[int]:
    """Numbers of the layers that see whole frames: of Qwen2-VL all."""
    found: Collection[int] = getattr(tower, "fullatt_block_indexes", range(len(tower.blocks)))
    return found


def window_side(vision_config: Any) -> int | None:
    """Side in pixels of a window of the layers that see no whole frames; None without such layers.

    Windows of frames whose sides are multiples of it are of one size; see :func:`can_batch`.
    """
    whole = getattr(vision_config, "fullatt_block_indexes", None)
    if whole is None or len(set(whole)) == vision_config.depth:
        return None
    cell = int(vision_config.patch_size * vision_config.spatial_merge_size)
    return int(vision_config.window_size) // cell * cell


def _windows(tower: Any, grid: Tensor) -> tuple[Tensor, int]:
    """The order in which tokens of one frame pair stand window by window, and how many windows."""
    import torch
    from transformers.vision_utils import get_vision_window_index

    merge = tower.spatial_merge_size
    if len(whole_layers(tower)) == len(tower.blocks):
        return torch.arange(int(grid.prod()) // merge**2, device=grid.device), 1
    order, seams = get_vision_window_index(
        grid,
        spatial_merge_size=merge,
        window_size=tower.window_size,
        patch_size=tower.patch_size,
    )
    return order, len(torch.as_tensor(seams).unique()) - 1


def _reordered(rows: Tensor, order: Tensor, merge: int) -> Tensor:
    """Rows (N, P, C) with the tokens, ``merge`` squared rows each, in another order."""
    tokens = rows.reshape(len(rows), -1, merge**2, rows.shape[-1])
    return tokens[:, order].reshape(rows.shape)


def _attend(attention: Any, hidden: Tensor, rotary: tuple[Tensor, ...], parts: int) -> Tensor:
    """Attention (N, P, C) within each of ``parts`` equal stretches of every row."""
    import torch
    from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import apply_rotary_pos_emb_vision

    count, length, size = hidden.shape
    mixed = attention.qkv(hidden).reshape(count, length, 3, attention.num_heads, -1)
    queries, keys, values = mixed.unbind(2)  # (N, P, heads, head size)
    queries, keys = apply_rotary_pos_emb_vision(queries, keys, *rotary)
    shape = (count * parts, length // parts, *queries.shape[2:])
    queries, keys, values = (
        part.reshape(shape).transpose(1, 2) for part in (queries, keys, values)
    )
    mixed = torch.nn.functional.scaled_dot_product_attention(
        queries, keys, values, scale=attention.scaling
    )
    return attention.proj(mixed.transpose(1, 2).reshape(count, length, size))
