"""The page: valid, self-contained, in both themes, with what it should show."""

import re
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest

from stvg.evaluate.page import properties, write_page
from stvg.evaluate.plots import Axis, binned, histogram, scatter_plot
from stvg.evaluate.runner import load_truth, score_file
from tests.evaluate.helpers import (
    box_record,
    time_record,
    tube_line,
    tube_record,
    write_lines,
)

VOID = {"meta", "br", "img"}


class Checker(HTMLParser):
    """Makes sure that every tag is closed in order and nothing comes from outside."""

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "href"):
                assert value.startswith("data:")

    def handle_startendtag(self, tag, attrs):
        self.seen.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def page_of(tmp_path, benchmark, records, lines, **options):
    """The text of a page, checked."""
    truth = load_truth(benchmark, records)
    predictions = write_lines(tmp_path / "p.jsonl", lines)
    report = score_file(truth, predictions, resamples=20)
    write_page(report, truth, predictions, tmp_path / "page.html", **options)
    text = (tmp_path / "page.html").read_text()
    checker = Checker()
    checker.feed(text)
    assert not checker.open
    assert "prefers-color-scheme: dark" in text
    assert "nan" not in re.sub(r"data:[^\"]+", "", text).lower().split("<body>")[1]
    return text, checker.seen


def test_tubes(tmp_path):
    records = [tube_record(f"q{n}", span=(n, n + 10 + n)) for n in range(12)]
    lines = [tube_line(f"q{n}", span=(n, n + 12)) for n in range(11)]
    text, tags = page_of(tmp_path, "hcstvg_v1", records, lines)
    assert tags.count("svg") == 4  # distribution, length, size, position
    for words in ("length of the true span", "size of the true box", "position in the video"):
        assert words in text
    assert "Worst queries" in text
    assert "Best queries" in text


def test_text_from_files_is_escaped(tmp_path):
    record = tube_record("<script>alert(1)</script>")
    line = {"id": record.id, "span_frames": None, "boxes": {}, "error": "<b>bad</b>: x"}
    text, tags = page_of(tmp_path, "hcstvg_v1", [record], [line])
    assert "script" not in tags
    assert "&lt;b&gt;bad&lt;/b&gt;" in text


@pytest.mark.parametrize(
    ("benchmark", "record", "line"),
    [
        ("charades_sta", time_record(), {"id": "q", "span_s": [0, 6]}),
        ("charades_sta", time_record(duration_s=float("nan")), {"id": "q", "span_s": [0, 6]}),
        ("qvhighlights", time_record(), {"id": "q", "windows": [[0, 6, 1]]}),
        ("refcoco", box_record(), {"id": "q", "boxes": {"0": [0, 0, 9, 9]}}),
    ],
)
def test_other_tasks(tmp_path, benchmark, record, line):
    _, tags = page_of(tmp_path, benchmark, [record], [line])
    assert "svg" in tags


def test_pictures_of_the_world(tmp_path, drawn_video):
    record = tube_record("q", span=(5, 15), media="drawn.mp4", frames=20, box=(20, 20, 60, 60),
                         width=160, height=90)  # fmt: skip
    missing = tube_record("gone", media="gone.mp4")
    lines = [tube_line("q", span=(6, 14), box=(25, 20, 65, 60)), tube_line("gone")]
    text, tags = page_of(tmp_path, "hcstvg_v1", [record, missing], lines, videos=drawn_video.parent)
    assert tags.count("img") == 1
    assert "no video gone.mp4" in text


@pytest.fixture(scope="module")
def drawn_video(tmp_path_factory):
    from fractions import Fraction

    from stvg.video.writer import VideoWriter

    path = tmp_path_factory.mktemp("video") / "drawn.mp4"
    with VideoWriter(path, fps=Fraction(10)) as writer:
        for number in range(20):
            writer.write(np.full((90, 160, 3), 10 * number, np.uint8), number / 10)
    return path


def test_properties_by_hand():
    found = properties(tube_record(span=(10, 35), box=(0, 0, 50, 40), frames=100))
    assert list(found.values()) == pytest.approx([1.0, 25.0, 22.5])
    found = properties(time_record())
    assert list(found.values()) == pytest.approx([10, 100 / 3, 100 / 6])


def test_bins_hold_all_queries_and_never_split_equal_values():
    generator = np.random.default_rng(0)
    values = generator.integers(0, 5, 200).astype(float)
    bins = binned(values, generator.random(200))
    assert sum(each.count for each in bins) == 200
    assert all(a.high < b.low for a, b in pairwise(bins))
    assert binned(np.full(3, np.nan), np.zeros(3)) == []
    assert len(binned(np.full(3, 2.0), np.zeros(3))) == 1


@pytest.mark.parametrize(
    "values", [[], [3.0], [0.0, 0.0], [1.0, 1000.0], [0.0, 5.0], [-3.0, 4.0], [0.011, 0.012]]
)
@pytest.mark.parametrize("is_log", [True, False])
def test_axes_of_any_values(values, is_log):
    array = np.array(values)
    axis = Axis.around("x", array, is_log=is_log)
    ticks = axis.ticks()
    assert 2 <= len(ticks) <= 11
    assert all(0 <= axis.place(each) <= 420 for each in [*ticks, *values])
    ids = [str(number) for number in range(len(values))]
    assert "nan" not in scatter_plot(axis, array, np.zeros(len(values)), ids, "vIoU")


def test_a_histogram_counts_every_query():
    text = histogram(np.array([0.0, 0.5, 1.0, np.nan]), "vIoU")
    assert sum(int(n) for n in re.findall(r": (\d+) queries", text)) == 3
