"""Checkpoints: whole or not there, whatever happens in between."""

from __future__ import annotations

import resource
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from stvg.backbones.qwen import QwenBackbone
from stvg.backbones.tiny import read_card
from stvg.errors import OutputError, UsageError
from stvg.train.checkpoint import (
    drop_older,
    load_state,
    model_writer,
    newest_checkpoint,
    save_checkpoint,
    save_model,
)

from .small import backbone, torch


def note(text: str) -> Any:
    return lambda folder: (folder / "weights").write_text(text)


def test_the_link_names_the_newest(tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path) is None
    for step in (2, 4):
        save_checkpoint(tmp_path, step, note(f"weights {step}"), {"step": step})
        drop_older(tmp_path, 0)
    assert (tmp_path / "last" / "weights").read_text() == "weights 4"
    newest = newest_checkpoint(tmp_path)
    assert newest is not None
    assert load_state(newest) == {"step": 4}
    assert [each.name for each in (tmp_path / "checkpoints").iterdir()] == ["00000004"]


def test_some_are_kept(tmp_path: Path) -> None:
    for step in range(1, 8):
        save_checkpoint(tmp_path, step, note(str(step)), {"step": step})
        drop_older(tmp_path, 3)
    names = sorted(each.name for each in (tmp_path / "checkpoints").iterdir())
    assert names == ["00000003", "00000006", "00000007"]
    assert not (tmp_path / "checkpoints/00000003/state.pt").exists()
    assert (tmp_path / "checkpoints/00000003/model/weights").read_text() == "3"


class Killed(BaseException):
    """As a signal, nothing catches it."""


@pytest.mark.parametrize("place", ["torch.save", "os.replace", "stvg.train.checkpoint._point"])
def test_killed_in_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    save_checkpoint(tmp_path, 2, note("two"), {"step": 2})

    def killed(*_: Any, **__: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(place, killed)
        with pytest.raises(Killed):
            save_checkpoint(tmp_path, 4, note("four"), {"step": 4})
    newest = newest_checkpoint(tmp_path)
    assert newest is not None
    assert (tmp_path / "last/weights").read_text() == "two"
    assert load_state(newest) == {"step": 2}
    save_checkpoint(tmp_path, 4, note("again"), {"step": 4})  # the run repeats the steps
    drop_older(tmp_path, 0)
    assert (tmp_path / "last/weights").read_text() == "again"
    assert [each.name for each in (tmp_path / "checkpoints").iterdir()] == ["00000004"]


def test_a_writer_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 2, note("two"), {"step": 2})

    def full(folder: Path) -> None:
        (folder / "weights").write_text("ha")
        raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="No space left on device; the one before is kept"):
        save_checkpoint(tmp_path, 4, full, {"step": 4})
    assert [each.name for each in (tmp_path / "checkpoints").iterdir()] == ["00000002"]
    assert (tmp_path / "last/weights").read_text() == "two"


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="needs RLIMIT_FSIZE")
@pytest.mark.parametrize("what", ["model", "state"])
def test_files_that_cannot_grow(tmp_path: Path, what: str) -> None:
    """The real writers of weights and states, at a limit that the system sets."""
    size = {"model": (200_000, 1), "state": (1, 200_000)}[what]
    code = f"""
        import resource, sys
        from pathlib import Path
        import torch
        from safetensors.torch import save_file
        from stvg.train.checkpoint import save_checkpoint
        from stvg.errors import OutputError
        run = Path({str(tmp_path)!r})
        def write(count):
            return lambda folder: save_file({{"a": torch.zeros(count)}}, folder / "a.safetensors")
        save_checkpoint(run, 2, write(1), {{"step": 2}})
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            save_checkpoint(run, 4, write({size[0]}), {{"step": torch.zeros({size[1]})}})
        except OutputError as error:
            sys.exit(str(error))
    """
    found = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False
    )
    assert found.returncode == 1, found.stderr
    assert "the checkpoint of step 4 could not be written" in found.stderr
    assert [each.name for each in (tmp_path / "checkpoints").iterdir()] == ["00000002"]
    assert load_state(tmp_path / "checkpoints/00000002") == {"step": 2}


def test_folders_of_others_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "last").mkdir()
    (tmp_path / "last" / "precious").touch()
    with pytest.raises(UsageError, match="is not the link"):
        newest_checkpoint(tmp_path)
    with pytest.raises(OutputError):
        save_checkpoint(tmp_path, 1, note("one"), {})
    assert (tmp_path / "last" / "precious").exists()


def test_damaged_states_are_said_to_be(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 2, note("two"), {"step": 2})
    path = tmp_path / "checkpoints/00000002/state.pt"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(UsageError, match="cannot be read"):
        load_state(tmp_path / "checkpoints/00000002")


def test_a_model_alone_is_replaced_whole(tmp_path: Path) -> None:
    model = backbone()
    folder = tmp_path / "model"
    for number in (1, 2):
        card = {"format": "stvg.checkpoint/1", "number": number}
        save_model(folder, model.model, model.tokenizer, None, card)
        assert read_card(folder) == card
    with pytest.raises(OutputError, match="could not be written"):
        save_model(folder, model.model, model.tokenizer, None, {"number": object()})
    assert read_card(folder)["number"] == 2
    assert [each.name for each in tmp_path.iterdir()] == ["model"]


def test_models_load_as_any_other(tmp_path: Path) -> None:
    model = backbone()
    card = {"format": "stvg.checkpoint/1", "method": "text_box"}
    write = model_writer(model.model, model.tokenizer, None, card)
    save_checkpoint(tmp_path, 1, write, {})
    again = QwenBackbone.load(tmp_path / "last")
    assert read_card(tmp_path / "last") == card
    for name, weights in model.model.state_dict().items():
        assert torch.equal(weights, again.model.state_dict()[name])
    assert (
        again.tokenizer("the red ball")["input_ids"] == model.tokenizer("the red ball")["input_ids"]
    )
