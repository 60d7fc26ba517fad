"""How likely given answers are, from the states before each of their tokens; knows no model.

The counterpart of :mod:`stvg.backbones.writing`: the same functions say what may be written and how
likely it is. Scores of the vocabulary are computed for one answer at a time, and with a grammar
for its picks only.
"""

from __future__ import annotations

from collections.abc import Sequence

from stvg.backbones.choosing import Judge
from stvg.backbones.prefix import Completions, Tensor, padded
from stvg.errors import UsageError

Options = Sequence[Sequence[int]]
"""What could have been written at each token of an answer."""


def log_probs_of(
    judge: Judge, states: Tensor, answer: Sequence[int], options: Options | None
) -> Tensor:
    """Log-probability of each token of an answer; gradients flow.

    Args:
        judge: Says how likely tokens are.
        states: States before each token, (L, C).
        answer: Its tokens, L.
        options: What its grammar allowed at each, the token among them; None without a grammar.

    Returns:
        (L,) float32, 0 where a token had no alternative.
    """
    return judge_picks(judge, states, answer, options)[0]


def judge_picks(
    judge: Judge, states: Tensor, answer: Sequence[int], options: Options | None
) -> tuple[Tensor, list[int], Tensor]:
    """As :func:`log_probs_of`, with what the picks were chosen from; gradients flow.

    Returns:
        Log-probability of each token, (L,) float32, 0 where it had no alternative; the places of
        the N tokens that had one; and the log-probabilities of their alternatives, (N, A) float32,
        minus infinity where one has fewer than A.
    """
    import torch

    picks = [number for number, is_pick in enumerate(picked_of(answer, options)) if is_pick]
    found = states.new_zeros(len(answer), dtype=torch.float32)
    if not picks:
        return found, picks, found.new_zeros(0, 1)
    if options is None:
        _, every = judge(states, None)  # (L, V)
        chosen = list(answer)
    else:
        _, every = judge(states[picks], [options[number] for number in picks])  # (N, A)
        chosen = [options[number].index(answer[number]) for number in picks]
    values = every.gather(-1, torch.tensor(chosen, device=every.device)[:, None])[:, 0]
    found = found.index_put((torch.tensor(picks, device=found.device),), values)
    return found, picks, every


def picked_of(answer: Sequence[int], options: Options | None) -> list[bool]:
    """Whether each token of an answer had an alternative; without a grammar all have."""
    if options is None:
        return [True] * len(answer)
    return [len(allowed) > 1 for allowed in options]


def completions(
    answers: Sequence[Sequence[int]],
    log_probs: Sequence[Tensor],
    picked: Sequence[Sequence[bool]],
    ends: frozenset[int],
    calls: int,
    hidden: Tensor | None,
) -> Completions:
    """Answers of any lengths put together.

    Args:
        answers: Tokens of each, at least one answer.
        log_probs: Of each token, (length,) each.
        picked: Whether each token had an alternative.
        ends: Tokens that end an answer.
        calls: As in the result.
        hidden: As in the result.
    """
    import torch

    device = log_probs[0].device
    _, real = padded(answers)
    chosen, _ = padded(picked)
    return Completions(
        tuple(tuple(int(token) for token in answer) for answer in answers),
        torch.nn.utils.rnn.pad_sequence(list(log_probs), batch_first=True),
        torch.from_numpy(real).to(device),
        torch.from_numpy(chosen).to(device, torch.bool),
        tuple(bool(len(answer)) and answer[-1] in ends for answer in answers),
        calls,
        hidden,
    )


def refuse_banned(answers: Sequence[Sequence[int]], banned: Sequence[int]) -> None:
    """Raise a UsageError if an answer holds a token of probability zero."""
    for number, answer in enumerate(answers):
        found = sorted(set(banned).intersection(answer))
        if found:
            raise UsageError(
                f"answer {number} holds the placeholder {found[0]} of an image or video, which "
                "cannot be written here; score it with ban=False, or leave it out"
            )
