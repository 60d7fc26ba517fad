"""How videos come in."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from starlette.exceptions import HTTPException

from stvg.errors import UsageError
from stvg.serve import uploads
from stvg.serve.folders import Folders
from stvg.serve.settings import Settings
from stvg.serve.store import Version, Video


@pytest.fixture
def folders(make_settings: Callable[..., Settings]):
    folders = Folders(make_settings().data)
    yield folders
    folders.release()


def receive(
    chunks: AsyncIterator[bytes], settings: Settings, folders: Folders, name: str = "a.mp4"
) -> Video:
    def keep(temporary: Path, video: Video) -> Video:
        temporary.replace(video.path)
        return video

    return asyncio.run(uploads.receive(chunks, name, settings, folders, keep))


async def chunks_of(data: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


@pytest.mark.parametrize("size", [1, 7, 1000, 5000])
def test_bytes_arrive_as_they_were(
    size: int, folders: Folders, make_settings: Callable[..., Settings], monkeypatch
) -> None:
    monkeypatch.setattr(uploads, "PIECE", 1000)
    data = bytes(range(256)) * 10
    video = receive(chunks_of(data, size), make_settings(), folders)
    assert video.id == hashlib.sha256(data).hexdigest()
    assert Path(video.path).read_bytes() == data
    assert video.bytes == 2560
    assert list(folders.incoming.iterdir()) == []


@pytest.mark.parametrize(
    ("data", "limits", "status"),
    [
        (b"", {}, 400),
        (bytes(1001), {"upload_mb": 0.001}, 413),  # 1000 bytes are taken
        (b"x", {"free_gb": 10**9}, 507),
    ],
)
def test_uploads_that_are_refused(
    data: bytes,
    limits: dict,
    status: int,
    folders: Folders,
    make_settings: Callable[..., Settings],
) -> None:
    with pytest.raises(HTTPException) as caught:
        receive(chunks_of(data, 100), make_settings(**limits), folders)
    assert caught.value.status_code == status
    assert [*folders.incoming.iterdir(), *folders.videos.iterdir()] == []


def test_the_largest_upload_is_taken(
    folders: Folders, make_settings: Callable[..., Settings]
) -> None:
    settings = make_settings(upload_mb=0.001)
    assert receive(chunks_of(bytes(1000), 100), settings, folders).bytes == 1000


def test_an_upload_that_stalls_ends(
    folders: Folders, make_settings: Callable[..., Settings], monkeypatch
) -> None:
    monkeypatch.setattr(uploads, "STALL_S", 0.05)

    async def stalling() -> AsyncIterator[bytes]:
        yield b"something"
        await asyncio.Event().wait()

    with pytest.raises(HTTPException) as caught:
        receive(stalling(), make_settings(), folders)
    assert caught.value.status_code == 408
    assert list(folders.incoming.iterdir()) == []


def test_a_disk_that_fills_up_meanwhile(
    folders: Folders, make_settings: Callable[..., Settings], monkeypatch
) -> None:
    def no_room(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(uploads, "_write", no_room)
    with pytest.raises(HTTPException) as caught:
        receive(chunks_of(b"x", 1), make_settings(), folders)
    assert caught.value.status_code == 507
    assert list(folders.incoming.iterdir()) == []


@pytest.fixture
def roots(tmp_path: Path) -> list[Path]:
    """Two roots; links out of one, into the other; a file beside them."""
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first / "inside", second):
        folder.mkdir(parents=True)
    (first / "a.mp4").write_bytes(b"a")
    (first / "inside" / "b.mp4").write_bytes(b"bb")
    (second / "c.mp4").write_bytes(b"ccc")
    (tmp_path / "secret.mp4").write_bytes(b"s")
    (tmp_path / "first.mp4").write_bytes(b"not below first")
    (first / "out.mp4").symlink_to(tmp_path / "secret.mp4")
    (first / "link.mp4").symlink_to(first / "a.mp4")
    (first / "circle.mp4").symlink_to(first / "circle.mp4")
    return [first, second]


@pytest.mark.parametrize(
    ("given", "size"),
    [
        ("a.mp4", 1),
        ("inside/b.mp4", 2),
        ("inside/../a.mp4", 1),
        ("c.mp4", 3),
        ("link.mp4", 1),
        ("{first}/a.mp4", 1),
        ("{second}/c.mp4", 3),
    ],
)
def test_files_under_a_root_are_found(given: str, size: int, roots: list[Path]) -> None:
    video = uploads.find(given.format(first=roots[0], second=roots[1]), roots)
    assert (video.bytes, video.uploaded) == (size, False)
    assert uploads.unchanged(video, roots) == Path(video.path)


@pytest.mark.parametrize(
    "given",
    [
        "../secret.mp4",
        "inside/../../secret.mp4",
        "{first}/../secret.mp4",
        "{first}.mp4",
        "out.mp4",
        "circle.mp4",
        "inside",
        "missing.mp4",
        "/etc/passwd",
        "a.mp4\0.jpg",
        "~/a.mp4",
        "x" * 4096,
    ],
)
def test_everything_else_is_not_found(given: str, roots: list[Path]) -> None:
    with pytest.raises(HTTPException) as caught:
        uploads.find(given.format(first=roots[0]), roots)
    assert caught.value.status_code == 404
    assert "secret" not in caught.value.detail


@pytest.mark.parametrize("given", ["http://127.0.0.1/a.mp4", "file:///etc/passwd", "s3://a/b"])
def test_addresses_are_never_fetched(given: str, roots: list[Path]) -> None:
    with pytest.raises(HTTPException, match="fetches nothing") as caught:
        uploads.find(given, roots)
    assert caught.value.status_code == 422


def test_a_file_that_changed_is_another_video(roots: list[Path]) -> None:
    video = uploads.find("a.mp4", roots)
    path = roots[0] / "a.mp4"
    os.utime(path, (0, 0))
    with pytest.raises(OSError, match=r"a\.mp4"):
        uploads.unchanged(video, roots)
    assert uploads.find("a.mp4", roots).id != video.id
    path.unlink()
    with pytest.raises(OSError, match=r"a\.mp4"):
        uploads.unchanged(video, roots)


def test_a_root_that_is_allowed_no_more_is_closed(roots: list[Path]) -> None:
    video = uploads.find("a.mp4", roots)
    with pytest.raises(OSError, match=r"a\.mp4"):
        uploads.unchanged(video, roots[1:])


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("dog.mp4", "dog.mp4"),
        ("../../etc/passwd", "passwd"),
        ("C:\\films\\dog.mp4", "dog.mp4"),
        ("dog\r\nSet-Cookie: a", "dogSet-Cookie: a"),
        ("", "video"),
        ("/", "video"),
        ("犬.mp4", "犬.mp4"),
        ("x" * 500 + ".mp4", "x" * 116 + ".mp4"),
    ],
)
def test_names_are_shown_harmless(name: str, shown: str) -> None:
    assert uploads.shown_name(name) == shown


def test_one_service_a_folder(folders: Folders) -> None:
    with pytest.raises(UsageError, match="another stvg serve uses"):
        Folders(folders.data)


def test_a_film_belongs_to_its_versions(folders: Folders) -> None:
    first = [Version(0, 1, 0.0, ""), Version(1, 1, 0.0, "")]
    corrected = [first[0], Version(1, 2, 0.0, "")]
    films = {
        folders.overlay(job, method, versions)
        for job in ("a" * 32, "b" * 32)
        for method in ("m", "n")
        for versions in (first, corrected)
    }
    assert len(films) == 8
    assert {film.parent for film in films} == {folders.overlays}
    assert folders.overlay("a" * 32, "../../m", first).parent == folders.overlays
