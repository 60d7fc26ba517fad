"""CVAT XML 1.1 "for video": a track a tube, to be corrected in CVAT.

Frames count from 0 in the source video, boxes are ``xtl, ytl, xbr, ybr`` in its pixels with two
decimals. CVAT reads keyframes only and fills in linearly between them, so only the keyframes that
this needs are written (:mod:`stvg.export.keyframes`). A stretch of boxes ends with a box that is
``outside``, which itself is not shown; without one CVAT goes on to the last frame of the job.

An answer has the label ``tube`` and its sentence as the text attribute ``query``, which does not
change over the track; every box carries it, because CVAT takes the value of the last one. The task
in CVAT needs that label (:data:`LABELS` is what its "Raw" tab of labels takes). A track keeps its
own label.

Source: docs.cvat.ai, "XML annotation format", version 1.1, and the reader and writer in CVAT's
cvat/apps/dataset_manager/formats/cvat.py and bindings.py.
"""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as XML  # noqa: N814  the common short name says less

from stvg import __version__
from stvg.export.base import TOLERANCE_PX
from stvg.export.base import Format as Base
from stvg.export.keyframes import keyframes
from stvg.export.objects import ExportedObject, ExportedVideo
from stvg.formats.atomic import atomic_path
from stvg.formats.documents import clean_text
from stvg.types import FloatArray, VideoMeta

LABEL = "tube"
"""Label of every answer."""
ATTRIBUTE = "query"
"""Name of the attribute that holds the sentence."""
LABELS = (
    '[{"name": "tube", "type": "rectangle", "attributes": [{"name": "query", "mutable": false, '
    '"input_type": "text", "default_value": "", "values": [""]}]}]'
)
"""Labels of a task that tubes can be put into, as CVAT's label constructor takes them."""

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Format(Base):
    """CVAT for video."""

    name = "cvat"
    title = "CVAT for video 1.1"
    suffix = ".xml"

    def write(
        self, exported: ExportedVideo, path: Path, *, tolerance_px: float = TOLERANCE_PX
    ) -> None:
        """See :meth:`Base.write`."""
        root = XML.Element("annotations")
        _text(root, "version", "1.1")
        _add_meta(XML.SubElement(root, "meta"), exported)
        for number, each in enumerate(exported.objects):
            track = XML.SubElement(root, "track", id=str(number), label=_label(each), source="auto")
            _add_boxes(track, each, exported.video, tolerance_px)
        XML.indent(root)
        with atomic_path(path) as temporary:
            XML.ElementTree(root).write(temporary, encoding="utf-8", xml_declaration=True)


def _add_meta(meta: XML.Element, exported: ExportedVideo) -> None:
    """The task as CVAT describes it: the whole video, every frame."""
    video = exported.video
    task = XML.SubElement(meta, "task")
    _text(task, "name", f"{video.name}, stvg {__version__}")
    _text(task, "size", video.frames)
    _text(task, "mode", "interpolation")
    _text(task, "start_frame", 0)
    _text(task, "stop_frame", max(video.frames - 1, 0))
    _text(task, "frame_filter", "")
    labels = XML.SubElement(task, "labels")
    for name in sorted({_label(each) for each in exported.objects} or {LABEL}):
        label = XML.SubElement(labels, "label")
        _text(label, "name", name)
        _text(label, "type", "rectangle")
        attributes = XML.SubElement(label, "attributes")
        if name == LABEL:
            attribute = XML.SubElement(attributes, "attribute")
            _text(attribute, "name", ATTRIBUTE)
            _text(attribute, "mutable", "False")
            _text(attribute, "input_type", "text")
            _text(attribute, "default_value", "")
            _text(attribute, "values", "")
    size = XML.SubElement(task, "original_size")
    _text(size, "width", video.width)
    _text(size, "height", video.height)
    _text(task, "source", video.name)


def _add_boxes(
    track: XML.Element, each: ExportedObject, video: VideoMeta, tolerance_px: float
) -> None:
    """The keyframes of an object, and where each stretch of it ends."""
    for run in each.runs:
        frames, boxes = each.frames[run], each.boxes[run]
        for row in keyframes(frames, boxes, tolerance_px):
            _add_box(track, each, int(frames[row]), boxes[row], outside=False)
        end = int(frames[-1]) + 1
        if end < video.frames:
            _add_box(track, each, end, boxes[-1], outside=True)


def _add_box(
    track: XML.Element, each: ExportedObject, frame: int, box: FloatArray, *, outside: bool
) -> None:
    """One keyframe."""
    attributes = {
        "frame": str(frame),
        "keyframe": "1",
        "outside": str(int(outside)),
        "occluded": "0",
    }
    for name, value in zip(("xtl", "ytl", "xbr", "ybr"), box.tolist(), strict=True):
        attributes[name] = f"{value:.2f}"
    element = XML.SubElement(track, "box", attributes | {"z_order": "0"})
    if each.is_answer:
        attribute = _text(element, "attribute", each.name)
        attribute.set("name", ATTRIBUTE)


def _label(each: ExportedObject) -> str:
    """What CVAT shows an object as."""
    return LABEL if each.is_answer else _clean(each.name)


def _text(parent: XML.Element, tag: str, value: str | int) -> XML.Element:
    """Add an element that holds text."""
    element = XML.SubElement(parent, tag)
    element.text = _clean(str(value))
    return element


def _clean(text: str) -> str:
    """Text with U+FFFD in place of the characters that XML 1.0 forbids."""
    return _FORBIDDEN.sub("\ufffd", clean_text(text))
