"""The JSON schemas, and that docs/formats.md says the same."""

import json
import re
from pathlib import Path

import pytest

from stvg.formats.prediction import read_prediction, read_predictions
from stvg.formats.predictions_jsonl import read_predictions_jsonl
from stvg.formats.schema import schemas
from stvg.formats.tracks import read_tracks

DOCS = Path(__file__).parents[2] / "docs" / "formats.md"
NAMES = ["prediction", "predictions", "predictions_jsonl", "tracks"]


def objects(schema):
    """The object schemas in a document's schema, by title, the document itself first."""
    parts = {schema["title"]: schema}
    return parts | schema.get("$defs", {})


LINKS = {
    "CorrectionPart": "[correction](#correction)",
    "FrameBox": "[box](#box)",
    "MaskPart": "[mask](#mask)",
    "PredictionFile": "[prediction](#prediction-json)",
    "TrackPart": "[track](#track)",
    "VideoPart": "[video](#video)",
}


def kind_of(field):
    """The type of a field in words, with its range."""
    if "anyOf" in field:
        return " or ".join(kind_of(each) for each in field["anyOf"])
    if "$ref" in field:
        return LINKS[field["$ref"].rpartition("/")[2]]
    if "const" in field:
        return f'`"{field["const"]}"`'
    if "enum" in field:
        return " or ".join(f'`"{each}"`' for each in field["enum"])
    if field.get("type") == "array":
        return list_of(field)
    if "patternProperties" in field:
        return f"object, by frame number: {kind_of(*field['patternProperties'].values())}"
    if isinstance(field.get("additionalProperties"), dict):
        return f"object, by name: {kind_of(field['additionalProperties'])}"
    return {"integer": "whole number", "string": "text"}.get(field["type"], field["type"]) + (
        f" {field['minimum']:g} to {field['maximum']:g}"
        if field.get("maximum", 1e9) < 1e6
        else f" ≥ {field['minimum']:g}"
        if "minimum" in field
        else ""
    )


def list_of(field):
    """The type of a list in words."""
    count = f"{field['minItems']} " if "minItems" in field else ""
    items = re.sub(r"number\b", "numbers", kind_of(field["items"]))
    return f"list of {count}{items}"


def field_table(part):
    """The fields of an object as a Markdown table."""
    rows = ["| field | type | meaning |", "|---|---|---|"]
    for name, field in part["properties"].items():
        rows.append(f"| `{name}` | {kind_of(field)} | {field['description']} |")
    return "\n".join(rows)


def examples():
    """The examples in the documentation, by the kind that the line before them names."""
    return dict(
        re.findall(
            r"Example \(`(\w+)`\):\n\n```jsonl?\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.S
        )
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_object_is_closed_and_every_field_described(name):
    for title, part in objects(schemas()[name]).items():
        assert part["additionalProperties"] is False, title
        for field, schema in part["properties"].items():
            assert len(schema["description"]) > 10, f"{title}.{field}"
            for inner in [schema, *schema.get("anyOf", [])]:
                if "patternProperties" in inner:
                    assert inner["additionalProperties"] is False, f"{title}.{field}"


def test_there_is_a_schema_for_every_format_and_it_is_json():
    assert list(schemas()) == NAMES
    assert json.loads(json.dumps(schemas())) == schemas()


@pytest.mark.parametrize(
    ("name", "title", "required"),
    [
        (
            "prediction",
            "stvg.prediction/1",
            {"format", "video", "query", "start_s", "end_s", "score", "boxes"}
            | {"method", "model", "answer", "timing_s", "warnings"},
        ),
        ("predictions", "stvg.predictions/1", {"format", "predictions"}),
        ("predictions_jsonl", "predictions JSONL", {"id", "span_frames", "boxes"}),
        ("tracks", "stvg.tracks/1", {"format", "video", "tracks"}),
    ],
)
def test_required_fields_are_those_of_the_design(name, title, required):
    assert schemas()[name]["title"] == title
    assert set(schemas()[name]["required"]) == required


@pytest.mark.parametrize("name", NAMES)
def test_the_documentation_has_every_field(name):
    text = DOCS.read_text(encoding="utf-8")
    for title, part in objects(schemas()[name]).items():
        table = field_table(part)
        assert table in text, f"docs/formats.md needs this table for {title}:\n{table}"


def test_the_examples_of_the_documentation_are_read(store):
    texts = examples()
    assert sorted(texts) == NAMES
    found = read_prediction(store(texts["prediction"]))
    assert found.query.text in texts["prediction"]
    assert len(read_predictions(store(texts["predictions"]))) == 2
    ids = [record.id for record in read_predictions_jsonl(store(texts["predictions_jsonl"]))]
    assert len(ids) == 3
    assert len(read_tracks(store(texts["tracks"]))) == 2
