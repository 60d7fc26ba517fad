"""Answers in text: grammars that go from tubes to text and back, and decoding kept to them.

``find_codec`` gives a grammar by name; its ``parse`` takes what models really write and tells what
it forgave, its ``grammar`` gives the tokens that a model may write. No torch is needed.

Example:
    >>> from stvg.text import View, find_codec
    >>> view = View([0.5, 1.5], [0.0, 1.0, 2.0], (640, 480), (224, 168), frames_per_step=1)
    >>> parsed = find_codec("compact").parse("<t_0> <t_2> : <t_0> 50 10 25 20", view)
    >>> parsed.tube.boxes.tolist(), parsed.repairs
    ([[160.0, 48.0, 320.0, 96.0]], ('swapped corners in box 1', 'no box for 1 of 2 steps'))
"""

from .answers import Parsed as Parsed
from .catalogue import available_codecs as available_codecs
from .catalogue import find_codec as find_codec
from .codec import Codec as Codec
from .constrain import Position as Position
from .constrain import Vocabulary as Vocabulary
from .constrain import as_logits_processor as as_logits_processor
from .prompts import prompt_of as prompt_of
from .view import View as View
