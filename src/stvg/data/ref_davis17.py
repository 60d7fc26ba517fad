"""Ref-DAVIS17: the objects of DAVIS-2017, each described four times.

Two annotators saw the first frame or the full video, which gives four sets of expressions; the
published number is the mean over the four. Two forms of file are read:

* as published, the folder ``davis_text_annotations`` with ``Davis17_annot{1,2}.txt`` and
  ``Davis17_annot{1,2}_full_video.txt``, lines ``video object "expression"``; three misspelt video
  names are corrected. ``ImageSets/2017/val.txt`` as the companion ``split`` keeps one split.
* as ReferFormer prepares it, ``meta_expressions/{train,valid}/meta_expressions.json`` (see
  :mod:`stvg.data.expressions`) with ``{exp, obj_id}``.

Ids are ``<video>/<exp_id>`` with ``exp_id`` = 4 * (rank of the object) + (number of the set), in
both forms. Masks are the companion ``masks``, the folder with ``<video>/<frame>.png``; pixels of
255 are not scored and stand in ``extra["void"]``.

Source: tools/data/convert_davis_to_ytvos.py of wjn922/ReferFormer; the files themselves could not
be checked by us.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from stvg.errors import FormatError, UsageError

from . import refer_youtube_vos
from .base import MaskRecord, Record
from .entries import Entry, shown
from .expressions import MaskFolder
from .reading import Part, text_lines

SETS = ("annot1", "annot1_full_video", "annot2", "annot2_full_video")
"""The four sets of expressions, in the order of ``exp_id`` modulo 4."""

_ENCODINGS = ("utf-8-sig", "utf-8-sig", "latin-1", "latin-1")
_MISSPELT = {"clasic-car": "classic-car", "dog-scale": "dogs-scale", "motor-bike": "motorbike"}
_LINE = re.compile(r"(\S+)\s+(\d+)\s+\"?(.*?)\"?")


class Benchmark(refer_youtube_vos.Benchmark):
    """Ref-DAVIS17; ``extra["set"]`` names the set of expressions."""

    name = "ref_davis17"
    title = "Ref-DAVIS17"
    protocols = ("ours", "davis_semi", "davis_unsupervised")
    rate = 24
    source = "https://www.mpi-inf.mpg.de/departments/computer-vision-and-machine-learning/research/video-segmentation/video-object-segmentation-with-language-referring-expressions"
    licence = "DAVIS: BSD (not checked)"
    files = ("davis_text_annotations/", "meta_expressions.json")
    companions: ClassVar[Mapping[str, str]] = {
        "masks": "the folder with <video>/<frame>.png",
        "split": "a list of videos to keep, one a line (ImageSets/2017/val.txt)",
    }
    quirks: ClassVar[Mapping[str, str]] = {
        "no_masks": "masks were not given",
        "no_frames": "the frames are not known: give the masks",
        "void_pixels": "frames hold pixels that are not scored",
    }

    def parts(self, path: Path, companions: Mapping[str, Path]) -> Iterator[Part]:
        """One part a video, or an expression of the published form."""
        source = MaskFolder(companions["masks"]) if "masks" in companions else None
        kept = None
        if "split" in companions:
            kept = {line for _, line in text_lines(companions["split"])}
        if path.is_dir():
            yield from self._of_folder(path, source, kept)
            return
        parts = self.video_parts(path, source, set())
        for part in parts:
            vid = part.args[1] if isinstance(part, partial) else ""
            if kept is None or vid in kept:
                yield part

    def _of_folder(
        self, folder: Path, source: MaskFolder | None, kept: set[str] | None
    ) -> Iterator[Part]:
        sets = [
            self._set(folder / f"Davis17_{name}.txt", encoding)
            for name, encoding in zip(SETS, _ENCODINGS, strict=True)
        ]
        for vid in sets[0]:
            if kept is None or vid in kept:
                yield partial(self._of_texts, folder, vid, sets, source)

    def _set(self, path: Path, encoding: str) -> dict[str, list[tuple[str, str, int]]]:
        """By video the objects with their expression and line, sorted by object."""
        if not path.is_file():
            raise UsageError(f"expected {self.title}, four files of expressions; {path} is missing")
        found: dict[str, list[tuple[str, str, int]]] = {}
        for number, line in text_lines(path, encoding):
            match = _LINE.fullmatch(line)
            if match is None:
                raise FormatError(
                    f'{path}, line {number}: expected video object "expression", found '
                    f"{shown(line)}; docs/data.md describes {self.title}"
                )
            vid = _MISSPELT.get(match[1], match[1])
            found.setdefault(vid, []).append((match[2], match[3], number))
        return {vid: sorted(each, key=lambda item: item[0]) for vid, each in found.items()}

    def _of_texts(
        self,
        folder: Path,
        vid: str,
        sets: list[dict[str, list[tuple[str, str, int]]]],
        source: MaskFolder | None,
    ) -> Iterator[Record]:
        counts = {len(each.get(vid, ())) for each in sets}
        if len(counts) > 1:
            raise FormatError(
                f'{folder}, video "{vid}": expected as many expressions in all four sets, found '
                f"{[len(each.get(vid, ())) for each in sets]}"
            )
        frames = source.frames(vid) if source else ()
        for rank in range(counts.pop()):
            for number, each in enumerate(sets):
                object_, text, line = each[vid][rank]
                place = f"{folder / f'Davis17_{SETS[number]}.txt'}, line {line}"
                entry = Entry({"exp": text, "obj_id": object_}, place, self.title)
                yield self.record(entry, vid, str(4 * rank + number), frames, source)

    def record(
        self, entry: Entry, vid: str, exp_id: str, frames: tuple[str, ...], source: Any
    ) -> MaskRecord:
        """The record of one expression."""
        if not exp_id.isdecimal():
            raise entry.wrong("exp_id", "a number as key of the expression", exp_id)
        found = super().record(entry, vid, exp_id, frames, source)
        return MaskRecord(
            id=found.id,
            query=found.query,
            media=found.media,
            place=found.place,
            extra={**found.extra, "set": SETS[int(exp_id) % 4]},
            frames=found.frames,
            objects=found.objects,
            masks=found.masks,
        )

    def quirks_of(self, record: MaskRecord) -> Iterator[str]:
        """Which of :attr:`quirks` a record shows."""
        if record.masks is None:
            yield "no_masks"
        if not record.frames:
            yield "no_frames"
        if any(record.extra.get("void", ())):
            yield "void_pixels"

    def is_own(self, vid: str, expression: Mapping[str, Any]) -> bool:
        """Video names that are words."""
        return re.fullmatch(r"[a-z][a-z0-9-]*[a-z0-9]", vid) is not None and not re.fullmatch(
            r"[0-9a-f]{10}|[0-9a-f]{12}", vid
        )
