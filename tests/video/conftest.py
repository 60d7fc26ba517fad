"""One bar-coded video of every kind of stream, made once for all tests of this folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.barcode import write_barcode_video
from tests.video.streams import FPS, FRAMES, STREAMS


@pytest.fixture(scope="session")
def video_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The file of a kind of stream from :data:`STREAMS`; FRAMES frames numbered from 0."""
    folder = tmp_path_factory.mktemp("streams")
    made: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in made:
            stream = STREAMS[name]
            made[name] = folder / f"{name}.{stream.suffix}"
            write_barcode_video(made[name], **{"frames": FRAMES, "fps": FPS, **stream.write})
        return made[name]

    return make
