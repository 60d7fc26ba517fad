"""Who splits a sentence: rules, the model that is loaded, or a server; answers are kept.

Models are asked with a few solved examples for an object of JSON. What they answer is kept in a
file, one line of JSON a sentence, so that it is asked once; an answer that cannot be read is
replaced by what the rules make of the sentence, and the source says so.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import platformdirs

from stvg.backbones.qwen import QwenBackbone
from stvg.endpoint import KEY_VARIABLE, ask
from stvg.errors import OutputError, UsageError
from stvg.methods.dsth.sentences import Parts, split_by_rules
from stvg.text.loose_json import find_values

_MOST_TOKENS = 200

PROMPT = """\
Split a sentence about a video into two parts.
looks: a noun phrase that names the one target and says how it looks or where it stands; nothing \
that takes time.
action: a clause that begins with the plain noun and says what the target does, in order, without \
its looks.
Write an object of JSON with the strings "looks" and "action". Invent nothing. A part that the \
sentence does not have is an empty string. Of a question make a statement about someone or \
something.

Sentence: The girl in a striped sweater picks up a cup and then leaves the kitchen.
{"looks": "the girl in a striped sweater", "action": "the girl picks up a cup and then leaves the \
kitchen"}
Sentence: The tall man to the left of the cyclist waves his hand.
{"looks": "the tall man to the left of the cyclist", "action": "the man waves his hand"}
Sentence: What is the grey cat chasing over the lawn?
{"looks": "something", "action": "something is chased over the lawn by the grey cat"}
Sentence: Somebody falls down and gets up again.
{"looks": "", "action": "somebody falls down and gets up again"}
Sentence: The old bus with a broken window.
{"looks": "the old bus with a broken window", "action": ""}
Sentence: """

Ask = Callable[[str], str]
"""From a prompt to what a model answers."""


@dataclass(slots=True)
class ModelSplitter:
    """Splits with a model.

    Attributes:
        ask: Asks it.
        name: What it is called; answers of another are not used.
        file: Where answers are kept.
    """

    ask: Ask
    name: str
    file: Path
    _known: dict[str, list[str]] | None = field(default=None, init=False)

    def __call__(self, sentence: str) -> Parts:
        """The parts of a sentence.

        Raises:
            StvgError: If the model cannot be asked.
            OutputError: If the file cannot be written.
        """
        if self._known is None:
            self._known = _read(self.file)
        mark = json.dumps([self.name, PROMPT, sentence])
        key = hashlib.sha256(mark.encode()).hexdigest()[:32]
        if key not in self._known:
            found = _parts_in(self.ask(f"{PROMPT}{sentence}\n"))
            if found is None:
                parts = split_by_rules(sentence)
                return Parts(parts.looks, parts.action, f"rules, {self.name} named no parts")
            self._known[key] = found
            _append(self.file, key, sentence, found)
        looks, action = self._known[key]
        return Parts.of(looks, action, sentence, self.name)


def default_file() -> Path:
    """Where answers are kept unless told otherwise."""
    return Path(platformdirs.user_cache_dir("stvg")) / "dsth_parts.jsonl"


def ask_backbone(backbone: QwenBackbone) -> Ask:
    """Ask the model that grounds, without the video."""

    def ask(prompt: str) -> str:
        import torch

        text = backbone.tokenizer.apply_chat_template(
            [{"role": "user", "content": [{"type": "text", "text": prompt}]}],
            tokenize=False,
            add_generation_prompt=True,
        )
        ids = backbone.tokenizer(text, add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            answer = backbone.generate(backbone.prefill(ids), max_new_tokens=_MOST_TOKENS)
        return str(backbone.tokenizer.decode(answer.ids[0], skip_special_tokens=True))

    return ask


def ask_server(address: str, model: str) -> Ask:
    """Ask a server that has the chat interface of OpenAI.

    Args:
        address: Up to ``/v1``.
        model: What the server calls its model.

    Raises:
        UsageError: If the address is none of the web.
    """
    if not address.startswith(("http://", "https://")):
        raise UsageError(
            f"expected the address of a server, http://... or https://..., found {address!r}"
        )

    advice = (
        "Start it, name another with --set endpoint=... and endpoint_model=... (its key in "
        f"{KEY_VARIABLE}), or split with --set split=rules"
    )
    return partial(ask, address, model, advice=advice)


def _parts_in(answer: str) -> list[str] | None:
    """Looks and action in what a model wrote; None where there are none."""
    for value in find_values(answer).values:
        if isinstance(value, dict):
            written = [value.get("looks"), value.get("action")]
            parts = [_plain(part) for part in written if isinstance(part, str)]
            if len(parts) == len(written) and any(parts) and "".join(parts).isprintable():
                return parts
    return None


def _plain(text: str) -> str:
    """What a string of JSON says, in one line."""
    with suppress(ValueError):
        text = json.loads(f'"{text}"', strict=False)
    return " ".join(text.split())


def _read(file: Path) -> dict[str, list[str]]:
    """Answers by key; lines that were cut off are passed over."""
    known = {}
    text = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
    for line in text.splitlines():
        try:
            entry = json.loads(line)
            known[entry["key"]] = [str(entry["looks"]), str(entry["action"])]
        except (ValueError, LookupError, TypeError):
            continue
    return known


def _append(file: Path, key: str, sentence: str, parts: list[str]) -> None:
    """Add an answer to the file."""
    entry = {"key": key, "sentence": sentence, "looks": parts[0], "action": parts[1]}
    line = f"{json.dumps(entry)}\n"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.is_file() and not file.read_bytes().endswith(b"\n"):
            line = f"\n{line}"  # behind one that was cut off
        with file.open("a", encoding="utf-8") as target:
            target.write(line)
    except OSError as error:
        raise OutputError(
            f"the parts of sentences cannot be kept in {file}: {error}; name another file with "
            "--set split_cache=..."
        ) from error
