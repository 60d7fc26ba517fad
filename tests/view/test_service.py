"""The page of the service: its files, and the whole way of a job in a browser."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi", reason='the page of the service needs pip install "stvg[serve]"')

import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient

from stvg.export.corrections import Videos
from stvg.export.from_cvat import read_cvat
from stvg.formats.prediction import read_prediction, read_predictions
from stvg.serve.app import create_app
from stvg.serve.settings import Offer, Settings
from stvg.types import Prediction
from stvg.video.draw import PALETTE
from stvg.view import service
from stvg.view.parts import STATIC
from tests.barcode import read_number, write_barcode_video
from tests.view.conftest import (
    PATIENCE_MS,
    drag_end,
    painted_box,
    picture_of,
    show,
    until,
    wait_for_picture,
)
from tests.view.truth import offer

World = tuple[Path, list[Prediction]]
TOKEN = "a long token of the tests"


@pytest.fixture
def files() -> TestClient:
    app = FastAPI()
    app.include_router(service.router)
    return TestClient(app)


def test_the_address_of_the_service_leads_to_the_page(files: TestClient) -> None:
    answer = files.get("/")
    assert answer.url.path == service.PREFIX
    assert answer.headers["content-type"].startswith("text/html")


def test_all_parts_of_the_page_are_given_out_and_nothing_else(files: TestClient) -> None:
    page = files.get(service.PREFIX)
    assert "script-src 'self';" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]
    parts = re.findall(r'(?:src|href)="(/[^"]+)"', page.text)
    assert [part.removeprefix(service.PREFIX) for part in parts] == list(service.FILES)
    for part in parts:
        answer = files.get(part)
        assert answer.text == (STATIC / Path(part).name).read_text()
        kinds = {".js": "text/javascript", ".css": "text/css"}
        assert answer.headers["content-type"].split(";")[0] == kinds[Path(part).suffix]
    for other in ("file.html", "nothing.js", "..%2fpage.py", "%2e%2e/page.py"):
        assert files.get(service.PREFIX + other).status_code == 404, other


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Starts a service with the page in a thread; gives its address."""
    running = []

    def begin(*offers: str, **values: Any) -> str:
        settings = Settings.of(
            {
                "data": tmp_path / "data", "free_gb": 0, "threads": 1,
                "offers": tuple(map(Offer.read, offers)), **values,
            }
        )  # fmt: skip
        listening = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(create_app(settings), log_level="warning")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        running.append((server, thread))
        give_up = time.monotonic() + PATIENCE_MS / 1000
        while not server.started:
            assert thread.is_alive()
            assert time.monotonic() < give_up
            time.sleep(0.02)
        return f"http://127.0.0.1:{listening.getsockname()[1]}/"

    yield begin
    for server, thread in running:
        server.should_exit = True
        thread.join()


DROP = """([name, bytes]) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([Uint8Array.from(bytes)], name, { type: "video/mp4" }));
  const event = new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true });
  document.getElementById("drop").dispatchEvent(event);
}"""


def ask(page: Any, clip: Path, *sentences: str) -> None:
    """Drop a video, write sentences, press the button."""
    page.evaluate(DROP, [clip.name, list(clip.read_bytes())])
    page.get_by_label("Sentences, one on each line").fill("\n".join(sentences))
    page.get_by_role("button", name="Find").click()  # waits until the video was looked at


def check_boxes(page: Any, answer: Prediction, color: tuple[int, int, int]) -> None:
    """Look for the boxes of an answer in what is painted, at three times."""
    tube = answer.tube
    assert tube is not None
    for row in (0, 4, -1):
        show(page, int(answer.video.frame_at(tube.times_s[row])[0]))
        picture = picture_of(page)
        expected = tube.boxes[row] * picture.shape[1] / answer.video.width
        assert painted_box(picture, color) == pytest.approx(expected.tolist(), abs=1), row


def download_as(page: Any, title: str, path: Path) -> str:
    """Export in a format; gives what the file is called."""
    page.get_by_label("format of the export").select_option(title)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    name: str = download.value.suggested_filename
    page.get_by_text(f"exported as {name}").wait_for()
    download.value.save_as(path)
    return name


def test_from_a_dropped_video_to_a_saved_correction(
    serve: Callable[..., str], open_page: Callable[..., Any], world: World, tmp_path: Path
) -> None:
    clip, answers = world
    go = tmp_path / "go"
    page = open_page(serve(offer(go)))
    ask(page, clip, *(each.query.text for each in answers))
    line = page.locator("#jobs li")
    line.get_by_text("running").wait_for()
    line.get_by_text("asking the method").wait_for()
    assert line.get_by_role("progressbar").get_attribute("max") == "2"
    news = page.locator("#news")
    assert news.inner_text() == f"running: {'; '.join(each.query.text for each in answers)}"
    go.touch()
    page.locator("#viewer canvas").wait_for()
    wait_for_picture(page)

    for number, answer in enumerate(answers):
        page.keyboard.press(str(number + 1))
        check_boxes(page, answer, PALETTE[number])

    before = answers[0].tube
    assert before is not None
    page.keyboard.press("1")
    drag_end(page, "start", 1.24)
    page.get_by_role("button", name="Save").click()
    page.get_by_text("saved as version 2").wait_for()

    page.reload()
    wait_for_picture(page)
    facts = page.locator(".facts").first.inner_text()
    assert facts == f"1.25–{before.interval.end_s:.2f} s · confidence 0.90"
    with page.expect_download() as download:
        page.get_by_role("button", name="export all").click()
    download.value.save_as(tmp_path / "exported.json")
    first, second = read_predictions(tmp_path / "exported.json")
    assert first.tube is not None
    assert first.tube.interval.start_s == 1.25
    assert np.array_equal(first.tube.boxes, before.boxes[-len(first.tube) :])
    assert second.tube is not None
    assert answers[1].tube is not None
    assert np.array_equal(second.tube.boxes, answers[1].tube.boxes)

    assert download_as(page, "CVAT for video 1.1", tmp_path / "clip.cvat.xml") == "clip.cvat.xml"
    tubes = {each.query: each for each in read_cvat(tmp_path / "clip.cvat.xml", Videos(clip))}
    assert list(tubes) == [each.query.text for each in answers]
    exported = tubes[answers[0].query.text]
    assert exported.frames.tolist() == list(range(10, 10 + len(first.tube)))  # 1.25 s, 8 a second
    assert np.allclose(exported.boxes, first.tube.boxes, atol=0.02)

    job = page.evaluate("location.hash.slice(1)")
    kept = page.evaluate(
        "path => fetch(path).then(answer => answer.json())",
        f"/api/jobs/{job}/predictions/0/versions/2",
    )
    (tmp_path / "kept.json").write_text(json.dumps(kept))
    assert read_prediction(tmp_path / "kept.json").warnings == ("corrected by hand",)


def test_methods_are_compared_and_films_drawn(
    serve: Callable[..., str], open_page: Callable[..., Any], world: World, tmp_path: Path
) -> None:
    clip, answers = world
    page = open_page(serve(offer(), "track_match=blobs"))
    page.get_by_label("track_match=blobs").check()
    ask(page, clip, answers[0].query.text)
    page.locator("#viewer canvas").nth(1).wait_for()
    wait_for_picture(page)
    assert page.locator("figcaption").all_inner_texts() == ["truth.py:Truth", "track_match=blobs"]
    page.get_by_label("method to export").select_option("track_match=blobs")
    name = download_as(page, "film (MP4)", tmp_path / "film.mp4")
    assert name == "clip.track_match_blobs.mp4"
    assert (tmp_path / "film.mp4").read_bytes()[4:8] == b"ftyp"
    page.get_by_role("button", name="Delete the job").click()
    until(page, "!document.querySelector('#jobs li')")
    page.locator("#result").wait_for(state="hidden")


def test_a_job_is_cancelled(
    serve: Callable[..., str], open_page: Callable[..., Any], world: World, tmp_path: Path
) -> None:
    page = open_page(serve(offer(tmp_path / "never"), job_seconds=PATIENCE_MS / 1000))
    ask(page, world[0], "the dog")
    page.locator("#jobs li").get_by_text("asking the method").wait_for()
    page.get_by_role("button", name="Cancel the job").click()
    page.locator("#jobs li").get_by_text("cancelled").wait_for()


def test_what_browsers_do_not_play_is_shown_as_a_preview(
    serve: Callable[..., str], open_page: Callable[..., Any], tmp_path: Path
) -> None:
    times = [0.0, 0.1, 0.4, 0.45, 0.9, 1.0]
    write_barcode_video(tmp_path / "old.mkv", times_s=times, pix_fmt="yuv444p", size=(192, 128))
    page = open_page(serve("track_match=blobs"))
    ask(page, tmp_path / "old.mkv", "the ball")
    page.locator("#viewer canvas").wait_for()
    wait_for_picture(page)
    shown = page.evaluate("viewer.player.clock.times.slice(0, -1)")
    assert shown == pytest.approx(times, abs=1e-3)
    show(page, 4)
    assert read_number(picture_of(page)) == 4


def test_of_two_videos_the_later_one_is_taken(
    serve: Callable[..., str], open_page: Callable[..., Any], world: World
) -> None:
    page = open_page(serve("track_match=blobs"))
    held: list[Any] = []

    def hold(route: Any) -> None:
        held.append(route)

    page.route("**/api/videos?name=first.mp4", hold)
    content = list(world[0].read_bytes())
    page.evaluate(DROP, ["first.mp4", content])
    while not held:
        page.wait_for_timeout(20)
    page.evaluate(DROP, ["second.mp4", content])
    page.get_by_text("second.mp4: 256×256").wait_for()
    with page.expect_response("**/api/videos?name=first.mp4"):
        held[0].continue_()
    page.wait_for_load_state("networkidle")
    assert page.get_by_text("second.mp4: 256×256").is_visible()
    assert page.evaluate("video.name") == "second.mp4"


def test_pressed_twice_it_is_one_job(
    serve: Callable[..., str], open_page: Callable[..., Any], world: World
) -> None:
    page = open_page(serve(offer()))
    page.evaluate(DROP, ["clip.mp4", list(world[0].read_bytes())])
    page.get_by_label("Sentences, one on each line").fill(world[1][0].query.text)
    page.get_by_role("button", name="Find").dblclick()
    page.locator("#viewer canvas").wait_for()
    assert page.locator("#jobs li").count() == 1


def test_corrections_are_not_lost_by_another_address(
    serve: Callable[..., str], open_page: Callable[..., Any], world: World
) -> None:
    page = open_page(serve(offer()))
    ask(page, world[0], world[1][0].query.text)
    page.locator("#viewer canvas").wait_for()
    wait_for_picture(page)
    job = page.evaluate("location.hash")
    page.get_by_role("slider", name="start of").press("ArrowRight")
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.evaluate("location.hash = '#another'")
    until(page, f"location.hash === '{job}'")
    assert "not saved" in page.locator(".facts").inner_text()


def test_a_file_that_misses_its_place_does_not_replace_the_page(
    serve: Callable[..., str], open_page: Callable[..., Any]
) -> None:
    page = open_page(serve("track_match=blobs"))
    for kind in ("dragover", "drop"):
        prevented = page.evaluate(
            "kind => !document.body.dispatchEvent("
            "new DragEvent(kind, { bubbles: true, cancelable: true }))",
            kind,
        )
        assert prevented, kind


def test_refusals_are_told(
    serve: Callable[..., str], open_page: Callable[..., Any], tmp_path: Path, browser: Any
) -> None:
    del open_page  # it takes the browser's own note about a refusal for an error
    context = browser.new_context()
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.goto(serve("track_match=blobs"))
    (tmp_path / "rubbish.mp4").write_bytes(b"no video")
    page.evaluate(DROP, ["rubbish.mp4", list(b"no video")])
    page.locator("#problem").get_by_text("expected a video").wait_for()
    assert page.get_by_role("button", name="Find").is_disabled()
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_fits(
    serve: Callable[..., str], open_page: Callable[..., Any], world: World, width: int, scheme: str
) -> None:
    clip, answers = world
    page = open_page(serve(offer(), "track_match=blobs"), width, 844, color_scheme=scheme)
    page.get_by_label("track_match=blobs").check()
    ask(page, clip, *(each.query.text for each in answers))
    wait_for_picture(page)
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_a_token_is_asked_for(serve: Callable[..., str], browser: Any) -> None:
    address = serve("track_match=blobs", token=TOKEN)
    context = browser.new_context()
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.goto(address + service.PREFIX[1:])
    field = page.get_by_label("Token of this service")
    field.fill("another token, not the right one")
    page.get_by_role("button", name="Sign in").click()
    page.locator("#sign-in [role=alert]").get_by_text("expected the service's token").wait_for()
    field.fill(TOKEN)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_label("track_match=blobs").wait_for()
    page.reload()
    page.get_by_label("track_match=blobs").wait_for()  # the session lasts
    context.close()
