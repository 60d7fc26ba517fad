"""``text_box``: the interval and the boxes as text.

The baseline of all methods with a language model: nothing is added to the backbone, supervised
fine-tuning teaches the grammar, and an instruction-tuned model that knows a grounding format of its
own answers in that one without any training.
"""

from __future__ import annotations

from stvg.methods.text_answer import TextAnswer
from stvg.methods.text_box.config import TextBoxConfig
from stvg.rewards import StvgO1Rewards


class TextBox(TextAnswer):
    """See the module; options in :class:`TextBoxConfig`."""

    name = "text_box"
    options = TextBoxConfig
    rewards = StvgO1Rewards
