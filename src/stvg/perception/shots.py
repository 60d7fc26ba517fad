"""Where a film cuts from one shot to the next.

Done by PySceneDetect (BSD licence), whose adaptive detector compares each frame's change with that
of the frames around it, so that a moving camera is no cut. It is given frames that are decoded
here, small, so that frame numbers are those of the rest of the package.
"""

from __future__ import annotations

from pathlib import Path

from stvg.extras import require
from stvg.types import VideoMeta
from stvg.video import SamplingPlan, iter_frames, probe

_LONG_SIDE = 256
_SHORTEST_S = 0.4


def find_cuts(video: str | Path | VideoMeta, *, threads: int = 0) -> list[int]:
    """Frames with which a new shot begins.

    Args:
        video: Path or meta data.
        threads: Decoder threads, 0 for the decoder's choice.

    Returns:
        Frame numbers, increasing, without the first frame of the video. Shots of less than 0.4 s
        are not told apart.

    Raises:
        VideoError: If the video cannot be read.
        MissingExtraError: If PySceneDetect does not import.
    """
    library = require("scenedetect", "perception", "finding cuts between shots")
    meta = video if isinstance(video, VideoMeta) else probe(video)
    shortest = max(2, round(_SHORTEST_S * float(meta.fps)))
    detector = library.AdaptiveDetector(min_scene_len=shortest)
    cuts = []
    for index, _, frame in iter_frames(meta, SamplingPlan(long_side=_LONG_SIDE), threads=threads):
        place = library.FrameTimecode(index, fps=float(meta.fps))
        cuts += detector.process_frame(place, frame[..., ::-1].copy())  # BGR
    cuts += detector.post_process(place)
    return sorted({int(cut.frame_num) for cut in cuts} - {0})
