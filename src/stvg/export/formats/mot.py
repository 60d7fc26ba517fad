"""MOTChallenge text, one line a box: what trackers and their evaluators exchange.

``frame, id, left, top, width, height, confidence, -1, -1, -1``, the form of results. Frames, ids
and pixel positions count from 1: the left top corner of the picture is (1, 1), so left and top are
one more than ours, while sizes are the same. Where there is no score the confidence is 1. Sentences
have no place in the format; the ids are the numbers of the queries in their order.

Readers that take positions as they are, datumaro and CVAT among them, see every box one pixel
further to the right and bottom.

Source: Milan et al., arXiv 1603.00831, and motchallenge.net/instructions, which state the base 1.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from stvg.export.base import TOLERANCE_PX
from stvg.export.base import Format as Base
from stvg.export.objects import ExportedVideo
from stvg.formats.atomic import atomic_path
from stvg.geometry.boxes import convert_boxes


class Format(Base):
    """MOTChallenge."""

    name = "mot"
    title = "MOTChallenge"
    suffix = ".txt"

    def write(
        self, exported: ExportedVideo, path: Path, *, tolerance_px: float = TOLERANCE_PX
    ) -> None:
        """See :meth:`Base.write`."""
        del tolerance_px
        lines: list[tuple[int, int, str]] = []
        for each in exported.objects:
            boxes = convert_boxes(each.boxes, "xyxy", "xywh") + np.array([1.0, 1.0, 0.0, 0.0])
            scores = np.ones(len(boxes)) if each.scores is None else each.scores
            for frame, box, score in zip(each.frames.tolist(), boxes, scores, strict=True):
                numbers = ",".join(f"{value:.3f}" for value in (*box, score))
                lines.append((frame + 1, each.id, numbers))
        with atomic_path(path) as temporary:
            text = "".join(
                f"{frame},{number},{rest},-1,-1,-1\n" for frame, number, rest in sorted(lines)
            )
            temporary.write_text(text, encoding="utf-8", newline="\n")
