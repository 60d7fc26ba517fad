"""Fields come in their type or the error says where and what."""

from __future__ import annotations

import numpy as np
import pytest

from stvg.data.entries import Entry, corners, rle_of, shown
from stvg.errors import FormatError


def entry(**values) -> Entry:
    return Entry(values, "a.json, record 3", "VidSTG")


@pytest.mark.parametrize(
    ("method", "good", "bad"),
    [
        ("text", ["", "a"], [1, None, ["a"]]),
        ("number", [1, -2.5], ["1", None, True, float("nan"), float("inf"), 10**400]),
        ("whole", [1, 25.0, -3], ["1", 1.5, True, None, float("nan"), 2**60]),
        ("name", ["a", 7], ["", None, 1.5, True]),
        ("sequence", [[], [1]], [{}, "ab", None]),
        ("inner", [{}, {"a": 1}], [[], "ab", None]),
        ("names", [["a", 1], []], [[1.5], [True], "ab", [None]]),
        ("four", [[1, 2, 3, 4.5]], [[1, 2, 3], [1, 2, 3, "4"], [[1], 2, 3, 4], {}]),
    ],
)  # fmt: skip
def test_types(method, good, bad) -> None:
    for value in good:
        getattr(entry(f=value), method)("f")
    for value in bad:
        with pytest.raises(FormatError, match=r"a\.json, record 3, field f(\[.*\])?: expected"):
            getattr(entry(f=value), method)("f")


def test_missing_field_says_what_is_there() -> None:
    with pytest.raises(FormatError, match=r"the field is missing \(there are: a, b\); docs/data"):
        entry(a=1, b=2).number("fps")


def test_bounds() -> None:
    with pytest.raises(FormatError, match="a whole number of at least 1, found 0"):
        entry(n=0).whole("n", 1)


def test_rows() -> None:
    rows = entry(bbox=[[1, 2, 3, 4], [5, 6, 7, 8.5]]).rows("bbox", 4, "[x, y, width, height]")
    assert rows.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8.5]]
    assert entry(bbox=[]).rows("bbox", 4, "box").shape == (0, 4)


@pytest.mark.parametrize(
    ("rows", "place"),
    [
        ([[1, 2, 3, 4], [1, 2, 3]], r"bbox\[1\]"),
        ([[1, 2, 3, 4], 5], r"bbox\[1\]"),
        ([[1, 2, 3, "4"]], r"bbox\[0\]"),
        ([[1, 2, 3, None]], r"bbox\[0\]"),
        ([[1, 2, 3, True]], r"bbox\[0\]"),
        ([[1, 2, 3, float("inf")]], r"bbox\[0\]"),
        (["abcd"], r"bbox\[0\]"),
        ([[1, 2], [3, 4, 5, 6, 7, 8]], r"bbox\[0\]"),
        (7, "bbox"),
    ],
)
def test_bad_rows(rows, place) -> None:
    with pytest.raises(FormatError, match=f"field {place}: expected"):
        entry(bbox=rows).rows("bbox", 4, "[x, y, width, height]")


def test_inner_places() -> None:
    outer = entry(objects=[{"tid": 1}, {"tid": "x"}], by={"k": {"n": None}})
    with pytest.raises(FormatError, match=r"record 3, field objects\[1\], field tid: expected"):
        [each.whole("tid") for each in outer.inner_list("objects")]
    with pytest.raises(FormatError, match=r'record 3, field by\["k"\], field n: expected'):
        [each.number("n") for _, each in outer.members("by")]
    with pytest.raises(FormatError, match=r"field objects\[0\]: expected an object, found 5"):
        list(entry(objects=[5]).inner_list("objects"))


def test_query() -> None:
    query = entry(c="  a  dog ").query("c", query_id="q", form="declarative")
    assert (query.text, query.id, query.form) == ("a dog", "q", "declarative")
    with pytest.raises(FormatError, match="a sentence that is not empty"):
        entry(c=" \n").query("c", query_id="q")


def test_corners_keep_negative_sizes() -> None:
    assert corners(np.array([[-40.0, 0, -27, -47]])).tolist() == [[-40, 0, -67, -47]]


def test_masks() -> None:
    assert rle_of(None, entry(), "m") is None
    good = {"size": [2, 3], "counts": "015"}
    assert rle_of(good, entry(), "m") == good
    for bad in (
        {},
        {"size": [2], "counts": "0"},
        {"size": [2, 3]},
        {"size": ["2", 3], "counts": ""},
        5,
    ):
        with pytest.raises(FormatError, match="field m: expected"):
            rle_of(bad, entry(), "m")


def test_shown_is_short() -> None:
    assert shown(list(range(500))) == "a list of 500"
    assert len(shown("x" * 500)) == 60
    assert shown({1, 2}) == "{1, 2}"
