"""Text measures: lines fit, words stay whole, letters that no font has do not break anything."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from stvg.video import fonts
from stvg.video.fonts import typeface_for

SENTENCE = "the man in the red jacket who drops the bag"


@pytest.mark.parametrize("size", [8, 12, 23, 68])
@pytest.mark.parametrize("text", ["a", SENTENCE, "1:04.2", "W" * 40])
def test_the_mask_is_as_large_as_announced_and_holds_the_ink(text: str, size: int) -> None:
    face = typeface_for(text, size)
    mask = face.mask(text)
    assert mask.shape == (face.line_height, face.width(text))
    assert mask.max() > 150
    assert not mask[0].any()
    assert not mask[-1].any()  # nothing is cut off at the top or the bottom


def test_text_is_as_large_as_asked() -> None:
    """A capital letter of the built-in font is 0.7 of the size high."""
    rows = np.flatnonzero(typeface_for("H", 40).mask("H").any(axis=1))
    assert len(rows) == pytest.approx(28, abs=1)


@pytest.mark.parametrize("width", range(0, 420, 20))
def test_elide_gives_the_longest_beginning_that_fits(width: int) -> None:
    face = typeface_for(SENTENCE, 16)
    text = face.elide(SENTENCE, width)
    assert not text or face.width(text) <= width
    if text == SENTENCE:
        return
    kept = len(text.removesuffix("…"))
    assert text == (SENTENCE[:kept] + "…" if text else "")
    longer = [SENTENCE[:end].rstrip() + "…" for end in range(kept + 1, len(SENTENCE))]
    assert all(face.width(other) > width for other in longer if len(other) > len(text))


def test_elide_leaves_what_fits() -> None:
    face = typeface_for(SENTENCE, 16)
    assert face.elide(SENTENCE, face.width(SENTENCE)) == SENTENCE
    assert face.elide("", 10) == ""


@pytest.mark.parametrize("width", [60, 100, 200, 1000])
def test_wrap_breaks_between_words_and_loses_none(width: int) -> None:
    face = typeface_for(SENTENCE, 16)
    lines = face.wrap(SENTENCE, width, 99)
    assert " ".join(lines) == SENTENCE
    assert all(face.width(line) <= width for line in lines)
    for line, after in pairwise(lines):  # no word of the next line had room in this one
        assert face.width(f"{line} {after.split()[0]}") > width


def test_wrap_cuts_what_does_not_fit() -> None:
    face = typeface_for(SENTENCE, 16)
    lines = face.wrap(SENTENCE, 100, 2)
    assert len(lines) == 2
    assert lines[0] == face.wrap(SENTENCE, 100, 99)[0]
    assert lines[1].endswith("…")
    assert max(face.width(line) for line in lines) <= 100


@pytest.mark.parametrize("text", ["a" * 60, "the " + "a" * 60, "红衣男子" * 10])
def test_wrap_breaks_words_that_are_too_long(text: str) -> None:
    face = typeface_for(text, 16)
    lines = face.wrap(text, 80, 99)
    assert len(lines) > 1
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert all(face.width(line) <= 80 for line in lines)


@pytest.mark.parametrize(
    ("text", "width", "max_lines"),
    [
        ("", 100, 3),  # no text
        ("  ", 100, 3),  # only space
        ("word", 0, 3),  # no width
        ("word", 100, 0),  # no height
    ],
)
def test_wrap_where_there_is_nothing_to_show(text: str, width: int, max_lines: int) -> None:
    assert typeface_for("a", 16).wrap(text, width, max_lines) == []


def test_line_breaks_and_runs_of_spaces_become_one_space() -> None:
    assert typeface_for("a", 16).readable(" the\n\tdog  runs ") == "the dog runs"


def test_plain_text_uses_the_font_that_is_the_same_everywhere() -> None:
    assert typeface_for(SENTENCE, 16).font.getname()[0] == "Aileron"


def test_accents_are_shown_or_dropped_but_never_a_box() -> None:
    """With a system font läuft stays läuft; on a machine without fonts it becomes lauft."""
    face = typeface_for("läuft", 16)
    assert face.readable("läuft") in {"läuft", "lauft"}
    assert face.has(face.readable("läuft"))


def test_without_any_system_font_accents_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "SYSTEM_FONTS", ("NoSuchFont.ttf",))
    typeface_for.cache_clear()
    face = typeface_for("über café", 16)
    assert face.readable("über café") == "uber cafe"
    assert face.readable("狗") == "狗"  # shown as the empty box, which takes room
    assert face.width("狗") > 0
    typeface_for.cache_clear()


def test_the_font_with_the_most_letters_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "_has_glyph", lambda font, letter: letter in known[font])
    monkeypatch.setattr(fonts, "_load", lambda name, size: name)
    monkeypatch.setattr(fonts, "_typeface", lambda name, size: Fake(name))
    monkeypatch.setattr(fonts, "SYSTEM_FONTS", ("latin", "chinese", "both"))
    known = {"": "abc", "latin": "abcé", "chinese": "abc狗", "both": "abcé狗"}

    class Fake:
        def __init__(self, name: str) -> None:
            self.name = name

        def has(self, letter: str) -> bool:
            return letter in known[self.name]

    for text, font in {"a": "", "é": "latin", "狗": "chinese", "é狗": "both"}.items():
        typeface_for.cache_clear()
        assert typeface_for(text, 16).name == font  # type: ignore[attr-defined]
    typeface_for.cache_clear()
