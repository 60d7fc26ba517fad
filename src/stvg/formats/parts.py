"""Parts that several file formats share: the video, boxes, frame numbers, masks."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from stvg.geometry.masks import check_rle
from stvg.types import RLE, VideoMeta

from .documents import Checked, FieldError, build

MAX_FRAMES = 10**8 - 1
"""More frames (38 days at 30 a second) are taken for a broken file before they fill the memory."""

EDGE_TOLERANCE_PX = 1e-6
"""How far a box may leave the frame through rounding."""


def _require_order(box: list[float]) -> list[float]:
    """Refuse reversed corners."""
    if box[0] > box[2] or box[1] > box[3]:
        raise ValueError(f"expected corners in order, x1 <= x2 and y1 <= y2, found {box[:4]}")
    return box


_FRACTION = r"^[1-9][0-9]{0,14}(/[1-9][0-9]{0,14})?$"


def _require_fraction(text: str) -> str:
    """Refuse what is not a positive fraction."""
    if not re.fullmatch(_FRACTION, text):
        raise ValueError(f'expected a fraction above 0 such as "30000/1001", found {text!r:.60}')
    return text


FrameNumber = Annotated[int, Field(ge=0, le=MAX_FRAMES)]
"""Number of a frame in the source video, from 0."""

FrameKey = Annotated[str, StringConstraints(pattern=r"^(0|[1-9][0-9]{0,7})$")]
"""A frame number as key of a JSON object: decimal, no sign, no leading zero."""

FOUR_NUMBERS = Field(min_length=4, max_length=4)

Xyxy = Annotated[list[float], FOUR_NUMBERS, AfterValidator(_require_order)]
"""``[x1, y1, x2, y2]`` in pixels of the original frame, right and bottom edge exclusive."""

ScoredXyxy = Annotated[
    list[float], Field(min_length=5, max_length=5), AfterValidator(_require_order)
]
"""``[x1, y1, x2, y2, score]``."""

ONLY_FRAME_KEYS = {"additionalProperties": False}
"""Completes the JSON schema of an object with :data:`FrameKey` keys."""


class VideoPart(Checked):
    """Which video, and what is known about it without decoding it."""

    path: str = Field(description="Where the video file was.")
    width: int = Field(ge=1, description="Width as shown, pixels.")
    height: int = Field(ge=1, description="Height as shown, pixels.")
    fps: Annotated[str, AfterValidator(_require_fraction)] = Field(
        description='Average frames per second, an exact fraction such as "30000/1001".',
        json_schema_extra={"pattern": _FRACTION},
    )
    duration_s: float = Field(ge=0, description="Duration, seconds.")
    frames: int = Field(ge=0, le=MAX_FRAMES, description="Number of frames.")

    @classmethod
    def of(cls, meta: VideoMeta) -> VideoPart:
        """The part of a file that describes ``meta``."""
        return build(
            cls,
            "the video",
            path=str(meta.path),
            width=int(meta.width),
            height=int(meta.height),
            fps=f"{meta.fps.numerator}/{meta.fps.denominator}",
            duration_s=float(meta.duration_s),
            frames=int(meta.frames),
        )

    def meta(self) -> VideoMeta:
        """The video, without the times of its frames."""
        return VideoMeta(
            path=self.path,
            width=self.width,
            height=self.height,
            fps=Fraction(self.fps),
            duration_s=self.duration_s,
            frames=self.frames,
        )

    def require_frame(self, frame: int, place: str) -> None:
        """Refuse a frame that the video does not have."""
        if frame >= self.frames:
            raise FieldError(
                place, f"expected a frame of the video, which has {self.frames}, found {frame}"
            )

    def require_inside(self, box: list[float], place: str) -> None:
        """Refuse a box that leaves the frame."""
        x1, y1, x2, y2 = box[:4]
        low, right, bottom = -EDGE_TOLERANCE_PX, self.width, self.height
        if min(x1, y1) < low or x2 > right - low or y2 > bottom - low:
            raise FieldError(
                place,
                f"expected a box inside the {self.width}x{self.height} frame, found {box[:4]}",
            )

    def require_size(self, mask: MaskPart, place: str) -> None:
        """Refuse a mask of another size than the video."""
        size = [self.height, self.width]
        if mask.size != size:
            raise FieldError(
                f"{place}.size", f"expected the size of the video, {size}, found {mask.size}"
            )


class MaskPart(Checked):
    """A mask as COCO run lengths."""

    size: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=2, max_length=2)] = Field(
        description="[height, width] in pixels."
    )
    counts: str = Field(description="Run lengths, column by column, in COCO's compressed form.")

    @model_validator(mode="after")
    def _sound(self) -> MaskPart:
        check_rle(self.rle())
        return self

    @classmethod
    def of(cls, rle: RLE) -> MaskPart:
        """The part of a file that holds ``rle``."""
        counts = rle.get("counts")
        text = counts.decode("ascii", "replace") if isinstance(counts, bytes) else counts
        size = [int(side) for side in rle.get("size", [])]
        return build(cls, "the mask", size=size, counts=text)

    def rle(self) -> RLE:
        """The mask in the form of :data:`stvg.types.RLE`."""
        return {"size": self.size, "counts": self.counts}
