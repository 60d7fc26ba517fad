"""The procedural world: short clips of moving figures with exact tubes, masks and sentences.

A clip is planned first (:func:`plan_clip`: who is where when, in a picture of 64 x 64 units) and
drawn afterwards at any size (:func:`draw_clip`), so that training sees small pictures made in
memory and files for people are large and crisp. Objects share colour, kind or action with others at
other times, so a sentence needs both appearance and time. It is a place to compare methods at equal
budget, not a substitute for natural video.

Randomness comes from the text ``split/seed/level/index`` alone: the same words give the same clip
everywhere. The seed of the test split is fixed here and used for nothing else.
"""

from stvg.data.world.draw import DrawnClip, draw_clip
from stvg.data.world.parts import FPS, LEVELS, UNITS, ClipPlan, Event, Figure, Level, Sentence
from stvg.data.world.plan import plan_clip

__all__ = [
    "FPS",
    "LEVELS",
    "UNITS",
    "ClipPlan",
    "DrawnClip",
    "Event",
    "Figure",
    "Level",
    "Sentence",
    "draw_clip",
    "plan_clip",
]
