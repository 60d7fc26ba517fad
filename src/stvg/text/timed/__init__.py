"""Grammars of answers that say when and nothing else; ``find_timed`` gives one by name."""

from .base import Timed as Timed
from .base import Timing as Timing
from .catalogue import available_timed as available_timed
from .catalogue import find_timed as find_timed
