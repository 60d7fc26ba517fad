"""Render and parse are inverse, for any clip and any tube."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stvg.text import View, find_codec
from stvg.types import Interval, Tube
from tests.text.views import Scene, scenes

ROOT = Path(__file__).resolve().parents[2]
CODECS = ("compact", "qwen2_5_json", "thousandths_json")


def sides_in_units(name: str, view: View) -> tuple[int, int]:
    """Units across and down."""
    if name == "qwen2_5_json":
        return view.model_size
    return (100, 100) if name == "compact" else (1000, 1000)


@pytest.mark.parametrize("name", CODECS)
@settings(max_examples=100, deadline=None)
@given(scene=scenes())
def test_what_is_rendered_is_read_back(name: str, scene: Scene) -> None:
    codec, view = find_codec(name), scene.view
    text = codec.render(scene.tube, view)
    parsed = codec.parse(text, view)
    assert (parsed.repairs, parsed.problem) == ((), None)
    assert parsed.tube is not None
    assert parsed.interval == parsed.tube.interval == scene.tube.interval  # to the last bit
    steps = range(scene.first // view.frames_per_step, (scene.end - 1) // view.frames_per_step + 1)
    times = [view.box_time_s(step, scene.first, scene.end) for step in steps]
    assert parsed.tube.times_s.tolist() == times
    unit = scene.unit_px(*sides_in_units(name, view))
    true = scene.tube.at(times)
    # Half a unit; one where a box had to be made a unit wide or 999 stands for the edge, two for
    # both.
    is_thin = np.tile((true[:, 2:] - true[:, :2]) < unit[:2] * (1 + 1e-9), 2)
    # 999 is the largest number, and 998 the largest before it.
    last = np.tile(view.size, 2) - unit * [2, 2, 1, 1]
    is_at_edge = (true > last) & (name == "thousandths_json")
    bound = np.where(is_thin & is_at_edge, 2.0, np.where(is_thin | is_at_edge, 1.0, 0.5))
    assert (np.abs(parsed.tube.boxes - true) <= unit * bound + 1e-6).all()
    assert codec.render(parsed.tube, view) == text


@pytest.mark.parametrize("name", CODECS)
@settings(max_examples=60, deadline=None)
@given(scene=scenes(), cut=st.floats(0, 1))
def test_a_cut_answer_keeps_the_boxes_before_the_cut(name: str, scene: Scene, cut: float) -> None:
    codec, view = find_codec(name), scene.view
    text = codec.render(scene.tube, view)
    whole = codec.parse(text, view).tube
    part = codec.parse(text[: int(cut * len(text))], view)
    assert whole is not None
    if part.tube is None:
        return
    # The last number of a compact answer may have lost a digit: that box may differ.
    count = len(part.tube) - (name == "compact")
    if part.interval == whole.interval:
        assert part.tube.times_s[:count].tolist() == whole.times_s[:count].tolist()
        assert part.tube.boxes[:count].tolist() == whole.boxes[:count].tolist()


VIEW = View(np.arange(8) + 0.5, np.arange(9.0), (200, 100), (100, 50), 2)
TUBE = Tube(Interval(2.0, 6.2), [3.0, 5.0], [[20, 20, 60, 40], [40, 20, 80, 60]])
RENDERED = {
    "compact": "<t_2> <t_6> : <t_2> 10 20 30 40 <t_4> 20 20 40 60",
    "qwen2_5_json": '{"time": [2.0, 6.0], "boxes": [{"time": 3.0, "bbox_2d": [010, 010, 030, 020]},'
    ' {"time": 5.0, "bbox_2d": [020, 010, 040, 030]}]}',
    "thousandths_json": '{"time": [2.0, 6.0], "boxes": [{"time": 3.0, "bbox_2d": '
    '[100, 200, 300, 400]}, {"time": 5.0, "bbox_2d": [200, 200, 400, 600]}]}',
}


@pytest.mark.parametrize("name", CODECS)
def test_answers_look_as_documented(name: str) -> None:
    assert find_codec(name).render(TUBE, VIEW) == RENDERED[name]
    assert RENDERED[name] in (ROOT / "docs" / "answers.md").read_text()


def test_part_of_a_step() -> None:
    # frames 1 to 4: one of step 0, both of step 1, one of step 2
    tube = Tube(Interval(1.0, 5.0), [1.0], [[0, 0, 200, 100]])
    text = find_codec("compact").render(tube, VIEW)
    assert text == "<t_1> <t_5> : <t_0> 0 0 100 100 <t_2> 0 0 100 100 <t_4> 0 0 100 100"
    parsed = find_codec("compact").parse(text, VIEW).tube
    assert parsed is not None
    assert parsed.times_s.tolist() == [1.5, 3.0, 4.5]


def test_thin_boxes_get_one_unit_inside_the_frame() -> None:
    # 50.4 % wide at nothing; a line on the right edge; a point in the corner
    for box, numbers in (
        ([100.8, 0, 100.8, 100], "50 0 51 100"),
        ([200, 10, 200, 20], "99 10 100 20"),
        ([0, 0, 0, 0], "0 0 1 1"),
    ):
        text = find_codec("compact").render(Tube(Interval(0, 1), [0], [box]), VIEW)
        assert text == f"<t_0> <t_1> : <t_0> {numbers}"


def test_a_box_at_the_edge_that_three_digits_do_not_reach() -> None:
    # 998.5 to 1000 thousandths across: 999 stands for the edge, so 998 is the next before it
    box = [199.7, 0, 200, 100]
    text = find_codec("thousandths_json").render(Tube(Interval(0, 1), [0], [box]), VIEW)
    assert "[998, 000, 999, 999]" in text


def test_halves_of_a_unit_go_up() -> None:
    # 0.5 and 1.5 percent across, 1.5 and 2.5 percent down: widths never shrink by rounding
    text = find_codec("compact").render(Tube(Interval(0, 1), [0], [[1, 1.5, 3, 2.5]]), VIEW)
    assert text == "<t_0> <t_1> : <t_0> 1 2 2 3"


def test_decimals_follow_the_shortest_time() -> None:
    # 4 decimals of a millisecond gap; 1 where frames are a second apart, as above
    times = np.array([0.0, 0.001, 0.5])
    view = View(times, [0, 0.001, 0.5, 1.0], (200, 100), (100, 50), 1)
    tube = Tube(Interval(0.001, 0.5), [0.1], [[0, 0, 200, 100]])
    text = find_codec("thousandths_json").render(tube, view)
    assert text.startswith('{"time": [0.0010, 0.5000], "boxes": [{"time": 0.0010,')
