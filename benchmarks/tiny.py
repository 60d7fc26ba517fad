"""How well the embedded model grounds, beside trivial baselines that know some of the truth.

The fixed test split of the procedural world is written as video files and answered with the same
code as `stvg predict`: by the embedded model, by the boxes of an average target over the whole
video, by a random object over the whole video, and by the right object over the whole video. Scores
are those of `stvg evaluate` (protocol `ours`). Beside them stand CPU seconds a query, and those of
`ground` on one clip with one and with four sentences, the model loaded.

Run:  python benchmarks/tiny.py [--quick] [--json] [--levels standard,easy,hard] [--model tiny]
Takes three minutes on two cores, half a minute with --quick (40 clips of one level). Leaves
nothing behind.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from stvg.data.world.files import write_world
from stvg.evaluate import evaluate
from stvg.grounding import build_method, ground
from stvg.predicting import Questions, predict, predict_baseline
from stvg.predicting.baselines import middle_box, oracle_object, random_object

CLIPS, QUICK_CLIPS = 400, 40
SHOWN = ("m_tIoU", "m_vIoU", "gt_vIoU", "vIoU@0.3", "vIoU@0.5", "vIoU@0.7")
SENTENCES = ["the ball", "what spins?", "the red thing moves to the left", "what shrinks?"]


def measure_level(folder: Path, level: str, clips: int, model: str) -> dict[str, Any]:
    """Scores of the model and of the baselines on one level, in percent."""
    write_world(folder, clips=clips, level=level)
    annotations = folder / "annotations.json"
    questions = Questions("hcstvg_v2", annotations)
    found: dict[str, Any] = {}
    trivial = (
        middle_box(questions.records(with_truth=True), "these very targets"),
        random_object(folder / "tracks"),
        oracle_object(folder / "tracks"),
    )
    for baseline in trivial:
        out = folder / f"{baseline.name}.jsonl"
        predict_baseline(questions, out, baseline)
        found[baseline.name] = scores(annotations, out)
    out, began = folder / "model.jsonl", time.process_time()
    predict(questions, out, "text_box", model=model, videos=folder / "videos")
    taken = round((time.process_time() - began) / clips, 4)
    found["text_box"] = {**scores(annotations, out), "cpu_s_a_query": taken}
    return found


def scores(annotations: Path, predictions: Path) -> dict[str, float]:
    """Metrics in percent."""
    report = evaluate("hcstvg_v2", annotations, predictions, resamples=0)
    return {name: round(100 * report.metrics[name], 2) for name in SHOWN}


def waiting_times(video: Path, model: str, repeats: int) -> dict[str, float]:
    """Median CPU seconds of grounding one and four sentences in a clip."""
    method = build_method("text_box", model, [])
    ground(video, SENTENCES, method=method, threads=1)  # warms up
    taken: dict[int, list[float]] = {1: [], 4: []}
    for _ in range(repeats):
        for count, times in taken.items():
            began = time.process_time()
            ground(video, SENTENCES[:count], method=method, threads=1)
            times.append(time.process_time() - began)
    one, four = statistics.median(taken[1]), statistics.median(taken[4])
    return {"one_s": round(one, 4), "four_s": round(four, 4), "ratio": round(four / one, 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--levels", default="standard,easy,hard")
    parser.add_argument("--model", default="tiny")
    options = parser.parse_args()
    torch.set_num_threads(1)
    levels = ["standard"] if options.quick else options.levels.split(",")
    clips = QUICK_CLIPS if options.quick else CLIPS
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        found = {
            level: measure_level(root / level, level, clips, options.model) for level in levels
        }
        video = root / levels[0] / "videos" / "test_00000.mp4"
        waiting = waiting_times(video, options.model, 5 if options.quick else 21)
    result = {
        "benchmark": "tiny", "machine": platform.processor() or platform.machine(),
        "torch": torch.__version__, "clips": clips, "levels": found, "ground": waiting,
    }  # fmt: skip
    if options.json:
        print(json.dumps(result))
        return
    console = Console()
    for level, rows in found.items():
        table = Table(
            "answer", *SHOWN, title=f"world, {level}, test split, {clips} clips", box=None
        )
        for name, values in rows.items():
            table.add_row(name, *(f"{values[metric]:.1f}" for metric in SHOWN))
        console.print(table)
    one, four, ratio = waiting["one_s"], waiting["four_s"], waiting["ratio"]
    console.print(f"CPU seconds on one clip: {one:.3f} with one sentence, {four:.3f} with four")
    console.print(f"four sentences cost {ratio:.2f} times one")


if __name__ == "__main__":
    main()
