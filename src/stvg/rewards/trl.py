"""Rewards of this toolkit inside TRL, and reward functions of TRL in this toolkit.

TRL's trainers call ``f(prompts=..., completions=..., completion_ids=..., **columns)`` with one
entry a completion in every list; columns are those of the data set, and ``trainer_state``,
``log_extra`` and ``log_metric`` come on top. ``None`` in the returned list means "not applicable"
(TRL 1.16, ``GRPOTrainer._calculate_rewards``). Completions are texts, or lists of messages where
the prompts are conversations. Nothing here imports TRL.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import Field

from stvg.config import Config
from stvg.errors import UsageError
from stvg.text import Codec, View
from stvg.types import Interval, Tube

from .base import Answer, Reward, Score, Target, check_lengths

TrlFunction = Callable[..., Sequence[float | None]]
"""What TRL takes as a reward function."""
Reader = Callable[[str, Mapping[str, Any]], tuple[Answer, Target]]
"""From a completion and the columns of its row to what our rewards are given."""


def as_trl(reward: Reward, codec: Codec) -> InTrl:
    """A reward as TRL calls it, for answers in a grammar of :mod:`stvg.text`.

    Args:
        reward: Ours.
        codec: The grammar of the completions.

    Returns:
        ``f(prompts, completions, **columns) -> list[float | None]`` with the reward's name. It
        needs the columns of :func:`trl_columns`, and writes the reasons into the table of
        completions that TRL logs.

    Example:
        >>> from stvg.rewards import find_reward
        >>> from stvg.text import find_codec
        >>> view = View([0.5, 1.5], [0.0, 1.0, 2.0], (640, 480), (224, 168))
        >>> target = Target((Tube(Interval(0, 2), [1.0], [[0, 0, 320, 240]]),), (640, 480))
        >>> columns = {name: [value] for name, value in trl_columns(view, target).items()}
        >>> temporal = as_trl(find_reward("temporal"), find_codec("compact"))
        >>> temporal(prompts=["the dog"], completions=["<t_0> <t_1> : <t_0> 0 0 50 50"], **columns)
        [0.5]
    """
    return InTrl(reward, CodecReader(codec))


def trl_columns(view: View, target: Target) -> dict[str, Any]:
    """What a row of a data set for TRL must hold beside its prompt: plain lists and numbers.

    Args:
        view: How the model sees the clip.
        target: The truth; of it the tubes are written.
    """
    return {
        "view": {
            "times_s": view.times_s.tolist(),
            "borders_s": view.borders_s.tolist(),
            "size": list(view.size),
            "model_size": list(view.model_size),
            "frames_per_step": view.frames_per_step,
        },
        "targets": [
            {
                "start_s": float(tube.interval.start_s),
                "end_s": float(tube.interval.end_s),
                "times_s": tube.times_s.tolist(),
                "boxes": tube.boxes.tolist(),
            }
            for tube in target.tubes
        ],
    }


class CodecReader:
    """Reads completions in a grammar; see :data:`Reader`."""

    def __init__(self, codec: Codec) -> None:
        self.codec = codec

    def __call__(self, text: str, row: Mapping[str, Any]) -> tuple[Answer, Target]:
        """The answer and the target of a row.

        Raises:
            UsageError: If the row lacks a column of :func:`trl_columns`.
        """
        missing = {"view", "targets"} - row.keys()
        if missing:
            raise UsageError(
                f"the data set lacks the columns {', '.join(sorted(missing))}; make them with "
                "stvg.rewards.trl_columns"
            )
        seen = row["view"]
        view = View(
            seen["times_s"], seen["borders_s"],
            tuple(seen["size"]), tuple(seen["model_size"]), seen["frames_per_step"],
        )  # fmt: skip
        tubes = tuple(
            Tube(Interval(each["start_s"], each["end_s"]), each["times_s"], each["boxes"])
            for each in row["targets"]
        )
        return Answer.of(text, self.codec, view), Target(tubes, view.size)


class InTrl:
    """A reward of ours as TRL calls it.

    Args:
        reward: Ours.
        read: From a completion and its row to an answer and a target.

    Attributes:
        __name__: What TRL calls it in its logs.
    """

    def __init__(self, reward: Reward, read: Reader) -> None:
        self.reward, self.read = reward, read
        self.__name__ = reward.name

    def __call__(
        self, prompts: Sequence[Any], completions: Sequence[Any], **columns: Any
    ) -> list[float | None]:
        """See the module."""
        rows = {name: column for name, column in columns.items() if isinstance(column, list)}
        pairs = [
            self.read(text_of(completion), {name: column[row] for name, column in rows.items()})
            for row, completion in enumerate(completions)
        ]
        scores = self.reward([answer for answer, _ in pairs], [target for _, target in pairs])
        log = columns.get("log_extra")
        if log is not None:
            log(f"{self.__name__}_reason", [score.reason for score in scores])
        return [score.value for score in scores]


def text_of(completion: Any) -> str:
    """The text of a completion: a text itself, or the last of a list of messages.

    Example:
        >>> text_of([{"role": "assistant", "content": [{"type": "text", "text": "yes"}]}])
        'yes'
    """
    if isinstance(completion, str):
        return completion
    content = completion[-1]["content"] if completion else ""
    if isinstance(content, str):
        return content
    return "".join(part.get("text") or "" for part in content or ())


class TrlConfig(Config):
    """Options of reward functions of TRL."""

    conversational: bool = Field(
        True, description="hand over messages, as TRL's own functions expect, rather than texts"
    )


class FromTrl(Reward):
    """A reward function of TRL as one of ours.

    The function gets prompts, completions, tokens, the ``columns`` of the targets and, as in TRL,
    ``trainer_state`` (None), ``log_extra`` and ``log_metric`` (which do nothing). None means "not
    applicable"; NaN and infinity are failures.

    Args:
        function: As TRL takes it, not asynchronous.
        config: Options.

    Raises:
        UsageError: If the function is asynchronous.

    Example:
        >>> def short(completions, **columns):
        ...     return [1.0 if len(each[0]["content"]) < 9 else None for each in completions]
        >>> from stvg.text import Parsed
        >>> answer = Answer("yes", Parsed(None, None, problem="no boxes"))
        >>> FromTrl(short)([answer], [Target((), (640, 480))])
        [Score(value=1.0, reason='short returned 1.0', failed=False)]
    """

    name = "trl"
    options = TrlConfig

    def __init__(self, function: TrlFunction, config: Config | None = None) -> None:
        super().__init__(config)
        if inspect.iscoroutinefunction(function):
            raise UsageError("asynchronous reward functions cannot be used here")
        self.function = function
        self.called = getattr(function, "__name__", type(function).__name__)

    @property
    def bounds(self) -> tuple[float, float]:
        """Not known for a foreign function."""
        return -math.inf, math.inf

    def judge(self, answer: Answer, target: Target) -> Score:
        """The score of one answer; a function that compares completions sees this one alone."""
        return self([answer], [target])[0]

    def __call__(self, answers: Sequence[Answer], targets: Sequence[Target]) -> list[Score]:
        """See :class:`Reward`.

        Raises:
            UsageError: If the function returns another number of rewards.
        """
        check_lengths(answers, targets)
        names = set().union(*(target.columns for target in targets))
        values = self.function(
            prompts=[self._messages(answer.prompt, "user") for answer in answers],
            completions=[self._messages(answer.text, "assistant") for answer in answers],
            completion_ids=[list(answer.ids) for answer in answers],
            trainer_state=None,
            log_extra=_ignore,
            log_metric=_ignore,
            **{name: [target.columns.get(name) for target in targets] for name in sorted(names)},
        )
        if len(values) != len(answers):
            raise UsageError(
                f"the reward function {self.called} returned {len(values)} rewards for "
                f"{len(answers)} completions"
            )
        return [self._score(value) for value in values]

    def _messages(self, text: str, role: str) -> Any:
        return [{"role": role, "content": text}] if self.config.conversational else text

    def _score(self, value: float | None) -> Score:
        told = f"{self.called} returned {value}"
        if value is None:
            return Score(None, told)
        if not math.isfinite(value):
            return Score(None, told, failed=True)
        return Score(float(value), told)


def _ignore(*anything: Any) -> None:
    del anything
