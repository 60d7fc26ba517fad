"""Grammars of three blocks in tags: interval, a draft of the boxes, the boxes.

:class:`Drafted` finds the blocks and puts together what they mean; what stands inside them is read
by the grammars of STVG-o1 (:mod:`stvg.text.codecs.o1`, :mod:`stvg.text.codecs.o1_compact`).
"""

from __future__ import annotations

import re
from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

from stvg.types import Tube

from .answers import Parsed, shortened
from .codec import Codec
from .view import View


@dataclass(frozen=True, slots=True)
class Blocks:
    """The text inside the tags of an answer.

    Attributes:
        parts: Interval, draft and final boxes; None for what is not there.
        faults: What is wrong with the blocks, in words.
        cut: Number of the part in which the text ends, or None.
    """

    parts: tuple[str | None, str | None, str | None]
    faults: tuple[str, ...] = ()
    cut: int | None = None


class Drafted(Codec):
    """A grammar of three blocks: interval, draft, boxes.

    Attributes:
        tags: Names of the three tags; a space may be read for an underscore.
        pattern: The whole answer where nothing had to be forgiven, white space aside.
    """

    tags: ClassVar[tuple[str, str, str]]
    pattern: ClassVar[re.Pattern[str]]

    @abstractmethod
    def render(self, tube: Tube, view: View, draft: Tube | None = None) -> str:
        """See :meth:`Codec.render`; without a ``draft`` the tube is its own.

        Of the draft only the boxes count: it is written at the steps of the tube's interval.
        """

    @abstractmethod
    def read_lists(self, blocks: Blocks, view: View) -> Lists | None:
        """What the draft and the final boxes mean; None where there is no interval to be had.

        Args:
            blocks: At least one of its parts is there.
            view: How the model saw the clip.
        """

    def parse(self, text: str, view: View) -> Parsed:
        """See :meth:`Codec.parse`; the draft is always there, perhaps with a problem.

        ``form.lacks`` is None only where interval, draft and final boxes were written. The draft
        does not stand in for missing boxes: that is for :meth:`Parsed.or_draft`.
        """
        blocks = self.blocks(text)
        has_blocks = any(part is not None for part in blocks.parts)
        lists = self.read_lists(blocks, view) if has_blocks else None
        if lists is None:
            problem = f"expected {self.looks_like}, found {shortened(text)!r}"
            if not text.strip():
                problem = "the answer is empty"
            nothing = Parsed(None, None, problem="there is no draft")
            return Parsed(None, None, blocks.faults, problem, draft=nothing)
        final, draft = lists.final, lists.draft
        faults = [*blocks.faults, final.form.fault, draft.form.fault, lists.lacks]
        fault = "; ".join(dict.fromkeys(filter(None, faults))) or None
        if fault is None and self.pattern.fullmatch(text.strip()) is None:
            fault = "signs that are not of the form"
        form = replace(final.form, fault=fault, lacks=lists.lacks)
        repairs = tuple(dict.fromkeys((*blocks.faults, *final.repairs)))
        return replace(final, repairs=repairs, form=form, draft=draft)

    def blocks(self, text: str) -> Blocks:
        """Find the blocks; of several of a kind the last one.

        A block that is not closed goes to the next tag.
        """
        names = "|".join(tag.replace("_", "[_ ]") for tag in self.tags)
        pieces = re.split(rf"(<\s?/?\s?(?:{names})\s?>)", text, flags=re.IGNORECASE)
        found: dict[int, str] = {}
        faults: dict[str, None] = {}
        order: list[int] = []
        around = [pieces[0]]
        opened: int | None = None
        for tag, content in zip(pieces[1::2], pieces[2::2], strict=True):
            kind = self.tags.index(re.sub(r"[</>]", "", tag).strip().lower().replace(" ", "_"))
            closes = kind if "/" in tag else None
            if opened not in (None, closes):
                faults[f"<{self.tags[opened or 0]}> is not closed"] = None
            if closes is not None:
                opened = None
                around.append(content)
            else:
                found[kind], opened = content, kind
                order.append(kind)
        if opened is not None:
            faults[f"<{self.tags[opened]}> is not closed"] = None
        if order != sorted(set(order)):
            faults["blocks repeated or in another order"] = None
        if any(part.strip() for part in around):
            faults["ignored text around the answer"] = None
        return Blocks((found.get(0), found.get(1), found.get(2)), tuple(faults), opened)


@dataclass(frozen=True, slots=True, eq=False)
class Lists:
    """What the two lists of an answer mean.

    Attributes:
        draft: The first one.
        final: The second one.
        lacks: What of interval, draft and boxes was not written, in words, or None.
    """

    draft: Parsed
    final: Parsed
    lacks: str | None


def lacking(*, interval: bool, draft: bool, boxes: bool) -> str | None:
    """Words for what is not there, or None.

    Example:
        >>> lacking(interval=True, draft=False, boxes=False)
        'no draft and no boxes'
    """
    parts = (("interval", interval), ("draft", draft), ("boxes", boxes))
    return " and ".join(f"no {name}" for name, is_there in parts if not is_there) or None
