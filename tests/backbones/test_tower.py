"""The batched vision tower gives what the class itself gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the models extra is not installed")
transformers = pytest.importorskip("transformers", reason="the models extra is not installed")

from stvg.backbones.tower import can_batch, encode_alike  # noqa: E402

torch.set_num_threads(1)


def tower(window: int = 32, whole: tuple[int, ...] = (1,)) -> Any:
    """Three layers on patches of 8 pixels, two by two a token."""
    config = transformers.Qwen2_5_VLConfig(
        vision_config={
            "depth": 3, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2,
            "patch_size": 8, "out_hidden_size": 24, "window_size": window,
            "fullatt_block_indexes": list(whole), "initializer_range": 0.2,
        }
    )  # fmt: skip
    torch.manual_seed(1)
    kind = transformers.models.qwen2_5_vl.modeling_qwen2_5_vl
    return kind.Qwen2_5_VisionTransformerPretrainedModel(config.vision_config).eval()


def undivided() -> Any:
    """The tower of Qwen2-VL, which has no windows."""
    config = transformers.Qwen2VLConfig(
        vision_config={
            "depth": 3, "embed_dim": 32, "hidden_size": 24, "num_heads": 2, "patch_size": 8,
            "mlp_ratio": 2, "initializer_range": 0.2,
        }
    )  # fmt: skip
    torch.manual_seed(1)
    kind = transformers.models.qwen2_vl.modeling_qwen2_vl
    return kind.Qwen2VisionTransformerPretrainedModel(config.vision_config).eval()


def one_by_one(model: Any, pixels: Any, grid: tuple[int, int, int]) -> Any:
    rows = [model(video, grid_thw=torch.tensor([grid])).pooler_output for video in pixels]
    return torch.stack(rows)


@pytest.mark.parametrize(
    ("window", "grid"),
    [
        pytest.param(32, (2, 8, 8), id="four windows of two by two tokens"),
        pytest.param(32, (1, 4, 12), id="three windows beside each other, one step"),
        pytest.param(64, (3, 4, 6), id="frame smaller than the window"),
        pytest.param(16, (2, 4, 4), id="a window for each token"),
    ],
)
def test_equals_the_class(window: int, grid: tuple[int, int, int]) -> None:
    model = tower(window)
    pixels = torch.randn(3, grid[0] * grid[1] * grid[2], 3 * 2 * 64)
    assert can_batch(model, grid)
    with torch.no_grad():
        ours, theirs = encode_alike(model, pixels, grid), one_by_one(model, pixels, grid)
    assert ours.shape == (3, grid[0] * grid[1] * grid[2] // 4, 24)
    assert theirs.std() > 0.01
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_gradients_equal_those_of_the_class() -> None:
    model, grid = tower(), (2, 8, 8)
    pixels, weights = torch.randn(2, 128, 384), torch.randn(24)
    found = []
    for run in (encode_alike, one_by_one):
        model.zero_grad()
        (run(model, pixels, grid) @ weights).square().mean().backward()
        found.append([parameter.grad.clone() for parameter in model.parameters()])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, atol=5e-5, rtol=1e-4)


def test_windows_of_several_sizes_are_refused() -> None:
    model = tower(32)
    assert not can_batch(model, (1, 12, 10))  # five tokens down in windows of two: 2, 2 and 1
    with pytest.raises(ValueError, match="windows of several sizes"):
        encode_alike(model, torch.randn(1, 120, 384), (1, 12, 10))


@pytest.mark.parametrize("make", [lambda: tower(32, whole=(0, 1, 2)), undivided])
def test_any_size_goes_where_all_layers_see_the_whole_frame(make: Callable[[], Any]) -> None:
    model, grid = make(), (2, 12, 10)
    pixels = torch.randn(2, 240, 384)
    assert can_batch(model, grid)
    with torch.no_grad():
        torch.testing.assert_close(
            encode_alike(model, pixels, grid), one_by_one(model, pixels, grid), atol=1e-5, rtol=1e-5
        )
