"""The values behind the viewer, run in the browser: clock, corrections, what answers show."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stvg.formats.prediction import read_prediction, write_prediction
from stvg.geometry.masks import encode_masks
from stvg.types import Interval, Prediction, Query, Tube, VideoMeta
from stvg.view.parts import STATIC

VIDEO = VideoMeta("clip.mp4", 100, 80, Fraction(10), 2.0, 20)


@pytest.fixture(scope="module")
def script(browser: Any) -> Any:
    """A page with the scripts that know no page."""
    page = browser.new_page()
    for name in ("tube.js", "mask.js", "reading.js"):
        page.add_script_tag(content=(STATIC / name).read_text())
    return page


@pytest.fixture
def document(tmp_path: Path) -> Callable[[Prediction], dict[str, Any]]:
    """A prediction as it stands in a file."""

    def write(prediction: Prediction) -> dict[str, Any]:
        write_prediction(prediction, tmp_path / "p.json")
        return json.loads((tmp_path / "p.json").read_text())

    return write


def moving(first: int = 5, last: int = 14, video: VideoMeta = VIDEO, **more: Any) -> Prediction:
    """A box that goes right by one pixel a frame."""
    frames = np.arange(first, last + 1)
    boxes = np.stack([frames, np.full(len(frames), 10), frames + 20, np.full(len(frames), 40)], 1)
    tube = Tube(video.span_of(first, last + 1), video.times_s[frames], boxes)
    return Prediction(Query("the dog"), video, tube, "hand", "none", score=0.5, **more)


BUILD = """const clock = new FrameClock(source.video, [source]);
  const answer = new Answer(source, clock);"""


def corrected(script: Any, source: dict[str, Any], steps: str) -> dict[str, Any]:
    """The document after some edits."""
    return script.evaluate(f"source => {{ {BUILD} {steps}; return answer.document(); }}", source)


def checked(found: dict[str, Any], folder: Path) -> Prediction:
    """What stvg reads of a document."""
    (folder / "corrected.json").write_text(json.dumps(found))
    return read_prediction(folder / "corrected.json")


def x_of(found: dict[str, Any]) -> dict[int, float]:
    return {box["frame"]: box["xyxy"][0] for box in found["boxes"]}


def test_what_is_not_changed_stays_as_it_came(script: Any, document: Callable[..., Any]) -> None:
    source = document(moving(details={"cues": {"class": 0.5}}))
    assert corrected(script, source, "") == source
    edit = "answer.set(answer.withStart(7)); answer.undo()"
    assert corrected(script, source, edit) == source


@pytest.mark.parametrize(
    ("edit", "span", "frames"),
    [
        ("answer.set(answer.withStart(7))", (0.7, 1.5), (7, 14)),
        ("answer.set(answer.withEnd(9))", (0.5, 1.0), (5, 9)),
        ("answer.set(answer.withStart(0))", (0.0, 1.5), (0, 14)),  # to the start of the video
        ("answer.set(answer.withEnd(99))", (0.5, 2.0), (5, 19)),  # no further than its end
        ("answer.set(answer.withStart(99))", (1.4, 1.5), (14, 14)),  # one frame is left
        ("answer.set(answer.withEnd(2))", (0.5, 0.6), (5, 5)),  # likewise
        ("answer.set(answer.withEnd(7)); answer.undo(); answer.redo()", (0.5, 0.8), (5, 7)),
    ],
)
def test_intervals_begin_and_end_at_frames(
    script: Any, document: Callable[..., Any], tmp_path: Path,
    edit: str, span: tuple[float, float], frames: tuple[int, int],
) -> None:  # fmt: skip
    found = corrected(script, document(moving()), edit)
    tube = checked(found, tmp_path).tube
    assert tube is not None
    assert (tube.interval.start_s, tube.interval.end_s) == pytest.approx(span)
    assert [box["frame"] for box in found["boxes"]] == list(range(frames[0], frames[1] + 1))
    assert found["warnings"] == ["corrected by hand"]


def test_frames_without_a_box_repeat_the_nearest(script: Any, document: Callable[..., Any]) -> None:
    edit = "answer.set(answer.withStart(3)); answer.set(answer.withEnd(16))"
    found = corrected(script, document(moving()), edit)
    assert [x_of(found)[frame] for frame in (3, 4, 5, 14, 15, 16)] == [5, 5, 5, 14, 14, 14]
    kinds = {box["frame"]: box["kind"] for box in found["boxes"]}
    assert [kinds[frame] for frame in (4, 5, 14, 15)] == [
        "interpolated", "predicted", "predicted", "interpolated",
    ]  # fmt: skip


def test_boxes_are_linear_between_keyframes_only(
    script: Any, document: Callable[..., Any], tmp_path: Path
) -> None:
    edit = """answer.set(answer.withBox(7, [40, 10, 60, 40]));
      answer.set(answer.withBox(11, [60, 30, 80, 60]))"""
    found = corrected(script, document(moving()), edit)
    assert x_of(found) == pytest.approx(
        {5: 5, 6: 6, 7: 40, 8: 45, 9: 50, 10: 55, 11: 60, 12: 12, 13: 13, 14: 14}
    )
    assert found["boxes"][4]["xyxy"] == pytest.approx([50, 20, 70, 50])
    assert [box["kind"] for box in found["boxes"]] == (
        ["predicted"] * 3 + ["interpolated"] * 3 + ["predicted"] * 4
    )
    assert found["details"]["corrected"] == {"keyframes": [7, 11]}
    assert checked(found, tmp_path).tube is not None


def test_a_saved_correction_goes_on_where_it_was(script: Any, document: Callable[..., Any]) -> None:
    first = corrected(script, document(moving()), """
      answer.set(answer.withBox(7, [40, 10, 60, 40]));
      answer.set(answer.withBox(11, [60, 10, 80, 40]))""")  # fmt: skip
    then = corrected(script, first, "answer.set(answer.withBox(9, [20, 10, 40, 40]))")
    assert then["details"]["corrected"] == {"keyframes": [7, 9, 11]}
    assert [x_of(then)[frame] for frame in range(7, 12)] == pytest.approx([40, 30, 20, 40, 60])
    assert then["warnings"] == ["corrected by hand"]


def test_without_a_keyframe_the_box_is_the_methods(
    script: Any, document: Callable[..., Any]
) -> None:
    edit = """answer.set(answer.withBox(7, [40, 10, 60, 40]));
      answer.set(answer.withStart(6)); answer.set(answer.withoutKey(7))"""
    assert x_of(corrected(script, document(moving()), edit))[7] == 7


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ([-5, -5, 30, 30], [0, 0, 30, 30]),  # cut to the picture
        ([90, 70, 200, 200], [90, 70, 100, 80]),
        ([30, 40, 10, 20], [10, 20, 30, 40]),  # pulled over itself
        ([10, 10, 11, 40], [7, 10, 27, 40]),  # too thin: as before
    ],
)
def test_boxes_stay_in_the_picture_and_have_a_size(
    script: Any, document: Callable[..., Any], given: list[int], kept: list[int]
) -> None:
    found = corrected(script, document(moving()), f"answer.set(answer.withBox(7, {given}))")
    assert found["boxes"][2]["xyxy"] == kept


def test_masks_of_moved_boxes_are_dropped(script: Any, document: Callable[..., Any]) -> None:
    source = document(moving())
    for box in source["boxes"]:
        box["mask"] = {"size": [80, 100], "counts": "0"}
    found = corrected(script, source, "answer.set(answer.withBox(7, [40, 10, 60, 40]))")
    assert [box["frame"] for box in found["boxes"] if "mask" not in box] == [7]


def test_what_was_not_found_can_be_marked(
    script: Any, document: Callable[..., Any], tmp_path: Path
) -> None:
    nothing = Prediction(Query("x"), VIDEO, None, "hand", "none", warnings=("saw nothing",))
    source = document(nothing)
    found = corrected(script, source, "answer.set(answer.begun(12))")
    tube = checked(found, tmp_path).tube
    assert tube is not None
    assert (tube.interval.start_s, tube.interval.end_s) == pytest.approx((1.2, 2.0))
    assert tube.boxes[0] == pytest.approx([100 / 3, 80 / 3, 200 / 3, 160 / 3])
    assert found["warnings"] == ["saw nothing", "corrected by hand"]
    edit = "answer.set(answer.begun(12)); answer.set(answer.withoutKey(12))"
    assert x_of(corrected(script, source, edit))[12] == pytest.approx(100 / 3)  # the only box stays


def test_corrections_at_uneven_times_are_in_order(
    script: Any, document: Callable[..., Any], tmp_path: Path
) -> None:
    """Times outside the interval are not known from the document; they only have to be in order."""
    times = np.cumsum([0, *[0.05, 0.2, 0.1] * 6, 0.05])
    video = replace(VIDEO, frame_times_s=times, duration_s=float(times[-1] + 0.1), frames=20)
    source = document(moving(video=video))
    edit = "answer.set(answer.withStart(0)); answer.set(answer.withEnd(19))"
    tube = checked(corrected(script, source, edit), tmp_path).tube
    assert tube is not None
    assert tube.times_s[5:15] == pytest.approx(times[5:15])
    assert tube.interval == Interval(0.0, video.duration_s)


def test_the_clock_says_what_the_video_says(script: Any, document: Callable[..., Any]) -> None:
    times = np.cumsum([0, *[0.05, 0.2, 0.1] * 6, 0.05])
    video = replace(VIDEO, frame_times_s=times, duration_s=float(times[-1] + 0.1))
    moments = np.linspace(0, video.duration_s, 101)
    found = script.evaluate(
        """([source, times, moments]) => {
          const clock = new FrameClock(source.video, [], times);
          return moments.map(moment => clock.at(moment)); }""",
        [document(moving()), times.tolist(), moments.tolist()],
    )
    assert found == video.frame_at(moments).tolist()


def test_drafts_are_linear_in_the_interval_of_the_answer(
    script: Any, document: Callable[..., Any]
) -> None:
    steps = [{"t_s": 1.0, "box": [30, 0, 50, 10]}, {"t_s": 0.6, "box": [10, 0, 30, 10]}]
    source = document(moving(details={"draft": steps}))  # from 0.5 s to 1.5 s
    found = script.evaluate(
        "([source, times]) => times.map(time => draftAt(draftOf(source), time, source))",
        [source, [0.4, 0.5, 0.6, 0.7, 1.0, 1.4, 1.5]],
    )
    lefts = [None if box is None else box[0] for box in found]
    assert lefts == [None, 10, 10, pytest.approx(15), 30, 30, None]


@pytest.mark.parametrize(
    "draft",
    [None, "text", 3, {}, [None, 1, "x", [], {"t_s": "1", "box": [1, 2, 3, 4]}, {"t_s": 1},
     {"t_s": 1, "box": [1, 2, 3]}, {"t_s": 1, "box": [1, 2, 3, "4"]}, {"t_s": 1, "box": "1234"}]],
)  # fmt: skip
def test_what_is_no_draft_is_passed_over(script: Any, draft: Any) -> None:
    assert script.evaluate("draftOf", {"details": {"draft": draft}}) == {"times": [], "boxes": []}


@pytest.mark.parametrize(
    ("details", "numbers", "track", "label"),
    [
        ({"numbers": [4], "tracks": []}, [4], None, "#4"),
        ({"numbers": [4, 9]}, [4, 9], None, "#4, #9"),
        ({"numbers": list(range(60))}, list(range(60)), None,
         "#0, #1, #2, #3, #4, #5 and 54 more"),
        ({"numbers": ["4", None, 2.5, 7]}, [7], None, "#7"),
        ({"numbers": "4"}, [], None, ""),
        ({"chosen": 7, "objects": []}, [], 7, ""),  # as dsth
        ({"candidates": [{"track": 2}, {"track": 5}]}, [], 2, ""),  # as track_match
        ({"chosen": None, "objects": []}, [], None, ""),
        (None, [], None, ""),
    ],
)  # fmt: skip
def test_numbers(script: Any, details: Any, numbers: Any, track: Any, label: str) -> None:
    source = {} if details is None else {"details": details}
    assert script.evaluate("numbersOf", source) == numbers
    assert script.evaluate("trackOf", source) == track
    assert script.evaluate("listed", numbers) == label


def attention(**changed: Any) -> dict[str, Any]:
    """Three maps of one row and two columns."""
    values = base64.b64encode(bytes([0, 1, 100, 101, 200, 201])).decode()
    return {
        "attention": {
            "rows": 1, "columns": 2, "times_s": [0.0, 1.0, 3.0], "values": values, **changed
        }
    }  # fmt: skip


@pytest.mark.parametrize(
    ("time_s", "expected"),
    [(0.0, [0, 1]), (0.4, [0, 1]), (0.6, [100, 101]), (1.9, [100, 101]), (2.1, [200, 201]),
     (9.0, [200, 201]), (-1.0, [0, 1])],
)  # fmt: skip
def test_the_map_of_the_nearest_time_is_shown(
    script: Any, time_s: float, expected: list[int]
) -> None:
    call = "([source, time]) => [...mapAt(attentionOf(source), time)]"
    assert script.evaluate(call, [{"details": attention()}, time_s]) == expected


@pytest.mark.parametrize(
    "changed",
    [{"rows": 2}, {"rows": 0}, {"rows": 1.5, "columns": 4 / 3}, {"rows": "1"}, {"columns": None},
     {"times_s": []}, {"times_s": 3}, {"times_s": [0, "1", 3]}, {"values": 7},
     {"values": "no base64!"}, {"rows": 2**40, "columns": 2**40}],
)  # fmt: skip
def test_what_is_no_attention_is_passed_over(script: Any, changed: Any) -> None:
    assert script.evaluate("attentionOf", {"details": attention(**changed)}) is None
    assert script.evaluate("attentionOf", {"details": {"attention": changed}}) is None


def test_a_long_signal_keeps_its_peaks(script: Any) -> None:
    signal = [0.0] * 100_000
    signal[777], signal[99_999] = 0.5, 1.0
    found = script.evaluate("signalOf", {"details": {"signal": signal}})
    assert len(found) == 1024
    assert {at: value for at, value in enumerate(found) if value} == {7: 0.5, 1023: 1.0}


DRAWN = """([mask, video]) => {
  const picture = Array.from({ length: video.height }, () => Array(video.width).fill(0));
  for (const [x, y, width, height] of rectanglesOf(mask, video)) {
    for (let row = y; row < y + height; row++) {
      for (let column = x; column < x + width; column++) picture[row][column] += 1;
    }
  }
  return picture;
}"""


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.98, 1.0])
def test_masks_are_those_of_pycocotools(script: Any, share: float) -> None:
    mask = np.random.default_rng(3).random((37, 53)) < share
    mask[:, 20:30] |= share > 0  # whole columns, and runs longer than a group of bits
    video = {"width": 53, "height": 37}
    (written,) = encode_masks(mask[None])
    found = script.evaluate(DRAWN, [written, video])
    assert np.array_equal(found, mask.astype(int))


@pytest.mark.parametrize(
    "mask",
    [None, {"size": [2, 5], "counts": "08"}, {"size": [2, 4], "counts": "07"},
     {"size": [2, 4], "counts": ""}, {"size": [2, 4], "counts": "0h"},
     {"size": [2, 4], "counts": "oooooooooooooo"}, {"size": [2, 4], "counts": "\U0001f600"}],
)  # fmt: skip
def test_masks_that_do_not_fit_are_passed_over(script: Any, mask: Any) -> None:
    assert script.evaluate(
        "([mask, video]) => rectanglesOf(mask, video)", [mask, {"width": 4, "height": 2}]
    ) == []  # fmt: skip


def test_a_tube_of_fifty_thousand_boxes_is_extended(
    script: Any, document: Callable[..., Any]
) -> None:
    """Looking at every box for every frame would be 2.5 thousand million steps."""
    video = replace(VIDEO, duration_s=10_000.0, frames=100_000, width=100_000)
    source = document(moving(0, 1, video))  # the others are made where they are used
    count, last, expected = script.evaluate(
        f"""source => {{
            const [first] = source.boxes;
            source.boxes = Array.from({{length: 50_000}}, (_, n) => ({{
                ...first, frame: n, time_s: n / 10, xyxy: [n, 0, n + 10, 20] }}));
            source.end_s = 5000;
            {BUILD} answer.set(answer.withEnd(99_999));
            const boxes = answer.document().boxes;
            return [boxes.length, boxes.at(-1).xyxy, source.boxes.at(-1).xyxy];
        }}""",
        source,
    )
    assert count == 100_000
    assert last == expected == [49_999, 0, 50_009, 20]


@pytest.mark.parametrize(
    ("answer", "thinking", "rest"),
    [
        (None, "", ""),
        ("plain", "", "plain"),
        ("<think> a </think>b", "a", "b"),
        ("<think>cut off", "cut off", ""),
        ("<time>1 - 2</time><think_bbox>1.[1, 2, 3, 4]</think_bbox><pred_bbox/>",
         "1.[1, 2, 3, 4]", "<time>1 - 2</time><pred_bbox/>"),
    ],
)  # fmt: skip
def test_thinking(script: Any, answer: str | None, thinking: str, rest: str) -> None:
    found = script.evaluate("thinkingOf", {"answer": answer})
    assert found == {"thinking": thinking, "rest": rest}
