"""What a run of ``stvg predict`` did, in numbers and in words."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from stvg.formats.predictions_jsonl import PredictionRecord

from .answering import Outcome


def reason_name(error: str) -> str:
    """What failures are counted by: the words before the first colon, as ``stvg evaluate`` does.

    Example:
        >>> reason_name("video missing: nothing named 'a.mp4' in clips")
        'video missing'
    """
    return error.partition(":")[0].strip()[:80] or "no reason given"


class Tally:
    """Counts of a run while it goes on; those of lines hold lines of earlier starts too.

    Attributes:
        lines: Queries that have a line.
        empty: Lines that say "nothing found".
        failures: Lines that are errors, by name.
        lines_before: Lines that were there when this start began.
        failed_before: Those of them that are errors.
        videos: Videos that this start went through.
        other_length: Those of them with another number of frames than annotated.
        read_s: Seconds of reading videos, beside the model.
        model_s: Seconds of the model.
    """

    def __init__(self, before: Iterable[PredictionRecord]) -> None:
        self.failures: Counter[str] = Counter()
        self.lines = self.empty = self.videos = self.other_length = 0
        self.read_s = self.model_s = 0.0
        self._started = time.perf_counter()
        for line in before:
            self._count(line)
        self.lines_before, self.failed_before = self.lines, self.failed

    @property
    def failed(self) -> int:
        """Lines that are errors."""
        return self.failures.total()

    @property
    def seconds(self) -> float:
        """Since this start began."""
        return time.perf_counter() - self._started

    def add(self, outcome: Outcome) -> None:
        """Count the lines of a video."""
        for line in outcome.lines:
            self._count(line)
        self.videos += 1
        self.other_length += outcome.has_other_length
        self.read_s += outcome.read_s
        self.model_s += outcome.model_s

    def _count(self, line: PredictionRecord) -> None:
        """Count a line."""
        self.lines += 1
        if line.error is not None:
            self.failures[reason_name(line.error)] += 1
        elif line.span_frames is None and line.span_s is None and not len(line.boxes):
            self.empty += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What is in the file after a run, and what the run cost.

    Attributes:
        benchmark: Name of the benchmark.
        out: The predictions JSONL.
        queries: Queries that were asked for.
        tally: Counts of their lines.
        evaluate: The command that scores the file.
        baseline: What a baseline knows of the truth, None for a method.
        notes: What a person should know.
    """

    benchmark: str
    out: str
    queries: int
    tally: Tally
    evaluate: str
    baseline: str | None = None
    notes: tuple[str, ...] = field(default=())
    seconds: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "seconds", round(self.tally.seconds, 3))

    @property
    def seconds_per_video(self) -> float | None:
        """Seconds that passed for each video of this start, None without any."""
        return round(self.seconds / self.tally.videos, 3) if self.tally.videos else None

    def counts(self) -> dict[str, Any]:
        """The numbers, as JSON values."""
        tally = self.tally
        return {
            "queries": self.queries,
            "lines": tally.lines,
            "new": tally.lines - tally.lines_before,
            "empty": tally.empty,
            "failed": tally.failed,
            "failures": dict(tally.failures.most_common()),
            "videos": tally.videos,
            "seconds": self.seconds,
            "seconds_per_video": self.seconds_per_video,
            "read_s": round(tally.read_s, 3),
            "model_s": round(tally.model_s, 3),
        }

    def as_json(self) -> dict[str, Any]:
        """Everything, as JSON values."""
        return {
            "benchmark": self.benchmark,
            "out": self.out,
            **self.counts(),
            "baseline": self.baseline,
            "notes": list(self.notes),
            "evaluate": self.evaluate,
        }

    def text(self) -> Iterator[str]:
        """Lines for people."""
        tally, before = self.tally, self.tally.lines_before
        yield (
            f"{self.benchmark}: {tally.lines:,} of {self.queries:,} queries have a line"
            + (f" ({before:,} had one before)" if before else "")
            + f"; nothing found {tally.empty:,}, failed {tally.failed:,}"
        )
        for name, count in tally.failures.most_common():
            yield f"  failed {count:,} x {name}"
        if self.baseline is not None:
            yield f"a baseline, not a method: {self.baseline}"
        if tally.videos and self.baseline is None:
            yield (
                f"{tally.videos:,} videos in {self.seconds:.1f} s, {self.seconds_per_video:.2f} s "
                f"each (beside each other: reading {tally.read_s:.1f} s, model "
                f"{tally.model_s:.1f} s)"
            )
        yield from self.notes
        yield f"predictions: {self.out}"
        yield f"score them: {self.evaluate}"
