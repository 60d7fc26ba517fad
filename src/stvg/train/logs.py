"""What a run tells while it goes on: one JSON object a line, and trackers on request."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from stvg.errors import MissingExtraError, OutputError
from stvg.formats.atomic import atomic_path
from stvg.train.heads import Gauges, Sums
from stvg.train.student import Student

_MODULES = {"tensorboard": "torch.utils.tensorboard", "trackio": "trackio", "wandb": "wandb"}


def families_of(student: Student) -> tuple[str, ...]:
    """The families of its losses, by whose counts they are divided."""
    return tuple(dict.fromkeys(name.partition("_")[0] for name in student.weights))


def names_of(student: Student) -> tuple[str, ...]:
    """All names that :func:`numbers_of` may give."""
    return (
        *(f"count/{name}" for name in families_of(student)),
        *(f"loss/{name}" for name in student.weights),
        *(f"{group}/{name}" for group in ("right", "of") for name in student.gauges),
    )


def numbers_of(sums: Sums, gauges: Gauges, counts: Mapping[str, float]) -> dict[str, float]:
    """What a batch gave as numbers that add up over batches, parts and processes."""
    return {
        **{f"count/{name}": float(number) for name, number in counts.items()},
        **{f"loss/{name}": float(value.detach()) for name, value in sums.items()},
        **{f"right/{name}": right for name, (right, _) in gauges.items()},
        **{f"of/{name}": of for name, (_, of) in gauges.items()},
    }


def add_up(totals: dict[str, float], numbers: Mapping[str, float]) -> None:
    """Add numbers to totals, by name."""
    for name, number in numbers.items():
        totals[name] = totals.get(name, 0.0) + number


class Tally:
    """Means of losses and gauges since the last line.

    Args:
        totals: Sum and count by name, of a run that goes on.

    Attributes:
        totals: The same now.

    Example:
        >>> tally = Tally()
        >>> numbers = {"count/answer": 4, "loss/answer": 6.0, "right/time": 1, "of/time": 2}
        >>> tally.add("world", numbers)
        >>> tally.take()
        {'world/loss/answer': 1.5, 'world/share/time': 0.5}
    """

    def __init__(self, totals: Mapping[str, Sequence[float]] | None = None) -> None:
        self.totals = {name: list(pair) for name, pair in (totals or {}).items()}

    def add(self, task: str, numbers: Mapping[str, float]) -> None:
        """Add a step's numbers of a task: losses as means over its counts, gauges as shares."""
        for key, value in numbers.items():
            group, _, name = key.partition("/")
            if group == "loss":
                count = numbers[f"count/{name.partition('_')[0]}"]
                self._add(f"{task}/loss/{name}", value, count)
            elif group == "right":
                self._add(f"{task}/share/{name}", value, numbers[f"of/{name}"])

    def note(self, sums: Mapping[str, tuple[float, float]]) -> None:
        """Add sums, each with what it is divided by."""
        for name, (value, count) in sums.items():
            self._add(name, value, count)

    def take(self) -> dict[str, float]:
        """The means, and begin anew."""
        found = {
            name: round(total / count, 5) + 0.0
            for name, (total, count) in self.totals.items()
            if count
        }
        self.totals = {}
        return found

    def _add(self, name: str, value: float, count: float) -> None:
        place = self.totals.setdefault(name, [0.0, 0.0])
        place[0] += value
        place[1] += count


class Log:
    """``log.jsonl`` of a run; a run that goes on drops lines of steps that it repeats.

    Args:
        path: The file; None for a process that writes none.
        step: Number of steps that have been done.
        accelerator: Whose trackers are told as well.

    Attributes:
        entries: All lines, those of earlier starts included.

    Raises:
        OutputError: If the file cannot be written.
    """

    def __init__(self, path: Path | None, step: int, accelerator: Any) -> None:
        self._path, self._accelerator, self._file = path, accelerator, None
        self.entries: list[Mapping[str, Any]] = []
        if path is not None:
            kept = _lines_until(path, step)
            with atomic_path(path) as temporary:
                temporary.write_text("".join(kept), encoding="utf-8")
            self._file = path.open("a", encoding="utf-8")
            self.entries += [json.loads(line) for line in kept]

    def write(self, entry: Mapping[str, Any]) -> None:
        """Add a line.

        Raises:
            OutputError: If it cannot be written.
        """
        self.entries.append(entry)
        if self._file is not None:
            try:
                self._file.write(json.dumps(entry) + "\n")
                self._file.flush()
            except OSError as error:
                raise OutputError(
                    f"the log {self._path} could not be written: {error.strerror}; free some space "
                    "and start again: the run goes on from its newest checkpoint"
                ) from error
        numbers = {name: value for name, value in entry.items() if isinstance(value, int | float)}
        self._accelerator.log(numbers, step=entry["step"])

    def close(self) -> None:
        """Close the file and the trackers."""
        if self._file is not None:
            self._file.close()
        self._accelerator.end_training()


def check_trackers(names: Sequence[str]) -> None:
    """Refuse trackers whose package does not import, before any work.

    Raises:
        MissingExtraError: Naming the package.
    """
    for name in names:
        try:
            import_module(_MODULES[name])
        except Exception as error:
            raise MissingExtraError(
                f"the tracker {name} needs the package {name}, which does not import here "
                f"({' '.join(str(error).split())}); install it with: pip install {name}"
            ) from error


def _lines_until(path: Path, step: int) -> list[str]:
    """The lines of a log up to a step, without what was cut off or damaged by a kill."""
    kept: list[str] = []
    if not path.exists():
        return kept
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
        try:
            is_over = not line.endswith("\n") or json.loads(line)["step"] > step
        except (ValueError, KeyError, TypeError):
            continue
        if is_over:
            break
        kept.append(line)
    return kept
