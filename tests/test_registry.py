"""From names to objects: methods by folder, anything by reference."""

from __future__ import annotations

import json
import pickle
import sys
from fractions import Fraction
from pathlib import Path

import pytest

from stvg.errors import UsageError
from stvg.registry import available, find_method, load_object, suggest


def write(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [
        ("bytetrak", ["bytetrack", "sort"], "did you mean 'bytetrack'?"),
        ("sort", ["ocsort", "sort"], "did you mean 'sort'?"),
        ("zebra", ["bytetrack", "sort"], "known: bytetrack, sort"),  # nothing is near
        ("zebra", [], "known: none"),
    ],
)
def test_suggestions(name: str, known: list[str], expected: str) -> None:
    assert suggest(name, known) == expected


def test_methods_are_folders() -> None:
    found = available("stvg.methods")
    assert "track_match" in found
    assert "base" not in found  # a file
    assert found == sorted(found)


def test_a_method_by_name_and_by_reference(tmp_path: Path) -> None:
    method = find_method("track_match")
    assert method.name == "track_match"
    path = write(
        tmp_path / "mine.py", "from stvg.methods.track_match import Method", "Mine = Method"
    )
    assert find_method(f"{path}:Mine") is method


def test_a_mistyped_method() -> None:
    with pytest.raises(UsageError, match="there is no method 'track_mach'; did you mean 'track_ma"):
        find_method("track_mach")


def test_objects_of_modules() -> None:
    assert load_object("fractions:Fraction") is Fraction


def test_objects_of_files(tmp_path: Path) -> None:
    path = write(
        tmp_path / "my things.py",
        "from __future__ import annotations",
        "from dataclasses import dataclass",
        "@dataclass(slots=True)",  # looks its own module up while it is made
        "class Thing:",
        "    size: int = 3",
        "    other: Thing | None = None",
    )
    thing = load_object(f"{path}:Thing")
    assert thing(4).size == 4
    assert pickle.loads(pickle.dumps(thing(5))) == thing(5)


def test_files_of_the_same_name_do_not_meet(tmp_path: Path) -> None:
    for folder, value in (("a", 1), ("b", 2)):
        write(tmp_path / folder / "json.py", f"VALUE = {value}")
    assert load_object(f"{tmp_path / 'a' / 'json.py'}:VALUE") == 1
    assert load_object(f"{tmp_path / 'b' / 'json.py'}:VALUE") == 2
    assert sys.modules.get("json", json) is json  # the real one is untouched


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.py", "VALUE = 1")
    assert load_object(f"{path}:VALUE") == 1
    write(path, "VALUE = 23456")
    assert load_object(f"{path}:VALUE") == 23456


@pytest.mark.parametrize(
    ("lines", "attribute", "reason"),
    [
        (["VALUE = 1"], "VALEU", "has no attribute 'VALEU'; did you mean 'VALUE'?"),
        (["import no_such_package"], "x", "cannot be imported: ModuleNotFoundError"),
        (["def broken(:"], "x", "cannot be imported: SyntaxError"),
        (["1 / 0"], "x", "cannot be imported: ZeroDivisionError: division by zero"),
    ],
)
def test_files_that_do_not_give_it(
    lines: list[str], attribute: str, reason: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "mine.py", *lines)
    modules = set(sys.modules)
    with pytest.raises(UsageError) as caught:
        load_object(f"{path}:{attribute}")
    assert reason in str(caught.value)
    assert str(path) in str(caught.value)
    if "cannot" in reason:
        assert not [name for name in set(sys.modules) - modules if name.startswith("mine")]


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("", "expected package.module:attribute or path/to/file.py:attribute, found ''"),
        ("fractions", "expected package.module:attribute"),  # no attribute
        (":Fraction", "expected package.module:attribute"),  # no module
        ("fractions:", "expected package.module:attribute"),
        ("no_such_module:x", "'no_such_module:x' cannot be imported"),
        (".relative:x", "cannot be imported"),
        ("fractions:Fractoin", "did you mean 'Fraction'?"),
        ("missing/file.py:x", "expected a Python file at missing/file.py, found none"),
    ],
)
def test_wrong_references(reference: str, reason: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_object(reference)
    assert reason in str(caught.value)
