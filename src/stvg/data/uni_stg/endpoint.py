"""A language model behind a server, asked for sentences and for what captions speak of.

Answers are kept in a file, one line of JSON a question, so that a build that goes on after it was
stopped has the same samples as one that was not: servers do not repeat themselves to the letter.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stvg.endpoint import KEY_VARIABLE, ask
from stvg.errors import OutputError
from stvg.text.loose_json import find_values

from .recipe import Endpoint
from .rows import UnusableError

_MOST_WORDS = 40
_ADVICE = (
    "Start it and run the command again, which goes on where it stopped (a key goes into "
    f"{KEY_VARIABLE}); or leave the endpoint out of the recipe"
)

_ANALYSE = """\
Which things does this sentence about a video name that can be seen and boxed? Write an object of \
JSON with the list "things": short noun phrases as an object detector takes them, the subject of \
the sentence first.
Sentence: a tall man in a white shirt puts a cup into the sink.
{"things": ["man in a white shirt", "cup", "sink"]}
Sentence: """

_WRITE = """\
In a video there are several things. Write one plain sentence in the present tense on the first of \
them that fits none of the others. Use only what is said here.
"""


@dataclass(slots=True)
class Writer:
    """A model that is asked once for everything.

    Attributes:
        endpoint: The server.
        file: Where its answers are kept.
    """

    endpoint: Endpoint
    file: Path
    _known: dict[str, str] | None = field(default=None, init=False)

    def things_in(self, caption: str) -> tuple[str, ...]:
        """What a caption names, its subject first.

        Raises:
            UnusableError: If the answer names nothing.
            StvgError: If the server cannot be asked.
        """
        for value in find_values(self._answer(f"{_ANALYSE}{caption}")).values:
            things = value.get("things") if isinstance(value, dict) else None
            if isinstance(things, list) and things and all(isinstance(t, str) for t in things):
                return tuple(" ".join(thing.lower().split()) for thing in things)
        raise UnusableError("no things from the model")

    def sentence(self, facts: str, others: Sequence[str]) -> str:
        """A sentence on the first of several things.

        Args:
            facts: What is known of it, as a sentence.
            others: The same of the others.

        Raises:
            UnusableError: If the answer is no sentence.
            StvgError: If the server cannot be asked.
        """
        lines = [f"First: {facts}", *(f"Other: {other}" for other in others)]
        words = self._answer(_WRITE + "\n".join(lines)).strip().strip('"').split()
        if not 1 < len(words) <= _MOST_WORDS:
            raise UnusableError("no sentence from the model")
        return " ".join(words)

    def _answer(self, prompt: str) -> str:
        """What the model said to a prompt, now or before."""
        if self._known is None:
            self._known = _read(self.file)
        mark = json.dumps([self.endpoint.model, prompt])
        key = hashlib.sha256(mark.encode()).hexdigest()[:32]
        if key not in self._known:
            self._known[key] = ask(
                self.endpoint.address, self.endpoint.model, prompt, advice=_ADVICE
            )
            _append(self.file, {"key": key, "answer": self._known[key]})
        return self._known[key]


def _read(file: Path) -> dict[str, str]:
    """Answers by key; a line that was cut off is passed over."""
    known = {}
    for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else []:
        try:
            entry = json.loads(line)
            known[entry["key"]] = str(entry["answer"])
        except (ValueError, LookupError, TypeError):
            continue
    return known


def _append(file: Path, entry: dict[str, str]) -> None:
    """Add an answer to the file, behind one that may be cut off."""
    try:
        with file.open("a+b") as target:
            if target.tell():
                target.seek(-1, os.SEEK_END)
                is_whole = target.read(1) == b"\n"
            else:
                is_whole = True
            target.write(("" if is_whole else "\n").encode() + json.dumps(entry).encode() + b"\n")
    except OSError as error:
        raise OutputError(f"answers cannot be kept in {file}: {error.strerror}") from error
