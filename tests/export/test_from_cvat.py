"""Corrected tracks of CVAT: keyframes, hidden stretches, steps, cropped jobs, refused files."""

from __future__ import annotations

import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from stvg.errors import FormatError, UsageError
from stvg.export import from_cvat
from stvg.export.corrections import CorrectedTube, Videos
from stvg.export.from_cvat import read_cvat
from tests.export.scenes import write_film

JOB = "<task><name>street</name><size>20</size>{}<source>street.mp4</source></task>"
WHOLE = JOB.format("<start_frame>0</start_frame><stop_frame>19</stop_frame><frame_filter/>")


def box(frame: int, left: float = 0, *, hidden: bool = False, key: bool = True, rest: str = "",
        inside: str = '<attribute name="query">the ball</attribute>') -> str:  # fmt: skip
    return (
        f'<box frame="{frame}" keyframe="{int(key)}" outside="{int(hidden)}" occluded="0" '
        f'xtl="{left}" ytl="10" xbr="{left + 20}" ybr="30" z_order="0" {rest}>{inside}</box>'
    )


def track(*boxes: str, label: str = "tube") -> str:
    return f'<track id="0" label="{label}" source="manual">{"".join(boxes)}</track>'


Read = Callable[..., list[CorrectedTube]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads tracks of a job; the video has 20 frames of 200 x 100 pixels."""
    write_film(tmp_path / "street.mp4")

    def run(*tracks: str, job: str = WHOLE) -> list[CorrectedTube]:
        path = tmp_path / "annotations.xml"
        path.write_text(
            f"<annotations><version>1.1</version><meta>{job}</meta>{''.join(tracks)}</annotations>"
        )
        return list(read_cvat(path, Videos(tmp_path)))

    return run


def test_keyframes_are_filled_in_and_outside_ends(read: Read) -> None:
    (tube,) = read(track(box(4, 0), box(8, 40), box(10, 60, hidden=True)))
    assert tube.query == "the ball"
    assert (tube.span, tube.segment, tube.media) == ((4, 10), (0, 20), "street.mp4")
    assert tube.frames.tolist() == [4, 5, 6, 7, 8, 9]
    assert tube.boxes[:, 0].tolist() == [0, 10, 20, 30, 40, 50]
    assert tube.boxes[0].tolist() == [0, 10, 20, 30]


def test_boxes_that_are_no_keyframes_are_not_read(read: Read) -> None:
    """CVAT's importer passes over them too; here the one on frame 5 is out of date."""
    (tube,) = read(track(box(4, 0), box(5, 99, key=False), box(6, 20), box(7, 20, hidden=True)))
    assert tube.boxes[:, 0].tolist() == [0, 10, 20]


def test_without_outside_a_track_goes_on_to_the_end(read: Read) -> None:
    (tube,) = read(track(box(17, 5)))
    assert tube.span == (17, 20)
    assert tube.boxes[:, 0].tolist() == [5, 5, 5]


def test_hidden_in_between(read: Read) -> None:
    """Visible on 2 and 3, hidden on 4 to 6, visible on 7: the span is all of it."""
    hidden = track(box(2), box(4, hidden=True), box(7), box(8, hidden=True))
    (tube,) = read(hidden)
    assert tube.span == (2, 8)
    assert tube.frames.tolist() == [2, 3, 7]


def test_frame_steps(read: Read) -> None:
    """Every third frame is shown; the one that is shown stands for the two after it."""
    step = JOB.format(
        "<start_frame>0</start_frame><stop_frame>18</stop_frame><frame_filter>step=3</frame_filter>"
    )
    (tube,) = read(track(box(3, 0), box(6, 30), box(9, 30, hidden=True)), job=step)
    assert tube.frames.tolist() == [3, 4, 5, 6, 7, 8]
    assert tube.boxes[:, 0].tolist() == [0, 10, 20, 30, 30, 30]
    assert tube.segment == (0, 20)  # 18 stands for 18 and 19; the video ends there
    (to_the_end,) = read(track(box(15, 0)), job=step)
    assert to_the_end.span == (15, 20)


def test_a_job_that_stops_between_two_frames_that_are_shown(read: Read) -> None:
    """Of the frames 0 to 10 every third is shown: 9 is the last and stands for 10 and 11."""
    step = JOB.format("<stop_frame>10</stop_frame><frame_filter>step=3</frame_filter>")
    (tube,) = read(track(box(9)), job=step)
    assert (tube.segment, tube.span) == ((0, 12), (9, 12))


def test_cropped_job(read: Read) -> None:
    """A job on the frames 5 to 12: they alone are the input, frames stay those of the video."""
    job = (
        "<job><id>7</id><size>8</size><start_frame>5</start_frame><stop_frame>12</stop_frame>"
        "<frame_filter></frame_filter></job>"
    )
    with pytest.raises(FormatError, match="its video, which it does not name"):
        read(track(box(6)), job=job)


def test_cropped_job_on_a_named_video(tmp_path: Path) -> None:
    film = write_film(tmp_path / "street.mp4")
    path = tmp_path / "job.xml"
    path.write_text(
        "<annotations><meta><job><size>8</size><start_frame>5</start_frame>"
        f"<stop_frame>12</stop_frame></job></meta>{track(box(6))}</annotations>"
    )
    (tube,) = read_cvat(path, Videos(film))
    assert (tube.segment, tube.span, tube.media) == ((5, 13), (6, 13), "street.mp4")


def test_the_label_is_the_sentence_where_the_attribute_is_missing(read: Read) -> None:
    (tube,) = read(track(box(1, inside=""), label="the red ball"))
    assert tube.query == "the red ball"
    (tube,) = read(track(box(1, inside='<attribute name="query"> </attribute>'), label="ball"))
    assert tube.query == "ball"


def test_boxes_are_cut_to_the_picture(read: Read) -> None:
    (tube,) = read(track(box(1, 190), box(2, 210), box(3, 210, hidden=True)))
    assert tube.frames.tolist() == [1]  # on frame 2 the box has left the picture
    assert tube.boxes.tolist() == [[190, 10, 200, 30]]


def test_archive(tmp_path: Path) -> None:
    write_film(tmp_path / "street.mp4")
    text = f"<annotations><meta>{WHOLE}</meta>{track(box(1), box(2, hidden=True))}</annotations>"
    path = tmp_path / "task.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("annotations.xml", text)
    (tube,) = read_cvat(path, Videos(tmp_path))
    assert tube.span == (1, 2)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("other.txt", "")
    with pytest.raises(FormatError, match=r"annotations\.xml in it, found none"):
        list(read_cvat(path, Videos(tmp_path)))


def zeros(path: Path, count: int) -> Path:
    """An archive whose XML are so many zero bytes, packed to a thousandth."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("annotations.xml", bytes(count))
    return path


def test_an_archive_that_unpacks_to_too_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(from_cvat, "MOST_XML_MB", 1)
    path = zeros(tmp_path / "bomb.zip", 1_000_001)
    assert path.stat().st_size < 2000
    with pytest.raises(FormatError, match=r"at most 1 MB of annotations\.xml, found 1000001 bytes"):
        list(read_cvat(path, Videos(tmp_path)))
    with pytest.raises(FormatError, match="not XML"):  # is unpacked, and holds nothing
        list(read_cvat(zeros(path, 1_000_000), Videos(tmp_path)))


def test_an_archive_that_unpacks_to_more_than_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(from_cvat, "MOST_XML_MB", 1)
    path = zeros(tmp_path / "bomb.zip", 50_000_000)
    data = bytearray(path.read_bytes())
    size = (50_000_000).to_bytes(4, "little")
    assert data.count(size) == 2  # in front of the packed bytes, and in the directory
    path.write_bytes(data.replace(size, (1000).to_bytes(4, "little")))
    tracemalloc.start()
    with pytest.raises(FormatError, match="none that can be read"):
        list(read_cvat(path, Videos(tmp_path)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000_000


@pytest.mark.parametrize(
    ("offset", "bits"),
    [(6, 1), (8, 99), (45, 255)],  # flags: a password; way of packing; the first packed byte
)
def test_archives_that_cannot_be_unpacked(offset: int, bits: int, tmp_path: Path) -> None:
    path = tmp_path / "task.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("annotations.xml", "<annotations/>")
    data = bytearray(path.read_bytes())
    directory = data.index(b"PK\x01\x02")
    data[offset] |= bits
    if offset < 30:  # a field of the header, which the directory repeats two bytes further on
        data[directory + offset + 2] |= bits
    path.write_bytes(data)
    with pytest.raises(FormatError, match="none that can be read"):
        list(read_cvat(path, Videos(tmp_path)))


@pytest.mark.parametrize(
    ("tracks", "job", "message"),
    [
        ([track(box(1, rest='rotation="12.0"'))], WHOLE, "track 0, frame 1: expected an upright"),
        ([track(box(5), box(3))], WHOLE, "in order and one a frame, found frame 3 after frame 5"),
        ([track(box(5), box(5))], WHOLE, "in order and one a frame, found frame 5 after frame 5"),
        ([track('<box frame="1" xtl="0" ytl="0" xbr="inf" ybr="9"/>')], WHOLE, "corners in order"),
        ([track(f'<box frame="{"9" * 5000}"/>')], WHOLE, "whole number .* found '999"),
        ([], JOB.format(f"<frame_filter>step={'9' * 5000}</frame_filter>"),
         "frame_filter: expected"),
        ([track(box(5, key=False))], WHOLE, "with keyframes, found box"),
        (['<track id="4" label="a"><polygon frame="1"/></track>'], WHOLE, "track 4: .* polygon"),
        ([track('<box frame="1" keyframe="1" xtl="a"/>')], WHOLE, "numbers xtl, ytl"),
        ([track('<box frame="-1" keyframe="1"/>')], WHOLE, "whole number .* found '-1'"),
        ([track(box(1, inside=""), label="")], WHOLE, "found neither"),
        (['<image id="0" name="a.png"/>'], WHOLE, "found images"),
        ([], WHOLE + WHOLE, "one task or job, .* found 2"),
        ([], JOB.format("<start_frame>0</start_frame><stop_frame>20</stop_frame>"),
         r"frames of street\.mp4, which has \[0, 20\), found a job of the frames 0 to 20"),
        ([], "<task><source>park.mp4</source></task>", "expected 'park.mp4' below"),
        ([], WHOLE + "<original_size><width>400</width><height>200</height></original_size>",
         r"pixels of street\.mp4, 200x100, found a job on 400x200"),
    ],
)  # fmt: skip
def test_refused(tracks: list[str], job: str, message: str, read: Read) -> None:
    with pytest.raises(FormatError, match=message):
        read(*tracks, job=job)


@pytest.mark.parametrize(
    "text",
    ["", "{}", "<a", "<other/>", '<?xml version="1.0" encoding="none"?><annotations/>',
     '<?xml version="1.0" encoding="shift_jis"?><annotations/>'],
)  # fmt: skip
def test_other_files_are_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "file.xml"
    path.write_text(text)
    with pytest.raises(FormatError, match=r"file\.xml: expected"):
        list(read_cvat(path, Videos(tmp_path)))
    with pytest.raises(UsageError, match="there is no such file"):
        list(read_cvat(tmp_path / "absent.xml", Videos(tmp_path)))


def test_entities_do_not_grow(tmp_path: Path) -> None:
    """A short file that would unfold to gigabytes is refused by the parser."""
    path = tmp_path / "bomb.xml"
    levels = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    path.write_text(f'<!DOCTYPE x [<!ENTITY a0 "boom">{levels}]><annotations>&a11;</annotations>')
    with pytest.raises(FormatError, match="not XML"):
        list(read_cvat(path, Videos(tmp_path)))


def test_a_task_named_like_another_video_is_not_about_that(tmp_path: Path) -> None:
    write_film(tmp_path / "park.mp4")
    path = tmp_path / "annotations.xml"
    path.write_text(
        "<annotations><meta><task><name>park</name><source>street.mp4</source></task></meta>"
        f"{track(box(1))}</annotations>"
    )
    with pytest.raises(FormatError, match=r"expected 'street\.mp4' below"):
        list(read_cvat(path, Videos(tmp_path)))


def test_two_videos_of_one_name_are_refused(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write_film(tmp_path / folder / "street.mp4", frames=2)
    path = tmp_path / "annotations.xml"
    path.write_text(f"<annotations><meta>{WHOLE}</meta></annotations>")
    with pytest.raises(FormatError, match="2 videos below"):
        list(read_cvat(path, Videos(tmp_path)))
