"""Constrained decoding: which tokens may come next in an answer, and which one must.

A grammar is a function from the texts written so far to the next slot: a :class:`Literal` that is
forced, or a :class:`Choice` of alternatives. :func:`begin` turns it into a :class:`Position`, an
immutable place in one answer that knows the tokens that may follow. Everything is expanded when it
is first looked at, so a place costs microseconds and rows of a batch share what they have in
common. Nothing here knows a model; :func:`as_logits_processor` is for ``generate`` of transformers
and the only thing that touches torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from stvg.errors import UsageError

_MOST_TRIES = 4096
"""Tries that a vocabulary keeps before it begins anew."""


class Position(Protocol):
    """A place in an answer; immutable."""

    @property
    def allowed(self) -> tuple[int, ...]:
        """Tokens that may come next, ascending.

        Exactly one: it is forced. None: the answer is over and only the stop token follows, which
        the decoder writes. Where an answer may end or go on, the vocabulary's stop token is among
        several.
        """

    def after(self, token: int) -> Position:
        """The place behind a token.

        Raises:
            UsageError: If the token is not allowed.
        """


@dataclass(frozen=True, slots=True)
class Literal:
    """Text that must come next."""

    text: str


@dataclass(frozen=True, slots=True)
class Choice:
    """Texts of which one must come next.

    An alternative may be the beginning of another (``5`` and ``52``); what follows the slot must
    then not begin with a token with which the longer one goes on.
    """

    texts: tuple[str, ...]


Grammar = Callable[[tuple[str, ...]], Literal | Choice | None]
"""From the texts of all slots so far to the next slot; None when the answer is over."""


@dataclass(frozen=True, slots=True, eq=False)
class Vocabulary:
    """A tokenizer of transformers, asked for the tokens of pieces of text.

    Pieces are put together without looking at their seams. Byte-level tokenizers cut in front of a
    space and around every digit, so pieces that begin with a space or meet at a digit give the
    tokens of the whole text; in word-level ones spaces vanish.

    Attributes:
        tokenizer: Called as ``tokenizer(texts, add_special_tokens=False)``.
        stop: The token that ends an answer; by default the tokenizer's ``eos_token_id``.
    """

    tokenizer: Any = field(repr=False)
    stop: int | None = None
    _tokens: dict[str, tuple[int, ...]] = field(default_factory=dict, repr=False)
    _tries: dict[tuple[str, ...], _Branch] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.stop is None:
            object.__setattr__(self, "stop", getattr(self.tokenizer, "eos_token_id", None))

    def tokens(self, text: str) -> tuple[int, ...]:
        """Tokens of a piece of text, without special tokens; none for spaces that vanish.

        Raises:
            UsageError: If the vocabulary has no token for a part of it.
        """
        return self._tokens_of((text,))[0]

    def trie(self, texts: tuple[str, ...]) -> _Branch:
        """The alternatives as a tree of tokens.

        Raises:
            UsageError: If there are none, or two of them have the same tokens.
        """
        found = self._tries.get(texts)
        if found is None:
            endings = list(zip(self._tokens_of(texts), texts, strict=True))
            if not endings or len({tokens for tokens, _ in endings}) < len(endings):
                raise UsageError(
                    f"expected alternatives that differ in their tokens, found {texts[:8]}"
                )
            if len(self._tries) >= _MOST_TRIES:
                self._tries.clear()
            found = self._tries[texts] = _Branch(endings, 0)
        return found

    def _tokens_of(self, texts: tuple[str, ...]) -> list[tuple[int, ...]]:
        """Tokens of several texts, asking the tokenizer once for all that are new."""
        new = [text for text in texts if text not in self._tokens]
        if new:
            unknown = getattr(self.tokenizer, "unk_token_id", None)
            rows = self.tokenizer(new, add_special_tokens=False)["input_ids"]
            for text, row in zip(new, rows, strict=True):
                if unknown is not None and unknown in row:
                    raise UsageError(
                        f"this vocabulary has no tokens for {text!r}; choose another answer "
                        "grammar or another tokenizer"
                    )
                self._tokens[text] = tuple(row)
        return [self._tokens[text] for text in texts]


def begin(grammar: Grammar, vocabulary: Vocabulary) -> Position:
    """The first place of an answer.

    Raises:
        UsageError: Here or further on, if the vocabulary cannot write a slot.

    Example:
        >>> class Letters:
        ...     eos_token_id = 0
        ...     def __call__(self, texts, add_special_tokens):
        ...         return {"input_ids": [[ord(sign) for sign in text] for text in texts]}
        >>> slots = [Literal("a "), Choice(("cat", "cow"))]
        >>> place = begin(lambda done: (slots + [None])[len(done)], Vocabulary(Letters()))
        >>> for sign in "a c":
        ...     place = place.after(ord(sign))
        >>> [chr(token) for token in place.allowed]
        ['a', 'o']
    """
    return _next(grammar, vocabulary, ())


class _Branch:
    """A node of a tree of tokens: the alternatives that share their first ``depth`` tokens."""

    __slots__ = ("_children", "_depth", "_endings", "text")

    def __init__(self, endings: list[tuple[tuple[int, ...], str]], depth: int) -> None:
        self._endings = endings
        self._depth = depth
        self._children: dict[int, _Branch] | None = None
        self.text = next((text for tokens, text in endings if len(tokens) == depth), None)
        """The alternative that ends here."""

    @property
    def children(self) -> dict[int, _Branch]:
        """The tokens with which alternatives go on, ascending, and where they lead."""
        if self._children is None:
            depth = self._depth
            groups: dict[int, list[tuple[tuple[int, ...], str]]] = {}
            for ending in self._endings:
                if len(ending[0]) > depth:
                    groups.setdefault(ending[0][depth], []).append(ending)
            self._children = {token: _Branch(groups[token], depth + 1) for token in sorted(groups)}
        return self._children


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """Within a slot.

    Attributes:
        grammar: The rules.
        vocabulary: Tokens of texts.
        taken: Texts of the slots before.
        branch: What is left of the slot's alternatives; there is at least one token to come.
    """

    grammar: Grammar
    vocabulary: Vocabulary
    taken: tuple[str, ...]
    branch: _Branch

    @property
    def allowed(self) -> tuple[int, ...]:
        """See :class:`Position`."""
        if self.branch.text is None:
            return tuple(self.branch.children)
        after_slot = self._next_slot(self.branch.text).allowed or (self._stop(),)
        return tuple(sorted({*self.branch.children, *after_slot}))

    def after(self, token: int) -> Position:
        """See :class:`Position`."""
        child = self.branch.children.get(token)
        if child is not None:
            if child.children:
                return _Place(self.grammar, self.vocabulary, self.taken, child)
            assert child.text is not None
            return self._next_slot(child.text)
        if self.branch.text is not None:
            following = self._next_slot(self.branch.text)
            if following.allowed:
                return following.after(token)
            if token == self.vocabulary.stop:
                return following
        raise _not_allowed(token, self.allowed)

    def _next_slot(self, text: str) -> Position:
        return _next(self.grammar, self.vocabulary, (*self.taken, text))

    def _stop(self) -> int:
        if self.vocabulary.stop is None:
            raise UsageError(
                "an answer of this grammar may end where it may also go on, and the vocabulary "
                "has no token for the end; give it one as Vocabulary(tokenizer, stop=...)"
            )
        return self.vocabulary.stop


class _Over:
    """Behind the last slot."""

    allowed: tuple[int, ...] = ()

    def after(self, token: int) -> Position:
        """See :class:`Position`."""
        raise _not_allowed(token, ())


def _next(grammar: Grammar, vocabulary: Vocabulary, taken: tuple[str, ...]) -> Position:
    """The place at the beginning of the slot behind those taken."""
    while True:
        slot = grammar(taken)
        if slot is None:
            return _Over()
        texts = (slot.text,) if isinstance(slot, Literal) else slot.texts
        branch = vocabulary.trie(texts)
        if branch.children:
            return _Place(grammar, vocabulary, taken, branch)
        taken = (*taken, texts[0])  # nothing but spaces that vanish


def _not_allowed(token: int, allowed: tuple[int, ...]) -> UsageError:
    some = ", ".join(map(str, allowed[:8])) + (", ..." if len(allowed) > 8 else "")
    return UsageError(
        f"expected one of {len(allowed)} tokens ({some}) here, found {token}"
        if allowed
        else f"expected no token, the answer is over, found {token}"
    )


def as_logits_processor(
    start: Position | Sequence[Position], prompt_length: int, stop: int
) -> Callable[[Any, Any], Any]:
    """The grammar as a logits processor for ``generate`` of transformers.

    Args:
        start: First place of the answers: one for all rows, or one a prompt, in the order of the
            prompts (each of them may have several rows: beams, ``num_return_sequences``).
        prompt_length: Tokens of the prompts, padding included; what stands behind is the answer.
        stop: The token that ends an answer.

    Returns:
        A function from tokens (B, L) and scores (B, V) to scores (B, V) in which everything that
        the grammar does not allow is minus infinity.
    """
    starts = list(start) if isinstance(start, Sequence) else [start]
    return _Mask(starts, prompt_length, stop)


@dataclass(slots=True, eq=False)
class _Mask:
    """See :func:`as_logits_processor`; remembers the places of the rows of the last call."""

    starts: list[Position]
    prompt_length: int
    stop: int
    _known: dict[tuple[int, tuple[int, ...]], Position] = field(default_factory=dict)

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        masked = scores.new_full(scores.shape, -float("inf"))
        rows = input_ids[:, self.prompt_length :].tolist()
        known = {}
        for row, tokens in enumerate(rows):
            prompt = row * len(self.starts) // len(rows)
            answer = tuple(tokens)
            place = known[prompt, answer] = self._place(prompt, answer)
            allowed = list(place.allowed) or [self.stop]
            masked[row, allowed] = scores[row, allowed]
        self._known = known
        return masked

    def _place(self, prompt: int, answer: tuple[int, ...]) -> Position:
        """The place behind an answer so far; an answer that is over stays over."""
        place = self._known.get((prompt, answer[:-1])) if answer else None
        if place is None:
            place, behind = self.starts[prompt], answer
        else:
            behind = answer[-1:]
        for token in behind:
            place = place.after(token) if place.allowed else place
        return place
