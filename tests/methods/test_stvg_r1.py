"""``stvg_r1``: numbers on objects, answers that name them, and the boxes these stand for."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the models extra is not installed")
pytest.importorskip("transformers", reason="the models extra is not installed")

from stvg.backbones.asking import Answer  # noqa: E402
from stvg.backbones.preprocess import unpatchify  # noqa: E402
from stvg.backbones.qwen import QwenBackbone  # noqa: E402
from stvg.errors import UsageError  # noqa: E402
from stvg.methods.stvg_r1 import Method as StvgR1  # noqa: E402
from stvg.methods.stvg_r1.config import StvgR1Config  # noqa: E402
from stvg.methods.stvg_r1.readout import as_authors, hold  # noqa: E402
from stvg.train.fresh import FreshConfig, fresh_model, fresh_tokenizer  # noqa: E402
from stvg.types import Clip, Interval, Query, Track, Tracks, Tube, VideoMeta  # noqa: E402

torch.set_num_threads(1)
OPTIONS = {"grammar": "r1_compact", "frames": 16, "side": 64, "even_steps": True,
           "detector": "figures"}  # fmt: skip
META = VideoMeta("clip.mp4", 128, 128, Fraction(8), 2.0, 16)
LEFT, RIGHT = [10.0, 40.0, 50.0, 80.0], [70.0, 40.0, 110.0, 80.0]
QUERY = Query("the red ball moves")


@pytest.fixture(scope="module")
def method() -> Any:
    config = FreshConfig(hidden=32, layers=2, inner=32, tower_hidden=32, tower_inner=32)
    backbone = QwenBackbone(fresh_model(config), fresh_tokenizer(), "random")
    return StvgR1(backbone, StvgR1Config.of(OPTIONS))


def track(number: int, box: list[float], frames: Any = range(16)) -> Track:
    count = len(frames)
    return Track(number, "figure", np.array(frames), np.array([box] * count), np.ones(count))


def clip_of(*tracks: Track) -> Clip:
    frames = np.full((16, 64, 64, 3), 90, np.uint8)
    return Clip(META, frames, np.arange(16) / 8, np.arange(16), numbered=Tracks(META, tracks))


BOTH = clip_of(track(1, LEFT), track(2, RIGHT))


def decode(method: Any, text: str, clip: Clip = BOTH) -> Any:
    encoded = method.encode(clip, QUERY)
    return method.decode((Answer(text, (1, 2), 0.5, True), encoded), clip, QUERY)


def said(number: int, first: int = 2, end: int = 6) -> str:
    return f"target id : {number} , time range : <t_{first}> to <t_{end}>"


def test_the_model_sees_a_number_on_each_object(method: Any) -> None:
    pixels = method.encode(BOTH, QUERY).question.pixels
    frames = unpatchify(pixels.rows, pixels.grid, method.backbone.layout)
    changed = (frames != 90).any(axis=-1)  # (T, H, W)
    for x in (15, 45):  # middles of the objects at half the size
        assert changed[:, 25:35, x - 4 : x + 4].any(axis=(1, 2)).all()
    assert not changed[:, :20].any()
    assert not changed[:, :, 28:32].any()
    assert (BOTH.frames == 90).all()  # the clip itself is not painted on


def test_a_number_is_read_out_as_the_boxes_of_its_object(method: Any) -> None:
    found = decode(method, said(2))
    assert found.tube.interval == Interval(0.25, 0.75)
    np.testing.assert_allclose(found.tube.boxes, [RIGHT] * 4)
    assert found.warnings == ()


def test_numbers_that_nothing_carries(method: Any) -> None:
    found = decode(method, said(7))
    assert found.tube is None
    assert found.warnings[0] == "nothing found: no object carries the number 7, only 1, 2"
    found = decode(method, "the red one")
    assert found.tube is None
    assert "no number and no interval" in found.warnings[0]


def test_several_numbers_are_told(method: Any) -> None:
    found = decode(method, "target id : 2 , 1 , time range : <t_0> to <t_4>")
    np.testing.assert_allclose(found.tube.boxes, [RIGHT] * 4)
    assert "took the first of the numbers (2, 1)" in found.warnings


def test_a_video_without_objects_is_the_whole_picture(method: Any) -> None:
    found = decode(method, said(1), clip_of())
    np.testing.assert_allclose(found.tube.boxes, [[0, 0, 128, 128]] * 4)
    assert any("no object was found" in warning for warning in found.warnings)


def test_frames_without_a_sight(method: Any) -> None:
    moved = replace(track(1, LEFT, [2, 6]), boxes=np.array([LEFT, [30.0, 40, 70, 80]]))
    found = decode(method, said(1, 2, 9), clip_of(moved))
    x = found.tube.boxes[:, 0]
    np.testing.assert_allclose(x, [10, 15, 20, 25, 30, 30, 30])
    told = " ".join(found.warnings)
    assert "on a straight line" in told
    assert "nearest box is held" in told


def test_training_names_the_object_that_the_target_shows(method: Any) -> None:
    target = Tube(Interval(0.25, 1.0), np.arange(2, 8) / 8, [[72, 42, 112, 82]] * 6)
    encoded = method.encode(BOTH, QUERY, target)
    text = method.backbone.tokenizer.decode(encoded.target)
    assert text == "target id : 2 , time range : <t_2> to <t_8> <|im_end|>"
    assert encoded.truth.number == 2
    right = method.judged(encoded.target[:-1], encoded.view, encoded.marked)
    wrong = method.read(said(1, 2, 8), encoded.view, encoded.marked)
    totals = method.rewards().mix()([right, wrong], [encoded.truth] * 2)
    scores = [{name: score.value for name, score in total.scores.items()} for total in totals]
    overlap = pytest.approx(38 * 38 / (2 * 1600 - 38 * 38))
    expected = {"temporal": 1, "number": 1, "marked_overlap": overlap, "think_format": 0}
    assert scores[0] == expected
    assert (scores[1]["number"], scores[1]["temporal"]) == (0, 1)


def test_a_target_that_carries_no_number_is_told(method: Any) -> None:
    nowhere = Tube(Interval(0.25, 1.0), np.arange(2, 8) / 8, [[0, 100, 20, 128]] * 6)
    encoded = method.encode(BOTH, QUERY, nowhere)
    assert encoded.target is None
    assert encoded.problem == "none of the painted numbers is the target's"


def test_only_painted_numbers_can_be_written(method: Any) -> None:
    clip = clip_of(track(3, LEFT), track(5, RIGHT))
    ((answer, _),) = method.run([method.encode(clip, QUERY)])
    words = answer.text.split()
    assert words[:3] == ["target", "id", ":"]
    assert words[3] in ("3", "5")
    assert answer.finished


def test_a_template_of_the_users_takes_the_place_of_ours(method: Any) -> None:
    other = StvgR1(
        method.backbone, StvgR1Config.of({**OPTIONS, "template": "{query} in {duration}"})
    )
    text = other.prompt(QUERY, method.encode(BOTH, QUERY).view)
    assert text == "the red ball moves in 2.00"
    long = StvgR1(method.backbone, StvgR1Config.of({**OPTIONS, "grammar": "r1"}))
    asked = long.prompt(Query("a dog runs."), method.encode(BOTH, QUERY).view)
    assert asked.startswith('The sentence is: "a dog runs"\nEvery object')


def test_grammars_of_boxes_are_refused(method: Any) -> None:
    with pytest.raises(UsageError, match="no grammar of painted numbers 'compact'"):
        StvgR1(method.backbone, StvgR1Config.of({**OPTIONS, "grammar": "compact"}))


def marks(**tubes: Any) -> dict[int, Tube]:
    whole = Interval(0.0, 10.0)
    return {int(name[1:]): Tube(whole, times, boxes) for name, (times, boxes) in tubes.items()}


def test_the_released_read_out_takes_other_objects() -> None:
    """Times 0 to 4: the right object is seen at 0 and 1; others overlap it at 2, lie apart at 3."""
    found = marks(
        n1=([0.0, 1.0], [[0, 0, 10, 10], [0, 0, 12, 10]]),
        n2=([2.0, 3.0], [[2, 0, 12, 10], [50, 50, 60, 60]]),
        n3=([2.0, 3.0], [[90, 90, 99, 99], [70, 70, 99, 99]]),
    )
    out = as_authors(found, 1, Interval(0.0, 5.0), np.arange(5.0))
    assert out.tube is not None
    assert out.tube.boxes.tolist() == [
        [0, 0, 10, 10], [0, 0, 12, 10],
        [2, 0, 12, 10],  # overlaps the remembered box best
        [70, 70, 99, 99],  # nothing overlaps it: the largest
        [0, 0, 12, 10],  # nothing is there: the remembered box
    ]  # fmt: skip
    assert out.repairs == ("object 1 is not seen in 3 frames: boxes of others are taken",)
    first = as_authors(found, 2, Interval(0.0, 1.0), np.arange(5.0)).tube
    assert first is not None
    assert first.boxes.tolist() == [[0, 0, 10, 10]]  # before its first sight: who overlaps that


def test_nothing_in_the_interval() -> None:
    found = marks(n1=([0.0], [[0, 0, 10, 10]]))
    for read_out in (hold, as_authors):
        assert read_out(found, 1, Interval(1.2, 1.4), np.arange(5.0)).tube is None
