"""Videos whose pictures grow in the middle."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from stvg.data.world.files import write_world
from stvg.serve.sizes import picture_sizes
from stvg.types import ByteArray
from stvg.video import SamplingPlan, read_clip
from tests.serve.conftest import Client, draw_clip

SMALL, LARGE = (64, 48), (640, 480)
FRAMES, RATE = 30, Fraction(10)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> ByteArray:
    """Pictures of the procedural world."""
    folder = tmp_path_factory.mktemp("world")
    write_world(folder, clips=1, level="standard")
    clip = next((folder / "videos").glob("*.mp4"))
    return read_clip(clip, SamplingPlan(count=5)).frames


def encoded(codec: str, size: tuple[int, int], pictures: ByteArray) -> list[av.Packet]:
    """A stream of one size, a key picture every ten."""
    encoder = av.CodecContext.create(codec, "w")
    encoder.width, encoder.height = size
    encoder.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    encoder.time_base, encoder.framerate, encoder.gop_size = 1 / RATE, RATE, 10
    encoder.max_b_frames = 0
    packets = []
    for number in range(FRAMES):
        frame = av.VideoFrame.from_ndarray(pictures[number % len(pictures)], format="rgb24")
        frame = frame.reformat(*size, format=encoder.pix_fmt)
        frame.pts = number
        packets += encoder.encode(frame)
    return packets + encoder.encode(None)


def joined(path: Path, codec: str, sizes: list[tuple[int, int]], pictures: ByteArray) -> Path:
    """Encodes one after the other as one stream, which declares the size of the first."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=RATE)
        stream.width, stream.height = sizes[0]
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for number, size in enumerate(sizes):
            for packet in encoded(codec, size, pictures):
                assert packet.pts is not None
                packet.stream, packet.time_base = stream, 1 / RATE
                packet.pts = packet.dts = packet.pts + number * FRAMES
                container.mux(packet)
    return path


KINDS = [
    ("libx264", "ts"), ("libx264", "mp4"), ("libx264", "mkv"), ("mpeg4", "avi"),
    ("libvpx", "webm"), ("libvpx-vp9", "webm"), ("mjpeg", "avi"),
]  # fmt: skip


@pytest.mark.parametrize(("codec", "suffix"), KINDS)
def test_pictures_that_grow_are_found(
    codec: str, suffix: str, pictures: ByteArray, tmp_path: Path
) -> None:
    path = joined(tmp_path / f"grows.{suffix}", codec, [SMALL, LARGE, SMALL], pictures)
    with av.open(str(path)) as container:
        assert container.streams.video[0].width == SMALL[0]
    assert set(picture_sizes(str(path))) == {SMALL, LARGE}


@pytest.mark.parametrize(("codec", "suffix"), KINDS)
def test_pictures_of_one_size(codec: str, suffix: str, pictures: ByteArray, tmp_path: Path) -> None:
    path = joined(tmp_path / f"stays.{suffix}", codec, [SMALL, SMALL], pictures)
    assert set(picture_sizes(str(path))) == {SMALL}


def test_a_file_that_breaks_off_or_is_damaged(tmp_path: Path) -> None:
    content = draw_clip(tmp_path / "whole.mp4").read_bytes()
    broken = tmp_path / "broken.ts"
    with av.open(str(tmp_path / "whole.mp4")) as source, av.open(str(broken), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    content = bytearray(broken.read_bytes())
    noise = np.random.default_rng(0).integers(0, 256, 500, np.uint8).tobytes()
    content[len(content) // 2 : len(content) // 2 + 500] = noise
    broken.write_bytes(content[:-777])
    assert set(picture_sizes(str(broken))) == {(320, 180)}


def test_a_video_that_outgrows_the_limit_is_refused(
    start: Callable[..., Client], pictures: ByteArray, tmp_path: Path
) -> None:
    client = start(video_megapixels=0.1)  # LARGE has 0.3072
    for codec, suffix in (("libx264", "mp4"), ("mpeg4", "avi")):
        path = joined(tmp_path / f"grows.{suffix}", codec, [SMALL, LARGE], pictures)
        found = client.video(client.upload(path))
        assert found["state"] == "refused"
        assert "at most 0.1 million pixels a frame, found 0.3072" in found["reason"]
    small = joined(tmp_path / "stays.avi", "mpeg4", [SMALL, SMALL], pictures)
    assert client.video(client.upload(small))["state"] == "ready"
