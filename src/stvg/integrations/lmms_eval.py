"""Models of this package in lmms-eval, which has the benchmarks of general video understanding.

MVBench, Video-MME, TempCompass and EgoSchema say whether a model that was trained to ground still
understands video. They are run there, by its own code::

    lmms-eval --model stvg --model_args model=runs/spacevllm/last --tasks mvbench

Questions are answered without any method of this package: the video, the question as lmms-eval
words it, and what the language model says. lmms-eval (EvolvingLMMs-Lab/lmms-eval, 0.7) asks in two
ways: ``generate_until`` wants a text, ``loglikelihood`` wants to know how unlikely a given answer
is. The name notwithstanding it takes the answer with the smallest number, so that is the mean
negative log-probability of the answer's tokens, as its own models give it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydantic import Field

from stvg.backbones.asking import Pixels, Question, answer, pixels_of, prompt_ids
from stvg.backbones.qwen import QwenBackbone
from stvg.backbones.tiny import TINY, resolve_model
from stvg.config import Config
from stvg.errors import UsageError
from stvg.types import Clip, VideoMeta
from stvg.video import SamplingPlan, probe, read_clip

Base: Any = object
with suppress(ImportError):  # only lmms-eval asks for the model
    from lmms_eval.api.model import lmms

    Base = lmms

_MOST_TOKENS = 16  # of an answer where a task does not say


class Options(Config):
    """What ``--model_args`` takes."""

    model: str = Field(TINY, description="hub id, folder, or tiny")
    frames: int = Field(32, ge=1, description="frames that the model sees")
    pixels: int = Field(448 * 252, ge=784, description="most pixels of a frame")
    side: int | None = Field(None, ge=8, description="frames are made square with this side")
    query_first: bool = Field(False, description="whether the question stands before the video")
    even_steps: bool = Field(
        False, description="count steps instead of seconds in the positions of the video"
    )
    dtype: str | None = Field(None, description="float32, bfloat16 or float16")
    device: str | None = Field(None, description="as torch names it; default a graphics card")
    batch_size: int = Field(1, ge=1, description="questions answered at once")


class Model(Base):  # type: ignore[misc]
    """A video language model as lmms-eval asks it.

    Args:
        max_batch_size: What lmms-eval gives to every model; not used.
        **options: Those of :class:`Options`.

    Raises:
        UsageError: If an option is wrong.
        WeightsError: If the model cannot be loaded.
    """

    is_simple = True
    """lmms-eval's word for models that are given a text and its media, not chat messages."""

    def __init__(self, max_batch_size: int | None = None, **options: Any) -> None:
        super().__init__()
        del max_batch_size
        self.options = Options.of(options)
        folder = resolve_model(self.options.model, "base")
        self.backbone = QwenBackbone.load(
            folder, dtype=self.options.dtype, device=self.options.device
        )
        self._pixels_of_video = lru_cache(maxsize=4)(self._read_video)

    def generate_until(self, requests: Sequence[Any]) -> list[str]:
        """Answers, each cut at the first of the texts at which its task says it ends.

        Args:
            requests: With ``args`` (question, options of generation, from a document to its media,
                number of the document, task, split).
        """
        answers: list[str] = []
        for kwargs, group in groupby(requests, key=lambda request: request.args[1]):
            asked = list(group)
            for first in range(0, len(asked), self.options.batch_size):
                some = asked[first : first + self.options.batch_size]
                questions = [self._question(text, *rest) for text, _, *rest in _args(some)]
                found = answer(
                    self.backbone,
                    questions,
                    max_new_tokens=int(kwargs.get("max_new_tokens") or _MOST_TOKENS),
                    temperature=float(kwargs.get("temperature") or 0.0),
                )
                answers += [_until(each.text, kwargs.get("until")) for each in found]
        return answers

    def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
        """How unlikely each answer is, and whether it is the one that the model would write.

        Args:
            requests: With ``args`` (question, answer or from a document to it, from a document to
                its media, number of the document, task, split). Answers to one question that
                stand together share its prompt.

        Returns:
            Mean negative log-probability of the tokens, at least 0; smaller is likelier.
        """
        import torch

        found: list[tuple[float, bool]] = []
        for (text, number, task, split), group in groupby(requests, key=_question_key):
            same = list(group)
            document = self.task_dict[task][split][number]
            texts = [wanted(document) if callable(wanted) else wanted
                     for _, wanted, *_ in _args(same)]  # fmt: skip
            tokens = [self._tokens(str(each)) for each in texts]
            question = self._question(text, same[0].args[2], number, task, split)
            with torch.no_grad():
                video = self.backbone.encode_video(
                    question.pixels.rows,
                    question.pixels.grid,
                    seconds_per_step=question.pixels.seconds_per_step,
                )
                prompt = self.backbone.prefill(question.ids, [video])
                scores = self.backbone.score(prompt, tokens).log_probs
            longest = max(len(each) for each in tokens)
            (own,) = self.backbone.generate(prompt, max_new_tokens=longest).ids
            found += [
                (-float(row[: len(each)].mean()), own[: len(each)] == tuple(each))
                for row, each in zip(scores, tokens, strict=True)
            ]
        return found

    def generate_until_multi_round(self, requests: Sequence[Any]) -> list[str]:
        """Refused: no benchmark of video understanding that this is for has several rounds.

        Raises:
            UsageError: Always.
        """
        del requests
        raise UsageError(
            "expected questions of one round, found a task of several; the model stvg answers "
            "generate_until and loglikelihood"
        )

    def _question(
        self, text: str, media_of: Callable[[Any], list[Any]], number: int, task: str, split: str
    ) -> Question:
        """A question on the media of a document."""
        media = media_of(self.task_dict[task][split][number])
        pixels = self._pixels(media)
        ids = prompt_ids(self.backbone, text, pixels.grid, query_first=self.options.query_first)
        return Question(tuple(ids), pixels)

    def _pixels(self, media: list[Any]) -> Pixels:
        """A video by its path, or pictures as its frames.

        Raises:
            UsageError: If it is anything else.
        """
        if len(media) == 1 and isinstance(media[0], str | Path):
            return self._pixels_of_video(str(media[0]))
        if media and all(isinstance(each, Image.Image) for each in media):
            return self._encode(_clip_of(media, self._plan))
        kinds = ", ".join(type(each).__name__ for each in media) or "nothing"
        raise UsageError(
            f"expected one video file or pictures with a question, found {kinds}; the model stvg "
            "answers questions on one video"
        )

    @property
    def _plan(self) -> SamplingPlan:
        options = self.options
        if options.side is not None:
            return SamplingPlan(count=options.frames, fixed_size=(options.side, options.side))
        cell = self.backbone.layout.cell
        return SamplingPlan(count=options.frames, pixel_budget=options.pixels, multiple_of=cell)

    def _read_video(self, path: str) -> Pixels:
        return self._encode(read_clip(probe(path), self._plan))

    def _encode(self, clip: Clip) -> Pixels:
        return pixels_of(clip, self.backbone, even_steps=self.options.even_steps)

    def _tokens(self, text: str) -> list[int]:
        found = list(self.backbone.tokenizer(text, add_special_tokens=False)["input_ids"])
        if not found:
            raise UsageError("expected an answer of at least one token to judge, found none")
        return found


def _clip_of(pictures: Sequence[Image.Image], plan: SamplingPlan) -> Clip:
    """Pictures as the frames of a video, a second apart, all of the size of the first."""
    width, height = pictures[0].size
    meta = VideoMeta("pictures", width, height, Fraction(1), float(len(pictures)), len(pictures))
    frames = np.unique(meta.frame_at(plan.times(meta)))
    size = plan.size(meta)
    shown = [
        np.asarray(pictures[n].convert("RGB").resize(size, Image.Resampling.BICUBIC))
        for n in frames
    ]
    return Clip(meta, np.stack(shown), meta.times_s[frames], frames)


def _args(requests: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    return (request.args for request in requests)


def _question_key(request: Any) -> tuple[str, int, str, str]:
    """What requests on one question have in common."""
    text, _, _, number, task, split = request.args
    return text, number, task, split


def _until(text: str, ends: str | Sequence[str] | None) -> str:
    r"""A text up to the first of its ends.

    Example:
        >>> _until("B. A dog\n\nQuestion", ["\n\n"])
        'B. A dog'
    """
    for end in [ends] if isinstance(ends, str) else ends or ():
        text = text.split(end, maxsplit=1)[0] if end else text
    return text
