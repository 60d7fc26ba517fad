"""Models that split sentences: a server on this machine, the loaded model, and what is kept."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from stvg import endpoint
from stvg.endpoint import KEY_VARIABLE
from stvg.errors import OutputError, StvgError, UsageError
from stvg.methods.dsth.sentences import split_by_rules
from stvg.methods.dsth.splitters import ModelSplitter, ask_backbone, ask_server

SENTENCE = "The old dog in the yard barks."
SPLIT = '{"looks": "the old dog in the yard", "action": "the dog barks"}'


@dataclass
class Server:
    """Answers every request alike and keeps what it was asked.

    Attributes:
        reply: What the model says; None for a reply without one.
        status: Of HTTP.
        body: Sent instead of a reply.
        wait: What it waits for before it answers.
        asked: Path, headers and body of each request.
    """

    reply: str | None = SPLIT
    status: int = 200
    body: bytes = b""
    wait: threading.Event | None = None
    asked: list[tuple[str, Any, dict[str, Any]]] = field(default_factory=list)
    address: str = ""


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.asked.append((self.path, self.headers, json.loads(body)))
            if state.wait is not None:
                state.wait.wait()
            choices = [{"message": {"content": state.reply}}] if state.reply is not None else []
            self.send_response(state.status)
            self.end_headers()
            self.wfile.write(state.body or json.dumps({"choices": choices}).encode())

        def log_message(self, *_: Any) -> None:
            pass

    http = HTTPServer(("127.0.0.1", 0), Handler)
    state.address = f"http://127.0.0.1:{http.server_port}/v1"
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    yield state
    http.shutdown()
    thread.join()
    http.server_close()


def splitter(server: Server, file: Path, name: str = "large") -> ModelSplitter:
    return ModelSplitter(ask_server(server.address, "large"), name, file)


def test_a_server_is_asked_once_for_a_sentence(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "secret")
    file = tmp_path / "cache" / "parts.jsonl"
    split = splitter(server, file)
    for _ in range(2):
        parts = split(SENTENCE)
        assert (parts.looks, parts.action) == ("the old dog in the yard", "the dog barks")
        assert parts.source == "large"
    ((path, headers, body),) = server.asked
    assert (path, headers["Authorization"]) == ("/v1/chat/completions", "Bearer secret")
    assert (body["model"], body["temperature"]) == ("large", 0)
    assert body["messages"][0]["content"].endswith(f"Sentence: {SENTENCE}\n")
    # another run reads the file, a line that was cut off notwithstanding; another model asks anew
    with file.open("a") as lines:
        lines.write('{"key": "cut')
    assert splitter(server, file)(SENTENCE) == parts
    assert len(server.asked) == 1
    splitter(server, file, "other")(SENTENCE)
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("reply", "looks", "action"),
    [
        (
            '{"looks": "the caf\\u00e9\\n owner", "action": "he says \\"no\\""}',
            "the café owner",
            'he says "no"',
        ),
        ('Sure: {"looks": "", "action": "the dog barks."}', SENTENCE[:-1].lower(), "the dog barks"),
        ('```json\n{"looks": "the dog", "action": ""}\n```', "the dog", SENTENCE[:-1].lower()),
    ],
)
def test_what_an_answer_means(
    server: Server, tmp_path: Path, reply: str, looks: str, action: str
) -> None:
    server.reply = reply
    parts = splitter(server, tmp_path / "parts.jsonl")(SENTENCE)
    assert (parts.looks, parts.action) == (looks, action)


@pytest.mark.parametrize(
    "reply",
    [
        "I cannot.",
        '{"looks": 3, "action": "x"}',
        '{"looks": ""}',
        '{"looks": " ", "action": "\\n"}',
        '{"looks": "the dog \\ud83d", "action": "the dog barks"}',  # half of a character
        "",
    ],
)
def test_an_answer_without_parts_leaves_it_to_the_rules(
    server: Server, tmp_path: Path, reply: str
) -> None:
    server.reply = reply
    file = tmp_path / "parts.jsonl"
    parts = splitter(server, file)(SENTENCE)
    by_rules = split_by_rules(SENTENCE)
    assert (parts.looks, parts.action) == (by_rules.looks, by_rules.action)
    assert parts.source == "rules, large named no parts"
    assert not file.exists()


def test_what_was_cut_off_in_the_file_spoils_nothing_behind_it(
    server: Server, tmp_path: Path
) -> None:
    file = tmp_path / "parts.jsonl"
    file.write_bytes(b'{"key": "cut \xff')
    parts = splitter(server, file)(SENTENCE)
    assert splitter(server, file)(SENTENCE) == parts
    assert len(server.asked) == 1


def test_a_server_that_is_too_slow_is_named(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "_TIMEOUT_S", 0.05)
    server.wait = threading.Event()
    with pytest.raises(StvgError, match=r"http://127.*failed: timed out\. Start it"):
        splitter(server, tmp_path / "parts.jsonl")(SENTENCE)
    server.wait.set()


def test_a_reply_of_brackets_is_named(server: Server, tmp_path: Path) -> None:
    server.body = b"[" * 100_000
    with pytest.raises(StvgError, match=r"http://127.*split=rules"):
        splitter(server, tmp_path / "parts.jsonl")(SENTENCE)


@pytest.mark.parametrize(("status", "reply"), [(500, SPLIT), (200, None)])
def test_a_server_that_fails_is_named(
    server: Server, tmp_path: Path, status: int, reply: str | None
) -> None:
    server.status, server.reply = status, reply
    with pytest.raises(StvgError, match=r"expected the server at http://127.*split=rules"):
        splitter(server, tmp_path / "parts.jsonl")(SENTENCE)


def test_an_address_is_one_of_the_web() -> None:
    with pytest.raises(UsageError, match=r"http://... or https://..., found 'localhost:8000'"):
        ask_server("localhost:8000", "large")


def test_a_file_that_cannot_be_written_is_named(server: Server, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(OutputError, match="split_cache"):
        splitter(server, tmp_path / "taken" / "parts.jsonl")(SENTENCE)


def test_the_loaded_model_is_asked_without_a_video() -> None:
    pytest.importorskip("torch", reason="the models extra is not installed")
    from tests.methods.dsth.models import small_backbone

    backbone = small_backbone()
    answer = ask_backbone(backbone)("the red ball moves")
    text = "<|im_start|> user the red ball moves <|im_end|> <|im_start|> assistant"
    ids = backbone.tokenizer(text, add_special_tokens=False)["input_ids"]
    expected = backbone.generate(backbone.prefill(ids), max_new_tokens=200).ids[0]
    assert answer == backbone.tokenizer.decode(expected, skip_special_tokens=True)
