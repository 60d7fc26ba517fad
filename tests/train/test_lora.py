"""Adapters: only they are trained, they are saved as peft does, and they load as a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stvg.backbones.qwen import QwenBackbone
from stvg.errors import UsageError, WeightsError
from stvg.train.recipe import Recipe
from stvg.train.sft import train
from stvg.train.starting import load_learner

from .small import WORLD, backbone, recipe, torch

pytest.importorskip("peft", reason="the train extra is not installed")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    model = backbone(seed=5)
    model.model.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)
    return folder


def adapting(out: Path, base: Path, **lora: Any) -> Recipe:
    return recipe(out, fresh=None, model=str(base), lora={"rank": 2, "alpha": 8, **lora},
                  samples=16, optimiser={"lr": 0.02, "warmup": 0})  # fmt: skip


@pytest.fixture(scope="module")
def run(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    train(adapting(folder, base, dropout=0.1))
    return folder


def test_adapters_alone_are_trained(base: Path, tmp_path: Path) -> None:
    learner = load_learner(adapting(tmp_path, base), precision="fp32")
    for name, each in learner.student.named_parameters():
        in_language = "language_model" in name and "lora_" in name
        assert each.requires_grad == (in_language or name.startswith("heads.")), name
    heads = sum(each.numel() for each in learner.student.heads.parameters())
    # of each of two layers: 7 matrices, 32 or 64 wide, with 2 columns more and 2 rows more
    sides = 4 * (32 + 32) + 2 * (32 + 64) + (64 + 32)
    assert learner.trained == 2 * 2 * sides + heads
    assert learner.frozen > learner.trained


def test_checkpoints_load_as_models(base: Path, run: Path) -> None:
    names = {each.name for each in (run / "last").iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors"} <= names
    assert "model.safetensors" not in names
    config = json.loads((run / "last/adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(base)
    learner = load_learner(adapting(run, base), precision="fp32")
    plain = QwenBackbone.load(base)
    state = torch.load(run / "checkpoints/00000004/state.pt", weights_only=True)
    learner.student.load_state_dict(state["student"], strict=False)
    learner.student.eval()
    loaded = QwenBackbone.load(run / "last")
    with torch.no_grad():
        ids = plain.tokenizer("the red ball moves left")["input_ids"]
        told = [each.prefill(ids).last_hidden for each in (learner.backbone, loaded, plain)]
    assert torch.allclose(told[0], told[1], atol=1e-5)
    assert not torch.allclose(told[0], told[2], atol=1e-2)


def test_a_stopped_run_of_adapters_goes_on(base: Path, run: Path, tmp_path: Path) -> None:
    class Stopped(BaseException): ...

    def stop(done: int, total: int) -> None:
        if done >= 12:
            raise Stopped

    with pytest.raises(Stopped):
        train(adapting(tmp_path, base, dropout=0.1), progress=stop)
    train(adapting(tmp_path, base, dropout=0.1))
    states = [torch.load(each / "checkpoints/00000004/state.pt", weights_only=True)["student"]
              for each in (run, tmp_path)]  # fmt: skip
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_states_computed_again_are_the_same(base: Path, run: Path, tmp_path: Path) -> None:
    """Frozen embeddings do not cut the gradient off, and dropout drops the same again."""
    again = {**adapting(tmp_path, base, dropout=0.1).model_dump(), "checkpointing": True}
    train(Recipe.of(again))
    states = [torch.load(each / "checkpoints/00000004/state.pt", weights_only=True)["student"]
              for each in (run, tmp_path)]  # fmt: skip
    for name, weights in states[0].items():
        assert torch.allclose(states[1][name], weights, atol=1e-4), name


def test_modules_that_are_trained_whole(base: Path, tmp_path: Path) -> None:
    options = adapting(tmp_path, base, modules_to_save=["norm"], targets=["q_proj"])
    learner = load_learner(options, precision="fp32")
    trained = [name for name, each in learner.student.named_parameters() if each.requires_grad]
    assert any(".norm.modules_to_save" in name for name in trained)
    assert not any("k_proj" in name for name in trained)


def test_adapters_that_fit_nothing(base: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="fit none of the modules"):
        load_learner(adapting(tmp_path, base, targets=["nothing_proj"]), precision="fp32")


@pytest.mark.parametrize(
    ("text", "said"), [("{}", "does not name the model"), ("{", "not readable as JSON")]
)
def test_damaged_adapters(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "adapter_config.json").write_text(text)
    with pytest.raises(WeightsError, match=said):
        QwenBackbone.load(tmp_path)


def test_adapters_without_weights(base: Path, run: Path, tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text((run / "last/adapter_config.json").read_text())
    with pytest.raises(WeightsError, match="do not load"):
        QwenBackbone.load(tmp_path)


def test_recipes_of_the_world_start_from_adapters(run: Path, tmp_path: Path) -> None:
    """What was adapted can be trained on, whole."""
    train(recipe(tmp_path, fresh=None, model=str(run / "last"), samples=4, tasks=[WORLD]))
    assert (tmp_path / "last/model.safetensors").is_file()
