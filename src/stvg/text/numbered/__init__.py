"""Grammars of answers that name painted numbers; ``find_numbered`` gives one by name."""

from .base import Naming as Naming
from .base import Numbered as Numbered
from .catalogue import available_numbered as available_numbered
from .catalogue import find_numbered as find_numbered
