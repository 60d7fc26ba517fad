"""Corrected tubes out of CVAT XML 1.1 "for video", plain or in the archive that CVAT exports.

As CVAT's own importer does, keyframes are read and boxes between them filled in linearly; a box
that is ``outside`` hides the object from its frame on, and a track that does not end so goes on to
the last frame of the job. Frames are those of the source video from 0, also in jobs that show only
a part of it (``start_frame``, ``stop_frame``) or every n-th frame (``frame_filter`` ``step=n``): a
frame that is shown stands for the n - 1 after it. The frames of the job are the input of its
sentences, because nobody looked at the others.

The sentence is the text attribute ``query`` of a track, or its label where that is absent or empty.

Source: as :mod:`stvg.export.formats.cvat`.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator
from itertools import pairwise
from math import inf
from pathlib import Path
from xml.etree import ElementTree as XML  # noqa: N814

from stvg.errors import FormatError
from stvg.export.corrections import CorrectedTube, Keyframe, Videos, fill_in
from stvg.export.formats.cvat import ATTRIBUTE
from stvg.formats.documents import unreadable
from stvg.types import VideoMeta

_IN_ARCHIVE = "annotations.xml"
MOST_XML_MB = 500
"""An archive may hold so much XML, a box for each of two million frames. A file of a few kilobytes
can unpack to any size."""
_DIGITS = 15
"""At most so many has a number of a frame; longer ones are a damaged file."""


def read_cvat(path: str | Path, videos: Videos) -> Iterator[CorrectedTube]:
    """The tubes in a file of CVAT, one a track.

    Args:
        path: ``annotations.xml`` of one task or job in the format "CVAT for video 1.1", or the
            archive with it.
        videos: Where the video is looked for: by the file name that CVAT gives as source.

    Yields:
        A tube for each track in the order of the file; tracks that show nothing are left out.

    Raises:
        UsageError: If there is no such file.
        FormatError: If it is of another kind, the video does not fit it, or a track is no track of
            upright rectangles; names the track.
        VideoError: If the video cannot be read.
    """
    root = _root(Path(path))
    job = _job(root, str(path))
    source = _found(job, "source")
    video, media = videos.find([source] if source else [], str(path))
    _require_size(root, video, str(path))
    segment = _segment(job, video, str(path))
    for track in root.iter("track"):
        place = f"{path}, track {track.get('id', '?')}"
        keyframes = _keyframes(track, segment[1], place)
        frames, boxes = fill_in(keyframes, segment, video)
        if len(frames):
            yield CorrectedTube(
                query=_sentence(track, place),
                video=video,
                media=media,
                segment=segment,
                span=(int(frames[0]), int(frames[-1]) + 1),
                frames=frames,
                boxes=boxes,
                place=place,
            )


def _root(path: Path) -> XML.Element:
    """The root element of a file of tracks.

    Entities are no danger: expat 2.4.1 and later, which Python 3.11 has, stops their expansion,
    and external ones are not followed.
    """
    content = _content(path)
    try:
        root = XML.fromstring(content)  # noqa: S314
    except (XML.ParseError, LookupError, ValueError) as error:  # the last two: odd encodings
        raise FormatError(f"{path}: expected XML of CVAT, but it is not XML: {error}") from error
    if root.tag != "annotations" or root.find("image") is not None:
        kind = "images" if root.tag == "annotations" else f"the root element <{root.tag}>"
        raise FormatError(
            f'{path}: expected tracks in the format "CVAT for video 1.1", found {kind}; export the '
            "task in that format"
        )
    return root


def _content(path: Path) -> bytes:
    """The XML in a file, or in the archive that the file is."""
    try:
        if not zipfile.is_zipfile(path):
            return path.read_bytes()
        with zipfile.ZipFile(path) as archive:
            declared = archive.getinfo(_IN_ARCHIVE).file_size
            _require_small(declared, path)
            with archive.open(_IN_ARCHIVE) as file:
                return file.read(declared)  # without a number, all would be unpacked first
    except OSError as error:
        raise unreadable(path, error) from error
    except (KeyError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise FormatError(  # RuntimeError: a password, or a compression that Python does not know
            f"{path}: expected an archive of CVAT with {_IN_ARCHIVE} in it, found none that can be "
            f'read ({error}); export the task in the format "CVAT for video 1.1"'
        ) from error


def _require_small(declared: int, path: Path) -> None:
    """Refuse an archive whose XML is too large to be one of CVAT."""
    if declared > MOST_XML_MB * 10**6:
        raise FormatError(
            f"{path}: expected an archive of CVAT with at most {MOST_XML_MB} MB of {_IN_ARCHIVE}, "
            f"found {declared} bytes; unpack it if you trust it, and give the XML"
        )


def _job(root: XML.Element, place: str) -> XML.Element:
    """The description of the one task or job that the file is about."""
    jobs = [each for tag in ("task", "job") for each in root.findall(f"meta/{tag}")]
    if len(jobs) != 1:
        raise FormatError(
            f"{place}: expected the annotations of one task or job, with meta/task or meta/job, "
            f"found {len(jobs)}; export every task of a project by itself"
        )
    return jobs[0]


def _require_size(root: XML.Element, video: VideoMeta, place: str) -> None:
    """Refuse a video of another size than the one that was annotated, where that is told."""
    size = root.find("meta//original_size")
    if size is None:
        return
    found = [_whole(_found(size, side), f"{place}, {side}") for side in ("width", "height")]
    if found != [video.width, video.height]:
        raise FormatError(
            f"{place}: expected boxes in the pixels of {video.name}, {video.width}x{video.height}, "
            f"found a job on {found[0]}x{found[1]}; name the video that CVAT was given"
        )


def _segment(job: XML.Element, video: VideoMeta, place: str) -> tuple[int, int]:
    """Frames ``[start, end)`` of the video that the job is about."""
    step_text = re.search(r"step=(\d+)", _found(job, "frame_filter"))
    step = max(_whole(step_text[1], f"{place}, frame_filter"), 1) if step_text else 1
    start = _whole(_found(job, "start_frame") or "0", f"{place}, start_frame")
    size = _whole(_found(job, "size") or str(video.frames), f"{place}, size")
    stop_text = _found(job, "stop_frame") or str(start + (size - 1) * step)
    stop = _whole(stop_text, f"{place}, stop_frame")
    if not 0 <= start <= stop < video.frames:
        raise FormatError(
            f"{place}: expected frames of {video.name}, which has [0, {video.frames}), found a job "
            f"of the frames {start} to {stop}; is it another video?"
        )
    shown = (stop - start) // step + 1
    return start, min(start + shown * step, video.frames)


def _keyframes(track: XML.Element, end: int, place: str) -> list[Keyframe]:
    """The keyframes of a track in order; each holds until the next, a hidden one not at all."""
    boxes = [each for each in track if each.get("keyframe", "1") == "1"]
    if not boxes or any(each.tag != "box" for each in track):
        found = ", ".join(sorted({each.tag for each in track})) or "nothing"
        raise FormatError(
            f"{place}: expected a track of rectangles (box) with keyframes, found {found}"
        )
    frames = [_whole(each.get("frame", ""), f"{place}, frame") for each in boxes]
    for earlier, later in pairwise(frames):
        if later <= earlier:
            raise FormatError(
                f"{place}: expected keyframes in order and one a frame, found frame {later} after "
                f"frame {earlier}; put them in order, or take one of them out"
            )
    return [
        Keyframe(
            frame,
            _corners(box, f"{place}, frame {frame}"),
            frame if box.get("outside", "0") == "1" else following,
        )
        for frame, following, box in zip(frames, [*frames[1:], end], boxes, strict=True)
    ]


def _corners(box: XML.Element, place: str) -> tuple[float, float, float, float]:
    """``xyxy`` of an upright rectangle."""
    try:
        left, top, right, bottom = (float(box.attrib[n]) for n in ("xtl", "ytl", "xbr", "ybr"))
        turned = float(box.get("rotation", "0"))
    except (KeyError, ValueError) as error:
        raise FormatError(
            f"{place}: expected a box with the numbers xtl, ytl, xbr and ybr, found {box.attrib}"
        ) from error
    if turned or not (-inf < left <= right < inf and -inf < top <= bottom < inf):
        raise FormatError(
            f"{place}: expected an upright rectangle with its corners in order, found {box.attrib}"
        )
    return left, top, right, bottom


def _sentence(track: XML.Element, place: str) -> str:
    """What a track is an answer to: CVAT keeps the attribute on every box."""
    texts = (each.text or "" for each in track.iter("attribute") if each.get("name") == ATTRIBUTE)
    sentence = " ".join((next(texts, "").strip() or track.get("label", "")).split())
    if not sentence:
        raise FormatError(
            f"{place}: expected a sentence in the attribute {ATTRIBUTE} or a label, found neither"
        )
    return sentence


def _found(job: XML.Element, tag: str) -> str:
    """Text of a field of the job, empty where there is none."""
    return (job.findtext(tag) or "").strip()


def _whole(text: str, place: str) -> int:
    """A number of a frame."""
    if not text.isdecimal() or len(text) > _DIGITS:
        raise FormatError(f"{place}: expected a whole number of at least 0, found {text!r:.40}")
    return int(text)
