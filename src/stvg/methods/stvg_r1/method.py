"""STVG-R1 (arXiv 2602.11730): objects carry painted numbers; the model names one and an interval.

A front end without any training finds, follows and numbers the objects and keeps their boxes; the
model sees the numbers and never writes a coordinate. GRPO pays for the number, the time and the
form (:class:`stvg.rewards.StvgR1Rewards`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np

from stvg.backbones.asking import Pixels
from stvg.errors import UsageError
from stvg.methods.base import Plan
from stvg.methods.stvg_r1.config import StvgR1Config
from stvg.methods.stvg_r1.readout import READ_OUTS, ReadOut, sights_of, with_masks_of
from stvg.methods.text_answer import Encoded, TextAnswer
from stvg.perception.matching import match_target
from stvg.perception.numbering import without_small
from stvg.perception.painting import PaintStyle, boxes_in_frames, masks_in_frames, paint
from stvg.perception.prepared import FrontEnd
from stvg.rewards import Answer, StvgR1Rewards, Target
from stvg.text import Parsed, Position, View
from stvg.text.numbered import Naming, find_numbered
from stvg.types import Clip, FloatArray, Interval, Query, Tube, VideoMeta


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
        codec = self.codec
        several = self.asks(query) == "objects"
        instruction = codec.instruction_for_all(view) if several else codec.instruction(view)
        if not instruction:
            return f"which number : {query.text}"
        return f'The sentence is: "{query.text.rstrip(".")}"\n{instruction}'

    def asks(self, query: Query) -> str:
        """What a query asks for, see :class:`stvg.types.Query`; the option overrules it."""
        return self.config.asks or query.asks

    def marked(self, clip: Clip) -> Mapping[int, Tube]:
        """The numbered objects, a box for each frame of the video in which one is seen."""
        assert clip.numbered is not None, "the plan asks for numbered objects"
        tracks = clip.numbered
        if self.config.repair == "authors":
            tracks = replace(tracks, corrections=())  # their read-out knows none
        return sights_of(tracks, clip.meta)

    def encode(
        self,
        clip: Clip,
        query: Query,
        target: Tube | Sequence[Tube] | None = None,
        *,
        seed: int = 0,
        outside: Tube | None = None,
    ) -> Encoded:
        """See :class:`TextAnswer`; several targets for a query about several objects."""
        del outside
        return super().encode(clip, query, cast("Any", target), seed=seed)

    def truth(
        self, target: Tube | Sequence[Tube], clip: Clip, marked: Mapping[int, Tube]
    ) -> Target:
        """The tubes, and the numbers of the objects that they show, where each has one."""
        assert clip.numbered is not None
        tubes = [target] if isinstance(target, Tube) else list(target)
        found = [
            match_target(
                clip.meta.frame_at(tube.times_s), tube.boxes, clip.numbered, self.config.match
            ).id
            for tube in tubes
        ]
        numbers = tuple(sorted({number for number in found if number is not None}))
        first = None if None in found else found[0]
        return replace(
            super().truth(tubes[0], clip, marked),
            tubes=tuple(tubes),
            number=first,
            numbers=numbers if first is not None and len(tubes) > 1 else (),
        )

    def write(self, truth: Target, view: View, seed: int) -> str:
        """Number or numbers, and the interval."""
        del seed
        if truth.number is None:
            raise UsageError("none of the painted numbers is the target's")
        numbers = truth.numbers or (truth.number,)
        text: str = self.codec.render(numbers, truth.tubes[0].interval, view)
        return text

    def grammar(self, view: View, marked: Mapping[int, Tube]) -> Position | None:
        """A painted number and an interval, or None for anything."""
        if not self.config.constrained:
            return None
        found: Position | None = self.codec.grammar(view, self.vocabulary, list(marked))
        return found

    def read(self, text: str, view: View, marked: Mapping[int, Tube]) -> Answer:
        """The boxes of the object that is named, in the frames of the interval known here.

        Without the video's own frame times these are those that were sampled or show an object.
        """
        naming: Naming = self.codec.parse(text, view)
        times_s = [view.times_s, *(tube.times_s for tube in marked.values())]
        return self._meant(text, naming, marked, np.unique(np.concatenate(times_s)), view)

    def read_for(self, query: Query, text: str, encoded: Encoded, clip: Clip) -> Answer:
        """The boxes in all frames of the interval; of objects without a time, of the video."""
        naming: Naming = self.codec.parse(text, encoded.view)
        if self.asks(query) != "tube":
            if naming.numbers and not encoded.marked:
                return Answer(text, Parsed(None, None, naming.repairs, "no object was found"))
            if naming.numbers and not self.config.use_range:
                whole = Interval(0.0, clip.meta.duration_s)
                naming = replace(naming, interval=whole, problem=None)
        return self._meant(text, naming, encoded.marked, clip.meta.times_s, encoded.view)

    def details(self, read: Answer, encoded: Encoded, clip: Clip) -> Mapping[str, Any] | None:
        """``numbers`` that the answer names, and ``tracks``: the objects that carry them."""
        assert clip.numbered is not None
        numbers = self.codec.parse(read.text, encoded.view).numbers
        labels = {track.id: track.label for track in clip.numbered.tracks}
        carried = [
            {"track": number, "label": labels[number]} for number in numbers if number in labels
        ]
        return {"numbers": list(numbers), "tracks": carried} if numbers else None

    def _meant(
        self,
        text: str,
        naming: Naming,
        marked: Mapping[int, Tube],
        times_s: FloatArray,
        view: View,
    ) -> Answer:
        """What an answer means in the frames of these times."""
        first = naming.numbers[0] if naming.numbers else None
        repairs, tube, problem = [*naming.repairs], None, naming.problem
        carried = [number for number in naming.numbers if number in marked]
        unknown = [number for number in naming.numbers if number not in marked]
        if unknown and marked:
            problem = f"no object carries the number {_listed(unknown)}, only {_listed(marked)}"
            if carried:
                repairs.append(problem)
        if naming.interval is not None and (carried or (first is not None and not marked)):
            found = self._read_out(marked, carried, naming.interval, times_s, view)
            tube, repairs = found.tube, [*repairs, *found.repairs]
        parsed = Parsed(tube, naming.interval, tuple(repairs), problem if tube is None else None)
        return Answer(text, parsed, first)

    def _read_out(
        self,
        marked: Mapping[int, Tube],
        numbers: Sequence[int],
        interval: Interval,
        times_s: FloatArray,
        view: View,
    ) -> ReadOut:
        """The boxes and masks that numbers and an interval stand for."""
        if not marked:
            whole = np.array([[0.0, 0.0, *view.size]])
            tube = Tube(interval, np.array([interval.start_s]), whole)
            return ReadOut(tube, ("no object was found: the boxes are the whole picture",))
        begun: tuple[str, ...] = ()
        if not interval.mask(times_s).any():
            before_s = times_s[times_s <= interval.start_s]
            if len(before_s):
                interval = Interval(float(before_s[-1]), interval.end_s)
                begun = ("no frame appears in the interval: begun at the one on screen",)
            times_s = np.array([interval.start_s])
        found = READ_OUTS[self.config.repair](marked, numbers[0], interval, times_s)
        found = replace(found, repairs=(*begun, *found.repairs))
        if len(numbers) == 1 or found.tube is None:
            return found
        united = with_masks_of(found.tube, [marked[number] for number in numbers[1:]])
        named = f"the numbers {tuple(numbers)}"
        told = f"took the first of {named}"
        if united.masks is not None:
            told = f"took the boxes of the first and the masks of all of {named}"
        return ReadOut(united, (told, *found.repairs))

    def _make_pixels(self, clip: Clip) -> Pixels:
        """The clip with numbers on it, as the vision tower takes it."""
        assert clip.numbered is not None
        tracks, frames = clip.numbered, clip.frame_indices
        if self.config.small:
            tracks = without_small(tracks, self.config.small)
        painted = paint(
            np.asarray(clip.frames),
            boxes_in_frames(tracks, frames, clip.size),
            masks_in_frames(tracks, frames),
            PaintStyle.for_model(max(clip.size)),
        )
        return super()._make_pixels(replace(clip, frames=painted))


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(str(number) for number in sorted(numbers))
