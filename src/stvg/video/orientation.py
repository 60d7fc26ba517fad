"""How stored pictures are turned and mirrored for showing.

Phones store what the sensor saw and note beside it how the phone was held: as a display matrix in
the container (ISO/IEC 14496-12, 6.2.2) or in the stream. Only multiples of 90 degrees and mirrors
are carried out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import av
import av.sidedata.sidedata
import numpy as np

from stvg.errors import VideoError
from stvg.types import ByteArray


@dataclass(frozen=True, slots=True)
class Orientation:
    """How stored pictures are turned for showing: first transposed, then flipped."""

    transposed: bool = False
    flips_rows: bool = False
    flips_columns: bool = False

    def apply(self, picture: ByteArray) -> ByteArray:
        """A view of ``picture`` (H, W, 3) as it is to be shown, (H, W, 3) or (W, H, 3)."""
        if self.transposed:
            picture = picture.swapaxes(0, 1)  # (W, H, 3)
        return picture[:: -1 if self.flips_rows else 1, :: -1 if self.flips_columns else 1]

    def stored_size(self, width: int, height: int) -> tuple[int, int]:
        """The size before turning that is ``width`` x ``height`` after it (or the reverse)."""
        return (height, width) if self.transposed else (width, height)


def orientation_of(picture: av.VideoFrame, path: str) -> Orientation:
    """The orientation that the container or the stream asks for.

    The display matrix maps stored (x, y) to shown ``(a x + c y, b x + d y)``, as in ISO/IEC
    14496-12, 6.2.2; only its signs matter, a scale in it does not change the pixels.
    """
    try:
        side_data: Any = picture.side_data
    except ValueError:  # Exif, a kind that PyAV does not know: the picture stays as it is stored
        return Orientation()
    display_matrix = av.sidedata.sidedata.Type.DISPLAYMATRIX
    if display_matrix not in side_data:
        return Orientation()
    data = bytes(side_data[display_matrix])
    a, b, _, c, d = (value / 65536 for value in np.frombuffer(data[:20], np.int32).tolist())
    straight, turned = abs(a) + abs(d), abs(b) + abs(c)
    if min(straight, turned) > 0.02 * max(straight, turned):
        raise VideoError(
            f"expected a video turned by a multiple of 90 degrees, but {path} asks for "
            f"{picture.rotation} degrees; turn it with a video editor first"
        )
    if turned > straight:
        return Orientation(True, flips_rows=b < 0, flips_columns=c < 0)
    return Orientation(False, flips_rows=d < 0, flips_columns=a < 0)
