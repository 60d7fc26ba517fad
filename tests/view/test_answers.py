"""The values behind the viewer, run in the browser: clock, corrections, what answers show."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stvg.formats.prediction import read_prediction, write_prediction
from stvg.text.catalogue import find_codec
from stvg.text.drafted import Drafted
from stvg.text.view import View
from stvg.types import Interval, Prediction, Query, Tube, VideoMeta
from stvg.view.parts import STATIC

VIDEO = VideoMeta("clip.mp4", 100, 80, Fraction(10), 2.0, 20)


@pytest.fixture(scope="module")
def script(browser: Any) -> Any:
    """A page with the scripts that know no page."""
    page = browser.new_page()
    for name in ("tube.js", "reading.js"):
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


@pytest.mark.parametrize("grammar", ["o1", "o1_compact"])
@pytest.mark.parametrize("span", [(0.0, 8.0), (2.0, 6.0), (3.0, 8.0)])
def test_drafts_are_read_as_stvg_reads_them(
    script: Any, document: Callable[..., Any], grammar: str, span: tuple[float, float]
) -> None:
    video = VideoMeta("clip.mp4", 200, 100, Fraction(4), 8.0, 32)
    frames = np.arange(0, 32, 2)
    borders = np.concatenate([[0], frames[1:] / 4 - 1 / 8, [8]])  # as View.of has them
    view = View(frames / 4, borders, (200, 100), (64, 32), 2)
    inside = frames[(frames / 4 >= span[0]) & (frames / 4 < span[1])]
    boxes = np.stack([inside, inside + 5, inside + 60, inside + 45], 1).astype(float)
    tube = Tube(Interval(*span), inside / 4, boxes)
    codec = find_codec(grammar)
    assert isinstance(codec, Drafted)
    text = codec.render(tube, view, replace(tube, boxes=boxes + np.array([8, 6, 12, 9])))
    parsed = codec.parse(text, view)
    assert parsed.tube is not None
    assert parsed.draft is not None
    assert parsed.draft.tube is not None
    answer = Prediction(Query("x"), video, parsed.tube, "stvg_o1", "m", answer=text)

    moments = np.linspace(span[0] + 0.6, span[1] - 0.6, 9)
    found = script.evaluate(
        """([source, moments]) => moments.map(
          moment => draftAt(draftOf(source), moment, source))""",
        [document(answer), moments.tolist()],
    )
    # Where the interval ends with the video, frames may be placed 1/8 s (half a pixel) off; a box
    # of the sampled frame before or behind would be 2 pixels off.
    assert np.allclose(found, parsed.draft.tube.at(moments), atol=0.55)


@pytest.mark.parametrize(
    ("answer", "details", "expected"),
    [
        ("<think>ID 3 or 4</think><answer>Target ID: 4, Time range: 1 to 2</answer>", None,
         {"kind": "number", "value": 4}),
        ("target id : three , time range : <t_2> to <t_9>", None, {"kind": "number", "value": 3}),
        ("Target IDs: 1, 3, Time range: 1 to 2", None, {"kind": "number", "value": 1}),
        ("Target ID: none", None, None),  # no number
        (None, {"chosen": 7, "objects": []}, {"kind": "track", "value": 7}),  # as dsth
        (None, {"candidates": [{"track": 2}, {"track": 5}]}, {"kind": "track", "value": 2}),
        (None, {"chosen": None, "objects": []}, None),
        (None, None, None),
    ],
)  # fmt: skip
def test_numbers(script: Any, answer: str | None, details: Any, expected: Any) -> None:
    source = {"answer": answer, **({} if details is None else {"details": details})}
    assert script.evaluate("numberOf", source) == expected


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
