"""Where a run was made: code, packages, machine; written beside its results at every start."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import stvg
from stvg.formats.atomic import atomic_path

ABOUT = "about.json"
FORMAT = "stvg.run/1"
_PACKAGES = ("torch", "transformers", "accelerate", "peft", "tokenizers", "numpy", "av")


def note_start(folder: Path, *, seed: int, step: int, processes: int, device: str) -> None:
    """Add this start to a run's ``about.json``.

    Args:
        folder: The run's folder.
        seed: Seed of the recipe.
        step: Number of steps that were done before.
        processes: Number of training processes.
        device: As torch names it.

    Raises:
        OutputError: If it cannot be written.
    """
    path = folder / ABOUT
    starts: list[Any] = []
    if path.is_file():
        try:
            starts = json.loads(path.read_text(encoding="utf-8"))["starts"]
        except (ValueError, KeyError, TypeError):
            starts = [{"lost": "what was noted before could not be read"}]
    starts.append(
        {
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "from_step": step,
            "seed": seed,
            "stvg": stvg.__version__,
            "commit": git_commit(Path(stvg.__file__).parent),
            "packages": {name: _version_of(name) for name in _PACKAGES},
            "machine": {
                "system": platform.platform(),
                "python": platform.python_version(),
                "processors": os.cpu_count(),
                "processes": processes,
                "device": device,
                "device_name": _device_name(device),
            },
        }
    )
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps({"format": FORMAT, "starts": starts}, indent=1) + "\n")


def git_commit(folder: Path) -> str | None:
    """The commit that a folder stands at, with ``+`` where files differ; None without git."""
    git = ["git", "-C", str(folder)]
    try:
        commit = subprocess.run(  # noqa: S603
            [*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()
        changed = subprocess.run(  # noqa: S603
            [*git, "status", "--porcelain", "--", "."],
            capture_output=True, text=True, check=True, timeout=10,
        ).stdout.strip()  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return commit + "+" * bool(changed)


def _version_of(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _device_name(device: str) -> str | None:
    """What a graphics card calls itself."""
    import torch

    return torch.cuda.get_device_name(device) if device.startswith("cuda") else None
