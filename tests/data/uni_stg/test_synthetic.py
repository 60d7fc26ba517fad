"""Tubes made of videos: by hand from what a detector says, and from drawn clips."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stvg.data import find_benchmark
from stvg.data.uni_stg.build import build
from stvg.data.uni_stg.endpoint import Writer
from stvg.data.uni_stg.recipe import Endpoint
from stvg.data.uni_stg.rows import UnusableError
from stvg.data.uni_stg.sentences import motion_of, name_of, subject_in, template
from stvg.errors import StvgError, UsageError
from stvg.formats.tracks import read_tracks
from stvg.geometry.boxes import box_iou
from stvg.perception.appearance import COLOURS
from stvg.types import SceneObject, Track
from stvg.video.writer import VideoWriter

from .test_build import StoppedError, files_of, rows_in, stop_at

pytest.importorskip("datasets", reason="the data extra is not installed")
pytest.importorskip("trackers", reason="the perception extra is not installed")


def item(label: str, whole: str | None = None, upper: str | None = None) -> SceneObject:
    """An object with colours on 40 % of its parts."""
    shares = np.zeros((3, len(COLOURS)))
    for row, colour in ((0, whole), (1, upper)):
        if colour is not None:
            shares[row, COLOURS.index(colour)] = 0.4
    return SceneObject(Track(1, label, [0], [[0, 0, 9, 9]], [0.9]), {label: 1.0}, shares)


@pytest.mark.parametrize(
    ("found", "name"),
    [
        (item("dog", "brown"), "the brown dog"),
        (item("dog"), "the dog"),  # no colour that covers a third
        (item("person", "blue", "red"), "the person in red"),  # trousers do not count
        (item("person", "blue"), "the person"),
        (item("red", "red"), "the red thing"),  # a detector that knows colours alone
    ],
)
def test_names(found: SceneObject, name: str) -> None:
    assert name_of(found) == name


def centred(*boxes: tuple[float, float, float]) -> np.ndarray:
    """Square boxes by centre and side in a picture of 200 x 100."""
    return np.array([[x - s / 2, y - s / 2, x + s / 2, y + s / 2] for x, y, s in boxes])


@pytest.mark.parametrize(
    ("boxes", "words"),
    [
        (centred((50, 50, 10), (80, 50, 10)), "moves to the right"),  # 15 % of the width
        (centred((50, 50, 10), (79, 50, 10)), None),
        (centred((80, 50, 10), (50, 50, 10)), "moves to the left"),
        (centred((50, 50, 10), (70, 66, 10)), "moves down"),  # 16 % of the height, 10 of the width
        (centred((50, 66, 10), (50, 50, 10)), "moves up"),
        (centred((50, 50, 10), (52, 50, 15)), "comes closer"),
        (centred((50, 50, 15), (52, 50, 10)), "goes away"),
        (centred((50, 50, 10), (58, 50, 10), (51, 50, 10)), "stays where it is"),  # 4 %
        (centred((50, 50, 10), (59, 50, 10), (51, 50, 10)), None),
        (centred((50, 50, 10)), "stays where it is"),
    ],
)
def test_motions(boxes: np.ndarray, words: str | None) -> None:
    assert motion_of(boxes, (200, 100)) == words


def test_a_sentence_fits_one_object() -> None:
    assert template("the dog", None, [("the cat", None)]) == "the dog"
    assert template("the dog", "moves up", [("the dog", "moves down")]) == "the dog moves up"
    for rival in ("moves up", None):
        with pytest.raises(UnusableError, match="several objects"):
            template("the dog", "moves up", [("the dog", rival)])
    with pytest.raises(UnusableError, match="several objects"):
        template("the dog", None, [("the dog", "moves up")])


def test_the_subject_is_the_first_word_that_is_known() -> None:
    words = ("person", "dog", "hot dog")
    assert subject_in("The Dog follows a person", words) == "dog"
    assert subject_in("dogged persons", words) is None


DETECTOR = '''
import numpy as np
from stvg.perception.detect import Detections


class Scripted:
    """Frame by frame: a cup of 20 pixels in the frames that the test names, a person in all."""

    name, classes, long_side = "scripted", None, 100

    def __init__(self, threshold=0.1):
        self.number = -1

    def detect(self, frames, words=()):
        self.number += 1
        assert tuple(words) == ("cup", "person"), words
        boxes, scores, labels = [[60, 10, 80, 50]], [0.8], ["person"]
        if 8 <= self.number < 38:
            boxes.append([10, 10, 30, 30])
            scores.append(0.9 if self.number >= 10 else 0.2)
            labels.append("cup")
        return [Detections(np.array(boxes, float), np.array(scores), tuple(labels))]
'''


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A folder with a clip of 4 s at 10 fps, of one colour."""
    folder = tmp_path / "media" / "clips"
    folder.mkdir(parents=True)
    with VideoWriter(folder / "v.mp4", fps=Fraction(10)) as writer:
        for number in range(40):
            writer.write(np.full((100, 100, 3), 200, np.uint8), number / 10)
    return tmp_path / "media"


def captioned(plain: Path, store: Any, server: Any, *windows: list[float]) -> dict[str, Any]:
    count = len(windows)
    captions = {"v": {"duration": 4.0, "timestamps": list(windows),
                      "sentences": ["someone fills the cup"] * count}}  # fmt: skip
    detector = store(DETECTOR, "scripted.py")
    return {
        "name": "made", "kind": "synthetic", "folder": "clips", "detector": f"{detector}:Scripted",
        "benchmark": "activitynet_captions", "captions": store(captions, "captions.json"),
        "endpoint": {"address": server.address, "model": "large"},
    }  # fmt: skip


def test_captions_get_the_boxes_of_their_subject(
    recipe: Any, plain: Path, store: Any, server: Any, tmp_path: Path
) -> None:
    server.reply = 'Here: {"things": ["Cup", "person"]}'
    windows = [[0.5, 3.25], [0.5, 2.75], [3.9, 4.0]]
    made = recipe(captioned(plain, store, server, *windows), media=plain)
    card = build(made, tmp_path / "set")
    assert len(server.asked) == 1  # the same caption three times
    assert "someone fills the cup" in server.asked[0]["messages"][0]["content"]
    # The cup is there in frames 8 to 37, surely from 10 on. The first moment reaches frame 32,
    # the second frame 27 (1.8 s of a sure cup), the third has none.
    assert card["sources"][0]["drops"] == {"subject not found": 1, "too short": 1}
    (record,) = find_benchmark("uni_stg").read(tmp_path / "set")
    assert record.query.text == "someone fills the cup"
    assert record.media == "clips/v.mp4"
    assert (record.span, record.frame_count, record.fps) == ((10, 33), 40, 10.0)
    np.testing.assert_allclose(record.boxes, np.tile([10, 10, 30, 30], (23, 1)), atol=0.5)


def test_an_open_vocabulary_needs_words(
    recipe: Any, plain: Path, store: Any, server: Any, tmp_path: Path
) -> None:
    source = captioned(plain, store, server, [0.0, 4.0])
    del source["endpoint"]
    with pytest.raises(UsageError, match="looks for any words, and the source made has none"):
        build(recipe(source, media=plain), tmp_path / "set")


def drawn_source(**changes: Any) -> dict[str, Any]:
    return {"name": "made", "kind": "synthetic", "folder": "videos", "detector": "figures",
            "limits": {"shortest_s": 1.0}, **changes}  # fmt: skip


@pytest.fixture(scope="module")
def built(world: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    from stvg.data.uni_stg.recipe import Recipe, SyntheticSource

    folder = tmp_path_factory.mktemp("built") / "set"
    source = SyntheticSource.of(drawn_source(shard=1))
    return folder, build(Recipe.of({"media": world, "sources": [source]}), folder)


def test_objects_of_drawn_clips(world: Path, built: tuple[Path, dict[str, Any]]) -> None:
    folder, card = built
    records = list(find_benchmark("uni_stg").read(folder))
    assert len(records) == card["written"] >= 2
    for record in records:
        truth = read_tracks(world / "tracks" / f"{Path(record.media).stem}.json").tracks
        colour = record.query.text.split()[1]
        frames = record.first_box_frame + np.flatnonzero(np.isfinite(record.boxes[:, 0]))
        overlaps = []
        for track in (each for each in truth if each.label.split()[0] == colour):
            _, mine, its = np.intersect1d(frames, track.frames, return_indices=True)
            seen = record.boxes[np.isfinite(record.boxes[:, 0])][mine]
            overlaps.append(np.diag(box_iou(seen, track.boxes[its])).sum() / len(frames))
        assert max(overlaps) > 0.6, record.query.text  # the detector's word is not the truth


def test_a_stopped_build_of_videos_goes_on(
    recipe: Any, world: Path, built: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    made = recipe(drawn_source(shard=1), media=world)
    with pytest.raises(StoppedError):
        build(made, tmp_path / "set", stop_at(built[1]["written"]))
    assert 0 < len(files_of(tmp_path / "set")) < len(files_of(built[0]))
    assert build(made, tmp_path / "set")["sources"][0]["drops"] == built[1]["sources"][0]["drops"]
    assert files_of(tmp_path / "set") == files_of(built[0])


def test_no_more_than_wanted_are_made(
    recipe: Any, world: Path, built: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    card = build(recipe(drawn_source(count=1), media=world), tmp_path / "set")
    assert card["written"] == 1
    (row,) = rows_in(tmp_path / "set" / "stvg" / "made-00000.parquet")
    (first, *_) = rows_in(sorted((built[0] / "stvg").iterdir())[0])
    assert row == first


def test_unreadable_videos_are_counted(recipe: Any, plain: Path, tmp_path: Path) -> None:
    (plain / "clips" / "w.mp4").write_bytes(b"no video")
    with pytest.raises(StvgError, match="dropped: 1 unreadable video"):
        build(recipe(drawn_source(folder="clips"), media=plain), tmp_path / "set")


def test_a_model_writes_sentences(server: Any, tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    endpoint = Endpoint.of({"address": server.address, "model": "large"})
    server.reply = '"The red ball rolls upwards."\n'
    for _ in range(2):  # another writer reads the file
        said = Writer(endpoint, file).sentence("the red ball moves up", ["the dog"])
        assert said == "The red ball rolls upwards."
        with file.open("a") as lines:
            lines.write('{"key": "cut')
    assert len(server.asked) == 1
    prompt = server.asked[0]["messages"][0]["content"]
    assert prompt.endswith("First: the red ball moves up\nOther: the dog")
    server.reply = "yes"
    with pytest.raises(UnusableError, match="no sentence from the model"):
        Writer(endpoint, file).sentence("the cat", [])
    assert [json.loads(line)["answer"] for line in file.read_text().splitlines()
            if line.endswith("}")][-1] == "yes"  # fmt: skip


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    endpoint = Endpoint.of({"address": "http://127.0.0.1:9/v1", "model": "large"})
    with pytest.raises(StvgError, match="goes on where it stopped"):
        Writer(endpoint, tmp_path / "answers.jsonl").things_in("a dog")
    with pytest.raises(UsageError, match="address"):
        Endpoint.of({"address": "ftp://x", "model": "large"})
