"""A language model behind a server, asked for sentences and for what captions speak of.

Answers are kept in a file, one line of JSON a question, so that a build that goes on after it was
stopped has the same samples as one that was not: servers do not repeat themselves to the letter.
"""

from __future__ import annotations

import hashlib
import json
import os
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path

from stvg.errors import OutputError, StvgError
from stvg.text.loose_json import find_values

from .recipe import Endpoint
from .rows import UnusableError

KEY_VARIABLE = "STVG_ENDPOINT_KEY"
"""Environment variable with the key of a server that wants one."""

_MOST_TOKENS = 200
_MOST_WORDS = 40
_TIMEOUT_S = 60
_FAILURES = (OSError, HTTPException, ValueError, LookupError, TypeError)
"""What a connection or a reply of another form can raise."""

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
            self._known[key] = _ask(self.endpoint, prompt)
            _append(self.file, {"key": key, "answer": self._known[key]})
        return self._known[key]


def _ask(endpoint: Endpoint, prompt: str) -> str:
    """The reply of a server to one message."""
    key = os.environ.get(KEY_VARIABLE)
    body = {
        "model": endpoint.model,
        "messages": [{"role": "user", "content": prompt}],
        "temperature": 0,
        "max_tokens": _MOST_TOKENS,
    }
    request = urllib.request.Request(  # noqa: S310
        f"{endpoint.address.rstrip('/')}/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "User-Agent": "stvg"}
        | ({"Authorization": f"Bearer {key}"} if key else {}),
    )
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as reply:  # noqa: S310
            return str(json.load(reply)["choices"][0]["message"]["content"])
    except _FAILURES as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise StvgError(
            f"expected the server at {endpoint.address} to answer as its model "
            f"{endpoint.model!r}, which failed: {reason}. Start it and run the command again, "
            f"which goes on where it stopped (a key goes into {KEY_VARIABLE}); or leave the "
            "endpoint out of the recipe"
        ) from error


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
