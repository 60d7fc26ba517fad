"""MeViS, Refer-YouTube-VOS and Ref-DAVIS17: expressions, and masks of six pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stvg.data import find_benchmark
from stvg.errors import FormatError, UsageError
from stvg.geometry.masks import decode_masks
from tests.data.annotations import DAVIS, MASK_DICT, MEVIS, RLE_FIRST, YOUTUBE, changed

MEVIS_READER = find_benchmark("mevis")
YOUTUBE_READER = find_benchmark("refer_youtube_vos")
DAVIS_READER = find_benchmark("ref_davis17")
VID = "0123456789ab"


def draw(folder: Path, vid: str, frame: str, rows: list[list[int]], mode: str = "P") -> Path:
    """An indexed PNG with these pixel values."""
    (folder / vid).mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(np.array(rows, np.uint8), "L")
    if mode == "P":
        picture.putpalette([value for n in range(256) for value in (n, 0, 0)])
    picture.convert(mode).save(folder / vid / f"{frame}.png")
    return folder


def test_mevis(store) -> None:
    store(MASK_DICT, "mask_dict.json")
    first, both = MEVIS_READER.read(store(MEVIS, "meta_expressions.json"))
    assert (first.id, both.id) == (f"{VID}/0", f"{VID}/1")
    assert first.media == VID
    assert first.query.text == "the bird flying away"
    assert first.frames == ("00000", "00001")
    assert first.objects == ("0",)
    assert first.masks == ((RLE_FIRST, None),)
    assert both.masks == ((RLE_FIRST, None), (None, RLE_FIRST))
    assert both.extra["anno_id"] == ("3", "4")
    assert decode_masks([both.masks[1][1]])[0].tolist() == [[True, False, False], [False] * 3]
    assert list(MEVIS_READER.quirks_of(both)) == ["several_objects"]
    assert 'video "0123456789ab", expression "1"' in both.place


def test_mevis_without_masks(store) -> None:
    first, _ = MEVIS_READER.read(store(MEVIS))
    assert first.masks is None
    assert first.objects == ("0",)
    assert list(MEVIS_READER.quirks_of(first)) == ["no_masks"]


def test_mevis_without_truth(store) -> None:
    store(MASK_DICT, "mask_dict.json")
    document = changed(MEVIS, ["videos", VID, "expressions"], {"0": {"exp": "a bird"}})
    (record,) = MEVIS_READER.read(store(document))
    assert (record.objects, record.masks) == ((), None)


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ({"3": MASK_DICT["3"]}, 'field anno_id: expected annotations of .*, found "4"'),
        ({**MASK_DICT, "4": [None]}, 'annotation "4": expected a list of 2 masks'),
        ({**MASK_DICT, "4": [None, {"size": [2]}]}, r'annotation "4", field \[1\]: expected'),
    ],
)
def test_bad_masks_of_mevis(masks, message, store) -> None:
    with pytest.raises(FormatError, match=message):
        list(MEVIS_READER.read(store(MEVIS), masks=store(masks, "masks.json")))


def test_youtube(store, tmp_path) -> None:
    folder = draw(tmp_path / "Annotations", "0123456789", "00000", [[1, 2, 2], [0, 0, 0]])
    document = changed(YOUTUBE, ["videos", "9876543210"], ...)
    dog, cat = YOUTUBE_READER.read(store(document), masks=folder)
    assert (dog.id, dog.objects, dog.frames) == ("0123456789/0", ("1",), ("00000", "00005"))
    assert dog.masks[0][1] is None  # there is no picture of the second frame
    assert decode_masks([dog.masks[0][0]])[0].tolist() == [[True, False, False], [False] * 3]
    assert decode_masks([cat.masks[0][0]])[0].tolist() == [[False, True, True], [False] * 3]
    assert "void" not in dog.extra


def test_youtube_leaves_test_videos_out(store) -> None:
    test = store({"videos": {"0123456789": YOUTUBE["videos"]["0123456789"]}}, "test.json")
    (record,) = YOUTUBE_READER.read(store(YOUTUBE), exclude=test)
    assert record.id == "9876543210/0"
    assert list(YOUTUBE_READER.quirks_of(record)) == ["no_masks", "no_object"]


def test_davis_prepared(store, tmp_path) -> None:
    folder = draw(tmp_path / "masks", "blackswan", "00000", [[1, 255, 0], [0, 0, 0]])
    records = list(DAVIS_READER.read(store(DAVIS), masks=folder))
    assert [record.extra["set"] for record in records] == [
        "annot1", "annot1_full_video", "annot2", "annot2_full_video",
    ]  # fmt: skip
    (void,) = records[0].extra["void"]
    assert decode_masks([void])[0].tolist() == [[False, True, False], [False] * 3]
    assert list(DAVIS_READER.quirks_of(records[0])) == ["void_pixels"]


def texts(store, names=("annot1", "annot1_full_video", "annot2", "annot2_full_video")) -> Path:
    """The published files: two videos, one of them misspelt, objects out of order."""
    for name in names:
        text = f'camel 2 "the small one {name}"\ncamel 1 "the big one {name}"\n'
        path = store(text + f'dog-scale 1 "a dog {name}"\n', f"texts/Davis17_{name}.txt")
    return path.parent


def test_davis_published(store, tmp_path) -> None:
    masks = draw(tmp_path / "masks", "camel", "00001", [[1, 2, 0]])
    masks = draw(masks, "camel", "00000", [[0, 2, 0]])
    split = store("camel\n", "val.txt")
    records = list(DAVIS_READER.read(texts(store), masks=masks, split=split))
    assert [record.id for record in records] == [f"camel/{number}" for number in range(8)]
    assert records[0].query.text == "the big one annot1"
    assert records[5].query.text == "the small one annot1_full_video"
    assert [record.objects for record in records] == [("1",)] * 4 + [("2",)] * 4
    assert records[0].frames == ("00000", "00001")
    assert records[0].masks[0][0] is None  # the object is not in the first frame
    assert records[0].masks[0][1] is not None
    assert records[5].place.endswith("Davis17_annot1_full_video.txt, line 1")


def test_davis_published_without_masks(store) -> None:
    records = list(DAVIS_READER.read(texts(store)))
    assert [record.media for record in records] == ["camel"] * 8 + ["dogs-scale"] * 4
    assert list(DAVIS_READER.quirks_of(records[0])) == ["no_masks", "no_frames"]


def test_davis_needs_all_four_sets(store) -> None:
    with pytest.raises(UsageError, match=r"Davis17_annot2\.txt is missing"):
        list(DAVIS_READER.read(texts(store, ("annot1", "annot1_full_video"))))
    folder = texts(store)
    (folder / "Davis17_annot2.txt").write_text('camel 1 "the big one"\n')
    with pytest.raises(FormatError, match=r'video "camel": expected as many .* \[2, 2, 1, 2\]'):
        list(DAVIS_READER.read(folder))
    (folder / "Davis17_annot2.txt").write_text("camel one the big one\n")
    with pytest.raises(FormatError, match=r"Davis17_annot2\.txt, line 1: expected video object"):
        list(DAVIS_READER.read(folder))


def test_bad_pictures(store, tmp_path) -> None:
    document = changed(YOUTUBE, ["videos", "9876543210"], ...)
    with pytest.raises(UsageError, match="expected a folder of masks"):
        list(YOUTUBE_READER.read(store(document), masks=tmp_path / "absent"))
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UsageError, match="found none"):
        list(YOUTUBE_READER.read(store(document), masks=empty))
    coloured = draw(tmp_path / "rgb", "0123456789", "00000", [[1, 2, 2]], mode="RGB")
    with pytest.raises(FormatError, match="a picture in mode RGB"):
        list(YOUTUBE_READER.read(store(document), masks=coloured))
    (coloured / "0123456789" / "00000.png").write_bytes(b"no picture")
    with pytest.raises(FormatError, match="expected a PNG"):
        list(YOUTUBE_READER.read(store(document), masks=coloured))


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (["frames"], "00000", "field frames: expected a list of names"),
        (["frames", 0], None, r"field frames\[0\]: expected a name"),
        (["expressions", "0", "exp"], "", 'expression "0", field exp: expected a sentence'),
        (["expressions", "0"], "a dog", r'field expressions\["0"\]: expected an object'),
        (["expressions"], [], "field expressions: expected an object"),
        ([], 5, 'video "0123456789": expected an object'),
    ],
)
def test_bad_expressions(place, value, message, store) -> None:
    path = store(changed(YOUTUBE, ["videos", "0123456789", *place], value))
    with pytest.raises(FormatError, match=message):
        list(YOUTUBE_READER.read(path))


@pytest.mark.parametrize("text", ["[]", "{}", '{"videos": []}', '{"videos": {}, "a": 1}'])
def test_files_without_expressions(text, store) -> None:
    path = store(text)
    if "{}," in text:
        assert list(YOUTUBE_READER.read(path)) == []
        return
    with pytest.raises(FormatError, match="expected Refer-YouTube-VOS, an object with the field"):
        list(YOUTUBE_READER.read(path))
