"""Text on pictures: which font has the letters, how wide a line is, where it breaks.

A :class:`Typeface` is a font at one size. It is Pillow's built-in one, which looks the same on
every machine but knows little beyond ASCII, or, when a text needs more (é, ö, 中), the first font
of the machine that has the letters. Letters that no font has lose their accents; what is still
missing shows as the font's empty box. Nothing here draws on a picture: see
:mod:`stvg.video.draw`.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from stvg.types import ByteArray

SYSTEM_FONTS = (
    # Linux, macOS, Windows: Latin, Greek and Cyrillic first, then Chinese, Japanese and Korean
    # (which all have Latin letters too), then what has a bit of everything.
    *("DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf"),
    *("Helvetica.ttc", "segoeui.ttf", "arial.ttf", "Arial.ttf"),
    *("NotoSansCJK-Regular.ttc", "NotoSansCJKsc-Regular.otf", "SourceHanSansSC-Regular.otf"),
    *("wqy-microhei.ttc", "wqy-zenhei.ttc", "DroidSansFallbackFull.ttf"),
    *("PingFang.ttc", "Hiragino Sans GB.ttc", "AppleSDGothicNeo.ttc"),
    *("msyh.ttc", "YuGothM.ttc", "malgun.ttf"),
    *("Arial Unicode.ttf", "unifont.ttf"),
)
BUILT_IN = ""
NO_GLYPH = "\uffff"  # never a letter, so every font shows its empty box for it
LINE_HEIGHT = 1.4  # of the text size; room for accents above and descenders below


class Typeface:
    """A font at one size, with the measures that drawing needs.

    Args:
        name: File name of a font, or ``BUILT_IN``.
        size: Text size in pixels.

    Attributes:
        font: The font itself, at that size.
        size: Text size in pixels.
        baseline: Pixels from the top of a line to the line that letters stand on.
        line_height: Pixels from one line to the next.
    """

    def __init__(self, name: str, size: int) -> None:
        self.font = _load(name, size)
        self.size = size
        self.line_height = round(LINE_HEIGHT * size)
        capital_height = -self.font.getbbox("H", anchor="ls")[1]
        self.baseline = round((self.line_height + capital_height) / 2)

    def width(self, text: str) -> int:
        """Pixels that a line of text takes."""
        return int(np.ceil(self.font.getlength(self.readable(text))))

    def readable(self, text: str) -> str:
        """The text in one line, with letters that the font lacks replaced where possible."""
        line = " ".join(text.split())
        return "".join(letter if self.has(letter) else _plain(letter) for letter in line)

    def has(self, letters: str) -> bool:
        """Whether the font can show all of ``letters``."""
        return all(_has_glyph(self.font, letter) for letter in letters)

    def elide(self, text: str, width: int) -> str:
        """The longest beginning of the text that fits ``width`` pixels, with … when it is cut.

        Empty when not even one letter and the … fit.
        """
        text = self.readable(text)
        if self.width(text) <= width:
            return text
        kept = 0
        for step in _powers_of_two_below(len(text)):
            if self.width(text[: kept + step].rstrip() + "…") <= width:
                kept += step
        return text[:kept].rstrip() + "…" if kept else ""

    def wrap(self, text: str, width: int, max_lines: int) -> list[str]:
        """Break the text into lines of at most ``width`` pixels.

        Lines break between words; a word that is longer than a line (or a script without spaces)
        breaks anywhere. What does not fit ``max_lines`` is cut with …. No lines at all when not
        even one letter fits.
        """
        lines: list[str] = []
        rest = self.readable(text)
        taken = self._line_end(rest, width)
        while taken and len(lines) < max_lines - 1:
            lines.append(rest[:taken].rstrip())
            rest = rest[taken:].lstrip()
            taken = self._line_end(rest, width)
        last = self.elide(rest, width) if max_lines > 0 else ""
        return [*lines, last] if last else lines

    def mask(self, text: str) -> ByteArray:
        """The text as coverage, (line_height, width) uint8: 255 is ink, 0 is background."""
        return _mask(self, text)

    def _line_end(self, text: str, width: int) -> int:
        """How many letters of the text the first line takes."""
        fits = 0
        for step in _powers_of_two_below(len(text)):
            if fits + step <= len(text) and self.width(text[: fits + step]) <= width:
                fits += step
        if fits == len(text) or text[fits] == " ":
            return fits
        space = text.rfind(" ", 0, fits)
        return space if space > 0 else fits


@lru_cache(maxsize=64)
def typeface_for(text: str, size: int) -> Typeface:
    """The typeface that shows ``text`` best, at ``size`` pixels.

    Texts that appear together look best in one typeface: pass them joined.
    """
    missing = [letter for letter in set(text) if not _typeface(BUILT_IN, size).has(letter)]
    if not missing:
        return _typeface(BUILT_IN, size)
    best, most = BUILT_IN, 0
    for name in SYSTEM_FONTS:
        try:
            found = sum(_has_glyph(_load(name, size), letter) for letter in missing)
        except OSError:  # not on this machine
            continue
        if found > most:
            best, most = name, found
        if most == len(missing):
            break
    return _typeface(best, size)


@lru_cache(maxsize=64)
def _typeface(name: str, size: int) -> Typeface:
    return Typeface(name, size)


@lru_cache(maxsize=1024)
def _mask(face: Typeface, text: str) -> ByteArray:
    """See :meth:`Typeface.mask`; kept, because the same words return in every frame."""
    text = face.readable(text)
    image = Image.new("L", (max(1, face.width(text)), face.line_height))
    ImageDraw.Draw(image).text((0, face.baseline), text, 255, face.font, anchor="ls")
    return np.asarray(image)


@lru_cache(maxsize=64)
def _load(name: str, size: int) -> ImageFont.FreeTypeFont:
    """A font of the machine by file name, or Pillow's own; OSError when there is none."""
    if name != BUILT_IN:
        return ImageFont.truetype(name, size)
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
    return font


@lru_cache(maxsize=4096)
def _has_glyph(font: ImageFont.FreeTypeFont, letter: str) -> bool:
    """Whether the font shows the letter as something else than its empty box."""
    if letter.isspace() or unicodedata.category(letter) in {"Mn", "Cf"}:
        return True  # nothing of their own to show
    shape, empty_box = font.getmask(letter), font.getmask(NO_GLYPH)
    return shape.size != empty_box.size or bytes(shape) != bytes(empty_box)


def _plain(letter: str) -> str:
    """The letter without its accents: é becomes e."""
    parts = unicodedata.normalize("NFKD", letter)
    return "".join(part for part in parts if not unicodedata.combining(part)) or letter


def _powers_of_two_below(count: int) -> list[int]:
    """Steps of a binary search over 0..count: the powers of two, largest first."""
    return [1 << bit for bit in reversed(range(count.bit_length()))]
