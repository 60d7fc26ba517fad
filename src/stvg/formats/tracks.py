"""Tracks JSON, ``stvg.tracks/1``: every object that was tracked in one video.

What ``stvg tracks --out`` writes. docs/formats.md has an example and all
fields.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

import numpy as np
from pydantic import ConfigDict, Field, model_validator

from stvg.types import RLE, Correction, Track, Tracks

from .documents import Checked, FieldError, build, read_document, write_document
from .parts import ONLY_FRAME_KEYS, FrameKey, FrameNumber, MaskPart, ScoredXyxy, VideoPart

FORMAT: Final = "stvg.tracks/1"


class TrackPart(Checked):
    """One object."""

    id: int = Field(ge=0, description="Number of the object; no other track of the file has it.")
    label: str = Field(description="What kind of thing.")
    boxes: Annotated[
        dict[FrameKey, ScoredXyxy], Field(min_length=1, json_schema_extra=ONLY_FRAME_KEYS)
    ] = Field(
        description="[x1, y1, x2, y2, score] by number of the frame in the source video, from 0: "
        "pixels of the original frame, right and bottom edge exclusive, inside the frame, x1 <= x2 "
        "and y1 <= y2; confidence 0 to 1. Frames where the object was not seen are absent."
    )
    masks: Annotated[dict[FrameKey, MaskPart], Field(json_schema_extra=ONLY_FRAME_KEYS)] = Field(
        default_factory=dict,
        description="Mask by number of the frame, for frames that have a box. Optional.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> TrackPart:
        for frame, box in self.boxes.items():
            if not 0 <= box[4] <= 1:
                raise FieldError(
                    f'boxes["{frame}"][4]', f"expected a score from 0 to 1, found {box[4]}"
                )
        for frame in self.masks:
            if frame not in self.boxes:
                raise FieldError(
                    f'masks["{frame}"]', "expected masks for frames that have a box, found no box"
                )
        return self


class CorrectionPart(Checked):
    """An object that goes on under another id."""

    frame: FrameNumber = Field(description="Number of the frame from which on it holds.")
    old: int = Field(ge=0, description="Id that the object had.")
    new: int = Field(ge=0, description="Id that it has where the old one is not seen any more.")


class TracksFile(Checked):
    """All objects of one video as they stand in a file."""

    model_config = ConfigDict(title=FORMAT)

    format: Literal["stvg.tracks/1"] = Field(description="Kind and version of the document.")
    video: VideoPart = Field(description="Which video.")
    tracks: list[TrackPart] = Field(description="The objects; may be empty.")
    corrections: list[CorrectionPart] = Field(
        default_factory=list, description="Ids that took the place of others. Optional."
    )

    @model_validator(mode="after")
    def _consistent(self) -> TracksFile:
        seen: set[int] = set()
        for index, track in enumerate(self.tracks):
            place = f"tracks[{index}]"
            if track.id in seen:
                raise FieldError(
                    f"{place}.id", f"expected a number of its own, found {track.id} again"
                )
            seen.add(track.id)
            for frame, box in track.boxes.items():
                self.video.require_frame(int(frame), f'{place}.boxes["{frame}"]')
                self.video.require_inside(box, f'{place}.boxes["{frame}"]')
            for frame, mask in track.masks.items():
                self.video.require_size(mask, f'{place}.masks["{frame}"]')
        for index, each in enumerate(self.corrections):
            place = f"corrections[{index}]"
            self.video.require_frame(each.frame, f"{place}.frame")
            for name, number in (("old", each.old), ("new", each.new)):
                if number not in seen:
                    raise FieldError(
                        f"{place}.{name}", f"expected the id of a track, found {number}"
                    )
            if each.old == each.new:
                raise FieldError(place, f"expected two ids, found {each.old} twice")
        return self


def write_tracks(tracks: Tracks, path: str | Path) -> None:
    """Write the tracks of one video.

    Args:
        tracks: The objects. Numbers are written in full.
        path: The file to write; appears whole or not at all.

    Raises:
        UsageError: If a mask is broken or not of the size of the video.
        OutputError: If the file cannot be written.

    Example:
        >>> import tempfile
        >>> from fractions import Fraction
        >>> from stvg.types import VideoMeta
        >>> video = VideoMeta("dog.mp4", 100, 50, Fraction(30), 1.0, 30)
        >>> track = Track(1, "dog", [0, 2], [[0, 0, 9, 9], [1, 0, 9, 9]], [0.9, 0.8])
        >>> path = Path(tempfile.mkdtemp()) / "tracks.json"
        >>> write_tracks(Tracks(video, (track,)), path)
        >>> read_tracks(path).tracks[0].frames.tolist()
        [0, 2]
    """
    optional: dict[str, list[CorrectionPart]] = {}
    if tracks.corrections:
        optional["corrections"] = [
            CorrectionPart(frame=each.frame, old=each.old, new=each.new)
            for each in tracks.corrections
        ]
    document = build(
        TracksFile,
        "the tracks",
        format=FORMAT,
        video=VideoPart.of(tracks.video),
        tracks=[_part_of(track) for track in tracks.tracks],
        **optional,
    )
    write_document(document, path)


def read_tracks(path: str | Path) -> Tracks:
    """Read the tracks of one video.

    Args:
        path: A file of :func:`write_tracks`.

    Returns:
        The tracks in the order of the file, boxes in order of frames; ``video`` without the times
        of its frames.

    Raises:
        UsageError: If there is no such file.
        FormatError: If it is of another kind or version, or not in order; names file, field, and
            line and column where it is not JSON.

    Example:
        >>> read_tracks("missing.json")
        Traceback (most recent call last):
        ...
        stvg.errors.UsageError: cannot read missing.json: there is no such file; ...
    """
    document = read_document(path, {FORMAT: TracksFile})
    return Tracks(
        document.video.meta(),
        tuple(_track_of(part) for part in document.tracks),
        tuple(Correction(each.frame, each.old, each.new) for each in document.corrections),
    )


def _part_of(track: Track) -> TrackPart:
    """A track as it stands in a file."""
    keys = [str(frame) for frame in track.frames.tolist()]
    rows = np.column_stack([track.boxes, track.scores]).tolist()  # (N, 5)
    optional = {}
    if track.masks is not None:
        pairs = zip(keys, track.masks, strict=True)
        optional["masks"] = {key: MaskPart.of(rle) for key, rle in pairs if rle is not None}
    return build(
        TrackPart,
        f"track {track.id}",
        id=int(track.id),
        label=track.label,
        boxes=dict(zip(keys, rows, strict=True)),
        **optional,
    )


def _track_of(part: TrackPart) -> Track:
    """A track from how it stands in a file."""
    frames = sorted(part.boxes, key=int)
    rows = np.array([part.boxes[frame] for frame in frames], np.float64)  # (N, 5)
    masks: tuple[RLE | None, ...] | None = None
    if "masks" in part.model_fields_set:
        found = [part.masks.get(frame) for frame in frames]
        masks = tuple(None if mask is None else mask.rle() for mask in found)
    return Track(
        id=part.id,
        label=part.label,
        frames=np.array([int(frame) for frame in frames], np.int64),
        boxes=rows[:, :4],
        scores=rows[:, 4],
        masks=masks,
    )
