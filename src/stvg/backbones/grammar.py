"""Following a grammar: what may come next in an answer, and what is forced.

A :class:`~stvg.text.constrain.Position` is a place in one answer and knows the tokens that may
stand there. Around it the decoder has rules of its own, and writing and scoring must apply the
same: placeholders of images and videos cannot be written whatever a grammar says, and where the
grammar is over, a token that ends the answer is. A token without an alternative is *forced*: its
probability is 1 and nobody picked it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stvg.errors import UsageError
from stvg.text.constrain import Position

Starts = Position | Sequence[Position | None]
"""Where answers begin: one place for all, or one for each row or each few rows in turn, None for
rows that may hold anything."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the decoder adds to every grammar.

    Attributes:
        banned: Tokens that are not written even where a grammar allows them.
        ends: Tokens behind which nothing comes.
        end: The one of them that is written where the grammar is over; None if there is none.
    """

    banned: frozenset[int]
    ends: frozenset[int]
    end: int | None

    @classmethod
    def of(cls, banned: Sequence[int], ends: frozenset[int], preferred: int | None) -> Rules:
        """With ``preferred`` as the end where it is among the ends, otherwise the first of them."""
        end = preferred if preferred in ends else min(ends, default=None)
        return cls(frozenset(banned), ends, end)

    def options(self, place: Position) -> tuple[int, ...]:
        """Tokens that may be written here, at least one, ascending.

        Raises:
            UsageError: If the grammar goes on, but with banned tokens only, or is over and there
                is no token that ends an answer.
        """
        allowed = place.allowed
        if not allowed and self.end is not None:
            return (self.end,)
        if not allowed:
            raise UsageError(
                "an answer with a grammar needs a token to end with; the model and its "
                "tokenizer name none, or stop=() was given"
            )
        if self.banned.isdisjoint(allowed):
            return allowed
        kept = tuple(token for token in allowed if token not in self.banned)
        if not kept:
            raise UsageError(
                f"the grammar allows only {allowed} here, placeholders of images or videos, "
                "which cannot be written"
            )
        return kept

    def along(
        self, places: Sequence[Position | None], answers: Sequence[Sequence[int]]
    ) -> list[list[tuple[int, ...]] | None]:
        """What could have been written at each token of given answers, which may be cut short.

        Args:
            places: Where each answer begins.
            answers: Their tokens.

        Returns:
            The allowed tokens at each token of each answer, None for one without a grammar.

        Raises:
            UsageError: If an answer does not follow its grammar.
        """
        return [
            None if place is None else self._along(place, answer, number)
            for number, (place, answer) in enumerate(zip(places, answers, strict=True))
        ]

    def _along(self, place: Position, answer: Sequence[int], number: int) -> list[tuple[int, ...]]:
        found: list[tuple[int, ...]] = []
        is_over = False
        for token in answer:
            options = () if is_over else self.options(place)
            if token not in options:
                expected = f"one of {options[:8]}" if options else "nothing behind its end"
                raise UsageError(
                    f"answer {number} leaves its grammar at token {len(found)}: expected "
                    f"{expected}, found {token}"
                )
            found.append(options)
            is_over = token in self.ends
            place = place if is_over else place.after(token)
        return found


def starts_of(grammar: Starts | None, rows: int) -> list[Position | None]:
    """Where the answer of each row begins.

    Raises:
        UsageError: If there are several places, but not as many rows for each.
    """
    if grammar is None or not isinstance(grammar, Sequence):
        return [grammar] * rows
    if not grammar or rows % len(grammar):
        raise UsageError(
            f"expected one grammar, or as many of the {rows} answers for each, found "
            f"{len(grammar)} grammars"
        )
    return [place for place in grammar for _ in range(rows // len(grammar))]
