"""A small video and answers on it, with numbers that are easy to follow by hand."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np

from stvg.types import Interval, Prediction, Query, Tube, VideoMeta
from stvg.video.writer import VideoWriter

VIDEO = VideoMeta("clips/street.mp4", 200, 100, Fraction(10), 2.0, 20)
BALL = "the ball rolls to the right"
BOX = "the green box"


def answer(
    sentence: str, start: int, end: int, boxes: dict[int, list[float]], *,
    video: VideoMeta = VIDEO, score: float | None = 0.5,
) -> Prediction:  # fmt: skip
    """An answer on frames ``[start, end)`` with boxes at some of them."""
    times_s = video.times_s[sorted(boxes)]
    tube = Tube(
        Interval(float(video.times_s[start]), float(video.frame_ends_s[end - 1])),
        times_s,
        np.array([boxes[frame] for frame in sorted(boxes)], np.float64),
    )
    return Prediction(Query(sentence), video, tube, "by_hand", "none", score=score)


def nothing(sentence: str) -> Prediction:
    """An answer that found nothing."""
    return Prediction(Query(sentence), VIDEO, None, "by_hand", "none", warnings=("not there",))


def ball(video: VideoMeta = VIDEO) -> Prediction:
    """Frames 5 to 9; the ball moves 10 pixels a frame and stands still from frame 8 on."""
    boxes = {5: [10, 20, 30, 40], 8: [40, 20, 60, 40], 9: [40, 20, 60, 40]}
    return answer(BALL, 5, 10, boxes, video=video)


def write_film(path: Path, frames: int = 20, fps: Fraction = Fraction(10)) -> Path:
    """A grey film of 200 x 100 pixels."""
    with VideoWriter(path, fps=fps) as writer:
        for number in range(frames):
            writer.write(np.full((100, 200, 3), 90, np.uint8), number / float(fps))
    return path


def submitted(path: Path) -> None:
    """What Label Studio does when an annotator accepts a pre-annotation as it is."""
    tasks = json.loads(path.read_text())
    for task in tasks:
        task["annotations"] = [{"result": task.pop("predictions")[0]["result"]}]
    path.write_text(json.dumps(tasks))
