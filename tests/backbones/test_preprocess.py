"""Frames to pixel rows, against the processors of transformers."""

from __future__ import annotations

import importlib
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from stvg.backbones.preprocess import (
    PatchLayout,
    normalise,
    normalise_on_device,
    patchify,
    smart_size,
    video_inputs,
)
from stvg.errors import UsageError

QWEN = PatchLayout()
TINY = PatchLayout(patch=8)
ROUNDING = 2e-6  # of float32 values up to 2.2


def noise(count: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def official() -> Any:
    """The official processor in its Pillow form, and ``smart_resize``."""
    name = "transformers.models.qwen2_vl.image_processing_pil_qwen2_vl"
    return pytest.importorskip(name, reason="the models extra is not installed")


def pillow_patches(
    official: Any, frame: np.ndarray, layout: PatchLayout
) -> tuple[np.ndarray, np.ndarray]:
    processor = official.Qwen2VLImageProcessorPil(
        patch_size=layout.patch,
        merge_size=layout.merge,
        temporal_patch_size=layout.temporal_patch,
        do_resize=False,
    )
    result = processor(frame, return_tensors="np")
    return np.asarray(result["pixel_values"]), np.asarray(result["image_grid_thw"])


@pytest.mark.parametrize(
    ("layout", "height", "width"),
    [(QWEN, 56, 84), (QWEN, 28, 28), (TINY, 64, 48), (PatchLayout(4, 3, 4), 24, 36)],
    ids=["qwen", "one token", "tiny", "merge 3, four frames"],
)
def test_an_image_equals_the_official_pillow_processor(
    official: Any, layout: PatchLayout, height: int, width: int
) -> None:
    frames = noise(1, height, width)
    pixels, grid = video_inputs(frames, layout)
    expected, expected_grid = pillow_patches(official, frames[0], layout)
    np.testing.assert_array_equal(grid, expected_grid)
    assert pixels.dtype == np.float32
    np.testing.assert_allclose(pixels, expected, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("count", [2, 5, 6])
def test_each_frame_of_a_video_lies_where_the_official_processor_puts_an_image(
    official: Any, count: int
) -> None:
    """The Pillow processor repeats an image over the frames of a patch; a video differs there."""
    frames = noise(count, 56, 84)
    pixels, grid = video_inputs(frames, QWEN)
    steps = -(-count // 2)
    assert grid.tolist() == [[steps, 4, 6]]
    rows = pixels.reshape(steps, 24, 3, 2, 14 * 14)
    for position in range(2 * steps):
        number = min(position, count - 1)  # an odd video is filled up with its last frame
        expected, _ = pillow_patches(official, frames[number], QWEN)
        place = rows[position // 2, :, :, position % 2]
        np.testing.assert_allclose(
            place, expected.reshape(24, 3, 2, 196)[:, :, position % 2], rtol=0, atol=ROUNDING
        )


@pytest.fixture
def official_video_patchify(official: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """``Qwen2VLVideoProcessor.patchify``; its file wants torchvision, this method does not."""
    try:
        importlib.import_module("torchvision.transforms.v2.functional")
    except Exception:  # noqa: BLE001  # absent, or built for another torch
        names = "torchvision", "torchvision.transforms", "torchvision.transforms.v2"
        for name in (*names, "torchvision.transforms.v2.functional"):
            monkeypatch.setitem(sys.modules, name, ModuleType(name))
        monkeypatch.setattr(
            sys.modules[names[-1]],
            "functional",
            sys.modules["torchvision.transforms.v2.functional"],
            raising=False,
        )
    # Under a name of its own, so that nobody else meets a module that stands on an empty one.
    file = Path(official.__file__).with_name("video_processing_qwen2_vl.py")
    spec = spec_from_file_location("transformers.models.qwen2_vl._for_this_test", file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module.Qwen2VLVideoProcessor.patchify


@pytest.mark.parametrize("count", [1, 4, 7])
@pytest.mark.parametrize("layout", [QWEN, TINY], ids=["qwen", "tiny"])
def test_bytes_lie_in_the_order_of_the_official_video_processor(
    official_video_patchify: Any, layout: PatchLayout, count: int
) -> None:
    torch = pytest.importorskip("torch")
    frames = noise(count, 3 * layout.cell, 2 * layout.cell)
    video = torch.from_numpy(frames).permute(0, 3, 1, 2)[None]  # (1, T, 3, H, W)
    expected, *expected_grid = official_video_patchify(
        None, video.contiguous(), layout.patch, layout.merge, layout.temporal_patch
    )
    rows, grid = patchify(frames, layout)
    assert list(grid) == expected_grid
    np.testing.assert_array_equal(rows, expected[0].numpy())


def test_normalising_on_the_device_and_on_the_host_agree() -> None:
    torch = pytest.importorskip("torch", reason="the models extra is not installed")
    rows, _ = video_inputs(noise(3, 28, 56), QWEN, keep_bytes=True)
    assert rows.dtype == np.uint8
    on_device = normalise_on_device(torch.from_numpy(rows), QWEN)
    np.testing.assert_allclose(on_device.numpy(), normalise(rows, QWEN), rtol=0, atol=1e-6)


def test_normalising_by_hand() -> None:
    layout = PatchLayout(1, 1, 1, mean=(0.0, 0.5, 0.2), std=(1.0, 0.5, 0.1))
    values = normalise(np.array([[255, 255, 51]], np.uint8), layout)
    np.testing.assert_allclose(values, [[1.0, 1.0, 0.0]], atol=1e-6)


def test_frames_are_not_changed() -> None:
    frames = noise(3, 28, 28)
    frames.setflags(write=False)  # as a cache gives them
    before = frames.copy()
    video_inputs(frames, QWEN)
    np.testing.assert_array_equal(frames, before)


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        (np.zeros((0, 28, 28, 3), np.uint8), r"T >= 1"),
        (np.zeros((28, 28, 3), np.uint8), r"\(T, H, W, 3\)"),
        (np.zeros((2, 28, 28, 3), np.float32), "uint8"),
        (np.zeros((2, 28, 30, 3), np.uint8), "multiples of 28 pixels.*30x28"),
    ],
    ids=["empty", "one picture", "floats", "odd size"],
)
def test_wrong_frames_are_refused(frames: np.ndarray, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        patchify(frames, QWEN)


@pytest.mark.parametrize(
    ("multiple", "min_pixels", "max_pixels"),
    [
        (28, 128 * 28 * 28, 768 * 28 * 28),  # videos
        (28, 56 * 56, 28 * 28 * 1280),  # images
        (16, 1, 64 * 64),  # the tiny model
        (28, 28 * 28, 40 * 28 * 28),  # a narrow budget
    ],
)
def test_smart_size_is_that_of_transformers(
    official: Any, multiple: int, min_pixels: int, max_pixels: int
) -> None:
    sides = [1, 5, 13, 14, 15, 27, 28, 29, 42, 64, 70, 98, 252, 360, 448, 719, 720, 1279, 1280]
    compared = 0
    for width in [*sides, 2160, 3840]:
        for height in [*sides, 1081, 4000]:
            if max(width, height) / min(width, height) > 200:
                continue
            theirs = official.smart_resize(height, width, multiple, min_pixels, max_pixels)
            ours = smart_size(
                width, height, multiple=multiple, min_pixels=min_pixels, max_pixels=max_pixels
            )
            assert ours == theirs[::-1], (width, height)
            compared += 1
    assert compared > 350


@pytest.mark.parametrize(
    ("width", "height", "limits"),
    [(0, 5, {}), (5, 1005, {}), (28, 28, {"min_pixels": 9, "max_pixels": 8})],
    ids=["no width", "too thin", "limits reversed"],
)
def test_sizes_that_cannot_be_are_refused(width: int, height: int, limits: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        smart_size(width, height, **limits)


def test_layout_of_a_model_configuration() -> None:
    transformers = pytest.importorskip("transformers", reason="the models extra is not installed")
    assert PatchLayout.of(transformers.Qwen2_5_VLConfig().vision_config) == QWEN
    assert (QWEN.cell, QWEN.row_length) == (28, 1176)
    with pytest.raises(UsageError, match="at least 1"):
        PatchLayout(patch=0)
