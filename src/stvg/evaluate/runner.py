"""From an annotation file and a prediction file to a report.

Answers are scored while they are read, one at a time; only the truth stays in memory. Nothing is
dropped in silence: a query without an answer, an answer that is an error, one to an unknown query,
a fault that is forgiven, all are counted with the place where they were found. Strict mode stops
where the official code of the protocol stops.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

import numpy as np

from stvg.data.base import Record
from stvg.errors import FormatError, UsageError
from stvg.progress import Progress, no_progress
from stvg.types import BoolArray

from .answers import Answer, AnswerLike, filled, held, read_answers
from .bootstrap import intervals
from .ledger import Ledger
from .protocols import (
    ANY_FAULT,
    LOW_RATE,
    MISSING_QUERY,
    NOTHING_FOUND,
    Protocol,
    find_protocols,
)
from .report import ALL, Report, Result, parts_of
from .tasks import Fault, Task, task_for

Fill = Literal["none", "linear", "hold"]
"""What stands in a frame between two answered boxes: nothing, a line between them, or the first."""

UNKNOWN_QUERY = "answer to a query that is not annotated"
NO_TRUTH = "annotated query without public truth"
UNKNOWN_SHARE = 0.5
"""Share of answers to unknown queries above which the files do not belong together."""

RESAMPLES = 1000


def evaluate(
    benchmark: str,
    annotations: str | Path | Iterable[Record],
    predictions: str | Path | Iterable[AnswerLike],
    *,
    protocol: str = "ours",
    strict: bool = False,
    fill: Fill = "none",
    companions: Mapping[str, str | Path] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    progress: Progress = no_progress,
) -> Report:
    """Score predictions on a benchmark.

    Args:
        benchmark: Its name (``vidstg``) or ``file.py:Class``.
        annotations: The annotation file, or records.
        predictions: A predictions JSONL, or answers: :class:`PredictionRecord`,
            :class:`~stvg.evaluate.answers.Answer`, or mappings with the fields of a line.
        protocol: Name, several names separated by commas, or ``all``.
        strict: Stop where the official code of a protocol stops; for ``ours`` on any fault.
        fill: What stands between answered boxes; default nothing, which counts 0.
        companions: Further files of the benchmark by name, e.g. ``trajectories`` for VidSTG.
        resamples: Draws for the confidence intervals, 0 for none.
        seed: Of these draws.
        progress: Called with (answers scored, annotated queries).

    Returns:
        Numbers by protocol, in all and by query; failures; what was forgiven.

    Raises:
        UsageError: If a name is unknown or a file is not there.
        FormatError: If a file cannot be understood, the files do not belong together, or strict
            mode refuses something; names file and line.

    Example:
        >>> from stvg.data.base import TimeRecord
        >>> from stvg.types import Query
        >>> record = TimeRecord(id="a", query=Query("a dog runs"), media="v.mp4", place="by hand",
        ...                     duration_s=30.0, windows=np.array([[0.0, 10.0]]))
        >>> report = evaluate("charades_sta", [record], [{"id": "a", "span_s": [0, 6]}])
        >>> report.metrics
        {'mIoU': 0.6, 'R@1@0.3': 1.0, 'R@1@0.5': 1.0, 'R@1@0.7': 0.0}
    """
    truth = load_truth(benchmark, annotations, companions)
    return score_file(
        truth,
        predictions,
        protocol=protocol,
        strict=strict,
        fill=fill,
        resamples=resamples,
        seed=seed,
        progress=progress,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """An annotation file in memory.

    Attributes:
        benchmark: Its name.
        task: What is scored.
        records: Those that can be scored, by id, in order.
        forgiven: What was odd about the rest.
    """

    benchmark: str
    task: Task
    records: Mapping[str, Record]
    forgiven: Mapping[str, str] = field(default_factory=dict)


def load_truth(
    benchmark: str,
    annotations: str | Path | Iterable[Record],
    companions: Mapping[str, str | Path] | None = None,
) -> Truth:
    """Read the annotations once, for one or several prediction files.

    Raises:
        UsageError: If the benchmark is unknown, the file is not there or holds no public truth.
        FormatError: If the file cannot be understood or an id occurs twice.
    """
    if isinstance(annotations, str | Path):
        from stvg.data.catalogue import find_benchmark

        paths = {name: Path(path) for name, path in (companions or {}).items()}
        found: Iterable[Record] = find_benchmark(benchmark).read(Path(annotations), **paths)
    else:
        found = annotations
    records: dict[str, Record] = {}
    without: dict[str, str] = {}
    task: Task | None = None
    with _no_collection():
        for record in found:
            task = task or task_for(type(record), benchmark)
            reason = task.unscorable(record)
            if reason is not None:
                without[record.id] = f"{record.place} ({reason})"
                continue
            if record.id in records:
                raise FormatError(
                    f"{record.place}: expected every query once, found the id {record.id!r} again, "
                    f"which {records[record.id].place} has"
                )
            records[record.id] = record
    if task is None or not records:
        reason = next(iter(without.values()), "it holds no query")
        where = annotations if isinstance(annotations, str | Path) else "the annotations"
        raise UsageError(f"{where}: nothing can be scored, {reason}; give a file with the truth")
    return Truth(benchmark, task, records, without)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Pause Python's search for reference cycles: parsed JSON has none, and there is a lot of it.

    Saves a fifth of the time that reading VidSTG with VidOR's boxes takes.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def score_file(
    truth: Truth,
    predictions: str | Path | Iterable[AnswerLike],
    *,
    protocol: str = "ours",
    strict: bool = False,
    fill: Fill = "none",
    resamples: int = RESAMPLES,
    seed: int = 0,
    progress: Progress = no_progress,
) -> Report:
    """Score one prediction file against a truth that was read; see :func:`evaluate`."""
    if fill not in ("none", "linear", "hold"):
        raise UsageError(f"fill must be none, linear or hold, found {fill!r}")
    protocols = find_protocols(protocol, truth.task.kind, truth.benchmark)
    scoring = _Scoring(truth, protocols, strict)
    scoring.check_records()
    total = len(truth.records)
    for number, answer in enumerate(read_answers(predictions), start=1):
        scoring.add(_fill(answer, fill))
        if number % 64 == 0:
            progress(min(number, total), total)
    scoring.finish()
    progress(total, total)
    return scoring.report(resamples, seed)


def _fill(answer: Answer, fill: Fill) -> Answer:
    """The answer with the frames between its boxes filled as asked for."""
    if fill == "none":
        return answer
    return filled(answer) if fill == "linear" else held(answer)


class _Scoring:
    """The state of one pass over a prediction file."""

    def __init__(self, truth: Truth, protocols: list[Protocol], strict: bool) -> None:
        self.truth, self.task, self.protocols, self.strict = truth, truth.task, protocols, strict
        self.ledger = Ledger()
        for place in truth.forgiven.values():
            self.ledger.note(NO_TRUTH, place)
        self.row_of = {id_: row for row, id_ in enumerate(truth.records)}
        shape = (len(protocols), len(truth.records), len(self.task.base))
        self.values = np.full(shape, np.nan)
        self.seen = np.zeros(len(truth.records), np.bool_)
        self.failures: dict[str, list[str]] = {}
        self.nothing_found: list[str] = []
        self.unknown: list[tuple[str, str]] = []

    def check_records(self) -> None:
        """Count, or refuse, what is odd about the truth."""
        watches_rate = any(LOW_RATE in each.refuses for each in self.protocols)
        for record in self.truth.records.values():
            for fault in self.task.record_faults(record):
                if fault[0] == LOW_RATE and not watches_rate:
                    continue
                self._forgive(fault, record.place, self.protocols)

    def add(self, answer: Answer) -> None:
        """Score one answer."""
        row = self.row_of.get(answer.id)
        if row is None:
            self._unknown(answer)
            return
        self.seen[row] = True
        record = self.truth.records[answer.id]
        if answer.error is not None:
            self._failed(answer, row, record)
            return
        for fault in answer.faults:
            self._forgive(fault, answer.place, self.protocols)
        for fault in self.task.answer_faults(record, answer):
            self._forgive(fault, answer.place, self.protocols)
        empty = [p for p in self.protocols if self.task.is_empty(record, answer, p)]
        if empty:
            self.nothing_found.append(answer.id)
            self._refuse(NOTHING_FOUND, "", answer.place, empty)
        found: dict[str, Fault] = {}
        scored = self.task.score(record, answer, self.protocols)
        for number, (protocol, (values, faults)) in enumerate(
            zip(self.protocols, scored, strict=True)
        ):
            self.values[number, row] = values
            for fault in faults:
                self._refuse(fault[0], fault[1], answer.place, [protocol])
                found.setdefault(fault[0], fault)
        for name, detail, count in found.values():
            self.ledger.note(name, f"{answer.place} ({detail})", count)

    def finish(self) -> None:
        """Deal with the queries that have no line, and with files that do not fit together."""
        answers = int(self.seen.sum()) + len(self.unknown)
        if self.unknown and len(self.unknown) > UNKNOWN_SHARE * answers:
            place, id_ = self.unknown[0]
            raise FormatError(
                f"{place}, field id: expected a query of {self.truth.benchmark}, found {id_!r}; "
                f"{len(self.unknown)} of {answers} answers are to queries that the annotations do "
                f"not have (they have, for example, {next(iter(self.row_of))!r}): the two files do "
                "not belong together"
            )
        ids = list(self.truth.records)
        for row in np.flatnonzero(~self.seen).tolist():
            record = self.truth.records[ids[row]]
            for number, protocol in enumerate(self.protocols):
                self._refuse(MISSING_QUERY, repr(record.id), record.place, [protocol])
                if protocol.missing_query == "counts 0":
                    self.values[number, row] = self.task.nothing(record, protocol)

    def report(self, resamples: int, seed: int) -> Report:
        """Everything that was found."""
        ids = tuple(self.truth.records)
        forms = tuple(record.query.form or "" for record in self.truth.records.values())
        failed = sum(len(each) for each in self.failures.values())
        return Report(
            benchmark=self.truth.benchmark,
            queries=len(ids),
            answered=int(self.seen.sum()) - failed,
            failures={name: tuple(each) for name, each in self.failures.items()},
            missing=tuple(np.array(ids, object)[~self.seen].tolist()),
            nothing_found=tuple(self.nothing_found),
            forgiven=self.ledger,
            results={
                protocol.name: self._result(number, protocol, ids, forms, resamples, seed)
                for number, protocol in enumerate(self.protocols)
            },
            forms=forms,
        )

    def _result(
        self,
        number: int,
        protocol: Protocol,
        ids: tuple[str, ...],
        forms: tuple[str, ...],
        resamples: int,
        seed: int,
    ) -> Result:
        """Columns, means and intervals of one protocol."""
        base = {name: self.values[number, :, k] for k, name in enumerate(self.task.base)}
        columns = self.task.columns(protocol, base)
        named = {self.task.means.get(key, key): each for key, each in columns.items()}
        labels = np.array(forms)
        rows: dict[str, BoolArray] = {ALL: np.ones(len(ids), np.bool_)}
        rows |= {form: labels == form for form in ("declarative", "interrogative")}
        ends = {
            name: intervals(
                {key: each[chosen] for key, each in named.items()}, resamples=resamples, seed=seed
            )
            for name, chosen in rows.items()
            if name == ALL or (chosen.any() and not chosen.all())
        }
        left_out = np.isnan(np.stack(list(columns.values()))).all(axis=0)
        return Result(
            protocol=protocol,
            ids=ids,
            columns=columns,
            mean_names=self.task.means,
            parts=parts_of(columns, self.task.means, forms, ends),
            left_out=int(left_out.sum()),
        )

    def _unknown(self, answer: Answer) -> None:
        """An answer to a query that the annotations do not have."""
        self.unknown.append((answer.place, answer.id))
        if self.strict:
            raise FormatError(
                f"{answer.place}, field id: expected a query of {self.truth.benchmark}, found "
                f"{answer.id!r}, which the annotations do not have; remove the line or leave "
                "strict mode, which then counts it"
            )
        self.ledger.note(UNKNOWN_QUERY, f"{answer.place} ({answer.id!r})")

    def _failed(self, answer: Answer, row: int, record: Record) -> None:
        """An answer that is an error: 0 under every protocol."""
        name = cast(str, answer.error).partition(":")[0].strip()[:80] or "no reason given"
        self.failures.setdefault(name, []).append(answer.id)
        for number, protocol in enumerate(self.protocols):
            self._refuse(MISSING_QUERY, f"error: {answer.error}", answer.place, [protocol])
            self.values[number, row] = self.task.nothing(record, protocol)

    def _forgive(self, fault: Fault, place: str, protocols: list[Protocol]) -> None:
        """Count a fault, or refuse it."""
        name, detail, count = fault
        self._refuse(name, detail, place, protocols)
        self.ledger.note(name, f"{place} ({detail})" if detail else place, count)

    def _refuse(self, name: str, detail: str, place: str, protocols: list[Protocol]) -> None:
        """In strict mode, stop if one of the protocols stops on this."""
        if not self.strict:
            return
        for protocol in protocols:
            if name in protocol.refuses or ANY_FAULT in protocol.refuses:
                shown = f" ({detail})" if detail else ""
                own = protocol.name == "ours"
                reason = "it refuses every fault" if own else "its official code stops"
                raise FormatError(
                    f"{place}: strict mode of protocol {protocol.name} stops at a {name}{shown}, "
                    f"because {reason} there; correct it, or leave strict mode, which counts and "
                    "prints it"
                )
