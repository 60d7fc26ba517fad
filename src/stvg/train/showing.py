"""Groups of answers as the live page shows them."""

from __future__ import annotations

import numpy as np

from stvg.backbones.preprocess import PatchLayout, unpatchify
from stvg.text import Parsed, View
from stvg.train.page import Sample, Shown, Written
from stvg.train.rollouts import Rollout
from stvg.train.rows import Batch
from stvg.types import Interval, Tube


def sample_of(rollout: Rollout, batch: Batch, layout: PatchLayout, step: int) -> Sample:
    """A query with its answers, on the frames that the model saw.

    Args:
        rollout: The group.
        batch: The batch of its video.
        layout: How the model cuts frames.
        step: Steps done.
    """
    prompt, view = rollout.prompt, rollout.prompt.view
    pixels, grid = batch.videos[prompt.clip]
    frames = unpatchify(pixels.cpu().numpy(), grid, layout)[: len(view)]
    truth = prompt.truth.tubes[0]
    return Sample(
        step,
        prompt.name,
        prompt.query,
        frames,
        view.times_s,
        _shown(truth.interval, truth, view),
        tuple(_written(rollout, number) for number in range(len(rollout.ids))),
    )


def _written(rollout: Rollout, number: int) -> Written:
    answer, total = rollout.answers[number], rollout.totals[number]
    parsed, view = answer.parsed, rollout.prompt.view
    places = {kept: place for place, kept in enumerate(rollout.kept)}
    draft: Parsed | None = parsed.draft
    return Written(
        answer.text,
        total.value,
        total.scores,
        float(rollout.values[places[number]]) if number in places else None,
        rollout.finished[number],
        parsed.problem,
        _shown(parsed.interval, parsed.tube, view),
        None if draft is None else _shown(draft.interval, draft.tube, view),
    )


def _shown(interval: Interval | None, tube: Tube | None, view: View) -> Shown:
    """A tube on the frames of a view, in pixels of the frames that the model saw."""
    boxes = np.full((len(view), 4), np.nan)
    if tube is not None:
        seen = tube.interval.mask(view.times_s)
        scale = np.tile(np.divide(view.model_size, view.size), 2)
        boxes[seen] = tube.at(view.times_s[seen]) * scale
    return Shown(interval, boxes)
