"""The embedded model: half the size of the checkpoint it comes from, and the same answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stvg.backbones.qwen import QwenBackbone
from stvg.backbones.tiny import read_card
from stvg.errors import OutputError
from stvg.train import ship as shipping
from stvg.train.sft import train
from stvg.train.ship import main, ship

from .small import TEXT_BOX, recipe, torch

CARD = {"method": "text_box", "data": "world", "options": TEXT_BOX}


@pytest.fixture(scope="module")
def last(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("run")
    train(recipe(run, samples=4, card=CARD))
    return run / "last"


def test_half_the_size_and_the_same_predictions(last: Path, tmp_path: Path) -> None:
    weights = "model.safetensors"
    told = ship(last, tmp_path / "tiny")
    assert told == sum(each.stat().st_size for each in (tmp_path / "tiny").iterdir())
    sizes = [(folder / weights).stat().st_size for folder in (tmp_path / "tiny", last)]
    assert sizes[0] == pytest.approx(sizes[1] / 2, rel=0.02)
    assert not (tmp_path / "tiny/heads.safetensors").exists()
    card = read_card(tmp_path / "tiny")
    assert card == read_card(last)
    assert card["options"] == TEXT_BOX

    models = [QwenBackbone.load(folder, dtype="float32") for folder in (last, tmp_path / "tiny")]
    before, after = (dict(model.model.named_parameters()) for model in models)
    for name, each in before.items():
        # eleven bits of a number are kept, the smallest step is 2 ** -24
        assert ((after[name] - each).abs() <= each.abs() * 2**-11 + 2**-25).all(), name
    ids = models[0].tokenizer("user the red ball moves left")["input_ids"]
    with torch.no_grad():
        told_by = [model.model.lm_head(model.prefill(ids).last_hidden) for model in models]
    assert torch.allclose(*told_by, atol=2e-2)
    assert not torch.equal(*told_by)
    assert told_by[0].argmax() == told_by[1].argmax()


def test_by_command(
    last: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipping, "files", lambda package: tmp_path)
    assert main([str(last), "text_box"]) == 0
    assert str(tmp_path / "tiny/text_box") in capsys.readouterr().out
    assert read_card(tmp_path / "tiny/text_box")["method"] == "text_box"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "for example runs/tiny/text_box/last text_box, found nothing"),
        (["runs/x/last"], "found runs/x/last"),
        (["runs/x/last", "../x"], "found runs/x/last ../x"),
        (["nowhere", "text_box"], "expected a checkpoint with a card (stvg.json) in nowhere"),
    ],
)
def test_wrong_words(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


def test_what_cannot_be_shipped(
    last: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "card").mkdir()
    (tmp_path / "card/stvg.json").write_text(json.dumps(read_card(last)))
    assert main([str(tmp_path / "card"), "text_box"]) == 1  # a card and no model
    assert capsys.readouterr().err.count("\n") == 1
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="could not be written"):
        ship(last, tmp_path / "file" / "tiny")
