"""Position ids of the Qwen2-VL family, built from the prompt and nothing else.

A model of the family gives every token three positions: time, row, column. A text token has the
same number on all three; the tokens of an image or video spread over a block that starts at one
number. Left to itself the model class works them out inside its forward, and three things go wrong
without an error: without ``mm_token_type_ids`` it counts 0, 1, 2 on; with a cache it goes on from
a number that an earlier call left on the module (``rope_deltas``); and in transformers 5.3 to 5.23
the text behind a video stands elsewhere than in training. Hence positions are computed here, once,
and handed in.

Where text goes on behind a video or image that starts at ``s`` and has ``h`` rows and ``w``
columns of tokens is the switch ``convention``:

``checkpoint``
    At the largest position of the block + 1, time included. So released checkpoints were trained,
    and so do transformers up to 5.2, Qwen's own code and vLLM.
``installed``
    At ``s + max(h, w)``, however long the video, as ``get_rope_index`` of transformers 5.23 has
    it. For comparing with that class, and for weights trained through it.

The block itself is the same in both: step ``k`` of a video is at time ``s + floor(k * interval)``
with ``interval = tokens_per_second * seconds_per_step``, rounded to float32 as transformers does,
or 1 in Qwen2-VL, which knows no seconds; an image is at time ``s``. (transformers 4.57 cut
``seconds_per_step`` to whole seconds first, its repaired later versions and this module do not.)

A method may put vectors of its own into the block, so many behind each step (``queries``). The
first of step ``k`` stands at the step's time, one row below and one column right of the picture,
the next one further; text goes on where it would without them, so that nothing else moves.

Words may stand between the steps of a video, such as the time of each (``stamps``): tokens of text
behind the tokens of a step. They too stand at the step's time and further and further below and to
the right of the picture, where no visual token is, so that the positions of the video are those
without them; text goes on behind the largest position of all (the explicit temporal alignment of
Bridge-STG, arXiv 2604.08014). With ``pushes`` they count as any other text, which moves each later
step on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from stvg.backbones.preprocess import Grid
from stvg.errors import UsageError
from stvg.types import BoolArray, IntArray

Convention = Literal["checkpoint", "installed"]

TEXT, IMAGE, VIDEO = 0, 1, 2
"""Values of ``mm_token_type_ids``."""

_KIND_NAMES = {TEXT: "text", IMAGE: "image", VIDEO: "video"}


@dataclass(frozen=True, slots=True)
class PositionRule:
    """What of a model and of our choice decides positions.

    Attributes:
        merge: Patches in a row and in a column that become one token (``spatial_merge_size``).
        tokens_per_second: Positions in time that a second of video takes; 2 in the released
            Qwen2.5-VL.
        convention: Where text goes on behind a block; see the head of this module.
        is_timed: Whether seconds count; else each step takes one position, as in Qwen2-VL.
    """

    merge: int = 2
    tokens_per_second: float = 2
    convention: Convention = "checkpoint"
    is_timed: bool = True

    def __post_init__(self) -> None:
        if self.convention not in ("checkpoint", "installed"):
            raise UsageError(
                "the convention of positions is 'checkpoint' or 'installed', found "
                f"{self.convention!r}"
            )

    @classmethod
    def of(cls, vision_config: Any, convention: Convention = "checkpoint") -> PositionRule:
        """The rule for a model with this ``vision_config``."""
        merge = int(vision_config.spatial_merge_size)
        rate = getattr(vision_config, "tokens_per_second", None)
        if rate is None:
            return cls(merge, convention=convention, is_timed=False)
        return cls(merge, rate, convention)


@dataclass(frozen=True, slots=True)
class Block:
    """An image or a video in a prompt.

    Attributes:
        grid_thw: Patches in time, height and width before merging.
        seconds_per_step: Time from one step of a video to the next (``second_per_grid_ts``);
            without meaning for an image.
        kind: ``VIDEO`` or ``IMAGE``.
        queries: Placeholders behind each step that stand for vectors of a method.
        stamps: Number of tokens of text behind each step; empty for none anywhere.
        pushes: Whether these take positions as any other text does.
    """

    grid_thw: Grid
    seconds_per_step: float = 1.0
    kind: int = VIDEO
    queries: int = 0
    stamps: tuple[int, ...] = ()
    pushes: bool = False

    def tokens(self, merge: int) -> int:
        """Number of its placeholder tokens in the prompt."""
        steps, height, width = self.grid_thw
        return steps * ((height // merge) * (width // merge) + self.queries)

    def types(self, merge: int) -> IntArray:
        """What each of its tokens is, as :func:`token_types` gives it; stamps are text."""
        steps = self.grid_thw[0]
        step = np.full(self.tokens(merge) // max(steps, 1), self.kind)
        texts = [np.full(count, TEXT) for count in self.stamps or [0] * steps]
        return np.concatenate([part for text in texts for part in (step, text)] or [step])


@dataclass(frozen=True, slots=True, eq=False)
class Positions:
    """Positions of a batch of prompts.

    Attributes:
        ids: (3, B, S) int64: time, row, column; 0 where a prompt is padded.
        types: What ``mm_token_type_ids`` is, (B, S) int64: 0 text, 1 image, 2 video.
        following: Position, on all three axes, of the token after each prompt, (B,) int64.
    """

    ids: IntArray
    types: IntArray
    following: IntArray

    def continued(self, count: int) -> IntArray:
        """Positions of the next ``count`` text tokens of every prompt, (3, B, count) int64."""
        return continue_positions(self.following, count)


def token_types(input_ids: ArrayLike, image_token: int, video_token: int) -> IntArray:
    """Which tokens stand for an image (1) or a video (2), any shape, int64.

    Only for prompts: a placeholder that a model has written itself is text.

    Example:
        >>> token_types([5, 9, 9, 8, 6], image_token=8, video_token=9).tolist()
        [0, 2, 2, 1, 0]
    """
    ids = np.asarray(input_ids, np.int64)
    return np.where(ids == video_token, VIDEO, np.where(ids == image_token, IMAGE, TEXT))


def positions(types: IntArray, blocks: Sequence[Block], rule: PositionRule) -> Positions:
    """Positions of one prompt.

    Args:
        types: What each token is, (S,), as :func:`token_types` gives it.
        blocks: The images and videos of the prompt in the order in which they stand there.
        rule: The model's numbers and the convention.

    Returns:
        Positions of a batch of one.

    Raises:
        UsageError: If the placeholders in the prompt are not those of the blocks.

    Example:
        Two words, a video of 2 steps by 1 by 2 tokens with a second from step to step, one word:

        >>> types = np.array([0, 0, 2, 2, 2, 2, 0])
        >>> positions(types, [Block((2, 2, 4))], PositionRule()).ids[:, 0].tolist()
        [[0, 1, 2, 2, 4, 4, 5], [0, 1, 2, 2, 2, 2, 5], [0, 1, 2, 3, 2, 3, 5]]
    """
    parts: list[IntArray] = []
    place, position = 0, 0
    for number, block in enumerate(blocks):
        text = _text_before_block(types, place)
        parts.append(_text_positions(position, text))
        place, position = place + text, position + text
        expected = block.types(rule.merge)
        count = len(expected)
        found = types[place : place + count]
        if len(found) < count or (found != expected).any() or not count:
            raise UsageError(_mismatch(number, block, types, place, expected))
        ids, position = _block_positions(block, position, rule)
        parts.append(ids)
        place += count
    if types[place:].any():
        raise UsageError(
            f"the prompt holds {len(types[place:][types[place:] != TEXT])} placeholders of images "
            f"or videos more than the {len(blocks)} given ones account for"
        )
    parts.append(_text_positions(position, len(types) - place))
    ids = np.concatenate(parts, axis=1)[:, None]  # (3, 1, S)
    return Positions(ids, types[None], np.array([position + len(types) - place], np.int64))


def batch_positions(
    types: IntArray,
    blocks: Sequence[Sequence[Block]],
    rule: PositionRule,
    mask: BoolArray | None = None,
) -> Positions:
    """Positions of several padded prompts.

    Args:
        types: What each token is, (B, S); anything where a prompt is padded.
        blocks: The images and videos of each prompt.
        rule: The model's numbers and the convention.
        mask: Which tokens are real, (B, S) bool; padding may be on either side. None: all.

    Raises:
        UsageError: As :func:`positions`, or if the numbers of rows differ.
    """
    if len(types) != len(blocks) or (mask is not None and mask.shape != types.shape):
        raise UsageError(
            f"expected blocks for {len(types)} prompts and a mask of shape {types.shape}, found "
            f"{len(blocks)} and {None if mask is None else mask.shape}"
        )
    real = np.ones(types.shape, np.bool_) if mask is None else np.asarray(mask, np.bool_)
    ids = np.zeros((3, *types.shape), np.int64)
    following = np.zeros(len(types), np.int64)
    for row, (own, row_blocks) in enumerate(zip(real, blocks, strict=True)):
        found = positions(types[row][own], row_blocks, rule)
        ids[:, row, own] = found.ids[:, 0]
        following[row] = found.following[0]
    return Positions(ids, np.where(real, types, TEXT), following)


def continue_positions(following: ArrayLike, count: int) -> IntArray:
    """Positions of text tokens that go on from ``following``.

    Args:
        following: Position of the first of them in every row, (B,).
        count: How many.

    Returns:
        (3, B, count) int64, the same on all three axes.

    Example:
        >>> continue_positions([7], 3)[:, 0].tolist()
        [[7, 8, 9], [7, 8, 9], [7, 8, 9]]
    """
    first = np.atleast_1d(np.asarray(following, np.int64))
    rows = first[:, None] + np.arange(count)
    return np.repeat(rows[None], 3, axis=0)


def _text_before_block(types: IntArray, place: int) -> int:
    """Number of text tokens from ``place`` on, before the next placeholder or the end."""
    others = np.flatnonzero(types[place:])
    return int(others[0]) if len(others) else len(types) - place


def _text_positions(start: int, count: int) -> IntArray:
    """(3, count): ``start`` and on, alike on all axes."""
    return np.tile(np.arange(start, start + count, dtype=np.int64), (3, 1))


def _block_positions(block: Block, start: int, rule: PositionRule) -> tuple[IntArray, int]:
    """Time, row and column of each token of a block, (3, count), and where text goes on."""
    if block.stamps and block.pushes:
        return _pushed_positions(block, start, rule)
    steps, height, width = block.grid_thw
    is_timed = rule.is_timed and block.kind == VIDEO
    interval = rule.tokens_per_second * block.seconds_per_step if is_timed else 1.0
    # float32 as in transformers; it also lifts 0.9999999999 from a division to the whole number.
    times = (np.arange(steps, dtype=np.float32) * np.float32(interval)).astype(np.int64)
    rows, columns = height // rule.merge, width // rule.merge
    picture = np.stack(np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"))
    longest = max(block.stamps, default=0)
    beside = np.arange(block.queries + longest) + np.array([[rows], [columns]])  # (2, .)
    step = np.concatenate([picture.reshape(2, -1), beside], axis=1)  # (2, K)
    shown = step.shape[1] - longest
    counts = np.array([shown + stamp for stamp in block.stamps or [0] * steps])
    where = np.concatenate([step[:, :count] for count in counts], axis=1)
    ids = np.concatenate([times.repeat(counts)[None], where]).astype(np.int64) + start
    behind = start + max(rows, columns) + (block.queries + longest if longest else 0)
    if rule.convention == "checkpoint":
        behind = max(int(ids[0].max()) + 1, behind)
    return ids, behind


def _pushed_positions(block: Block, start: int, rule: PositionRule) -> tuple[IntArray, int]:
    """The same where each step is a video of its own with text behind it."""
    one = replace(block, grid_thw=(1, *block.grid_thw[1:]), stamps=(), pushes=False)
    parts: list[IntArray] = []
    for stamp in block.stamps:
        ids, start = _block_positions(one, start, rule)
        parts += [ids, _text_positions(start, stamp)]
        start += stamp
    return np.concatenate(parts, axis=1), start


def _mismatch(number: int, block: Block, types: IntArray, place: int, expected: IntArray) -> str:
    """One sentence on placeholders that are not those of a block."""
    found = types[place : place + len(expected)]
    same = found == expected[: len(found)]
    run = int(np.argmin(same)) if not same.all() else len(same)
    kind = _KIND_NAMES.get(block.kind, str(block.kind))
    between = " with the words between its steps" if block.stamps else ""
    return (
        f"expected {len(expected)} {kind} placeholders{between} at token {place} of the prompt for "
        f"item {number + 1} of its images and videos (grid {block.grid_thw}), found {run}"
    )
