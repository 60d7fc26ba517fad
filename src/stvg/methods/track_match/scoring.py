"""Which object the sentence means, and when: one score per cue, all of them kept to be shown."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from stvg.methods.track_match import cues
from stvg.methods.track_match.config import TrackMatchConfig
from stvg.methods.track_match.language import ParsedQuery, Relation
from stvg.types import FloatArray, Scene, SceneObject

_TIMED_KINDS = ("approach", "recede")  # relations that say when, as motions do
_FULL_SIZE = 0.25  # side of an object, as a share of the picture's, that is as prominent as any
_SHORTEST_S = 0.8  # a motion seen for less than this counts for less


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """An object of the right class with its scores.

    Attributes:
        item: The object.
        score: All together, in [0, 1].
        cues: Score in [0, 1] by cue, in the order of the sentence.
        span: Stretch ``[first, end)`` of the time grid in which the timed cues hold, or None when
            the sentence has none or they are never seen.
        unseen: Timed cues that were never seen on this object.
    """

    item: SceneObject
    score: float
    cues: dict[str, float]
    span: tuple[float, float] | None = None
    unseen: tuple[str, ...] = ()


@dataclass(slots=True)
class _Scores:
    """Scores of one object while they are gathered."""

    fixed: dict[str, float] = field(default_factory=dict)
    timed: dict[str, FloatArray] = field(default_factory=dict)


def rank_candidates(parsed: ParsedQuery, scene: Scene, config: TrackMatchConfig) -> list[Candidate]:
    """Objects whose class fits the noun, best first.

    Args:
        parsed: The sentence; its target has classes.
        scene: What perception found.
        config: Weights and limits.
    """
    paths = {item.track.id: cues.make_path(item, scene) for item in scene.objects}
    fits = {item.track.id: cues.class_score(parsed.target, item) for item in scene.objects}
    rivals = [item for item in scene.objects if fits[item.track.id] >= config.min_class]
    sizes = [paths[item.track.id] for item in rivals]
    candidates = []
    for item in rivals:
        number = item.track.id
        gathered = _gather(parsed, item, paths)
        gathered.fixed |= {
            word: cues.size_score(word, paths[number], sizes) for word in parsed.target.sizes
        }
        candidates.append(_weigh(fits[number], gathered, item, paths[number], config))
    return sorted(candidates, key=lambda candidate: -candidate.score)


def _gather(parsed: ParsedQuery, item: SceneObject, paths: dict[int, cues.Path]) -> _Scores:
    """Every cue of the sentence on one object."""
    path, target = paths[item.track.id], parsed.target
    scores = _Scores()
    scores.fixed |= {f"colour {k}": v for k, v in cues.colour_scores(target, item).items()}
    scores.fixed |= {word: cues.position_score(word, path) for word in target.positions}
    for name in parsed.motions:
        scores.timed[f"motion {name}"] = cues.motion_signal(name, path)
    for relation in parsed.relations:
        label = f"{relation.kind} {relation.other.word}"
        signal = _relation(relation, item, paths)
        if relation.kind in _TIMED_KINDS:
            scores.timed[label] = signal
        else:
            seen = path.seen
            scores.fixed[label] = float(signal[seen].mean()) if seen.any() else 0.0
    return scores


def _relation(relation: Relation, item: SceneObject, paths: dict[int, cues.Path]) -> FloatArray:
    """The relation's signal with the other object that fits it best, (M,)."""
    path = paths[item.track.id]
    best = np.zeros(len(path.times_s))
    for number, other in paths.items():
        fit = cues.class_score(relation.other, other.source)
        if number == item.track.id or fit < 0.25:
            continue
        colours = cues.colour_scores(relation.other, other.source).values()
        weight = fit * float(np.mean(list(colours))) if colours else fit
        signal = weight * cues.relation_signal(relation, path, other)
        if signal.sum() > best.sum():
            best = signal
    return best


def _weigh(
    fit: float, scores: _Scores, item: SceneObject, path: cues.Path, config: TrackMatchConfig
) -> Candidate:
    """Scores of the timed cues within their best stretch, and everything put together."""
    shown = dict(scores.fixed)
    seen = {k: v for k, v in scores.timed.items() if v.max(initial=0.0) >= config.min_motion}
    span = None
    if seen:
        mean = np.mean(list(seen.values()), axis=0)
        first, end = cues.best_segment(mean, 0.5 * float(mean.max()))
        step = path.times_s[1] - path.times_s[0] if len(path.times_s) > 1 else 0.1
        span = (float(path.times_s[first] - step / 2), float(path.times_s[end - 1] + step / 2))
        lasting = min(1.0, (span[1] - span[0]) / _SHORTEST_S)
        shown |= {name: lasting * float(signal[first:end].mean()) for name, signal in seen.items()}
    unseen = tuple(name for name in scores.timed if name not in seen)
    shown |= dict.fromkeys(unseen, 0.0)
    prominence = prominence_of(path)
    confidence = float(item.track.scores.mean())
    weight = config.prominence_weight
    together = (weight * prominence + sum(shown.values())) / (weight + len(shown))
    cue_scores = {"class": fit, "confidence": confidence, "prominence": prominence, **shown}
    rounded = {name: round(float(value), 3) for name, value in cue_scores.items()}
    return Candidate(item, min(1.0, fit * confidence**0.5 * together), rounded, span, unseen)


def prominence_of(path: cues.Path) -> float:
    """How long and how large an object is seen, in [0, 1]: mean of time share and size."""
    return (float(path.seen.mean()) + min(1.0, cues.size_of(path) / _FULL_SIZE)) / 2
