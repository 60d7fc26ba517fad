"""Annotations, drawn clips and a server with a language model to build from."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from stvg.data.uni_stg.recipe import Recipe, load_recipe
from stvg.data.world.files import write_world


@pytest.fixture
def store(tmp_path: Path) -> Callable[..., Path]:
    """Writes a document or text to a file and gives its path."""

    def write(content: Any, name: str = "file.json") -> Path:
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


@pytest.fixture
def recipe(tmp_path: Path) -> Callable[..., Recipe]:
    """A recipe of sources, read from a file."""

    def make(*sources: dict[str, Any], **options: Any) -> Recipe:
        path = tmp_path / "recipe.yaml"
        path.write_text(json.dumps({**options, "sources": sources}, default=str))  # YAML too
        return load_recipe(path)

    return make


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uni_stg") / "world"
    write_world(folder, split="train", level="easy", clips=3, side=128)
    return folder


class Server:
    """Answers every chat request with one reply."""

    def __init__(self) -> None:
        self.reply = ""
        self.asked: list[dict[str, Any]] = []
        self.address = ""


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            state.asked.append(json.loads(self.rfile.read(length)))
            reply = {"choices": [{"message": {"content": state.reply}}]}
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(reply).encode())

        def log_message(self, *_: object) -> None:
            pass

    http = HTTPServer(("127.0.0.1", 0), Handler)
    state.address = f"http://127.0.0.1:{http.server_port}/v1"
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    yield state
    http.shutdown()
    thread.join()
    http.server_close()
