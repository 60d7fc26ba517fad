"""Load a model once, ask it about several videos, and keep what a notebook would show.

In a notebook a prediction shows itself: sentence, time line, frames with the box. Here the same
HTML goes into a page. Several sentences in one call cost little more than one.

    python examples/load_once.py demo
"""

import sys
from pathlib import Path

import stvg
from stvg.data.world import draw_clip, plan_clip
from stvg.data.world.files import write_clip

CLIPS = (21, 22)  # of the validation split, which no model is trained on


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    model = stvg.load("tiny")
    shown = []
    for number in CLIPS:
        plan = plan_clip(number, split="val")
        video = folder / f"clip_{number}.mp4"
        write_clip(video, draw_clip(plan, 256))
        queries = [sentence.text for sentence in plan.sentences]

        first = model.ground(video, queries[0])  # one sentence, one prediction
        others = model.ground(video, queries[1:3])  # a list of sentences, a list of predictions
        for answer in [first, *others]:
            when = answer.tube.interval if answer.tube else None
            print(f"{video.name}  {answer.query.text:45}  {when}")
            shown.append(answer._repr_html_())
    page = folder / "answers.html"
    page.write_text("<meta charset=utf-8>" + "<hr>".join(shown), encoding="utf-8")
    print(f"open {page}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
