"""What building Uni-STG costs a sample, source by source, and how true the tubes are that it makes.

Annotations are made up in the published forms and, without --quick, at a tenth or more of the
published sizes; nine in ten samples are drawn, so that every file is read twice, as in a full
build. Tubes are made of clips of the procedural world, whose true tubes are known: of each sample
the mean overlap of its boxes with the true object of its colour is measured, and in which share of
its frames the object is there.

Run:  python benchmarks/uni_stg.py [--quick] [--json]
Takes 20 CPU seconds, 5 with --quick. CPU seconds are of the process.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import sys
import tempfile
import time
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from stvg.data.base import TubeRecord
from stvg.data.catalogue import find_benchmark
from stvg.data.uni_stg.build import build
from stvg.data.uni_stg.recipe import BenchmarkSource, ChatSource, Recipe, SyntheticSource
from stvg.data.world.files import write_world
from stvg.formats.tracks import read_tracks
from stvg.geometry.boxes import box_iou

_FULL = {"boxes": 20_000, "moments": 12_400, "tubes": 1_000, "conversations": 10_000, "clips": 16}
_QUICK = {"boxes": 2_000, "moments": 2_000, "tubes": 200, "conversations": 2_000, "clips": 3}
_TUBE_FRAMES = 130


def main() -> int:
    """Build from each source alone, print what it cost."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small files, few clips")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    options = parser.parse_args()
    sizes = _QUICK if options.quick else _FULL
    import_module("datasets")  # a second that does not belong to the first source
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = [measure(*source, folder) for source in annotated(folder, sizes)]
        made, quality = measure_made(folder, sizes["clips"])
    result = {
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "date": time.strftime("%Y-%m-%d"),
        "sources": [*rows, made],
        "made": quality,
    }
    if options.json:
        sys.stdout.write(json.dumps(result) + "\n")
    else:
        show(result)
    return 0


def annotated(folder: Path, sizes: Mapping[str, int]) -> list[tuple[str, Any]]:
    """Sources of made-up annotations, by what they hold."""
    dice = random.Random(0)  # noqa: S311
    boxes = {
        "images": [
            {"file_name": f"{n // 3}.jpg", "height": 480, "width": 640, "id": n,
             "caption": f"the person number {n} on the left", "dataset_name": "refcoco"}
            for n in range(sizes["boxes"])
        ],
        "annotations": [
            {"bbox": [dice.uniform(0, 300), dice.uniform(0, 200), 120.5, 200.25], "id": n}
            for n in range(sizes["boxes"])
        ],
    }  # fmt: skip
    moments = "".join(
        f"V{n:05d} {n % 9}.0 {n % 9 + 7.5}##person number {n} opens the door.\n"
        for n in range(sizes["moments"])
    )
    tubes = {
        f"{n}.mp4": {
            "bbox": [[10 + 0.5 * t, 20, 100 + n % 50, 200] for t in range(_TUBE_FRAMES)],
            "st_frame": 31, "st_time": 1.5, "ed_time": 8.0, "img_num": 400, "width": 1280,
            "height": 720, "caption": f"The man number {n} walks to the door and opens it.",
        }
        for n in range(sizes["tubes"])
    }  # fmt: skip
    turns = [{"from": "human", "value": "<video>\nWhat happens?"},
             {"from": "gpt", "value": "A man walks to the door. " * 8}]  # fmt: skip
    talk = [{"id": n, "video": f"{n}.mp4", "conversations": turns}
            for n in range(sizes["conversations"])]  # fmt: skip
    files = {"boxes": json.dumps(boxes), "moments": moments, "tubes": json.dumps(tubes),
             "conversations": json.dumps(talk)}  # fmt: skip
    for name, text in files.items():
        (folder / f"{name}.json").write_text(text)
    found: list[tuple[str, Any]] = [
        (name, BenchmarkSource.of({
            "name": name, "benchmark": benchmark, "annotations": folder / f"{name}.json",
            "count": int(0.9 * sizes[name]),
        }))
        for name, benchmark in
        (("boxes", "refcoco"), ("moments", "charades_sta"), ("tubes", "hcstvg_v1"))
    ]  # fmt: skip
    count = int(0.9 * sizes["conversations"])
    values = {"name": "conversations", "kind": "chat", "file": folder / "conversations.json"}
    return [*found, ("conversations", ChatSource.of({**values, "count": count}))]


def measure(name: str, source: Any, folder: Path, **options: Any) -> dict[str, Any]:
    """Build from one source; CPU seconds, samples, bytes."""
    out = folder / f"built_{name}"
    started = time.process_time()
    card = build(Recipe.of({"sources": [source], **options}), out)
    seconds = time.process_time() - started
    size = sum(path.stat().st_size for path in out.rglob("*.parquet"))
    return {
        "source": name,
        "samples": card["written"],
        "cpu_s": round(seconds, 2),
        "samples_a_cpu_s": round(card["written"] / seconds, 1),
        "bytes_a_sample": round(size / card["written"]),
        "drops": card["sources"][0]["drops"],
    }


def measure_made(folder: Path, clips: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Make tubes of drawn clips of 32 frames; what it cost, and how true they are."""
    world = folder / "world"
    write_world(world, split="train", level="hard", clips=clips)
    source = SyntheticSource.of({
        "name": "made", "kind": "synthetic", "folder": "videos", "detector": "figures",
        "limits": {"most_boxes": 6},
    })  # fmt: skip
    row = measure("made", source, folder, media=world)
    row["frames_a_cpu_s"] = round(32 * clips / row["cpu_s"], 1)
    records = find_benchmark("uni_stg").read(folder / "built_made")
    found = [truth_of(each, world) for each in records if isinstance(each, TubeRecord)]
    overlap, there = np.array(found).mean(axis=0)
    quality = {"samples": len(found), "mean_iou": round(float(overlap), 3),
               "share_of_frames_there": round(float(there), 3)}  # fmt: skip
    return row, quality


def truth_of(record: TubeRecord, world: Path) -> tuple[float, float]:
    """Mean overlap with the true object of the colour, and the share of frames in which it is."""
    colour = record.query.text.split()[1]
    known = np.flatnonzero(np.isfinite(record.boxes[:, 0]))
    frames, boxes = record.first_box_frame + known, record.boxes[known]
    best = (0.0, 0.0)
    for track in read_tracks(world / "tracks" / f"{Path(record.media).stem}.json").tracks:
        if track.label.split()[0] == colour:
            _, mine, its = np.intersect1d(frames, track.frames, return_indices=True)
            overlaps = np.diag(box_iou(boxes[mine], track.boxes[its]))
            best = max(best, (float(overlaps.sum() / len(frames)), len(mine) / len(frames)))
    return best


def show(result: Mapping[str, Any]) -> None:
    """A table for people."""
    table = Table(box=None, header_style="bold")
    for name in ("source", "samples", "CPU s", "samples a CPU s", "bytes a sample"):
        table.add_column(name, justify="left" if name == "source" else "right")
    for row in result["sources"]:
        table.add_row(
            row["source"], f"{row['samples']:,}", f"{row['cpu_s']:.1f}",
            f"{row['samples_a_cpu_s']:,.1f}", f"{row['bytes_a_sample']:,}",
        )  # fmt: skip
    console, made, quality = Console(), result["sources"][-1], result["made"]
    console.print(table)
    console.print(
        f"made: {made['frames_a_cpu_s']:g} frames a CPU second with the detector of drawn figures; "
        f"mean overlap with the true object {quality['mean_iou']:.3f}, which is there in "
        f"{quality['share_of_frames_there']:.1%} of their frames"
    )


if __name__ == "__main__":
    sys.exit(main())
