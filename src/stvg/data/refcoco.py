"""RefCOCO, RefCOCO+ and RefCOCOg: a box for an expression on a COCO train2014 image.

Three forms of file are read:

* as published, ``refs(unc).p`` (RefCOCO, RefCOCO+) or ``refs(umd).p`` (RefCOCOg): a pickled list
  of refs, each with several ``sentences``; the boxes are in ``instances.json``, the companion
  ``instances``, looked for beside the file. The file holds all splits; ``refs(unc).p#testA`` reads
  one. Ids are the ``sent_id``. Pickles can run code, so only plain data is taken from them.
* as MDETR prepares it, ``finetune_<name>_<split>.json``: COCO style, the i-th image belongs to the
  i-th annotation. Ids are the ``id`` of the image entry.
* a plain list of ``{image, sent, gt_box_xywh}`` (or ``bbox_xywh``). Ids are positions from 0.

Boxes are ``[x, y, width, height]`` with fractions; ``x + width`` may lie a hair outside the image.
:mod:`stvg.data.refcoco_plus` and :mod:`stvg.data.refcocog` are the other two names.

Source: lichengunc/refer; scripts/fine-tuning/refexp_coco_format.py of ashkamath/mdetr.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import numpy as np

from stvg.errors import FormatError, UsageError
from stvg.formats.documents import unreadable
from stvg.types import FloatArray

from .base import BoxRecord, Record
from .entries import Entry, corners
from .json_stream import JsonStream
from .reading import FileBenchmark, Part, list_values
from .recognise import Head

_PICKLES = (".p", ".pkl", ".pickle")


class Benchmark(FileBenchmark):
    """RefCOCO.

    ``extra`` holds ``split``, ``ref_id``, ``ann_id``, ``image_id`` and ``category_id`` as far as
    the form of the file gives them.
    """

    name = "refcoco"
    title = "RefCOCO"
    kind = BoxRecord
    media = "image"
    protocols = ("ours", "llava_st_rec", "vlm_r1_rec", "mdetr_refexp", "shikra")
    source = "https://github.com/lichengunc/refer"
    licence = "code Apache-2.0; builds on COCO (CC BY 4.0)"
    files = ("refs(unc).p", "instances.json", "finetune_refcoco_val.json")
    companions: ClassVar[Mapping[str, str]] = {
        "instances": "instances.json with images and boxes, for the pickled form"
    }
    quirks: ClassVar[Mapping[str, str]] = {
        "over_the_border": "the box reaches beyond the image by at most a pixel",
    }
    dataset_name: ClassVar[str] = "refcoco"
    """What MDETR calls it."""

    def parts(self, path: Path, companions: Mapping[str, Path]) -> Iterator[Part]:
        """One part a ref, image entry or list element."""
        file, split = _without_split(path)
        if file.suffix in _PICKLES:
            instances = companions.get("instances", file.parent / "instances.json")
            yield from self._of_pickle(file, split, _Instances(instances))
            return
        if split:
            raise UsageError(f"{path}: only the pickled form holds several splits; name {file}")
        with JsonStream(file) as stream:
            opening = stream.next_character()
        if opening == "{":
            yield from self._of_mdetr(file)
            return
        for number, value in list_values(file, self.title, "queries"):
            yield partial(self._of_list, file, number, value)

    def _of_pickle(self, file: Path, split: str, instances: _Instances) -> Iterator[Part]:
        refs = load_plain(file)
        if not isinstance(refs, list):
            raise FormatError(
                f"{file}: expected {self.title}, a list of refs, found something else"
            )
        splits = {ref.get("split") for ref in refs if isinstance(ref, dict)}
        if split and split not in splits:
            known = ", ".join(sorted(str(each) for each in splits))
            raise UsageError(f"{file} has no split {split!r}; it has: {known}")
        for number, ref in enumerate(refs):
            if not split or not isinstance(ref, dict) or ref.get("split") == split:
                yield partial(self._of_ref, file, number, ref, instances)

    def _of_ref(
        self, file: Path, number: int, value: Any, instances: _Instances
    ) -> Iterator[Record]:
        entry = Entry.of(value, f"{file}, record {number}", self.title)
        image, box = entry.whole("image_id"), instances.box(entry)
        name, width, height = instances.image(entry, image)
        for sentence in entry.inner_list("sentences"):
            id_ = sentence.name("sent_id")
            yield BoxRecord(
                id=id_,
                query=sentence.query("sent", query_id=id_),
                media=name,
                place=sentence.place,
                extra={
                    "split": entry.values.get("split"),
                    "ref_id": entry.values.get("ref_id"),
                    "ann_id": entry.values["ann_id"],
                    "image_id": image,
                    "category_id": entry.values.get("category_id"),
                },
                width=width,
                height=height,
                box=box,
            )

    def _of_mdetr(self, file: Path) -> Iterator[Part]:
        found: dict[str, list[Any]] = {}
        with JsonStream(file) as stream:
            for key in stream.members():
                if key in {"images", "annotations"}:
                    found[key] = [stream.value() for _ in stream.elements()]
                else:
                    stream.value()
            stream.finish()
        images, annotations = found.get("images"), found.get("annotations")
        if images is None or annotations is None or len(images) != len(annotations):
            raise FormatError(
                f"{file}: expected {self.title} as MDETR prepares it, as many images as "
                f"annotations, found {len(images or ())} images and {len(annotations or ())} "
                "annotations"
            )
        for number, pair in enumerate(zip(images, annotations, strict=True)):
            yield partial(self._of_pair, file, number, *pair)

    def _of_pair(self, file: Path, number: int, image: Any, annotation: Any) -> list[Record]:
        entry = Entry.of(image, f"{file}, field images[{number}]", self.title)
        boxed = Entry.of(annotation, f"{file}, field annotations[{number}]", self.title)
        origin = entry.values.get("dataset_name", self.dataset_name)
        if origin != self.dataset_name:
            raise entry.wrong("dataset_name", f'"{self.dataset_name}"')
        id_ = entry.name("id")
        record = BoxRecord(
            id=id_,
            query=entry.query("caption", query_id=id_),
            media=entry.text("file_name"),
            place=entry.place,
            extra={
                "ann_id": boxed.values.get("original_id"),
                "image_id": entry.values.get("original_id"),
                "category_id": boxed.values.get("category_id"),
            },
            width=entry.whole("width", 1),
            height=entry.whole("height", 1),
            box=corners(boxed.four("bbox")),
        )
        return [record]

    def _of_list(self, file: Path, number: int, value: Any) -> list[Record]:
        entry = Entry.of(value, f"{file}, record {number}", self.title)
        field = "bbox_xywh" if "bbox_xywh" in entry.values else "gt_box_xywh"
        record = BoxRecord(
            id=str(number),
            query=entry.query("sent", query_id=str(number)),
            media=entry.text("image"),
            place=entry.place,
            width=0,
            height=0,
            box=corners(entry.four(field)),
        )
        return [record]

    def quirks_of(self, record: BoxRecord) -> Iterable[str]:
        """Which of :attr:`quirks` a record shows."""
        if record.width:
            over = (record.box[2:] - (record.width, record.height)).max()
            if 0 < max(over, -record.box[:2].min()) <= 1:
                yield "over_the_border"

    def recognises(self, head: Head) -> bool:
        """COCO style with expressions of this data set, or the plain list."""
        if head.has("image", "sent"):
            return True
        images = head.value.get("images") if isinstance(head.value, dict) else None
        if not isinstance(images, list) or not images or not isinstance(images[0], dict):
            return False
        return images[0].get("dataset_name") == self.dataset_name and "caption" in images[0]


class _Instances:
    """Boxes and images of ``instances.json``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._boxes: dict[int, Any] = {}
        self._images: dict[int, tuple[str, int, int]] = {}
        with JsonStream(path) as stream:
            for key in stream.members():
                if key == "images":
                    for entry in self._entries(stream, key):
                        self._images[entry.whole("id")] = (
                            entry.text("file_name"),
                            entry.whole("width", 1),
                            entry.whole("height", 1),
                        )
                elif key == "annotations":
                    for entry in self._entries(stream, key):
                        self._boxes[entry.whole("id")] = corners(entry.four("bbox"))
                else:
                    stream.value()

    def _entries(self, stream: JsonStream, key: str) -> Iterator[Entry]:
        for number in stream.elements():
            place = f"{self.path}, field {key}[{number}]"
            yield Entry.of(stream.value(), place, "RefCOCO instances")

    def box(self, ref: Entry) -> FloatArray:
        """The box ``xyxy`` (4,) that a ref names."""
        found = self._boxes.get(ref.whole("ann_id"))
        if found is None:
            raise ref.wrong("ann_id", f"an annotation of {self.path}")
        return np.asarray(found)

    def image(self, ref: Entry, number: int) -> tuple[str, int, int]:
        """File name, width and height of an image."""
        if number not in self._images:
            raise ref.wrong("image_id", f"an image of {self.path}")
        return self._images[number]


class _PlainUnpickler(pickle.Unpickler):
    """Takes lists, dictionaries, text and numbers from a pickle, and nothing that could run."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def load_plain(path: Path) -> Any:
    """The plain data in a pickle; text of Python 2 is taken as Latin-1.

    Raises:
        UsageError: If the file cannot be opened.
        FormatError: If it is no pickle, is cut off, or holds anything but plain data.
    """
    try:
        with path.open("rb") as file:
            return _PlainUnpickler(file, encoding="latin1").load()
    except OSError as error:
        raise unreadable(path, error) from error
    except (pickle.UnpicklingError, EOFError, ValueError, IndexError, KeyError, AttributeError,
            TypeError) as error:  # fmt: skip
        raise FormatError(
            f"{path}: expected a pickle of lists, dictionaries, text and numbers, {error}; get the "
            "file again (a pickle with anything else could run code and is refused)"
        ) from error


def _without_split(path: Path) -> tuple[Path, str]:
    """``refs(unc).p#testA`` as file and split."""
    if path.exists() or "#" not in path.name:
        return path, ""
    name, _, split = path.name.rpartition("#")
    return path.with_name(name), split
