"""What scoring a whole benchmark costs: CPU seconds and peak memory of one `stvg evaluate`.

A workload of the size of the VidSTG test split is made: 4,610 records on 732 videos, 4,610
declarative and 5,693 interrogative queries, VidOR files with every object on every frame it is in,
2.7 million true boxes over all queries, and predictions with a box on every frame of the true
span. Boxes are synthetic, everything else has the form and size of the real files. Then the
command line scores it in a child process of its own, annotations, trajectories and predictions
read from disk, once a protocol. CPU seconds (user and system) and peak resident memory are the
kernel's (``wait4``), start of the interpreter included.

Run:  python benchmarks/evaluate.py [--quick] [--json] [--protocols stcat,all] [--keep DIR]
Takes a minute and a half on two cores, 20 s with --quick (a tenth of the queries). Leaves nothing
behind unless --keep names a folder. Exits with 1 when `stcat` takes 10 CPU seconds or 600 MiB.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

RECORDS, VIDEOS, DECLARATIVE, INTERROGATIVE = 4610, 732, 4610, 5693
BOXES = 2_700_000
GOAL_CPU_S, GOAL_MIB = 10.0, 600.0
OBJECTS = 3  # in each video, on all of its frames


@dataclass(frozen=True)
class Row:
    """One run."""

    protocol: str
    queries: int
    boxes: int
    cpu_s: float
    wall_s: float
    peak_mib: float
    m_viou: float


@dataclass(frozen=True)
class Workload:
    """The files of one run and their size."""

    folder: Path
    queries: int
    boxes: int

    @property
    def arguments(self) -> list[str]:
        """The words that name the files."""
        names = (("-a", "annotations.json"), ("--trajectories", "vidor"), ("-p", "mine.jsonl"))
        return [word for option, name in names for word in (option, str(self.folder / name))]


def main() -> int:
    """Make the workload, run the protocols, print, judge."""
    options = _options()
    share = 0.1 if options.quick else 1.0
    with tempfile.TemporaryDirectory(prefix="stvg-evaluate-") as temporary:
        folder = Path(options.keep or temporary)
        started = time.process_time()
        work = make_workload(folder, share, seed=0)
        made_s = time.process_time() - started
        rows = [measure(work, each) for each in options.protocols.split(",")]
    machine = {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "cores": os.cpu_count(),
        "machine": platform.machine(),
    }
    if options.json:
        print(json.dumps({"machine": machine, "rows": [asdict(row) for row in rows]}))
    else:
        _show(rows, made_s)
    first = next((row for row in rows if row.protocol == "stcat"), None)
    good = first is None or (first.cpu_s < GOAL_CPU_S and first.peak_mib < GOAL_MIB)
    return 0 if good else 1


def make_workload(folder: Path, share: float, seed: int) -> Workload:
    """Write annotations, VidOR files and predictions; deterministic."""
    random = np.random.default_rng(seed)
    videos = max(1, round(VIDEOS * share))
    records = max(1, round(RECORDS * share))
    questions = round(INTERROGATIVE * share)
    lengths = np.clip(np.exp(random.normal(np.log(700), 0.6, videos)), 90, 4017).astype(int)
    tracks = [_tracks(random, int(length)) for length in lengths]
    for number, each in enumerate(tracks):
        _write_vidor(folder / "vidor" / f"{number % 50:04d}", f"{number:010d}", each)
    spans = _spans(random, lengths, records, round(BOXES * share), questions)
    annotations, queries = _annotations(random, lengths, spans, records, questions)
    (folder / "annotations.json").write_text(json.dumps(annotations))
    boxes = _write_predictions(random, folder / "mine.jsonl", queries, tracks)
    return Workload(folder, len(queries), boxes)


def measure(work: Workload, protocol: str) -> Row:
    """Score it in a process of its own."""
    words = [sys.executable, "-m", "stvg", "evaluate", "vidstg", *work.arguments]
    words += ["--protocol", protocol, "--json", "--quiet"]
    started = time.perf_counter()
    with tempfile.TemporaryFile() as out:
        child = subprocess.Popen(words, stdout=out)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise SystemExit(f"{' '.join(words)} failed with {child.returncode}")
        wall_s = time.perf_counter() - started
        out.seek(0)
        document = json.loads(out.read())
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, bytes
    first = next(iter(document["protocols"].values()))
    return Row(
        protocol=protocol,
        queries=work.queries,
        boxes=work.boxes,
        cpu_s=round(used.ru_utime + used.ru_stime, 2),
        wall_s=round(wall_s, 2),
        peak_mib=round(used.ru_maxrss * unit / 2**20, 1),
        m_viou=round(first["metrics"]["m_vIoU"], 6),
    )


def _tracks(random: np.random.Generator, length: int) -> NDArray[np.int64]:
    """Smooth boxes ``xyxy`` of every object on every frame, (OBJECTS, length, 4) whole pixels."""
    corner = random.uniform(0, 300, (OBJECTS, 1, 2)) + np.cumsum(
        random.normal(0, 1.5, (OBJECTS, length, 2)), axis=1
    )
    corner = np.clip(corner, 0, 440)
    size = random.uniform(40, 200, (OBJECTS, 1, 2)) + np.zeros((1, length, 1))
    return np.concatenate([corner, np.minimum(corner + size, 480)], axis=2).round().astype(int)


def _write_vidor(folder: Path, vid: str, tracks: NDArray[np.int64]) -> None:
    """One VidOR file, in the form and about the size of the real ones."""
    folder.mkdir(parents=True, exist_ok=True)
    frames = []
    for boxes in tracks.transpose(1, 0, 2).tolist():
        objects = [
            f'{{"tid":{tid},"bbox":{{"xmin":{x1},"ymin":{y1},"xmax":{x2},"ymax":{y2}}},'
            '"generated":1,"tracker":"linear"}'
            for tid, (x1, y1, x2, y2) in enumerate(boxes)
        ]
        frames.append(f"[{','.join(objects)}]")
    text = (
        f'{{"version":"SYNTHETIC","video_id":"{vid}","video_path":"{folder.name}/{vid}.mp4",'
        f'"frame_count":{tracks.shape[1]},"fps":29.97,"width":480,"height":480,'
        f'"trajectories":[{",".join(frames)}],"relation_instances":[]}}'
    )
    (folder / f"{vid}.json").write_text(text)


def _spans(
    random: np.random.Generator,
    lengths: NDArray[np.int64],
    records: int,
    boxes: int,
    questions: int,
) -> NDArray[np.int64]:
    """True span of every record, (records, 2), of such lengths that the boxes add up."""
    owners = np.arange(records) % len(lengths)
    room = lengths[owners] - 10
    wanted = boxes / (records + questions)
    raw = np.exp(random.normal(np.log(110), 1.1, records))
    low, high = 0.1, 100.0
    for _ in range(60):  # the factor that gives the mean length, found by halving
        factor = (low + high) / 2
        mean = np.minimum(np.maximum(raw * factor, 10), room).mean()
        low, high = (factor, high) if mean < wanted else (low, factor)
    size = np.minimum(np.maximum(raw * factor, 10), room).astype(int)
    start = (random.uniform(0, 1, records) * (lengths[owners] - size)).astype(int)
    return np.stack([start, start + size], axis=1)


def _annotations(
    random: np.random.Generator,
    lengths: NDArray[np.int64],
    spans: NDArray[np.int64],
    records: int,
    questions: int,
) -> tuple[list[dict[str, Any]], list[tuple[str, int, int, int, int]]]:
    """The annotation file, and (id, video, object, start, end) of every query."""
    counts = np.full(records, questions // records)
    counts[random.permutation(records)[: questions - counts.sum()]] += 1
    file: list[dict[str, Any]] = []
    queries: list[tuple[str, int, int, int, int]] = []
    for number in range(records):
        video = number % len(lengths)
        start, end = (int(edge) for edge in spans[number])
        tids = [int(tid) for tid in random.permutation(OBJECTS)[:2]]
        sentence = {"description": "a dog is in front of a chair .", "type": "object"}
        file.append(
            {
                "vid": f"{video:010d}",
                "frame_count": int(lengths[video]),
                "fps": 29.97,
                "width": 480,
                "height": 480,
                "subject/objects": [{"tid": tid, "category": "dog"} for tid in range(OBJECTS)],
                "used_segment": {"begin_fid": 0, "end_fid": int(lengths[video]) - 1},
                "used_relation": {
                    "subject_tid": tids[0],
                    "object_tid": tids[1],
                    "predicate": "in_front_of",
                    "begin_fid": start,
                    "end_fid": end,
                },
                "temporal_gt": {"begin_fid": start, "end_fid": end},
                "captions": [sentence | {"target_id": tids[0]}],
                "questions": [sentence | {"target_id": tids[k % 2]} for k in range(counts[number])],
            }
        )
        queries.append((f"{number}:declarative:0", video, tids[0], start, end))
        queries += [
            (f"{number}:interrogative:{k}", video, tids[k % 2], start, end)
            for k in range(counts[number])
        ]
    return file, queries


def _write_predictions(
    random: np.random.Generator,
    path: Path,
    queries: list[tuple[str, int, int, int, int]],
    tracks: list[NDArray[np.int64]],
) -> int:
    """Moved spans and shaken boxes on every true frame and the next; returns how many boxes."""
    total = 0
    with path.open("w") as file:
        for id_, video, tid, start, end in queries:
            true = tracks[video][tid, start : end + 1].astype(float)  # STCAT looks at the end too
            boxes = true + random.normal(0, 6, true.shape)
            boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
            length = tracks[video].shape[1]
            moved = np.clip(np.array([start, end]) + random.integers(-9, 10, 2), 0, length)
            span = [int(moved[0]), max(int(moved[1]), int(moved[0]) + 1)]
            texts = [
                f'"{start + row}": [{x1:.2f}, {y1:.2f}, {x2:.2f}, {y2:.2f}]'
                for row, (x1, y1, x2, y2) in enumerate(boxes.tolist())
            ]
            file.write(
                f'{{"id": "{id_}", "span_frames": {span}, "boxes": {{{", ".join(texts)}}}, '
                '"answer": null, "error": null}\n'
            )
            total += len(texts)
    return total


def _show(rows: list[Row], made_s: float) -> None:
    """A table for people."""
    table = Table(box=None, header_style="bold")
    for column in ("protocol", "queries", "boxes", "CPU s", "wall s", "peak MiB", "m_vIoU"):
        table.add_column(column, justify="left" if column == "protocol" else "right")
    for row in rows:
        table.add_row(
            row.protocol,
            f"{row.queries:,}",
            f"{row.boxes:,}",
            f"{row.cpu_s:.2f}",
            f"{row.wall_s:.2f}",
            f"{row.peak_mib:.0f}",
            f"{row.m_viou:.4f}",
        )
    console = Console()
    console.print(table)
    console.print(
        f"stvg evaluate vidstg, everything read from disk; workload made in {made_s:.0f} CPU s; "
        f"goal: stcat below {GOAL_CPU_S:g} CPU s and {GOAL_MIB:g} MiB"
    )


def _options() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the queries")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    parser.add_argument("--protocols", default="stcat,all", help="names with commas, or all")
    parser.add_argument("--keep", help="write the workload here and leave it")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
