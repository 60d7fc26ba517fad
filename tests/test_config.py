"""Configurations: built from plain values and from texts, every fault in one message."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import Field, ValidationError, model_validator

from stvg.config import Config
from stvg.errors import UsageError


class Inner(Config):
    fps: float | None = Field(None, gt=0, description="frames a second")
    steps: list[int] = Field(default_factory=lambda: [1, 2], description="several numbers")


class Outer(Config):
    width: int = Field(4, ge=1, description="pixels")
    name: str = "none"
    exact: bool = False
    inner: Inner = Field(Inner(), description="a group")
    maybe: Inner | None = None

    @model_validator(mode="after")
    def _fits(self) -> Outer:
        if self.width > 100 and self.exact:
            raise ValueError(f"width {self.width} is too much when exact")
        return self


def test_defaults_and_values() -> None:
    assert Outer.of({}) == Outer()
    made = Outer.of({"width": "8", "inner": {"fps": 2}})
    assert made.width == 8
    assert made.inner.fps == 2.0
    assert made.inner.steps == [1, 2]


def test_frozen() -> None:
    with pytest.raises(ValidationError):
        Outer().width = 5  # type: ignore[misc]


FAULTS: list[tuple[dict[str, Any], list[str]]] = [
    # values, what the message must say
    ({"widht": 8}, ["Outer: there is no option 'widht', did you mean 'width'?"]),
    ({"x": 1}, ["there is no option 'x', known: exact, inner, maybe, name, width"]),  # far off
    ({"inner": {"fsp": 1}}, ["no option 'inner.fsp', did you mean 'inner.fps'?"]),  # in a group
    ({"maybe": {"step": []}}, ["no option 'maybe.step', did you mean 'maybe.steps'?"]),
    ({"width": "wide"}, ["width: ", "'wide'"]),
    ({"width": 0}, ["width: ", "greater than or equal to 1, found 0"]),
    ({"width": 1.5}, ["width: ", "found 1.5"]),
    ({"inner": {"fps": -1}}, ["inner.fps: ", "found -1"]),
    ({"inner": 3}, ["inner: ", "found 3"]),
    ({"inner": {"steps": [1, "x"]}}, ["inner.steps.1: ", "found 'x'"]),  # the second of a list
    ({"width": 200, "exact": True}, ["width 200 is too much when exact"]),  # across fields
    ({"width": 0, "nam": "a", "inner": {"fps": 0}}, ["width: ", "'nam'", "inner.fps: "]),  # all
]


@pytest.mark.parametrize(("values", "parts"), FAULTS)
def test_faults_are_reported_together(values: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        Outer.of(values)
    message = str(caught.value)
    assert message.startswith("Outer: ")
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_a_long_value_is_shortened() -> None:
    with pytest.raises(UsageError) as caught:
        Outer.of({"width": "x" * 1000})
    assert len(str(caught.value)) < 250


ASSIGNMENTS: list[tuple[list[str], Outer]] = [
    ([], Outer()),
    (["width=8"], Outer(width=8)),
    ([" width = 8 "], Outer(width=8)),  # spaces around
    (["width=8", "width=9"], Outer(width=9)),  # the last one counts
    (["name=a=b"], Outer(name="a=b")),  # only the first sign separates
    (["name='8'"], Outer(name="8")),  # a number as text
    (["exact=yes"], Outer(exact=True)),
    (["inner.fps=10"], Outer(inner=Inner(fps=10))),
    (["inner.fps=1e-2"], Outer(inner=Inner(fps=0.01))),
    (["inner.fps="], Outer(inner=Inner(fps=None))),  # nothing is none
    (["inner.steps=[3, 4]"], Outer(inner=Inner(steps=[3, 4]))),
    (["inner={fps: 3}", "inner.steps=[5]"], Outer(inner=Inner(fps=3, steps=[5]))),
    (["maybe.fps=2"], Outer(maybe=Inner(fps=2))),
]


@pytest.mark.parametrize(("texts", "expected"), ASSIGNMENTS)
def test_assignments(texts: list[str], expected: Outer) -> None:
    assert Outer.from_assignments(texts) == expected


def test_assignments_come_on_top_of_values() -> None:
    values: dict[str, Any] = {"width": 8, "inner": {"fps": 5, "steps": [7]}}
    made = Outer.from_assignments(["inner.fps=6", "name=new"], **values)
    assert made == Outer(width=8, name="new", inner=Inner(fps=6, steps=[7]))
    assert values == {"width": 8, "inner": {"fps": 5, "steps": [7]}}  # left as they were


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("width", "expected an option as key=value, found 'width'"),
        ("=8", "expected an option as key=value, found '=8'"),
        (".fps=8", "expected an option as key=value, found '.fps=8'"),  # no group
        ("inner.=8", "expected an option as key=value, found 'inner.=8'"),  # no name
        ("width=[8", "the value in 'width=[8' is not readable as YAML"),
        ("width=wide", "width: "),
        ("inner.fsp=8", "did you mean 'inner.fps'?"),
        ("width.fps=8", "width: "),  # not a group
    ],
)
def test_wrong_assignments(text: str, reason: str) -> None:
    with pytest.raises(UsageError) as caught:
        Outer.from_assignments([text])
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_group_cannot_be_a_value_and_then_have_parts() -> None:
    with pytest.raises(UsageError, match=r"'inner' in .* is given whole and in parts"):
        Outer.from_assignments(["inner=3", "inner.fps=3"])


def test_describe() -> None:
    assert Inner.describe() == [
        ("fps", None, "frames a second"),
        ("steps", [1, 2], "several numbers"),  # made by a factory
    ]
    assert [name for name, _, _ in Outer.describe()] == list(Outer.model_fields)
