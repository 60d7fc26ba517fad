"""Corrected regions of Label Studio: lifespans, timeline, frame rates, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from stvg.errors import FormatError, UsageError
from stvg.export.corrections import CorrectedTube, Videos
from stvg.export.from_labelstudio import read_labelstudio
from tests.export.scenes import write_film

Read = Callable[..., list[CorrectedTube]]


def key(frame: int, left: float = 0.0, *, enabled: bool = True, rate: float = 10) -> dict[str, Any]:
    """A keyframe 20 % wide, ``left`` in percent."""
    return {"frame": frame, "enabled": enabled, "x": left, "y": 10, "width": 20, "height": 50,
            "rotation": 0, "time": frame / rate}  # fmt: skip


def rectangle(*keys: dict[str, Any], label: str = "the ball", **value: Any) -> dict[str, Any]:
    return {"id": "r1", "type": "videorectangle", "from_name": "where", "to_name": "video",
            "value": {"sequence": list(keys), "labels": [label], "framesCount": 20,
                      "duration": 2.0, **value}}  # fmt: skip


def when(start: int, end: int, label: str = "the ball") -> dict[str, Any]:
    return {"id": "t1", "type": "timelinelabels", "from_name": "when", "to_name": "video",
            "value": {"ranges": [{"start": start, "end": end}],
                      "timelinelabels": [label]}}  # fmt: skip


def task(*regions: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": 3, "data": {"video": "/data/upload/1/0a1b2c3d-street.mp4"},
            "annotations": [{"result": list(regions), **more}]}  # fmt: skip


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads tasks; the video has 20 frames of 200 x 100 pixels, 10 a second."""
    write_film(tmp_path / "street.mp4")

    def run(*tasks: Any) -> list[CorrectedTube]:
        path = tmp_path / "export.json"
        path.write_text(json.dumps(tasks))
        return list(read_labelstudio(path, Videos(tmp_path)))

    return run


def test_a_region(read: Read) -> None:
    """Frames count from 1; the keyframe that is not enabled is the last frame shown."""
    (tube,) = read(task(rectangle(key(5, 0), key(7, 10), key(9, 10, enabled=False))))
    assert tube.query == "the ball"
    assert tube.media == "street.mp4"  # the eight characters of the upload are left out
    assert (tube.span, tube.segment) == ((4, 9), (0, 20))
    assert tube.frames.tolist() == [4, 5, 6, 7, 8]
    assert tube.boxes[:, 0].tolist() == [0, 10, 20, 20, 20]  # 10 % of 200 pixels
    assert tube.boxes[0].tolist() == [0, 10, 40, 60]


def test_lifespans(read: Read) -> None:
    """Shown on 3, hidden from 4 on, shown again from 8 on to the end of the video."""
    (tube,) = read(task(rectangle(key(3, enabled=False), key(8))))
    assert tube.frames.tolist() == [2, *range(7, 20)]
    assert tube.span == (2, 20)


def test_the_timeline_says_when(read: Read) -> None:
    shown = rectangle(key(1))
    (tube,) = read(task(shown, when(4, 6)))
    assert tube.span == (3, 6)
    assert tube.frames.tolist() == [3, 4, 5]
    (tube,) = read(task(shown, when(4, 5), when(9, 9), when(1, 20, label="another")))
    assert tube.span == (3, 9)
    assert tube.frames.tolist() == [3, 4, 8]


def test_a_range_longer_than_its_rectangle_has_frames_without_a_box(read: Read) -> None:
    (tube,) = read(task(rectangle(key(5), key(6, enabled=False)), when(3, 9)))
    assert tube.span == (2, 9)
    assert tube.frames.tolist() == [4, 5]


def test_frames_counted_at_another_rate(read: Read) -> None:
    """At 24 a second frame 7 starts at 0.25 s, frame 13 lasts from 0.5 to 0.542 s.

    Halfway between two borders the earlier one is taken, 0.2 s; a frame is at least one frame.
    """
    keys = key(7, rate=24), key(13, enabled=False, rate=24)
    (tube,) = read(task(rectangle(*keys, framesCount=48)))
    assert tube.span == (2, 6)
    (tube,) = read(task(rectangle(*keys, framesCount=48), when(7, 12)))  # frame 12 ends at 0.5 s
    assert tube.span == (2, 5)


def test_rate_from_the_number_of_frames(read: Read) -> None:
    """Keyframes without times: 40 frames in 2 s, frame 11 starts at 0.5 s, frame 20 ends at 1 s."""
    keys = [key(11), key(20, enabled=False)]
    for each in keys:
        del each["time"]
    (tube,) = read(task(rectangle(*keys, framesCount=40)))
    assert tube.span == (5, 10)


def test_a_rate_that_drifts_away_is_not_the_videos_own(tmp_path: Path) -> None:
    """At 10.1 a second frame 51 starts at 50 / 10.1 = 4.95 s: nearest is 5 s, as frame 51 - 1 has.

    Frame 171 starts at 170 / 10.1 = 16.83 s: nearest is 16.8 s, frame 168.
    """
    write_film(tmp_path / "street.mp4", frames=180)
    path = tmp_path / "export.json"
    keys = key(51, rate=10.1), key(170, enabled=False, rate=10.1)
    path.write_text(json.dumps([task(rectangle(*keys))]))
    (tube,) = read_labelstudio(path, Videos(tmp_path))
    assert tube.span == (50, 168)


def test_which_annotation_counts(read: Read) -> None:
    early, late = rectangle(key(1, enabled=False)), rectangle(key(9, enabled=False))
    both = task(early)
    both["annotations"].append({"result": [late]})
    assert read(both)[0].span == (8, 9)  # the last
    both["annotations"][1]["was_cancelled"] = True
    assert read(both)[0].span == (0, 1)
    both["annotations"][1] = {"result": [late]}
    both["annotations"][0]["ground_truth"] = True
    assert read(both)[0].span == (0, 1)
    assert read({**both, "annotations": []}) == []


def test_other_regions_are_passed_over(read: Read) -> None:
    relation = {"type": "relation", "from_id": "a", "to_id": "b", "direction": "right"}
    choice = {"id": "c", "type": "choices", "value": {"choices": ["good"]}}
    assert len(read(task(relation, rectangle(key(1)), choice))) == 1


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("/data/local-files/?d=clips/street.mp4", True),
        ("https://example.org/a%20b/street.mp4?token=1", True),
        ("s3://bucket/street.mp4", True),
        ("http://[half an address/street.mp4", True),
        ("https://example.org/park.mp4", False),
    ],
)
def test_addresses(address: str, found: bool, read: Read) -> None:
    given = task(rectangle(key(1)))
    given["data"]["video"] = address
    if found:
        assert read(given)[0].media == "street.mp4"
    else:
        with pytest.raises(FormatError, match=r"task 3: expected 'park\.mp4' below"):
            read(given)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            rectangle(key(1) | {"rotation": 5.0}),
            "region r1, frame 1: expected an upright rectangle",
        ),
        (rectangle(key(1), labels=[]), "expected one label, the sentence, found"),
        (rectangle(key(1), labels=["a", "b"]), "expected one label"),
        (rectangle(key(1), labels=[" "]), "expected one label"),
        (rectangle(), r"region r1, value\.sequence"),
        (rectangle({"frame": 1}), r"value\.sequence\.0\.enabled: Field required"),
        (rectangle(key(1) | {"frame": 10**400}), r"value\.sequence\.0\.frame"),
        (rectangle(key(1) | {"time": -1.0}), r"value\.sequence\.0\.time"),
    ],
)
def test_refused(changed: dict[str, Any], message: str, read: Read) -> None:
    with pytest.raises(FormatError, match=message):
        read(task(changed))


@pytest.mark.parametrize(
    "text", ["", "{}", '{"a": 1}', '[{"id": 1, "video": "JSON-MIN"}]', "[1]", "[" * 100_000]
)
def test_other_files_are_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text(text)
    with pytest.raises(FormatError, match=r"file\.json.*expected"):
        list(read_labelstudio(path, Videos(tmp_path)))
    with pytest.raises(UsageError, match="there is no such file"):
        list(read_labelstudio(tmp_path / "absent.json", Videos(tmp_path)))


def test_a_file_name_with_the_marks_of_an_address(tmp_path: Path) -> None:
    write_film(tmp_path / "what? 100%25 #1.mp4")
    path = tmp_path / "export.json"
    given = task(rectangle(key(1)))
    given["data"]["video"] = "clips/what? 100%25 #1.mp4"  # as stvg export writes it
    path.write_text(json.dumps([given]))
    (tube,) = read_labelstudio(path, Videos(tmp_path))
    assert tube.media == "what? 100%25 #1.mp4"


def test_the_one_video_does_not_take_the_tubes_of_others(tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.mp4")
    path = tmp_path / "export.json"
    first, other = task(rectangle(key(1))), task(rectangle(key(1)))
    again = {**first, "data": {"video": "/data/upload/1/ffffffff-street.mp4"}}
    path.write_text(json.dumps([first, again]))
    assert [tube.media for tube in read_labelstudio(path, Videos(film))] == ["film.mp4"] * 2
    other["data"] = {"video": "park.mp4"}
    path.write_text(json.dumps([first, other]))
    with pytest.raises(FormatError, match=r"one video, .*film\.mp4, found .*'park\.mp4'"):
        list(read_labelstudio(path, Videos(film)))


def test_a_fractional_rate_is_the_videos_own(tmp_path: Path) -> None:
    """At 30000/1001 a second frame 20 is frame 19 of the file, although 20 / 29.97 is rounded."""
    write_film(tmp_path / "street.mp4", fps=Fraction(30000, 1001))
    path = tmp_path / "export.json"
    keys = key(19, rate=29.97), key(20, enabled=False, rate=29.97)
    path.write_text(json.dumps([task(rectangle(*keys))]))
    (tube,) = read_labelstudio(path, Videos(tmp_path))
    assert tube.span == (18, 20)
