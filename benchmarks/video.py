"""What reading frames costs: ours against the usual ways, in CPU seconds.

A 20 s 720p30 clip is drawn and encoded (H.264, about 1.8 Mbit/s, a key frame every 60 and every
250 frames), and T frames of it are read at 448x252 by every method, each in a process of its own,
one decoder thread, in the order A B B A ..., median of the repetitions. CPU seconds of the whole
process are counted from before the file is opened, not wall time: that is what a busy machine pays.

The usual ways: decode every frame, keep them all, pick and resize with torch (what reading a whole
video with torchvision comes to); decode from the start with PyAV and scale the wanted frames with
swscale; seek to every frame; OpenCV, grabbing from the start; decord at full size, then torch's
antialiased bicubic resize in 32-bit floats, as qwen-vl-utils does it with torchvision (PIL where
torch is missing; the table says which), and the same with torch's faster resize of bytes. decord
and OpenCV are not needed by this project; where one is absent its row says so.

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
from dataclasses import asdict, dataclass
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


@dataclass(frozen=True)
class Task:
    """What every way reads: these frames of this clip."""

    clip: str
    numbers: list[int]
    times_s: list[float]
    cache: str

    @property
    def plan(self) -> SamplingPlan:
        """The same frames, as a plan."""
        return SamplingPlan(times_s=self.times_s, fixed_size=SIZE)


# --- the ways to read: frames (T, 252, 448, 3) uint8 ------------------------------------------


def read_every_frame(task: Task) -> Frames:
    scaler = av.video.reformatter.VideoReformatter()
    with av.open(task.clip) as container:
        container.streams.video[0].codec_context.thread_count = 1
        everything = [
            scaler.reformat(frame, format="rgb24", threads=1).to_ndarray()
            for frame in container.decode(video=0)
        ]
    return resize(np.stack([everything[number] for number in task.numbers]))


def pyav_sequential(task: Task) -> Frames:
    scaler, wanted, found = av.video.reformatter.VideoReformatter(), set(task.numbers), []
    with av.open(task.clip) as container:
        container.streams.video[0].codec_context.thread_count = 1
        for number, frame in enumerate(container.decode(video=0)):
            if number in wanted:
                found.append(to_rgb(scaler, frame))
            if number == task.numbers[-1]:
                break
    return np.stack(found)


def seek_to_each(task: Task) -> Frames:
    scaler, found = av.video.reformatter.VideoReformatter(), []
    with av.open(task.clip) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        assert stream.time_base is not None
        for time_s in task.times_s:
            wanted = round(time_s / stream.time_base) + (stream.start_time or 0)
            container.seek(wanted, stream=stream)
            frame = next(one for one in container.decode(stream) if (one.pts or 0) >= wanted)
            found.append(to_rgb(scaler, frame))
    return np.stack(found)


def opencv_grab(task: Task) -> Frames:
    cv2 = import_module("cv2")
    cv2.setNumThreads(1)
    parameters = [cv2.CAP_PROP_N_THREADS, 1]
    capture = cv2.VideoCapture(task.clip, cv2.CAP_FFMPEG, parameters)
    wanted, found = set(task.numbers), []
    for number in range(task.numbers[-1] + 1):
        capture.grab()
        if number in wanted:
            _, picture = capture.retrieve()
            picture = cv2.resize(picture, SIZE, interpolation=cv2.INTER_CUBIC)
            found.append(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
    return np.stack(found)


def decord_full(task: Task) -> Frames:
    decord = import_module("decord")
    reader = decord.VideoReader(task.clip, ctx=decord.cpu(0), num_threads=1)
    return resize(reader.get_batch(task.numbers).asnumpy())


def decord_full_bytes(task: Task) -> Frames:
    decord = import_module("decord")
    reader = decord.VideoReader(task.clip, ctx=decord.cpu(0), num_threads=1)
    return resize(reader.get_batch(task.numbers).asnumpy(), in_floats=False)


def ours(task: Task) -> Frames:
    return read_clip(task.clip, task.plan, threads=1).frames


def ours_cached(task: Task) -> Frames:
    cache = FrameCache(task.cache)
    frames = read_clip(task.clip, task.plan, cache=cache, threads=1).frames
    frames.reshape(-1)[::4096].sum()  # touch every page: mapping alone reads nothing
    return frames


WAYS: dict[str, tuple[Callable[[Task], Frames], str | None]] = {
    "read every frame": (read_every_frame, None),
    "PyAV sequential": (pyav_sequential, None),
    "seek to each": (seek_to_each, None),
    "OpenCV, grab": (opencv_grab, "cv2"),
    "decord, full size": (decord_full, "decord"),
    "decord, bytes": (decord_full_bytes, "decord"),
    "ours": (ours, None),
    "ours, from cache": (ours_cached, None),
}


RESIZED = ("read every frame", "decord, full size", "decord, bytes")
"""The ways that resize full frames with torch or PIL."""


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


def resize(frames: Frames, *, in_floats: bool = True) -> Frames:
    """Full frames (T, H, W, 3) to (T, 252, 448, 3): bicubic with antialiasing.

    With torch the steps are those of torchvision's ``functional.resize`` on bytes, which is what
    qwen-vl-utils calls: to 32-bit floats, interpolate, clamp, round, back to bytes; or, without
    ``in_floats``, torch's own interpolation of bytes.
    """
    if resizer() == "torch":
        torch = import_module("torch")
        torch.set_num_threads(1)
        batch = torch.tensor(frames).permute(0, 3, 1, 2)  # (T, 3, H, W)
        batch = batch.to(torch.float32) if in_floats else batch
        small = torch.nn.functional.interpolate(batch, SIZE[::-1], mode="bicubic", antialias=True)
        whole = small.clamp(0, 255).round().to(torch.uint8) if in_floats else small
        return np.asarray(whole.permute(0, 2, 3, 1).contiguous().numpy())  # (T, 252, 448, 3)
    image = import_module("PIL.Image")
    return np.stack(
        [np.asarray(image.fromarray(one).resize(SIZE, image.Resampling.BICUBIC)) for one in frames]
    )


# --- measuring --------------------------------------------------------------------------------


def measure_here(way: str, task: Task) -> dict[str, float | str]:
    """One read in this process: CPU seconds and a digest of the pixels."""
    read, module = WAYS[way]
    if module:  # imports do not count
        import_module(module)
    if way in RESIZED:
        resize(np.zeros((1, 8, 8, 3), np.uint8))
    before = time.process_time()
    frames = read(task)
    seconds = time.process_time() - before
    return {"seconds": seconds, "digest": hashlib.sha256(frames.tobytes()).hexdigest()}


def measure(way: str, task: Task) -> dict[str, float | str]:
    """One read in a fresh process."""
    command = [sys.executable, __file__, "--one", way]
    text = json.dumps(asdict(task))
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{way} failed:\n{done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def is_available(way: str) -> bool:
    module = WAYS[way][1]
    try:
        return module is None or bool(import_module(module))
    except (ImportError, OSError):
        return False


def compare(clip: str, count: int, repetitions: int, cache: Path) -> dict[str, object]:
    """CPU seconds of every way, interleaved, and whether the pixels are those they must be."""
    meta = probe(clip)
    numbers = np.unique(meta.frame_at(SamplingPlan(count=count).times(meta)))
    task = Task(clip, numbers.tolist(), meta.times_s[numbers].tolist(), str(cache))
    ways = [way for way in WAYS if is_available(way)]
    measure("ours, from cache", task)  # fills the cache
    runs: dict[str, list[dict[str, float | str]]] = {way: [] for way in ways}
    for repetition in range(repetitions):
        for way in ways if repetition % 2 == 0 else reversed(ways):
            runs[way].append(measure(way, task))
    seconds = {
        way: statistics.median(float(run["seconds"]) for run in done) for way, done in runs.items()
    }
    reference = runs["PyAV sequential"][0]["digest"]
    own = [run["digest"] for way in ("ours", "ours, from cache") for run in runs[way]]
    return {
        "clip": meta.name,
        "seconds_video": round(meta.duration_s, 3),
        "frames": len(numbers),
        "cpu_s": {way: round(value, 5) for way, value in seconds.items()},
        "spread_s": {
            way: [round(float(run["seconds"]), 5) for run in done] for way, done in runs.items()
        },
        "against_ours": {way: round(value / seconds["ours"], 5) for way, value in seconds.items()},
        "cache_times_less_cpu": round(seconds["ours"] / seconds["ours, from cache"], 1),
        "pixels_equal_sequential": all(digest == reference for digest in own),
    }


def draw_clip(path: Path, gop: int, seconds: int) -> None:
    """A moving, textured scene: 720p, 30 frames a second, about 1.8 Mbit/s."""
    rng = np.random.default_rng(0)
    texture = rng.integers(0, 255, (92, 160, 3), np.uint8).repeat(10, 0).repeat(10, 1)
    texture = (texture[:900, :1600].astype(np.float32) * 0.4 + 70).astype(np.uint8)
    shapes = [
        (rng.integers(0, 255, 3), *rng.uniform(-4, 4, 2), *rng.uniform(60, 200, 2))
        for _ in range(8)
    ]
    with av.open(str(path), "w") as container:
        options = {"g": str(gop), "b": "1800k", "preset": "veryfast", "bf": "3"}
        stream = container.add_stream("libx264", rate=30, options=options)
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        for number in range(30 * seconds):
            left, top = int(150 + 140 * np.sin(number / 40)), int(90 + 80 * np.cos(number / 55))
            picture = texture[top : top + 720, left : left + 1280].copy()
            for colour, step_x, step_y, width, height in shapes:
                x, y = int(640 + step_x * number) % 1100, int(360 + step_y * number) % 560
                picture[y : y + int(height), x : x + int(width)] = colour
            noise = rng.integers(-3, 4, (720, 1280, 1))
            picture = np.clip(picture.astype(np.int16) + noise, 0, 255)
            frame = av.VideoFrame.from_ndarray(picture.astype(np.uint8), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 30)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


# --- the command ------------------------------------------------------------------------------


def table_of(result: dict[str, object], title: str) -> Table:
    table = Table("way", "CPU s", "against ours", "runs", title=title, title_justify="left")
    cpu, ratio, runs = (result[name] for name in ("cpu_s", "against_ours", "spread_s"))
    assert isinstance(cpu, dict)
    assert isinstance(ratio, dict)
    assert isinstance(runs, dict)
    for way in WAYS:
        if way not in cpu:
            table.add_row(way, "not installed", "", "")
            continue
        name = f"{way} + {resizer()}" if way in RESIZED else way
        spread = ", ".join(f"{value:.3f}" for value in runs[way])
        table.add_row(
            name,
            f"{cpu[way]:.4f}",
            f"{ratio[way]:.3g}x" if ratio[way] > 0.1 else f"1/{1 / ratio[way]:.0f}",
            spread,
        )
    return table


def goals_of(result: dict[str, object]) -> dict[str, dict[str, float]]:
    """What was promised and what was measured."""
    measured = dict(result["against_ours"])  # type: ignore[call-overload]
    measured["ours, from cache"] = result["cache_times_less_cpu"]
    return {
        way: {"goal": goal, "measured": measured[way]}
        for way, goal in GOALS.items()
        if way in measured
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one key frame distance, two runs")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    parser.add_argument("--frames", type=int, default=32, help="frames to read (default 32)")
    parser.add_argument("--clip", help="read this video instead of the drawn ones")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure_here(options.one, Task(**json.loads(sys.stdin.read())))))
        return
    console, results = Console(), []
    with tempfile.TemporaryDirectory() as folder:
        clips = [Path(options.clip)] if options.clip else []
        for gop in () if options.clip else (60,) if options.quick else (60, 250):
            clips.append(Path(folder) / f"gop{gop}.mp4")
            draw_clip(clips[-1], gop, seconds=20)
        for clip in clips:
            repetitions = 2 if options.quick else 5
            result = compare(str(clip), options.frames, repetitions, Path(folder) / "cache")
            results.append(result | {"goals": goals_of(result)})
            if not options.json:
                title = f"{clip.name}: {result['frames']} frames of {result['seconds_video']} s"
                console.print(table_of(result, title))
                equal = "equal" if result["pixels_equal_sequential"] else "DIFFER FROM"
                console.print(
                    f"pixels {equal} the sequential decode; from cache "
                    f"{result['cache_times_less_cpu']}x less than the first read\n"
                )
    if options.json:
        machine = {"machine": platform.processor() or platform.machine(), "av": av.__version__}
        print(json.dumps({"benchmark": "video", **machine, "resize": resizer(), "clips": results}))
    if not all(result["pixels_equal_sequential"] for result in results):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
