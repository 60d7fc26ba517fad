"""One start of a run: its settings, and the loop that turns outcomes into lines."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from stvg.config import Config
from stvg.errors import StvgError
from stvg.progress import Stages

from .answering import Outcome
from .baselines import Baseline
from .journal import Journal
from .questions import Questions
from .summary import Summary, Tally


class PredictConfig(Config):
    """How a run goes about its work; nothing here changes an answer."""

    batch: int = Field(1, ge=1, description="videos in one call of the model")
    workers: int = Field(
        1, ge=1, description="threads that read videos ahead; with ray, processes with a model each"
    )
    threads: int = Field(0, ge=0, description="CPU threads for decoding and detection, 0 for all")
    engine: Literal["local", "ray"] = Field("local", description="this machine, or a Ray cluster")
    gpus: float = Field(0, ge=0, description="GPUs that each process of ray holds")
    max_errors: float = Field(
        0.1, ge=0, le=1, description="share of the queries that may fail before the run stops"
    )
    retry_errors: bool = Field(False, description="answer queries again that failed before")
    overwrite: bool = Field(False, description="throw away the answers of an earlier run")


@dataclass(frozen=True, slots=True)
class Start:
    """What a start is about; all that :func:`write_lines` needs to know."""

    questions: Questions
    ids: tuple[str, ...]
    out: Path
    config: PredictConfig
    settings: Mapping[str, Any]
    videos: Path | None = None
    baseline: Baseline | None = None

    @property
    def about(self) -> dict[str, Any]:
        """What the sidecar notes of this start beside its settings."""
        shard = self.questions.shard
        return {
            "annotations": str(self.questions.annotations),
            "videos": None if self.videos is None else str(self.videos),
            "limit": self.questions.limit,
            "shard": None if shard is None else list(shard),
            **self.config.model_dump(exclude={"overwrite", "retry_errors"}),
        }

    def summary(self, tally: Tally, notes: Sequence[str]) -> Summary:
        """What was done so far."""
        further = []
        if tally.other_length:
            further.append(
                f"videos with another number of frames than annotated: {tally.other_length} (`stvg "
                "data check` lists them); frames are counted as in the file"
            )
        if tally.failed_before:
            further.append(
                f"queries that failed in an earlier start and keep their lines: "
                f"{tally.failed_before}; --retry-errors asks them again"
            )
        if self.questions.limit is not None or self.questions.shard is not None:
            further.append(
                "not all queries of the annotations were asked (--limit, --shard); evaluate counts "
                "those without a line as 0"
            )
        return Summary(
            benchmark=self.questions.benchmark,
            out=str(self.out),
            queries=len(self.ids),
            tally=tally,
            evaluate=self.questions.evaluate_command(self.out),
            baseline=None if self.baseline is None else self.baseline.title,
            notes=(*notes, *further),
        )


def write_lines(
    start: Start, outcomes: Callable[[frozenset[str]], Iterator[Outcome]], stages: Stages
) -> Summary:
    """Write the lines of all outcomes.

    Args:
        start: What this start is about.
        outcomes: Called with the ids that have a line, answers the others.
        stages: For progress.
    """
    config, total = start.config, len(start.ids)
    answered, failures = stages("answering queries"), stages("failed queries")
    journal = Journal(
        start.out,
        start.settings,
        start.about,
        overwrite=config.overwrite,
        retry_errors=config.retry_errors,
    )
    ids = set(start.ids)
    tally = Tally(line for line in journal.lines() if line.id in ids)
    state = "stopped"

    def look() -> None:
        """Tell how far it is, and stop where too many queries failed."""
        answered(tally.lines, total)
        if tally.failed:
            failures(tally.failed, total)
        if tally.failed > config.max_errors * total:
            raise StvgError(_too_many(tally, total, start))

    try:
        look()
        with closing(_generator(outcomes(journal.done))) as found:
            for outcome in found:
                for line in outcome.lines:
                    journal.write(line)
                tally.add(outcome)
                look()
        state = "done"
    finally:
        summary = start.summary(tally, journal.notes)
        journal.close(state, summary.counts())
    return summary


def _generator(outcomes: Iterator[Outcome]) -> Generator[Outcome]:
    """The same as something that can be closed."""
    yield from outcomes


def _too_many(tally: Tally, total: int, start: Start) -> str:
    """Why a run stops."""
    shown = "; ".join(f"{count} x {reason}" for reason, count in tally.failures.items())
    return (
        f"stopped: {tally.failed} of {total} queries failed ({shown}), more than --max-errors "
        f"{start.config.max_errors:g} allows; the lines of {start.out} say why. Mend the cause and "
        "start again with --retry-errors, or allow more errors"
    )
