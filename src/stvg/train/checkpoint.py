"""Checkpoints: a model that any command loads, and the state of the run that made it.

A run's folder holds ``checkpoints/<step>/`` with ``model`` (a folder that any command takes as
``--model``) and ``state.pt`` (all that makes the next step what it would have been), and ``last``,
a link to the newest model. A checkpoint is written under another name, flushed to the disk and
renamed; then the link is changed, in one step; then the checkpoint before is removed. Whatever
happens in between, a killed process or a full disk, ``last`` names a whole model, and the state
beside it is that model's.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from stvg.backbones.learned import PARTS
from stvg.backbones.tiny import CARD
from stvg.errors import OutputError, UsageError
from stvg.hub import without_bars

LAST = "last"
"""Link to the newest model of a run."""
CHECKPOINTS = "checkpoints"
HEADS = "heads.safetensors"
"""Dense heads in a model's folder."""
_MODEL, _STATE = "model", "state.pt"
_PARTIAL = ".partial-"


def save_checkpoint(
    run: Path, step: int, write_model: Callable[[Path], None], state: Mapping[str, Any]
) -> None:
    """Write the checkpoint of a step and make it the newest.

    Args:
        run: The run's folder.
        step: Number of steps done.
        write_model: Writes a model into the empty folder that it is given.
        state: Tensors, numbers, texts and groups of them.

    Raises:
        OutputError: If it cannot be written; the checkpoint before stays the newest.
    """
    import torch

    folder = run / CHECKPOINTS / f"{step:08d}"
    part = folder.with_name(f"{_PARTIAL}{folder.name}")
    try:
        for left_over in (part, folder):
            shutil.rmtree(left_over, ignore_errors=True)
        (part / _MODEL).mkdir(parents=True)
        write_model(part / _MODEL)
        torch.save(dict(state), part / _STATE)
        _flush(part)
        os.replace(part, folder)
        _point(run / LAST, Path(CHECKPOINTS, folder.name, _MODEL))
    except Exception as error:  # torch and safetensors have classes of their own for a full disk
        shutil.rmtree(part, ignore_errors=True)
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise OutputError(
            f"the checkpoint of step {step} could not be written to {folder}: {reason}; the one "
            "before is kept. Free some space and start again: the run goes on from there"
        ) from error


def drop_older(run: Path, keep_every: int) -> None:
    """Remove all checkpoints but the newest, and but the models of every ``keep_every``-th step."""
    newest = newest_checkpoint(run)
    if newest is None:
        return
    for folder in (run / CHECKPOINTS).iterdir():
        is_older = folder.name.isdecimal() and folder.name < newest.name
        if is_older and keep_every and int(folder.name) % keep_every == 0:
            (folder / _STATE).unlink(missing_ok=True)
        elif folder != newest:
            shutil.rmtree(folder, ignore_errors=True)


def newest_checkpoint(run: Path) -> Path | None:
    """The folder of a run's newest checkpoint, or None before the first.

    Raises:
        UsageError: If there is something else in its place.
    """
    link = run / LAST
    if link.is_symlink() and link.exists():
        return run / CHECKPOINTS / Path(os.readlink(link)).parent.name
    if os.path.lexists(link):
        raise UsageError(
            f"{link} is not the link to a checkpoint that a run makes; choose another folder "
            "(out=...), or remove that one"
        )
    return None


def load_state(checkpoint: Path) -> dict[str, Any]:
    """The state of the run when a checkpoint was written.

    Raises:
        UsageError: If it is missing or damaged.
    """
    import torch

    path = checkpoint / _STATE
    try:
        found: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, zip and torch errors have no common base
        raise UsageError(
            f"the state of the run in {path} cannot be read ({type(error).__name__}); choose "
            "another folder (out=...), or remove this run to start again"
        ) from error
    return found


def save_model(
    folder: Path,
    model: Any,
    tokenizer: Any,
    heads: Any,
    card: Mapping[str, Any],
    parts: Any = None,
) -> None:
    """Write a model's folder outside of any run; arguments as :func:`model_writer`.

    Args:
        folder: Where; what is there is replaced when everything has been written.
        model: The model.
        tokenizer: Its tokenizer.
        heads: Dense heads, or None.
        card: What the folder says of itself.
        parts: What a method learns beside the model, or None.

    Raises:
        OutputError: If it cannot be written; what was there stays.
    """
    part = folder.with_name(f"{_PARTIAL}{folder.name}")
    old = folder.with_name(f"{_PARTIAL}old-{folder.name}")
    try:
        for left_over in (part, old):
            shutil.rmtree(left_over, ignore_errors=True)
        part.mkdir(parents=True)
        model_writer(model, tokenizer, heads, card, parts)(part)
        if folder.exists():
            os.replace(folder, old)
        os.replace(part, folder)
        shutil.rmtree(old, ignore_errors=True)
    except Exception as error:  # safetensors has a class of its own for a full disk
        shutil.rmtree(part, ignore_errors=True)
        if old.exists() and not folder.exists():
            os.replace(old, folder)
        raise OutputError(f"the model could not be written to {folder}: {error}") from error


def model_writer(
    model: Any, tokenizer: Any, heads: Any, card: Mapping[str, Any], parts: Any = None
) -> Callable[[Path], None]:
    """What writes a model's folder.

    Args:
        model: A transformers model, or a peft model, of which only adapters are written and
            what names their base.
        tokenizer: Its tokenizer.
        heads: Dense heads, or None.
        card: What the checkpoint says of itself, JSON values.
        parts: What a method learns beside the model, or None.
    """
    import transformers
    from safetensors.torch import save_file

    def write(folder: Path) -> None:
        with without_bars(transformers, str(folder)):
            model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        for module, name in ((heads, HEADS), (parts, PARTS)):
            if module is not None:
                tensors = {k: v.contiguous() for k, v in module.state_dict().items()}
                save_file(tensors, folder / name)
        (folder / CARD).write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")

    return write


def _point(link: Path, target: Path) -> None:
    """Make ``link`` a link to ``target``, in one step."""
    new = link.with_name(f"{_PARTIAL}{link.name}")
    new.unlink(missing_ok=True)
    new.symlink_to(target, target_is_directory=True)
    os.replace(new, link)


def _flush(folder: Path) -> None:
    """Make everything below a folder durable."""
    for place, _, files in os.walk(folder):
        for path in (Path(place, name) for name in files):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
