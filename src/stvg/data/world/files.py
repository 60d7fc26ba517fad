"""The procedural world as files: a split that every loader and evaluator reads as a benchmark.

A split is a folder with ``videos/*.mp4``, ``annotations.json`` in the schema of HC-STVG v2 (one
sentence a video), ``tracks/*.json`` with the true boxes and masks of all objects
(``stvg.tracks/1``), and ``world.json``, which says how it was made. Everything is written into a
temporary folder first and appears whole.
"""

from __future__ import annotations

import json
import random
import shutil
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.error import FFmpegError

from stvg import __version__
from stvg.data.world.draw import DrawnClip, draw_clip
from stvg.data.world.parts import FPS, UNITS, ClipPlan, LevelName, Sentence, Split
from stvg.data.world.plan import plan_clip
from stvg.errors import OutputError, UsageError
from stvg.formats.tracks import write_tracks
from stvg.geometry.masks import encode_masks
from stvg.progress import Progress, no_progress
from stvg.types import Track, Tracks, VideoMeta
from stvg.video import probe
from stvg.video.writer import VideoWriter

MOST_SIDE = 1024
"""Largest side of written videos in pixels; a clip is drawn whole before it is written."""
TITLE = "stvg procedural world"
"""What written videos say of themselves, so that a model that knows only the world can tell."""
SIDE = 256
"""Side of the written videos in pixels: four times the size at which clips are planned."""


def write_world(
    folder: str | Path,
    *,
    split: Split = "test",
    clips: int = 400,
    seed: int = 0,
    level: LevelName = "standard",
    side: int = SIDE,
    progress: Progress = no_progress,
) -> None:
    """Write the first clips of a split.

    Args:
        folder: Where to; must not exist or be empty.
        split: ``train``, ``val`` or ``test``.
        clips: How many.
        seed: Another seed, other clips; not for the test split, which is fixed.
        level: ``easy``, ``standard`` or ``hard``.
        side: Width and height of the videos in pixels, an even number from 64 to
            1024.
        progress: Told the clips done.

    Raises:
        UsageError: If an argument is out of range.
        OutputError: If the folder is not empty or cannot be written.
    """
    if clips < 1 or not UNITS <= side <= MOST_SIDE or side % 2:
        raise UsageError(
            f"expected at least one clip and an even side of {UNITS} to {MOST_SIDE} pixels, found "
            f"{clips} clips and side {side}"
        )
    if split == "test" and seed:
        raise UsageError(
            f"the clips of the test split are fixed, found seed {seed}; leave the seed out, or "
            "choose --split val"
        )
    target = Path(folder).resolve()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise OutputError(f"{target} exists and is not an empty folder; choose another name")
    plan_clip(0, split=split, level=level, seed=seed)  # refuses unknown names before any work
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".stvg-partial-", dir=target.parent))
    except OSError as error:
        raise OutputError(f"{target} cannot be made: {error}; choose another place") from error
    try:
        _write_clips(work, split, clips, seed, level, side, progress)
        about = {
            "made_by": f"stvg {__version__}",
            "split": split,
            "seed": seed if split != "test" else "fixed",
            "level": level,
            "clips": clips,
            "side": side,
        }
        (work / "world.json").write_text(json.dumps(about, indent=1) + "\n")
        if target.exists():
            target.rmdir()
        work.chmod(0o755)
        work.rename(target)
    except OSError as error:
        raise OutputError(
            f"{target} could not be written: {error.strerror or error}; nothing of it was kept, "
            "free some space or choose another place"
        ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _write_clips(
    work: Path, split: Split, clips: int, seed: int, level: LevelName, side: int,
    progress: Progress,
) -> None:  # fmt: skip
    """All files of the split but ``world.json``."""
    (work / "videos").mkdir()
    (work / "tracks").mkdir()
    annotations: dict[str, Any] = {}
    for index in range(clips):
        plan = plan_clip(index, split=split, level=level, seed=seed)
        drawn = draw_clip(plan, side, masks=True)
        name = f"{split}_{index:05d}.mp4"
        write_clip(work / "videos" / name, drawn)
        sentence = choose_sentence(plan, f"{split}/{seed}/{level}/{index}")
        annotations[name] = _annotation(sentence, drawn, side)
        meta = probe(work / "videos" / name)
        write_tracks(_tracks(plan, drawn, meta, name), work / "tracks" / f"{name[:-4]}.json")
        progress(index + 1, clips)
    (work / "annotations.json").write_text(json.dumps(annotations) + "\n")


def write_clip(path: str | Path, drawn: DrawnClip) -> None:
    """Write a drawn clip as a video that says it comes from the world.

    Raises:
        OutputError: If it cannot be written.
    """
    with VideoWriter(path, fps=Fraction(FPS), quality=12, title=TITLE) as writer:
        for number, frame in enumerate(drawn.frames):
            writer.write(frame, number / FPS)


def is_world_video(path: str | Path) -> bool:
    """Whether a video says that it comes from the world; False where it cannot be asked."""
    try:
        with av.open(str(path)) as container:
            return container.metadata.get("title") == TITLE
    except (OSError, FFmpegError):
        return False


def choose_sentence(plan: ClipPlan, words: str) -> Sentence:
    """The one sentence of a clip that a file split asks; the same words choose the same one."""
    return random.Random(f"sentence/{words}").choice(plan.sentences)  # noqa: S311


def _annotation(sentence: Sentence, drawn: DrawnClip, side: int) -> dict[str, Any]:
    """A record in the schema of HC-STVG v2: first frame counted from 1, boxes as x, y, w, h."""
    boxes = drawn.boxes[sentence.figure, sentence.start : sentence.end].astype(int)
    sizes = boxes[:, 2:] - boxes[:, :2]
    return {
        "bbox": np.concatenate([boxes[:, :2], sizes], axis=1).tolist(),
        "st_frame": sentence.start + 1,
        "st_time": sentence.start / FPS,
        "ed_time": sentence.end / FPS,
        "img_num": len(drawn.frames),
        "img_size": [side, side],
        "fps": FPS,  # ours: the clips do not last the 20 s that the schema takes for granted
        "English": sentence.text,
    }


def _tracks(plan: ClipPlan, drawn: DrawnClip, meta: VideoMeta, name: str) -> Tracks:
    """The true objects with their visible masks."""
    assert drawn.masks is not None
    video = VideoMeta(
        f"../videos/{name}", meta.width, meta.height, meta.fps, meta.duration_s, meta.frames
    )
    tracks = []
    for number, figure in enumerate(plan.figures):
        frames = np.flatnonzero(np.isfinite(drawn.boxes[number, :, 0]))
        if len(frames):
            masks = encode_masks(drawn.masks[number, frames])
            tracks.append(
                Track(
                    number + 1, f"{figure.colour} {figure.kind}", frames,
                    drawn.boxes[number, frames], np.ones(len(frames)), tuple(masks),
                )
            )  # fmt: skip
    return Tracks(video, tuple(tracks))
