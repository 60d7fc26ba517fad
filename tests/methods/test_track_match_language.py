"""What sentences mean, as a person would say it."""

from __future__ import annotations

import pytest

from stvg.methods.track_match.language import ParsedQuery, parse_query
from stvg.methods.track_match.lexicon import THING, class_of, motion_of


def target_of(text: str) -> str:
    return parse_query(text).target.word


def colours_of(text: str) -> list[tuple[str, str]]:
    return [(colour.word, colour.part) for colour in parse_query(text).target.colours]


@pytest.mark.parametrize(
    ("text", "noun", "best_class"),
    [
        ("the dog", "dog", "dog"),
        ("dog", "dog", "dog"),  # no determiner
        ("two puppies", "puppies", "dog"),  # plural of a synonym
        ("the woman in jeans", "woman", "person"),
        ("a man's dog jumps", "dog", "dog"),  # the owner is passed over
        ("the tennis ball", "ball", "sports ball"),  # the last noun of a run counts
        ("the basketball player shoots", "player", "person"),
        ("a wine glass on the table", "wine glass", "wine glass"),  # two words
        ("who is holding the cup?", "who", "person"),
        ("which dog runs away?", "dog", "dog"),
        ("which small red car turns?", "car", "car"),
        ("when does the cat jump?", "cat", "cat"),
        ("where is the bus", "bus", "bus"),
        ("there is a child next to a horse", "child", "person"),
        ("the orange on the table", "orange", "orange"),  # the fruit
        ("the orange ball", "ball", "sports ball"),  # the colour
        ("the man in red", "man", "person"),
        ("The BOY   in the white shirt.", "BOY".lower(), "person"),  # case and spaces
    ],
)
def test_target(text: str, noun: str, best_class: str) -> None:
    target = parse_query(text).target
    assert target.word == noun
    assert max(target.classes, key=lambda name: target.classes[name]) == best_class


@pytest.mark.parametrize(
    ("text", "noun"),
    [
        ("the kettle", "kettle"),
        ("the kettle on the table", "kettle"),  # not the table
        ("the red metal kettle pours", "kettle"),
        ("a spaceship lands on the car", "spaceship"),
    ],
)
def test_unknown_target_keeps_its_noun(text: str, noun: str) -> None:
    target = parse_query(text).target
    assert target.word == noun
    assert not target.classes


@pytest.mark.parametrize("text", ["what is the man juggling?", "what does the woman hold?"])
def test_what_asks_for_a_thing_beside_somebody(text: str) -> None:
    parsed = parse_query(text)
    assert parsed.target.classes == THING
    assert "person" not in parsed.target.classes
    assert [relation.kind for relation in parsed.relations] == ["with"]


@pytest.mark.parametrize(
    ("text", "colours"),
    [
        ("the woman in jeans", [("jeans", "lower")]),  # a garment with a colour of its own
        ("the man in a red shirt", [("red", "upper")]),
        ("the girl with a blue skirt", [("blue", "lower")]),
        ("a man in a white shirt and black pants", [("white", "upper"), ("black", "lower")]),
        ("the red-shirted man", [("red", "whole")]),
        ("the person in white", [("white", "whole")]),  # no garment named
        ("the child in black and white", [("black", "whole"), ("white", "whole")]),
        ("a dark blue car", [("dark blue", "whole")]),
        ("the man with black hair", []),  # hair is not what a box shows
        ("the man with a red backpack", []),  # the backpack's colour, not the man's
    ],
)
def test_colours(text: str, colours: list[tuple[str, str]]) -> None:
    assert colours_of(text) == colours


def test_colour_of_another_object_stays_with_it() -> None:
    (relation,) = parse_query("the man with a red backpack").relations
    assert relation.other.word == "backpack"
    assert [colour.word for colour in relation.other.colours] == ["red"]


@pytest.mark.parametrize(
    ("text", "own", "others"),
    [
        ("the dog beside the woman in jeans", [], ["jeans"]),  # a garment
        ("the dog runs to the man in white", [], ["white"]),  # no garment named
        ("the man in black hugs the girl in a red dress", ["black"], ["red"]),
        ("the man with the dog in a red shirt", ["red"], []),  # dogs wear no shirts
        ("the man with a hand on the dog in a red shirt", ["red"], []),  # nor do hands
    ],
)
def test_clothes_belong_to_the_person_mentioned_last(
    text: str, own: list[str], others: list[str]
) -> None:
    parsed = parse_query(text)
    assert [colour.word for colour in parsed.target.colours] == own
    assert [c.word for r in parsed.relations for c in r.other.colours] == others


def test_a_persons_own_feet_are_no_other_object() -> None:
    parsed = parse_query("the man juggles a ball with his feet")
    assert [relation.other.word for relation in parsed.relations] == ["ball"]
    assert "feet" in parsed.unused


@pytest.mark.parametrize(
    ("text", "motions"),
    [
        ("the dog runs to the right", ("fast", "right")),
        ("the dog is running", ("fast",)),
        ("the woman walks to the left and stops", ("move", "left", "stop")),
        ("the man turns left", ("left",)),  # a direction
        ("the man left", ("leave",)),  # the past of leaving
        ("the dog leaves the picture", ("leave",)),
        ("the dog runs out of the picture", ("fast", "leave")),
        ("the dog comes back", ("move", "enter")),
        ("a car enters", ("enter",)),
        ("the girl jumping on the bed", ("jump",)),
        ("the boy sits down", ("lower",)),
        ("the boy stands up", ("up",)),
        ("the man is standing still", ("still",)),
        ("the ball drops", ("down",)),
        ("the plane flies upwards", ("fast", "up")),
        ("the cyclist comes closer", ("move", "towards")),
        ("the man on the left", ()),  # a place, not a direction
        ("the dog that sleeps", ("still",)),
    ],
)
def test_motions(text: str, motions: tuple[str, ...]) -> None:
    assert parse_query(text).motions == motions


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("the left cup", ("left",)),
        ("the cup on the right", ("right",)),
        ("the leftmost person", ("left",)),
        ("the man in the background", ("far",)),
        ("the middle cup", ("middle",)),
    ],
)
def test_places(text: str, places: tuple[str, ...]) -> None:
    assert parse_query(text).target.positions == places


@pytest.mark.parametrize(
    ("text", "kind", "other"),
    [
        ("the man juggling a ball", "with", "ball"),
        ("the man next to the horse", "with", "horse"),
        ("the man left of the dog", "left_of", "dog"),
        ("the bird above the car", "above", "car"),
        ("the cat under the table", "below", "table"),
        ("the man walks towards the woman", "approach", "woman"),
        ("the man walks away from the woman", "recede", "woman"),
        ("the man with the red kettle", "with", "kettle"),  # known to nobody yet
    ],
)
def test_relations(text: str, kind: str, other: str) -> None:
    assert [(r.kind, r.other.word) for r in parse_query(text).relations] == [(kind, other)]


def test_words_without_a_cue_are_kept() -> None:
    assert parse_query("the man juggling a ball").unused == ("juggling",)


@pytest.mark.parametrize("text", ["", "?", "the", "running", "12345", "猫在跳", "'s", "and of the"])
def test_odd_texts_are_parsed_into_something(text: str) -> None:
    parsed = parse_query(text)
    assert isinstance(parsed, ParsedQuery)
    assert not parsed.target.classes


@pytest.mark.parametrize(
    ("word", "classes"),
    [
        ("dogs", {"dog": 1.0}),
        ("buses", {"bus": 1.0}),
        ("puppies", {"dog": 1}),
        ("knives", {"knife": 1.0}),
        ("glasses", {"cup": 0.8, "wine glass": 1}),
        ("kettle", None),
    ],
)
def test_class_of(word: str, classes: dict[str, float] | None) -> None:
    assert class_of(word) == classes


@pytest.mark.parametrize(
    ("word", "motion"),
    [
        ("runs", "fast"), ("running", "fast"), ("ran", "fast"), ("stopped", "stop"),
        ("moving", "move"), ("flies", "fast"), ("falls", "down"), ("lying", "still"),
        ("hopping", "jump"), ("thinks", None), ("red", None), ("s", None),
    ],
)  # fmt: skip
def test_motion_of(word: str, motion: str | None) -> None:
    assert motion_of(word) == motion
