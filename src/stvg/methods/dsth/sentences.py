"""What is asked: a sentence as two parts, looks and action, and each part as a question.

The part that says how the target looks should not depend on time, the part that says what it does
is about time; each is asked about by itself (arXiv 2509.15178, "decomposed spatio-temporal
highlighting"). The paper has a large model of OpenAI split the sentences. Here rules do by default,
or any model: see :mod:`stvg.methods.dsth.splitters`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from stvg.methods.track_match.language import parse_query
from stvg.methods.track_match.lexicon import (
    BODY_WORDS,
    COLOUR_WORDS,
    DETERMINERS,
    GARMENTS,
    POSSESSIVES,
    SIZE_WORDS,
    UNMEASURED_WEAR,
    class_of,
    motion_of,
)

_AUXILIARIES = frozenset("is are was were has have had be been does do did".split())
_RELATIVES = frozenset("who that which whose".split())
_PREPOSITIONS = frozenset(
    "in on at with of by near from to into onto beside besides behind under over above below next "
    "between among around against without inside outside across along toward towards and or".split()
)
_GENERIC = ("person", "animal", "vehicle", "object")


@dataclass(frozen=True, slots=True)
class Parts:
    """A sentence in two.

    Attributes:
        looks: A noun phrase: who, with everything that can be seen at any time.
        action: A clause: the plain noun and what it does.
        source: Who split it.
    """

    looks: str
    action: str
    source: str

    @classmethod
    def of(cls, looks: str, action: str, sentence: str, source: str) -> Parts:
        """The parts; the whole sentence in place of an empty one."""
        unsplit = _without_stop(sentence).lower() or sentence
        return cls(_without_stop(looks) or unsplit, _without_stop(action) or unsplit, source)


def whole(sentence: str) -> Parts:
    """The sentence for both parts."""
    return Parts.of("", "", sentence, "none")


def nouns_of(sentence: str) -> tuple[str, ...]:
    """What an open-vocabulary detector is asked for: the target's noun, or kinds of things.

    Example:
        >>> nouns_of("the woman in jeans walks"), nouns_of("what moves?")
        (('woman',), ('person', 'animal', 'vehicle', 'object'))
    """
    noun = parse_query(sentence).target.word
    if noun in ("who", "someone"):
        return ("person",)
    if not noun or (class_of(noun) is None and noun in _RELATIVES | {"what", "something"}):
        return _GENERIC
    return (noun,)


def split_by_rules(sentence: str) -> Parts:
    """Split an English sentence at its main verb.

    The verb is the first finite one that is in no relative clause; failing that a participle, then
    the verb of a relative clause. Nothing but words and their endings is looked at, so that
    unusual verbs are missed; then both parts are the whole sentence.

    Example:
        >>> parts = split_by_rules("The man who wears a red cap standing by it opens the door.")
        >>> parts.looks, parts.action
        ('the man who wears a red cap standing by it', 'the man opens the door')
        >>> split_by_rules("what does the dog chase?").action
        'something that the dog chase'
    """
    words = re.findall(r"[\w'-]+|,", sentence.lower())
    if words[:2] in (["there", "is"], ["there", "are"]):
        words = words[2:]
    asked = _asked_object(words)
    if asked:
        return Parts.of("something", asked, sentence, "rules")
    words = _declarative(words)
    place = _main_verb(words)
    if place is None or place == 0:
        return Parts.of("", "", sentence, "rules")
    looks = " ".join(words[:place]).replace(" ,", ",").strip(", ")
    noun = parse_query(looks).target.word
    subject = looks if noun in ("someone", "something") else f"the {noun}"
    action = " ".join([subject, *words[place:]]).replace(" ,", ",")
    return Parts.of(looks, action, sentence, "rules")


def _without_stop(text: str) -> str:
    """A text without the mark at its end."""
    return text.strip().rstrip(".?!").strip()


def _asked_object(words: list[str]) -> str:
    """A clause for "what does the dog chase": the thing that is asked for is no subject."""
    if len(words) > 3 and words[0] in ("what", "who", "whom") and words[1] in ("does", "do", "did"):
        return " ".join(["someone" if words[0] != "what" else "something", "that", *words[2:]])
    return ""


def _declarative(words: list[str]) -> list[str]:
    """Who and what become someone and something; "which dog" becomes "the dog"."""
    if not words or words[0] not in ("who", "what", "which"):
        return words
    if words[0] == "who":
        return ["someone", *words[1:]]
    if len(words) > 1 and _verb_form(words, 1) is None:
        return ["the", *words[1:]]
    return ["something", *words[1:]]


def _main_verb(words: list[str]) -> int | None:
    """Place of the verb at which the action begins; None when there is none."""
    found: dict[tuple[bool, bool], int] = {}
    for place in range(1, len(words)):
        form = _verb_form(words, place)
        if form is None:
            continue
        before = words[place - 1]
        relative = before in _RELATIVES or (
            before in _AUXILIARIES and words[max(place - 2, 0)] in _RELATIVES
        )
        found.setdefault((relative, form == "participle"), place)
    for kind in ((False, False), (False, True), (True, False), (True, True)):
        if kind in found:
            return found[kind]
    return None


def _verb_form(words: list[str], place: int) -> str | None:
    """``finite`` or ``participle``, or None for a word that is no verb here."""
    word, before = words[place], words[place - 1]
    if word in _AUXILIARIES:
        return "finite"
    described = DETERMINERS | POSSESSIVES | _PREPOSITIONS | COLOUR_WORDS.keys() | SIZE_WORDS.keys()
    is_worn = before in COLOUR_WORDS and place > 1 and words[place - 2] == "in"  # "in black"
    if word in described or (before in described and not is_worn):
        return None
    if word.endswith("ing") and len(word) > 4:
        return "participle"
    if word in GARMENTS or word in UNMEASURED_WEAR or word in BODY_WORDS:
        return None
    if motion_of(word):
        return "finite"
    if class_of(word):
        return None
    if word.endswith("ed") and len(word) > 3:
        return "participle"
    return "finite" if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else None
