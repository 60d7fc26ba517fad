"""Masks by a tiny SAM 2, and the rules for what a new look finds."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stvg.errors import UsageError, WeightsError
from stvg.geometry.masks import decode_masks
from stvg.perception.detect import Detections
from stvg.perception.numbering import NumberingConfig, number_objects
from stvg.perception.segment import Verdict, judge, segment_objects
from stvg.types import BoolArray, ByteArray, Correction, FloatArray
from stvg.video import probe
from stvg.video.writer import VideoWriter

# ------------------------------------------------------------------------------------------ rules


def strip(start: int, end: int) -> BoolArray:
    """Pixels [start, end) of a row of 1000."""
    row = np.zeros((1, 1000), bool)
    row[0, start:end] = True
    return row


@pytest.mark.parametrize(
    ("new", "known", "verdict"),
    [
        # overlap 40 / 100, exactly the paper's bound
        (strip(0, 70), strip(30, 100), Verdict.KNOWN),
        # 39 / 101, and 39 of 70 inside (0.557)
        (strip(0, 70), strip(31, 101), Verdict.NEW),
        # 60 of 100 in a known one of 1000 - 40: overlap 0.06, containment just 0.60
        (strip(0, 100), strip(40, 1000), Verdict.PART),
        # 59 of 100: below
        (strip(0, 100), strip(41, 1000), Verdict.NEW),
        # the new one is the larger: 60 of the known 100 lie in it
        (strip(40, 1000), strip(0, 100), Verdict.REPLACES),
        (strip(41, 1000), strip(0, 100), Verdict.NEW),
        # apart
        (strip(0, 100), strip(500, 600), Verdict.NEW),
        # nothing of it
        (strip(0, 0), strip(500, 600), Verdict.NEW),
    ],
)
def test_rules_at_their_bounds(new: BoolArray, known: BoolArray, verdict: Verdict) -> None:
    found, row = judge(new, known[None])
    assert found is verdict
    assert row == (None if verdict is Verdict.NEW else 0)


def test_among_several_the_one_that_overlaps_most_counts() -> None:
    assert judge(strip(0, 100), np.stack([strip(90, 200), strip(10, 110)])) == (Verdict.KNOWN, 1)
    assert judge(strip(0, 100), np.zeros((0, 1, 1000), bool)) == (Verdict.NEW, None)


# ------------------------------------------------------------------------------- the tiny network


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("transformers", reason="the models extra is not installed")
    from tests.perception.tiny_sam2 import save_sam2

    return save_sam2(tmp_path_factory.mktemp("sam2"))


@pytest.fixture(scope="module")
def sam2(folder: Path) -> Any:
    from stvg.perception.sam2 import Sam2

    return Sam2.load(str(folder), threads=1)


@pytest.fixture(scope="module")
def frames() -> ByteArray:
    return np.random.default_rng(0).integers(0, 255, (6, 64, 64, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def masks() -> BoolArray:
    found = np.zeros((2, 48, 96), bool)
    found[0, 4:28, 8:40] = found[1, 20:44, 48:88] = True
    return found


def test_forwards_then_backwards_every_frame_once(
    sam2: Any, frames: ByteArray, masks: BoolArray
) -> None:
    found = list(sam2.follow(frames, 2, masks))
    assert [number for number, *_ in found] == [2, 3, 4, 5, 1, 0]
    assert all(carried.shape == (2, 48, 96) for _, carried, _ in found)
    assert all(((sure >= 0) & (sure <= 1)).all() for *_, sure in found)
    overlap = (found[0][1] & masks).sum(axis=(1, 2)) / (found[0][1] | masks).sum(axis=(1, 2))
    assert overlap.min() > 0.8  # in its own frame it is what it was, up to the model's 16 x 16


def test_from_the_first_and_the_last_frame(sam2: Any, frames: ByteArray, masks: BoolArray) -> None:
    assert [number for number, *_ in sam2.follow(frames, 0, masks)] == [0, 1, 2, 3, 4, 5]
    assert [number for number, *_ in sam2.follow(frames, 5, masks)] == [5, 4, 3, 2, 1, 0]
    assert [number for number, *_ in sam2.follow(frames[:1], 0, masks)] == [0]


def test_objects_do_not_influence_each_other(
    sam2: Any, frames: ByteArray, masks: BoolArray
) -> None:
    together = {number: carried for number, carried, _ in sam2.follow(frames, 2, masks)}
    alone = {number: carried for number, carried, _ in sam2.follow(frames, 2, masks[1:])}
    for number, carried in alone.items():
        np.testing.assert_array_equal(together[number][1], carried[0])


def test_the_same_as_the_model_on_frames_prepared_by_hand(
    sam2: Any, frames: ByteArray, masks: BoolArray
) -> None:
    """All frames at once, normalised with the constants of ImageNet, as the processor does."""
    import torch
    from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    video = ((torch.from_numpy(frames).float() / 255 - mean) / std).permute(0, 3, 1, 2)
    session = Sam2VideoInferenceSession(video, 48, 96, dtype=torch.float32)
    prompt = torch.nn.functional.interpolate(
        torch.from_numpy(masks[:1].astype(np.float32))[None], (64, 64), mode="bilinear",
        align_corners=False, antialias=True,
    )  # fmt: skip
    session.add_mask_inputs(session.obj_id_to_idx(0), 2, (prompt >= 0.5).float())
    session.obj_with_new_inputs = [0]
    expected = {}
    for backwards in (False, True):
        for output in sam2.model.propagate_in_video_iterator(session, 2, reverse=backwards):
            logits = torch.nn.functional.interpolate(
                output.pred_masks, (48, 96), mode="bilinear", align_corners=False
            )
            expected.setdefault(output.frame_idx, (logits[0, 0] > 0).numpy())
    for number, carried, _ in sam2.follow(frames, 2, masks[:1]):
        np.testing.assert_array_equal(carried[0], expected[number])


def test_boxes_give_masks(sam2: Any, frames: ByteArray) -> None:
    found, sure = sam2.masks_of(frames[0], np.array([[5.0, 5, 30, 30], [20, 20, 60, 50]]), (96, 48))
    assert found.shape == (2, 48, 96)
    assert found.dtype == np.bool_
    assert ((sure >= 0) & (sure <= 1)).all()


@pytest.mark.parametrize(("start", "count"), [(6, 2), (-1, 2), (0, 0)])
def test_a_frame_and_a_mask_are_needed(
    sam2: Any, frames: ByteArray, masks: BoolArray, start: int, count: int
) -> None:
    with pytest.raises(UsageError, match="at least one mask and a frame from 0 to 5"):
        list(sam2.follow(frames, start, masks[:count]))


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    from stvg.perception.sam2 import Sam2

    with pytest.raises(WeightsError, match="SAM 2 video model of transformers in the folder"):
        Sam2.load(str(tmp_path))


# -------------------------------------------------------------------------------- the whole of it


class Box:
    """A detector that sees one thing, always in the same place of its picture."""

    name, classes, long_side = "box", ("thing",), 64

    def __init__(self, first_look: int = 0) -> None:
        self.looks, self.first_look = 0, first_look

    def detect(self, frames: ByteArray, words: Sequence[str] = ()) -> list[Detections]:
        self.looks += 1
        boxes = np.array([[8.0, 8, 40, 28]] if self.looks > self.first_look else [])
        labels = ("thing",) * len(boxes)
        return [Detections(boxes.reshape(-1, 4), np.full(len(boxes), 0.9), labels)]


class Boxes:
    """In place of SAM 2: masks are boxes that rest."""

    side = 64

    def masks_of(
        self, frame: ByteArray, boxes: FloatArray, size: tuple[int, int]
    ) -> tuple[BoolArray, FloatArray]:
        scale = np.array([size[0] / 64, size[1] / 64] * 2)
        found = np.zeros((len(boxes), size[1], size[0]), bool)
        for mask, (x1, y1, x2, y2) in zip(found, (boxes * scale).astype(int), strict=True):
            mask[y1:y2, x1:x2] = True
        return found, np.ones(len(boxes))

    def follow(self, frames: ByteArray, start: int, masks: BoolArray) -> Any:
        for number in [*range(start, len(frames)), *reversed(range(start))]:
            yield number, masks, np.ones(len(masks))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """10 frames of 96 x 48 pixels."""
    path = tmp_path_factory.mktemp("segment") / "clip.mp4"
    source = np.random.default_rng(0)
    with VideoWriter(path, fps=Fraction(10)) as writer:
        for number in range(10):
            writer.write(source.integers(0, 255, (48, 96, 3), dtype=np.uint8), number / 10)
    return path


def test_with_the_tiny_model_every_box_is_the_extent_of_its_mask(folder: Path, clip: Path) -> None:
    config = NumberingConfig(segmenter=str(folder), redetect_frames=4, shortest_s=0)
    found = number_objects(clip, Box(), config, threads=1)
    for track in found.tracks:
        assert track.masks is not None
        assert all(mask is not None for mask in track.masks)
        for box, mask in zip(track.boxes, decode_masks(track.masks), strict=True):  # type: ignore[arg-type]
            ys, xs = np.nonzero(mask)
            assert box.tolist() == [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]


def test_what_is_found_late_is_followed_back_to_the_start(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stvg.perception.segment.Sam2.load", lambda name, threads: Boxes())
    detector = Box(first_look=1)
    (track,) = segment_objects(probe(clip), detector, "tiny", 4).tracks
    assert detector.looks == 3  # frames 0, 4 and 8; only the second look finds anything new
    assert track.frames.tolist() == list(range(10))
    assert track.boxes[0].tolist() == [12, 12, 60, 42]  # 8, 8, 40, 28 of 64 x 32, times 1.5


class Growing(Box):
    """First a part of a thing is seen, from the second look on all of it."""

    def detect(self, frames: ByteArray, words: Sequence[str] = ()) -> list[Detections]:
        self.looks += 1
        box = np.array([[8.0, 8, 16, 28]] if self.looks == 1 else [[8.0, 8, 40, 28]])
        return [Detections(box, np.array([0.9]), ("thing",))]


def test_what_is_swallowed_is_noted(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """8 of 32 columns: overlap 0.25, and all of the old one lies in the new one."""
    monkeypatch.setattr("stvg.perception.segment.Sam2.load", lambda name, threads: Boxes())
    found = segment_objects(probe(clip), Growing(), "tiny", 4, cuts=[2], same_look=1.0)
    one, two = found.tracks  # the looks are in frames 0 | 2 and 6
    assert (one.frames.tolist(), two.frames.tolist()) == ([0, 1], list(range(2, 10)))
    assert found.corrections == ()
    found = segment_objects(probe(clip), Growing(), "tiny", 4)
    part, whole = found.tracks
    assert part.frames.tolist() == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert whole.frames.tolist() == list(range(10))
    assert found.corrections == (Correction(4, 1, 2),)


class Three(Box):
    """A part of a thing; then a larger part and all of it, both in one look."""

    def detect(self, frames: ByteArray, words: Sequence[str] = ()) -> list[Detections]:
        self.looks += 1
        first, second = [[8.0, 8, 12, 28]], [[8.0, 8, 20, 28], [8.0, 8, 56, 28]]
        boxes = np.array(first if self.looks == 1 else second)
        return [Detections(boxes, np.array([0.9, 0.8][: len(boxes)]), ("thing",) * len(boxes))]


def test_what_swallows_is_swallowed_in_the_same_look(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stvg.perception.segment.Sam2.load", lambda name, threads: Boxes())
    found = segment_objects(probe(clip), Three(), "tiny", 5)
    assert [track.boxes[-1, 2] for track in found.tracks] == [18, 84]  # the one between is gone
    assert found.corrections == (Correction(5, 1, 2),)


def test_nothing_goes_back_across_a_cut(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stvg.perception.segment.Sam2.load", lambda name, threads: Boxes())
    detector = Box(first_look=2)  # frames 0, 4 | 6: seen in the second shot only
    (track,) = segment_objects(probe(clip), detector, "tiny", 4, cuts=[6]).tracks
    assert track.frames.tolist() == [6, 7, 8, 9]
