"""What a run starts from: the model with its tokenizer, adapters where asked for, the student."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from stvg.backbones.learned import LearnedParts, load_parts
from stvg.backbones.qwen import QwenBackbone
from stvg.backbones.tiny import resolve_model
from stvg.errors import UsageError, WeightsError
from stvg.extras import require
from stvg.train.checkpoint import HEADS
from stvg.train.fresh import fresh_model, fresh_tokenizer
from stvg.train.methods import check_lessons, new_parts
from stvg.train.recipe import Lora, Recipe
from stvg.train.student import Student


@dataclass(frozen=True, slots=True)
class Learner:
    """A model in training.

    Attributes:
        student: The model with its dense heads and what its method learns beside it.
        backbone: The model for writing answers; it shares its weights with the student.
        saved: What writes the checkpoint: the model, or peft's wrapper of it.
        began_parts: Whether the method learns parts that the model to start from does not have.
    """

    student: Student
    backbone: QwenBackbone
    saved: Any
    began_parts: bool = False

    @property
    def trained(self) -> int:
        """Number of parameters that are trained."""
        return sum(int(each.numel()) for each in self.student.parameters() if each.requires_grad)

    @property
    def frozen(self) -> int:
        """Number of parameters that are not."""
        return sum(int(each.numel()) for each in self.student.parameters()) - self.trained


def load_learner(recipe: Recipe, *, precision: str) -> Learner:
    """The model that a recipe starts from, ready to be trained.

    Args:
        recipe: The recipe.
        precision: ``bf16`` or ``fp32``; what is frozen under adapters is kept in it.

    Raises:
        WeightsError: If there is no such model, or it is of another architecture.
        UsageError: If adapters find none of their modules, the card's method cannot be built, or
            it learns parts that rewards do not train, or that tasks do not encode for.
    """
    import torch

    check_lessons(recipe.card, (*recipe.tasks, *recipe.validation))
    torch.manual_seed(recipe.seed)
    folder = None
    if recipe.fresh is not None:
        backbone = QwenBackbone(fresh_model(recipe.fresh), fresh_tokenizer(), "a fresh model")
    else:
        assert recipe.model is not None
        folder = resolve_model(recipe.model, str(recipe.card.get("method", "base")))
        dtype = "bfloat16" if recipe.lora is not None and precision == "bf16" else "float32"
        backbone = QwenBackbone.load(folder, dtype=dtype, device="cpu")
    model = saved = backbone.model
    if recipe.lora is not None:
        saved = _adapted(model, recipe.lora, str(folder))
    if recipe.checkpointing:
        current = getattr(model, "activation_checkpointing_enable", None)  # transformers >= 5.20
        (current or model.gradient_checkpointing_enable)({"use_reentrant": False})
    parts = new_parts(recipe.card, backbone)
    began_parts = parts is not None and not (folder and load_parts(parts, folder))
    _refuse_rewards(parts, recipe)
    student = Student(model, backbone.tokenizer, recipe.softness, parts)
    _load_heads(student, folder)
    for name, parameter in student.named_parameters():
        if ".visual." in name and not recipe.optimiser.tower:
            parameter.requires_grad_(False)
    return Learner(student, backbone, saved, began_parts)


def without_weights(backbone: QwenBackbone) -> QwenBackbone:
    """The same backbone for encoding only: configuration and tokenizer, for worker processes."""
    return QwenBackbone(
        SimpleNamespace(config=backbone.model.config),
        backbone.tokenizer,
        backbone.name,
        backbone.convention,
    )


def _refuse_rewards(parts: LearnedParts | None, recipe: Recipe) -> None:
    """An error where parts beside the model would be left as they are."""
    if parts is not None and recipe.grpo is not None:
        raise UsageError(
            f"the method {recipe.card['method']} learns parts beside the model, which rewards for "
            "texts do not train; leave out grpo, or name a method without such parts in card"
        )


def _adapted(model: Any, options: Lora, base: str) -> Any:
    """Peft's wrapper of a model, which has adapters in its layers from then on."""
    peft = require("peft", "train", "training of adapters")
    names = options.targets if isinstance(options.targets, str) else list(options.targets)
    config = peft.LoraConfig(
        r=options.rank,
        lora_alpha=options.alpha,
        lora_dropout=options.dropout,
        target_modules=names,
        modules_to_save=list(options.modules_to_save) or None,
        base_model_name_or_path=str(Path(base).resolve()) if Path(base).is_dir() else base,
    )
    try:
        return peft.get_peft_model(model, config)
    except ValueError as error:
        reason = " ".join(str(error).split())[:300]
        raise UsageError(f"adapters fit none of the modules of {base}: {reason}") from error


def _load_heads(student: Student, folder: str | None) -> None:
    """Take over the dense heads of the checkpoint that a run starts from, those that it has."""
    from safetensors.torch import load_file

    path = Path(folder or "") / HEADS
    if folder is None or student.heads is None or not path.is_file():
        return
    try:
        fresh = student.heads.load_state_dict(load_file(path), strict=False)
        if fresh.unexpected_keys:
            raise WeightsError(f"they are of other heads: {', '.join(fresh.unexpected_keys)}")
    except Exception as error:  # safetensors has a class of its own
        reason = " ".join(str(error).split())[:200]
        raise WeightsError(f"the dense heads in {path} do not fit the model: {reason}") from error
