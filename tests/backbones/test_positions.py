"""Position ids: worked by hand, by a small statement of the rule, and by transformers."""

from __future__ import annotations

import numpy as np
import pytest

from stvg.backbones.positions import (
    IMAGE,
    TEXT,
    VIDEO,
    Block,
    PositionRule,
    batch_positions,
    continue_positions,
    positions,
    token_types,
)
from stvg.errors import UsageError

RULE = PositionRule()
INSTALLED = PositionRule(convention="installed")
Part = int | Block


def prompt(*parts: Part) -> tuple[np.ndarray, list[Block]]:
    """Token types and blocks of a prompt: a number is that many words."""
    types: list[int] = []
    for part in parts:
        types += [TEXT] * part if isinstance(part, int) else [part.kind] * part.tokens(2)
    return np.array(types), [part for part in parts if isinstance(part, Block)]


def stated(parts: tuple[Part, ...], tokens_per_second: float) -> list[tuple[int, int, int]]:
    """The rule of the checkpoints in plain words: everything goes on at the largest + 1."""
    found: list[tuple[int, int, int]] = []
    for part in parts:
        start = 1 + max((number for triple in found for number in triple), default=-1)
        if isinstance(part, int):
            found += [(start + k,) * 3 for k in range(part)]
            continue
        steps, height, width = part.grid_thw
        pace = tokens_per_second * part.seconds_per_step if part.kind == VIDEO else 0
        found += [
            (start + int(step * pace), start + row, start + column)
            for step in range(steps)
            for row in range(height // 2)
            for column in range(width // 2)
        ]
    return found


LAYOUTS: dict[str, tuple[Part, ...]] = {
    "video": (5, Block((4, 8, 12), 1.0), 7),
    "long video": (3, Block((32, 20, 24), 2.0), 20),
    "half a second": (1, Block((6, 4, 6), 0.5), 4),
    "odd seconds": (2, Block((7, 4, 4), 1.37), 3),
    "image": (4, Block((1, 6, 10), kind=IMAGE), 5),
    "two videos": (2, Block((3, 4, 8), 1.5), 3, Block((5, 6, 4), 0.25), 6),
    "image and video": (1, Block((1, 4, 4), kind=IMAGE), 2, Block((2, 4, 4), 3.0), 1),
    "video first": (Block((2, 4, 4), 1.0), 3),
    "video last": (3, Block((9, 4, 4), 1.0)),
    "text only": (6,),
}


@pytest.mark.parametrize(
    ("grid", "seconds", "last"),
    [
        ((32, 20, 24), 1.0, 92),  # 10 words, time 0..62, so text from 73
        ((32, 20, 24), 2.0, 154),
        ((8, 12, 20), 1.0, 44),
    ],
)
def test_last_prompt_token_by_hand(grid: tuple[int, int, int], seconds: float, last: int) -> None:
    """The video starts at 10 and 20 words follow: 10 + 2 (t - 1) seconds + 20."""
    found = positions(*prompt(10, Block(grid, seconds), 20), RULE)
    assert found.ids[:, 0, -1].tolist() == [last] * 3
    assert found.following.tolist() == [last + 1]


@pytest.mark.parametrize(("grid", "last"), [((32, 20, 24), 41), ((8, 12, 20), 39)])
def test_last_prompt_token_as_transformers_has_it(grid: tuple[int, int, int], last: int) -> None:
    found = positions(*prompt(10, Block(grid, 2.0), 20), INSTALLED)
    assert found.ids[0, 0, -1] == last


def test_every_position_by_hand() -> None:
    """Two words, two steps of 1 x 2 tokens two positions apart, a word."""
    found = positions(*prompt(2, Block((2, 2, 4), 1.0), 1), RULE)
    assert found.ids[:, 0].tolist() == [
        [0, 1, 2, 2, 4, 4, 5],
        [0, 1, 2, 2, 2, 2, 5],
        [0, 1, 2, 3, 2, 3, 5],
    ]
    assert found.types.tolist() == [[0, 0, 2, 2, 2, 2, 0]]
    # transformers 5.23: 2 + max(1, 2)
    other = positions(*prompt(2, Block((2, 2, 4), 1.0), 1), INSTALLED)
    assert other.ids[:, 0, -1].tolist() == [4, 4, 4]


@pytest.mark.parametrize("parts", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("pace", [1, 2, 25])
def test_checkpoint_convention_is_the_stated_rule(parts: tuple[Part, ...], pace: int) -> None:
    found = positions(*prompt(*parts), PositionRule(tokens_per_second=pace))
    assert found.ids[:, 0].T.tolist() == [list(triple) for triple in stated(parts, pace)]
    assert found.following[0] == found.ids.max() + 1


@pytest.mark.parametrize(
    ("pace", "seconds_per_step"),
    [(10, 0.1), (3, 1 / 3), (1, 0.999999999999), (1, np.float64(0.999999999999))],
)
def test_whole_numbers_survive_division(pace: int, seconds_per_step: float) -> None:
    """Steps one position apart are 0 to 7, whatever the last digit of the division."""
    rule = PositionRule(tokens_per_second=pace)
    found = positions(*prompt(Block((8, 2, 2), seconds_per_step)), rule)
    assert found.ids[0, 0].tolist() == list(range(8))


@pytest.fixture(scope="module")
def rope_index():
    """``get_rope_index`` of the installed model class, as a function of types and blocks."""
    torch = pytest.importorskip("torch")
    modeling = pytest.importorskip("transformers.models.qwen2_5_vl.modeling_qwen2_5_vl")
    transformers = pytest.importorskip("transformers")

    class Stub:
        """The two things that the method asks of its model."""

        get_vision_position_ids = modeling.Qwen2_5_VLModel.get_vision_position_ids

        def __init__(self, pace: int) -> None:
            self.config = transformers.Qwen2_5_VLConfig()
            self.config.vision_config.tokens_per_second = pace

    def call(types, blocks, pace, mask=None):
        grids = {
            kind: torch.tensor([b.grid_thw for b in blocks if b.kind == kind] or [[0, 0, 0]])
            for kind in (IMAGE, VIDEO)
        }
        ids, _ = modeling.Qwen2_5_VLModel.get_rope_index(
            Stub(pace),
            torch.zeros(types.shape, dtype=torch.long),
            torch.from_numpy(types),
            image_grid_thw=grids[IMAGE],
            video_grid_thw=grids[VIDEO],
            second_per_grid_ts=[b.seconds_per_step for b in blocks if b.kind == VIDEO],
            attention_mask=None if mask is None else torch.from_numpy(mask),
        )
        return ids.numpy()

    return call


@pytest.mark.parametrize("parts", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("pace", [1, 2, 25])
def test_installed_convention_is_that_of_transformers(
    parts: tuple[Part, ...], pace: int, rope_index
) -> None:
    types, blocks = prompt(*parts)
    rule = PositionRule(tokens_per_second=pace, convention="installed")
    np.testing.assert_array_equal(
        positions(types, blocks, rule).ids, rope_index(types[None], blocks, pace)
    )


@pytest.mark.parametrize("side", ["left", "right"])
def test_padded_batch(side: str, rope_index) -> None:
    rows = [prompt(*LAYOUTS[name]) for name in ("two videos", "video", "half a second")]
    length = max(len(types) for types, _ in rows) + 2
    types = np.zeros((3, length), np.int64)
    mask = np.zeros((3, length), bool)
    for row, (own, _) in enumerate(rows):
        where = slice(0, len(own)) if side == "right" else slice(length - len(own), None)
        types[row, where], mask[row, where] = own, True
    blocks = [row_blocks for _, row_blocks in rows]
    found = batch_positions(types, blocks, INSTALLED, mask)
    flat = [block for row_blocks in blocks for block in row_blocks]
    np.testing.assert_array_equal(found.ids, rope_index(types, flat, 2, mask))
    for row, (own, row_blocks) in enumerate(rows):  # each row as if it were alone
        alone = positions(own, row_blocks, INSTALLED)
        np.testing.assert_array_equal(found.ids[:, row][:, mask[row]], alone.ids[:, 0])
        assert found.following[row] == alone.following[0]


def test_generated_tokens_go_on_behind_the_prompt() -> None:
    types, blocks = prompt(3, Block((4, 4, 4), 1.0), 5)
    whole = positions(np.append(types, [TEXT] * 4), blocks, RULE)
    np.testing.assert_array_equal(positions(types, blocks, RULE).continued(4), whole.ids[:, :, -4:])
    assert continue_positions([2, 9], 2).tolist() == [[[2, 3], [9, 10]]] * 3


@pytest.mark.parametrize("rule", [RULE, INSTALLED], ids=["checkpoint", "installed"])
def test_a_prompt_that_ends_with_a_video_goes_on_where_text_would(rule: PositionRule) -> None:
    types, blocks = prompt(3, Block((9, 4, 6), 1.0))
    behind = positions(np.append(types, [TEXT] * 2), blocks, rule)
    np.testing.assert_array_equal(positions(types, blocks, rule).continued(2), behind.ids[..., -2:])


def test_videos_may_touch() -> None:
    """No word between two videos: each still gets its own block."""
    one, two = Block((1, 4, 4), 1.0), Block((2, 4, 4), 1.0)
    found = positions(*prompt(1, one, two, 1), RULE)
    assert found.ids[0, 0].tolist() == [0, *[1] * 4, *[3] * 4, *[5] * 4, 6]


def test_types_of_tokens() -> None:
    assert token_types([[5, 9], [8, 5]], image_token=8, video_token=9).tolist() == [[0, 2], [1, 0]]


@pytest.mark.parametrize(
    ("types", "blocks", "words"),
    [
        ([0, 2, 2, 0], [Block((1, 4, 4))], "expected 4 video placeholders at token 1.*found 2"),
        ([0, 2, 2], [Block((1, 4, 4))], "found 2"),
        ([0, 0], [Block((1, 2, 2))], "found 0"),
        ([0, 1, 0], [Block((1, 2, 2))], "expected 1 video"),
        ([0, 2, 2, 0], [Block((1, 2, 2))], "1 placeholders .* more than the 1 given"),
        ([2], [], "more than the 0 given"),
    ],
    ids=["too few", "cut off", "none", "an image", "too many", "no blocks"],
)
def test_placeholders_must_be_those_of_the_blocks(
    types: list[int], blocks: list[Block], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        positions(np.array(types), blocks, RULE)


def test_wrong_calls_are_refused() -> None:
    with pytest.raises(UsageError, match="'checkpoint' or 'installed'"):
        PositionRule(convention="newest")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="expected blocks for 2 prompts"):
        batch_positions(np.zeros((2, 3), int), [[]], RULE)


def test_an_empty_prompt_has_no_positions() -> None:
    found = positions(np.array([], np.int64), [], RULE)
    assert found.ids.shape == (3, 1, 0)
    assert found.following.tolist() == [0]
