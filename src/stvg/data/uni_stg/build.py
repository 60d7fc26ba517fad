"""Building Uni-STG from a recipe: source by source, each into its own files, then the card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from stvg import __version__
from stvg.errors import OutputError, UsageError
from stvg.formats.atomic import atomic_path
from stvg.progress import Stages, no_stages

from .card import FORMAT, card_of, write_card
from .recipe import BenchmarkSource, Recipe, SyntheticSource
from .recipe import Source as Choice
from .shards import Shards, Source
from .sources import Annotated, Chat
from .synthetic import Synthetic


def build(recipe: Recipe, folder: Path, stages: Stages = no_stages) -> dict[str, Any]:
    """Build the set, or go on with a build that was stopped.

    Args:
        recipe: What of.
        folder: New or empty, or one in which the same recipe was built or begun.
        stages: Told how far each source is.

    Returns:
        The card: counts by source and task, drops by reason, what is missing to the recipe's
        counts; see :func:`stvg.data.uni_stg.card.card_of`.

    Raises:
        UsageError: If a source is not there or empty, or an option is wrong.
        OutputError: If the folder holds something else or cannot be written.
        StvgError: As the readers, detectors and servers that the sources need.
    """
    recipe.require_inputs()
    sources = [_open(choice, recipe, folder) for choice in recipe.sources]
    _claim(recipe, folder)
    written = [
        Shards(folder, source, recipe.shard_of(choice))
        for source, choice in zip(sources, recipe.sources, strict=True)
    ]
    for shards in written:
        shards.finish(stages(shards.source.name))
    card = card_of(recipe, written)
    write_card(card, folder)
    return card


def _open(choice: Choice, recipe: Recipe, folder: Path) -> Source:
    """The samples of a source of a recipe."""
    media = recipe.media_of(choice)
    if isinstance(choice, SyntheticSource):
        assert recipe.media is not None
        assert media is not None
        answers = folder / "progress" / f"{choice.name}.answers.jsonl"
        return Synthetic(choice, recipe.media, media, recipe.seed, answers)
    if isinstance(choice, BenchmarkSource):
        return Annotated(choice, recipe.media, media, recipe.seed)
    return Chat(choice, recipe.media, media, recipe.seed)


def _claim(recipe: Recipe, folder: Path) -> None:
    """Make the folder, or make sure that it is this recipe's."""
    claim = folder / "progress" / "recipe.json"
    mine = {
        "format": FORMAT,
        "made_by": f"stvg {__version__}",
        "recipe": recipe.model_dump(mode="json"),
        "inputs": {str(path): _state(path) for each in recipe.sources for path in each.inputs()},
    }
    if claim.is_file():
        if json.loads(claim.read_text(encoding="utf-8")) != mine:
            raise UsageError(
                f"{folder} holds a build of another recipe, of files that have changed since, or "
                "of another version of stvg; name another folder, or remove this one to begin again"
            )
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(f"{folder} exists and is not an empty folder; choose another name")
    try:
        claim.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be made: {error.strerror}") from error
    with atomic_path(claim) as temporary:
        temporary.write_text(json.dumps(mine, indent=1) + "\n", encoding="utf-8")


def _state(path: Path) -> list[int]:
    """By what a changed file is known: bytes and time of change; of a folder nothing."""
    if not path.is_file():
        return []
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]
