"""JSON as models write it: everything that looks like an object or a list, found in any text.

Reads what strict JSON allows and, telling it, what it does not: single quotes, missing quotes
around keys, missing or extra brackets and commas, parentheses for brackets, comments, an end in the
middle. Never raises, takes time in proportion to the text, and guesses no values: a number or a
string that the end of the text may have cut short is left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

_CLOSERS = {"{": "}", "[": "]", "(": ")"}
_DEEPEST = 24  # containers in containers; what is deeper is no answer
_BEGIN = re.compile(r"[\[{]")
_SPACE = re.compile(r"(?:\s|`|//[^\n]*+|#[^\n]*+)*+")
_WORD = re.compile(r"\d++(?::\d++)++(?:\.\d++)?+[^\W\d]*+|[^\s,:\[\]{}()\"'`]++")
_STRINGS = {
    '"': re.compile(r'"((?:[^"\\]|\\.)*+)"', re.DOTALL),
    "'": re.compile(r"'((?:[^'\\]|\\.|'(?!\s{0,9}[,:\]})]))*+)'", re.DOTALL),  # 'a dog's ball'
}
_NAMES = {"true": True, "false": False, "null": None, "none": None}


@dataclass(frozen=True, slots=True)
class Found:
    """The objects and lists of a text.

    Attributes:
        values: Dictionaries and lists of floats, strings, True, False and None, outermost ones.
        rest: The text around them.
        mended: What is wrong with them as JSON, in words.
        is_cut: Whether the text ends inside the last one.
    """

    values: tuple[Any, ...]
    rest: str
    mended: tuple[str, ...]
    is_cut: bool


def find_values(text: str) -> Found:
    """Everything in a text that looks like a JSON object or list.

    Example:
        >>> found = find_values("Sure: {'a': [1, 2,], b: 3} and [4, 5")
        >>> found.values, found.is_cut
        (({'a': [1.0, 2.0], 'b': 3.0}, [4.0]), True)
        >>> found.mended
        ('single quotes', 'a comma too many', 'keys without quotes')
    """
    reader = _Reader(text)
    values, rest = [], []
    while True:
        start = _BEGIN.search(text, reader.at)
        rest.append(text[reader.at : start.start() if start else len(text)])
        if start is None:
            break
        reader.at = start.start()
        values.append(reader.container())
    return Found(tuple(values), " ".join(rest), tuple(reader.mended), reader.is_cut)


_CUT = object()
"""In place of a value that the end of the text may have cut short."""


@dataclass(slots=True)
class _Reader:
    """Reads one text.

    Attributes:
        text: All of it.
        at: How far it is read.
        is_cut: Whether its end was met inside a value.
        mended: What was forgiven, in the order of the text (a dictionary keeps each once).
    """

    text: str
    at: int = 0
    is_cut: bool = False
    mended: dict[str, None] = field(default_factory=dict)
    _open: list[str] = field(default_factory=list)  # what would close the containers around

    def container(self) -> Any:
        """The object or list that begins here."""
        opener = self.text[self.at]
        self.at += 1
        if len(self._open) >= _DEEPEST:
            return None
        self._open.append(_CLOSERS[opener])
        plain: list[Any] = []
        keyed: dict[str, Any] = {}
        while not self._is_over(is_first=not plain and not keyed):
            value = self._value()
            self._spaces()
            if self.text[self.at : self.at + 1] == ":":
                self.at += 1
                key, value = str(value), self._value()
                if value is not _CUT:
                    keyed[key] = value
            elif value is not _CUT:
                plain.append(value)
        self._open.pop()
        if opener == "{" and (keyed or not plain):
            return {**keyed, **{f"#{number}": value for number, value in enumerate(plain)}}
        return [*plain, keyed] if keyed else plain

    def _is_over(self, *, is_first: bool) -> bool:
        """Pass what stands between two values; whether the innermost container ends here."""
        commas = self._commas()
        while self.at < len(self.text):
            sign = self.text[self.at]
            if sign == ":":
                self.at += 1
            elif sign not in _CLOSERS.values():
                if commas != (0 if is_first else 1):
                    self._mend("a comma too many" if commas else "a comma too few")
                return False
            elif sign == self._open[-1]:
                self.at += 1
                if commas:
                    self._mend("a comma too many")
                return True
            elif sign in self._open:
                self._mend("a bracket too few")
                return True
            else:
                self._mend("a bracket too many")
                self.at += 1
            commas += self._commas()
        self.is_cut = True
        return True

    def _value(self) -> Any:
        """The value that begins here (behind spaces), or _CUT."""
        self._spaces()
        if self.at >= len(self.text):
            self.is_cut = True
            return _CUT
        sign = self.text[self.at]
        if sign in _CLOSERS:
            if sign == "(":
                self._mend("round brackets")
            return self.container()
        if sign in _STRINGS:
            return self._string(sign)
        word = _WORD.match(self.text, self.at)
        if word is None:  # a comma, colon or closing bracket where a value should be
            return None
        self.at = word.end()
        if self.at >= len(self.text):
            self.is_cut = True
            return _CUT
        return self._meaning(word.group())

    def _string(self, quote: str) -> Any:
        found = _STRINGS[quote].match(self.text, self.at)
        if found is None:
            self.at = len(self.text)
            self.is_cut = True
            return _CUT
        if quote == "'":
            self._mend("single quotes")
        self.at = found.end()
        return found.group(1)

    def _meaning(self, word: str) -> Any:
        """A number, a name of JSON or Python, or the word itself."""
        if word.lower() in _NAMES:
            return _NAMES[word.lower()]
        try:
            return float(word)
        except ValueError:
            if self.text[self.at : self.at + 1] == ":":
                self._mend("keys without quotes")
            return word

    def _commas(self) -> int:
        """Pass spaces and commas; how many commas."""
        count = 0
        self._spaces()
        while self.text[self.at : self.at + 1] == ",":
            self.at += 1
            count += 1
            self._spaces()
        return count

    def _spaces(self) -> None:
        """Pass white space, fences and comments."""
        passed = _SPACE.match(self.text, self.at)
        assert passed is not None
        if re.search(r"//|#", passed.group()):
            self._mend("comments")
        self.at = passed.end()

    def _mend(self, what: str) -> None:
        self.mended[what] = None
