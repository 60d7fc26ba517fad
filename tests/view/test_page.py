"""The one HTML file: what is in it, what cannot happen in it, what is refused."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stvg.cli.main import main
from stvg.errors import UsageError, VideoError
from stvg.formats.prediction import write_prediction, write_predictions
from stvg.types import Interval, Prediction, Query, Tube
from stvg.video import probe
from stvg.video.draw import PALETTE
from stvg.view.media import media_type, write_preview
from stvg.view.page import write_view
from stvg.view.parts import STATIC
from tests.barcode import read_number, write_barcode_video

World = tuple[Path, list[Prediction]]
UNEVEN = [0.0, 0.1, 0.4, 0.45, 0.9]
EVIL = "</script><script>alert(1)</script><!-- <img src=x onerror=alert(2)>"


class Parts(HTMLParser):
    """Contents of the elements of a page as a browser cuts them, by tag and id."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None], str]] = []
        self.is_open = False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs), ""))
        self.is_open = True

    def handle_endtag(self, tag):
        self.is_open = False

    def handle_data(self, data):
        if self.is_open:
            tag, attributes, text = self.found[-1]
            self.found[-1] = (tag, attributes, text + data)

    def texts(self, tag: str) -> list[str]:
        return [text for name, attributes, text in self.found
                if name == tag and attributes.get("type") is None]  # fmt: skip

    @property
    def data(self) -> dict:
        (text,) = (text for tag, attributes, text in self.found if attributes.get("id") == "data")
        return json.loads(text)


@pytest.fixture
def files(world: World, tmp_path: Path) -> Path:
    """A folder with the clip and a file of two predictions that was written elsewhere."""
    clip, answers = world
    (tmp_path / "clip.mp4").write_bytes(clip.read_bytes())
    moved = [
        replace(each, video=replace(each.video, path="/somewhere/else/clip.mp4"))
        for each in answers
    ]
    write_predictions(moved, tmp_path / "two.json")
    write_prediction(replace(moved[0], method="other"), tmp_path / "one.json")
    return tmp_path


def test_the_page_holds_documents_and_video_as_they_are(files: Path) -> None:
    assert main(["view", str(files / "two.json"), str(files / "one.json"), "--quiet"]) == 0
    page = Parts((files / "two.html").read_text())
    columns = page.data["columns"]
    assert [each["title"] for each in columns] == ["truth, world", "other, world"]
    written = json.loads((files / "two.json").read_text())["predictions"]
    assert columns[0]["documents"] == written
    assert columns[1]["documents"] == [json.loads((files / "one.json").read_text())]
    assert page.data["media"]["type"] == "video/mp4"
    assert base64.b64decode(page.data["media"]["base64"]) == (files / "clip.mp4").read_bytes()
    assert np.allclose(page.data["times"], np.arange(16) / 8)  # the world has 8 frames a second


def test_answers_of_one_method_in_two_files_are_told_apart(files: Path) -> None:
    (files / "mended.json").write_text((files / "one.json").read_text())
    write_view([files / "one.json", files / "mended.json"], files / "page.html")
    titles = [each["title"] for each in Parts((files / "page.html").read_text()).data["columns"]]
    assert titles == ["one: other, world", "mended: other, world"]


def test_texts_cannot_leave_their_place(files: Path, world: World) -> None:
    evil = replace(world[1][0], query=Query(EVIL), answer=EVIL, method=EVIL, details={EVIL: EVIL})
    write_prediction(evil, files / "evil.json")
    name = files / "<b>&.mp4"
    name.write_bytes((files / "clip.mp4").read_bytes())
    write_view([files / "evil.json"], files / "evil.html", video=name)
    page = Parts((files / "evil.html").read_text())
    assert page.data["columns"][0]["documents"][0]["query"] == EVIL
    assert [tag for tag, _, _ in page.found].count("img") == 0
    assert page.texts("title") == ["<b>&.mp4 · stvg"]
    assert len(page.texts("script")) == 9


def test_the_policy_allows_the_scripts_of_the_page_and_no_others(files: Path) -> None:
    write_view([files / "one.json"], files / "page.html")
    page = Parts((files / "page.html").read_text())
    (policy,) = (
        attributes["content"]
        for _, attributes, _ in page.found
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    rules = dict(rule.strip().split(" ", 1) for rule in (policy or "").split(";"))
    assert rules["default-src"] == "'none'"
    for tag, rule in (("script", "script-src"), ("style", "style-src")):
        hashes = [hashlib.sha256(text.encode()).digest() for text in page.texts(tag)]
        expected = [f"'sha256-{base64.b64encode(each).decode()}'" for each in hashes]
        assert rules[rule].split() == expected


def test_nothing_is_written_as_html_or_loaded_from_elsewhere() -> None:
    for file in STATIC.iterdir():
        text = file.read_text()
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text)
        assert "://" not in text


def test_a_link_leads_from_the_page_to_the_video(files: Path) -> None:
    (files / "pages").mkdir()
    (files / "clip.mp4").rename(files / "a clip.mp4")
    page = files / "pages" / "page.html"
    write_view([files / "one.json"], page, video=files / "a clip.mp4", link=True)
    assert Parts(page.read_text()).data["media"] == {"link": "./../a%20clip.mp4"}


def unplayable(folder: Path) -> tuple[Path, Path]:
    """A video that browsers do not play, and a prediction on it."""
    video = folder / "old.avi"
    write_barcode_video(video, frames=8, fps=10, codec="mpeg4")
    meta = probe(video)
    tube = Tube(Interval(0.2, 0.5), [0.2, 0.3, 0.4], [[2, 40, 20, 60]] * 3)
    write_prediction(Prediction(Query("bars"), meta, tube, "hand", "none"), folder / "old.json")
    return video, folder / "old.json"


@pytest.mark.parametrize("link", [False, True])
def test_what_browsers_do_not_play_is_made_into_what_they_do(tmp_path: Path, link: bool) -> None:
    _, prediction = unplayable(tmp_path)
    page = tmp_path / "page.html"
    write_view([prediction], page, link=link)
    media = Parts(page.read_text()).data["media"]
    preview = tmp_path / "page_preview.mp4"
    if link:
        assert media == {"link": "./page_preview.mp4"}
    else:
        assert media["type"] == "video/mp4"
        preview.write_bytes(base64.b64decode(media["base64"]))
    assert media_type(probe(preview)) == "video/mp4"


def test_a_preview_keeps_every_frame_at_its_time(tmp_path: Path) -> None:
    from stvg.video import SamplingPlan, iter_frames

    write_barcode_video(tmp_path / "uneven.mkv", times_s=UNEVEN, pix_fmt="yuv444p")
    meta = probe(tmp_path / "uneven.mkv")
    write_preview(meta, tmp_path / "preview.mp4")
    shown = list(iter_frames(tmp_path / "preview.mp4", SamplingPlan()))
    assert [read_number(picture) for _, _, picture in shown] == [0, 1, 2, 3, 4]
    assert np.allclose([time_s for _, time_s, _ in shown], UNEVEN, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "codec", "options", "expected"),
    [
        ("a.mp4", "libx264", {}, "video/mp4"),
        ("a.webm", "libvpx", {}, "video/webm"),
        ("a.mp4", "mpeg4", {}, None),  # MPEG-4 part 2
        ("a.avi", "libx264", {}, None),  # a container that browsers do not know
        ("a.mp4", "libx264", {"pix_fmt": "yuv444p"}, None),  # full chroma
        ("a.mp4", "libx264", {"times_s": UNEVEN}, None),  # uneven, in another order
        ("a.mp4", "libx264", {"times_s": UNEVEN, "options": {"bf": "0"}}, "video/mp4"),
    ],
)
def test_what_browsers_play(
    tmp_path: Path, name: str, codec: str, options: dict[str, Any], expected: str | None
) -> None:
    write_barcode_video(tmp_path / name, frames=6, codec=codec, **options)
    assert media_type(probe(tmp_path / name)) == expected


def test_uneven_times_of_frames_come_along(tmp_path: Path) -> None:
    write_barcode_video(tmp_path / "uneven.mp4", times_s=UNEVEN)
    tube = Tube(Interval(0.4, 0.5), [0.4], [[2, 40, 20, 60]])
    answer = Prediction(Query("bars"), probe(tmp_path / "uneven.mp4"), tube, "hand", "none")
    write_prediction(answer, tmp_path / "uneven.json")
    write_view([tmp_path / "uneven.json"], tmp_path / "page.html")
    found = Parts((tmp_path / "page.html").read_text()).data["times"]
    assert np.allclose(found, UNEVEN, atol=1e-4)


def test_refusals(files: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    write_barcode_video(tmp_path / "bars.mp4", frames=4)
    with pytest.raises(UsageError, match="expected one video for all, with width 256, found 96"):
        write_view([files / "one.json"], page, video=tmp_path / "bars.mp4")
    _, other = unplayable(tmp_path)
    with pytest.raises(UsageError, match="view them apart"):
        write_view([files / "one.json", other], page)
    with pytest.raises(UsageError, match=r"there is no file|no such file"):
        write_view([files / "nothing.json"], page)
    with pytest.raises(VideoError):
        write_view([files / "one.json"], page, video=files / "nothing.mp4")
    (files / "clip.mp4").unlink()
    with pytest.raises(UsageError, match="name it with --video"):
        write_view([files / "one.json"], page)
    assert not page.exists()


def test_a_large_video_is_refused_or_linked(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stvg.view.page.MOST_EMBEDDED_MB", 0.001)
    with pytest.raises(UsageError, match="--link"):
        write_view([files / "one.json"], files / "page.html")
    write_view([files / "one.json"], files / "page.html", link=True)


def test_colours_are_those_of_overlay_films() -> None:
    (line,) = re.findall(r"COLORS = \[(.*?)\]", (STATIC / "stage.js").read_text())
    assert re.findall(r"#\w{6}", line) == ["#{:02x}{:02x}{:02x}".format(*c) for c in PALETTE]


def luminance(color: str) -> float:
    """Relative luminance of ``#rrggbb`` (WCAG 2)."""
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_texts_have_contrast(theme: int) -> None:
    pairs = re.findall(r"--([\w-]+): light-dark\((#\w+), (#\w+)\)",
                       (STATIC / "viewer.css").read_text())  # fmt: skip
    color = {name: luminance((light, dark)[theme]) for name, light, dark in pairs}

    def contrast(a: str, b: str) -> float:
        low, high = sorted((color[a], color[b]))
        return (high + 0.05) / (low + 0.05)

    for text in ("text", "quiet"):
        for back in ("back", "card", "chosen"):
            assert contrast(text, back) >= 4.5, (text, back)
    for text in ("accent", "warn", "bad", "good"):
        assert contrast(text, "back") >= 4.5, text
    for text in ("bad", "good"):  # states of jobs
        for back in ("card", "chosen"):
            assert contrast(text, back) >= 4.5, (text, back)
    assert contrast("on-accent", "accent") >= 4.5
    assert contrast("edge", "back") >= 3  # WCAG 1.4.11: borders that show where a control is


def test_labels_have_contrast_on_every_colour() -> None:
    from stvg.video.draw import INK, PAPER, text_color_on

    source = (STATIC / "stage.js").read_text()
    white = re.findall(r'inkOn = color => color === "(#\w+)"', source)
    best = ["#{:02x}{:02x}{:02x}".format(*c) for c in PALETTE if text_color_on(c) == PAPER]
    assert white == best
    assert '"#{:02x}{:02x}{:02x}"'.format(*INK) in source
