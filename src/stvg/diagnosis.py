"""What works here: each part of the toolkit is tried, not merely looked up."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from typing import Literal

import stvg


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried.

    Attributes:
        what: What it is and what it is for.
        state: ``ok``; ``missing`` (optional and absent); ``broken`` (should work and does not).
        found: Version, place or fault.
        remedy: What to do; empty when all is well.
    """

    what: str
    state: Literal["ok", "missing", "broken"]
    found: str
    remedy: str = ""

    def as_dict(self) -> dict[str, str]:
        """As plain values."""
        return asdict(self)


def diagnose() -> list[Finding]:
    """Try every part and tell what was found, most basic first."""
    python = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    findings = [
        Finding("stvg", "ok", f"{stvg.__version__} with {python}"),
        Finding("processors", "ok", f"{os.cpu_count()} CPU threads{_accelerator()}"),
        _try("video decoding and writing (PyAV)", _try_video, "reinstall: pip install -U av"),
        _try("masks (pycocotools)", lambda: _version("pycocotools", "pycocotools.mask"),
             "reinstall: pip install -U pycocotools"),
    ]  # fmt: skip
    extras = {
        "perception": (("onnxruntime", "onnxruntime", "YOLOX detectors"),
                       ("trackers", "trackers", "tracking")),
        "models": (("torch", "torch", "models"),
                   ("transformers", "transformers", "models and detectors of the hub")),
    }  # fmt: skip
    for extra, packages in extras.items():
        for package, module, purpose in packages:
            findings.append(_optional(package, module, purpose, extra))
    return [*findings, _weights(), _cache()]


def _version(package: str, module: str) -> str:
    import_module(module)
    return importlib.metadata.version(package)


def _try(what: str, attempt: Callable[[], str], remedy: str) -> Finding:
    """Run an attempt that must succeed."""
    try:
        return Finding(what, "ok", attempt())
    except Exception as error:  # noqa: BLE001  whatever goes wrong is the finding
        return Finding(what, "broken", f"{type(error).__name__}: {error}", remedy)


def _optional(package: str, module: str, purpose: str, extra: str) -> Finding:
    """Import a package of an extra."""
    what, remedy = f"{purpose} ({package})", f'pip install "stvg[{extra}]"'
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return Finding(what, "missing", "not installed", remedy)
    return _try(what, lambda: _version(package, module), remedy)


def _try_video() -> str:
    """Write and read back a few frames."""
    import av
    import numpy as np

    from stvg.video import SamplingPlan, read_clip
    from stvg.video.writer import VideoWriter

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "try.mp4"
        with VideoWriter(path, fps=Fraction(10)) as writer:
            for number in range(3):
                writer.write(np.full((32, 48, 3), 80 * number, np.uint8), number / 10)
        clip = read_clip(path, SamplingPlan())
        levels = clip.frames.mean(axis=(1, 2, 3)).round()
        if len(clip) != 3 or np.abs(levels - [0, 80, 160]).max() > 8:
            raise RuntimeError(f"wrote 3 grey frames, read back {len(clip)} of levels {levels}")
    encoder = "H.264" if "libx264" in av.codecs_available else "no H.264 encoder"
    return f"{importlib.metadata.version('av')}, {encoder}"


def _accelerator() -> str:
    try:
        torch = import_module("torch")
    except (ImportError, OSError):
        return ""
    return f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ", no GPU in use"


def _weights() -> Finding:
    from stvg.errors import WeightsError
    from stvg.perception.weights import find_weights
    from stvg.perception.yolox import PUBLISHED

    what = "detector weights (yolox_nano)"
    try:
        path = find_weights(PUBLISHED["yolox_nano"])
    except WeightsError as error:
        return Finding(what, "broken", str(error), "delete the file")
    if path is None:
        return Finding(
            what, "missing", "not at hand",
            "fetched at first use; or name a folder that holds it in STVG_WEIGHTS",
        )  # fmt: skip
    return Finding(what, "ok", str(path))


def _cache() -> Finding:
    from stvg.video.cache import FrameCache

    folder = FrameCache().folder
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    used = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    free = shutil.disk_usage(existing).free
    found = f"{folder}, {used / 1e6:.0f} MB used, {free / 1e9:.0f} GB free"
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError:
        return Finding("frame cache", "broken", found, "name a writable folder in STVG_CACHE")
    return Finding("frame cache", "ok", found)
