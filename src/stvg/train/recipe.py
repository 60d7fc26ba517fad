"""What a training run is: one YAML file that names every choice that matters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BeforeValidator, Field, PositiveFloat, SerializeAsAny, model_validator

from stvg.config import Config, read_yaml
from stvg.errors import UsageError
from stvg.train.fresh import FreshConfig
from stvg.train.tasks.base import Task, task_of

_Task = Annotated[SerializeAsAny[Task], BeforeValidator(task_of)]
# What may change between two starts of a run: nothing here changes the curve.
_WAYS = (
    "out", "stop", "card", "parts", "checkpointing", "validation", "validate_every",
    "validate_clips", "evaluate", "trackers", "workers", "threads", "log_every", "save_every",
    "keep_every",
)  # fmt: skip
_WAYS_OF_GRPO = ("max_failed", "max_cut", "queries_at_once", "form", "at_once", "shown")


class Optimiser(Config):
    """AdamW with a cosine over the samples of the run."""

    lr: float = Field(2e-3, gt=0, description="highest learning rate, reached after the warm-up")
    tower: float = Field(1.0, ge=0, description="factor on it for the vision tower; 0 freezes it")
    parts: float = Field(
        1.0, gt=0, description="factor on it for what a method learns beside the model"
    )
    beta1: float = Field(0.9, ge=0, lt=1, description="decay of the mean of gradients")
    beta2: float = Field(0.98, ge=0, lt=1, description="decay of the mean of their squares")
    weight_decay: float = Field(0.01, ge=0, description="on matrices, not on embeddings and norms")
    clip: float = Field(1.0, gt=0, description="largest norm of the gradient")
    warmup: int = Field(2000, ge=0, description="samples until the highest learning rate")
    final: float = Field(0.02, ge=0, le=1, description="share of it that is left at the end")


class Lora(Config):
    """Low-rank adapters by peft; everything else is frozen."""

    rank: int = Field(16, ge=1, description="rank of the adapters")
    alpha: float = Field(32, gt=0, description="adapters are scaled by alpha / rank")
    dropout: float = Field(0.0, ge=0, lt=1, description="share of their inputs that is dropped")
    targets: str | tuple[str, ...] = Field(
        r".*language_model.*\.(q|k|v|o|gate|up|down)_proj",
        description="modules that get one: a regular expression for whole names, or ends of names",
    )
    modules_to_save: tuple[str, ...] = Field(
        (), description="modules that are trained whole and saved with the adapters"
    )


class Evaluate(Config):
    """Generated answers on a written split, scored as ``stvg evaluate`` does."""

    benchmark: str = Field(description="benchmark: a name or file.py:Class")
    annotations: str = Field(description="its annotation file")
    videos: str | None = Field(
        None, description="folder with the videos; default the one that `stvg world` wrote"
    )
    companions: dict[str, str] = Field(
        default_factory=dict, description="further files that the benchmark reads, by name"
    )
    limit: int | None = Field(None, ge=1, description="only the first this many queries")
    protocol: str = Field("ours", description="protocol of the metrics")


class Grpo(Config):
    """Learning from the model's own answers by group relative policy optimisation.

    Each query is answered several times; rewards say how good each answer is, and the model is
    moved towards those that are better than the others of their group.
    """

    group: int = Field(8, ge=2, description="answers to each query")
    temperature: float = Field(1.0, gt=0, description="at which they are sampled")
    rewards: dict[str, Any] = Field(
        default_factory=dict,
        description="weights and options in place of those of the method, see docs/rewards.md",
    )
    mean: Literal["sequence", "token", "constant"] = Field(
        "sequence",
        description="what counts alike: answers (DeepSeekMath), tokens (DAPO), tokens over the "
        "longest length (Dr. GRPO)",
    )
    by_std: bool = Field(True, description="divide advantages by the spread of their group")
    others: bool = Field(
        False, description="compare an answer with the mean of the others of its group (RLOO)"
    )
    low: float = Field(
        0.2, ge=0, le=1, description="with iterations above 1, ratios are clipped below 1 - low"
    )
    high: float = Field(
        0.2, ge=0, description="with iterations above 1, ratios are clipped above 1 + high"
    )
    kl: float = Field(
        0.0, ge=0, description="weight of the divergence from the model that the run starts from"
    )
    iterations: int = Field(1, ge=1, description="updates on the same answers")
    anchor: float = Field(
        0.0, ge=0, description="weight of the supervised loss on the right answers beside it"
    )
    draws: int = Field(
        1,
        ge=1,
        description="most draws of clips for a step, until as many queries as the first draw has "
        "are answered unequally well (DAPO's dynamic sampling); 1 for no second draw",
    )
    drop_cut: bool = Field(False, description="leave out answers that were cut off at the limit")
    max_failed: float = Field(
        0.05, ge=0, le=1, description="share of answers whose rewards may fail before the run stops"
    )
    max_cut: float = Field(
        0.9, ge=0, le=1, description="share of answers that may be cut off before the run stops"
    )
    queries_at_once: int = Field(8, ge=1, description="queries whose answers are written together")
    form: Literal["row", "cache"] = Field(
        "row",
        description="how answers are scored: all of a query in one row, or a few at a time behind "
        "its cache, in less memory",
    )
    at_once: int = Field(2, ge=1, description="answers scored together in the form cache")
    shown: int = Field(3, ge=0, description="queries of a step that the live page shows")


class Recipe(Config):
    """A training run.

    Example:
        >>> Recipe.of({"out": "runs/x", "fresh": {}, "tasks": [{"kind": "world"}]}).samples
        10000
    """

    out: str = Field(description="folder for checkpoints and the log")
    model: str | None = Field(None, description="model to start from: folder, hub id or tiny")
    fresh: FreshConfig | None = Field(None, description="sizes of a new model to start from")
    lora: Lora | None = Field(None, description="train adapters instead of the whole model")
    tasks: tuple[_Task, ...] = Field(description="what is learned, mixed by weight")
    grpo: Grpo | None = Field(
        None, description="learn from the model's own answers instead of the right ones"
    )
    samples: int = Field(10_000, ge=1, description="clips over which the learning rate falls")
    stop: int | None = Field(
        None, ge=1, description="clips after which the run ends, where that is earlier"
    )
    parts: int = Field(1, ge=1, description="parts that a step's batch is split into, for memory")
    optimiser: Optimiser = Field(default_factory=Optimiser, description="how weights are changed")
    softness: tuple[PositiveFloat, PositiveFloat] = Field(
        (0.7, 0.4), description="width of the goals for numbers and for times, in tokens"
    )
    precision: Literal["bf16", "fp32"] | None = Field(
        None, description="of the computation; default bf16 on a graphics card, fp32 elsewhere"
    )
    checkpointing: bool = Field(
        False, description="compute states again in the backward pass to save memory"
    )
    validation: tuple[_Task, ...] = Field((), description="tasks to measure held-out clips on")
    validate_clips: int = Field(256, ge=1, description="clips of each of them")
    evaluate: Evaluate | None = Field(None, description="a split to write answers on")
    validate_every: int = Field(
        0, ge=0, description="samples between two validations; 0 for one at the end"
    )
    card: dict[str, Any] = Field(
        default_factory=dict, description="what checkpoints say of themselves: method, options"
    )
    trackers: tuple[Literal["trackio", "tensorboard", "wandb"], ...] = Field(
        (), description="where the log goes besides log.jsonl"
    )
    seed: int = Field(0, ge=0, description="seed of everything random in the run")
    workers: int = Field(1, ge=0, description="processes that make batches")
    threads: int = Field(0, ge=0, description="threads of a training process, 0 for all")
    log_every: int = Field(50, ge=1, description="steps between two lines of the log")
    save_every: int = Field(500, ge=1, description="steps between two checkpoints")
    keep_every: int = Field(
        0, ge=0, description="steps between models that are kept beside the newest, 0 for none"
    )

    @property
    def end(self) -> int:
        """Clips to train on."""
        return min(self.samples, self.stop or self.samples)

    def to_yaml(self) -> str:
        """All choices as a recipe file."""
        return yaml.safe_dump(self.model_dump(mode="json", exclude_none=True), sort_keys=False)

    def what_decides(self) -> dict[str, Any]:
        """The part of it that decides the curve."""
        return _without_ways(self.model_dump(mode="json"))

    @model_validator(mode="after")
    def _check(self) -> Self:
        problems = []
        if (self.model is None) == (self.fresh is None):
            problems.append("either model or fresh says what to start from, not both or neither")
        if not self.tasks:
            problems.append("at least one task is needed")
        if self.lora is not None and self.fresh is not None:
            problems.append("lora adapts a model that was trained before, not a fresh one")
        if self.keep_every % self.save_every:
            problems.append(
                f"keep_every {self.keep_every} is no multiple of save_every {self.save_every}"
            )
        if self.grpo is not None and self.lora is not None and self.lora.dropout:
            problems.append(
                "answers are scored by the model that wrote them, without dropout: lora.dropout is "
                f"0 with grpo, found {self.lora.dropout:g}"
            )
        if self.grpo is not None and self.grpo.form == "cache" and self.checkpointing:
            problems.append("grpo.form cache and checkpointing exclude each other; use form row")
        if self.evaluate is not None and "method" not in self.card:
            problems.append("evaluate needs the name of the method in card, card: {method: ...}")
        problems += [
            f"a step of {task.title} has {task.clips} clips, too few for {self.parts} parts"
            for task in self.tasks
            if task.clips < self.parts
        ]
        if problems:
            raise ValueError("; ".join(problems))
        return self


def load_recipe(path: str | Path, assignments: Sequence[str] = ()) -> Recipe:
    """Read a recipe, with ``key=value`` texts on top.

    A dot reaches into groups and lists: ``optimiser.lr=1e-4``, ``tasks.0.clips=4``.

    Raises:
        UsageError: If the file is missing or no YAML, a key is unknown or a value out of range.
    """
    values = read_yaml(path)
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise UsageError(f"expected a recipe of keys and values in {path}, found {values!r:.60}")
    return Recipe.from_assignments(_reach_lists(values, assignments), **values)


def titles_of(tasks: Sequence[Task]) -> list[str]:
    """What logs call the tasks of a recipe: their titles, numbered where two have the same.

    Example:
        >>> tasks = [{"kind": "world", "seed": seed} for seed in (1, 2)]
        >>> titles_of(Recipe.of({"out": "x", "fresh": {}, "tasks": tasks}).tasks)
        ['world-standard-8', 'world-standard-8-2']
    """
    titles = [task.title for task in tasks]
    before = [titles[:place].count(title) for place, title in enumerate(titles)]
    return [
        title + (f"-{count + 1}" if count else "")
        for title, count in zip(titles, before, strict=True)
    ]


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The keys that decide the curve in which two recipes differ, with both values.

    Example:
        >>> differences({"lora": {"rank": 8}, "seed": 0}, {"lora": {"rank": 16}, "seed": 0})
        ['lora.rank was 8, is 16']
    """
    old, new = (dict(_leaves(_without_ways(each))) for each in (before, now))
    return [
        f"{key} was {old.get(key)!r:.60}, is {new.get(key)!r:.60}"
        for key in {**old, **new}
        if old.get(key) != new.get(key)
    ]


def _without_ways(values: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe's values without those that do not change the curve."""
    kept = {name: value for name, value in values.items() if name not in _WAYS}
    if isinstance(kept.get("grpo"), Mapping):
        kept["grpo"] = {k: v for k, v in kept["grpo"].items() if k not in _WAYS_OF_GRPO}
    return kept


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that is no group, with the way to it."""
    items: Any = ()
    if isinstance(value, Mapping):
        items = value.items()
    elif isinstance(value, list | tuple):
        items = enumerate(value)
    else:
        yield key, value
    for name, inner in items:
        yield from _leaves(inner, f"{key}.{name}" if key else str(name))


def _reach_lists(values: dict[str, Any], assignments: Sequence[str]) -> list[str]:
    """Carry out the assignments that reach into a list of groups, and give back the others."""
    others = []
    for text in assignments:
        key, sign, value = text.partition("=")
        name, _, rest = key.strip().partition(".")
        place, _, inner = rest.partition(".")
        groups = values.get(name)
        if not (sign and inner and place.isdecimal() and isinstance(groups, list)):
            others.append(text)
        elif int(place) >= len(groups) or not isinstance(groups[int(place)], dict):
            raise UsageError(f"{name} has {len(groups)} members from 0 on, found {text!r}")
        else:
            try:
                parsed = yaml.safe_load(value)
            except yaml.YAMLError as error:
                raise UsageError(f"the value in {text!r} is not readable as YAML") from error
            changed = _changed(groups[int(place)], inner.split("."), parsed)
            values[name] = [*groups[: int(place)], changed, *groups[int(place) + 1 :]]
    return others


def _changed(group: Mapping[str, Any], keys: Sequence[str], value: Any) -> dict[str, Any]:
    """A copy of a group with another value at the end of a way of keys."""
    inner = group.get(keys[0])
    if len(keys) > 1:
        value = _changed(inner if isinstance(inner, Mapping) else {}, keys[1:], value)
    return {**group, keys[0]: value}
