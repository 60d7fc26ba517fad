"""Score answers that your own code found: write them as JSON lines, evaluate, compare.

The answers here are the true tubes, started a frame too late, so that the scores are known to be
high but not perfect.

    python examples/score_your_answers.py demo
"""

import json
import sys
from pathlib import Path

from stvg.cli.main import main as command
from stvg.data import find_benchmark
from stvg.data.world.files import write_world


def my_answer(record) -> dict:
    """One line of the file: frames from 0, the span half-open, a box ``x1, y1, x2, y2`` a frame."""
    start, end = record.span
    boxes = dict(enumerate(record.boxes.tolist(), record.first_box_frame))
    late = {str(frame): box for frame, box in boxes.items() if frame > start}
    return {"id": record.id, "span_frames": [start + 1, end], "boxes": late, "answer": None,
            "error": None}  # fmt: skip


def main(folder: Path) -> None:
    world = folder / "world"
    if not world.exists():
        write_world(world, split="val", clips=12, side=64)
    annotations = world / "annotations.json"
    records = find_benchmark("hcstvg_v2").read(annotations)

    mine = folder / "mine.jsonl"
    mine.write_text("".join(json.dumps(my_answer(record)) + "\n" for record in records))
    chance = folder / "chance.jsonl"
    common = ["hcstvg_v2", "--annotations", str(annotations)]
    command(["predict", *common, "--baseline", "random_object", "--out", str(chance), "--quiet"])
    command(["evaluate", *common, "--predictions", str(mine), "--against", str(chance),
             "--protocol", "ours"])  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
