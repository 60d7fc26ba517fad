"""Group relative policy optimisation (GRPO, DeepSeekMath, arXiv 2402.03300), written out.

A step: *sample* a group of answers to each query, *parse* and *reward* them, compare each with its
group (*advantage*), raise the probability of the better ones (*loss*, *update*), *log*, *show* and
*save*.

How it differs from the textbook:

1. A video is decoded once a draw, and its prompt is computed once a group: in sampling, in old and
   reference log-probabilities, in the loss and its gradient (:mod:`stvg.train.group`).
2. Placeholders of images and videos are never sampled, and tokens that a grammar forces take part
   in no ratio: the policy that is trained is the one that answers.
3. Groups whose answers are all worth the same count in the means, but are not scored, unless the
   divergence from the reference counts; with ``draws`` further queries come beside them.
4. ``anchor`` mixes in the supervised loss on the right answers to the same queries, from the same
   features, for small models, which otherwise forget their grammar.
5. A reward that raises or is no number costs its answer the place in the group, is told by name,
   and ends the run only where it happens too often.

Losses are means over the answers of the whole step, of all its draws, parts and processes, whose
gradients are added up here; so two processes give the curve of one. What a draw holds follows from
its number, what is sampled from the query: a killed run goes on to the same curve.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stvg.backbones.prefix import Features
from stvg.errors import StvgError
from stvg.progress import Progress, no_progress
from stvg.train.batches import Step, steps_from
from stvg.train.distributed import add_gradients, gather, sum_over_all
from stvg.train.group import Group, Scores
from stvg.train.group_loss import grpo_loss, pick_weights
from stvg.train.keeper import Keeper
from stvg.train.optimise import make_optimiser, rate_at, set_rate
from stvg.train.page import Sample
from stvg.train.policy import Policy, features_of
from stvg.train.recipe import Grpo, Recipe, titles_of
from stvg.train.rollouts import Rollout, Sums, Writer, add_sums, measure, mix_of
from stvg.train.rows import Batch, judge_answers, read_rows
from stvg.train.running import check_finite, make_makers, precision_of, start
from stvg.train.showing import sample_of
from stvg.train.starting import load_learner
from stvg.train.state import State, find_state, restore

COUNTS = ("queries", "unequal", "groups", "answers", "picks", "tokens", "written", "failed", "cut")
"""What is counted over a whole step; see :func:`counts_of`."""
_WINDOW = 20
"""Steps over which shares of failed and cut answers are taken."""
_ENOUGH = 64
"""Answers that must have been written before their shares can end a run."""
_TOLD = 5
"""Failed rewards that a line of the log tells."""


def train(recipe: Recipe, *, progress: Progress = no_progress) -> Path:
    """Train as a recipe with ``grpo`` says; a run that was stopped goes on.

    Args:
        recipe: What to do.
        progress: Called with the clips seen and in all.

    Returns:
        The folder of the newest model.

    Raises:
        UsageError: If a task has no method whose answers can be judged, or as
            :func:`stvg.train.sft.train`.
        StvgError: If too many rewards fail or too many answers do not end, or as there.
    """
    options = recipe.grpo
    assert options is not None
    accelerator = start(recipe)
    found = find_state(recipe)
    learner = load_learner(recipe, precision=precision_of(recipe))
    student = learner.student.to(accelerator.device)
    policy = Policy.of(recipe, learner, options)
    makers, held_out = make_makers(recipe, learner, accelerator.num_processes)
    writers = [
        Writer(learner.backbone, maker, mix_of(maker, options), options, recipe.seed)
        for maker in makers
    ]
    optimiser = make_optimiser(student, recipe.optimiser)
    state = State() if found is None else restore(found, learner, optimiser)
    keeper = Keeper(
        recipe, accelerator, learner, optimiser, state, held_out, policy.autocast, progress
    )
    rank, ranks = accelerator.process_index, accelerator.num_processes
    draws = steps_from(state.drawn, recipe, makers, rank, ranks)

    while state.seen < recipe.end:
        before, rate = state.seen, rate_at(state.seen, recipe.samples, recipe.optimiser)
        set_rate(optimiser, rate)

        # Sample, parse, reward, advantage.
        turns, counts = draw(policy, writers, draws, state, recipe, accelerator)
        sums, norm = measure([each for turn in turns for each in turn.rollouts]), 0.0

        # Loss and update, as often as the recipe says on the same answers.
        for _ in range(options.iterations if has_lesson(counts, options) else 0):
            optimiser.zero_grad()
            learned = learn(policy, turns, counts, processes=ranks)
            add_gradients(accelerator, student.parameters())
            norm = float(accelerator.clip_grad_norm_(student.parameters(), recipe.optimiser.clip))
            check_finite(norm, state.step, "learning from answers")
            optimiser.step()
            add_sums(sums, learned)

        # Log, show, save.
        state.step += 1
        for own in gather(accelerator, [sums]):
            keeper.tally.note(own)
        note_answers(state, counts, turns, accelerator)
        problem = problem_with(state, options)
        keeper.after_step(
            before,
            {"rate": rate, "norm": round(norm, 4)},
            state.tell_faults,
            partial(samples_of, turns, policy, state.step),
            is_end=problem is not None,
        )
        if problem is not None:
            raise StvgError(problem)
        del turns  # its pixels and features, before the next ones come
    return keeper.close()


def samples_of(turns: Sequence[Turn], policy: Policy, step: int) -> list[Sample]:
    """The first queries of a step for the live page."""
    pairs = [(turn, rollout) for turn in turns for rollout in turn.rollouts]
    layout = policy.learner.backbone.layout
    return [
        sample_of(rollout, turn.batch, layout, step)
        for turn, rollout in pairs[: policy.options.shown]
    ]


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """A group of answers that something can be learned from.

    Attributes:
        rollout: The group.
        group: Its answers that count, as the scorer takes them, features without graph.
        longest: Longest answer that could have been written, tokens.
        old: Log-probabilities before the first update, (K, L); None where there is one update.
        reference: Those of the model that the run started from; None where it does not count.
    """

    rollout: Rollout
    group: Group
    longest: int
    old: Tensor | None
    reference: Tensor | None


@dataclass(frozen=True, slots=True, eq=False)
class Turn:
    """A part of a draw, sampled.

    Attributes:
        batch: Its videos and right answers, on the device.
        tokens: What the tower makes of each clip, without graph.
        rollouts: A group of answers to each query.
        lessons: Those that something can be learned from.
    """

    batch: Batch
    tokens: list[Tensor]
    rollouts: list[Rollout]
    lessons: list[Lesson]


def draw(
    policy: Policy,
    writers: Sequence[Writer],
    draws: Iterator[Step],
    state: State,
    recipe: Recipe,
    accelerator: Any,
) -> tuple[list[Turn], dict[str, float]]:
    """Answers to a step's queries: of one draw of clips, or of several (``draws``).

    Returns:
        What this process has, and the counts of all.
    """
    titles, turns, wanted = titles_of(recipe.tasks), list[Turn](), 0.0
    counts: dict[str, float] = {}
    for _ in range(policy.options.draws):
        drawn = next(draws)
        turns += sample(policy, writers[drawn.task], drawn, accelerator.device)
        state.drawn, state.seen = state.drawn + 1, state.seen + recipe.tasks[drawn.task].clips
        state.note_broken(titles[drawn.task], writers[drawn.task].maker, drawn.parts)
        counts = sum_over_all(accelerator, counts_of(turns), COUNTS)
        wanted = wanted or counts["queries"]
        if counts["unequal"] >= wanted or state.seen >= recipe.end:
            break
    return turns, counts


def has_lesson(counts: Mapping[str, float], options: Grpo) -> bool:
    """Whether anything can be learned from a step."""
    return bool(counts["groups"] or (options.anchor and counts["tokens"]))


def sample(policy: Policy, writer: Writer, drawn: Step, device: Any) -> Iterator[Turn]:
    """Groups of answers to a draw's queries, with what the first update must not change."""
    policy.learner.student.eval()
    for part in drawn.parts:
        batch = part.to(device)
        with torch.no_grad(), policy.autocast():
            tokens = policy.encode(batch)
            features = [
                features_of(tokens[each.clip], batch, each.clip, each.seconds_per_step)
                for each in batch.prompts
            ]
            rollouts = writer.write(batch.prompts, features)
        first = policy.encode_first(batch, tokens)
        lessons = [
            _lesson(policy, writer, rollout, own, first)
            for rollout, own in zip(rollouts, features, strict=True)
            if rollout.kept and (policy.options.kl or not rollout.is_flat)
        ]
        yield Turn(batch, tokens, rollouts, lessons)


def _lesson(
    policy: Policy, writer: Writer, rollout: Rollout, features: Features, first: Sequence[Tensor]
) -> Lesson:
    """A group with its log-probabilities before the update.

    ``first`` is what the model that the run started from makes of each clip.
    """
    kept = [rollout.ids[number] for number in rollout.kept]
    group = Group(rollout.prompt.ids, [features], kept, rollout.grammar)
    old = reference = None
    if policy.options.iterations > 1:
        with torch.no_grad():
            old = policy.scorer.score(group).log_probs
    if policy.options.kl:
        own = replace(features, tokens=first[rollout.prompt.clip])
        reference = policy.reference(replace(group, features=[own]))
    return Lesson(rollout, group, writer.method.config.max_new_tokens, old, reference)


def counts_of(turns: Sequence[Turn]) -> dict[str, float]:
    """What this process has in a step.

    Returns:
        ``queries``, those answered unequally well (``unequal``), those that are scored
        (``groups``); ``answers`` with a reward, of flat groups too, and their ``picks``; ``tokens``
        of right answers; answers ``written``, whose rewards ``failed``, that were ``cut`` off.
    """
    found = dict.fromkeys(COUNTS, 0.0)
    for turn in turns:
        found["tokens"] += turn.batch.counts["answer"]
        for rollout in turn.rollouts:
            found["queries"] += 1
            found["unequal"] += not rollout.is_flat
            found["written"] += len(rollout.ids)
            found["failed"] += sum(rollout.failed)
            found["cut"] += rollout.cut
            found["answers"] += len(rollout.kept)
            found["picks"] += sum(rollout.picks[number] for number in rollout.kept)
        found["groups"] += len(turn.lessons)
    return found


def learn(
    policy: Policy, turns: Sequence[Turn], counts: Mapping[str, float], *, processes: int
) -> Sums:
    """Gradients of the loss of this process's answers, added to those of the parameters.

    Args:
        policy: The model.
        turns: What it wrote.
        counts: :func:`counts_of` of all processes, what losses are means over.
        processes: Number of processes.

    Returns:
        ``loss/policy``, ``kl`` and ``clipped`` of the step, ``entropy`` in nats a pick,
        ``loss/anchor`` a token.
    """
    policy.learner.student.train()  # without dropout the same, and checkpointing wants it
    told = {"loss/policy": 0.0, "kl": 0.0, "clipped": 0.0}
    sums: Sums = {}
    for turn in turns:
        if not turn.lessons and not policy.options.anchor:
            continue
        graph = policy.encode(turn.batch) if policy.trains_tower else turn.tokens
        leaves = [each.detach().requires_grad_(each.requires_grad) for each in graph]
        for lesson in turn.lessons:
            scores = _learn_group(policy, lesson, leaves, counts, told)
            entropy, picks = float(scores.entropies.sum()), float(scores.picked.sum())
            add_sums(sums, {"entropy": (entropy, picks)})
        if policy.options.anchor and turn.batch.rows is not None:
            add_sums(sums, {"loss/anchor": _learn_anchor(policy, turn.batch, leaves, counts)})
        pairs = [(end, leaf.grad) for end, leaf in zip(graph, leaves, strict=True)
                 if leaf.grad is not None]  # fmt: skip
        if pairs:
            torch.autograd.backward(*(list(each) for each in zip(*pairs, strict=True)))
    add_sums(sums, {name: (value, 1 / processes) for name, value in told.items()})
    return sums


def _learn_group(
    policy: Policy,
    lesson: Lesson,
    leaves: Sequence[Tensor],
    counts: Mapping[str, float],
    told: dict[str, float],
) -> Scores:
    """Gradients of the loss of a group; what the log tells is added to ``told``."""
    options, rollout = policy.options, lesson.rollout
    own = replace(lesson.group.features[0], tokens=leaves[rollout.prompt.clip])
    values = rollout.values.to(own.tokens.device)

    def loss(scores: Scores, rows: slice) -> Tensor:
        weights = pick_weights(
            scores.picked, options.mean, completions=counts["answers"], picks=counts["picks"],
            longest=lesson.longest,
        )  # fmt: skip
        found = grpo_loss(
            scores.log_probs,
            None if lesson.old is None else lesson.old[rows],
            values[rows],
            weights,
            low=options.low,
            high=options.high,
            reference=None if lesson.reference is None else lesson.reference[rows],
            kl=options.kl,
        )
        told["loss/policy"] += float(found.loss.detach())
        told["kl"] += float(found.kl)
        told["clipped"] += float(found.clipped)
        return found.loss

    return policy.scorer.backward(replace(lesson.group, features=[own]), loss)


def _learn_anchor(
    policy: Policy, batch: Batch, leaves: Sequence[Tensor], counts: Mapping[str, float]
) -> tuple[float, float]:
    """Gradients of the supervised loss on the right answers; its sum and number of tokens."""
    student = policy.learner.student
    assert batch.rows is not None
    with policy.autocast():
        states, _ = read_rows(student.model, torch.cat(list(leaves)), batch.rows)
        sums, _ = judge_answers(student.model, states, batch.rows, student.scales)
    loss = sums["answer"] * (policy.options.anchor / max(counts["tokens"], 1))
    loss.backward()
    return float(sums["answer"].detach()), float(batch.counts["answer"])


def note_answers(
    state: State, counts: Mapping[str, float], turns: Sequence[Turn], accelerator: Any
) -> None:
    """Remember how many rewards failed and answers were cut off in a step, with samples."""
    rollouts = [rollout for turn in turns for rollout in turn.rollouts]
    faults = [fault for rollout in rollouts for fault in rollout.faults]
    cut = [rollout.prompt.name for rollout in rollouts if rollout.cut]
    found = gather(accelerator, [(faults[:_TOLD], cut[:1])])
    every = [fault for own, _ in found for fault in own]
    state.faults += every[: _TOLD - len(state.faults)]
    for name in (name for _, own in found for name in own):
        state.samples["cut"] = name
    for fault in every:
        state.samples["failed"] = "{reward} on {sample}: {reason}".format(**fault)
    news = [int(counts[name]) for name in ("written", "failed", "cut")]
    state.recent = [*state.recent, news][-_WINDOW:]


def problem_with(state: State, options: Grpo) -> str | None:
    """Why a run cannot go on: rewards fail or answers do not end too often; None where it can."""
    written, failed, cut = (sum(column) for column in zip(*state.recent, strict=True))
    if written < _ENOUGH and len(state.recent) < _WINDOW:
        return None
    if failed > options.max_failed * written:
        return (
            f"rewards of {failed} of the last {written} answers failed, more than max_failed "
            f"{options.max_failed:g} allows; the newest: {state.samples['failed']}. Mend the "
            "reward, then start again: the run goes on from its newest checkpoint"
        )
    if cut > options.max_cut * written:
        return (
            f"{cut} of the last {written} answers were cut off before they ended, more than "
            f"max_cut {options.max_cut:g} allows, the newest to {state.samples['cut']}; raise "
            "max_new_tokens in the options of the task's method, or begin with a model that was "
            "taught the grammar, in another folder (out=...)"
        )
    return None
