"""Weights: from a server on this machine, whole and checked, or not at all."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from stvg.errors import StvgError, WeightsError
from stvg.perception.weights import Weights, find_weights, get_weights, weights_folder

CONTENT = bytes(range(256)) * 1024  # 256 KiB: several chunks
OTHER = b"something else"


@dataclass
class Server:
    """An HTTP server; answers every request with ``body`` and remembers what was asked."""

    address: str = ""
    body: bytes = CONTENT
    status: int = 200
    promised: int | None = None  # length announced, when it is not that of the body
    garbage: bool = False  # no HTTP at all
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append(self.path)
            if state.garbage:
                self.wfile.write(b"this is no answer\r\n\r\n")
                return
            self.send_response(state.status)
            self.send_header("Content-Length", str(state.promised or len(state.body)))
            self.end_headers()
            self.wfile.write(state.body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    state.address = f"http://127.0.0.1:{http.server_port}"
    yield state
    http.shutdown()
    thread.join()
    http.server_close()


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user cache for every test; STVG_WEIGHTS is not set."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("stvg.perception.weights.weights_folder", lambda: tmp_path / "cached")
    monkeypatch.delenv("STVG_WEIGHTS", raising=False)
    return tmp_path / "cached"


def published(server: Server, content: bytes = CONTENT) -> Weights:
    return Weights(
        file="tiny.onnx",
        url=f"{server.address}/releases/tiny.onnx",
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        licence="Apache-2.0",
    )


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_fetching_tells_how_far_it_is(server: Server, own_folder: Path) -> None:
    told: list[tuple[int, int]] = []
    path = get_weights(published(server), lambda done, total: told.append((done, total)))
    assert path == own_folder / "tiny.onnx"
    assert path.read_bytes() == CONTENT
    assert server.asked == ["/releases/tiny.onnx"]
    done = [step[0] for step in told]
    assert done == sorted(done)
    assert len(done) > 1
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert files_in(own_folder) == ["tiny.onnx"]


def test_what_is_cached_is_not_fetched_again(server: Server) -> None:
    weights = published(server)
    assert find_weights(weights) is None
    first = get_weights(weights)
    assert get_weights(weights) == find_weights(weights) == first
    assert len(server.asked) == 1


def test_the_named_folder_comes_before_the_cache_and_the_cache_before_the_network(
    server: Server, own_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = published(server)
    named = tmp_path / "named"
    for folder in (named, own_folder):
        folder.mkdir()
        (folder / "tiny.onnx").write_bytes(CONTENT)
    assert get_weights(weights) == own_folder / "tiny.onnx"
    monkeypatch.setenv("STVG_WEIGHTS", str(named))
    assert get_weights(weights) == named / "tiny.onnx"
    (named / "tiny.onnx").unlink()
    assert get_weights(weights) == own_folder / "tiny.onnx"  # the named folder lacks it
    monkeypatch.setenv("STVG_WEIGHTS", str(tmp_path / "missing"))
    assert get_weights(weights) == own_folder / "tiny.onnx"
    assert server.asked == []


@pytest.mark.parametrize("named", [True, False])
def test_a_file_with_a_wrong_checksum_is_not_used(
    named: bool, server: Server, own_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "named" if named else own_folder
    folder.mkdir()
    (folder / "tiny.onnx").write_bytes(OTHER)
    if named:
        monkeypatch.setenv("STVG_WEIGHTS", str(folder))
    with pytest.raises(WeightsError) as caught:
        get_weights(published(server))
    message = str(caught.value)
    assert str(folder / "tiny.onnx") in message
    assert hashlib.sha256(CONTENT).hexdigest() in message
    assert hashlib.sha256(OTHER).hexdigest() in message
    assert (folder / "tiny.onnx").read_bytes() == OTHER  # it is the user's
    assert server.asked == []


def wrong_content(server: Server) -> None:
    server.body = OTHER


def cut_short(server: Server) -> None:
    server.promised = len(CONTENT)
    server.body = CONTENT[:100_000]


def not_there(server: Server) -> None:
    server.status = 404


def no_http(server: Server) -> None:
    server.garbage = True


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (wrong_content, "expected tiny.onnx with SHA-256"),  # a page of a login screen, say
        (cut_short, "the connection broke after 100000 of 262144 bytes"),
        (not_there, "404"),  # the makers moved it
        (no_http, "this is no answer"),  # not a web server
    ],
)
def test_a_failed_fetch_leaves_nothing_behind(
    spoil: object, reason: str, server: Server, own_folder: Path
) -> None:
    assert callable(spoil)
    spoil(server)
    with pytest.raises(WeightsError) as caught:
        get_weights(published(server))
    assert reason in str(caught.value)
    assert server.address in str(caught.value)
    assert "\n" not in str(caught.value)
    assert files_in(own_folder) == []


def test_an_interrupted_fetch_leaves_nothing_behind(server: Server, own_folder: Path) -> None:
    def press_ctrl_c(done: int, total: int) -> None:
        if done > total / 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get_weights(published(server), press_ctrl_c)
    assert files_in(own_folder) == []
    assert get_weights(published(server)).read_bytes() == CONTENT  # and the next try works


def test_an_address_that_cannot_be_reached_is_one_paragraph(server: Server) -> None:
    weights = Weights("tiny.onnx", "http://127.0.0.1:9/tiny.onnx", "0" * 64, 3_678_356, "MIT")
    with pytest.raises(StvgError) as caught:
        get_weights(weights)
    message = str(caught.value)
    assert isinstance(caught.value, WeightsError)
    assert message.startswith("tiny.onnx (3.7 MB, MIT) is not at hand and could not be fetched")
    assert "http://127.0.0.1:9/tiny.onnx" in message
    assert "STVG_WEIGHTS" in message
    assert "\n" not in message


def test_a_cache_that_cannot_be_written_is_one_paragraph(server: Server, own_folder: Path) -> None:
    own_folder.write_text("a file where the folder should be")
    with pytest.raises(WeightsError, match="STVG_WEIGHTS"):
        get_weights(published(server))


def test_the_cache_is_the_users() -> None:
    """What the documentation says: a folder ``stvg/weights`` in the cache of the user."""
    assert weights_folder().parts[-2:] == ("stvg", "weights")
