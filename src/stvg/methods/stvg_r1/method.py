"""STVG-R1 (arXiv 2602.11730): objects carry painted numbers; the model names one and an interval.

A front end without any training finds, follows and numbers the objects and keeps their boxes; the
model sees the numbers and never writes a coordinate. GRPO pays for the number, the time and the
form (:class:`stvg.rewards.StvgR1Rewards`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from stvg.backbones.asking import Pixels
from stvg.errors import UsageError
from stvg.methods.base import Plan
from stvg.methods.stvg_r1.config import StvgR1Config
from stvg.methods.stvg_r1.readout import READ_OUTS, ReadOut
from stvg.methods.text_answer import TextAnswer
from stvg.perception.matching import match_target
from stvg.perception.numbering import without_small
from stvg.perception.painting import PaintStyle, boxes_in_frames, masks_in_frames, paint
from stvg.perception.prepared import FrontEnd
from stvg.rewards import Answer, StvgR1Rewards, Target
from stvg.text import Parsed, Position, View
from stvg.text.numbered import Naming, find_numbered
from stvg.types import Clip, Interval, Query, Tube, VideoMeta

_SMALL = 100
_WHITE = (255, 255, 255)


class StvgR1(TextAnswer):
    """See the module; options in :class:`StvgR1Config`."""

    name = "stvg_r1"
    options = StvgR1Config
    rewards = StvgR1Rewards

    def find_grammar(self, name: str) -> Any:
        """The grammar of painted numbers of a name."""
        return find_numbered(name)

    def plan(self, meta: VideoMeta, query: Query) -> Plan:
        """Frames spread over the whole video, and its objects with numbers."""
        config = self.config
        front_end = FrontEnd(config.detector, config.classes, config.threshold, config.numbering)
        return replace(super().plan(meta, query), numbered=front_end)

    def prompt(self, query: Query, view: View) -> str:
        """The sentence and what to answer; nothing but the sentence for a trained grammar."""
        if self.config.template is not None:
            template: str = self.config.template
            return template.format(query=query.text, duration=f"{view.end_s:.2f}")
        instruction = self.codec.instruction(view)
        if not instruction:
            return f"which number : {query.text}"
        return f'The sentence is: "{query.text.rstrip(".")}"\n{instruction}'

    def marked(self, clip: Clip) -> Mapping[int, Tube]:
        """The numbered objects, a box for each frame of the video in which one is seen."""
        assert clip.numbered is not None, "the plan asks for numbered objects"
        times_s, whole = clip.meta.times_s, Interval(0.0, clip.meta.duration_s)
        return {
            track.id: Tube(whole, times_s[track.frames], track.boxes)
            for track in clip.numbered.tracks
        }

    def truth(self, target: Tube, clip: Clip, marked: Mapping[int, Tube]) -> Target:
        """The tube, and the number of the object that it shows, where there is one."""
        assert clip.numbered is not None
        frames = clip.meta.frame_at(target.times_s)
        match = match_target(frames, target.boxes, clip.numbered, self.config.match)
        return replace(super().truth(target, clip, marked), number=match.id)

    def write(self, truth: Target, view: View, seed: int) -> str:
        """Number and interval."""
        del seed
        if truth.number is None:
            raise UsageError("none of the painted numbers is the target's")
        text: str = self.codec.render([truth.number], truth.tubes[0].interval, view)
        return text

    def grammar(self, view: View, marked: Mapping[int, Tube]) -> Position | None:
        """A painted number and an interval, or None for anything."""
        if not self.config.constrained:
            return None
        found: Position | None = self.codec.grammar(view, self.vocabulary, list(marked))
        return found

    def read(self, text: str, view: View, marked: Mapping[int, Tube]) -> Answer:
        """The boxes of the object that is named, in the interval."""
        naming: Naming = self.codec.parse(text, view)
        number = naming.numbers[0] if naming.numbers else None
        repairs, tube, problem = [*naming.repairs], None, naming.problem
        if len(naming.numbers) > 1:
            repairs.append(f"took the first of the numbers {naming.numbers}")
        if number is not None and naming.interval is not None:
            if marked and number not in marked:
                problem = f"no object carries the number {number}, only {_listed(marked)}"
            else:
                found = self._read_out(marked, number, naming.interval, view)
                tube, repairs = found.tube, [*repairs, *found.repairs]
        parsed = Parsed(tube, naming.interval, tuple(repairs), problem if tube is None else None)
        return Answer(text, parsed, number)

    def _read_out(
        self, marked: Mapping[int, Tube], number: int, interval: Interval, view: View
    ) -> ReadOut:
        """The boxes that a number and an interval stand for."""
        if not marked:
            whole = np.array([[0.0, 0.0, *view.size]])
            tube = Tube(interval, np.array([interval.start_s]), whole)
            return ReadOut(tube, ("no object was found: the boxes are the whole picture",))
        times = [view.times_s, *(tube.times_s for tube in marked.values())]
        middle = [(interval.start_s + interval.end_s) / 2]
        times_s = np.unique(np.concatenate([*times, middle]))
        return READ_OUTS[self.config.repair](marked, number, interval, times_s)

    def _make_pixels(self, clip: Clip) -> Pixels:
        """The clip with numbers on it, as the vision tower takes it."""
        assert clip.numbered is not None
        tracks, frames = clip.numbered, clip.frame_indices
        if self.config.small:
            tracks = without_small(tracks, self.config.small)
        side = max(clip.size)
        rim = _WHITE if side < _SMALL else None  # plain red is hard to read in few pixels
        style = PaintStyle(height=PaintStyle.height_for_model(side), rim=rim)
        painted = paint(
            np.asarray(clip.frames),
            boxes_in_frames(tracks, frames, clip.size),
            masks_in_frames(tracks, frames),
            style,
        )
        return super()._make_pixels(replace(clip, frames=painted))


def _listed(marked: Mapping[int, Tube]) -> str:
    return ", ".join(str(number) for number in sorted(marked))
