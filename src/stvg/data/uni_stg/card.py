"""What a built set says of itself: ``card.json`` for programs, ``README.md`` for people."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from stvg import __version__
from stvg.formats.atomic import atomic_path

from .recipe import Recipe
from .rows import COLUMNS
from .shards import Shards

FORMAT: Final = "stvg.uni_stg/1"


def card_of(recipe: Recipe, written: Sequence[Shards]) -> dict[str, Any]:
    """Counts and times of a finished build.

    Returns:
        A JSON object: ``sources`` in the order of the recipe, each with ``name``, ``task``,
        ``wanted`` (None for all), ``seen``, ``written``, ``drops`` by reason, ``files`` and
        ``seconds``; ``tasks`` with ``wanted`` and ``written``; ``short``, a sentence for each
        source with fewer samples than wanted.
    """
    sources = [_source(shards) for shards in written]
    tasks: dict[str, Counter[str]] = {}
    for each in sources:
        task = tasks.setdefault(each["task"], Counter())
        task["wanted"] += each["wanted"] if each["wanted"] is not None else each["written"]
        task["written"] += each["written"]
    return {
        "format": FORMAT,
        "made_by": f"stvg {__version__}",
        "seed": recipe.seed,
        "sources": sources,
        "tasks": {name: dict(counts) for name, counts in tasks.items()},
        "written": sum(each["written"] for each in sources),
        "short": [
            f"{each['name']}: {each['written']:,} of {each['wanted']:,} samples, there are no more"
            for each in sources
            if each["wanted"] is not None and each["written"] < each["wanted"]
        ],
        "recipe": recipe.model_dump(mode="json"),
    }


def _source(shards: Shards) -> dict[str, Any]:
    drops: Counter[str] = Counter()
    for note in shards.notes:
        drops.update(note.drops)
    return {
        "name": shards.source.name,
        "task": shards.source.task,
        "wanted": shards.source.count,
        "seen": shards.rows + drops.total(),
        "written": shards.rows,
        "drops": dict(sorted(drops.items())),
        "files": sum(note.rows > 0 for note in shards.notes),
        "seconds": round(sum(note.seconds for note in shards.notes), 3),
    }


def write_card(card: dict[str, Any], folder: Path) -> None:
    """Write both files of a card."""
    texts = {"card.json": json.dumps(card, indent=1) + "\n", "README.md": readme_of(card)}
    for name, text in texts.items():
        with atomic_path(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")


def readme_of(card: dict[str, Any]) -> str:
    """The card for people; its head tells ``datasets`` where the tasks are."""
    configs = [
        f"- config_name: {task}\n  data_files: {task}/*.parquet"
        for task, counts in card["tasks"].items()
        if counts["written"]
    ]
    lines = ["---", "configs:", *configs, "---", "", "# Uni-STG", ""]
    lines += [
        f"{card['written']:,} samples, built by {card['made_by']} with seed {card['seed']} after "
        "SpaceVLLM (arXiv:2503.13983). Licence and terms are those of the sources.",
        "",
        *_table(
            ("task", "samples", "wanted"),
            [
                (name, f"{counts['written']:,}", f"{counts['wanted']:,}")
                for name, counts in card["tasks"].items()
            ],
        ),
        *_table(
            ("source", "task", "looked at", "samples", "wanted"),
            [
                (each["name"], each["task"], f"{each['seen']:,}", f"{each['written']:,}",
                 "all" if each["wanted"] is None else f"{each['wanted']:,}")
                for each in card["sources"]
            ],
        ),
    ]  # fmt: skip
    drops = [
        (each["name"], reason, f"{number:,}")
        for each in card["sources"]
        for reason, number in each["drops"].items()
    ]
    lines += ["## Dropped", "", *_table(("source", "reason", "samples"), drops)]
    lines += ["## Columns", "", *_table(("column", "meaning"), list(COLUMNS.items()))]
    return "\n".join(lines)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    """A Markdown table and an empty line."""
    cells = [head, ("---",) * len(head), *rows]
    return [*("| " + " | ".join(row) + " |" for row in cells), ""]
