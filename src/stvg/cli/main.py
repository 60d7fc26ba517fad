"""``stvg``: finds the commands, runs one, turns errors into one paragraph and an exit code.

A command is a module of this package with a function of the same name, or a ``typer.Typer`` of that
name for a group of commands; nothing else lists it.
Modules of commands import what they work with inside the function, so that ``stvg --help`` is
quick. Exit codes: 0 done, 1 the work failed, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import errno
import os
import pkgutil
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated

import typer

import stvg
import stvg.cli
from stvg.errors import StvgError

app = typer.Typer(
    name="stvg",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Spatio-temporal video grounding: a video and a sentence in, a tube out.\n\n"
    'Example: `stvg ground dog.mp4 "the dog" --out dog.json --overlay dog_tube.mp4`',
)

_HELPERS = ("main", "common")
_INTERRUPTED = 130  # exit code; typer gives it back instead of raising KeyboardInterrupt
# Base of typer's errors about the words on the line; its module differs between versions of typer.
_WrongUsage: type[Exception] = next(
    base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException"
)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"stvg {stvg.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; anywhere on the line.")
    ] = False,
) -> None:
    del version, debug  # --debug is read in main, so that it may stand anywhere


def _add_commands() -> None:
    for entry in pkgutil.iter_modules(stvg.cli.__path__):
        if entry.name not in _HELPERS:
            command = getattr(import_module(f"stvg.cli.{entry.name}"), entry.name)
            if isinstance(command, typer.Typer):
                app.add_typer(command, name=entry.name)
            else:
                app.command(entry.name)(command)


_add_commands()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and give its exit code.

    Args:
        arguments: Words after ``stvg``; None for those of the process.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller: nobody wants to read it
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    try:
        result = app([word for word in words if word != "--debug"], standalone_mode=False)
        sys.stdout.flush()
    except typer.Exit as leaving:
        return int(leaving.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        result = _INTERRUPTED
    except BrokenPipeError:
        return _stop_printing()
    except Exception as error:
        if debug and not isinstance(error, _WrongUsage):
            raise
        return _explain(error)
    if result == _INTERRUPTED:
        return _fail("interrupted; what was not complete was not written", _INTERRUPTED)
    return int(result) if isinstance(result, int) else 0


def _explain(error: Exception) -> int:
    """Turn an error into one paragraph and an exit code."""
    if isinstance(error, StvgError):
        return _fail(str(error), error.exit_code)
    if isinstance(error, _WrongUsage):
        message = error.format_message()  # type: ignore[attr-defined]
        if not message:  # no word was given, and typer has printed the help
            return 2
        context = getattr(error, "ctx", None)
        place = context.command_path if context else "stvg"
        return _fail(f"{message} See: {place} --help", 2)
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        _stop_printing()
        return _fail("cannot print the result: the disk behind standard output is full", 1)
    return _fail(
        f"unexpected {type(error).__name__}: {error}. This is a fault of stvg, please report it; "
        "--debug shows where it happened",
        1,
    )


def _stop_printing() -> int:
    """Leave standard output alone, so that Python does not try again at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1


def _fail(message: str, code: int) -> int:
    """Print one paragraph on standard error and give back the exit code."""
    from rich.console import Console
    from rich.text import Text

    text = Text.assemble(("stvg: ", "bold red"), " ".join(message.split()))
    Console(stderr=True, soft_wrap=True, highlight=False).print(text)
    return code


def run() -> None:
    """Entry point of the installed command."""
    sys.exit(main())
