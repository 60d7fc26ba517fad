"""Loading a model of ``transformers`` with its tokenizer, and saying clearly why it did not load.

transformers goes on with random numbers where a checkpoint lacks weights, and only warns; here
that is an error, as is a model of another architecture than the one asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from stvg.backbones import adapters
from stvg.errors import UsageError, WeightsError
from stvg.extras import require
from stvg.hub import why_not_loaded, without_bars

_DTYPES = ("float32", "bfloat16", "float16")


def load_model(
    name: str, classes: Mapping[str, str], *, dtype: str | None, device: str | None, attention: str
) -> tuple[Any, Any]:
    """A model in evaluation mode on its device, and its tokenizer.

    Args:
        name: Hub id (``owner/name``) or local folder, also one of adapters.
        classes: The class in transformers for each type that its configuration may say.
        dtype: ``float32``, ``bfloat16`` or ``float16``; None is bfloat16 on a graphics card and
            float32 elsewhere.
        device: As torch names it; None is the graphics card where torch finds one.
        attention: Attention implementation of transformers.

    Raises:
        MissingExtraError: If torch or transformers do not import.
        WeightsError: If there is no such model, it is of another architecture, or weights are
            missing from it.
        UsageError: If ``dtype`` is none of the three, or torch cannot use the device.
    """
    torch = require("torch", "models", f"the model {name}")
    transformers = require("transformers", "models", f"the model {name}")
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    dtype = dtype or ("bfloat16" if device.startswith("cuda") else "float32")
    if dtype not in _DTYPES:
        raise UsageError(f"expected a dtype of {', '.join(_DTYPES)}, found {dtype!r}")
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0][:200]
        raise UsageError(f"torch cannot use the device {device!r}: {reason}") from error
    base = adapters.base_of(name)
    if base is not None:
        model, tokenizer = load_model(
            base, classes, dtype=dtype, device=device, attention=attention
        )
        return adapters.merged(model, name).eval(), tokenizer
    missing: list[str] = []
    try:
        config = transformers.AutoConfig.from_pretrained(name)
        if config.model_type in classes:
            with without_bars(transformers, name):
                model, found = getattr(transformers, classes[config.model_type]).from_pretrained(
                    name,
                    config=config,
                    dtype=getattr(torch, dtype),
                    attn_implementation=attention,
                    output_loading_info=True,
                )
            missing = sorted(found["missing_keys"])
            tokenizer = transformers.AutoTokenizer.from_pretrained(name)
    except Exception as error:
        # A wrong folder makes transformers, its hub client and the weight readers raise classes
        # that share no base but Exception.
        raise WeightsError(
            why_not_loaded(
                name, f"{' or '.join(classes)} model", "config.json, weights, tokenizer", error
            )
        ) from error
    if config.model_type not in classes:
        raise WeightsError(wrong_architecture(name, classes, config))
    if missing:
        raise WeightsError(
            f"the weights of {name} are incomplete: {len(missing)} tensors are missing, first "
            f"{missing[0]}; fetch the model again"
        )
    return model.eval().to(device), tokenizer


def wrong_architecture(name: str, types: Iterable[str], config: Any) -> str:
    """One sentence on a model of another kind."""
    return (
        f"expected a model of the type {' or '.join(types)}, found the type "
        f"{config.model_type!r} in {name}; choose another model"
    )
