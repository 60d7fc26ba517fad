"""``stvg train``, and its page in the documentation."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from stvg.cli.main import main
from stvg.config import Config
from stvg.methods.bridge_stg.config import BridgeStgConfig, SpaceLossConfig
from stvg.methods.spacevllm.config import BoxLossConfig, SpaceVllmConfig
from stvg.methods.stvg_o1.config import DraftConfig, StvgO1Config
from stvg.methods.stvg_r1.config import StvgR1Config
from stvg.train.fresh import FreshConfig
from stvg.train.recipe import Evaluate, Grpo, Lora, Optimiser, Recipe
from stvg.train.tasks.base import find_task
from tests.backbones.tiny_qwen import save_tiny

from .small import recipe, torch

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def given(tmp_path: Path) -> Path:
    (tmp_path / "recipe.yaml").write_text(recipe(tmp_path / "run", samples=8).to_yaml())
    return tmp_path / "recipe.yaml"


def said_by(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = main(["train", *(str(word) for word in words)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_a_run(given: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = said_by(capsys, given, "samples=4", "save_every=1")
    assert (code, out) == (0, "")
    assert f"model: {given.parent / 'run/last'}" in err
    assert (given.parent / "run/last/config.json").is_file()
    assert "samples: 4" in (given.parent / "run/recipe.yaml").read_text()
    # another recipe in the same folder
    code, _, err = said_by(capsys, given)
    assert code == 2
    assert "samples was 4, is 8" in err
    # quiet, and nothing is left to do
    assert said_by(capsys, given, "samples=4", "-q") == (0, "", "")


def test_a_full_disk(
    given: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was saved before stays, and when there is room again the run goes on."""
    save = torch.save

    def until_full(what: Any, *places: Any) -> None:
        if what["state"]["step"] == 2:
            raise OSError(28, "No space left on device")
        save(what, *places)

    words = (given, "tasks.0.clips=2", "save_every=1")
    with monkeypatch.context() as patch:
        patch.setattr("torch.save", until_full)
        code, _, err = said_by(capsys, *words)
    assert code == 1
    assert err.count("\n") == 1
    assert "No space left on device; the one before is kept" in err
    last = given.parent / "run/last"
    assert json.loads((last / "stvg.json").read_text())["step"] == 1
    assert said_by(capsys, *words)[0] == 0
    assert json.loads((last / "stvg.json").read_text())["step"] == 4


def test_dry_run(given: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said_by(capsys, given, "--dry-run", "tasks.0.numbered=0", "tasks.0.plain=0")
    assert code == 0
    assert not (given.parent / "run").exists()
    assert "clips: 4" in out
    assert re.search(r"parameters: \d{2,3},\d{3} trained, 0 frozen", out)
    assert "samples: 8 clips in 2 steps" in out
    assert "4 clips of 8 steps of 8 x 8 patches" in out
    assert re.search(r"user [a-z ?]+ <\|vision_start\|>' \+ 128 visual tokens \+ '", out)
    assert re.search(r"-> '<t_\d+> <t_\d+> :( <t_\d+> \d+ \d+ \d+ \d+)+ <\|im_end\|>'", out)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["sampels=3"], 2, "there is no option 'sampels', did you mean 'samples'?"),
        (["tasks.0.clisp=3"], 2, "did you mean 'clips'?"),
        (["out=/dev/null/run"], 1, "cannot be made"),
        (["fresh=null", "model=nowhere/at/all"], 1, "nowhere/at/all"),
        (["tasks.0.side=72"], 2, "multiple of 16 pixels"),
        (["trackers=[wandb]"], 1, "pip install wandb"),
    ],
)
def test_what_is_wrong(
    given: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, said: str
) -> None:
    found = said_by(capsys, given, *words)
    assert found[0] == code
    assert said in found[2]
    assert found[2].count("\n") == 1


def test_missing_files_and_other_architectures(
    given: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = said_by(capsys, tmp_path / "other.yaml")
    assert (code, err.count("\n")) == (2, 1)
    assert "No such file" in err
    folder = save_tiny(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "qwen3_vl"}))
    code, _, err = said_by(capsys, given, "fresh=null", f"model={folder}")
    assert code == 1
    assert "found the type 'qwen3_vl'" in err


def table_of(page: str, name: str) -> list[tuple[str, str, str]]:
    _, _, rest = page.partition(f"<!-- {name} -->")
    table, _, _ = rest.partition(f"<!-- /{name} -->")
    return re.findall(r"^\| `(\w+)` \| (.*?) \| (.+) \|$", table, re.MULTILINE)


TRAIN, GRPO, O1 = "docs/train.md", "docs/grpo.md", "src/stvg/methods/stvg_o1/README.md"
R1 = "src/stvg/methods/stvg_r1/README.md"
SPACE = "src/stvg/methods/spacevllm/README.md"
BRIDGE = "src/stvg/methods/bridge_stg/README.md"
TABLES = {
    (TRAIN, "recipe"): Recipe, (TRAIN, "optimiser"): Optimiser, (TRAIN, "lora"): Lora,
    (TRAIN, "evaluate"): Evaluate, (TRAIN, "fresh"): FreshConfig,
    (TRAIN, "world"): find_task("world"), (TRAIN, "benchmark"): find_task("benchmark"),
    (GRPO, "grpo"): Grpo, (O1, "o1"): StvgO1Config, (O1, "draft"): DraftConfig,
    (R1, "r1"): StvgR1Config, (SPACE, "spacevllm"): SpaceVllmConfig,
    (SPACE, "box_loss"): BoxLossConfig, (BRIDGE, "bridge_stg"): BridgeStgConfig,
    (BRIDGE, "space_loss"): SpaceLossConfig,
}  # fmt: skip


def shown(default: Any) -> str:
    if "Undefined" in repr(default):
        return "required"
    if isinstance(default, Config):
        return "see below"
    text = json.dumps(default) if not isinstance(default, str) else default
    return f"`{text}`".replace("|", "\\|") if default is not None else ""


@pytest.mark.parametrize(("where", "name"), TABLES)
def test_every_option_is_documented(where: str, name: str) -> None:
    page = (ROOT / where).read_text()
    options = TABLES[where, name]
    rows = [(option, shown(default), about) for option, default, about in options.describe()]
    assert table_of(page, name) == rows


def test_the_recipe_of_the_page_is_in_order() -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/train.md").read_text(), re.DOTALL)
    assert Recipe.of(yaml.safe_load(block)).tasks[0].title == "hcstvg_v2"
