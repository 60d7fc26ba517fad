"""Attention of a forked row against a dense mask, value and gradients in 64 bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")
torch.set_num_threads(1)

from stvg.train.group_attention import Fork, attend, attend_one_by_one  # noqa: E402

SHAPES = {
    "alike": (7, [4, 4]),
    "ragged": (5, [1, 6, 3]),
    "one token of a prompt": (1, [2, 5]),
    "one completion": (9, [4]),
    "some without tokens": (3, [0, 2, 0]),
    "none with tokens": (6, [0, 0]),
}


def dense(queries: Any, keys: Any, values: Any, prompt: int, lengths: list[int]) -> Any:
    """Softmax over what is seen, written out."""
    part = np.repeat(np.arange(len(lengths) + 1), [prompt, *lengths])
    seen = np.tril((part[:, None] == part) | (part == 0))
    alike = queries.shape[1] // keys.shape[1]
    keys, values = (each.repeat_interleave(alike, dim=1) for each in (keys, values))
    weights = queries @ keys.transpose(-1, -2) * 0.3
    return weights.masked_fill(~torch.from_numpy(seen), -float("inf")).softmax(-1) @ values


def inputs(length: int, heads: tuple[int, int], dtype: Any) -> list[Any]:
    torch.manual_seed(length)
    return [
        torch.randn(1, count, length, 16, dtype=dtype, requires_grad=True)
        for count in (heads[0], heads[1], heads[1])
    ]


@pytest.mark.parametrize("way", [attend, attend_one_by_one])
@pytest.mark.parametrize("heads", [(4, 2), (3, 3), (4, 1)])
@pytest.mark.parametrize("shape", SHAPES)
def test_equals_a_dense_mask(way: Callable[..., Any], heads: tuple[int, int], shape: str) -> None:
    prompt, lengths = SHAPES[shape]
    tensors = inputs(prompt + sum(lengths), heads, torch.float64)
    expected = dense(*tensors, prompt, lengths)
    found = way(*tensors, Fork.of(prompt, lengths, "cpu"), 0.3)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    some = torch.randn_like(expected)
    theirs, ours = (torch.autograd.grad(each, tensors, some) for each in (expected, found))
    for one, two in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-6)


def test_bfloat16_stays_bfloat16() -> None:
    tensors = inputs(12, (4, 2), torch.bfloat16)
    found = attend(*tensors, Fork.of(5, [3, 4], "cpu"), 0.3)
    assert found.dtype == torch.bfloat16
    exact = attend(*(each.float() for each in tensors), Fork.of(5, [3, 4], "cpu"), 0.3)
    torch.testing.assert_close(found.float(), exact, rtol=0, atol=0.03)
    found.sum().backward()
    assert all(each.grad.dtype == torch.bfloat16 for each in tensors)


def test_completions_do_not_see_each_other() -> None:
    """What one holds changes nothing in the others, nor in the prompt."""
    queries, keys, values = inputs(11, (2, 2), torch.float32)
    fork = Fork.of(4, [3, 4], "cpu")
    before = attend(queries, keys, values, fork, 0.3)
    with torch.no_grad():
        for each in (queries, keys, values):
            each[:, :, 4:7] += 1
    after = attend(queries, keys, values, fork, 0.3)
    same = (before == after).all(-1).all(1)[0]
    assert same.tolist() == [True] * 4 + [False] * 3 + [True] * 4
