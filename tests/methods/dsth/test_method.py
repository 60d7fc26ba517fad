"""``dsth`` from options to tube."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stvg.errors import UsageError, WeightsError
from stvg.grounding import ground
from stvg.methods.dsth import Method as Dsth
from stvg.methods.dsth.config import DsthConfig
from stvg.methods.dsth.highlight import Highlight
from stvg.methods.dsth.method import Encoded, Output, layers_of
from stvg.methods.dsth.sentences import Parts
from stvg.types import Clip, Query, Scene, SceneObject, Track, VideoMeta
from tests.methods.dsth.models import small_backbone, small_qwen2

META = VideoMeta("clip.mp4", 256, 128, Fraction(8), 2.0, 16)
OPTIONS = {"frames": 8, "side": 64, "question": "{}"}


@pytest.fixture(scope="module")
def backbone() -> Any:
    return small_backbone()


def method_of(backbone: Any, **options: Any) -> Dsth:
    return Dsth(backbone, DsthConfig.of({**OPTIONS, **options}))


def thing(number: int, box: Sequence[float], frames: Any, score: float = 0.9) -> SceneObject:
    """An object at rest."""
    track = Track(number, "ball", frames, np.tile(box, (len(frames), 1)), [score] * len(frames))
    return SceneObject(track, {"ball": 1.0}, np.zeros((3, 11)))


def clip_of(*objects: SceneObject, frames: Sequence[int] = range(0, 16, 2), seed: int = 0) -> Clip:
    pictures = np.random.default_rng(seed).integers(0, 256, (len(frames), 64, 64, 3), np.uint8)
    scene = Scene(META, objects, "made", np.arange(16), ("ball",))
    return Clip(META, pictures, np.array(frames) / 8, np.array(frames), scene)


LEFT = thing(1, [0, 0, 64, 128], np.arange(16))
RIGHT = thing(2, [192, 0, 256, 128], np.arange(4, 16))


def output_of(space: Any, time: Any, back: Any = None) -> Output:
    """Maps of one token, (T, rows, columns)."""
    encoded = Encoded(None, Parts("a", "b", "rules"), "a b", {})  # type: ignore[arg-type]
    highlights = [None if each is None else Highlight(each[None]) for each in (space, time, back)]
    looks, action, reverse = highlights
    assert looks is not None
    assert action is not None
    return Output(encoded, looks, action, reverse)


def test_the_maps_say_which_object_and_when(backbone: Any) -> None:
    space, time = np.ones((4, 4, 4)), np.full((4, 4, 4), 0.5)  # a step is two frames of the clip
    space[2, 1, 3] = 5.0  # in the right object
    time[1:3, :, 3] = 2.0
    time[0, :, 0] = 9.0  # in the other
    found = method_of(backbone).decode(
        output_of(space, time), clip_of(LEFT, RIGHT), Query("a ball")
    )
    assert found.tube is not None
    # steps 1 and 2 are frames 4 to 11 of the source, which last from 0.5 s to 1.5 s
    assert (found.tube.interval.start_s, found.tube.interval.end_s) == (0.5, 1.5)
    assert found.tube.times_s.tolist() == [frame / 8 for frame in range(4, 12)]
    np.testing.assert_array_equal(found.tube.boxes, [[192, 0, 256, 128]] * 8)
    assert found.details is not None
    assert [each["track"] for each in found.details["objects"]] == [1, 2]
    assert [each["score"] for each in found.details["objects"]] == [1.0, 5.0]
    assert found.details["chosen"] == 2
    assert found.details["signal"] == pytest.approx([0, 0, 1, 1, 1, 1, 0.25, 0.25], abs=1e-3)
    assert found.details["tokens"] == {"where": 0, "when": None}
    assert (found.score, found.warnings, found.details["consistency"]) == (None, (), None)
    json.dumps(found.details)


def test_the_map_is_shown_with_a_byte_a_cell(backbone: Any) -> None:
    space, time = np.ones((4, 2, 3)), np.ones((4, 2, 3))
    space[1, 0, 2], space[3, 1, 0] = 5.0, 2.0
    found = method_of(backbone).decode(output_of(space, time), clip_of(LEFT), Query("a ball"))
    assert found.details is not None
    shown = found.details["attention"]
    assert (shown["rows"], shown["columns"]) == (2, 3)
    assert shown["times_s"] == [0.125, 0.625, 1.125, 1.625]  # a step is two frames, 1/4 s apart
    cells = [51] * 24  # 255 * 1 / 5
    cells[8], cells[21] = 255, 102
    assert list(base64.b64decode(shown["values"])) == cells


def test_a_map_of_nothing_is_shown_as_nothing(backbone: Any) -> None:
    output = output_of(np.zeros((4, 2, 2)), np.ones((4, 2, 2)))
    found = method_of(backbone).decode(output, clip_of(LEFT), Query("a ball"))
    assert found.details is not None
    assert base64.b64decode(found.details["attention"]["values"]) == bytes(16)


def test_the_map_in_reverse_is_added(backbone: Any) -> None:
    space, back = np.ones((4, 4, 4)), np.zeros((4, 4, 4))
    space[0, 0, 0], back[3, 0, 3] = 2.0, 1.5
    output = output_of(space, np.ones((4, 4, 4)), back)
    found = method_of(backbone).decode(output, clip_of(LEFT, RIGHT), Query("a ball"))
    assert found.details is not None
    assert [each["score"] for each in found.details["objects"]] == [2.0, 2.5]
    # one is 63 times 1 and once 2, the other once 1.5
    assert found.details["consistency"] == pytest.approx(1.5 / np.sqrt(67 * 2.25), abs=1e-4)


def test_the_published_window_ends_with_the_last_kept_frame(backbone: Any) -> None:
    time = np.ones((4, 4, 4))
    time[:, :, 0] = [[1.0], [4.0], [2.0], [3.0]]
    method = method_of(backbone, time="window", keep=0.5, ties_stop=False)
    found = method.decode(output_of(np.ones((4, 4, 4)), time), clip_of(LEFT), Query("a ball"))
    # frames 0..7 of the clip show 1 1 4 4 2 2 3 3: from the peak 4 frames to the right
    assert found.tube is not None
    assert found.tube.times_s[[0, -1]].tolist() == [4 / 8, 10 / 8]
    assert found.tube.interval.end_s == 11 / 8


def test_outside_sightings_the_nearest_box_is_carried(backbone: Any) -> None:
    item = thing(1, [0, 0, 64, 128], np.array([6, 7, 9]))
    found = method_of(backbone).decode(
        output_of(np.ones((4, 4, 4)), np.ones((4, 4, 4))), clip_of(item), Query("a ball")
    )
    assert found.tube is not None
    assert found.tube.interpolated is not None
    seen = found.tube.times_s[~found.tube.interpolated] * 8
    assert set(seen) <= {6, 7, 9}
    np.testing.assert_array_equal(found.tube.boxes, [[0, 0, 64, 128]] * len(found.tube))


def test_without_objects_the_whole_picture_stands_for_them(backbone: Any) -> None:
    time = np.ones((4, 4, 4))
    time[1] = 3.0
    output = output_of(np.ones((4, 4, 4)), time)
    found = method_of(backbone).decode(output, clip_of(), Query("a ball"))
    assert found.tube is not None
    np.testing.assert_array_equal(found.tube.boxes, [[0, 0, 256, 128]] * 4)
    assert found.warnings == ("made saw no object (ball): the boxes are the whole picture",)


def test_the_surest_objects_are_kept(backbone: Any) -> None:
    many = [thing(n, [0, 0, 10, 10], np.arange(3), score=n / 10) for n in (1, 3, 2)]
    method = method_of(backbone, objects=2)
    output = output_of(np.ones((4, 4, 4)), np.ones((4, 4, 4)))
    details = method.decode(output, clip_of(*many), Query("a ball")).details
    assert details is not None
    assert [each["track"] for each in details["objects"]] == [3, 2]


@pytest.mark.parametrize("query_first", [False, True])
def test_sentences_on_a_video_are_grounded_as_one_by_one(backbone: Any, query_first: bool) -> None:
    method = method_of(backbone, query_first=query_first, rate=50.0)
    queries = [Query("the red ball moves up"), Query("what spins?"), Query("the red ball spins")]
    clips = [clip_of(LEFT, seed=1), clip_of(LEFT, seed=2)]
    items = [method.encode(clip, query) for clip in clips for query in queries]
    assert items[0].pixels is items[2].pixels
    for together, item in zip(method.run(items), items, strict=True):
        (alone,) = method.run([item])
        for name in ("looks", "action", "reversed_looks"):
            one, other = getattr(together, name), getattr(alone, name)
            np.testing.assert_allclose(one.relative, other.relative, rtol=1e-3)
            np.testing.assert_allclose(one.asked, other.asked, atol=1e-5)


def test_frames_may_be_shown_as_often_as_the_model_joins_them(backbone: Any) -> None:
    item = method_of(backbone, repeat_frames=True).encode(clip_of(LEFT), Query("the ball"))
    joined = method_of(backbone).encode(clip_of(LEFT), Query("the ball"))
    assert (item.pixels.grid[0], joined.pixels.grid[0]) == (8, 4)
    assert item.pixels.seconds_per_step == joined.pixels.seconds_per_step / 2 == 0.25
    rows = item.pixels.rows.reshape(len(item.pixels.rows), 3, 2, -1)  # colour, frame, pixels
    np.testing.assert_array_equal(rows[:, :, 0], rows[:, :, 1])


@pytest.mark.parametrize("steps", [0, 2])
def test_a_video_of_one_frame_gives_its_frame(backbone: Any, steps: int) -> None:
    meta = replace(META, duration_s=0.125, frames=1)
    scene = Scene(meta, (thing(1, [0, 0, 64, 128], np.arange(1)),), "made", np.arange(1), ("ball",))
    pictures = np.zeros((1, 64, 64, 3), np.uint8)
    clip = Clip(meta, pictures, np.zeros(1), np.zeros(1, np.int64), scene)
    method = method_of(backbone, steps=steps)
    (output,) = method.run([method.encode(clip, Query("the ball"))])
    tube = method.decode(output, clip, Query("the ball")).tube
    assert tube is not None
    assert (tube.times_s.tolist(), tube.interval.end_s) == ([0.0], 0.125)


def test_a_sentence_without_a_noun_is_asked_as_it_is(backbone: Any) -> None:
    method = method_of(backbone)
    plan = method.plan(META, Query("???"))
    assert plan.scene is not None
    assert plan.scene.words == ("person", "animal", "vehicle", "object")
    (output,) = method.run([method.encode(clip_of(LEFT), Query("???"))])
    assert not method.decode(output, clip_of(LEFT), Query("???")).is_empty


def test_equal_parts_are_tuned_once(backbone: Any) -> None:
    method = method_of(backbone, split="none", reverse=False)
    (output,) = method.run([method.encode(clip_of(LEFT), Query("the ball spins"))])
    assert output.looks is output.action


def test_a_folder_with_a_qwen2_vl_grounds_a_clip(tmp_path: Path) -> None:
    backbone = small_qwen2()
    backbone.model.save_pretrained(tmp_path)
    backbone.tokenizer.save_pretrained(tmp_path)
    method = Dsth.create(str(tmp_path), ["side=64", "frames=8", "question='{}'", "device=cpu"])
    clip, query = clip_of(LEFT, RIGHT), Query("the red ball moves up")
    (output,) = method.run([method.encode(clip, query)])
    found = method.decode(output, clip, query)
    assert not found.is_empty
    assert found.details is not None
    assert len(found.details["yes_over_no"]["action"]["asked"]) == 2


def test_plan_is_square_frames_from_the_first_to_the_last(backbone: Any) -> None:
    plan = method_of(backbone).plan(META, Query("the small dog runs"))
    assert plan.frames is not None
    assert plan.frames.size(META) == (64, 64)
    assert plan.frames.times(META)[[0, -1]].tolist() == [0.0, 15 / 8]
    assert plan.scene is not None
    assert (plan.scene.words, plan.scene.threshold) == (("dog",), 0.4)


def test_reproducing_sets_what_is_not_given() -> None:
    authors = DsthConfig.of({"reproduce": "authors", "keep": 0.4})
    assert (authors.token, authors.time, authors.steps) == (-3, "window", 2)
    assert (authors.frames, authors.repeat_frames, authors.keep) == (20, True, 0.4)
    paper = DsthConfig.of({"reproduce": "paper", "steps": 3})
    assert (paper.objective, paper.reads, paper.token) == ("ratio", "sentence", "activation")
    assert (paper.steps, paper.layers, paper.shift_general) == (3, "all", False)
    assert DsthConfig().time == "fitted"


@pytest.mark.parametrize(
    ("wanted", "count", "expected"),
    [
        ("middle", 32, range(6, 26)),
        ("middle", 28, range(2, 22)),
        ("middle", 26, range(20)),
        ("middle", 16, range(3, 13)),
        ("middle", 1, range(1)),
        ("all", 4, range(4)),
        ((1, 2), 4, range(1, 3)),
    ],
)
def test_layers(wanted: Any, count: int, expected: range) -> None:
    assert layers_of(wanted, count) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": [1, 3]}, r"layers 0 to 2 of the model, found \[1, 3\]"),
        ({"layers": [2, 1]}, r"layers 0 to 2 of the model, found \[2, 1\]"),
        ({"token": -7}, r"a token from -4 to 3, .* of random .* found -7"),
        ({"time_token": 4}, r"a token from -4 to 3, .* found 4"),
        ({"side": 100}, "multiple of 16 pixels.*found 100; 96 is near"),
        ({"question": "who?"}, "needs {} once"),
        ({"split": "endpoint", "endpoint": "here"}, "address of a server"),
    ],
)
def test_options_that_cannot_work(backbone: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        method_of(backbone, **options)


def test_a_model_without_a_chat_template_is_refused_at_once(backbone: Any) -> None:
    tokenizer = deepcopy(backbone.tokenizer)
    tokenizer.chat_template = None
    with pytest.raises(WeightsError, match="chat template"):
        method_of(replace(backbone, tokenizer=tokenizer), split="model")


def test_what_runs_over_in_16_bits_is_told() -> None:
    backbone = small_backbone()
    backbone.model.half()
    method = method_of(backbone, split="none", reverse=False, rate=1e8)
    clip, query = clip_of(LEFT), Query("the ball spins")
    (output,) = method.run([method.encode(clip, query)])
    found = method.decode(output, clip, query)
    assert not found.is_empty
    assert [note.partition(" of ")[0] for note in found.warnings] == ["1 steps", "attention"]
    assert found.details is not None
    assert found.details["yes_over_no"]["looks"]["asked"][1] is None
    json.dumps(found.details, allow_nan=False)


@pytest.mark.parametrize("options", [{}, {"reproduce": "authors"}, {"reproduce": "paper"}])
def test_an_odd_number_of_frames(backbone: Any, options: dict[str, Any]) -> None:
    """The last step shows one frame twice; answers may lie in it."""
    frames = [0, 3, 6, 9, 15]
    method = method_of(backbone, **options)
    steps = 5 if method.config.repeat_frames else 3
    clip = clip_of(LEFT, frames=frames)
    item = method.encode(clip, Query("the red ball moves up"))
    (output,) = method.run([item])
    assert output.reversed_looks is not None
    assert output.looks.relative.shape == output.reversed_looks.relative.shape == (4, steps, 4, 4)
    time = np.ones((steps, 4, 4))
    time[-1] = 5.0
    late = replace(output, action=Highlight(time[None]))
    tube = method.decode(late, clip, Query("the ball")).tube
    assert tube is not None
    assert tube.interval.end_s == 2.0
    assert 15 / 8 in tube.times_s


def test_objects_that_no_shown_frame_holds_give_a_defined_answer(backbone: Any) -> None:
    clip = clip_of(thing(1, [0, 0, 64, 128], np.array([1])), frames=[0, 5, 10])
    output = output_of(np.ones((2, 4, 4)), np.ones((2, 4, 4)))
    found = method_of(backbone).decode(output, clip, Query("a ball"))
    assert found.tube is not None
    assert (found.tube.interval.start_s, found.tube.interval.end_s) == (0.0, 2.0)
    np.testing.assert_array_equal(found.tube.boxes, [[0, 0, 64, 128]] * 16)


def test_the_embedded_model_grounds_a_clip_of_the_world(tmp_path: Path) -> None:
    from stvg.data.world import draw_clip, plan_clip
    from stvg.data.world.files import write_clip

    path = tmp_path / "clip.mp4"
    write_clip(path, draw_clip(plan_clip(5)))
    found = ground(path, ["the red ball", "what spins?"], method="dsth", options=["steps=1"])
    for prediction in found:
        assert not prediction.is_empty
        assert (prediction.method, prediction.model) == ("dsth", "tiny")
        assert prediction.details is not None
        assert len(prediction.details["signal"]) == 16
    method = Dsth.create()
    assert (method.config.detector, method.config.query_first) == ("figures", True)
    assert not any(each.requires_grad for each in method.backbone.model.parameters())
