"""Answer, correct the answer in CVAT, and make training data of it.

The middle step is yours in real life: make a task in CVAT with the labels of
``stvg.export.formats.cvat.LABELS``, upload the annotations, move what is wrong, export the task as
"CVAT for video 1.1". Here a few lines end the tube two frames earlier instead.

    python examples/correct_in_cvat.py demo
"""

import sys
from pathlib import Path
from xml.etree import ElementTree

import stvg
from stvg.cli.main import main as command
from stvg.data import find_benchmark
from stvg.data.world import draw_clip, plan_clip
from stvg.data.world.files import write_clip
from stvg.formats.prediction import write_prediction


def correct(path: Path) -> None:
    """What an annotator does: the box that hides the object moves two frames forward."""
    tree = ElementTree.parse(path)  # noqa: S314  a file of ours
    boxes = tree.findall("track/box")
    end = int(boxes[-1].attrib["frame"]) - 2
    for box in boxes:
        if box.get("outside") == "0" and int(box.attrib["frame"]) >= end:
            tree.find("track").remove(box)
    boxes[-1].set("frame", str(end))
    tree.write(path)


def main(folder: Path) -> None:
    (folder / "clips").mkdir(parents=True, exist_ok=True)
    plan = plan_clip(21, split="val")
    video = folder / "clips" / "bug.mp4"
    write_clip(video, draw_clip(plan, 256))
    answer = stvg.load("tiny").ground(video, "the orange bug grows")
    write_prediction(answer, folder / "answer.json")

    command(["export", str(folder / "answer.json"), "--to", "cvat", "--tolerance", "2"])
    correct(folder / "answer.cvat.xml")
    annotations = folder / "annotations.json"
    command(["data", "from-cvat", str(folder / "answer.cvat.xml"), "--videos",
             str(folder / "clips"), "--out", str(annotations)])  # fmt: skip

    (record,) = find_benchmark("vidstg").read(annotations)
    print(f"answered:  {answer.tube.interval}")
    print(f"corrected: {record.sample().target.interval}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
