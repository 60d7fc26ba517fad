"""CSV, one row a box: for spreadsheets and data frames. The format is our own.

The header names the units. ``frame`` counts from 0, ``time_s`` is when the frame is first shown,
boxes are in pixels of the original frame with the right and bottom edge exclusive. ``score`` is
empty where there is none, ``kind`` is ``predicted`` or ``interpolated`` as in prediction files.
Numbers are written in full.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from stvg.export.base import TOLERANCE_PX
from stvg.export.base import Format as Base
from stvg.export.objects import ExportedVideo
from stvg.formats.atomic import atomic_path
from stvg.formats.documents import clean_text

COLUMNS = (
    "video", "object", "name", "frame", "time_s", "x1_px", "y1_px", "x2_px", "y2_px", "score",
    "kind",
)  # fmt: skip


class Format(Base):
    """CSV."""

    name = "csv"
    title = "CSV"
    suffix = ".csv"

    def write(
        self, exported: ExportedVideo, path: Path, *, tolerance_px: float = TOLERANCE_PX
    ) -> None:
        """See :meth:`Base.write`."""
        del tolerance_px
        with (
            atomic_path(path) as temporary,
            temporary.open("w", encoding="utf-8", newline="") as file,
        ):
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows(_rows(exported))


def _rows(exported: ExportedVideo) -> Iterator[list[str | int | float]]:
    """One row a box, object after object."""
    video = clean_text(exported.video.name)
    for each in exported.objects:
        scores = [""] * len(each.frames) if each.scores is None else each.scores.tolist()
        kinds = ["interpolated" if filled_in else "predicted" for filled_in in each.interpolated]
        for frame, time_s, box, score, kind in zip(
            each.frames.tolist(), each.times_s.tolist(), each.boxes.tolist(), scores, kinds,
            strict=True,
        ):  # fmt: skip
            yield [video, each.id, clean_text(each.name), frame, time_s, *box, score, kind]
