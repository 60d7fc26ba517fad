"""Fixtures that the tests of all formats share."""

import json

import pytest
from hypothesis import settings

# No time limit an example: tests assert no timing, and machines are shared.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture
def store(tmp_path):
    """A function that writes text, bytes or a document to a file and returns its path."""

    def write(content, name="file.json"):
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            text = content if isinstance(content, str) else json.dumps(content)
            path.write_text(text, encoding="utf-8", newline="")
        return path

    return write


@pytest.fixture
def changed():
    """A function that copies a document with one place changed; ``...`` removes it."""

    def change(document, place, value):
        copy = json.loads(json.dumps(document))
        parent = copy
        for key in place[:-1]:
            parent = parent[key]
        if value is ...:
            del parent[place[-1]]
        else:
            parent[place[-1]] = value
        return copy

    return change
