"""Train on tubes of your own: an annotation file, a recipe, the trained model answering.

A few seconds on a laptop: the embedded model goes on learning from three clips with one sentence
each, in words that it knows. With videos of yours take a model of the hub and the recipe of
docs/train.md; corrected tubes of CVAT or Label Studio come as the same annotation file.

    python examples/train_on_your_tubes.py demo
"""

import json
import sys
from pathlib import Path

import numpy as np

import stvg
from stvg.data.world import draw_clip, plan_clip
from stvg.data.world.files import write_clip
from stvg.export.corrections import CorrectedTube, write_annotations
from stvg.train import sft
from stvg.train.recipe import Recipe

OPTIONS = {"grammar": "compact", "frames": 16, "side": 64, "query_first": True,
           "even_steps": True, "max_new_tokens": 96}  # fmt: skip


def my_tube(number: int, folder: Path) -> CorrectedTube:
    """A video, a sentence, and a box in every frame that the sentence is about."""
    plan = plan_clip(number, split="train")
    drawn, sentence = draw_clip(plan, 128), plan.sentences[0]
    write_clip(folder / f"{number}.mp4", drawn)
    video = stvg.probe(folder / f"{number}.mp4")
    frames = np.arange(sentence.start, sentence.end)
    return CorrectedTube(
        query=sentence.text, video=video, media=f"{number}.mp4", segment=(0, video.frames),
        span=(sentence.start, sentence.end), frames=frames,
        boxes=drawn.boxes[sentence.figure, frames], place="by hand",
    )  # fmt: skip


def main(folder: Path) -> None:
    clips = folder / "clips"
    clips.mkdir(parents=True, exist_ok=True)
    tubes = [my_tube(number, clips) for number in (21, 22, 23)]
    write_annotations(tubes, folder / "annotations.json")
    task = {"kind": "benchmark", "benchmark": "vidstg", "videos": str(clips), "options": OPTIONS,
            "annotations": str(folder / "annotations.json"), "clips": 3}  # fmt: skip
    recipe = {"out": str(folder / "run"), "model": "tiny/text_box", "tasks": [task],
              "samples": 30, "optimiser": {"lr": 3e-4, "warmup": 3}, "log_every": 1,
              "card": {"method": "text_box", "options": OPTIONS}}  # fmt: skip
    trained = sft.train(Recipe.of(recipe))
    log = map(json.loads, (folder / "run" / "log.jsonl").read_text().splitlines())
    losses = [line["vidstg/loss/answer"] for line in log if "vidstg/loss/answer" in line]
    print(f"loss {losses[0]:.3f} -> {losses[-1]:.3f}")
    print(stvg.load(str(trained)).ground(clips / "21.mp4", tubes[0].query).tube.interval)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
