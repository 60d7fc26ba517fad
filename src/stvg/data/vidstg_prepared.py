"""VidSTG as other codes prepare it: the files of STCAT and of TubeDETR.

STCAT (also CG-STVG and TA-STVG), ``vstg_annos/{split}.json``: an object of queries, captions
before questions in every record of the published file. ``target_bboxs`` runs from the frame
``ori_temp_gt.begin_fid`` to ``ori_temp_gt.end_fid`` **inclusive** (or the end of the video); at the
last of these frames the box before is repeated where the object is gone, and elsewhere a missing
box is ``{}``. ``temp_gt`` counts from the segment. ``frame_count`` is the length of the segment,
not of the video.

TubeDETR, ``{split}.json``: a list ``videos`` of queries, questions before captions in every record,
``start_frame``, ``end_frame`` the published segment (so ``end_frame`` is inclusive, although that
code takes it as exclusive), ``tube_start_frame``, ``tube_end_frame`` the published span; and
``trajectories`` by video and object.

Ids: every record of the published file has exactly one caption (4,610 of 4,610 in test, 3,996 of
3,996 in validation), so a caption begins (STCAT) or ends (TubeDETR) a record, and the published
numbering follows from the order. It is refused where the running numbers have gaps.

Source: datasets/vidstg.py of jy0205/STCAT, preproc/preproc_vidstg.py of antoyang/TubeDETR.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal

import numpy as np

from stvg.errors import FormatError
from stvg.types import FloatArray

from .base import TubeRecord
from .entries import Entry
from .json_stream import JsonStream
from .reading import Part, object_values
from .trajectories import VideoBoxes, videos_in

_CORNERS = itemgetter("xmin", "ymin", "xmax", "ymax")
_Form = Literal["declarative", "interrogative"]
_FORMS: dict[str, _Form] = {
    "declar": "declarative",
    "inter": "interrogative",
    "declarative": "declarative",
    "interrogative": "interrogative",
}


class _Naming:
    """Gives the queries of a prepared file the ids of the published one.

    Args:
        captions_first: Whether a record's caption comes before its questions.
    """

    def __init__(self, *, captions_first: bool) -> None:
        self._captions_first = captions_first
        self._record = -1 if captions_first else 0
        self._questions = 0
        self._relation: Any = None

    def next_id(self, entry: Entry, form: _Form, relation: Any) -> str:
        """The id of the next query.

        Args:
            entry: The query.
            form: Caption or question.
            relation: What all sentences of a record share, to check that they belong together.

        Raises:
            FormatError: If a question stands where its record has no caption.
        """
        is_caption = form == "declarative"
        if is_caption and self._captions_first:
            self._record, self._questions = self._record + 1, 0
        is_new = is_caption if self._captions_first else self._questions == 0
        if not is_new and relation != self._relation:
            raise entry.wrong(
                "qtype",
                "a caption in every record, so that the queries can be numbered as in the "
                "published file",
                "questions of another video or span in one record",
            )
        self._relation = relation
        if self._record < 0:
            raise entry.wrong("qtype", "a caption before the first question", form)
        id_ = f"{self._record}:{form}:{0 if is_caption else self._questions}"
        self._questions += not is_caption
        if is_caption and not self._captions_first:
            self._record, self._questions, self._relation = self._record + 1, 0, None
        return id_


def stcat_parts(path: Path, title: str) -> Iterator[Part]:
    """The queries of a file that STCAT prepared, read one by one."""
    naming = _Naming(captions_first=True)
    queries = object_values(path, title, "queries by running number")
    for number, (key, value) in enumerate(queries):
        yield partial(_from_stcat, path, title, number, key, value, naming)


def _from_stcat(
    path: Path, title: str, number: int, key: str, value: Any, naming: _Naming
) -> list[TubeRecord]:
    entry = Entry.of(value, f'{path}, record "{key}"', title)
    _expect_number(entry, "id", key, number)
    segment, span = entry.inner("used_segment"), entry.inner("ori_temp_gt")
    start, end = span.whole("begin_fid"), span.whole("end_fid")
    stop = segment.whole("end_fid") + 1
    boxes = _stcat_boxes(entry)
    form = _form_of(entry)
    vid = entry.name("vid")
    id_ = naming.next_id(entry, form, (vid, segment.values, span.values))
    sentence = entry.values.get("sentence")
    inner = entry.inner("sentence") if isinstance(sentence, dict) else None
    length = max(end - start, 0)
    query = (
        inner.query("description", query_id=id_, form=form)
        if inner
        else entry.query("sentence", query_id=id_, form=form)
    )
    extra: dict[str, Any] = {
        "vid": vid,
        "used_segment": dict(segment.values),
        "temporal_gt": dict(span.values),
        "temp_gt": entry.values.get("temp_gt"),
        "target_id": inner.values.get("target_id") if inner else None,
        "type": inner.values.get("type") if inner else None,
        "category": entry.values.get("target_category"),
        "stcat_id": number,
        "frame_count_unknown": True,
        "box_count": len(boxes),
        "box_at_end": boxes[length] if len(boxes) > length else None,
    }
    if extra["box_at_end"] is not None and not np.isfinite(extra["box_at_end"]).all():
        extra["box_at_end"] = None
    if not np.isfinite(boxes).any():
        extra["no_boxes"] = "the file has none"
    return [
        TubeRecord(
            id=id_,
            query=query,
            media=f"{vid}.mp4",
            place=entry.place,
            extra=extra,
            width=entry.whole("width", 1),
            height=entry.whole("height", 1),
            fps=entry.number("fps"),
            frame_count=max(entry.whole("frame_count", 1), stop),
            segment=(segment.whole("begin_fid"), stop),
            span=(start, end),
            boxes=boxes[:length],
            first_box_frame=start,
        )
    ]


def _stcat_boxes(entry: Entry) -> FloatArray:
    """``target_bboxs`` as (N, 4), missing ones NaN."""
    values = entry.sequence("target_bboxs", "a list of {xmin, ymin, xmax, ymax}")
    try:
        rows: Any = list(map(_CORNERS, values))
    except (KeyError, TypeError):
        rows = [_corners_or_nan(entry, number, each) for number, each in enumerate(values)]
    flat = list(chain.from_iterable(rows))
    if not set(map(type, flat)) <= {int, float}:
        bad = next(n for n, row in enumerate(rows) if not {*map(type, row)} <= {int, float})
        raise entry.wrong(f"target_bboxs[{bad}]", "four numbers", values[bad])
    return np.array(flat, np.float64).reshape(-1, 4)


def _corners_or_nan(entry: Entry, number: int, value: Any) -> tuple[Any, ...]:
    """One box; ``{}`` is none."""
    if value == {}:
        return (np.nan,) * 4
    try:
        return tuple(_CORNERS(value))
    except (KeyError, TypeError) as error:
        raise entry.wrong(
            f"target_bboxs[{number}]", "{xmin, ymin, xmax, ymax} or {}", value
        ) from error


def tubedetr_parts(path: Path, title: str) -> Iterator[Part]:
    """The queries of a file that TubeDETR prepared.

    The boxes stand after the queries in one object, so all of them are read before the first
    record is given; they are kept as small arrays.
    """
    queries: list[Any] | None = None
    boxes: dict[str, VideoBoxes] = {}
    with JsonStream(path) as stream:
        for key in stream.members():
            if key == "videos":
                queries = [stream.value() for _ in stream.elements()]
            elif key == "trajectories":
                boxes.update(videos_in(stream))
            else:
                stream.value()
        stream.finish()
    if queries is None:
        raise FormatError(
            f"{path}, field videos: expected the queries of {title} as TubeDETR prepares it, but "
            "the field is missing"
        )
    naming = _Naming(captions_first=False)
    for number, value in enumerate(queries):
        yield partial(_from_tubedetr, path, title, number, value, boxes, naming)


def _from_tubedetr(
    path: Path, title: str, number: int, value: Any, videos: dict[str, VideoBoxes], naming: _Naming
) -> list[TubeRecord]:
    entry = Entry.of(value, f"{path}, field videos[{number}]", title)
    _expect_number(entry, "video_id", entry.name("video_id"), number)
    vid, target = entry.name("original_video_id"), entry.whole("target_id")
    begin, last = entry.whole("start_frame"), entry.whole("end_frame")
    start, end = entry.whole("tube_start_frame"), entry.whole("tube_end_frame")
    form = _form_of(entry)
    id_ = naming.next_id(entry, form, (vid, begin, last, start, end))
    extra: dict[str, Any] = {
        "vid": vid,
        "used_segment": {"begin_fid": begin, "end_fid": last},
        "temporal_gt": {"begin_fid": start, "end_fid": end},
        "target_id": target,
        "type": entry.values.get("type"),
        "tubedetr_id": number,
        "box_at_end": None,
    }
    video = videos.get(vid)
    boxes = video.between(target, start, end + 1) if video else None
    if boxes is None:
        extra["no_boxes"] = f"field trajectories has no object {target} of video {vid}"
        boxes = np.zeros((1, 4))
    elif len(boxes) and np.isfinite(boxes[-1]).all():
        extra["box_at_end"] = boxes[-1]
    return [
        TubeRecord(
            id=id_,
            query=entry.query("caption", query_id=id_, form=form),
            media=entry.text("video_path"),
            place=entry.place,
            extra=extra,
            width=entry.whole("width", 1),
            height=entry.whole("height", 1),
            fps=entry.number("fps"),
            frame_count=entry.whole("frame_count", 1),
            segment=(begin, last + 1),
            span=(start, end),
            boxes=boxes[:-1],
            first_box_frame=start,
        )
    ]


def _form_of(entry: Entry) -> _Form:
    """The form of the sentence."""
    found = entry.values.get("qtype")
    if found not in _FORMS:
        raise entry.wrong("qtype", f"one of {', '.join(_FORMS)}")
    return _FORMS[found]


def _expect_number(entry: Entry, field: str, found: str, number: int) -> None:
    """Refuse running numbers with gaps, from which ids of the published file cannot be told."""
    if found != str(number):
        raise entry.wrong(
            field,
            f"running number {number} (queries without gaps, from the first on, so that they can "
            "be numbered as in the published file)",
            found,
        )
