"""Detector weights: found in a folder, or fetched once from where their makers publish them.

Looked for in this order: the folder that ``STVG_WEIGHTS`` names, the user cache, the makers'
address. What is fetched is checked against a checksum before it is used; nothing unchecked is
ever left under its final name.
"""

from __future__ import annotations

import hashlib
import os
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

import platformdirs

from stvg.errors import WeightsError
from stvg.formats.atomic import atomic_path
from stvg.progress import Progress, no_progress

_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Weights:
    """A file of weights with its public address.

    Attributes:
        file: Name of the file.
        url: Where its makers publish it.
        sha256: Checksum in hexadecimal.
        size: Bytes.
        licence: SPDX name.
    """

    file: str
    url: str
    sha256: str
    size: int
    licence: str


def weights_folder() -> Path:
    """The folder of the user cache in which fetched weights stay."""
    return Path(platformdirs.user_cache_dir("stvg")) / "weights"


def find_weights(weights: Weights) -> Path | None:
    """The file where it already is, or None; nothing is fetched.

    Raises:
        WeightsError: If a file is there and its checksum is wrong.
    """
    for folder in (os.environ.get("STVG_WEIGHTS"), weights_folder()):
        path = Path(folder) / weights.file if folder else None
        if path is not None and path.is_file():
            _check(path, weights, str(path), "delete the file to have it fetched again")
            return path
    return None


def get_weights(weights: Weights, progress: Progress = no_progress) -> Path:
    """The file, fetched into the user cache if it is not at hand.

    Args:
        weights: What to find.
        progress: Told the bytes fetched so far.

    Raises:
        WeightsError: If it cannot be fetched or its checksum is wrong.
    """
    found = find_weights(weights)
    if found is not None:
        return found
    path = weights_folder() / weights.file
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            _fetch(weights, temporary, progress)
            _check(temporary, weights, weights.url, "try again later")
    except (OSError, HTTPException) as error:  # addresses, refusals, broken connections, disks
        reason = " ".join(str(error).split()) or type(error).__name__
        raise WeightsError(
            f"{weights.file} ({weights.size / 1e6:.1f} MB, {weights.licence}) is not at hand and "
            f"could not be fetched from {weights.url}: {reason}. Fetch it by any other way, put it "
            "into a folder and name that folder in the environment variable STVG_WEIGHTS"
        ) from error
    return path


def _fetch(weights: Weights, path: Path, progress: Progress) -> None:
    """Write the published bytes to ``path``."""
    request = urllib.request.Request(weights.url, headers={"User-Agent": "stvg"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=30) as source, path.open("wb") as target:  # noqa: S310
        done, promised = 0, int(source.headers.get("Content-Length") or 0)
        while chunk := source.read(_CHUNK):
            target.write(chunk)
            done += len(chunk)
            progress(done, weights.size)
    if done < promised:
        raise ConnectionError(f"the connection broke after {done} of {promised} bytes")


def _check(path: Path, weights: Weights, place: str, advice: str) -> None:
    """Compare the checksum of a file that came from ``place``."""
    digest = hashlib.sha256()
    with path.open("rb") as source:
        while chunk := source.read(1 << 20):
            digest.update(chunk)
    if digest.hexdigest() != weights.sha256:
        raise WeightsError(
            f"expected {weights.file} with SHA-256 {weights.sha256}, found "
            f"{digest.hexdigest()} at {place}; {advice}, or name your own file by its path"
        )
