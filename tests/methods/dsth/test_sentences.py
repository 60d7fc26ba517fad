"""Splitting sentences into looks and action by rules."""

from __future__ import annotations

import pytest

from stvg.methods.dsth.sentences import nouns_of, split_by_rules, whole


@pytest.mark.parametrize(
    ("sentence", "looks", "action"),
    [
        # plain clothes, one action, and the full stop goes
        ("The woman in red walks to the door.", "the woman in red", "the woman walks to the door"),
        # a colour without a noun, several actions
        ("The bald man in brown turns and points, then sits.", "the bald man in brown",
         "the man turns and points, then sits"),
        # a verb in a relative clause and a participle stand before the main one
        ("The girl who holds a cup standing by a tree opens the gate",
         "the girl who holds a cup standing by a tree", "the girl opens the gate"),
        # only a participle
        ("there is a child in white holding a toy", "a child in white", "the child holding a toy"),
        # clothes and things in the plural are no verbs
        ("the man with glasses in long trousers is eating", "the man with glasses in long trousers",
         "the man is eating"),
        # plural subject
        ("two men walk together", "two men", "the men walk together"),
        # questions become statements
        ("Who is holding the red toy?", "someone", "someone is holding the red toy"),
        ("what moves up?", "something", "something moves up"),
        ("which green ball turns around?", "the green ball", "the ball turns around"),
        ("what does the dog follow?", "something", "something that the dog follow"),
        # nothing to split: both are the whole
        ("A small dog", "a small dog", "a small dog"),
        ("???", "???", "???"),
    ],
)  # fmt: skip
def test_parts(sentence: str, looks: str, action: str) -> None:
    parts = split_by_rules(sentence)
    assert (parts.looks, parts.action, parts.source) == (looks, action, "rules")


def test_an_undivided_sentence_stands_for_both_parts() -> None:
    parts = whole("The dog jumps.")
    assert (parts.looks, parts.action, parts.source) == ("the dog jumps", "the dog jumps", "none")


@pytest.mark.parametrize(
    ("phrase", "nouns"),
    [
        ("the small dog", ("dog",)),
        ("someone", ("person",)),
        ("something", ("person", "animal", "vehicle", "object")),
        ("a kettle", ("kettle",)),  # a detector of any words may know it
        ("???", ("person", "animal", "vehicle", "object")),
    ],
)
def test_what_a_detector_is_asked_for(phrase: str, nouns: tuple[str, ...]) -> None:
    assert nouns_of(phrase) == nouns
