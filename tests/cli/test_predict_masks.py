"""Benchmarks of masks, from folders of frames over ``stvg predict`` to J and F worked out by hand.

A square of 10 pixels in a picture of 40: its outline is the ring of the pixels 4 and 14, 40 pixels,
and outlines agree within ceil(0.008 * 56.6) = 1 pixel. Moved by 5 pixels it shares 50 of 150 pixels
with itself (J = 1/3). Of its outline 7 pixels of the upper and 7 of the lower side lie within a
pixel of the other's, and the two of its right side next to them: F = 16/40.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch", reason="the models extra is not installed")
pytest.importorskip("transformers", reason="the models extra is not installed")

from stvg.errors import VideoError
from stvg.formats.predictions_jsonl import read_predictions_jsonl
from stvg.formats.tracks import write_tracks
from stvg.geometry.masks import decode_masks, encode_masks, mask_boxes
from stvg.methods.stvg_r1.config import StvgR1Config
from stvg.perception.prepared import FrontEnd, TracksCache
from stvg.predicting.folders import packed
from stvg.types import RLE, ByteArray, Track, Tracks
from stvg.video import SamplingPlan, read_clip
from tests.mask_methods import OPTIONS

Run = Callable[..., Any]
SIDE, FRAMES = 40, ("00000", "00005", "00010", "00015")
TESTS = Path(__file__).parents[1]


def square(x: int, y: int) -> Any:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[y : y + 10, x : x + 10] = True
    return mask


def rle(mask: Any) -> RLE:
    return encode_masks(mask[None])[0]


FIRST, SECOND, MOVED = square(5, 5), square(22, 24), square(10, 5)
"""The first object is there in all four frames, the second in three; MOVED is where it is not."""


def frame(number: int) -> ByteArray:
    picture = np.full((SIDE, SIDE, 3), 90, np.uint8)
    picture[FIRST] = (200, 40, 40)
    picture[SECOND] = (40, 40, 200)
    picture[0, 0] = number
    return picture


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """A folder of videos, each a folder of pictures with one that is not annotated."""
    for vid in ("0123456789ab", "0123456789"):
        folder = tmp_path / "JPEGImages" / vid
        folder.mkdir(parents=True)
        for number, name in enumerate([*FRAMES, "00020"]):
            Image.fromarray(frame(number)).save(folder / f"{name}.png")
    return tmp_path / "JPEGImages"


@pytest.fixture
def kept(frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a segmenter would have found, where the method looks for it."""
    monkeypatch.setenv("STVG_CACHE", str(tmp_path / "cache"))
    keep(frames, track(1, FIRST, 4), track(2, SECOND, 3))


def keep(frames: Path, *tracks: Track) -> None:
    """Write the tracks of all videos to the cache."""
    config = StvgR1Config.of(OPTIONS)
    front_end = FrontEnd(config.detector, config.classes, config.threshold, config.numbering)
    for folder in frames.iterdir():
        with packed(folder, FRAMES, 6) as meta:
            path = TracksCache().path_of(meta.path, front_end)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_tracks(Tracks(meta, tracks), path)


def track(number: int, mask: Any, count: int) -> Track:
    masks = (rle(mask),) * count
    return Track(number, "thing", np.arange(count), mask_boxes(masks), np.ones(count), masks)


def mevis(folder: Path, frames: list[str] | None = None) -> Path:
    """Three expressions: both objects; the first; the first, annotated 5 pixels to the right."""
    expressions = {
        "0": {"exp": "both squares", "obj_id": [1, 2], "anno_id": [1, 2]},
        "1": {"exp": "the red square", "obj_id": [1], "anno_id": [1]},
        "2": {"exp": "the square that moved", "obj_id": [3], "anno_id": [3]},
    }
    video = {"frames": frames or list(FRAMES), "expressions": expressions}
    path = folder / "meta_expressions.json"
    path.write_text(json.dumps({"videos": {"0123456789ab": video}}))
    masks = {"1": [rle(FIRST)] * 4, "2": [rle(SECOND)] * 3 + [None], "3": [rle(MOVED)] * 4}
    (folder / "mask_dict.json").write_text(json.dumps(masks))
    return path


def said(folder: Path, **answers: str) -> list[object]:
    """The words that choose the method with these answers."""
    path = folder / "answers.json"
    path.write_text(json.dumps({key.replace("_", " "): text for key, text in answers.items()}))
    return ["--method", f"{TESTS / 'mask_methods.py'}:Scripted", "--model", path]


def answer(numbers: str, span: str = "0.00 to 0.20") -> str:
    return f"<think>.</think><answer>Target ID: {numbers}, Time range: {span}</answer>"


@pytest.mark.usefixtures("kept")
def test_mevis_from_predict_to_evaluate(stvg: Run, frames: Path, tmp_path: Path) -> None:
    annotations, out = mevis(tmp_path), tmp_path / "p.jsonl"
    method = said(
        tmp_path,
        both_squares=answer("1, 2"),
        the_red_square=answer("1"),
        the_square_that_moved=answer("1"),
    )
    found = stvg("predict", "mevis", "-a", annotations, "--videos", frames, "-o", out, *method)
    assert found.code == 0, found.err
    lines = {line.id: line for line in read_predictions_jsonl(out)}
    masks = lines["0123456789ab/0"].masks
    assert masks is not None
    pixels = decode_masks([masks[number] for number in range(4)])
    assert (pixels[:3] == FIRST | SECOND).all()  # the time range is ignored
    assert (pixels[3] == FIRST).all()
    found = stvg("evaluate", "mevis", "-a", annotations, "-p", out, "--protocol", "ours",
                 "--resamples", 0, "--json")  # fmt: skip
    assert found.code == 0, found.err
    (values,) = json.loads(found.out)["protocols"].values()
    means = {name: values["metrics"][name] for name in ("J", "F", "J&F")}
    assert means == pytest.approx({"J": 7 / 9, "F": 2.4 / 3, "J&F": (7 / 9 + 0.8) / 2})


@pytest.mark.usefixtures("kept")
def test_refer_youtube_vos_from_predict_to_evaluate(
    stvg: Run, frames: Path, tmp_path: Path
) -> None:
    truth = tmp_path / "Annotations" / "0123456789"
    truth.mkdir(parents=True)
    for number, name in enumerate(FRAMES):
        numbers = FIRST * 1 + (SECOND * 2 if number < 3 else 0)
        Image.fromarray(numbers.astype(np.uint8)).save(truth / f"{name}.png")
    expressions = {"0": {"exp": "the blue one", "obj_id": "2"}}
    annotations, out = tmp_path / "meta_expressions.json", tmp_path / "p.jsonl"
    videos = {"0123456789": {"frames": list(FRAMES), "expressions": expressions}}
    annotations.write_text(json.dumps({"videos": videos}))
    files = ["-a", annotations, "--with", f"masks={truth.parent}"]
    method = said(tmp_path, the_blue_one=answer("2"))
    found = stvg("predict", "refer_youtube_vos", *files, "--videos", frames, "-o", out, *method)
    assert found.code == 0, found.err
    assert "refer_youtube_vos --annotations" in found.err  # the command that scores
    found = stvg("evaluate", "refer_youtube_vos", *files, "-p", out, "--json", "--resamples", 0)
    (values,) = json.loads(found.out)["protocols"].values()
    assert values["metrics"] == {"J": 1.0, "F": 1.0, "J&F": 1.0}


@pytest.mark.usefixtures("kept")
def test_an_answer_that_cannot_be_read_has_no_masks(
    stvg: Run, frames: Path, tmp_path: Path
) -> None:
    annotations, out = mevis(tmp_path), tmp_path / "p.jsonl"
    method = said(tmp_path, both_squares="the red one")
    found = stvg("predict", "mevis", "-a", annotations, "--videos", frames, "-o", out, "--limit", 1,
                 *method)  # fmt: skip
    assert "nothing found 1, failed 0" in found.err
    (line,) = read_predictions_jsonl(out)
    assert (line.masks, line.span_frames, line.error) == (None, None, None)


@pytest.mark.usefixtures("kept")
def test_boxes_alone_are_no_answer(stvg: Run, frames: Path, tmp_path: Path) -> None:
    keep(frames, replace(track(1, FIRST, 4), masks=None))
    annotations, out = mevis(tmp_path), tmp_path / "p.jsonl"
    found = stvg("predict", "mevis", "-a", annotations, "--videos", frames, "-o", out, "--limit", 1,
                 *said(tmp_path, both_squares=answer("1")))  # fmt: skip
    assert found.code == 1
    (line,) = read_predictions_jsonl(out)
    assert "expected masks, stvg_r1 answered with boxes alone" in str(line.error)


def test_a_frame_that_is_missing_is_named(stvg: Run, frames: Path, tmp_path: Path) -> None:
    annotations = mevis(tmp_path, [*FRAMES[:3], "00099"])
    found = stvg("predict", "mevis", "-a", annotations, "--videos", frames, "-o",
                 tmp_path / "p.jsonl", "--method", "track_match", "--model", "blobs")  # fmt: skip
    assert found.code == 1
    line = next(iter(read_predictions_jsonl(tmp_path / "p.jsonl")))
    assert "expected the frame 00099 as .jpg or .png in" in str(line.error)


# ------------------------------------------------------------------------------ folders as videos


def test_a_folder_of_png_is_read_pixel_by_pixel(frames: Path) -> None:
    names = ("00010", "00000", "00020")
    with packed(frames / "0123456789", names, 6) as meta:
        assert (meta.width, meta.height, meta.frames, meta.fps) == (SIDE, SIDE, 3, 6)
        clip = read_clip(meta, SamplingPlan(times_s=meta.times_s.tolist()))
        first = Path(meta.path).read_bytes()
    np.testing.assert_array_equal(clip.frames, [frame(2), frame(0), frame(4)])
    assert not Path(meta.path).exists()
    with packed(frames / "0123456789", names, 6) as meta:
        assert Path(meta.path).read_bytes() == first


def test_a_folder_of_jpeg_has_the_colours_of_its_pictures(tmp_path: Path) -> None:
    y, x = np.mgrid[:48, :64]
    picture = np.stack([4 * x, 5 * y, x + y], axis=-1).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.jpg", quality=95, subsampling=0)
    expected = np.asarray(Image.open(tmp_path / "a.jpg")).astype(int)
    with packed(tmp_path, (), 6) as meta:
        (found,) = read_clip(meta, SamplingPlan(times_s=[0.0])).frames
    assert np.abs(found.astype(int) - expected).max() <= 4  # two ways to round YCbCr


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_notes_of_a_camera_turn_no_picture(tmp_path: Path, name: str) -> None:
    """Masks are annotated on the pixels as they are stored."""
    picture = Image.new("RGB", (64, 48), (200, 40, 40))
    notes = picture.getexif()
    notes[0x0112] = 6  # orientation: turn it clockwise
    picture.save(tmp_path / name, exif=notes)
    with packed(tmp_path, (), 6) as meta:
        clip = read_clip(meta, SamplingPlan(times_s=[0.0]))
    assert clip.frames.shape == (1, 48, 64, 3)
    assert np.abs(clip.frames.astype(int) - (200, 40, 40)).max() <= 4


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_picture_that_is_cut_off_is_named(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    for number in range(2):
        Image.fromarray(noise).save(tmp_path / f"{number}{suffix}")
    path = tmp_path / f"1{suffix}"
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    reason = rf"expected a picture at .*1\{suffix}, which cannot be read"
    with pytest.raises(VideoError, match=reason), packed(tmp_path, (), 6):
        pass


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("00020.png", b"no picture", "which cannot be read"),
        ("00020.png", (30, 40), "expected frames of one kind and size"),
    ],
)
def test_folders_that_are_no_video(
    frames: Path, name: str, data: bytes | tuple[int, int], reason: str
) -> None:
    path = frames / "0123456789" / name
    if isinstance(data, bytes):
        path.write_bytes(data)
    else:
        Image.new("RGB", data).save(path)
    with pytest.raises(VideoError, match=reason), packed(path.parent, (), 6):
        pass


def test_an_empty_folder(tmp_path: Path) -> None:
    with (
        pytest.raises(VideoError, match=r"expected frames as \.jpg or \.png"),
        packed(tmp_path, (), 6),
    ):
        pass
