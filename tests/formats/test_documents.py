"""What all documents have in common: JSON errors with their place, kinds and versions, layout."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from stvg.errors import FormatError, OutputError, UsageError
from stvg.formats.documents import (
    Checked,
    FieldError,
    build,
    clean_text,
    describe,
    read_document,
    require_json,
    validated,
    write_document,
)


class Part(Checked):
    """A part of the document of these tests."""

    size: int = Field(ge=1)


class Document(Checked):
    """A document of these tests."""

    format: str
    title: str = ""
    parts: list[Part] = Field(default_factory=list)
    values: dict[str, float] = Field(default_factory=dict)


MODELS = {"stvg.prediction/1": Document}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),  # nothing at all
        (" \n\t", "is empty"),  # nothing but blanks
        ('{"format": "stvg.pre', "line 1, column 20: .*cut off"),  # the disk was full
        ('{\n "format": 1,\n}', "line 3, column 1: .*trailing comma"),  # edited by hand
        ('{\n "a": NaN}', "line 2, column 7: .*no NaN"),  # Python writes this, JSON has it not
        ('{"a": Infinity}', "line 1, column 7: .*no Infinity"),  # nor this
        ('{"a": -Infinity}', "line 1, column 8"),  # nor this
        ('{"a": 1}\n{"a": 2}\n', r"line 2, column 1: .*one record a line.*stvg evaluate"),  # JSONL
        ('{"a": "\\ud83d"}', "line 1"),  # half a surrogate pair
        (b'{"a": "\xff"}', "line 1, column 8"),  # not UTF-8
        ('{"a": 1}'.encode("utf-16"), "line 1, column 1: .*UTF-8"),  # a Windows shell wrote it
        ("[1, 2]", r"expected a JSON object .* found \[1, 2\]"),  # a list
        ('"text"', 'found "text"'),  # a bare value
        ("[" * 5000, "line 1, column .*recursion"),  # deeper than any parser goes
    ],
)
def test_what_is_not_a_json_object_is_refused_with_its_place(store, content, message):
    path = store(content)
    with pytest.raises(FormatError, match=message) as caught:
        read_document(path, MODELS)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (
            "stvg.prediction/2",
            "stvg.prediction/2, but this stvg .* reads stvg.prediction/1; update",
        ),
        ("stvg.prediction", "but this stvg .* reads stvg.prediction/1"),  # no version
        ("stvg.tracks/1", "another kind: stvg.tracks/1, the tracks of one video.*expected"),
        ("stvg.tracks/9", "another kind"),  # kind before version
        ("coco", 'expected "format": "stvg.prediction/1", found "format": "coco"'),
        (1, 'found "format": 1'),
        (None, 'found "format": null'),
    ],
)
def test_other_kinds_and_versions_are_named(store, found, message):
    with pytest.raises(FormatError, match=message):
        read_document(store({"format": found}), MODELS)


def test_a_document_without_format_shows_what_it_has(store):
    with pytest.raises(FormatError, match=r'no field "format" but \["annotations", "images"\]'):
        read_document(store({"images": [], "annotations": []}), MODELS)


def test_a_byte_order_mark_is_passed_over(store):
    path = store(b'\xef\xbb\xbf{"format": "stvg.prediction/1"}')
    assert read_document(path, MODELS).format == "stvg.prediction/1"


def test_what_cannot_be_opened_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="there is no such file"):
        read_document(tmp_path / "missing.json", MODELS)
    with pytest.raises(UsageError, match="cannot read"):
        read_document(tmp_path, MODELS)  # a folder


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"title": 3}, "field title: expected text, found 3;"),
        ({"parts": {}}, "field parts: expected a list, found {};"),
        ({"parts": [{"size": 1}, {}]}, r"field parts\[1\].size: the field is missing;"),
        ({"parts": [{"size": 0}]}, r"parts\[0\].size: expected a number greater .* 1, found 0;"),
        ({"parts": [{"size": 1.0}]}, r"parts\[0\].size: expected a whole number, found 1.0;"),
        ({"parts": [{"size": True}]}, "expected a whole number, found true;"),
        ({"parts": [{"size": 1, "sise": 2}]}, r"sise: expected no field .*did you mean size\?"),
        ({"zzz": 2}, "field zzz: expected no field of this name, found 2;"),
        ({"values": {"a b": "1"}}, r'field values\["a b"\]: expected a number, found "1";'),
        ({"values": {"17": None}}, r'field values\["17"\]: expected a number, found null;'),
        ({"values": {"a": 1e999}}, "field values.a: expected a finite number, found Infinity;"),
        ({"title": 1, "parts": 2, "values": 3}, r"title.*found 1 \(and 2 more\);"),
        ({"title": ["x" * 99]}, r'found \["x{55}\.\.\.;'),  # long values are cut
    ],
)
def test_the_first_wrong_field_is_named(fields, message):
    with pytest.raises(FormatError, match=message) as caught:
        validated(Document, {"format": "f", **fields}, "file.json, line 3")
    assert str(caught.value).startswith("file.json, line 3, ")
    assert str(caught.value).endswith("docs/formats.md describes Document")


def test_build_refuses_what_no_reader_would_take():
    with pytest.raises(UsageError, match=r"the part cannot be written, field size: .* found 0"):
        build(Part, "the part", size=0)


def test_a_field_error_inside_a_part_gets_the_whole_path():
    class Outer(Checked):
        inner: dict[str, float]

        def model_post_init(self, _context):
            raise FieldError("inner.x", "expected y, found z")

    with pytest.raises(FormatError, match=r"file, field inner.x: expected y, found z; docs"):
        validated(Outer, {"inner": {}}, "file")
    assert "Outer" in describe(_error_of(Outer, {"inner": {}}), Outer)


def _error_of(model, document):
    try:
        model.model_validate(document)
    except ValueError as error:
        return error
    raise AssertionError("nothing was refused")


def test_short_parts_stay_on_a_line_and_long_ones_unfold(tmp_path):
    parts = [Part(size=n) for n in range(1, 20)]
    write_document(Document(format="f", title="Zürich 東京", parts=parts), tmp_path / "d.json")
    text = (tmp_path / "d.json").read_text(encoding="utf-8")
    lines = text.splitlines()
    assert lines[:5] == [
        "{",
        ' "format": "f",',
        ' "title": "Zürich 東京",',
        ' "parts": [',
        '  {"size": 1},',
    ]
    assert lines[-3:] == ['  {"size": 19}', " ]", "}"]
    assert "values" not in text  # not given, so not written
    assert text.endswith("}\n")


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(), inner, max_size=8),
        max_leaves=40,
    )
)
def test_unfolded_json_is_the_same_json(tmp_path_factory, value):
    class Anything(Checked):
        value: object

    path = tmp_path_factory.mktemp("any") / "any.json"
    write_document(Anything(value=[value, "x" * 200]), path)  # long enough to unfold
    assert json.loads(path.read_text(encoding="utf-8")) == {"value": [value, "x" * 200]}
    assert require_json(value) == value


def test_an_unwritable_place_is_an_output_error(tmp_path):
    with pytest.raises(OutputError, match="does not exist"):
        write_document(Part(size=1), tmp_path / "missing" / "d.json")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": [1, float("nan")]}, "finite numbers, found nan"),
        ([float("inf")], "finite numbers, found inf"),
        ({1: 2}, "text as keys"),
        ({"a": {1, 2}}, "JSON values only, found set"),
        ([b"bytes"], "JSON values only, found bytes"),
    ],
)
def test_require_json_refuses(value, message):
    with pytest.raises(ValueError, match=message):
        require_json(value)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("plain", "plain"),
        ("東京 🐕", "東京 🐕"),  # beyond the basic plane, as a whole pair
        ("\ud83d", "\ufffd"),  # the first half of a pair
        ("a\udcffb", "a\ufffdb"),  # a file name byte that is not UTF-8
    ],
)
def test_clean_text(text, clean):
    assert clean_text(text) == clean
