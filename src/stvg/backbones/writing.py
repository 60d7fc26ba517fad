"""Writing answers token by token on top of a shared prefix; knows states and scores, no model.

All rows go on until each has ended or the limit is reached. What a row writes behind its own end
is computed, since a batch is computed as one, and cut off.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from stvg.backbones.choosing import Chooser
from stvg.backbones.positions import continue_positions
from stvg.backbones.prefix import Prefix, Tensor, growing_cache


def write(
    prefix: Prefix,
    read_token: Callable[..., Tensor],
    log_probs_of: Callable[[Tensor], Tensor],
    choose: Chooser,
    *,
    ends: frozenset[int],
    limit: int,
    keep_states: bool,
) -> tuple[list[list[int]], Tensor, Tensor | None]:
    """Answers to a batch of prompts.

    Args:
        prefix: The prompts, B rows.
        read_token: From tokens (B,), positions (3, B, 1), cache and mask to states (B, C).
        log_probs_of: From states (B, C) to log-probabilities (B, V).
        choose: Picks one token a row.
        ends: Tokens that end an answer.
        limit: Most tokens of an answer, at least 1.
        keep_states: Whether to give the state after every token, the last one included.

    Returns:
        Tokens of each answer, the end token included; log-probabilities (B, L) of all that was
        written, the longest answer L tokens; states (B, L, C) or None.
    """
    import torch

    state, cache = prefix.last_hidden, growing_cache(prefix.key_values)
    stops = torch.tensor(sorted(ends), dtype=torch.long, device=state.device)
    done = torch.zeros(len(prefix), dtype=torch.bool, device=state.device)
    tokens, chances, states = [], [], []
    for step in range(limit):
        log_probs = log_probs_of(state)  # (B, V)
        chosen = choose(log_probs)  # (B,)
        tokens.append(chosen)
        chances.append(log_probs.gather(-1, chosen[:, None])[:, 0])
        done = done | torch.isin(chosen, stops)
        is_last = step + 1 == limit or bool(done.all())
        if is_last and not keep_states:
            break
        places = continue_positions(prefix.following + step, 1)
        state = read_token(chosen, places, cache, prefix.mask_with(step + 1))
        states.append(state)
        if is_last:
            break
    rows = [_until(row, ends) for row in torch.stack(tokens, dim=1).tolist()]
    kept = torch.stack(states, dim=1) if keep_states else None
    return rows, torch.stack(chances, dim=1), kept


def _until(row: Sequence[int], ends: frozenset[int]) -> list[int]:
    """The row up to and with its first end token."""
    for number, token in enumerate(row):
        if token in ends:
            return list(row[: number + 1])
    return list(row)
