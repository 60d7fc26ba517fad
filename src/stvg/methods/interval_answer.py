"""What methods share whose text says when and nothing else; boxes come from what they learn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stvg.methods.text_answer import TextAnswer
from stvg.rewards import Answer as Judged
from stvg.rewards import Target
from stvg.text import View
from stvg.text.answers import Parsed
from stvg.text.timed import find_timed
from stvg.types import Query, Tube


class IntervalAnswer(TextAnswer):
    """A method whose grammar is one of intervals; see the module.

    Attributes:
        is_stamped: Whether the time of each step stands between the pictures.
    """

    is_stamped: bool = False

    def find_grammar(self, name: str) -> Any:
        """The grammar of intervals of a name."""
        return find_timed(name)

    def prompt(self, query: Query, view: View) -> str:
        """What to answer, and the sentence; the sentence alone for a grammar that is trained."""
        instruction = self.codec.instruction(view, stamped=self.is_stamped)
        return f'{instruction}\nThe sentence: "{query.text}"' if instruction else query.text

    def write(self, truth: Target, view: View, seed: int) -> str:
        """The interval."""
        del seed
        text: str = self.codec.render(truth.tubes[0].interval, view)
        return text

    def read(self, text: str, view: View, marked: Mapping[int, Tube]) -> Judged:
        """The interval; the boxes are not in the text."""
        del marked
        timing = self.codec.parse(text, view)
        problem = timing.problem or "the text alone holds no boxes"
        return Judged(text, Parsed(None, timing.interval, timing.repairs, problem))
