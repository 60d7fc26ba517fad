"""Imports go one way, and the core stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "stvg"

# Lower rows may be imported by higher ones, never the other way; within a row freely.
ROWS = [
    {"errors", "types", "progress"},
    {"geometry", "registry", "config", "endpoint", "extras", "hub"},
    {"video", "formats", "text"},
    {"perception", "data", "backbones"},
    {"rewards"},
    {"methods"},
    {"excerpt", "grounding", "grounder", "notebook", "export", "diagnosis", "evaluate"},
    {"predicting"},
    {"train", "serve", "view", "integrations"},
    {"cli"},
]
LEVEL = {name: row for row, names in enumerate(ROWS) for name in names}
# types.Tube offers interpolation and overlap as methods, types.Prediction shows itself in
# notebooks; both are imported when called.
ALLOWED_UPWARD = {("types", "geometry"), ("types", "notebook")}


def part_of(path: Path) -> str:
    relative = path.relative_to(SOURCE)
    return relative.parts[0].removesuffix(".py")


def imported_parts(path: Path) -> set[str]:
    parts = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            modules = [node.module] if node.module != "stvg" else [
                f"stvg.{alias.name}" for alias in node.names
            ]  # fmt: skip
        elif isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        else:
            continue
        parts |= {name.split(".")[1] for name in modules if name.startswith("stvg.")}
    return parts - {"__version__"}


@pytest.mark.parametrize(
    "path", sorted(SOURCE.rglob("*.py")), ids=lambda p: str(p.relative_to(SOURCE))
)
def test_imports_never_go_up(path: Path) -> None:
    own = part_of(path)
    if own in ("__init__", "__main__"):
        return
    assert own in LEVEL, f"{own} has no place in the order of imports"
    for other in imported_parts(path):
        if (own, other) not in ALLOWED_UPWARD:
            assert LEVEL[other] <= LEVEL[own], f"{path} imports {other}, which stands above {own}"


def modules_after(code: str) -> set[str]:
    """Names of the modules that are loaded after running code in a fresh interpreter."""
    program = f"{code}\nimport sys\nprint(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(result.stdout.split())


HEAVY = {"torch", "transformers", "onnxruntime", "trackers", "supervision", "cv2", "scipy"}


@pytest.mark.parametrize(
    "code",
    [
        "import stvg",
        "import stvg; stvg.Interval(0, 1)",
        "import stvg.types, stvg.geometry.boxes, stvg.geometry.tubes",
        "from stvg.cli.main import app",
        "from stvg.formats.prediction import read_prediction",
        "from stvg.video import probe",
        "from stvg.registry import find_method; find_method('track_match')",
    ],
)
def test_core_loads_nothing_heavy(code: str) -> None:
    assert not modules_after(code) & HEAVY


def test_import_stvg_does_not_even_load_numpy() -> None:
    assert "numpy" not in modules_after("import stvg")


def test_public_names_exist() -> None:
    import stvg

    for name in stvg.__all__:
        assert getattr(stvg, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = stvg.nothing
