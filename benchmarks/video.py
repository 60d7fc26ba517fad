"""What reading frames costs: ours against the usual ways, in CPU seconds.

A 20 s 720p30 clip is drawn and encoded (H.264, about 1.8 Mbit/s, a key frame every 60 and every
250 frames), and T frames of it are read at 448x252 by every method, each in a process of its own,
one decoder thread, in the order A B B A ..., median of the repetitions. CPU seconds of the whole
process are counted from before the file is opened, not wall time: that is what a busy machine pays.

The usual ways: decode every frame, keep them all, pick and resize with torch (what reading a whole
video with torchvision comes to); decode from the start with PyAV and scale the wanted frames with
swscale; seek to every frame; OpenCV, grabbing from the start; decord at full size, then torch's
antialiased bicubic resize, as qwen-vl-utils does it (PIL where torch is missing; the table says
which). decord and OpenCV are not needed by this project; where one is absent its row says so.

Run:  python benchmarks/video.py [--quick] [--json] [--frames 32] [--clip my.mp4]
Takes four minutes on two cores, 50 s with --quick. Leaves nothing behind. Exits with 1 when the
pixels of the short way differ from those of the sequential decode.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from importlib import import_module
from pathlib import Path

import av
import av.video.reformatter
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from stvg.video import FrameCache, SamplingPlan, probe, read_clip

Frames = NDArray[np.uint8]
SIZE = (448, 252)
GOALS = {"read every frame": 3.0, "decord, full size": 1.7, "ours, from cache": 100.0}


# --- the ways to read: (clip, frame numbers) -> frames (T, 252, 448, 3) uint8 -----------------


def read_every_frame(clip: str, numbers: list[int]) -> Frames:
    with av.open(clip) as container:
        container.streams.video[0].codec_context.thread_count = 1
        everything = np.stack(
            [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        )
    return resize(everything[numbers])


def pyav_sequential(clip: str, numbers: list[int]) -> Frames:
    scaler, wanted, found = av.video.reformatter.VideoReformatter(), set(numbers), []
    with av.open(clip) as container:
        container.streams.video[0].codec_context.thread_count = 1
        for number, frame in enumerate(container.decode(video=0)):
            if number in wanted:
                found.append(to_rgb(scaler, frame))
            if number == numbers[-1]:
                break
    return np.stack(found)


def seek_to_each(clip: str, numbers: list[int]) -> Frames:
    times_s = probe(clip).times_s
    scaler, found = av.video.reformatter.VideoReformatter(), []
    with av.open(clip) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        assert stream.time_base is not None
        for number in numbers:
            wanted = round(times_s[number] / stream.time_base) + (stream.start_time or 0)
            container.seek(wanted, stream=stream)
            frame = next(one for one in container.decode(stream) if (one.pts or 0) >= wanted)
            found.append(to_rgb(scaler, frame))
    return np.stack(found)


def opencv_grab(clip: str, numbers: list[int]) -> Frames:
    cv2 = import_module("cv2")
    cv2.setNumThreads(1)
    parameters = [cv2.CAP_PROP_N_THREADS, 1]
    capture, wanted, found = cv2.VideoCapture(clip, cv2.CAP_FFMPEG, parameters), set(numbers), []
    for number in range(numbers[-1] + 1):
        capture.grab()
        if number in wanted:
            _, picture = capture.retrieve()
            picture = cv2.resize(picture, SIZE, interpolation=cv2.INTER_CUBIC)
            found.append(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
    return np.stack(found)


def decord_full(clip: str, numbers: list[int]) -> Frames:
    decord = import_module("decord")
    reader = decord.VideoReader(clip, ctx=decord.cpu(0), num_threads=1)
    return resize(reader.get_batch(numbers).asnumpy())


def ours(clip: str, numbers: list[int]) -> Frames:
    return read_clip(clip, plan_of(clip, numbers), threads=1).frames


def ours_cached(clip: str, numbers: list[int]) -> Frames:
    cache = FrameCache(Path(clip).parent / "cache")
    frames = read_clip(clip, plan_of(clip, numbers), cache=cache, threads=1).frames
    frames.sum()  # touch every byte: mapping alone reads nothing
    return frames


WAYS: dict[str, tuple[Callable[[str, list[int]], Frames], str | None]] = {
    "read every frame": (read_every_frame, None),
    "PyAV sequential": (pyav_sequential, None),
    "seek to each": (seek_to_each, None),
    "OpenCV, grab": (opencv_grab, "cv2"),
    "decord, full size": (decord_full, "decord"),
    "ours": (ours, None),
    "ours, from cache": (ours_cached, None),
}


def to_rgb(scaler: av.video.reformatter.VideoReformatter, frame: av.VideoFrame) -> Frames:
    """Scale and convert as the package does, so that pixels can be compared."""
    kind = av.video.reformatter.Interpolation
    flags = int(kind.BICUBIC) | 0x2000  # full horizontal chroma
    rgb = scaler.reformat(frame, *SIZE, format="rgb24", interpolation=flags, threads=1)
    return np.asarray(rgb.to_ndarray(), np.uint8)


def resizer() -> str:
    """Which package resizes full frames here."""
    try:
        import_module("torch")
    except ImportError:
        return "PIL"
    return "torch"


def resize(frames: Frames) -> Frames:
    """Full frames (T, H, W, 3) to (T, 252, 448, 3): bicubic with antialiasing."""
    if resizer() == "torch":
        torch = import_module("torch")
        torch.set_num_threads(1)
        batch = torch.from_numpy(frames).permute(0, 3, 1, 2)  # (T, 3, H, W)
        small = torch.nn.functional.interpolate(batch, SIZE[::-1], mode="bicubic", antialias=True)
        return np.asarray(small.permute(0, 2, 3, 1).contiguous().numpy())
    image = import_module("PIL.Image")
    return np.stack(
        [np.asarray(image.fromarray(one).resize(SIZE, image.Resampling.BICUBIC)) for one in frames]
    )


def numbers_of(clip: str, count: int) -> list[int]:
    """Frames at the centres of ``count`` equal parts of the clip."""
    meta = probe(clip)
    return sorted(set(meta.frame_at(SamplingPlan(count=count).times(meta)).tolist()))


def plan_of(clip: str, numbers: list[int]) -> SamplingPlan:
    """The plan that asks for these frames, of a clip of constant frame rate."""
    return SamplingPlan(count=len(numbers), fixed_size=SIZE)


# --- measuring --------------------------------------------------------------------------------


def measure_here(way: str, clip: str, count: int) -> dict[str, float | str]:
    """One read in this process: CPU seconds and a digest of the pixels."""
    numbers = numbers_of_file(clip, count)
    read, _ = WAYS[way]
    if "decord" in way or "every" in way:
        resize(np.zeros((1, 8, 8, 3), np.uint8))  # imports do not count
    for module in (WAYS[way][1],):
        if module:
            import_module(module)
    before = time.process_time()
    frames = read(clip, numbers)
    seconds = time.process_time() - before
    return {"seconds": seconds, "digest": hashlib.sha256(frames.tobytes()).hexdigest()}


def numbers_of_file(clip: str, count: int) -> list[int]:
    """The frame numbers, from the note that the parent process left beside the clip."""
    return list(json.loads(Path(f"{clip}.{count}.json").read_text()))


def measure(way: str, clip: str, count: int) -> dict[str, float | str]:
    """One read in a fresh process."""
    command = [sys.executable, __file__, "--one", way, "--clip", clip, "--frames", str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{way} failed:\n{done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def available(way: str) -> bool:
    module = WAYS[way][1]
    try:
        return module is None or bool(import_module(module))
    except (ImportError, OSError):
        return False


def compare(clip: str, count: int, repetitions: int) -> dict[str, dict[str, object]]:
    """CPU seconds of every way, interleaved; median."""
    Path(f"{clip}.{count}.json").write_text(json.dumps(numbers_of(clip, count)))
    ways = [way for way in WAYS if available(way)]
    measure("ours, from cache", clip, count)  # fills the cache
    runs: dict[str, list[dict[str, float | str]]] = {way: [] for way in ways}
    for repetition in range(repetitions):
        for way in ways if repetition % 2 == 0 else reversed(ways):
            runs[way].append(measure(way, clip, count))
    return {
        way: {
            "seconds": statistics.median(float(run["seconds"]) for run in runs[way]),
            "runs": [round(float(run["seconds"]), 4) for run in runs[way]],
            "digest": runs[way][0]["digest"],
        }
        for way in ways
    }


def draw_clip(path: Path, gop: int, seconds: int) -> None:
    """A moving, textured scene: 720p, 30 frames a second, about 1.8 Mbit/s."""
    rng = np.random.default_rng(0)
    texture = rng.integers(0, 255, (92, 160, 3), np.uint8).repeat(10, 0).repeat(10, 1)
    texture = (texture[:900, :1600].astype(np.float32) * 0.4 + 70).astype(np.uint8)
    shapes = [(rng.integers(0, 255, 3), *rng.uniform(-4, 4, 2), *rng.uniform(60, 200, 2)) for _ in range(8)]
    with av.open(str(path), "w") as container:
        options = {"g": str(gop), "b": "1800k", "preset": "veryfast", "bf": "3"}
        stream = container.add_stream("libx264", rate=30, options=options)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 1280, 720, "yuv420p", 1_800_000
        for number in range(30 * seconds):
            left, top = int(150 + 140 * np.sin(number / 40)), int(90 + 80 * np.cos(number / 55))
            picture = texture[top : top + 720, left : left + 1280].copy()
            for colour, step_x, step_y, width, height in shapes:
                x, y = int(640 + step_x * number) % 1100, int(360 + step_y * number) % 560
                picture[y : y + int(height), x : x + int(width)] = colour
            picture = np.clip(picture.astype(np.int16) + rng.integers(-3, 4, (720, 1280, 1)), 0, 255)
            frame = av.VideoFrame.from_ndarray(picture.astype(np.uint8), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 30)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
