"""MeViS: expressions on motion, each for one or several objects, with masks.

``meta_expressions.json`` (see :mod:`stvg.data.expressions`): an expression is ``{exp, obj_id: [..],
anno_id: [..]}``; the last two are absent where masks are not public (val, test). The masks are in
``mask_dict.json``, the companion ``masks``, looked for beside the file: by ``anno_id`` a list over
the frames. The truth of an expression is the union of its objects.

Source: henghuiding/MeViS; the files themselves could not be checked by us.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from .base import MaskRecord
from .entries import Entry
from .expressions import Expressions, MaskFile
from .reading import Part


class Benchmark(Expressions):
    """MeViS; ids ``<vid>/<exp_id>``; ``objects`` are ``obj_id``, ``extra`` holds ``anno_id``."""

    name = "mevis"
    title = "MeViS"
    source = "https://github.com/henghuiding/MeViS"
    licence = "CC BY-NC-SA 4.0 (code MIT)"
    files = ("meta_expressions.json", "mask_dict.json")
    companions: ClassVar[Mapping[str, str]] = {"masks": "mask_dict.json, masks by anno_id"}
    quirks: ClassVar[Mapping[str, str]] = {
        "several_objects": "the expression means several objects: the truth is their union",
        "no_masks": "masks are not public or were not given",
        "short_video": "the video has fewer than 2 frames; the authors' training loader skips it",
    }

    def parts(self, path: Path, companions: Mapping[str, Path]) -> Iterator[Part]:
        """One part a video."""
        beside = path.with_name("mask_dict.json")
        masks = companions.get("masks", beside if beside.is_file() else None)
        yield from self.video_parts(path, MaskFile(masks) if masks else None, set())

    def record(
        self, entry: Entry, vid: str, exp_id: str, frames: tuple[str, ...], source: Any
    ) -> MaskRecord:
        """The record of one expression."""
        has_truth = "anno_id" in entry.values
        annotations = entry.names("anno_id") if has_truth else ()
        id_ = f"{vid}/{exp_id}"
        return MaskRecord(
            id=id_,
            query=entry.query("exp", query_id=id_, asks="objects"),
            media=vid,
            place=entry.place,
            extra={"anno_id": annotations},
            frames=frames,
            objects=entry.names("obj_id") if "obj_id" in entry.values else (),
            masks=source.masks(entry, annotations, len(frames)) if source and has_truth else None,
        )

    def quirks_of(self, record: MaskRecord) -> Iterable[str]:
        """Which of :attr:`quirks` a record shows."""
        if len(record.objects) > 1:
            yield "several_objects"
        if record.masks is None:
            yield "no_masks"
        if len(record.frames) < 2:
            yield "short_video"

    def is_own(self, vid: str, expression: Mapping[str, Any]) -> bool:
        """Expressions with ``anno_id``, or hexadecimal video names of 12 digits."""
        return "anno_id" in expression or (
            len(vid) == 12 and all(c in "0123456789abcdef" for c in vid)
        )
