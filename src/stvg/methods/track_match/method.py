"""``track_match``: detector, tracker, and a sentence split into checkable cues; no language model.

A baseline that runs anywhere in seconds, shows its reasons, and sets the mark that a language
model has to beat. It answers with one tracked object and the stretch of time in which the motion
words hold; without motion words, with the whole time from the object's first to last sighting.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from stvg.geometry.boxes import clip_boxes
from stvg.geometry.tubes import densify
from stvg.methods.base import Method, Plan, ScenePlan
from stvg.methods.track_match.config import TrackMatchConfig
from stvg.methods.track_match.cues import appearances, blink_of
from stvg.methods.track_match.language import ParsedQuery, Thing, is_body_part, parse_query
from stvg.methods.track_match.scoring import Candidate, rank_candidates
from stvg.types import Clip, Interval, Prediction, Query, Scene, SceneObject, Tube, VideoMeta

_MISFIT = 0.2  # a cue below this speaks against the answer, which then says so


@dataclass(frozen=True, slots=True)
class Output:
    """What the matching gives for one query: the sentence in cues and the ranked objects."""

    parsed: ParsedQuery
    candidates: list[Candidate]


class TrackMatch(Method):
    """See the module; options in :class:`TrackMatchConfig`."""

    name = "track_match"
    options = TrackMatchConfig

    def __init__(self, config: TrackMatchConfig | None = None) -> None:
        self.config = config or TrackMatchConfig()

    @classmethod
    def create(cls, model: str | None = None, assignments: Sequence[str] = ()) -> Self:
        """Build from a detector's name and ``key=value`` options; see :class:`Method`."""
        values = {"detector": model} if model else {}
        return cls(TrackMatchConfig.from_assignments(assignments, **values))

    def plan(self, meta: VideoMeta, query: Query) -> Plan:
        """All objects of the video; an open-vocabulary detector is asked for the nouns."""
        del meta
        parsed = parse_query(query.text)
        nouns = (parsed.target.word, *(relation.other.word for relation in parsed.relations))
        words = tuple(noun for noun in nouns if noun)
        return Plan(
            scene=ScenePlan(
                self.config.detector, self.config.threshold, self.config.tracking, words
            )
        )

    def encode(
        self, clip: Clip, query: Query, target: Tube | None = None, *, seed: int = 0
    ) -> tuple[ParsedQuery, Scene]:
        """The sentence in cues, with nouns bound to what the detector was looking for."""
        del target, seed  # nothing is trained
        assert clip.scene is not None, "the plan asks for a scene"
        return bind_nouns(parse_query(query.text), clip.scene), clip.scene

    def run(self, encoded: Sequence[tuple[ParsedQuery, Scene]]) -> list[Output]:
        """Rank the objects for each query."""
        return [
            Output(parsed, rank_candidates(parsed, scene, self.config) if parsed.target.classes
                   else [])
            for parsed, scene in encoded
        ]  # fmt: skip

    def decode(self, output: Output, clip: Clip, query: Query) -> Prediction:
        """The best object as a tube, or the reason why there is none."""
        scene = clip.scene
        assert scene is not None
        common: dict[str, Any] = {
            "query": query,
            "video": clip.meta,
            "method": self.name,
            "model": scene.detector,
        }
        sure = [
            candidate
            for candidate in output.candidates
            if candidate.cues["confidence"] >= self.config.min_confidence
        ]
        reason = self._why_nothing(output, sure, scene)
        if reason is not None:
            return Prediction(
                tube=None, warnings=(reason,), details=self._details(output), **common
            )
        output, best = replace(output, candidates=sure), sure[0]
        tube = self._tube(best, scene)
        return Prediction(
            tube=tube,
            score=round(best.score, 4),
            warnings=tuple(self._warnings(output, tube, best, scene)),
            details=self._details(output),
            **common,
        )

    def _why_nothing(self, output: Output, sure: Sequence[Candidate], scene: Scene) -> str | None:
        """Why none of the surely seen objects is the answer, or None when one is."""
        noun, count = output.parsed.target.word, len(scene.objects)
        if not noun:
            return f"nothing found: {self.name} reads English, and the sentence has no English word"
        if not set(output.parsed.target.classes) & set(scene.classes):
            return (
                f"nothing found: {noun!r} is not among the {len(scene.classes)} classes that "
                f"{scene.detector} knows; an open-vocabulary detector looks for any word, e.g. "
                "--model IDEA-Research/grounding-dino-tiny"
            )
        if output.candidates and not sure:
            most = max(candidate.cues["confidence"] for candidate in output.candidates)
            return (
                f"nothing found: {scene.detector} is not sure that it saw {noun!r} (mean "
                f"confidence {most:.2f} at most, min_confidence asks for "
                f"{self.config.min_confidence:g})"
            )
        if not sure:
            others = sorted({item.track.label for item in scene.objects})
            seen = f"{count} others: {', '.join(others)}" if others else "no objects at all"
            return f"nothing found: {scene.detector} saw no {noun!r} in the video ({seen})"
        for name in sure[0].cues:
            best = max(candidate.cues[name] for candidate in sure)
            if name.startswith("colour") and best < self.config.min_colour:
                return (
                    f"nothing found: of {len(sure)} objects that may be {noun!r} none shows "
                    f"the {name} (best score {best:.2f})"
                )
        return None

    def _tube(self, best: Candidate, scene: Scene) -> Tube:
        """The object's boxes within the answer's interval, one for every source frame."""
        meta, track = scene.video, best.item.track
        interval = _extent(best.item, scene)
        if best.span is not None:
            start = max(best.span[0], interval.start_s)
            end = min(best.span[1], interval.end_s)
            first, last = (int(i) for i in meta.frame_at(np.array([start, end - 1e-3])))
            interval = meta.span_of(first, max(first, last) + 1)
        frames = np.flatnonzero(interval.mask(meta.times_s))
        whole = Tube(
            _extent(best.item, scene),
            track.times_s(meta),
            clip_boxes(track.boxes, meta.width, meta.height),
            scores=track.scores,
        )
        dense = densify(whole, meta.times_s)
        inside = np.isin(dense.times_s, meta.times_s[frames])
        assert dense.scores is not None
        assert dense.interpolated is not None
        return Tube(
            interval,
            dense.times_s[inside],
            np.round(dense.boxes[inside], 2),
            scores=np.round(dense.scores[inside], 4),
            interpolated=dense.interpolated[inside],
        )

    def _warnings(self, output: Output, tube: Tube, best: Candidate, scene: Scene) -> list[str]:
        """What a reader must know about an answer that was found."""
        parsed, notes = output.parsed, []
        assert tube.interpolated is not None
        seen = tube.times_s[~tube.interpolated]
        stretches = appearances(seen, blink_of(scene)) if len(seen) else []
        notes += [
            f"not seen from {seen[last]:.2f} s to {seen[following]:.2f} s; the boxes there are "
            "interpolated"
            for (_, last), (following, _) in itertools.pairwise(stretches)
        ]
        if best.unseen:
            notes.append(f"never seen: {', '.join(best.unseen)}; the interval does not follow it")
        misfits = [
            f"{name} ({value:.2f})"
            for name, value in best.cues.items()
            if value < _MISFIT and name not in best.unseen
        ]
        if misfits:
            notes.append(f"hardly fits the sentence: {', '.join(misfits)}")
        if is_body_part(parsed.target):
            notes.append(f"{parsed.target.word!r} is drawn as the whole person")
        if parsed.unused:
            notes.append(f"words without a cue: {', '.join(parsed.unused)}")
        return notes

    def _details(self, output: Output) -> dict[str, Any]:
        """The score per cue of the answer and of the objects it was chosen from."""
        ranked = output.candidates[: self.config.candidates]
        return {
            "cues": ranked[0].cues if ranked else {},
            "candidates": [
                {
                    "track": candidate.item.track.id,
                    "label": candidate.item.track.label,
                    "score": round(candidate.score, 4),
                    "cues": candidate.cues,
                }
                for candidate in ranked
            ],
            "unused_words": list(output.parsed.unused),
        }


def bind_nouns(parsed: ParsedQuery, scene: Scene) -> ParsedQuery:
    """Nouns that the detector itself goes by count as classes of their own.

    Those are the words that an open-vocabulary detector was asked for, or classes outside the
    lexicon. A relation to a noun that nobody knows is no cue.
    """

    def bind(thing: Thing) -> Thing:
        if thing.word in scene.classes:
            return replace(thing, classes={**thing.classes, thing.word: 1.0})
        return thing

    relations = [replace(item, other=bind(item.other)) for item in parsed.relations]
    known = tuple(item for item in relations if item.other.classes)
    bound = {item.other.word for item in known} | {parsed.target.word}
    unused = tuple(word for word in parsed.unused if word not in bound)
    return replace(parsed, target=bind(parsed.target), relations=known, unused=unused)


def _extent(item: SceneObject, scene: Scene) -> Interval:
    """From the first sighting to the end of the last.

    The end is where the next frame that was looked at begins, so that looking at every third
    frame does not shorten the answer.
    """
    meta, frames = scene.video, item.track.frames
    later = scene.frames_seen[scene.frames_seen > frames[-1]]
    return meta.span_of(int(frames[0]), int(later[0]) if len(later) else meta.frames)
