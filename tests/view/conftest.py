"""A real browser, and a clip of the world with what is true about it.

Tests of the page need Playwright and Chromium. They are skipped by name where one is absent; with
``STVG_REQUIRE_BROWSER=1`` (``make test-browser``) they fail instead. ``STVG_CHROMIUM`` names a
Chromium that is not found by itself.
"""

from __future__ import annotations

import base64
import io
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stvg.data.world import draw_clip, plan_clip
from stvg.data.world.files import write_clip
from stvg.formats.prediction import write_predictions
from stvg.types import Prediction, Query, Tube
from stvg.video import probe
from stvg.view.page import write_view
from tests.view.truth import CLIP, SIDE, SPLIT, true_tube

PATIENCE_MS = 100_000  # a machine with other work; a test that waits so long fails
NAMES = ("chromium", "chromium-browser", "google-chrome")


def missing(what: str) -> None:
    """Skip a test of the page, or let it fail where the browser is required."""
    message = f"tests of the page need {what}"
    if os.environ.get("STVG_REQUIRE_BROWSER") == "1":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium without a window."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing('Playwright: pip install "stvg[dev]"')
    found = os.environ.get("STVG_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        missing("Chromium (apt-get install chromium), or its path in STVG_CHROMIUM")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, timeout=PATIENCE_MS)
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens an address in a window of its own; a page that reports an error fails the test."""
    contexts, errors = [], []

    def begin(address: str, width: int = 1280, height: int = 900, **options: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        page.goto(address)
        return page

    yield begin
    for context in contexts:
        context.close()
    assert errors == []


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Prediction]]:
    """A clip of the world, and the truth about two of its sentences as predictions."""
    path = tmp_path_factory.mktemp("world") / "clip.mp4"
    plan = plan_clip(CLIP, split=SPLIT)
    drawn = draw_clip(plan, SIDE)
    write_clip(path, drawn)
    meta = probe(path)
    answers = []
    for sentence in (plan.sentences[2], plan.sentences[6]):
        frames, boxes = true_tube(sentence, drawn)
        span = meta.span_of(int(frames[0]), int(frames[-1]) + 1)
        tube = Tube(span, meta.times_s[frames], boxes)
        answers.append(Prediction(Query(sentence.text), meta, tube, "truth", "world", score=0.9))
    return path, answers


def page_of(folder: Path, *answers: list[Prediction], video: Path, link: bool = False) -> str:
    """The address of a page with one file of predictions or several."""
    files = []
    for number, group in enumerate(answers):
        files.append(folder / f"answers{number}.json")
        write_predictions(group, files[-1])
    write_view(files, folder / "page.html", video=video, link=link)
    return (folder / "page.html").as_uri()


def picture_of(page: Any, number: int = 0) -> np.ndarray:
    """What is painted on a stage, RGB (H, W, 3) uint8."""
    canvas = page.locator("canvas").nth(number)
    return decoded(canvas.evaluate("canvas => canvas.toDataURL()"))


def decoded(address: str) -> np.ndarray:
    """The picture in a ``data:`` address, RGB (H, W, 3) uint8."""
    data = base64.b64decode(address.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def until(page: Any, condition: str) -> None:
    """Wait until an expression holds; the page's policy forbids Playwright's own waiting."""
    give_up = time.monotonic() + PATIENCE_MS / 1000
    while not page.evaluate(condition):
        assert time.monotonic() < give_up, f"never came true: {condition}"
        page.wait_for_timeout(20)


def wait_for_frame(page: Any, frame: int) -> None:
    """Wait until a frame is on screen."""
    until(page, f"viewer?.player.frame === {frame} && !viewer.video.seeking "
          "&& viewer.player.hasPicture")  # fmt: skip


def show(page: Any, frame: int) -> None:
    """Seek to a frame and wait until it is on screen."""
    page.evaluate(f"viewer.player.seek({frame})")
    wait_for_frame(page, frame)


def wait_for_picture(page: Any) -> None:
    """Wait until the first frame is on screen: more than the dark that is there before it."""
    until(page, """(() => {
      const canvas = document.querySelector("canvas");
      if (!canvas?.width || !viewer?.player.hasPicture) return false;
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, 1);
      return data.some((value, i) => value !== data[i % 4]);
    })()""")  # fmt: skip


def drag(page: Any, handle: Any, right: float, down: float) -> None:
    """Take something by its middle, pull it by so many pixels and let go."""
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + right, y + down, steps=3)
    page.mouse.up()


def drag_end(page: Any, side: str, time_s: float) -> None:
    """Pull the start or end of the first answer's interval to a time."""
    handle = page.get_by_role("slider", name=f"{side} of").first
    at, track = handle.bounding_box(), page.locator(".track").first.bounding_box()
    seconds = page.evaluate("viewer.player.clock.duration")
    x = track["x"] + 1 + (track["width"] - 2) * time_s / seconds
    drag(page, handle, x - at["x"] - at["width"] / 2, 0)


def painted_box(picture: np.ndarray, color: tuple[int, int, int]) -> list[float]:
    """The middle of the lines of the only box in a colour, ``xyxy`` in pixels of the picture.

    A line is where more than half of the most that any row (column) has is of that colour.
    """
    near = np.abs(picture.astype(int) - color).max(axis=2) <= 6
    edges = []
    for axis in (0, 1):
        counts = near.sum(axis=axis)
        lines = np.flatnonzero(counts > 0.7 * counts.max())
        first = lines[lines < lines.mean()]
        last = lines[lines > lines.mean()]
        edges.append((first.mean() + 0.5, last.mean() + 0.5))
    (x1, x2), (y1, y2) = edges
    return [x1, y1, x2, y2]
