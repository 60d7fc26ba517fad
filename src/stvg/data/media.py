"""Finding the video, folder of frames or image that an annotation means, whatever the layout.

Makers pack media in numbered folders and change suffixes between releases, so a name is looked for
in this order: as the path that the annotation gives, by its file name anywhere below the folder, by
its file name without a suffix of video or image.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from stvg.errors import UsageError

VIDEO_SUFFIXES = (".mp4", ".mkv", ".avi", ".webm", ".mov", ".m4v", ".mpg", ".mpeg", ".flv")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")


class MediaFolder:
    """A folder with the media of a benchmark.

    Args:
        path: The folder; its subfolders are searched too, once.
        kind: What is looked for.

    Raises:
        UsageError: If there is no such folder.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> (folder / "part_1").mkdir()
        >>> (folder / "part_1" / "v_1.mkv").touch()
        >>> [each.name for each in MediaFolder(folder).find("v_1.mp4")]
        ['v_1.mkv']
    """

    def __init__(self, path: Path, kind: Literal["video", "frames", "image"] = "video") -> None:
        if not path.is_dir():
            raise UsageError(f"expected a folder with the {kind} files, found none at {path}")
        self.path = path
        self._suffixes = {"video": VIDEO_SUFFIXES, "image": IMAGE_SUFFIXES, "frames": ()}[kind]
        self._by_name: dict[str, list[Path]] = {}
        self._by_stem: dict[str, list[Path]] = {}
        for folder, folders, files in os.walk(path):
            folders.sort()
            for name in sorted(folders if kind == "frames" else files):
                self._by_name.setdefault(name, []).append(Path(folder, name))
                self._by_stem.setdefault(self._stem(name), []).append(Path(folder, name))

    def find(self, media: str) -> list[Path]:
        """Where something lies: one path, several when the name does not tell, or none."""
        name = media.replace("\\", "/").rpartition("/")[2]
        exact = self.path / media
        if exact in self._by_name.get(name, []):
            return [exact]
        return list(self._by_name.get(name) or self._by_stem.get(self._stem(name)) or [])

    def _stem(self, name: str) -> str:
        """A file name without a suffix that this kind of media has; other dots stay."""
        for suffix in self._suffixes:
            if name.lower().endswith(suffix):
                return name[: -len(suffix)]
        return name
