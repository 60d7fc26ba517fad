"""What methods have to show, in what is painted: masks, drafts, numbers, attention; in bulk."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stvg.geometry.masks import encode_masks
from stvg.types import Prediction, Query
from stvg.video.draw import PALETTE
from tests.view.conftest import page_of, picture_of, show, until, wait_for_picture

World = tuple[Path, list[Prediction]]
Open = Callable[..., Any]
Beside = Callable[..., tuple[Any, np.ndarray, np.ndarray, int, float]]


@pytest.fixture
def beside(world: World, open_page: Open, tmp_path: Path) -> Beside:
    """Paints the first answer, changed, beside what it was; `other` chooses another sentence.

    Gives the page, both pictures (H, W, 3), the number of the frame, and pixels of the picture to
    a pixel of the video.
    """
    clip, answers = world
    plain, tube = answers[0], answers[0].tube
    assert tube is not None
    nothing = replace(answers[1], method="shown", tube=None, score=None, warnings=("saw nothing",))

    def paint(other: bool = True, **changed: Any) -> tuple[Any, np.ndarray, np.ndarray, int, float]:
        shown = replace(plain, method="shown", **changed)
        page = open_page(page_of(tmp_path, [shown, nothing], [plain], video=clip))
        wait_for_picture(page)
        if other:
            page.keyboard.press("2")
        frame = int(plain.video.frame_at(tube.times_s[2])[0])
        show(page, frame)
        first, second = (picture_of(page, number).astype(float) for number in (0, 1))
        assert first.shape == second.shape
        return page, first, second, frame, first.shape[1] / plain.video.width

    return paint


def test_masks_lie_over_the_picture_in_the_colour_of_the_sentence(
    beside: Beside, world: World
) -> None:
    video, tube = world[1][0].video, world[1][0].tube
    assert tube is not None
    mask = np.zeros((video.height, video.width), bool)
    mask[40:80, 5:60] = True
    mask[60:80, 30:40] = False  # a bay
    (written,) = encode_masks(mask[None])
    masks = (None, None, written, *[None] * (len(tube) - 3))
    page, shown, plain, frame, scale = beside(tube=replace(tube, masks=masks))

    y, x = (((np.arange(size) + 0.5) / scale) for size in shown.shape[:2])
    there = np.array([[mask[int(v), int(u)] for u in x] for v in y])
    borders = [np.abs(u[..., None] - np.array(e)).min(-1) * scale < 1.5
               for u, e in ((y, [40, 60, 80]), (x, [5, 30, 40, 60]))]  # fmt: skip
    sure = ~(borders[0][:, None] | borders[1][None])
    expected = np.where(there[..., None], 0.6 * plain + 0.4 * np.array(PALETTE[0]), plain)
    drawn_box = np.abs(plain - PALETTE[0]).max(2) < 6  # boxes lie on masks
    assert np.abs(shown - expected)[sure & ~drawn_box].max() <= 3
    assert (there & sure).sum() > 1000
    show(page, frame + 1)
    assert np.array_equal(picture_of(page, 0), picture_of(page, 1))  # this one has no mask


def test_masks_of_a_box_that_was_moved_are_gone(beside: Beside, world: World) -> None:
    video, tube = world[1][0].video, world[1][0].tube
    assert tube is not None
    whole = encode_masks(np.ones((1, video.height, video.width), bool))
    page, shown, plain, *_ = beside(tube=replace(tube, masks=tuple(whole * len(tube))))
    corner = (slice(0, 8), slice(-8, None))
    assert np.abs(shown - plain)[corner].max() > 10
    page.keyboard.press("1")
    page.keyboard.press("b")
    page.keyboard.press("ArrowRight")
    assert np.abs(picture_of(page, 0) - plain)[corner].max() == 0


def test_heat_follows_the_video_and_can_be_hidden(beside: Beside, world: World) -> None:
    maps = np.full((2, 2, 2), 55, np.uint8)  # the lowest is not seen
    maps[0, 0, 1], maps[1, 1, 0] = 255, 155  # right above, then left below
    tube = world[1][0].tube
    assert tube is not None
    times = [tube.times_s[2], tube.times_s[-1]]
    details = {
        "attention": {
            "rows": 2, "columns": 2, "times_s": [float(time) for time in times],
            "values": base64.b64encode(maps.tobytes()).decode(),
        }
    }  # fmt: skip
    page, shown, plain, *_ = beside(details=details, other=False)
    height, width = shown.shape[:2]

    def cell(row: int, column: int) -> tuple[slice, slice]:
        """A few pixels around the middle of a cell, where its neighbours have hardly a share."""
        y, x = height * (2 * row + 1) // 4, width * (2 * column + 1) // 4
        return slice(y - 2, y + 2), slice(x - 2, x + 2)

    def heated(picture: np.ndarray, share: float) -> np.ndarray:
        seen = share * 150 / 255
        return (1 - seen) * picture + seen * np.array([255, 220 * share, 40])

    lit, dark = cell(0, 1), cell(1, 0)
    assert np.abs(shown[lit] - heated(plain[lit], 1.0)).max() <= 8
    assert np.array_equal(shown[dark], plain[dark])

    show(page, int(world[1][0].video.frame_at(times[1])[0]))
    later, plain = (picture_of(page, number).astype(float) for number in (0, 1))
    assert np.abs(later[dark] - heated(plain[dark], 0.5)).max() <= 8
    assert np.array_equal(later[lit], plain[lit])

    button = page.get_by_role("button", name="Heat of attention")
    assert button.get_attribute("aria-pressed") == "true"
    page.keyboard.press("h")
    assert button.get_attribute("aria-pressed") == "false"
    assert np.array_equal(picture_of(page, 0)[dark], plain[dark])
    button.click()
    assert np.array_equal(picture_of(page, 0), later)
    page.keyboard.press("2")  # another sentence, which has none
    assert np.array_equal(picture_of(page, 0), picture_of(page, 1))


def test_drafts_are_dashed_beside_the_box(beside: Beside, world: World) -> None:
    tube = world[1][0].tube
    assert tube is not None
    draft = np.array([20.0, 30, 70, 90])
    steps = [{"t_s": float(time), "box": draft.tolist()} for time in tube.times_s[[0, -1]]]
    _, shown, plain, _, scale = beside(details={"draft": steps})
    changed = np.abs(shown - plain).max(2) > 20
    colored = changed & (np.abs(shown - PALETTE[0]).max(2) < 6)
    x1, y1, x2, y2 = np.round(draft * scale).astype(int)
    for edge in (
        colored[y1 - 2 : y1 + 2, x1:x2].any(0), colored[y2 - 2 : y2 + 2, x1:x2].any(0),
        colored[y1:y2, x1 - 2 : x1 + 2].any(1), colored[y1:y2, x2 - 2 : x2 + 2].any(1),
    ):  # fmt: skip
        assert 0.35 < edge.mean() < 0.8  # dashes of 5, gaps of 4
    changed[y1 - 3 : y2 + 3, x1 - 3 : x2 + 3] = False
    assert not changed.any()


def test_all_numbers_stand_at_the_box(beside: Beside, world: World) -> None:
    page, _, _, frame, _ = beside(details={"numbers": [4, 9], "tracks": []})
    label = page.locator("canvas").first.get_attribute("aria-label")
    assert label == f"frame {frame}: boxes of 1 · #4, #9"


def test_what_is_unfolded_stays_and_the_focus_too(
    world: World, open_page: Open, tmp_path: Path
) -> None:
    clip, answers = world
    told = replace(answers[0], details={"cues": {"class": 0.5}})
    page = open_page(page_of(tmp_path, [told, answers[1]], video=clip))
    wait_for_picture(page)
    page.get_by_text("Cues").click()
    page.get_by_role("cell", name="0.50").wait_for()
    page.keyboard.press("Home")
    until(page, "viewer.player.frame === viewer.chosen.answer.state.first")
    page.keyboard.press("ArrowRight")
    until(page, "viewer.player.frame === viewer.chosen.answer.state.first + 1")
    page.get_by_role("button", name="Start here").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.textContent") == "Start here"
    assert page.get_by_role("cell", name="0.50").is_visible()
    page.keyboard.press("2")
    assert page.get_by_text("Cues").count() == 0


def test_marking_by_hand_leads_to_the_box(world: World, open_page: Open, tmp_path: Path) -> None:
    clip, answers = world
    nothing = replace(answers[0], tube=None, score=None, warnings=("saw nothing",))
    page = open_page(page_of(tmp_path, [nothing], video=clip))
    wait_for_picture(page)
    page.get_by_role("button", name="Mark by hand").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.className") == "box key"


def test_details_in_bulk_do_not_stop_the_page(
    world: World, open_page: Open, tmp_path: Path
) -> None:
    clip, answers = world
    tube = answers[0].tube
    assert tube is not None
    many = 200_000
    details = {
        "draft": [{"t_s": number / many, "box": [1, 2, 30, 40]} for number in range(many)],
        "numbers": list(range(many)), "signal": [0.5] * many,
        "objects": [{"track": number, "label": "x", "score": 0.5} for number in range(many)],
        "corrected": {"keyframes": list(range(many))},
    }  # fmt: skip
    page = open_page(page_of(tmp_path, [replace(answers[0], details=details)], video=clip))
    wait_for_picture(page)
    page.get_by_text("All details").click()
    assert len(page.locator("details[open] pre").inner_text()) < 101_000
    page.get_by_text("Objects weighed").click()
    page.locator("details[open] table").wait_for()
    assert page.locator("details[open] tr").count() == 101
    assert page.evaluate("document.querySelectorAll('*').length") < 3000


def test_ten_sentences_by_three_methods(world: World, open_page: Open, tmp_path: Path) -> None:
    clip, answers = world
    files = [
        [replace(answers[0], method=method, query=Query(f"sentence {number}"))
         for number in range(10)]
        for method in ("one", "two", "three")
    ]  # fmt: skip
    page = open_page(page_of(tmp_path, *files, video=clip), 390, 844)
    wait_for_picture(page)
    assert page.locator(".row").count() == 30
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.get_by_role("button", name="choose the answer of “sentence 5”, three, world").click()
    assert page.locator(".panel h2").inner_text() == "sentence 5"
    page.keyboard.press("0")
    assert page.locator(".panel h2").inner_text() == "sentence 9"


@pytest.mark.parametrize("box", [[0, 0, 256, 256], [240, 240, 256, 256], [0, 120, 6, 126]])
def test_boxes_at_the_edge_of_a_phone(
    world: World, open_page: Open, tmp_path: Path, box: list[int]
) -> None:
    """The page stays as wide as it is, and the smallest box can be moved by its middle."""
    clip, answers = world
    tube = answers[0].tube
    assert tube is not None
    boxed = replace(answers[0], tube=replace(tube, boxes=[box] * len(tube)))
    page = open_page(page_of(tmp_path, [boxed], video=clip), 390, 844, has_touch=True)
    wait_for_picture(page)
    show(page, int(boxed.video.frame_at(tube.times_s[0])[0]))
    assert page.locator(".box").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.locator(".box").scroll_into_view_if_needed()
    at = page.locator(".box").bounding_box()
    middle = [at["x"] + at["width"] / 2, at["y"] + at["height"] / 2]
    hit = page.evaluate("([x, y]) => document.elementFromPoint(x, y).className", middle)
    assert hit == "box"
