"""What evaluation forgives, counted by name, with the first places where it happened."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

SHOWN = 3
"""How many places are kept for each name."""


@dataclass(slots=True)
class Entry:
    """One kind of fault: how often, in how many places, and where first."""

    count: int = 0
    noted: int = 0
    places: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Ledger:
    """Counts by name.

    Example:
        >>> ledger = Ledger()
        >>> ledger.note("box with reversed corners", "p.jsonl, line 3")
        >>> ledger.counts()
        {'box with reversed corners': 1}
    """

    entries: dict[str, Entry] = field(default_factory=dict)

    def note(self, name: str, place: str, count: int = 1) -> None:
        """Count something that was found at ``place``."""
        entry = self.entries.setdefault(name, Entry())
        entry.count += count
        entry.noted += 1
        if len(entry.places) < SHOWN:
            entry.places.append(place)

    def counts(self) -> Mapping[str, int]:
        """How often, by name."""
        return {name: entry.count for name, entry in self.entries.items()}

    def lines(self) -> Iterator[str]:
        """One sentence a kind, for people."""
        for name, entry in self.entries.items():
            more = ", ..." if entry.noted > len(entry.places) else ""
            yield f"{entry.count} x {name}: {'; '.join(entry.places)}{more}"

    def as_json(self) -> dict[str, Any]:
        """Counts and places, by name."""
        return {
            name: {"count": entry.count, "places": list(entry.places)}
            for name, entry in self.entries.items()
        }
