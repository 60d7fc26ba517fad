"""Media are found whatever folder they are packed in and whatever their suffix became."""

from __future__ import annotations

import pytest

from stvg.data.media import MediaFolder
from stvg.errors import UsageError


@pytest.fixture
def folder(tmp_path):
    for name in (
        "1/a.mp4",
        "2/b.two.dots.mkv",
        "2/same.mp4",
        "3/same.mp4",
        "x/v_1.webm",
        "x/a.txt",
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    return tmp_path


@pytest.mark.parametrize(
    ("media", "found"),
    [
        ("a.mp4", ["1/a.mp4"]),
        ("1/a.mp4", ["1/a.mp4"]),
        ("other/a.mp4", ["1/a.mp4"]),
        ("a", ["1/a.mp4"]),
        ("a.mkv", ["1/a.mp4"]),
        ("b.two.dots", ["2/b.two.dots.mkv"]),
        ("b.two", []),
        ("same.mp4", ["2/same.mp4", "3/same.mp4"]),
        ("3/same.mp4", ["3/same.mp4"]),
        ("v_1", ["x/v_1.webm"]),
        ("absent.mp4", []),
    ],
)
def test_find(folder, media, found) -> None:
    paths = MediaFolder(folder).find(media)
    assert [path.relative_to(folder).as_posix() for path in paths] == found


def test_folders_of_frames(folder) -> None:
    assert MediaFolder(folder, "frames").find("2") == [folder / "2"]
    assert MediaFolder(folder, "frames").find("a.mp4") == []


def test_absent_folder(tmp_path) -> None:
    with pytest.raises(UsageError, match="expected a folder with the image files"):
        MediaFolder(tmp_path / "absent", "image")
