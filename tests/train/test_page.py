"""The live page: everything escaped, curves at the right places, findings that fire when due."""

from __future__ import annotations

import base64
import io
import json
import math
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stvg.rewards import Score
from stvg.train.page import Sample, Shown, Written, write_page
from stvg.train.page.curves import MOST_POINTS
from stvg.train.page.findings import FEWEST, RECENT, findings
from stvg.train.page.samples import LONG_SIDE, MOST_FRAMES
from stvg.types import Interval

VOID = {"meta", "link", "input", "image", "rect", "line", "circle", "polyline", "polygon", "path"}
NAN_BOX = [np.nan] * 4


class Page(HTMLParser):
    """The elements of a page with what is written directly in them; every tag must be closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[tuple[str, dict[str, str | None]]] = []
        self.found: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.inside: list[list[str]] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = (tag, dict(attrs), list[str]())
        self.found.append(element)
        if tag not in VOID:
            self.open.append(element[:2])
            self.inside.append(element[2])

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs), []))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag
        self.inside.pop()

    def handle_data(self, data: str) -> None:
        for texts in self.inside:
            texts.append(data)

    def all(self, tag: str, kind: str | None = None) -> list[tuple[dict[str, str | None], str]]:
        """Attributes and whole text of every element of a tag and, where given, a class."""
        return [
            (attrs, "".join(texts))
            for name, attrs, texts in self.found
            if name == tag and (kind is None or kind in (attrs.get("class") or "").split())
        ]


def write(
    folder: Path,
    entries: list[dict[str, Any]] | None = None,
    samples: list[Sample] | None = None,
    title: str = "a run",
    **options: bool,
) -> Page:
    write_page(folder / "live.html", title, entries or [], samples or [], **options)
    return Page((folder / "live.html").read_text(encoding="utf-8"))


def numbers(text: str | None) -> list[float]:
    assert text is not None
    return [float(each) for each in text.split()]


def line_of(page: Page, name: str) -> dict[str, str | None]:
    return next(attrs for attrs, _ in page.all("g", "line") if attrs["data-name"] == name)


def completion(total: float | None = 1.0, **changes: Any) -> Written:
    nowhere = Shown(None, np.full((2, 4), np.nan))
    fields = {
        "text": "<time>1 2</time>", "scores": {}, "advantage": 0.0, "finished": True,
        "problem": None, "final": nowhere, "draft": None,
    }  # fmt: skip
    return Written(total=total, **{**fields, **changes})


def sample(*written: Written, **changes: Any) -> Sample:
    fields = {
        "step": 7, "name": "clip 3", "query": "the dog", "truth": None,
        "frames": np.zeros((2, 40, 60, 3), np.uint8), "times_s": np.array([0.0, 1.0]),
    }  # fmt: skip
    return Sample(written=written, **{**fields, **changes})


def scored(**scores: Score) -> Written:
    return completion(scores=scores)


# Text


def test_nothing_of_a_user_becomes_markup(tmp_path):
    evil = "<script>alert('x')</script> & \"<time>\""
    boxes = Shown(Interval(0, 1), np.array([[1.0, 2, 3, 4], NAN_BOX]))
    each = completion(
        text=evil, scores={evil: Score(1.0, evil)}, problem=evil, final=boxes, draft=boxes
    )
    entries = [{"step": 1, evil: 1.0, f"{evil}/a": 1.0, f"{evil}/b": 2.0,
                "broken": {"task": {evil: evil}}}]  # fmt: skip
    page = write(tmp_path, entries, [sample(each, name=evil, query=evil)], title=evil)
    assert len(page.all("script")) == 1
    assert not page.all("time")
    assert [text for _, text in page.all("pre")] == [evil]
    assert [text for _, text in page.all("h1")] == [evil]
    assert [text for _, text in page.all("h3")] == [evil]
    assert page.all("title")[0][1] == evil
    assert evil in page.all("td")[-1][0]["data-label"]
    assert f"cannot be read: {evil}" in page.all("small", "bad")[0][1]
    assert f"such as {evil}: {evil}" in page.all("section", "findings")[0][1]
    assert any(evil == text for _, text in page.all("figcaption"))


def test_text_that_is_no_text_is_written_all_the_same(tmp_path):
    page = write(tmp_path, samples=[sample(completion(text="half a sign \ud83d"))])
    assert page.all("pre")[0][1] == "half a sign ?"


def test_nothing_comes_from_outside(tmp_path):
    page = write(tmp_path, [{"step": 1, "norm": 1.0}], [sample(completion())])
    for _, attrs, _ in page.found:
        for name in ("src", "href"):
            assert (attrs.get(name) or "#").startswith(("data:", "#"))


def test_a_run_that_is_over_does_not_look_live(tmp_path):
    live, over = write(tmp_path), write(tmp_path, is_over=True)
    assert (live.all("body")[0][0]["data-live"], over.all("body")[0][0]["data-live"]) == ("1", "")
    assert live.all("p")[0][1].startswith("running")
    assert over.all("p")[0][1].startswith("the run is over")


def test_empty(tmp_path):
    page = write(tmp_path)
    assert "The log has no lines yet." in [text for _, text in page.all("p")]
    assert not page.all("section")
    assert not page.all("nav")


def test_head(tmp_path):
    entries = [
        {"step": 20, "seen": 12000, "seconds": 3723.4, "reward/total": 0.5},
        {"step": 20, "seen": 12000, "val/a/loss/answer": 1.0},  # a line of validation
    ]
    page = write(tmp_path, entries)
    told = dict(zip([t for _, t in page.all("dt")], [t for _, t in page.all("dd")], strict=True))
    assert told == {
        "step": "20", "clips seen": "12,000", "elapsed": "1 h 2 min", "mean reward": "0.5"
    }  # fmt: skip


# Curves


def test_points_lie_where_the_axis_says(tmp_path):
    entries = [{"step": step, "norm": value} for step, value in ((10, 0.0), (20, 3.0), (40, 4.0))]
    page = write(tmp_path, entries)
    attrs = line_of(page, "norm")
    assert numbers(attrs["data-steps"]) == [10, 20, 40]
    assert numbers(attrs["data-values"]) == [0, 3, 4]
    left, right, first, last = numbers(page.all("svg")[0][0]["data-frame"])
    assert (first, last) == (0, 40)
    points = [tuple(map(float, pair.split(","))) for pair in
              (page.all("polyline")[0][0]["points"] or "").split()]  # fmt: skip
    # steps 10, 20, 40 of 40: a quarter, half, and all of the way
    x = [left + share * (right - left) for share in (0.25, 0.5, 1)]
    assert [point[0] for point in points] == pytest.approx(x, abs=0.051)
    # the axis goes from 0 to 4: bottom, three quarters, top
    heights = {attrs["y1"] for attrs, _ in page.all("line", "zero") + page.all("line", "grid")}
    top, bottom = min(map(float, heights)), max(map(float, heights))
    y = [bottom, bottom + 0.75 * (top - bottom), top]
    assert [point[1] for point in points] == pytest.approx(y, abs=0.051)


def test_losses_far_apart_are_drawn_in_powers_of_ten(tmp_path):
    entries = [{"step": 1, "a/loss/x": 1.0, "a/loss/y": 0.01}, {"step": 2, "a/loss/x": 0.1,
               "a/loss/y": 0.01}]  # fmt: skip
    page = write(tmp_path, entries)
    assert page.all("figcaption")[0][1] == "a/losslogarithmic"
    heights = [float(pair.split(",")[1]) for attrs, _ in page.all("polyline")
               for pair in (attrs["points"] or "").split()]  # fmt: skip
    top, middle, bottom, _ = heights
    assert middle == pytest.approx((top + bottom) / 2, abs=0.11)  # 0.1 between 1 and 0.01


def test_long_logs_are_means_of_neighbours(tmp_path):
    count = 2 * MOST_POINTS  # an even number: the newest value is 0
    entries = [{"step": step, "norm": 2.0 * (step % 2)} for step in range(1, count + 1)]
    page = write(tmp_path, entries)
    attrs = line_of(page, "norm")
    assert numbers(attrs["data-steps"]) == [*range(2, count - 1, 2), count - 1, count]
    assert numbers(attrs["data-values"]) == [1.0] * (MOST_POINTS - 1) + [2.0, 0.0]
    assert page.all("polygon")
    assert "their least and greatest" in page.all("section")[0][1]
    assert page.all("figcaption")[0][1] == "norm of the gradient0"


def test_rewards_have_their_spread_around_them(tmp_path):
    entries = [{"step": 1, "reward/a": 0.5, "spread/a": 0.25}, {"step": 2, "reward/a": 1.0,
               "spread/a": 0.0}, {"step": 3, "spread/b": 0.5}]  # fmt: skip
    page = write(tmp_path, entries)
    assert {attrs["data-name"] for attrs, _ in page.all("g", "line")} == {"a", "b"}
    assert "one standard deviation within a group" in page.all("section")[0][1]
    attrs = line_of(page, "a")
    assert numbers(attrs["data-spread"]) == [0.25, 0]
    polygon = [tuple(map(float, pair.split(","))) for pair in
               (page.all("polygon")[0][0]["points"] or "").split()]  # fmt: skip
    curve = [tuple(map(float, pair.split(","))) for pair in
             (page.all("polyline")[0][0]["points"] or "").split()]  # fmt: skip
    below, above = polygon[0][1] - curve[0][1], curve[0][1] - polygon[-1][1]
    # 0.25 each way is half of the way from 0.5 to 1
    half = (curve[0][1] - curve[1][1]) / 2
    assert (below, above) == (pytest.approx(half, abs=0.11), pytest.approx(half, abs=0.11))


def test_every_number_finds_a_chart(tmp_path):
    entry = {
        "step": 1, "seen": 4, "rate": 0.1, "seconds": 1.0, "cpu_s": 2.0, "reward/total": 1.0,
        "share/cut": 0.0, "kl": 0.1, "loss/policy": 0.0, "loss/anchor": 0.1, "world/loss/cell": 1,
        "world/share/time": 0.5, "val/world/loss/cell": 2, "evaluate/m_tIoU": 0.3,
        "evaluate/queries": 200, "a/b/c/d": 5, "odd key": 6, "": 7, "/": 8,
        "flag": True, "words": "no number", "nothing": None, "listed": [1],
    }  # fmt: skip
    page = write(tmp_path, [entry])
    drawn = {
        attrs["data-name"]: numbers(attrs["data-values"]) for attrs, _ in page.all("g", "line")
    }
    assert drawn.keys() >= {"rate", "seconds", "cpu_s", "total", "cut", "kl", "policy", "anchor",
                            "cell", "time", "m_tIoU", "queries", "d", "odd key", ""}  # fmt: skip
    assert not drawn.keys() & {"step", "seen", "flag", "words", "nothing", "listed"}
    assert (drawn["odd key"], drawn["d"]) == ([6], [5])
    titles = {text for _, text in page.all("h2")}
    assert titles == {"Rewards", "Completions", "Policy", "Tasks", "Validation", "Run"}
    assert len(page.all("g", "line")) == 17


def test_what_is_not_finite_is_left_out(tmp_path):
    lines = [
        '{"step": 1, "norm": 2.0}',
        '{"step": 2, "norm": NaN}',
        '{"step": 3, "norm": Infinity}',
        '{"step": NaN, "norm": 5.0}',
        '{"norm": 6.0}',
        '{"step": 4, "norm": 3.0}',
    ]
    page = write(tmp_path, [json.loads(line) for line in lines])
    attrs = line_of(page, "norm")
    assert numbers(attrs["data-steps"]) == [1, 4]
    assert numbers(attrs["data-values"]) == [2, 3]
    assert "nan" not in (tmp_path / "live.html").read_text().split("<body")[1].split("<script")[0]


@pytest.mark.parametrize("value", [0.0, -1.0, 1e-9, 1e12, 0.1 + 0.2])
def test_a_constant_is_drawn(tmp_path, value):
    page = write(tmp_path, [{"step": step, "odd": value} for step in (1, 2)])
    points = page.all("polyline")[0][0]["points"] or ""
    heights = {float(pair.split(",")[1]) for pair in points.split()}
    assert len(heights) == 1
    assert all(map(math.isfinite, heights))


# Findings


def stuck(lines: int, value: float = 0.0, spread: float = 0.0) -> list[dict[str, Any]]:
    return [{"step": n, "reward/spatial": value, "spread/spatial": spread} for n in range(lines)]


def test_a_stuck_reward_is_told_with_its_reason():
    late = Score(0.0, "no time in common")
    samples = [sample(scored(spatial=late), scored(spatial=late)),
               sample(scored(spatial=Score(0.0, "no interval")))]  # fmt: skip
    assert findings(stuck(RECENT + 9), samples) == [
        f"Reward spatial has been 0 in the last {RECENT} lines for every completion: most frequent "
        "reason “no time in common” (2 of the 3 shown below)"
    ]
    assert findings(stuck(FEWEST, value=-1.0), []) == [
        f"Reward spatial has been −1 in the last {FEWEST} lines for every completion"
    ]


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param(stuck(FEWEST - 1), id="too early to say"),
        pytest.param(stuck(RECENT, value=1.0), id="always right"),
        pytest.param(stuck(RECENT, spread=0.3), id="differs within groups"),
        pytest.param([*stuck(RECENT), *stuck(1, value=0.1)], id="moved in the newest line"),
        pytest.param([{"step": 1}] * RECENT, id="not logged"),
    ],
)
def test_a_reward_that_is_not_stuck_is_not_told(entries):
    assert findings(entries, []) == []


def test_reasons_are_counted_apart_from_their_numbers():
    reasons = ["1 to 2.5 s against 3 to 4 s: 0.000", "7 to 8 s against 10 to 11 s: 0.000",
               "no interval in t_1"]  # fmt: skip
    samples = [sample(*(scored(spatial=Score(0.0, reason)) for reason in reasons))]
    assert "“… to … s against … to … s: …” (2 of the 3" in findings(stuck(RECENT), samples)[0]


@pytest.mark.parametrize(
    ("name", "fires", "silent", "words"),
    [
        ("flat", 0.83, 0.5, "83 % of groups are flat"),
        ("no_overlap", 0.6, 0.5, "in 60 % of groups no completion meets the true interval"),
        ("cut", 0.41, 0.09, "41 % of completions are cut off"),
        ("unreadable", 0.12, 0.09, "12 % of completions cannot be read"),
        ("failed", 0.004, 0.0, "rewards broke down on 0.4 % of completions"),
    ],
)
def test_high_shares_are_told(name, fires, silent, words):
    old = [{"step": 0, f"share/{name}": 1.0}]  # before the recent lines
    told = findings([*old, *[{"step": 1, f"share/{name}": fires}] * RECENT], [])
    assert len(told) == 1
    assert told[0].startswith(words)
    assert findings([*old, *[{"step": 1, f"share/{name}": silent}] * RECENT], []) == []


def test_why_completions_cannot_be_read_or_judged():
    written = [
        completion(problem="no box at step 3"),
        completion(problem="no box at step 4"),
        scored(own=Score(None, "raised KeyError: 5", failed=True)),
        scored(own=Score(0.5, "fair")),
    ]
    entries = [{"step": 1, "share/unreadable": 0.5, "share/failed": 0.25}]
    told = findings(entries, [sample(*written)])
    assert told[0].endswith(": most frequent reason “no box at step …” (2 of the 2 shown below)")
    assert told[1].endswith("“raised KeyError: …” (1 of the 1 shown below)")


def test_numbers_that_are_none_are_told_while_they_last():
    entries = [{"step": 1, "norm": math.nan, "kl": math.inf}, {"step": 2, "norm": 1.0}]
    assert findings(entries, []) == ["no longer a finite number: kl"]


def test_clips_that_are_broken_are_told():
    entries = [{"step": 1, "broken": {"a": {"one.mp4": "no video"}}},
               {"step": 2, "broken": {"a": {"two.mp4": "?"}}},
               {"step": 3}]  # fmt: skip
    assert findings(entries, []) == ["clips that could not be used: 2, such as one.mp4: no video"]


def test_the_box_of_findings_is_there_only_when_due(tmp_path):
    assert not write(tmp_path, [{"step": 1, "share/cut": 0.0}]).all("section", "findings")
    page = write(tmp_path, stuck(RECENT))
    assert "Reward spatial has been 0" in page.all("section", "findings")[0][1]


# Samples


def test_completions_come_by_reward_and_what_is_missing_is_said(tmp_path):
    written = (
        completion(None, text="unjudged", advantage=None, finished=False,
                   scores={"a": Score(None, "there is no target")}),
        completion(0.25, text="worse", scores={"a": Score(-0.5, "far"), "b": Score(1.0, "fine")}),
        completion(2.0, text="best", advantage=1.5,
                   scores={"a": Score(None, "raised E", failed=True)}),
    )  # fmt: skip
    page = write(tmp_path, samples=[sample(*written)])
    rows = [text for _, text in page.all("tr")][1:]
    assert rows == [
        "12.000+1.500bestfailedraised Enot asked",
        "20.250+0.000worse−0.500far1.000fine",
        "3not judgedleft outunjudgedcut off at the longest lengthdoes not applythere is no target"
        "not asked",
    ]
    inputs = [attrs for attrs, _ in page.all("input")]
    assert ["checked" in attrs for attrs in inputs] == [True, False, False]
    assert [attrs["aria-label"] for attrs in inputs] == [
        f"show the boxes of completion {number}" for number in (1, 2, 3)
    ]
    style = page.all("style")[0][1]
    assert ".sample:has(.pick-2:checked) .of-2" in style
    assert ".pick-3:checked" not in style


def test_boxes_lie_on_their_frames(tmp_path):
    truth = Shown(Interval(0, 1), np.array([[1.0, 2, 11, 22], NAN_BOX]))
    final = Shown(Interval(1, 2), np.array([NAN_BOX, [30.0, 25, 20, 5]]))  # corners reversed
    draft = Shown(Interval(1, 2), np.array([NAN_BOX, [0.0, 0, 60, 40]]))
    page = write(tmp_path, samples=[sample(completion(final=final, draft=draft), truth=truth)])

    def place(kind: str) -> list[list[float]]:
        return [numbers(" ".join(str(attrs[side]) for side in ("x", "y", "width", "height")))
                for attrs, _ in page.all("rect", kind)]  # fmt: skip

    assert place("true") == [[1, 2, 10, 20]]
    assert place("answer") == [[20, 5, 10, 20]]
    assert place("draft") == [[0, 0, 60, 40]]
    figures = page.all("div", "strip")[0][1]
    assert figures == "0.00 s1.00 s"


def test_intervals_lie_on_the_timeline(tmp_path):
    boxes = np.full((2, 4), np.nan)
    written = completion(final=Shown(Interval(1.0, 4.0), boxes))
    truth = Shown(Interval(0.5, 2.0), boxes)
    page = write(tmp_path, samples=[sample(written, completion(0.0), truth=truth)])
    # the last end, 4 s, is the end of the line: 0.5 s is at 12.5 %
    assert page.all("i", "true")[0][0]["style"] == "left: 12.50%; width: 37.50%"
    bars = [attrs["style"] for attrs, _ in page.all("i", "answer") if "style" in attrs]
    assert bars == ["left: 25.00%; width: 75.00%"]
    assert page.all("div", "timeline")[0][1] == "truth0.5 to 2 s11 to 4 s2no interval0 s4 s"


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, []), (1, [0]), (3, [0, 1, 2]), (15, [0, 2, 4, 6, 8, 10, 12, 14])],
)
def test_frames_are_chosen_evenly(tmp_path, count, shown):
    frames = np.zeros((count, 4, 4, 3), np.uint8)
    frames[:] = 10 * np.arange(count)[:, None, None, None]
    boxes = Shown(None, np.full((count, 4), np.nan))
    page = write(
        tmp_path,
        samples=[sample(completion(final=boxes), frames=frames, times_s=np.arange(float(count)))],
    )
    pictures = [picture_of(attrs) for attrs, _ in page.all("image")]
    assert len(pictures) <= MOST_FRAMES
    assert [int(np.asarray(picture)[0, 0, 0]) // 10 for picture in pictures] == shown
    assert all(attrs["class"] == "pixels" for attrs, _ in page.all("image"))


def picture_of(attrs: dict[str, str | None]) -> Image.Image:
    head, data = (attrs["href"] or "").split(",")
    assert head == "data:image/webp;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_large_frames_are_made_small_and_boxes_keep_their_pixels(tmp_path):
    frames = np.zeros((2, 252, 448, 3), np.uint8)
    truth = Shown(None, np.array([[400.0, 200, 448, 252], NAN_BOX]))
    page = write(tmp_path, samples=[sample(completion(), frames=frames, truth=truth)])
    assert picture_of(page.all("image")[0][0]).size == (LONG_SIDE, 108)  # 252 * 192 / 448
    assert page.all("svg")[0][0]["viewbox"] == "0 0 448 252"
    assert page.all("rect", "true")[0][0]["x"] == "400.0"


def test_a_prompt_without_completions(tmp_path):
    page = write(tmp_path, samples=[sample()])
    assert "There are no completions." in [text for _, text in page.all("p")]


def test_a_page_with_many_pictures_stays_small(tmp_path):
    noise = np.random.default_rng(0)
    coarse = noise.integers(0, 255, (8, 63, 112, 3)).astype(np.uint8)
    frames = coarse.repeat(4, axis=1).repeat(4, axis=2)  # far harder to pack than a video
    boxes = Shown(Interval(0, 1), noise.uniform(0, 250, (8, 4)))
    written = [completion(text="<time>1 2</time> " * 60, final=boxes, draft=boxes)] * 8
    samples = [sample(*written, frames=frames, times_s=np.arange(8.0), truth=boxes)] * 4
    names = [f"task-{task}/loss/{name}" for task in range(3) for name in "abcdefghijk"]
    entries = [{"step": step, **dict.fromkeys(names, 1 / (step + 1))} for step in range(3000)]
    write(tmp_path, entries, samples)
    assert (tmp_path / "live.html").stat().st_size < 1_500_000
