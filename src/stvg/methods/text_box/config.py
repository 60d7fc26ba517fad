"""Options of ``text_box``."""

from __future__ import annotations

from stvg.methods.text_answer import TextAnswerConfig


class TextBoxConfig(TextAnswerConfig):
    """Those of all methods that answer with text."""
