"""What all tests share.

``shared_data`` is the folder with real clips, their boxes and detector weights that developers keep
beside the checkout (``../shared/data``) or name in ``STVG_SHARED``. It may not be published, so
the tests that need it are skipped by name where it is absent; with ``STVG_REQUIRE_SHARED=1`` they
fail instead.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def find_shared() -> Path | None:
    """The development data folder, or None."""
    named = os.environ.get("STVG_SHARED")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    return folder if (folder / "real" / "boxes.json").is_file() else None


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real clips (``real/``) and weights (``models/``); skips or fails where they are absent."""
    folder = find_shared()
    if folder is None:
        message = "the development data folder (../shared/data or STVG_SHARED) is absent"
        if os.environ.get("STVG_REQUIRE_SHARED") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return folder


@pytest.fixture
def yolox_weights(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder with ``yolox_nano.onnx``, made known to the package."""
    folder = shared_data / "models"
    monkeypatch.setenv("STVG_WEIGHTS", str(folder))
    return folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's caches."""
    folder = tmp_path_factory.getbasetemp() / "cache"
    monkeypatch.delenv("STVG_WEIGHTS", raising=False)
    monkeypatch.setenv("STVG_CACHE", str(folder / "frames"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
