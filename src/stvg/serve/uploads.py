"""How videos come in: as the body of a request, or as the path of a file under an allowed folder.

An upload is written to disk as it comes and never held in memory. It is named by the hash of its
bytes, so the same file twice is kept once, and no name that a client sends becomes a path. Nothing
here looks into a file; a worker does. Addresses on the network are never fetched.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import IO, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from .folders import Folders
from .settings import MEGABYTE, Settings
from .store import Video

STALL_S = 30.0  # an upload of which nothing comes for so long has ended
PIECE = MEGABYTE  # bytes gathered before they are written
LONGEST_NAME = 120  # characters

FULL = "the disk of the service is full; delete videos or ask whoever runs it"

Kept = TypeVar("Kept")


async def receive(
    chunks: AsyncIterator[bytes],
    name: str,
    settings: Settings,
    folders: Folders,
    keep: Callable[[Path, Video], Kept],
) -> Kept:
    """Write an upload to disk.

    Args:
        chunks: Its bytes.
        name: What the client calls it.
        settings: Limits.
        folders: Where it goes.
        keep: Called when all is there, with the file as it lies and the video it shall be; moves
            the file. Called in a thread.

    Returns:
        What ``keep`` gives.

    Raises:
        HTTPException: 400 if it is empty or breaks off, 408 if it stalls, 413 if it is too big, 507
            if the disk is too full.
    """
    temporary = folders.incoming / secrets.token_hex(16)
    mark, size = hashlib.sha256(), 0
    try:
        with temporary.open("wb") as file:
            async for piece in _pieces(chunks):
                size += len(piece)
                if size > settings.upload_mb * MEGABYTE:
                    raise HTTPException(
                        413,
                        f"expected a video of {settings.upload_mb:g} MB at "
                        "most, found more; cut it or make it smaller",
                    )
                if folders.free_gb() < settings.free_gb:
                    raise HTTPException(507, FULL)
                await run_in_threadpool(_write, file, mark, piece)
            await run_in_threadpool(os.fsync, file.fileno())
        if not size:
            raise HTTPException(
                400, "expected the bytes of a video as the body of the request, found none"
            )
        video_id = mark.hexdigest()
        path = str(folders.videos / video_id)
        video = Video(video_id, shown_name(name), path, uploaded=True, bytes=size)
        return await run_in_threadpool(keep, temporary, video)
    except ClientDisconnect as error:
        raise HTTPException(400, "the upload broke off; send it again") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise HTTPException(507, FULL) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def find(given: str, roots: Sequence[Path]) -> Video:
    """A file under one of the allowed folders.

    Args:
        given: Its path, absolute or below a root.
        roots: The allowed folders, resolved.

    Returns:
        The video, not yet in the store.

    Raises:
        HTTPException: 422 if it is an address, 404 if there is no such file under a root; whether
            there is one elsewhere is not told.
    """
    if "://" in given:
        raise HTTPException(
            422,
            "expected the path of a file, found an address; the service "
            "fetches nothing, upload the video",
        )
    for root in roots:
        try:
            path = (root / given).resolve(strict=True)
            if path.is_relative_to(root) and path.is_file():
                size = path.stat().st_size
                return Video(id_of_file(path), shown_name(path.name), str(path), False, size)
        except (OSError, ValueError, RuntimeError):
            continue  # not there, a zero byte, a circle of links
    raise HTTPException(
        404,
        "expected the path of a file under a folder that the service may "
        "read (--root), found none; upload the video instead",
    )


def id_of_file(path: Path) -> str:
    """The id of a file that is not ours: where it really lies, its size and its date.

    Raises:
        OSError: If it is not there.
    """
    resolved = path.resolve(strict=True)
    status = resolved.stat()
    facts = f"{resolved}\0{status.st_size}\0{status.st_mtime_ns}"
    return hashlib.sha256(facts.encode("utf-8", "surrogateescape")).hexdigest()


def unchanged(video: Video, roots: Sequence[Path]) -> Path:
    """Where a video lies, if it is still the one that was taken in.

    Args:
        video: The video.
        roots: The folders that are allowed now; they may be others than when it was taken in.

    Raises:
        OSError: If it is not, or may not be read any more.
    """
    path = Path(video.path)
    if video.uploaded:
        return path
    if not any(path.is_relative_to(root) for root in roots) or id_of_file(path) != video.id:
        raise FileNotFoundError(video.path)
    return path


def shown_name(name: str) -> str:
    r"""A client's name for a file, fit to be shown: its last part, printable, not too long.

    Example:
        >>> shown_name("../../etc/dog\n.mp4")
        'dog.mp4'
        >>> shown_name("")
        'video'
    """
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(letter for letter in last if letter.isprintable())[-LONGEST_NAME:] or "video"


async def _pieces(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in pieces of about a megabyte; ends what has stalled."""
    gathered = bytearray()
    while True:
        try:
            async with asyncio.timeout(STALL_S):
                chunk = await anext(chunks, None)
        except TimeoutError as error:
            raise HTTPException(
                408, f"nothing of the upload came for {STALL_S:g} seconds; send it again"
            ) from error
        gathered += chunk or b""
        if gathered and (chunk is None or len(gathered) >= PIECE):
            yield bytes(gathered)
            gathered.clear()
        if chunk is None:
            return


def _write(file: IO[bytes], mark: hashlib._Hash, piece: bytes) -> None:
    file.write(piece)
    mark.update(piece)
