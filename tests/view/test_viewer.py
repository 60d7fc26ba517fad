"""The one HTML file in a browser: boxes in step, corrections, keys, names of controls."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stvg.formats.prediction import read_prediction, read_predictions, write_prediction
from stvg.types import Prediction, Query, Tube
from stvg.video import probe
from stvg.video.draw import PALETTE
from stvg.view.page import write_view
from tests.barcode import read_number, write_barcode_video
from tests.view.conftest import (
    decoded,
    drag,
    drag_end,
    page_of,
    painted_box,
    picture_of,
    show,
    until,
    wait_for_frame,
    wait_for_picture,
)

World = tuple[Path, list[Prediction]]
Open = Callable[..., Any]


@pytest.fixture
def page(world: World, open_page: Open, tmp_path: Path) -> Any:
    """The true answers to two sentences, the first frame on screen."""
    clip, answers = world
    shown = open_page(page_of(tmp_path, answers, video=clip))
    wait_for_picture(shown)
    return shown


def handle(page: Any, side: str, number: int = 0) -> Any:
    return page.get_by_role("slider", name=f"{side} of").nth(number)


def saved(page: Any, folder: Path) -> Prediction:
    """What the page saves, as stvg reads it."""
    with page.expect_download() as download:
        page.get_by_role("button", name="Save").click()
    path = folder / "saved.json"
    download.value.save_as(path)
    return read_prediction(path)


def test_boxes_lie_where_they_should(page: Any, world: World) -> None:
    answer, tube = world[1][0], world[1][0].tube
    assert tube is not None
    for row in (0, 3, -1):
        show(page, int(answer.video.frame_at(tube.times_s[row])[0]))
        picture = picture_of(page)
        scale = picture.shape[1] / answer.video.width
        expected = (tube.boxes[row] * scale).tolist()
        assert painted_box(picture, PALETTE[0]) == pytest.approx(expected, abs=1)


def test_a_linked_video_plays(world: World, open_page: Open, tmp_path: Path) -> None:
    clip, answers = world
    page = open_page(page_of(tmp_path, answers, video=clip, link=True))
    until(page, "viewer.player.hasPicture")
    page.keyboard.press("Space")
    until(page, "viewer.video.ended && viewer.player.frame === 15")


REPAINTED = """() => new Promise(
  done => requestAnimationFrame(() => requestAnimationFrame(done)))"""
LATE = """{
  const prototype = HTMLVideoElement.prototype, ask = prototype.requestVideoFrameCallback;
  prototype.requestVideoFrameCallback = function (callback) {
    return ask.call(this, (...told) => {
      const end = performance.now() + %d;
      while (performance.now() < end) {}
      callback(...told);
    });
  };
}"""
EVEN = np.full(9, 0.1)
GAPS = np.array([0.1, 0.25, 0.04, 0.1, 0.3, 0.04, 0.04, 0.2, 0.1])


@pytest.mark.parametrize(
    ("gaps", "start_s", "bframes", "has_callback"),
    [
        (EVEN, 0.0, 2, True),  # frames stored in another order, as most files have them
        (EVEN, 0.0, 2, False),  # a browser that does not say which frame it shows
        (GAPS, 0.0, 0, True),  # uneven times
        (GAPS, 0.0, 0, False),
        (GAPS, 0.5, 0, True),  # a container that starts later than 0
        (GAPS, 0.0, 2, True),  # shown as a preview
    ],
)
def test_picture_and_frame_number_agree(
    open_page: Open, tmp_path: Path,
    gaps: np.ndarray, start_s: float, bframes: int, has_callback: bool,
) -> None:  # fmt: skip
    video = tmp_path / "bars.mp4"
    times = start_s + np.cumsum([0, *gaps])
    write_barcode_video(
        video, times_s=times.tolist(), size=(192, 128), options={"bf": f"{bframes}"}
    )
    meta = probe(video)
    tube = Tube(meta.span_of(2, 7), meta.times_s[2:7], [[10, 80, 60, 120]] * 5)
    answer = Prediction(Query("bars"), meta, tube, "hand", "none")
    address = page_of(tmp_path, [answer], video=video)
    page = open_page("about:blank")
    if not has_callback:
        page.add_init_script("delete HTMLVideoElement.prototype.requestVideoFrameCallback")
        page.add_init_script("delete window.VideoFrame")
    page.goto(address)
    wait_for_picture(page)
    assert read_number(picture_of(page)) == 0
    for number in (3, 6, 1, 9):
        show(page, number)
        page.evaluate(REPAINTED)
        picture = picture_of(page)
        assert read_number(picture) == number
        is_painted = (np.abs(picture.astype(int) - PALETTE[0]).max(axis=2) < 6).any()
        assert is_painted == (2 <= number < 7)
    for number in (8, 7, 6):
        page.keyboard.press("ArrowLeft")
        wait_for_frame(page, number)
        page.evaluate(REPAINTED)
        assert read_number(picture_of(page)) == number


@pytest.mark.parametrize("late_ms", [0, 250])
def test_while_it_plays_boxes_are_those_of_the_picture(
    open_page: Open, tmp_path: Path, late_ms: int
) -> None:
    """Each repaint is recorded: the number that the picture carries, and where the box is.

    On a busy machine the page hears late that there is another frame, when it is over.
    """
    video = tmp_path / "bars.mp4"
    write_barcode_video(video, frames=20, fps=10, size=(192, 128))
    meta = probe(video)
    left = 8 * np.arange(20)
    boxes = np.stack([left, np.full(20, 80), left + 30, np.full(20, 120)], 1)
    tube = Tube(meta.span_of(0, 20), meta.times_s, boxes)
    address = page_of(
        tmp_path, [Prediction(Query("bars"), meta, tube, "hand", "none")], video=video
    )
    page = open_page("about:blank")
    page.add_init_script(LATE % late_ms)
    page.goto(address)
    wait_for_picture(page)
    page.evaluate("""() => {
      window.seen = [];
      viewer.player.addEventListener("frame", () => {
        if (viewer.video.paused) return;
        window.seen.push(document.querySelector("canvas").toDataURL());
      });
      viewer.player.seek(0);
    }""")
    page.keyboard.press("Space")
    until(page, "viewer.video.ended")
    pictures = page.evaluate("window.seen")
    numbers = []
    for data in pictures:
        picture = decoded(data)
        number = read_number(picture)
        scale = picture.shape[1] / meta.width
        assert painted_box(picture, PALETTE[0]) == pytest.approx(
            (boxes[number] * scale).tolist(), abs=1
        )
        numbers.append(number)
    assert len(set(numbers)) >= 3
    assert numbers == sorted(numbers)


def test_dragging_an_end_of_the_interval(page: Any, world: World, tmp_path: Path) -> None:
    before = world[1][0].tube
    assert before is not None
    drag_end(page, "end", 1.31)
    after = saved(page, tmp_path)
    assert after.tube is not None
    assert after.tube.interval.start_s == before.interval.start_s
    assert after.tube.interval.end_s == pytest.approx(1.25)  # the nearest border of frames
    assert np.allclose(after.tube.boxes, before.boxes[: len(after.tube)])
    assert after.warnings == ("corrected by hand",)
    assert handle(page, "end").get_attribute("aria-valuetext") == "1.25 s, frame 9"


def test_dragging_a_box_sets_a_keyframe(page: Any, world: World, tmp_path: Path) -> None:
    video, tube = world[1][0].video, world[1][0].tube
    assert tube is not None
    frame = int(video.frame_at(tube.times_s[2])[0])
    show(page, frame)
    scale = page.locator("canvas").bounding_box()["width"] / video.width
    drag(page, page.locator(".box"), -30 * scale, -10 * scale)
    drag(page, page.locator(".handle").nth(4), 6 * scale, 4 * scale)  # right bottom
    expected = tube.boxes[2] + [-30, -10, -24, -6]
    painted = painted_box(picture_of(page), PALETTE[0])
    assert painted == pytest.approx((expected * scale).tolist(), abs=1.5)
    after = saved(page, tmp_path)
    assert after.tube is not None
    assert after.tube.boxes[2] == pytest.approx(expected, abs=0.5)
    others = [row for row in range(len(tube)) if row != 2]
    assert np.array_equal(after.tube.boxes[others], tube.boxes[others])
    assert after.details == {"corrected": {"keyframes": [frame]}}


def test_a_saved_correction_opens_again(
    page: Any, world: World, open_page: Open, tmp_path: Path
) -> None:
    page.keyboard.press("Home")
    until(page, "viewer.player.frame === viewer.chosen.answer.state.first")
    page.keyboard.press("b")
    page.keyboard.press("Shift+ArrowLeft")
    after = saved(page, tmp_path)
    write_prediction(after, tmp_path / "again.json")
    write_view([tmp_path / "again.json"], tmp_path / "again.html", video=world[0])
    again = open_page((tmp_path / "again.html").as_uri())
    wait_for_picture(again)
    assert again.get_by_text("corrected by hand").count() == 1
    assert again.locator(".keys i").count() == 1
    assert again.get_by_role("button", name="Save").is_disabled()


def test_everything_can_be_done_with_keys(page: Any, world: World, tmp_path: Path) -> None:
    tube = world[1][1].tube
    assert tube is not None
    first = int(world[1][1].video.frame_at(tube.times_s[0])[0])
    press = page.keyboard.press
    press("2")
    press("Home")
    wait_for_frame(page, first)
    press("ArrowRight")
    wait_for_frame(page, first + 1)
    press("[")  # starts a frame later
    press("b")
    press("ArrowDown")
    press("Alt+ArrowRight")
    press("Control+z")
    press("Control+Shift+z")
    handle(page, "end", 1).focus()
    press("ArrowLeft")  # ends a frame earlier
    with page.expect_download() as download:
        press("Control+s")
    path = tmp_path / "keys.json"
    download.value.save_as(path)
    after = read_prediction(path)
    assert after.query == world[1][1].query
    assert after.tube is not None
    assert after.tube.times_s.tolist() == pytest.approx(tube.times_s[1:-1].tolist())
    assert after.tube.boxes[0] == pytest.approx(tube.boxes[1] + [0, 1, 1, 1])
    press("?")
    assert page.get_by_role("dialog").is_visible()
    press("Escape")
    assert not page.get_by_role("dialog").is_visible()


def test_brackets_are_typed_with_alt_gr_on_some_keyboards(page: Any, world: World) -> None:
    tube = world[1][0].tube
    assert tube is not None
    show(page, int(world[1][0].video.frame_at(tube.times_s[2])[0]))
    page.evaluate("""document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "[",
      ctrlKey: true, altKey: true, modifierAltGraph: true, bubbles: true }))""")
    start = float(handle(page, "start").get_attribute("aria-valuenow"))
    assert start == pytest.approx(tube.times_s[2])


def touch_drag(page: Any, at: Any, right: float, down: float) -> None:
    """Put a finger on the middle of something, pull it by so many pixels and lift it."""
    at.scroll_into_view_if_needed()
    box = at.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    session = page.context.new_cdp_session(page)
    for kind, share in (("touchStart", 0), ("touchMove", 0.5), ("touchMove", 1), ("touchEnd", 1)):
        point = {"x": x + share * right, "y": y + share * down}
        points = [] if kind == "touchEnd" else [point]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def test_a_finger_corrects_interval_and_box(world: World, open_page: Open, tmp_path: Path) -> None:
    clip, answers = world
    tube = answers[0].tube
    assert tube is not None
    page = open_page(
        page_of(tmp_path, answers, video=clip), 390, 844, has_touch=True, is_mobile=True
    )
    wait_for_picture(page)
    track = page.locator(".track").first.bounding_box()
    touch_drag(page, handle(page, "end"), -0.25 / 2 * (track["width"] - 2), 0)  # of two seconds
    frame = int(answers[0].video.frame_at(tube.times_s[2])[0])
    show(page, frame)
    scale = page.locator("canvas").bounding_box()["width"] / answers[0].video.width
    touch_drag(page, page.locator(".box"), -20 * scale, 10 * scale)
    after = saved(page, tmp_path)
    assert after.tube is not None
    assert after.tube.interval.end_s == pytest.approx(tube.interval.end_s - 0.25)
    assert after.tube.boxes[2] == pytest.approx(tube.boxes[2] + [-20, 10, -20, 10], abs=0.7)
    assert page.evaluate("scrollX") == 0


def test_export_holds_all_answers_as_they_stand(page: Any, world: World, tmp_path: Path) -> None:
    handle(page, "start").focus()
    page.keyboard.press("ArrowRight")
    with page.expect_download() as download:
        page.get_by_role("button", name="export all").click()
    assert download.value.suggested_filename == "clip.truth_world.json"
    path = tmp_path / "all.json"
    download.value.save_as(path)
    first, second = read_predictions(path)
    assert first.tube is not None
    assert world[1][0].tube is not None
    assert np.array_equal(first.tube.boxes, world[1][0].tube.boxes[1:])
    assert second.details is None


def test_two_methods_side_by_side(world: World, open_page: Open, tmp_path: Path) -> None:
    clip, answers = world
    tube = answers[0].tube
    assert tube is not None
    moved = replace(answers[0], method="other", tube=replace(tube, boxes=tube.boxes - 20))
    page = open_page(page_of(tmp_path, answers, [moved], video=clip))
    wait_for_picture(page)
    frame = int(answers[0].video.frame_at(tube.times_s[1])[0])
    show(page, frame)
    for number, boxes in enumerate([tube.boxes[1], tube.boxes[1] - 20]):
        picture = picture_of(page, number)
        scale = picture.shape[1] / answers[0].video.width
        assert painted_box(picture, PALETTE[0]) == pytest.approx((boxes * scale).tolist(), abs=1)
    rows = page.get_by_role("button", name="choose the answer")
    assert [row.inner_text() for row in rows.all()] == [
        "truth, world", "other, world", "truth, world",
    ]  # fmt: skip
    page.keyboard.press("1")  # the other method's answer to the same sentence
    assert rows.nth(1).get_attribute("aria-pressed") == "true"


def test_what_methods_have_to_show(world: World, open_page: Open, tmp_path: Path) -> None:
    clip, answers = world
    told = replace(
        answers[0], method="stvg_r1",
        answer="<think>It is <b>bold</b>.</think><answer>Target ID: 4, Time range: 1 to 2</answer>",
        details={"signal": [0, 0.5, 1, 0.25], "numbers": [4, 9],
                 "objects": [{"track": 3, "label": "bug", "score": 0.25}], "chosen": 3},
    )  # fmt: skip
    nothing = replace(answers[1], tube=None, score=None, warnings=("saw <i>nothing</i>",))
    page = open_page(page_of(tmp_path, [told, nothing], video=clip))
    wait_for_picture(page)
    assert page.locator(".facts").first.inner_text().endswith("#4, #9")
    cells = page.locator(".heat i").evaluate_all("all => all.map(each => each.style.opacity)")
    assert [float(each) for each in cells] == [0, 0.5, 1, 0.25]
    page.get_by_text("Thinking").click()
    assert page.locator("details[open] pre").inner_text() == "It is <b>bold</b>."
    page.get_by_text("Objects weighed").click()
    page.get_by_role("cell", name="bug 3 (chosen)").wait_for()
    page.keyboard.press("2")
    assert page.get_by_text("saw <i>nothing</i>").is_visible()
    assert page.locator(".facts").nth(1).inner_text() == "not found"
    page.get_by_role("button", name="Mark by hand").click()
    after = saved(page, tmp_path)
    assert after.tube is not None
    assert after.tube.interval.duration_s == pytest.approx(1.125)  # with the frame at 1 s


def test_details_of_any_form_are_shown(world: World, open_page: Open, tmp_path: Path) -> None:
    clip, answers = world
    odd = {
        "corrected": {"keyframes": "7"}, "objects": [None, 3, {"track": {}}], "candidates": "x",
        "cues": [None], "signal": [None, "x", -1], "chosen": [], "draft": [{"t_s": 1, "box": "x"}],
        "numbers": {"4": 4}, "attention": [1], "tracks": "</script><script>alert(1)</script>",
    }  # fmt: skip
    page = open_page(page_of(tmp_path, [replace(answers[0], details=odd)], video=clip))
    wait_for_picture(page)
    page.get_by_text("All details").click()
    assert json.loads(page.locator("details[open] pre").inner_text()) == odd


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_fits_and_follows_the_theme(
    world: World, open_page: Open, tmp_path: Path, width: int, scheme: str
) -> None:
    clip, answers = world
    long = replace(answers[0], query=Query("the " + "very" * 40 + " long sentence"))
    page = open_page(
        page_of(tmp_path, [long, answers[1]], [long], video=clip), width, 844, color_scheme=scheme
    )
    wait_for_picture(page)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    back = "getComputedStyle(document.body).backgroundColor"
    colors = {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 26)"}
    assert page.evaluate(back) == colors[scheme]
    other = {"light": "dark", "dark": "light"}[scheme]
    page.get_by_label("colours").select_option(other)
    assert page.evaluate(back) == colors[other]
    page.reload()
    wait_for_picture(page)
    assert page.evaluate(back) == colors[other]  # remembered


def test_every_control_has_a_name(page: Any) -> None:
    tree = page.locator("body").aria_snapshot()
    unnamed = re.findall(
        r"- (?:button|slider|combobox|link|group|dialog)(?: \[.*\])?:?$", tree, re.M
    )
    assert unnamed == []
    for name in ("position", "speed", "one frame back", "one frame on", "colours"):
        assert page.get_by_label(name, exact=True).count() == 1, name
    assert page.locator("canvas").get_attribute("aria-label") == "frame 0: no box"
    assert json.loads(page.locator("#data").text_content())["columns"]
