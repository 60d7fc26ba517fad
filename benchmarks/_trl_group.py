"""A group of completions in TRL's own GRPOTrainer, with the model of the other benchmarks.

Nothing of the trainer is rebuilt: it is constructed as a user does and its own ``training_step``
and ``compute_loss`` are called in the order of its training loop. What is put in are random parts:
a tokenizer of as many words as the model has tokens, and Qwen's processor with the image processor
of Pillow and without the one for videos, which needs torchvision and which the trainer never uses
(a subclass leaves out the argument). ``current_gradient_accumulation_steps`` is set by hand, which
is the loop's to set.

The settings are the trainer's own but for: a row at a time, no gradient checkpointing (it would add
a forward), 32-bit floats, a reference (``beta``) whose divergence is that of DeepSeekMath as in
ours (no ``use_bias_correction_kl``), and no placeholders or stop tokens sampled (a sampled
placeholder stops the trainer; a stop token would make completions shorter than ours).
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import transformers
from _models import IMAGE, VIDEO, VISION_END, VISION_START, VOCABULARY
from datasets import Dataset
from PIL import Image
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import PreTrainedTokenizerFast, Qwen2_5_VLProcessor, Qwen2VLImageProcessorPil
from trl import GRPOConfig, GRPOTrainer

SPECIAL = {
    "<|vision_start|>": VISION_START, "<|vision_end|>": VISION_END, "<|image_pad|>": IMAGE,
    "<|video_pad|>": VIDEO,
}  # fmt: skip
PAD, STOP = 0, 1
TEMPLATE = (
    "{% for message in messages %}{% for part in message.content %}"
    "{% if part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ part.text }}{% endif %}{% endfor %}{% endfor %}"
)


class TrlGroup:
    """One prompt of images, and completions of it that the trainer samples, alike every time.

    Attributes:
        prompt: Its tokens as the trainer has them.
        completions: Their tokens, G of C.
        advantages: (G,).
        reference: Log-probabilities by the reference, (G, C).
    """

    def __init__(
        self,
        model: Any,
        reference: Any,
        frames: Any,
        words: Sequence[int],
        *,
        count: int,
        length: int,
        kl: float,
    ) -> None:
        """Build the trainer and let it sample once.

        Args:
            model: The policy; its forward takes the trainer's head from now on.
            reference: Another model like it; the trainer loads it from a folder.
            frames: The images, (T, H, W, 3) uint8.
            words: Tokens of the text behind them.
            count: Completions G.
            length: Tokens C of each.
            kl: Weight of the divergence from the reference.
        """
        prompt = [{"role": "user", "content": " ".join(f"w{word}" for word in words)}]
        images = [Image.fromarray(frame) for frame in frames]
        self._batch = [{"prompt": prompt, "images": images}] * count
        transformers.logging.disable_progress_bar()
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(action="ignore"):
            reference.save_pretrained(folder)
            model.config._name_or_path = folder
            self._trainer = _Trainer(
                model,
                lambda completions, **_: torch.linspace(0, 1, len(completions)).tolist(),
                _settings(folder, count, length, kl),
                Dataset.from_list([{"prompt": prompt}]),
                processing_class=_processor(),
            )
        self._trainer.current_gradient_accumulation_steps = count
        self._trainer.model.train()
        with self._sampled_alike():
            self._trainer._prepare_inputs(self._batch)
        parts = self._trainer._buffered_inputs
        self.prompt: list[int] = parts[0]["prompt_ids"][0].tolist()
        self.completions: list[list[int]] = [part["completion_ids"][0].tolist() for part in parts]
        self.advantages = torch.cat([part["advantages"] for part in parts])
        self.reference = torch.cat([part["ref_per_token_logps"] for part in parts])

    def loss(self) -> tuple[float, Any]:
        """Forward and backward of the loss on what was sampled.

        Returns:
            The loss and the log-probabilities (G, C) it is made of; gradients are in the model.
        """
        trainer, total = self._trainer, 0.0
        for part in trainer._buffered_inputs:
            loss = trainer.compute_loss(trainer.model, part)
            trainer.accelerator.backward(loss)
            total += float(loss.detach())
        return total, trainer.taken()

    def step(self) -> tuple[float, Any]:
        """Images to gradient, with sampling, reference and loss; gives what :meth:`loss` does."""
        trainer = self._trainer
        trainer._step = 0  # where the trainer samples
        with self._sampled_alike():
            total = sum(
                float(trainer.training_step(trainer.model, self._batch, None)) for _ in self._batch
            )
        return total, trainer.taken()

    @contextmanager
    def _sampled_alike(self) -> Iterator[None]:
        """From the same random numbers every time."""
        with warnings.catch_warnings(action="ignore"):
            torch.manual_seed(3)
            yield


class _Trainer(GRPOTrainer):
    """Notes the log-probabilities that its losses are made of in passing."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._seen: list[Any] = []

    def _get_per_token_logps_and_entropies(self, *args: Any, **options: Any) -> Any:
        found = super()._get_per_token_logps_and_entropies(*args, **options)
        if found[0].requires_grad:
            self._seen.append(found[0].detach())
        return found

    def taken(self) -> Any:
        """Those noted since the last time, (G, C)."""
        seen, self._seen = self._seen, []
        return torch.cat(seen)


class _Processor(Qwen2_5_VLProcessor):
    """Of images and text only."""

    def __init__(self, image_processor: Any, tokenizer: Any, chat_template: str) -> None:
        super().__init__(image_processor, tokenizer, chat_template=chat_template)


def _processor() -> _Processor:
    names = {f"w{number}": number for number in range(VOCABULARY)}
    names = {name: number for name, number in names.items() if number not in SPECIAL.values()}
    words = Tokenizer(WordLevel(names | SPECIAL))
    words.pre_tokenizer = WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token=f"w{PAD}", eos_token=f"w{STOP}",
        additional_special_tokens=list(SPECIAL),
    )  # fmt: skip
    return _Processor(Qwen2VLImageProcessorPil(), tokenizer, TEMPLATE)


def _settings(folder: str, count: int, length: int, kl: float) -> GRPOConfig:
    return GRPOConfig(
        output_dir=folder, use_cpu=True, bf16=False, gradient_checkpointing=False,
        per_device_train_batch_size=1, gradient_accumulation_steps=count, num_generations=count,
        max_completion_length=length, beta=kl,
        use_bias_correction_kl=False, report_to="none",
        generation_kwargs={"suppress_tokens": [STOP, *SPECIAL.values()]},
    )  # fmt: skip
