"""Values that the tests of several formats share."""

import json
from fractions import Fraction

import pytest
from hypothesis import strategies as st

from stvg.types import VideoMeta

VIDEO = VideoMeta("clips/dog.mp4", 100, 50, Fraction(30000, 1001), 0.5, 15)

texts = st.text(max_size=20)
metas = st.builds(
    VideoMeta,
    path=st.text(min_size=1, max_size=20),
    width=st.just(100),
    height=st.just(50),
    fps=st.fractions(min_value=1, max_value=240, max_denominator=1001),
    duration_s=st.floats(0, 100),
    frames=st.integers(6, 20),
)


def box_lists(count, right=100, bottom=50):
    """Lists of ``count`` boxes inside a frame, corners in order."""
    across, down = st.floats(0, right), st.floats(0, bottom)
    box = st.tuples(across, down, across, down).map(
        lambda v: [min(v[0], v[2]), min(v[1], v[3]), max(v[0], v[2]), max(v[1], v[3])]
    )
    return st.lists(box, min_size=count, max_size=count)


def changed(document, path, value):
    """A deep copy of ``document`` with one place changed; ``...`` removes it."""
    copy = json.loads(json.dumps(document))
    place = copy
    for key in path[:-1]:
        place = place[key]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return copy


@pytest.fixture
def store(tmp_path):
    """A function that writes text, bytes or a document to a file and returns its path."""

    def write(content, name="file.json"):
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            text = content if isinstance(content, str) else json.dumps(content)
            path.write_text(text, encoding="utf-8")
        return path

    return write
