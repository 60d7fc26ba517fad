"""``stvg_r1``: numbers on objects, answers that name them, and the boxes these stand for."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the models extra is not installed")
pytest.importorskip("transformers", reason="the models extra is not installed")

from stvg.backbones.asking import Answer  # noqa: E402
from stvg.backbones.preprocess import unpatchify  # noqa: E402
from stvg.backbones.qwen import QwenBackbone  # noqa: E402
from stvg.cli.main import main  # noqa: E402
from stvg.errors import UsageError  # noqa: E402
from stvg.formats.prediction import read_prediction  # noqa: E402
from stvg.geometry.masks import decode_masks, encode_masks  # noqa: E402
from stvg.methods.stvg_r1 import Method as StvgR1  # noqa: E402
from stvg.methods.stvg_r1.config import StvgR1Config  # noqa: E402
from stvg.methods.stvg_r1.readout import as_authors, hold, sights_of  # noqa: E402
from stvg.train.fresh import FreshConfig, fresh_model, fresh_tokenizer  # noqa: E402
from stvg.types import (  # noqa: E402
    RLE,
    Clip,
    Correction,
    Interval,
    Query,
    Track,
    Tracks,
    Tube,
    VideoMeta,
)
from stvg.video.writer import VideoWriter  # noqa: E402

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


def test_the_numbers_of_an_answer_are_shown_with_their_tracks(method: Any) -> None:
    several = decode(method, "target id : 7 , 1 , time range : <t_0> to <t_2>").details
    assert several == {"numbers": [7, 1], "tracks": [{"track": 1, "label": "figure"}]}
    assert decode(method, "the red one").details is None


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
    assert text == "target id : two , time range : <t_2> to <t_8> <|im_end|>"
    assert encoded.truth.number == 2
    right = method.judged(encoded.target[:-1], encoded.view, encoded.marked)
    wrong = method.read(said(1, 2, 8), encoded.view, encoded.marked)
    totals = method.rewards().mix()([right, wrong], [encoded.truth] * 2)
    scores = [{name: score.value for name, score in total.scores.items()} for total in totals]
    overlap = pytest.approx(38 * 38 / (2 * 1600 - 38 * 38))
    expected = {"temporal": 1, "number": 1, "marked_overlap": overlap, "think_format": 0}
    assert scores[0] == expected
    assert (scores[1]["number"], scores[1]["temporal"]) == (0, 1)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("<think>.</think>\n<answer>Target ID: 4, Time range: 10.00 to 17.00</answer>", (1, 1, 1)),
        (
            "<think>.</think><answer>Target ID: 4, Time range: 10.00 to 14.00</answer>",
            (4 / 7, 1, 1),
        ),
        ("<think>.</think><answer>Target ID: 2, Time range: 10.00 to 17.00</answer>", (1, 0, 1)),
        ("<think>.</think><answer>Target ID: 4, Time range: 18.00 to 19.00</answer>", (0, 1, 1)),
        ("<answer>Target ID: 4, Time range: 10.00 to 17.00</answer>", (1, 1, 0)),
        ("<think>.</think><answer>Target ID: 4</answer>", (0, 0, 1)),
    ],
)
def test_the_rewards_of_whole_answers(
    method: Any, text: str, values: tuple[float, float, float]
) -> None:
    """The specification's table: number 4 from 10 to 17 s, seen throughout the 20 s."""
    meta = VideoMeta("long.mp4", 128, 128, Fraction(1), 20.0, 20)
    objects = (track(2, LEFT, range(20)), track(4, RIGHT, range(20)))
    frames = np.full((20, 64, 64, 3), 90, np.uint8)
    clip = Clip(meta, frames, meta.times_s, np.arange(20), numbered=Tracks(meta, objects))
    target = Tube(Interval(10, 17), np.arange(10.0, 17.0), [RIGHT] * 7)
    by = asking(method, grammar="r1", frames=20)
    encoded = by.encode(clip, QUERY, target)
    answer = by.read(text, encoded.view, encoded.marked)
    (total,) = by.rewards().mix()([answer], [encoded.truth])
    found = [total.scores[name].value for name in ("temporal", "number", "think_format")]
    assert found == pytest.approx(values)
    assert total.value == pytest.approx(sum(values))


def test_training_names_all_objects_that_are_meant(method: Any) -> None:
    first, second = (
        Tube(Interval(0.25, 1.0), np.arange(2, 8) / 8, [box] * 6) for box in (RIGHT, LEFT)
    )
    encoded = method.encode(BOTH, QUERY, [first, second])
    text = method.backbone.tokenizer.decode(encoded.target)
    assert text == "target id : one , two , time range : <t_2> to <t_8> <|im_end|>"
    answers = [method.read(said(number, 2, 8), encoded.view, encoded.marked) for number in (1, 2)]
    totals = method.rewards().mix()(answers, [encoded.truth] * 2)
    assert [total.scores["number"].value for total in totals] == [1, 1]
    nowhere = replace(second, boxes=np.array([[0, 100, 20, 128]] * 6))
    assert method.encode(BOTH, QUERY, [first, nowhere]).target is None


def test_sixty_objects_can_all_be_named(method: Any) -> None:
    grid = [[12.0 * x, 20.0 * y, 12.0 * x + 10, 20.0 * y + 16] for y in range(6) for x in range(10)]
    clip = clip_of(*(track(number, box) for number, box in enumerate(grid, start=1)))
    found = decode(method, "target id : 60 , time range : <t_0> to <t_2>", clip)
    np.testing.assert_allclose(found.tube.boxes, [grid[59]] * 2)


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
    assert words[3] in ("three", "five")
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


@pytest.mark.parametrize(
    "template", ["which one?", "{query} {what}", "{query", "{query} {}", "{query} {duration:.1f}"]
)
def test_templates_that_cannot_be_filled_in(template: str) -> None:
    with pytest.raises(UsageError, match=r"needs \{query\} and may have \{duration\}"):
        StvgR1Config.of({**OPTIONS, "template": template})
    assert StvgR1Config.of({"template": "{{}} {query}"}).template == "{{}} {query}"


def test_grammars_of_boxes_are_refused(method: Any) -> None:
    with pytest.raises(UsageError, match="no grammar of painted numbers 'compact'"):
        StvgR1(method.backbone, StvgR1Config.of({**OPTIONS, "grammar": "compact"}))


# ------------------------------------------------------------------------ several numbers, masks


def mask_of(box: list[float]) -> RLE:
    pixels = np.zeros((128, 128), bool)
    x1, y1, x2, y2 = map(int, box)
    pixels[y1:y2, x1:x2] = True
    return encode_masks(pixels[None])[0]


def masked(number: int, box: list[float], frames: Any = range(16)) -> Track:
    return replace(track(number, box, frames), masks=(mask_of(box),) * len(frames))


def asking(method: Any, **options: Any) -> Any:
    return StvgR1(method.backbone, StvgR1Config.of({**OPTIONS, **options}))


SEVERAL = "target id : 2 , 1 , time range : <t_0> to <t_4>"
MASKED = clip_of(masked(1, LEFT, range(2)), masked(2, RIGHT))


def test_masks_are_united_and_boxes_are_of_the_first(method: Any) -> None:
    found = decode(method, SEVERAL, MASKED).tube
    np.testing.assert_allclose(found.boxes, [RIGHT] * 4)
    left, right = decode_masks([mask_of(LEFT), mask_of(RIGHT)])
    pixels = decode_masks(found.masks)
    np.testing.assert_array_equal(pixels, [left | right] * 2 + [right] * 2)
    alone = decode(method, said(1, 0, 4), MASKED).tube
    assert alone.masks == (mask_of(LEFT),) * 2 + (None, None)  # held boxes have no masks


def test_queries_about_objects_have_no_time(method: Any) -> None:
    query = replace(QUERY, asks="objects")
    encoded = method.encode(MASKED, query)

    def answered(by: Any, text: str) -> Any:
        return by.decode((Answer(text, (1, 2), 0.5, True), encoded), MASKED, query)

    whole = answered(method, SEVERAL)
    assert whole.tube.interval == Interval(0.0, 2.0)
    assert [mask is not None for mask in whole.tube.masks] == [True] * 16
    np.testing.assert_allclose(answered(method, "target id : two").tube.boxes, [RIGHT] * 16)
    cut = answered(asking(method, use_range=True), SEVERAL)
    assert cut.tube.interval == Interval(0.0, 0.5)
    assert answered(asking(method, use_range=True), "target id : two").tube is None


def test_the_option_says_what_is_asked_for(method: Any) -> None:
    several = asking(method, asks="objects", grammar="r1")
    view = method.encode(MASKED, QUERY).view
    assert "name all of them" in several.prompt(QUERY, view)
    one = asking(method, asks="object", grammar="r1").prompt(QUERY, view)
    assert one == asking(method, grammar="r1").prompt(QUERY, view)
    tube = decode(asking(method, asks="object"), said(2), MASKED).tube
    assert tube.interval == Interval(0.0, 2.0)


def test_the_released_read_out_follows_no_corrections(method: Any) -> None:
    tracks = (masked(1, LEFT, [0]), masked(2, RIGHT), masked(3, LEFT, range(1, 16)))
    clip = replace(MASKED, numbered=Tracks(META, tracks, (Correction(1, 1, 3),)))
    text = "target id : 2 , 1 , time range : <t_0> to <t_2>"
    left, right = decode_masks([mask_of(LEFT), mask_of(RIGHT)])
    for repair, second in (("hold", left | right), ("authors", right)):
        by = asking(method, repair=repair)
        pixels = decode_masks(decode(by, text, clip).tube.masks)
        np.testing.assert_array_equal(pixels, [left | right, second])


def test_the_released_read_out_has_masks_where_nothing_is_seen(method: Any) -> None:
    clip = clip_of(masked(1, LEFT, range(4)))
    by = asking(method, repair="authors", asks="object", use_range=True)
    assert decode(by, said(1, 6, 8), clip).tube.masks == (None, None)


@pytest.mark.parametrize("repair", ["hold", "authors"])
def test_an_interval_between_two_frames_is_the_frame_on_screen(method: Any, repair: str) -> None:
    by = asking(method, grammar="r1", repair=repair)
    text = "<answer>Target ID: 2, Time range: {} to {}</answer>"
    for span, frame in ((("1.90", "2.00"), 15), (("0.01", "0.05"), 0)):
        found = decode(by, text.format(*span), MASKED)
        assert found.tube.times_s.tolist() == [frame / 8]
        assert found.tube.boxes.tolist() == [RIGHT]
        assert found.tube.masks == (mask_of(RIGHT),)
        assert found.warnings == ("no frame appears in the interval: begun at the one on screen",)


def test_one_of_several_numbers_is_unknown(method: Any) -> None:
    found = decode(method, "target id : 7 , 1 , time range : <t_0> to <t_2>")
    np.testing.assert_allclose(found.tube.boxes, [LEFT] * 2)
    assert found.warnings == ("no object carries the number 7, only 1, 2",)


def test_no_objects_are_no_masks(method: Any) -> None:
    query = replace(QUERY, asks="objects")
    encoded = method.encode(clip_of(), query)
    found = method.decode((Answer(said(1), (1,), 0.5, True), encoded), clip_of(), query)
    assert found.tube is None
    assert found.warnings[0] == "nothing found: no object was found"


def test_an_object_that_goes_on_under_other_numbers() -> None:
    """1 until frame 3, from there 2, from frame 6 on 3 where 2 is not seen, which is back in 9."""
    tracks = Tracks(
        META,
        (
            masked(1, [0, 0, 10, 10], [0, 1, 2]),
            masked(2, [20, 0, 30, 10], [1, 4, 5, 9]),
            masked(3, [40, 0, 50, 10], [2, 7, 9]),
        ),
        (Correction(3, 1, 2), Correction(6, 2, 3)),
    )
    found = hold(sights_of(tracks, META), 1, Interval(0.0, 10 / 8), META.times_s)
    assert found.tube is not None
    x = [0, 0, 0, 10, 20, 20, 30, 40, 30, 20]  # 3, 6 and 8 lie between sights
    assert found.tube.boxes[:, 0].tolist() == x
    assert found.tube.interpolated is not None
    assert np.flatnonzero(~found.tube.interpolated).tolist() == [0, 1, 2]
    assert found.tube.masks is not None
    where = {0: 0, 1: 0, 2: 0, 4: 20, 5: 20, 7: 40, 9: 20}
    assert found.tube.masks == tuple(
        mask_of([where[frame], 0, where[frame] + 10, 10]) if frame in where else None
        for frame in range(10)
    )
    assert found.repairs == (
        "object 1 goes on under another number in 4 frames: its boxes are taken",
        "object 1 is not seen in 3 frames: boxes between its sights are on a straight line",
    )
    uncorrected = sights_of(replace(tracks, corrections=()), META)
    released = as_authors(uncorrected, 1, Interval(0.0, 10 / 8), META.times_s)
    assert released.repairs == ("object 1 is not seen in 7 frames: boxes of others are taken",)
    assert released.tube is not None
    assert released.tube.masks is not None
    assert released.tube.masks[7] == mask_of([40, 0, 50, 10])  # nothing overlaps: the only one


# ------------------------------------------------------------------ a checkpoint that is not ours


@pytest.fixture
def checkpoint(method: Any, tmp_path: Path) -> Path:
    """A random Qwen2.5-VL as the hub holds it: nothing in the folder knows this project."""
    folder = tmp_path / "checkpoint"
    method.backbone.model.save_pretrained(folder)
    method.backbone.tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("grammar", ["r1", "r1_compact"])
def test_a_released_checkpoint_with_its_own_template(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, grammar: str
) -> None:
    """From ``stvg ground`` to the prediction; random weights write the free grammar wrong."""
    video, out = tmp_path / "clip.mp4", tmp_path / "out.json"
    with VideoWriter(video, fps=Fraction(8)) as writer:
        for number in range(16):
            picture = np.full((128, 128, 3), 90, np.uint8)
            picture[40:80, 10:50], picture[40:80, 70:110] = (200, 30, 30), (40, 60, 200)
            writer.write(picture, number / 8)
    seen: dict[str, Any] = {}

    def watch(name: str) -> None:
        real = getattr(StvgR1, name)

        def call(self: Any, *given: Any) -> Any:
            seen[name] = given[0], real(self, *given)
            return seen[name][1]

        monkeypatch.setattr(StvgR1, name, call)

    watch("prompt")
    watch("_make_pixels")
    words = {"detector": "blobs", "frames": "8", "side": "64", "grammar": grammar,
             "max_new_tokens": "16", "template": "Find {query} in {duration} s."}  # fmt: skip
    options = [word for key, value in words.items() for word in ("--set", f"{key}={value}")]
    command = ["ground", str(video), "the red square", "--method", "stvg_r1", "--model",
               str(checkpoint), "--out", str(out), *options]  # fmt: skip
    assert main(command) == 0
    assert seen["prompt"][1] == "Find the red square in 2.00 s."
    clip, pixels = seen["_make_pixels"]
    shown = unpatchify(
        pixels.rows, pixels.grid, (backbone := StvgR1.create(str(checkpoint)).backbone).layout
    )
    assert backbone.name == str(checkpoint)
    painted = (np.abs(shown.astype(int) - clip.frames) > 60).any(axis=-1)
    for x in (15, 45):
        assert painted[:, 25:35, x - 4 : x + 4].any(axis=(1, 2)).all()
    found = read_prediction(out)
    assert found.model == str(checkpoint)
    if grammar == "r1":
        assert found.tube is None
        assert "no number and no interval: expected <answer>Target ID" in found.warnings[0]
    else:
        number = {"one": LEFT, "two": RIGHT}[str(found.answer).split()[3]]
        assert found.tube is not None
        np.testing.assert_allclose(found.tube.boxes, [number] * len(found.tube), atol=2)


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
