"""Optional packages: there when importing them works, else named with the extra to install."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from stvg.errors import MissingExtraError, StvgError
from stvg.extras import require


def test_what_imports_is_given() -> None:
    assert require("math", "models", "a test") is math
    assert require("xml.dom", "models", "a test").__name__ == "xml.dom"


def test_a_missing_package_names_the_extra() -> None:
    with pytest.raises(MissingExtraError) as caught:
        require("no_such_package.inner", "perception", "the YOLOX detector")
    message = str(caught.value)
    assert message.startswith("the YOLOX detector needs the package no_such_package, which does")
    assert message.endswith('install it with: pip install "stvg[perception]"')
    assert isinstance(caught.value, StvgError)
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("raise ImportError('libcuda.so is missing')", "libcuda.so is missing"),
        ("raise OSError('cannot open\\n  shared object file')", "cannot open shared object file"),
        ("raise RuntimeError('operator nms does not exist')", "operator nms does not exist"),
        ("raise AttributeError()", "AttributeError"),  # says nothing
        ("import no_such_dependency", "No module named 'no_such_dependency'"),
    ],
)
def test_a_package_that_is_installed_but_does_not_import(
    line: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_package.py").write_text(line)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingExtraError) as caught:
        require("broken_package", "models", "a transformers detector")
    assert f"which does not import here ({reason})" in str(caught.value)
    assert "\n" not in str(caught.value)
