"""Recipes: found, checked, told apart."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from stvg.errors import UsageError
from stvg.train.recipe import Lora, Recipe, differences, load_recipe
from stvg.train.tasks.base import available_tasks, find_task

from .small import SIZES, WORLD, recipe

ROOT = Path(__file__).resolve().parents[2]
RECIPES = sorted(  # those of `stvg train`
    path for path in (ROOT / "recipes").rglob("*.yaml") if path.parent.name != "uni_stg"
)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_recipes_of_the_repository_are_in_order(path: Path) -> None:
    loaded = load_recipe(path)
    assert loaded.tasks
    assert Recipe.of(yaml.safe_load(loaded.to_yaml())) == loaded


def faults(**values: object) -> str:
    with pytest.raises(UsageError) as caught:
        Recipe.of({"out": "x", "fresh": SIZES, "tasks": [WORLD], **values})
    return str(caught.value)


def test_all_faults_are_told_together() -> None:
    said = faults(
        tasks=[{"kind": "wrold"}, {"kind": "world", "clps": 3, "plain": 2}],
        optimiser={"learning_rate": 1},
        sampels=3,
    )
    assert "did you mean 'world'?" in said
    assert "'clps', did you mean 'clips'?" in said
    assert "plain: " in said
    assert "there is no option 'optimiser.learning_rate'" in said
    assert "'sampels', did you mean 'samples'?" in said


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"model": "x"}, "either model or fresh"),
        ({"fresh": None}, "either model or fresh"),
        ({"tasks": []}, "at least one task"),
        ({"tasks": [{"clips": 2}]}, "a task needs a kind, one of benchmark, world"),
        ({"tasks": ["world"]}, "tasks.0"),
        ({"tasks": [{"kind": "nowhere.py:Task"}]}, "expected a Python file at nowhere.py"),
        ({"tasks": [{"kind": "fractions:Fraction"}]}, "to be a subclass of"),
        ({"lora": {}}, "not a fresh one"),
        ({"parts": 5}, "has 4 clips, too few for 5 parts"),
        ({"keep_every": 3, "save_every": 2}, "no multiple of save_every"),
        (
            {"evaluate": {"benchmark": "hcstvg_v2", "annotations": "a.json"}},
            "evaluate needs the name of the method",
        ),
        ({"trackers": ["wandbb"]}, "trackers.0"),
        ({"stop": 0}, "stop: "),
        ({"softness": [0.7, 0.0]}, "softness.1"),
        ({"tasks": [{**WORLD, "split": "test"}]}, "split: "),
    ],
)
def test_faults(values: dict[str, object], said: str) -> None:
    assert said in faults(**values)


def test_tasks_are_found_by_their_files() -> None:
    assert available_tasks() == ["benchmark", "world"]
    for kind in available_tasks():
        assert find_task(kind).model_fields["kind"].default == kind


def test_a_task_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from pydantic import Field\n"
        "from stvg.train.tasks.world import Task as World\n"
        "class Task(World):\n"
        "    kind: str = Field(description='mine')\n"
        "    funny: int = Field(3, description='a number')\n"
    )
    kind = f"{tmp_path / 'mine.py'}:Task"
    loaded = Recipe.of({"out": "x", "fresh": {}, "tasks": [{"kind": kind, "funny": 4}]})
    assert loaded.tasks[0].funny == 4
    assert yaml.safe_load(loaded.to_yaml())["tasks"][0]["funny"] == 4
    assert "funny" in faults(tasks=[{"kind": kind, "funy": 4}])


def test_assignments_reach_everywhere(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({"out": "x", "fresh": {}, "tasks": [WORLD, WORLD]}))
    loaded = load_recipe(path, ["tasks.1.clips=2", "optimiser.lr=1e-4", "fresh.hidden=64"])
    assert [task.clips for task in loaded.tasks] == [4, 2]  # though YAML says: the same twice
    assert loaded.optimiser.lr == 1e-4
    assert loaded.fresh is not None
    assert loaded.fresh.hidden == 64
    with pytest.raises(UsageError, match="tasks has 2 members from 0 on"):
        load_recipe(path, ["tasks.2.clips=2"])
    with pytest.raises(UsageError, match="did you mean 'clips'"):
        load_recipe(path, ["tasks.0.clisp=2"])
    path.write_text(path.read_text() + "assignments: 1\ncls: 2\n")
    with pytest.raises(UsageError, match=r"no option 'assignments'.*no option 'cls'"):
        load_recipe(path)


def test_the_end_of_a_run(tmp_path: Path) -> None:
    assert recipe(tmp_path).end == 24
    assert recipe(tmp_path, stop=8).end == 8
    assert recipe(tmp_path, stop=100).end == 24


@pytest.mark.parametrize(
    ("text", "said"),
    [("- a", "keys and values"), ("a: [", "not readable as YAML"), ("1: 2", "keys and values")],
)
def test_files_that_are_no_recipes(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "recipe.yaml").write_text(text)
    with pytest.raises(UsageError, match=said):
        load_recipe(tmp_path / "recipe.yaml")
    with pytest.raises(UsageError, match="No such file"):
        load_recipe(tmp_path / "other.yaml")


def test_what_decides_the_curve(tmp_path: Path) -> None:
    before = recipe(tmp_path).what_decides()
    ways = {"save_every": 7, "workers": 3, "parts": 2, "card": {"method": "text_box"}, "stop": 8}
    assert differences(before, recipe(tmp_path / "else", **ways).what_decides()) == []
    # what another version noted beside it
    assert differences({**before, "stop": 12, "workers": 1}, before) == []
    changed = recipe(tmp_path, seed=1, tasks=[{**WORLD, "clips": 8}], lora=None)
    assert differences(before, changed.what_decides()) == [
        "tasks.0.clips was 4, is 8",
        "seed was 0, is 1",
    ]


def test_adapters_take_names_or_an_expression() -> None:
    assert Lora.of({"targets": ["q_proj", "v_proj"]}).targets == ("q_proj", "v_proj")
    assert "language_model" in Lora().targets
