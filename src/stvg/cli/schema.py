"""``stvg schema``: the JSON Schemas of the file formats."""

from __future__ import annotations

from typing import Annotated

import typer

from stvg.cli.common import print_json
from stvg.errors import UsageError


def schema(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME", help="A format; without it all of them.", show_default=False
        ),
    ] = None,
) -> None:
    """Print the JSON Schema of a file format.

    Example: `stvg schema prediction`
    """
    from stvg.formats.schema import schemas
    from stvg.registry import suggest

    known = schemas()
    if name is None:
        print_json(known)
        return
    if name not in known:
        raise UsageError(f"there is no format {name!r}; {suggest(name, sorted(known))}")
    print_json(known[name])
