"""Refer-YouTube-VOS: expressions for one object each on YouTube-VOS videos.

``meta_expressions/{train,valid,test}/meta_expressions.json`` (see :mod:`stvg.data.expressions`): an
expression is ``{exp, obj_id}``, ``obj_id`` in train only. Every fifth frame is annotated. Masks of
train are the companion ``masks``, the folder ``Annotations``; those of validation are on a server.

The validation file holds 507 videos of which only 202 are validation: give the test file as the
companion ``exclude`` to leave its 305 videos out.

Source: the makers' site; counted in the validation file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from .base import MaskRecord
from .entries import Entry
from .expressions import Expressions, MaskFolder, video_values
from .reading import Part


class Benchmark(Expressions):
    """Refer-YouTube-VOS; ids ``<vid>/<exp_id>``."""

    name = "refer_youtube_vos"
    title = "Refer-YouTube-VOS"
    source = "https://youtube-vos.org/dataset/rvos/"
    licence = "annotations CC BY 4.0 according to the makers' site (not checked)"
    companions: ClassVar[Mapping[str, str]] = {
        "masks": "the folder Annotations with <vid>/<frame>.png",
        "exclude": "a further meta_expressions.json whose videos are left out (the test file)",
    }
    quirks: ClassVar[Mapping[str, str]] = {
        "no_masks": "masks are on the makers' server or were not given",
        "no_object": "the object is not named: the truth is not public",
    }

    def parts(self, path: Path, companions: Mapping[str, Path]) -> Iterator[Part]:
        """One part a video."""
        source = MaskFolder(companions["masks"]) if "masks" in companions else None
        left_out: set[str] = set()
        if "exclude" in companions:
            left_out = {vid for vid, _ in video_values(companions["exclude"], self.title)}
        yield from self.video_parts(path, source, left_out)

    def record(
        self, entry: Entry, vid: str, exp_id: str, frames: tuple[str, ...], source: Any
    ) -> MaskRecord:
        """The record of one expression."""
        objects = (entry.name("obj_id"),) if "obj_id" in entry.values else ()
        masks, void = source.masks(vid, frames, objects) if source and objects else (None, None)
        id_ = f"{vid}/{exp_id}"
        return MaskRecord(
            id=id_,
            query=entry.query("exp", query_id=id_, asks="object"),
            media=vid,
            place=entry.place,
            extra={} if void is None or not any(void) else {"void": void},
            frames=frames,
            objects=objects,
            masks=masks,
        )

    def quirks_of(self, record: MaskRecord) -> Iterable[str]:
        """Which of :attr:`quirks` a record shows."""
        if record.masks is None:
            yield "no_masks"
        if not record.objects:
            yield "no_object"

    def is_own(self, vid: str, expression: Mapping[str, Any]) -> bool:
        """Hexadecimal video names of 10 digits."""
        return "anno_id" not in expression and re.fullmatch(r"[0-9a-f]{10}", vid) is not None
