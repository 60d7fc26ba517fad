"""Rewards: what an answer is worth, with the reason, for reinforcement learning.

``find_reward`` gives one by name, :class:`Mix` adds several up, ``as_trl`` and ``FromTrl`` go
between our calling convention and TRL's. No torch is needed.

Example:
    >>> from stvg.text import View, find_codec
    >>> from stvg.types import Interval, Tube
    >>> view = View([0.5, 1.5], [0.0, 1.0, 2.0], (640, 480), (224, 168), frames_per_step=1)
    >>> target = Target((Tube(Interval(0, 1), [0.5], [[0, 0, 320, 240]]),), view.size)
    >>> answer = Answer.of("<t_0> <t_2> : <t_0> 0 0 50 50 <t_1> 0 0 50 50",
    ...                    find_codec("compact"), view)
    >>> find_reward("temporal")([answer], [target])
    [Score(value=0.5, reason='0 to 2 s against 0 to 1 s: 0.500', failed=False)]
"""

from .base import Answer as Answer
from .base import Reward as Reward
from .base import Score as Score
from .base import Target as Target
from .catalogue import available_rewards as available_rewards
from .catalogue import find_reward as find_reward
from .mix import Mix as Mix
from .mix import Total as Total
from .presets import RewardsConfig as RewardsConfig
from .presets import StvgO1Rewards as StvgO1Rewards
from .presets import StvgR1Rewards as StvgR1Rewards
from .trl import FromTrl as FromTrl
from .trl import InTrl as InTrl
from .trl import as_trl as as_trl
from .trl import trl_columns as trl_columns
