"""A prediction in a notebook: well-formed HTML with what a reader needs and nothing that runs."""

from __future__ import annotations

import base64
import io
from dataclasses import replace
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stvg.types import Interval, Prediction, Query, Tube, VideoMeta
from stvg.video import probe
from stvg.video.draw import PALETTE
from stvg.video.writer import VideoWriter


class Reader(HTMLParser):
    """Collects tags, text and pictures; fails on tags that are not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.pictures: list[Image.Image] = []
        self._open: list[str] = []
        self.feed(html)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag != "img":
            self._open.append(tag)
            return
        kind, _, data = (dict(attrs)["src"] or "").partition(",")
        assert kind == "data:image/jpeg;base64"
        self.pictures.append(Image.open(io.BytesIO(base64.b64decode(data))))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def prediction(tmp_path: Path) -> Prediction:
    """A square in the middle of a grey film of 2 s, found from 0.5 to 1.5 s."""
    with VideoWriter(tmp_path / "grey.mp4", fps=Fraction(10)) as writer:
        for number in range(20):
            writer.write(np.full((200, 400, 3), 128, np.uint8), number / 10)
    video = probe(tmp_path / "grey.mp4")
    tube = Tube(Interval(0.5, 1.5), video.times_s[5:15], [[100, 50, 300, 150]] * 10)
    return Prediction(Query("the square"), video, tube, "by_hand", "none", score=0.25)


def test_what_it_says(prediction: Prediction) -> None:
    found = Reader(prediction._repr_html_())
    for words in ("the square", "by_hand", "grey.mp4", "score 0.25", "0.50 to 1.50 s of 2.00 s"):
        assert words in found.text


def test_pictures_show_the_box(prediction: Prediction) -> None:
    """In pictures of 240 x 120 the left edge of the box is at 60 and its middle stays grey."""
    pictures = Reader(prediction._repr_html_()).pictures
    assert [picture.size for picture in pictures] == [(240, 120)] * 4
    for picture in pictures:
        pixels = np.asarray(picture, np.int64)
        assert np.abs(pixels[60, 60:62].mean(axis=0) - PALETTE[0]).max() < 40
        assert np.abs(pixels[60, 120] - 128).max() < 10
        assert np.abs(pixels[60, 20] - 128).max() < 10


def test_time_line(prediction: Prediction) -> None:
    assert "left:25.00%;width:50.00%" in prediction._repr_html_()


def test_nothing_runs_that_a_sentence_brings_along(prediction: Prediction) -> None:
    nasty = '<script>alert("x")</script> & <img src=x onerror=y>'
    shown = replace(prediction, query=Query(nasty), model=nasty, warnings=(nasty,))
    found = Reader(shown._repr_html_())
    assert "script" not in found.tags
    assert len(found.pictures) == 4
    assert found.text.count(nasty) == 3


def test_a_name_that_is_no_text_can_be_sent(prediction: Prediction) -> None:
    odd = replace(prediction, video=replace(prediction.video, path="gr\udcfcn.mp4"))
    assert "gr\ufffdn.mp4" in odd._repr_html_().encode().decode()


def test_without_the_video_the_rest_is_shown(prediction: Prediction) -> None:
    gone = replace(prediction.video, path="gone.mp4")
    found = Reader(replace(prediction, video=gone)._repr_html_())
    assert found.pictures == []
    assert "no pictures: " in found.text
    assert "0.50 to 1.50 s" in found.text


def test_nothing_found() -> None:
    video = VideoMeta("a.mp4", 10, 10, Fraction(1), 1.0, 1)
    empty = Prediction(Query("the cat"), video, None, "m", "n", warnings=("no cat <here>",))
    found = Reader(empty._repr_html_())
    assert "not found" in found.text
    assert "no cat <here>" in found.text
