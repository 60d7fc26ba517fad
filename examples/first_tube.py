"""Draw a clip, find two things in it, and write everything there is to see.

Runs offline: the clip is drawn here and the detector needs no weights. For a video of yours leave
out ``model`` and the detector for natural video is taken.

    python examples/first_tube.py demo
"""

import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import stvg
from stvg.formats.prediction import write_predictions
from stvg.video.overlay import contact_sheet, write_overlay
from stvg.video.writer import VideoWriter

WIDTH, HEIGHT, FPS, SECONDS = 640, 360, 25, 6


def draw_frame(time_s: float) -> np.ndarray:
    """A red ball hops, a blue ball rolls to the left after two seconds, a green box waits."""
    picture = Image.new("RGB", (WIDTH, HEIGHT), (236, 232, 224))
    pen = ImageDraw.Draw(picture)
    pen.rectangle((330, 210, 410, 290), fill=(40, 150, 70))
    hop = abs(np.sin(0.85 * np.pi * time_s)) * 130
    pen.ellipse((90, 240 - hop, 150, 300 - hop), fill=(214, 40, 40))
    if time_s >= 2.0:
        left = 600 - 190 * min(time_s - 2.0, 2.5)
        pen.ellipse((left, 60, left + 50, 110), fill=(40, 90, 200))
    return np.asarray(picture)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    clip = folder / "clip.mp4"
    with VideoWriter(clip, fps=Fraction(FPS)) as writer:
        for number in range(FPS * SECONDS):
            writer.write(draw_frame(number / FPS), number / FPS)

    queries = ["the red ball jumps", "the blue ball rolls to the left", "the elephant"]
    answers = stvg.ground(clip, queries, method="track_match", model="blobs")
    for answer in answers:
        if answer.tube is None:
            print(f"{answer.query.text}: {answer.warnings[0]}")
        else:
            interval, box = answer.tube.interval, answer.tube.boxes[0].round()
            print(f"{answer.query.text}: {interval.start_s:.2f} to {interval.end_s:.2f} s, {box}")
    write_predictions(answers, folder / "prediction.json")
    write_overlay(answers, folder / "overlay.mp4")
    contact_sheet(answers, folder / "sheet.png")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
