"""Writing answers on top of a shared prefix; knows states and probabilities, no model.

A round is: every answer that has an alternative picks a token, all go on along what their grammar
forces, and what is new of all of them is read in one call. Answers are out of step, then: one may
have read thirty forced tokens while another read the one that it picked. ``jump=False`` goes on by
one token a round instead, with the same result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from stvg.backbones.choosing import Chooser, Judge
from stvg.backbones.grammar import Rules
from stvg.backbones.prefix import Prefix, Tensor
from stvg.text.constrain import Position
from stvg.types import IntArray

Read = Callable[[IntArray, IntArray, IntArray], Tensor]
"""From tokens (N,), the row of each, ascending, and its number in the answer, to states (N, C)."""


@dataclass(slots=True)
class Answer:
    """One answer while it is written.

    Attributes:
        limit: Most tokens.
        rules: What ends an answer, and what is added to a grammar.
        place: Where in its grammar it is; None without one.
        tokens: What has been written.
        log_probs: Of each of them.
        picked: Whether each had an alternative.
        options: What may come next; None without a grammar, where anything may.
        is_over: Whether nothing comes next.
    """

    limit: int
    rules: Rules
    place: Position | None = None
    tokens: list[int] = field(default_factory=list)
    log_probs: list[float] = field(default_factory=list)
    picked: list[bool] = field(default_factory=list)
    options: tuple[int, ...] | None = None
    is_over: bool = False

    def __post_init__(self) -> None:
        self._find_options()

    @property
    def is_forced(self) -> bool:
        """Whether it goes on, and in one way only."""
        return not self.is_over and self.options is not None and len(self.options) == 1

    def write(self, token: int, log_prob: float = 0.0) -> None:
        """Go on by one of the tokens that may come next."""
        self.picked.append(not self.is_forced)
        self.tokens.append(token)
        self.log_probs.append(log_prob)
        self.is_over = token in self.rules.ends or len(self.tokens) == self.limit
        if self.place is not None and not self.is_over:
            self.place = self.place.after(token)
            self._find_options()

    def write_forced(self) -> None:
        """Go on by the only token that may come next."""
        assert self.options is not None
        self.write(self.options[0])

    def _find_options(self) -> None:
        if self.place is not None:
            self.options = self.rules.options(self.place)


def write(
    prefix: Prefix,
    answers: Sequence[Answer],
    read: Read,
    judge: Judge,
    choose: Chooser,
    *,
    jump: bool,
    keep_states: bool,
) -> tuple[int, Tensor | None]:
    """Write answers to a batch of prompts to their ends.

    Args:
        prefix: The prompts, B rows.
        answers: One for each, nothing written yet.
        read: Reads tokens on.
        judge: Says how likely tokens are after a state.
        choose: Picks among them.
        jump: Read forced tokens together with what they follow.
        keep_states: Whether to give the state after every token, the last one included.

    Returns:
        How often was read; and the states, (B, L, C), zeros where an answer is shorter than the
        longest of L tokens, or None.
    """
    import torch

    calls, state = 0, prefix.last_hidden
    kept: list[tuple[IntArray, IntArray, Tensor]] = []
    while True:
        starts = [len(answer.tokens) for answer in answers]
        _pick(answers, state, judge, choose)
        for answer, start in zip(answers, starts, strict=True):
            while answer.is_forced and (jump or len(answer.tokens) == start):
                answer.write_forced()
        rows, numbers = _unread(answers, starts, keep_states)
        if not len(rows):
            break
        tokens = [answers[row].tokens[number] for row, number in zip(rows, numbers, strict=True)]
        states = read(np.array(tokens, np.int64), rows, numbers)
        calls += 1
        if keep_states:
            kept.append((rows, numbers, states))
        last = np.flatnonzero(np.append(rows[1:] != rows[:-1], True))  # of each row in it
        state = state.clone()
        state[torch.from_numpy(rows[last])] = states[torch.from_numpy(last)]
    return calls, _states_of(answers, kept, state) if keep_states else None


def _pick(answers: Sequence[Answer], state: Tensor, judge: Judge, choose: Chooser) -> None:
    """One token for each answer that goes on and has an alternative."""
    open_rows = [
        row for row, answer in enumerate(answers) if not (answer.is_over or answer.is_forced)
    ]
    free = [row for row in open_rows if answers[row].options is None]
    bound = [row for row in open_rows if answers[row].options is not None]
    for rows in (free, bound):
        if not rows:
            continue
        options = [allowed for row in rows if (allowed := answers[row].options) is not None]
        names, log_probs = judge(state[rows], options or None)  # (N, A) both
        chosen = choose(log_probs, rows)[:, None]
        tokens = chosen if names is None else names.gather(-1, chosen)
        found = log_probs.gather(-1, chosen)
        for row, token, log_prob in zip(rows, tokens.tolist(), found.tolist(), strict=True):
            answers[row].write(token[0], log_prob[0])


def _unread(
    answers: Sequence[Answer], starts: Sequence[int], keep_states: bool
) -> tuple[IntArray, IntArray]:
    """Row and number, (N,) each, of the tokens from ``starts`` on that must be read."""
    wanted = [
        (row, number)
        for row, (answer, start) in enumerate(zip(answers, starts, strict=True))
        if keep_states or not answer.is_over
        for number in range(start, len(answer.tokens))
    ]
    rows, numbers = np.array(wanted, np.int64).reshape(-1, 2).T
    return rows, numbers


def _states_of(
    answers: Sequence[Answer], kept: Sequence[tuple[IntArray, IntArray, Tensor]], like: Tensor
) -> Tensor:
    """States (B, L, C) from those of each call."""
    import torch

    longest = max(len(answer.tokens) for answer in answers)
    found = like.new_zeros(len(answers), longest, like.shape[-1])
    for rows, numbers, states in kept:
        found[torch.from_numpy(rows), torch.from_numpy(numbers)] = states
    return found
