"""Reading JSON piece by piece gives what reading it whole gives, and nothing that is not JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stvg.data.json_stream import JsonStream
from stvg.errors import FormatError, UsageError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


def members(path: Any, chunk_bytes: int = 1 << 20) -> list[tuple[str, Any]]:
    with JsonStream(path, chunk_bytes=chunk_bytes) as stream:
        found = [(key, stream.value()) for key in stream.members()]
        stream.finish()
        return found


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(st.text(), VALUES, max_size=4), st.integers(1, 9), st.booleans())
def test_same_as_whole_whatever_the_chunks(tmp_path_factory, document, chunk_bytes, spaced) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    text = json.dumps(document, indent=2 if spaced else None, ensure_ascii=spaced)
    path.write_bytes(
        text.encode("utf-8", "surrogatepass") if spaced else text.encode(errors="replace")
    )
    whole = json.loads(path.read_bytes())
    assert dict(members(path, chunk_bytes)) == whole


def test_elements_and_nesting(store) -> None:
    path = store('[{"a": 1}, [], {"b": {"c": [1, 2]}} ] \n')
    with JsonStream(path) as stream:
        kinds = []
        for number in stream.elements():
            kinds.append((number, stream.next_character()))
            stream.value()
        stream.finish()
    assert kinds == [(0, "{"), (1, "["), (2, "{")]


def test_nested_walk(store) -> None:
    path = store('{"skip": [1, 2], "videos": {"a": {"x": 1}, "b": 2}, "after": {}}')
    found = []
    with JsonStream(path, chunk_bytes=3) as stream:
        for key in stream.members():
            if key == "videos":
                found = [(vid, stream.value()) for vid in stream.members()]
            else:
                stream.value()
        stream.finish()
    assert found == [("a", {"x": 1}), ("b", 2)]


def test_repeated_keys_are_both_given(store) -> None:
    assert members(store('{"a": 1, "a": 2}')) == [("a", 1), ("a", 2)]


@pytest.mark.parametrize("text", ["{}", " {\n} ", "\ufeff{}"])
def test_empty_objects(text, store) -> None:
    assert members(store(text)) == []


def test_empty_list(store) -> None:
    with JsonStream(store("[ ]")) as stream:
        assert list(stream.elements()) == []
        stream.finish()


def test_a_number_cut_by_a_chunk_is_read_whole(store) -> None:
    assert members(store('{"a": 123456789, "b": -1.5e-3}'), 1) == [("a", 123456789), ("b", -0.0015)]


def test_offset_counts_bytes(store) -> None:
    text = '{"é": [1], "b": "€", "c": {"d": 2}}'
    path = store("\ufeff" + text)
    data = path.read_bytes()
    with JsonStream(path, chunk_bytes=4) as stream:
        for key in stream.members():
            stream.next_character()
            start = stream.offset
            value = stream.value()
            assert json.loads(data[start : stream.offset]) == value, key


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; get the file again"),
        (" \n ", "is empty|expected an object"),
        ("[1]", "line 1, column 1: not JSON, expected an object"),
        ('{"a": 1', "line 1, column 8: .* was probably cut off"),
        ('{"a": {"b": [1, 2', "line 1, column 18: .* was probably cut off"),
        ('{"a": "never ends', "line 1, column 7: .* was probably cut off"),
        ('{"a": 1,\n "b" 2}', "line 2, column 6: not JSON, expected a colon"),
        ('{"a": 1,\n\n "b": [1,,2]}', "line 3, column 10: not JSON, expecting value; correct that"),
        ('{"a": 1 "b": 2}', "column 9: not JSON, expected a comma or '}'"),
        ("{a: 1}", "column 2: not JSON, expected a key in double quotes"),
        ('{"a": NaN}', "column 7: not JSON, NaN is no JSON value"),
        ('{"a": [1, -Infinity]}', "column 7: not JSON, -Infinity is no JSON value"),
        ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deep"),
        ('{"a": ' + "9" * 5000 + "}", "thousands of digits"),
        ('{"a": 1} {"b": 2}', "column 10: not JSON, expected the end of the file"),
    ],
)  # fmt: skip
def test_bad_text(text, message, store) -> None:
    with pytest.raises(FormatError, match=message) as caught:
        members(store(text))
    assert "file.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_error_place_does_not_depend_on_chunks(store) -> None:
    path = store('{"a": [1, 2],\n  "b": {"c": ' + "1, " * 50 + "]}")
    messages = set()
    for chunk_bytes in (1, 7, 64, 1 << 20):
        with pytest.raises(FormatError) as caught:
            members(path, chunk_bytes)
        messages.add(str(caught.value))
    assert len(messages) == 1
    assert "line 2, column " in messages.pop()


def test_not_text(store) -> None:
    with pytest.raises(FormatError, match="not UTF-8"):
        members(store(b'{"a": "\xff\xfe\x00"}'))


def test_absent(tmp_path) -> None:
    with pytest.raises(UsageError, match="there is no such file"):
        JsonStream(tmp_path / "absent.json")


def test_the_first_value_needs_only_the_start(tmp_path) -> None:
    """The rest of the file is not even JSON, and nobody notices until it is reached."""
    path = tmp_path / "huge.json"
    path.write_text('{"a": {"x": 1}, ' + " " * 5_000_000 + "this is not JSON")
    with JsonStream(path) as stream:
        keys = stream.members()
        assert next(keys) == "a"
        assert stream.value() == {"x": 1}
        assert stream.offset < 100
        with pytest.raises(FormatError, match="expected a key"):
            next(keys)
