"""Splitting a sentence into the cues that ``track_match`` can check; rules, no model.

A sentence is taken as a target ("the woman in jeans"), the motion words that follow ("runs to the
left") and other objects it is set in relation with ("with a dog"). Words that nothing can be made
of are kept and shown, so that a reader sees what was not understood. The rules know English.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from stvg.methods.track_match.lexicon import (
    BODY_WORDS,
    COLOUR_WORDS,
    DETERMINERS,
    FILLERS,
    GARMENT_COLOURS,
    GARMENTS,
    PERSON,
    POSITION_WORDS,
    POSSESSIVES,
    RELATION_WORDS,
    SIZE_WORDS,
    STOPPERS,
    THING,
    THING_WORDS,
    THROUGH_THE_EDGE,
    UNMEASURED_WEAR,
    ClassWeights,
    class_of,
    motion_of,
)


@dataclass(frozen=True, slots=True)
class Colour:
    """A colour word: the names that count for it and the part of the object it is about."""

    word: str
    names: tuple[str, ...]
    part: str = "whole"


@dataclass(frozen=True, slots=True)
class Thing:
    """A mention of an object.

    Attributes:
        word: The noun as written.
        classes: Detector classes with weights in (0, 1]; empty when the noun is unknown.
        colours: What colours it should have.
        sizes: ``big`` or ``small``.
        positions: Where in the picture: ``left``, ``right``, ``middle``, ``top``, ``bottom``,
            ``near``, ``far``.
    """

    word: str
    classes: ClassWeights
    colours: tuple[Colour, ...] = ()
    sizes: tuple[str, ...] = ()
    positions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Relation:
    """Another object and how the target stands to it.

    ``kind`` is ``with``, ``above``, ``below``, ``left_of``, ``right_of``, ``approach`` or
    ``recede``.
    """

    kind: str
    other: Thing


@dataclass(frozen=True, slots=True)
class ParsedQuery:
    """A sentence in cues.

    Attributes:
        target: What is asked for.
        motions: Motions it makes, names of :data:`stvg.methods.track_match.cues.MOTIONS`.
        relations: Other objects.
        unused: Words that no cue was made of.
    """

    target: Thing
    motions: tuple[str, ...] = ()
    relations: tuple[Relation, ...] = ()
    unused: tuple[str, ...] = ()


@dataclass(slots=True)
class _State:
    """What the scan has gathered so far."""

    target: Thing | None = None
    motions: list[str] = field(default_factory=list)
    relations: list[Relation] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    colours: list[Colour] = field(default_factory=list)  # waiting for their noun
    sizes: list[str] = field(default_factory=list)
    positions: list[str] = field(default_factory=list)
    kind: str = "with"  # relation that the next noun stands in


def parse_query(text: str) -> ParsedQuery:
    """Split a sentence into target, motions and relations.

    Args:
        text: An English sentence or phrase, declarative or interrogative.

    Example:
        >>> parsed = parse_query("the woman in jeans walks to the left")
        >>> parsed.target.word, [c.part for c in parsed.target.colours], parsed.motions
        ('woman', ['lower'], ('move', 'left'))
    """
    tokens = _tokens(text)
    state = _State()
    start = _open_question(tokens, state)
    place = start
    while place < len(tokens):
        place += _step(tokens, place, state)
    _settle_colours(state)
    target = state.target or Thing(_unknown_head(tokens), {})
    if state.positions and not target.positions:
        target = replace(target, positions=tuple(state.positions))
    return ParsedQuery(
        target,
        tuple(dict.fromkeys(state.motions)),
        tuple(state.relations),
        tuple(dict.fromkeys(state.unused)),
    )


def _tokens(text: str) -> list[str]:
    """Lower-case words; possessive endings become a token of their own."""
    words = re.findall(r"[a-z]+(?:-[a-z]+)*|'s", text.lower().replace("’", "'"))
    return [part for word in words for part in _split_hyphen(word)]


def _split_hyphen(word: str) -> list[str]:
    """``red-shirted`` -> red, shirted; words known with their hyphen stay whole."""
    return [word] if word in GARMENTS or "-" not in word else word.split("-")


def _open_question(tokens: list[str], state: _State) -> int:
    """Read who, what, which at the start; returns where the rest begins."""
    if not tokens:
        return 0
    if tokens[0] in ("who", "whom", "whose"):
        state.target = Thing(tokens[0], PERSON)
        return 1
    if tokens[0] in ("what", "which"):
        noun = _noun_at(tokens, 1)
        if noun is None and (len(tokens) < 2 or not _starts_noun_phrase(tokens, 1)):
            state.target = Thing(tokens[0], THING)
        return 1
    if tokens[0] in ("where", "when", "how"):
        return 1
    return 0


def _starts_noun_phrase(tokens: list[str], place: int) -> bool:
    """Whether adjectives and a noun follow, as in "which small red ball"."""
    while place < len(tokens) and (tokens[place] in COLOUR_WORDS or tokens[place] in SIZE_WORDS):
        place += 1
    return _noun_at(tokens, place) is not None


def _noun_at(tokens: list[str], place: int) -> tuple[str, ClassWeights, int] | None:
    """The known noun that begins here: word, classes, number of tokens; the longest first.

    In a run of nouns ("tennis ball", "bus driver") the last one counts.
    """
    found = None
    while place < len(tokens):
        pair = " ".join(tokens[place : place + 2])
        if len(pair.split()) == 2 and class_of(pair):
            size, word = 2, pair
        elif tokens[place] in THING_WORDS or class_of(tokens[place]):
            size, word = 1, tokens[place]
        else:
            break
        if found and (word in COLOUR_WORDS or motion_of(word)):
            break
        length = (found[2] if found else 0) + size
        found = (word, THING if word in THING_WORDS else class_of(word) or {}, length)
        place += size
    return found


def _step(tokens: list[str], place: int, state: _State) -> int:
    """Read one unit at ``place``; returns how many tokens it took."""
    word = tokens[place]
    for read in (_read_direction, _read_colour, _read_garment, _read_noun, _read_motion):
        taken = read(tokens, place, state)
        if taken:
            return taken
    if tokens[place : place + 2] == ["next", "to"]:
        state.kind = "with"
        return 2
    if word in SIZE_WORDS:
        state.sizes.append(SIZE_WORDS[word])
    elif word in RELATION_WORDS:
        state.kind = RELATION_WORDS[word]
    elif word in STOPPERS and word not in ("and", "of"):
        _settle_colours(state)
        state.kind = "with"
    elif word in DETERMINERS:  # it opens the next phrase
        _settle_colours(state)
    elif word not in FILLERS | {"and", "of", "s", "'s"}:
        _read_unknown(tokens, place, state)
    return 1


def _read_direction(tokens: list[str], place: int, state: _State) -> int:
    """Left, right and their kin: where something is, where it goes, or beside what."""
    word, before = tokens[place], tokens[max(0, place - 2) : place]
    following = tokens[place + 1] if place + 1 < len(tokens) else ""
    if word not in POSITION_WORDS:
        return 0
    side = POSITION_WORDS[word]
    if side in ("left", "right") and following == "of":
        state.kind = f"{side}_of"
        return 2
    if word == "front" and following == "of":
        state.kind = "with"
        return 2
    if _noun_at(tokens, place + 1) or following in COLOUR_WORDS or _is_place(before):
        state.positions.append(side)
        if state.target is not None and _is_place(before):
            _place_target(state)
        return 1
    if side in ("left", "right"):
        after_noun = bool(before) and _noun_at(before, len(before) - 1) is not None
        state.motions.append("leave" if word == "left" and after_noun else side)
        if state.kind in ("approach", "recede"):
            state.kind = "with"
        return 1
    return 0


def _is_place(before: list[str]) -> bool:
    """Whether the two words before make "on the left" a place rather than a direction."""
    return before[-1:] == ["the"] and before[:1] in (["on"], ["at"], ["in"])


def _place_target(state: _State) -> None:
    """Give the waiting place words to the target."""
    assert state.target is not None
    state.target = replace(state.target, positions=state.target.positions + tuple(state.positions))
    state.positions.clear()


def _read_colour(tokens: list[str], place: int, state: _State) -> int:
    word = tokens[place]
    if word not in COLOUR_WORDS:
        return 0
    if word == "orange" and _is_fruit(tokens, place):
        return 0
    if word == "dark" and place + 1 < len(tokens) and tokens[place + 1] in COLOUR_WORDS:
        names = (*COLOUR_WORDS[tokens[place + 1]], "black")
        state.colours.append(Colour(f"dark {tokens[place + 1]}", names))
        return 2
    state.colours.append(Colour(word, COLOUR_WORDS[word]))
    return 1


def _is_fruit(tokens: list[str], place: int) -> bool:
    """Whether "orange" is a noun: after a determiner that no "in" precedes, ending its phrase."""
    following = tokens[place + 1 : place + 2]
    ends = not following or following[0] in STOPPERS or motion_of(following[0]) is not None
    determined = tokens[max(0, place - 1) : place] and tokens[place - 1] in DETERMINERS
    return bool(ends and determined and "in" not in tokens[max(0, place - 2) : place])


def _read_garment(tokens: list[str], place: int, state: _State) -> int:
    """Clothes: the colours before them belong to their wearer's upper or lower half."""
    word = tokens[place]
    if word in UNMEASURED_WEAR and class_of(word) is None:
        state.unused += [colour.word for colour in state.colours] + [word]
        state.colours.clear()
        return 1
    if word not in GARMENTS:
        return 0
    part = GARMENTS[word]
    worn = [replace(colour, part=part) for colour in state.colours]
    if not worn and word in GARMENT_COLOURS:
        worn = [Colour(word, GARMENT_COLOURS[word], part)]
    if state.target is None:
        state.target = Thing("person", PERSON)
    _give_colours(state, worn)
    if not worn:
        state.unused.append(word)
    return 1


def _read_noun(tokens: list[str], place: int, state: _State) -> int:
    word = tokens[place]
    if state.target is not None and motion_of(word) and tokens[place - 1] not in DETERMINERS:
        return 0  # "ducks", "watch", "flies" after the target are verbs
    found = _noun_at(tokens, place)
    if found is None:
        return 0
    noun, classes, length = found
    after = tokens[place + length : place + length + 1]
    if after == ["'s"] and _noun_at(tokens, place + length + 1):
        return length + 1  # "the man's dog": the owner is passed over
    thing = Thing(noun, classes, tuple(state.colours), tuple(state.sizes), tuple(state.positions))
    if state.target is None:
        state.target = thing
    elif is_body_part(thing) and tokens[place - 1] in POSSESSIVES:
        state.unused.append(noun)  # "with his feet": no other object
    else:
        state.relations.append(Relation(state.kind, thing))
        state.kind = "with"
    state.colours.clear()
    state.sizes.clear()
    state.positions.clear()
    return length


def _read_motion(tokens: list[str], place: int, state: _State) -> int:
    motion, following = motion_of(tokens[place]), tokens[place + 1 : place + 2]
    if motion is None:
        return 0
    if motion in ("move", "fast") and following and following[0] in THROUGH_THE_EDGE:
        state.motions += [motion, THROUGH_THE_EDGE[following[0]]]
        return 2
    if motion in ("towards", "away") and following == ["from"]:
        state.kind = "recede"
    elif motion == "still" and following == ["up"]:
        state.motions.append("up")
        return 2
    elif motion == "still" and following == ["down"]:
        state.motions.append("lower")
        return 2
    else:
        state.motions.append(motion)
    return 1


def _settle_colours(state: _State) -> None:
    """Colours that no noun followed ("the man in white") belong to what was mentioned before."""
    if state.colours and state.target is not None:
        _give_colours(state, state.colours)


def _give_colours(state: _State, colours: Sequence[Colour]) -> None:
    """Colours behind their noun: of the person mentioned last, or else of the target."""
    assert state.target is not None
    last = state.relations[-1] if state.relations else None
    if last is not None and "person" in last.other.classes and not is_body_part(last.other):
        wearer = replace(last.other, colours=(*last.other.colours, *colours))
        state.relations[-1] = replace(last, other=wearer)
    else:
        state.target = replace(state.target, colours=(*state.target.colours, *colours))
    state.colours.clear()


def _read_unknown(tokens: list[str], place: int, state: _State) -> None:
    """A word outside the lexicon: the noun of a phrase, or nothing that is understood.

    Detectors may know nouns that the lexicon does not; see ``method.bind_nouns``.
    """
    word = tokens[place]
    state.unused.append(word)
    if state.target is None and _closes_phrase(tokens, place):
        state.target = Thing(
            word, {}, tuple(state.colours), tuple(state.sizes), tuple(state.positions)
        )
        state.colours.clear()
        state.sizes.clear()
        state.positions.clear()
    elif state.target and _has_determiner(tokens, place) and _closes_phrase(tokens, place):
        state.relations.append(Relation(state.kind, Thing(word, {}, tuple(state.colours))))
        state.colours.clear()
        state.kind = "with"


def _has_determiner(tokens: list[str], place: int) -> bool:
    """Whether a determiner stands before the word, with adjectives between them at most."""
    while place > 0 and (tokens[place - 1] in COLOUR_WORDS or tokens[place - 1] in SIZE_WORDS):
        place -= 1
    return place > 0 and tokens[place - 1] in DETERMINERS


def _closes_phrase(tokens: list[str], place: int) -> bool:
    """Whether the unknown word at ``place`` ends its noun phrase: is it the noun?"""
    if place + 1 >= len(tokens):
        return True
    following = tokens[place + 1]
    if following in STOPPERS | DETERMINERS or motion_of(following):
        return True
    known = _noun_at(tokens, place + 1) is not None or following in GARMENTS
    return not known and following.endswith(("ing", "ed", "s"))


def _unknown_head(tokens: list[str]) -> str:
    """A word to show when no target was found."""
    skipped = DETERMINERS | STOPPERS | FILLERS
    return next((token for token in tokens if token not in skipped), " ".join(tokens[:3]))


def is_body_part(thing: Thing) -> bool:
    """Whether the noun names a part of a person, which detectors show as the whole person."""
    return thing.word in BODY_WORDS
