"""Render a clip of the procedural world, ground two sentences in it, write all there is to see.

Runs offline in seconds: the model, ``tiny``, is part of the package. For a video of yours take a
method for natural video, e.g. ``stvg.ground("dog.mp4", "the dog", method="track_match")``.

    python examples/first_tube.py demo
"""

import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

import stvg
from stvg.data.world import draw_clip, plan_clip
from stvg.data.world.files import write_clip
from stvg.formats.prediction import write_predictions
from stvg.video.overlay import contact_sheet, write_overlay

CLIP = 21  # of the validation split, which no model is trained on


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    plan = plan_clip(CLIP, split="val")
    clip = folder / "clip.mp4"
    write_clip(clip, draw_clip(plan, 256))
    queries = [item.text for item in plan.sentences if item.form == "declarative"][:2]

    answers = stvg.ground(clip, queries)
    for answer in answers:
        table = Table("frame", "time s", "x1", "y1", "x2", "y2", title=answer.query.text, box=None)
        if answer.tube is not None:
            for time_s, box in zip(answer.tube.times_s, answer.tube.boxes, strict=True):
                frame = int(answer.video.frame_at(time_s)[0])
                table.add_row(str(frame), f"{time_s:.3f}", *(f"{edge:.1f}" for edge in box))
        else:
            table.caption = answer.warnings[0]
        Console().print(table)
    write_predictions(answers, folder / "prediction.json")
    write_overlay(answers, folder / "overlay.mp4")
    contact_sheet(answers, folder / "sheet.png")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
