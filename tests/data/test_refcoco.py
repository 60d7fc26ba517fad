"""RefCOCO, RefCOCO+ and RefCOCOg in their three forms; pickles that would run code are refused."""

from __future__ import annotations

import pickle

import pytest

from stvg.data import find_benchmark
from stvg.errors import FormatError, UsageError
from tests.data.annotations import INSTANCES, MDETR, REFS, changed

READER = find_benchmark("refcoco")
BOX = [10.5, 20.25, 40.5, 60.75]


@pytest.fixture
def refs(store):
    """The pickled form with its instances beside it."""
    store(INSTANCES, "instances.json")
    return store(pickle.dumps(REFS, protocol=2), "refs(unc).p")


def test_pickled_form(refs) -> None:
    first, second, third = READER.read(refs)
    assert [record.id for record in (first, second, third)] == ["12", "13", "14"]
    assert first.media == "COCO_train2014_000000000009.jpg"
    assert (first.width, first.height) == (640, 480)
    assert first.box.tolist() == BOX
    assert [first.query.text, second.query.text] == ["left cup", "red cup"]
    assert third.query.text == "caf\u00e9 table"
    assert first.extra["split"] == "testA"
    assert (first.extra["ref_id"], first.extra["ann_id"], first.extra["image_id"]) == (5, 77, 9)
    assert list(READER.quirks_of(first)) == []
    assert list(READER.quirks_of(third)) == ["over_the_border"]  # 640.4 of 640


def test_one_split(refs) -> None:
    assert [r.id for r in READER.read(refs.with_name("refs(unc).p#testA"))] == ["12", "13"]
    with pytest.raises(UsageError, match="no split 'testC'; it has: testA, train"):
        list(READER.read(refs.with_name("refs(unc).p#testC")))
    with pytest.raises(UsageError, match="only the pickled form holds several splits"):
        list(READER.read(refs.with_name("instances.json#testA")))


def test_python_2_text(store) -> None:
    """The published pickles hold byte strings, which are Latin-1."""
    store(INSTANCES, "instances.json")
    text = b"(lp0\n(dp1\nS'ann_id'\np2\nI77\nsS'image_id'\np3\nI9\nsS'sentences'\np4\n(lp5\n(dp6\n"
    text += b"S'sent'\np7\nS'caf\\xe9'\np8\nsS'sent_id'\np9\nI1\nsasa."
    (record,) = READER.read(store(text, "refs.p"))
    assert record.query.text == "café"


class Runs:
    """Unpickled carelessly, this would run a command."""

    def __reduce__(self):
        import os

        return os.system, ("echo unpickled > /dev/null",)


def test_a_pickle_that_could_run_is_refused(store) -> None:
    store(INSTANCES, "instances.json")
    path = store(pickle.dumps([Runs()]), "refs.p")
    with pytest.raises(FormatError, match="could run code and is refused"):
        list(READER.read(path))


@pytest.mark.parametrize("data", [b"", b"garbage", pickle.dumps(REFS)[:50], b"\x80\x02}q\x00."])
def test_bad_pickles(data, store) -> None:
    store(INSTANCES, "instances.json")
    with pytest.raises(FormatError, match=r"refs\.p: expected"):
        list(READER.read(store(data, "refs.p")))


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ([0, "ann_id"], 1, "field ann_id: expected an annotation of .*instances.json, found 1"),
        ([0, "image_id"], 1, "field image_id: expected an image of .*instances.json, found 1"),
        ([0, "sentences"], ..., "field sentences: expected a list"),
        (
            [0, "sentences", 0, "sent"],
            " ",
            r"field sentences\[0\], field sent: expected a sentence",
        ),
        ([0, "sentences", 0, "sent_id"], None, "field sent_id: expected a name"),
    ],
)
def test_bad_refs(place, value, message, store) -> None:
    store(INSTANCES, "instances.json")
    path = store(pickle.dumps(changed(REFS, place, value)), "refs.p")
    with pytest.raises(FormatError, match=message):
        list(READER.read(path))


def test_absent_instances(store) -> None:
    path = store(pickle.dumps(REFS), "refs.p")
    with pytest.raises(UsageError, match=r"instances\.json: there is no such file"):
        list(READER.read(path))
    other = store(INSTANCES, "elsewhere/other.json")
    assert len(list(READER.read(path, instances=other))) == 3


def test_mdetr_form(store) -> None:
    (record,) = READER.read(store(MDETR))
    assert (record.id, record.media) == ("30", "COCO_train2014_000000000009.jpg")
    assert record.query.text == "left cup"
    assert record.box.tolist() == BOX
    assert (record.width, record.height) == (640, 480)
    assert (record.extra["ann_id"], record.extra["image_id"]) == (77, 9)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (["annotations"], [], "as many images as annotations, found 1 images and 0 annotations"),
        (["annotations"], ..., "as many images as annotations, found 1 images"),
        (["annotations", 0, "bbox"], [1, 2, 3], r"field annotations\[0\], field bbox"),
        (["images", 0, "caption"], ..., "field caption: expected text"),
        (["images", 0, "width"], 0, "field width: expected a whole number of at least 1"),
    ],
)
def test_bad_mdetr(place, value, message, store) -> None:
    with pytest.raises(FormatError, match=message):
        list(READER.read(store(changed(MDETR, place, value))))


def test_names_are_not_mixed_up(store) -> None:
    plus = changed(MDETR, ["images", 0, "dataset_name"], "refcoco+")
    with pytest.raises(
        FormatError, match=r"expected annotations of RefCOCO, .* looks like RefCOCO\+"
    ):
        list(READER.read(store(plus)))
    (record,) = find_benchmark("refcoco_plus").read(store(plus))
    assert record.id == "30"


def test_plain_list(store) -> None:
    entries = [
        {"image": "a.jpg", "sent": "left cup", "gt_box_xywh": [10.5, 20.25, 30, 40.5]},
        {"id": 1, "image": "a.jpg", "sent": "cup", "bbox_xywh": [0, 0, 1, 1]},
    ]
    first, second = READER.read(store(entries))
    assert (first.id, first.box.tolist(), first.width) == ("0", BOX, 0)
    assert (second.id, second.box.tolist()) == ("1", [0, 0, 1, 1])
