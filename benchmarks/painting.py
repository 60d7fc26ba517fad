"""What painting numbers costs beside decoding and encoding the same frames, in CPU seconds.

A textured clip with eight things that move through each other is drawn and encoded at 1280x720 and
at 336x188. Each pass decodes every frame, paints the numbers of the things on it by their boxes or
by their masks (ellipses), and encodes the result as `stvg paint` does. Decoding and painting are
counted on their thread, encoding is the rest of the process; medians of the passes. `--objects` and
`--clip` try other numbers of things and another video, on which the things move all the same.

Run:  python benchmarks/painting.py [--quick] [--json] [--objects 8] [--clip my.mp4]
Takes half a minute, 12 s with --quick. Leaves nothing behind. Exits with 1 when painting by boxes
costs 15 % or more of decoding and encoding, or painting frame by frame gives other pixels than
painting all at once.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from stvg.geometry.masks import encode_masks
from stvg.perception.painting import NumberPainter, PaintStyle, paint
from stvg.types import RLE, FloatArray, VideoMeta
from stvg.video import SamplingPlan, iter_frames, probe, read_clip
from stvg.video.writer import VideoWriter

SIZES = ((1280, 720), (336, 188))
GOAL = 0.15
BATCH = 24  # frames that are painted at once to compare
STYLE = PaintStyle(height=PaintStyle.height_for_model(336))

Boxes = dict[int, FloatArray]
Masks = dict[int, RLE]


def main() -> int:
    """Draw the clips, time every pass, print, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="2 s of video, two passes")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    parser.add_argument("--objects", type=int, default=8, help="things with a number (default 8)")
    parser.add_argument("--clip", type=Path, help="paint this video instead of the drawn ones")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clips = [options.clip] if options.clip else []
        for width, height in () if options.clip else SIZES:
            clips.append(Path(folder) / f"{width}x{height}.mp4")
            draw_clip(clips[-1], width, height, seconds=2 if options.quick else 4)
        rows = [
            measure(clip, options.objects, by, 2 if options.quick else 3, Path(folder))
            for clip in clips
            for by in ("boxes", "masks")
        ]
    document = {"machine": platform.machine(), "objects": options.objects, "goal": GOAL,
                "rows": rows}  # fmt: skip
    if options.json:
        print(json.dumps(document))
    else:
        _show(rows, options.objects)
    good = all(row["same"] and (row["by"] != "boxes" or row["share"] < GOAL) for row in rows)
    return 0 if good else 1


def measure(clip: Path, objects: int, by: str, passes: int, folder: Path) -> dict[str, Any]:
    """CPU seconds of each part of a pass over a clip, medians, and whether the pixels are right."""
    meta = probe(clip)
    boxes = [things(meta, number, objects) for number in range(meta.frames)]
    masks = [ellipses(each, meta) if by == "masks" else {} for each in boxes]
    samples = [one_pass(meta, boxes, masks, folder / "out.mp4") for _ in range(passes)]
    medians = {part: statistics.median(each[part] for each in samples) for part in samples[0]}
    others = medians["decode"] + medians["encode"]
    return {
        "video": f"{meta.width}x{meta.height}",
        "by": by,
        "frames": meta.frames,
        "cpu_s": {part: round(value, 3) for part, value in medians.items()},
        "ms_a_frame": round(1000 * medians["paint"] / meta.frames, 3),
        "share": round(medians["paint"] / others, 4),
        "same": same_pixels(meta, boxes, masks),
    }


def one_pass(
    meta: VideoMeta, boxes: list[Boxes], masks: list[Masks], out: Path
) -> dict[str, float]:
    """Decode, paint and encode every frame; CPU seconds of the three."""
    started, decode, painting = time.process_time(), 0.0, 0.0
    painter = NumberPainter((meta.width, meta.height), STYLE)
    with VideoWriter(out, fps=meta.fps, duration_s=meta.duration_s) as writer:
        asked = time.thread_time()
        for number, time_s, frame in iter_frames(meta, SamplingPlan(), threads=1):
            decoded = time.thread_time()
            painter.draw(frame, boxes[number], masks[number])
            painted = time.thread_time()
            writer.write(frame, time_s)
            decode, painting = decode + decoded - asked, painting + painted - decoded
            asked = time.thread_time()
    encode = time.process_time() - started - decode - painting
    return {"decode": decode, "encode": encode, "paint": painting}


def same_pixels(meta: VideoMeta, boxes: list[Boxes], masks: list[Masks]) -> bool:
    """Whether painting frame by frame is painting all at once."""
    count = min(BATCH, meta.frames)
    frames = read_clip(meta, SamplingPlan(times_s=meta.times_s[:count].tolist())).frames
    rows = {thing: np.stack([each[thing] for each in boxes[:count]]) for thing in boxes[0]}
    shapes = {thing: [each[thing] for each in masks[:count]] for thing in masks[0]}
    at_once = paint(frames, rows, shapes, STYLE)
    painter, one_by_one = NumberPainter((meta.width, meta.height), STYLE), frames.copy()
    for frame, here, there in zip(one_by_one, boxes, masks, strict=False):
        painter.draw(frame, here, there)
    return bool((at_once == one_by_one).all() and (at_once != frames).any())


def things(meta: VideoMeta, number: int, count: int) -> Boxes:
    """Boxes of things that cross the picture and each other, in one frame."""
    found = {}
    for thing in range(1, count + 1):
        width, height = meta.width * (0.08 + 0.01 * (thing % 7)), meta.height * 0.3
        x = (thing * 0.37 + number * 0.003 * (thing % 3 - 1)) % 1 * (meta.width - width)
        y = (thing * 0.53 + number * 0.002) % 1 * (meta.height - height)
        found[thing] = np.array([x, y, x + width, y + height])
    return found


def ellipses(boxes: Boxes, meta: VideoMeta) -> Masks:
    """For each box the ellipse in it."""
    masks = {}
    for thing, (x1, y1, x2, y2) in boxes.items():
        pixels = np.zeros((1, meta.height, meta.width), bool)
        y, x = np.mgrid[int(y1) : int(y2), int(x1) : int(x2)]
        inside = ((2 * x - x1 - x2) / (x2 - x1)) ** 2 + ((2 * y - y1 - y2) / (y2 - y1)) ** 2 <= 1
        pixels[0, int(y1) : int(y2), int(x1) : int(x2)] = inside
        masks[thing] = encode_masks(pixels)[0]
    return masks


def draw_clip(path: Path, width: int, height: int, seconds: int) -> None:
    """A textured picture that sways, with the things in it, 30 frames a second."""
    rng = np.random.default_rng(0)
    cells = rng.integers(0, 255, (height // 10 + 8, width // 10 + 8, 3), np.uint8)
    texture = (cells.repeat(10, 0).repeat(10, 1) * 0.4 + 70).astype(np.uint8)
    meta = VideoMeta(str(path), width, height, Fraction(30), float(seconds), 30 * seconds)
    with VideoWriter(path, fps=meta.fps) as writer:
        for number in range(meta.frames):
            left, top = (int(30 + 29 * wave(number / 30)) for wave in (np.sin, np.cos))
            picture = texture[top : top + height, left : left + width].copy()
            for thing, box in things(meta, number, 8).items():
                x1, y1, x2, y2 = box.astype(int)
                picture[y1:y2, x1:x2] = (40 * thing % 200, 90, 25 * thing)
            writer.write(_noisy(picture, rng), number / 30)


def _noisy(picture: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """The picture with the grain of a camera."""
    grain = rng.integers(-3, 4, (*picture.shape[:2], 1))
    return np.clip(picture.astype(np.int16) + grain, 0, 255).astype(np.uint8)


def _show(rows: list[dict[str, Any]], objects: int) -> None:
    """A table for people."""
    table = Table("video", "numbers by", "decode", "encode", "paint", "ms a frame", "share",
                  box=None, header_style="bold")  # fmt: skip
    for row in rows:
        parts = [f"{row['cpu_s'][part]:.2f} s" for part in ("decode", "encode", "paint")]
        table.add_row(row["video"], row["by"], *parts, f"{row['ms_a_frame']:.2f}",
                      f"{row['share']:.1%}")  # fmt: skip
    console = Console()
    console.print(table)
    same = "the same" if all(row["same"] for row in rows) else "NOT THE SAME"
    console.print(
        f"{objects} numbers; share: of decoding and encoding (goal, by boxes: below {GOAL:.0%}); "
        f"pixels one by one and all at once: {same}"
    )


if __name__ == "__main__":
    sys.exit(main())
