"""VidSTG: sentences on relations in VidOR videos, declarative and interrogative.

Three forms of file are read:

* as published, ``{train,val,test}_annotations.json``: a list of records, each one relation with its
  ``captions`` and ``questions``. The boxes are not in it but in the VidOR annotation of the video:
  the companion ``trajectories`` (see :mod:`stvg.data.trajectories`), looked for beside the file
  when it is not given. Without it records have no boxes and ``extra["no_boxes"]`` says so.
* as STCAT, CG-STVG and TA-STVG prepare it, ``vstg_annos/{split}.json``: ``{"id": query}``.
* as TubeDETR prepares it, ``{split}.json``: ``{videos: [query], trajectories: ...}``.

Ids are ``<record>:<declarative|interrogative>:<sentence>``, counted from 0 in the published file,
in all three forms (see :mod:`stvg.data.vidstg_prepared`), so that predictions fit each of them.

The two ends of one record differ: ``used_segment.end_fid`` is inclusive, ``temporal_gt.end_fid`` is
exclusive. Frames count from 0 in the whole video.

Source: Guaranteer/VidSTG-Dataset; counted in its test and validation files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from .base import Record, TubeRecord
from .entries import Entry
from .json_stream import JsonStream
from .reading import FileBenchmark, Part, list_values
from .recognise import Head
from .trajectories import Trajectories, find_trajectories
from .vidstg_prepared import stcat_parts, tubedetr_parts

_FORMS: tuple[tuple[str, Literal["declarative", "interrogative"]], ...] = (
    ("captions", "declarative"),
    ("questions", "interrogative"),
)


@dataclass
class _Numbers:
    """Queries before the current record, for the running numbers of STCAT and TubeDETR."""

    queries: int = 0


class Benchmark(FileBenchmark):
    """VidSTG.

    ``extra`` holds the annotated ``used_segment``, ``temporal_gt`` and ``target_id``, further
    ``box_at_end``: the box (4,) on the frame at the exclusive end of the span, which STCAT scores
    too, or None where the object has none. Of the published form also ``stcat_id`` and
    ``tubedetr_id``, the running numbers that predictions of those codes are named by.
    """

    name = "vidstg"
    title = "VidSTG"
    kind = TubeRecord
    protocols = ("ours", "tubedetr", "stcat", "cgstvg", "llava_next_stvg", "stvg_r1")
    source = "https://github.com/Guaranteer/VidSTG-Dataset"
    licence = "none stated; boxes and videos are VidOR's (YFCC100M), research use"
    files = ("train_annotations.json", "val_annotations.json", "test_annotations.json")
    companions: ClassVar[Mapping[str, str]] = {
        "trajectories": "VidOR annotations: a folder of <group>/<vid>.json, or one JSON by video"
    }
    quirks: ClassVar[Mapping[str, str]] = {
        "ends_after_segment": "the exclusive end of the span is one past the end of the segment: "
        "STCAT takes the smaller and cuts the true span by one frame",
        "ends_with_video": "the span ends with the video",
        "capped_by_tubedetr": "the segment has more than 200 frames at 5 per second: TubeDETR "
        "lowers its rate",
        "gone_at_end": "the object has no box at the exclusive end frame, where STCAT repeats the "
        "last one",
        "shorter_than_sampling": "the span is shorter than 0.2 s: TubeDETR may see no frame of it",
        "boxes_missing": "frames of the span have no box",
        "no_boxes": "no boxes at hand: give the VidOR annotations as trajectories",
    }

    def parts(self, path: Path, companions: Mapping[str, Path]) -> Iterator[Part]:
        """One part a record of the published form, or a query of the prepared ones."""
        with JsonStream(path) as stream:
            opening = stream.next_character()
            first_key = next(stream.members(), "") if opening == "{" else ""
        if opening == "{":
            prepared = tubedetr_parts if first_key in {"videos", "trajectories"} else stcat_parts
            yield from prepared(path, self.title)
            return
        place = companions.get("trajectories") or find_trajectories(path)
        trajectories = Trajectories(place) if place else None
        numbers = _Numbers()
        for number, value in list_values(path, self.title, "records"):
            yield partial(self._records, path, number, value, trajectories, numbers)

    def _records(
        self,
        path: Path,
        number: int,
        value: Any,
        trajectories: Trajectories | None,
        numbers: _Numbers,
    ) -> Iterator[Record]:
        entry = Entry.of(value, f"{path}, record {number}", self.title)
        segment, span = entry.inner("used_segment"), entry.inner("temporal_gt")
        objects = {
            each.whole("tid"): each.text("category") for each in entry.inner_list("subject/objects")
        }
        vid = entry.name("vid")
        counts = {field: len(entry.sequence(field)) for field, _ in _FORMS}
        before, numbers.queries = numbers.queries, numbers.queries + sum(counts.values())
        for field, form in _FORMS:
            others = sum(counts.values()) - counts[field]
            for position, sentence in enumerate(entry.inner_list(field)):
                id_ = f"{number}:{form}:{position}"
                target = sentence.whole("target_id")
                start, end = span.whole("begin_fid"), span.whole("end_fid")
                boxes, found = _boxes(trajectories, vid, target, start, end)
                running = before + position
                yield TubeRecord(
                    id=id_,
                    query=sentence.query("description", query_id=id_, form=form),
                    media=found.pop("media"),
                    place=entry.place,
                    extra={
                        "vid": vid,
                        "used_segment": dict(segment.values),
                        "temporal_gt": dict(span.values),
                        "used_relation": entry.values.get("used_relation"),
                        "target_id": target,
                        "type": sentence.values.get("type"),
                        "category": objects.get(target),
                        "stcat_id": running + (0 if form == "declarative" else others),
                        "tubedetr_id": running + (0 if form == "interrogative" else others),
                        **found,
                    },
                    width=entry.whole("width", 1),
                    height=entry.whole("height", 1),
                    fps=_rate(entry),
                    frame_count=entry.whole("frame_count", 1),
                    segment=(segment.whole("begin_fid"), segment.whole("end_fid") + 1),
                    span=(start, end),
                    boxes=boxes,
                    first_box_frame=start,
                )

    def quirks_of(self, record: TubeRecord) -> Iterator[str]:
        """Which of :attr:`quirks` a record shows."""
        (begin, end), (start, stop) = record.segment, record.span
        if stop > end - 1:
            yield "ends_after_segment"
        if stop >= record.frame_count:
            yield "ends_with_video"
        if (end - 1 - begin) / record.fps * 5 > 200:
            yield "capped_by_tubedetr"
        if (stop - start) / record.fps < 0.2:
            yield "shorter_than_sampling"
        if not record.has_boxes:
            yield "no_boxes"
            return
        if record.extra["box_at_end"] is None and stop < record.frame_count:
            yield "gone_at_end"
        if not np.isfinite(record.boxes).all():
            yield "boxes_missing"

    def recognises(self, head: Head) -> bool:
        """One of the three forms."""
        if head.has("used_segment", "captions") or head.has("target_bboxs"):
            return True
        videos = head.value.get("videos") if isinstance(head.value, dict) else None
        first = videos[0] if isinstance(videos, list) and videos else None
        return isinstance(first, dict) and "tube_start_frame" in first


def _rate(entry: Entry) -> float:
    """Frames per second, above 0."""
    fps = entry.number("fps")
    if fps <= 0:
        raise entry.wrong("fps", "a number above 0")
    return fps


def _boxes(
    trajectories: Trajectories | None, vid: str, target: int, start: int, end: int
) -> tuple[Any, dict[str, Any]]:
    """Boxes (N, 4) of the span, and media, box_at_end and no_boxes for the record."""
    nothing = np.zeros((0, 4))
    found: dict[str, Any] = {"media": f"{vid}.mp4", "box_at_end": None}
    if trajectories is None:
        return nothing, found | {"no_boxes": "no VidOR trajectories were given or lie beside it"}
    video = trajectories.video(vid)
    if video is None:
        return nothing, found | {"no_boxes": f"{trajectories.path} has no video {vid}"}
    found["media"] = video.video_path or found["media"]
    boxes = video.between(target, start, end + 1)
    if boxes is None:
        return nothing, found | {"no_boxes": f"video {vid} has no object {target} in VidOR"}
    if len(boxes) and np.isfinite(boxes[-1]).all():
        found["box_at_end"] = boxes[-1]
    return boxes[:-1], found
