"""Matching by hand-made scenes: which object, when, and why nothing."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from stvg.errors import UsageError
from stvg.methods.track_match import Method, cues
from stvg.types import Prediction, Query, Scene, SceneObject
from tests.methods.scenes import FPS, clip, meta, move, rest, scene, thing


def ask(made: Scene, text: str, *assignments: str) -> Prediction:
    method = Method.create(assignments=assignments)
    shown, query = clip(made), Query(text)
    (output,) = method.run([method.encode(shown, query)])
    return method.decode(output, shown, query)


def chosen(prediction: Prediction) -> int:
    """Number of the track that was chosen."""
    assert prediction.details is not None
    number = prediction.details["candidates"][0]["track"]
    assert isinstance(number, int)
    return number


def span(prediction: Prediction) -> tuple[float, float]:
    assert prediction.tube is not None
    return prediction.tube.interval.start_s, prediction.tube.interval.end_s


MAN = thing(1, "person", rest(60))
DOG = thing(2, "dog", rest(200), size=(60, 40))
BALL = thing(
    3, "sports ball", rest(100), size=(20, 20), labels={"sports ball": 0.55, "frisbee": 0.45}
)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("the man", 1),
        ("the dog", 2),
        ("the ball", 3),  # half of the confidence went to a frisbee
        ("who is next to the ball?", 1),
        ("what is next to the man?", 3),  # nearer than the dog
    ],
)
def test_the_noun_decides(text: str, number: int) -> None:
    assert chosen(ask(scene(MAN, DOG, BALL), text)) == number


def test_the_same_sentence_words_other_tube() -> None:
    made = scene(MAN, DOG, BALL)
    man, ball = ask(made, "the man juggling a ball"), ask(made, "the ball")
    assert man.tube is not None
    assert ball.tube is not None
    assert man.tube.iou(ball.tube) < 0.2


def test_colour_of_the_right_half_decides() -> None:
    red_shirt = thing(1, "person", rest(60), colours={"upper": {"red": 0.8}})
    red_pants = thing(2, "person", rest(200), colours={"lower": {"red": 0.8}})
    made = scene(red_shirt, red_pants)
    assert chosen(ask(made, "the man in a red shirt")) == 1
    assert chosen(ask(made, "the man in red pants")) == 2


def test_colour_that_nobody_shows_is_nothing_found() -> None:
    prediction = ask(scene(MAN), "the man in a green shirt")
    assert prediction.is_empty
    assert "none shows the colour green (upper)" in prediction.warnings[0]


@pytest.mark.parametrize(
    ("text", "number"),
    [("the man on the left", 1), ("the right person", 3), ("the woman in the middle", 2)],
)
def test_place(text: str, number: int) -> None:
    people = (thing(1, "person", rest(50)), thing(2, "person", rest(205)),
              thing(3, "person", rest(350)))  # fmt: skip
    assert chosen(ask(scene(*people), text)) == number


def test_size_is_among_rivals() -> None:
    large = thing(1, "cup", rest(60), size=(60, 80))
    small = thing(2, "cup", rest(200), size=(20, 30))
    table = thing(3, "dining table", rest(200), size=(350, 90))
    assert chosen(ask(scene(large, small, table), "the big cup")) == 1
    assert chosen(ask(scene(large, small, table), "the smallest cup")) == 2


def test_relation_names_the_side() -> None:
    left, right = thing(1, "person", rest(50)), thing(2, "person", rest(350))
    made = scene(left, right, thing(3, "dog", rest(200), size=(60, 40)))
    assert chosen(ask(made, "the man left of the dog")) == 1
    assert chosen(ask(made, "the man right of the dog")) == 2


# Something goes from x = 50 to x = 350 between 2 and 4 s, in a picture 400 wide.
WALKER = thing(1, "person", move(2, 50, 350, 4))


@pytest.mark.parametrize(
    ("text", "start_s", "end_s"),
    [
        ("the man walks to the right", 2, 4),
        ("the man moves", 2, 4),
        ("the man", 0, 6),  # no motion asked: first to last sighting
    ],
)
def test_motion_gives_the_interval(text: str, start_s: float, end_s: float) -> None:
    found = span(ask(scene(WALKER), text))
    assert found == pytest.approx((start_s, end_s), abs=0.31)


def test_motion_that_is_never_seen_is_said_and_not_followed() -> None:
    prediction = ask(scene(WALKER), "the man moves to the left")
    assert span(prediction) == pytest.approx((2, 4), abs=0.31)  # "moves" is seen
    assert any("never seen: motion left" in warning for warning in prediction.warnings)


def test_motion_chooses_between_objects() -> None:
    still = thing(2, "person", rest(200))
    assert chosen(ask(scene(WALKER, still), "the man who walks")) == 1
    assert chosen(ask(scene(WALKER, still), "the man standing still")) == 2


def test_a_stop_is_after_the_walk() -> None:
    start_s, end_s = span(ask(scene(WALKER), "the man stops"))
    assert 3.5 < start_s < 4.5
    assert end_s < 5.5


def test_enter_and_leave() -> None:
    visitor = thing(1, "dog", move(0, 50, 350, 6), seen=lambda t: 2 <= t < 4)
    assert span(ask(scene(visitor), "the dog enters")) == pytest.approx((2, 3), abs=0.2)
    assert span(ask(scene(visitor), "the dog leaves")) == pytest.approx((3, 4), abs=0.2)


def test_jumping_is_up_and_down_again() -> None:
    hopper = thing(1, "person", lambda t: (60, 250 - 40 * abs(np.sin(np.pi * t))))
    climber = thing(2, "person", lambda t: (200, 290 - 40 * t))  # only up
    assert chosen(ask(scene(hopper, climber), "the person jumping")) == 1
    assert chosen(ask(scene(hopper, climber), "the person who climbs up")) == 2


def test_crouching_is_being_shorter_than_usual() -> None:
    croucher = thing(1, "person", rest(60), height=lambda t: 45 if 3 <= t < 5 else 90)
    assert span(ask(scene(croucher), "the boy crouches")) == pytest.approx((3, 5), abs=0.3)


def test_approach_says_when() -> None:
    made = scene(WALKER, thing(2, "dog", rest(390), size=(20, 20)))
    found = span(ask(made, "the man walks towards the dog"))
    assert found == pytest.approx((2, 4), abs=0.4)


def test_absence_is_interpolated_and_said() -> None:
    dog = thing(1, "dog", move(0, 50, 350, 6), size=(60, 40), seen=lambda t: not 2 <= t < 3)
    prediction = ask(scene(dog), "the dog")
    assert prediction.tube is not None
    assert prediction.tube.interpolated is not None
    assert len(prediction.tube) == 6 * FPS
    filled = prediction.tube.times_s[prediction.tube.interpolated]
    assert filled.min() == pytest.approx(2.0)
    assert filled.max() == pytest.approx(2.95)
    # The dog moves evenly, so the filled boxes are right: x = 50 + 50 t.
    middle = prediction.tube.at(2.5)[0]
    assert (middle[0] + middle[2]) / 2 == pytest.approx(175, abs=0.5)
    assert any("not seen from 1.95 s to 3.00 s" in warning for warning in prediction.warnings)


def test_a_cue_against_the_answer_is_said() -> None:
    """The only dog is right of the man; it is the answer to "left of" only for want of another."""
    prediction = ask(scene(MAN, DOG), "the dog left of the man")
    assert not prediction.is_empty
    assert any("hardly fits the sentence: left_of man (0.00)" in w for w in prediction.warnings)
    fitting = ask(scene(MAN, DOG), "the dog right of the man")
    assert not any("hardly fits" in warning for warning in fitting.warnings)


def test_one_box_for_every_frame_of_the_interval() -> None:
    prediction = ask(scene(WALKER), "the man walks to the right")
    assert prediction.tube is not None
    times = meta().times_s
    inside = prediction.tube.interval.mask(times)
    assert np.array_equal(prediction.tube.times_s, times[inside])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("the elephant", "saw no 'elephant'"),  # a class without an object
        ("the kettle", "'kettle' is not among the 80 classes"),  # no class
        ("", None),
        ("running", "is not among"),
        ("犬が走る", "no English word"),
    ],
)
def test_nothing_found_says_why(text: str, reason: str | None) -> None:
    if reason is None:
        with pytest.raises(UsageError, match="empty"):
            ask(scene(MAN, DOG), text)
        return
    prediction = ask(scene(MAN, DOG), text)
    assert prediction.is_empty
    assert reason in prediction.warnings[0]


def test_a_video_without_objects() -> None:
    prediction = ask(scene(), "the dog")
    assert prediction.is_empty
    assert "no objects at all" in prediction.warnings[0]


def test_unsure_objects_are_no_answer() -> None:
    faint = thing(1, "elephant", rest(60), score=0.2)
    assert ask(scene(faint), "the elephant").is_empty
    assert not ask(scene(faint), "the elephant", "min_confidence=0.1").is_empty


def test_an_unsure_object_is_not_called_unseen() -> None:
    faint = thing(1, "elephant", rest(60), score=0.2)
    (reason,) = ask(scene(faint), "the elephant").warnings
    assert "not sure that it saw 'elephant' (mean confidence 0.20" in reason
    assert "saw no" not in reason


def test_few_looks_are_no_absences() -> None:
    """A man seen in each of the frames looked at, one a second, walks and is there all along."""
    looks = np.arange(0, 6 * FPS, FPS)
    seen = thing(1, "person", move(0, 50, 350, 6), seen=lambda t: round(t * FPS) % FPS == 0)
    made = replace(scene(seen), frames_seen=looks)
    prediction = ask(made, "the man walks to the right")
    assert not prediction.warnings
    start_s, end_s = span(prediction)
    assert end_s - start_s > 4
    assert "never seen: motion leave" in ask(made, "the man leaves").warnings[0]


def test_clothes_of_somebody_else_do_not_rule_out() -> None:
    woman = thing(4, "person", rest(300), colours={"lower": {"blue": 0.9}})
    prediction = ask(scene(DOG, woman), "the dog beside the woman in blue jeans")
    assert not prediction.is_empty
    assert chosen(prediction) == 2


def test_words_that_the_detector_was_asked_for_are_classes() -> None:
    kettle = thing(1, "kettle", rest(60))
    made = scene(kettle, thing(2, "cup", rest(90)), classes=("kettle", "cup"))
    assert chosen(ask(made, "the kettle")) == 1
    beside = ask(made, "the cup beside the kettle")
    assert chosen(beside) == 2
    assert beside.details is not None
    assert "with kettle" in beside.details["cues"]


def test_reasons_are_plain_json_numbers() -> None:
    details = ask(scene(MAN, BALL), "the man in a grey shirt walks with a ball").details
    assert details is not None
    shown = json.loads(json.dumps(details))["cues"]
    assert set(shown) == {
        "class", "confidence", "prominence", "colour grey (upper)", "with ball", "motion move"
    }  # fmt: skip
    assert all(0 <= value <= 1 for value in shown.values())


def test_plan_asks_for_the_nouns() -> None:
    plan = Method.create("owner/detector").plan(meta(), Query("the dog beside a kettle"))
    assert plan.frames is None
    assert plan.scene is not None
    assert plan.scene.detector == "owner/detector"
    assert plan.scene.words == ("dog", "kettle")
    wordless = Method.create("owner/detector").plan(meta(), Query("犬")).scene
    assert wordless is not None
    assert wordless.words == ()


@pytest.mark.parametrize("assignment", ["bogus=1", "min_class=2", "tracking.fps=-1", "min_class"])
def test_bad_options(assignment: str) -> None:
    with pytest.raises(UsageError):
        Method.create(assignments=[assignment])


@pytest.mark.parametrize(
    ("signal", "threshold", "expected"),
    [
        ([0, 1, 1, 0, 1, 0, 0, 0], 0.4, (1, 5)),  # a short dip is bridged
        ([1, 0, 0, 0, 1, 1], 0.4, (4, 6)),  # a long one is not
        ([0.2], 0.1, (0, 1)),
        ([1, 1, 1], 0.5, (0, 3)),
    ],
)
def test_best_segment(signal: list[float], threshold: float, expected: tuple[int, int]) -> None:
    assert cues.best_segment(np.array(signal, float), threshold) == expected


@pytest.mark.parametrize("name", sorted(cues.MOTIONS))
@pytest.mark.parametrize("item", [MAN, WALKER, thing(1, "dog", rest(60), seen=lambda t: t < 0.05)])
def test_every_motion_is_a_share_and_zero_out_of_view(name: str, item: SceneObject) -> None:
    path = cues.make_path(item, scene(item))
    signal = cues.motion_signal(name, path)
    assert signal.shape == path.times_s.shape
    assert ((signal >= 0) & (signal <= 1)).all()
    assert (signal[~path.seen] == 0).all()
