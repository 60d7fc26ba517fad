"""Decoded frames on disk: the second read of a clip costs milliseconds.

One file an entry: a short header (what it holds, a checksum) and the plain bytes, which are mapped
into memory when loaded. Entries are found by what they were made from (file, its size and time of
change, frame numbers, size, version of the reader), so a changed file never meets an old entry.
Several processes may share a folder: entries appear whole, by renaming, and none is ever changed.
The cache knows nothing of decoding; :func:`stvg.video.read_clip` uses it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import mmap
import os
import secrets
import struct
import time
import zlib
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_cache_path

from stvg.errors import UsageError
from stvg.types import ByteArray, IntArray, VideoMeta

from .container import FileIdentity

DEFAULT_MAX_BYTES = 20 * 2**30
"""20 GiB: about 1800 clips of 32 frames at 448x252. Ours."""

_MAGIC = b"stvg.frames/1\n\0\0"
_PAGE = 4096
_PIECE = 64
_STALE_S = 3600.0

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class CacheCounts:
    """What a cache has done since it was made.

    Attributes:
        hits: Clips found.
        misses: Clips not found.
        discarded: Entries thrown away because they were damaged.
        failed_writes: Entries that could not be written (disk full, folder read-only).
    """

    hits: int = 0
    misses: int = 0
    discarded: int = 0
    failed_writes: int = 0


class FrameCache:
    """Keeps the frames of clips on disk, least recently used ones are removed.

    Args:
        folder: Where. Default: ``frames`` in the folder that the environment variable
            ``STVG_CACHE`` names, else in the user's cache folder.
        max_bytes: Size that the folder is kept under, summed over all entries in it. A clip that
            is larger alone is not kept.

    Attributes:
        folder: Where; made when the first entry is written.
        counts: Hits, misses and failures of this object.

    Raises:
        UsageError: If ``max_bytes`` is negative.

    Example:
        >>> cache = FrameCache("frames", max_bytes=10**9)
        >>> cache.counts.hits
        0
    """

    def __init__(
        self, folder: str | Path | None = None, max_bytes: int = DEFAULT_MAX_BYTES
    ) -> None:
        if max_bytes < 0:
            raise UsageError(f"max_bytes of a frame cache must be at least 0, found {max_bytes}")
        self.folder = Path(folder) if folder is not None else default_folder()
        self.max_bytes = max_bytes
        self.counts = CacheCounts()

    def load_frames(
        self, identity: FileIdentity, version: int, numbers: IntArray, size: tuple[int, int]
    ) -> ByteArray | None:
        """Frames of a file, if they are kept.

        Args:
            identity: The file.
            version: Version of the reader.
            numbers: Number of each frame, (T,).
            size: Width and height of the frames.

        Returns:
            RGB (T, H, W, 3) uint8, read-only, mapped from disk; None if they are not kept.
        """
        found = self._load(_frames_key(identity, version, numbers, size))
        if found is None:
            self.counts.misses += 1
            return None
        self.counts.hits += 1
        return found[1]

    def store_frames(
        self,
        identity: FileIdentity,
        version: int,
        numbers: IntArray,
        size: tuple[int, int],
        frames: ByteArray,
    ) -> None:
        """Keep ``frames`` (T, H, W, 3) uint8; arguments as in :meth:`load_frames`."""
        self._store(_frames_key(identity, version, numbers, size), {}, frames)

    def load_meta(self, identity: FileIdentity, version: int) -> VideoMeta | None:
        """The meta data of a file, if it is kept."""
        found = self._load({"kind": "meta", "file": list(identity), "version": version})
        if found is None:
            return None
        facts, times_s = found
        return VideoMeta(
            path=identity.path,
            width=facts["width"],
            height=facts["height"],
            fps=Fraction(facts["fps"]),
            duration_s=facts["duration_s"],
            frames=len(times_s),
            frame_times_s=times_s,
        )

    def store_meta(self, identity: FileIdentity, version: int, meta: VideoMeta) -> None:
        """Keep the meta data of a file."""
        facts = {
            "width": meta.width,
            "height": meta.height,
            "fps": str(meta.fps),
            "duration_s": meta.duration_s,
        }
        key = {"kind": "meta", "file": list(identity), "version": version}
        self._store(key, facts, meta.times_s)

    def clear(self) -> None:
        """Remove every entry."""
        for entry in self._entries():
            _remove(entry)

    def _load(self, key: dict[str, Any]) -> tuple[dict[str, Any], NDArray[Any]] | None:
        """The facts and the array of an entry; a damaged entry is removed."""
        path = self._path(key)
        try:
            with path.open("rb") as file:
                content = _map(file.fileno())
        except FileNotFoundError:
            return None
        except (OSError, ValueError):  # unreadable, or of no length
            self._discard(path)
            return None
        found = _unpack(content, key)
        if found is None:
            self._discard(path)
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # the time of last use
        return found

    def _discard(self, path: Path) -> None:
        _log.warning("frame cache: %s is damaged and was removed", path)
        self.counts.discarded += 1
        _remove(path)

    def _store(self, key: dict[str, Any], facts: dict[str, Any], array: NDArray[Any]) -> None:
        """Write an entry under a temporary name, then give it its own."""
        header = _header(key, facts, array)
        if len(header) + array.nbytes > self.max_bytes:
            return
        path = self._path(key)
        temporary = path.with_suffix(f".{os.getpid()}-{secrets.token_hex(4)}.tmp")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                file.write(header)
                file.write(np.ascontiguousarray(array).data)
            temporary.replace(path)
            self._shrink(keep=path)
        except OSError as error:
            self.counts.failed_writes += 1
            _log.warning("frame cache: %s cannot be written (%s)", path, error)
            _remove(temporary)

    def _path(self, key: dict[str, Any]) -> Path:
        text = json.dumps(key, sort_keys=True)
        return self.folder / f"{hashlib.sha256(text.encode()).hexdigest()[:40]}.frames"

    def _entries(self) -> list[Path]:
        """Entries and left-over temporary files."""
        if not self.folder.is_dir():
            return []
        return [path for path in self.folder.iterdir() if path.suffix in (".frames", ".tmp")]

    def _shrink(self, keep: Path) -> None:
        """Remove what was used longest ago until the rest fits."""
        now, total = time.time(), 0
        by_use: list[tuple[float, int, Path]] = []
        for path in self._entries():
            try:
                status = path.stat()
            except OSError:  # another process removed it
                continue
            if path.suffix == ".frames":
                by_use.append((status.st_mtime, status.st_size, path))
                total += status.st_size
            elif now - status.st_mtime > _STALE_S:  # of a process that died
                _remove(path)
        for _, size, path in sorted(by_use):
            if total <= self.max_bytes:
                return
            if path != keep:
                _remove(path)
                total -= size


def default_folder() -> Path:
    """Where frames are kept when nothing else is said."""
    named = os.environ.get("STVG_CACHE")
    return (Path(named) if named else user_cache_path("stvg")) / "frames"


def _frames_key(
    identity: FileIdentity, version: int, numbers: IntArray, size: tuple[int, int]
) -> dict[str, Any]:
    """What a clip was made from. The frame numbers go in as a digest: there may be thousands."""
    digest = hashlib.sha256(np.ascontiguousarray(numbers, "<i8").tobytes()).hexdigest()
    return {
        "kind": "frames",
        "file": list(identity),
        "version": version,
        "count": len(numbers),
        "numbers": digest,
        "size": list(size),
    }


def _header(key: dict[str, Any], facts: dict[str, Any], array: NDArray[Any]) -> bytes:
    """Everything in front of the bytes of an entry, filled up to whole pages."""
    about = {
        "key": key,
        "facts": facts,
        "dtype": array.dtype.str,
        "shape": list(array.shape),
        "checksum": _checksum(array),
    }
    text = json.dumps(about).encode()
    head = _MAGIC + struct.pack("<II", len(text), zlib.crc32(text)) + text
    return head + b"\0" * (-len(head) % _PAGE)


def _map(descriptor: int) -> mmap.mmap:
    """A whole file, read-only, its pages mapped at once where the system can do that (Linux)."""
    if not hasattr(mmap, "MAP_POPULATE"):
        return mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
    flags = mmap.MAP_SHARED | mmap.MAP_POPULATE
    return mmap.mmap(descriptor, 0, flags=flags, prot=mmap.PROT_READ)


def _unpack(content: mmap.mmap, key: dict[str, Any]) -> tuple[dict[str, Any], NDArray[Any]] | None:
    """Facts and array of an entry, or None when it is not whole or not the one looked for."""
    start = len(_MAGIC) + 8
    if len(content) < start or content[: len(_MAGIC)] != _MAGIC:
        return None
    length, checksum = struct.unpack("<II", content[len(_MAGIC) : start])
    text = content[start : start + length]
    if len(text) != length or zlib.crc32(text) != checksum:
        return None
    about = json.loads(text)
    dtype, shape = np.dtype(about["dtype"]), tuple(about["shape"])
    offset = start + length + (-(start + length) % _PAGE)
    count = int(np.prod(shape))
    if about["key"] != key or len(content) != offset + count * dtype.itemsize:
        return None
    array: NDArray[Any] = np.frombuffer(content, dtype, count, offset).reshape(shape)
    return (about["facts"], array) if _checksum(array) == about["checksum"] else None


def _checksum(array: NDArray[Any]) -> int:
    """A checksum of the first bytes of every page.

    It finds what goes wrong with files in practice, pages that were never written, at a sixtieth
    of the cost of reading everything; single flipped bits are not looked for.
    """
    data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    whole = len(data) // _PAGE * _PAGE
    pieces = data[:whole].reshape(-1, _PAGE)[:, :_PIECE]
    return zlib.crc32(data[whole:].tobytes(), zlib.crc32(np.ascontiguousarray(pieces).tobytes()))


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
