"""Detector weights: found in a folder, or fetched once from where their makers publish them.

Looked for in this order: the folder that ``STVG_WEIGHTS`` names, the user cache, the makers'
address. What is fetched is checked against a checksum before it is used; nothing unchecked is
ever left under its final name.
"""

from __future__ import annotations

import hashlib
import os
import urllib.error
import urllib.request
from dataclasses import dataclass
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
            _check(path, weights, "delete the file to have it fetched again")
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
            _check(temporary, weights, "try again later")
    except (OSError, urllib.error.URLError) as error:
        raise WeightsError(
            f"{weights.file} ({weights.size / 1e6:.1f} MB, {weights.licence}) is not at hand and "
            f"could not be fetched from {weights.url}: {error}. Fetch it by any other way, put it "
            "into a folder and name that folder in the environment variable STVG_WEIGHTS"
        ) from error
    return path


def _fetch(weights: Weights, path: Path, progress: Progress) -> None:
    """Write the published bytes to ``path``."""
    request = urllib.request.Request(weights.url, headers={"User-Agent": "stvg"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=30) as source, path.open("wb") as target:  # noqa: S310
        done = 0
        while chunk := source.read(_CHUNK):
            target.write(chunk)
            done += len(chunk)
            progress(done, weights.size)


def _check(path: Path, weights: Weights, advice: str) -> None:
    """Compare the checksum of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as source:
        while chunk := source.read(1 << 20):
            digest.update(chunk)
    if digest.hexdigest() != weights.sha256:
        raise WeightsError(
            f"expected {weights.file} with SHA-256 {weights.sha256}, found "
            f"{digest.hexdigest()} in {path}; {advice}, or name your own file by its path"
        )
