"""``stvg serve``: grounding over HTTP."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from stvg.cli.common import ThreadsOption, note
from stvg.errors import UsageError

TOKEN_VARIABLE = "STVG_TOKEN"  # noqa: S105


def serve(
    offers: Annotated[
        list[str] | None,
        typer.Option(
            "--offer",
            metavar="METHOD[=MODEL][,KEY=VALUE...]",
            help="A method that clients may ask for, a name or file.py:Class, with its model and "
            "options; again for more, the first by default.",
            show_default="text_box, track_match",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the database, uploads and films.",
            show_default="the user's data folder",
        ),
    ] = None,
    roots: Annotated[
        list[Path] | None,
        typer.Option(
            "--root",
            help="Folder whose videos may be named by path; again for more.",
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on, 0 for a free one.")
    ] = 8000,
    token_file: Annotated[
        Path | None,
        typer.Option(
            help="File with the token that clients must show; else STVG_TOKEN is looked at. Needed "
            "where others reach the service."
        ),
    ] = None,
    hosts: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-host",
            metavar="NAME",
            help="Name by which clients call the service, behind a proxy; again for more.",
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, help="Processes that ground, each with models of its own.")
    ] = 1,
    threads: ThreadsOption = 0,
    loaded: Annotated[
        int, typer.Option(min=1, help="Methods that each worker keeps in memory.")
    ] = 2,
    queue: Annotated[
        int, typer.Option(min=1, help="Jobs that may wait; more are answered with 429.")
    ] = 100,
    upload_mb: Annotated[float, typer.Option(help="Largest upload, megabytes.")] = 2000,
    video_minutes: Annotated[float, typer.Option(help="Longest video, minutes.")] = 60,
    video_megapixels: Annotated[float, typer.Option(help="Largest frame, million pixels.")] = 9,
    video_frames: Annotated[int, typer.Option(help="Most frames of a video.")] = 250_000,
    queries: Annotated[int, typer.Option(help="Most sentences of a job.")] = 32,
    sentence: Annotated[int, typer.Option(help="Longest sentence, characters.")] = 300,
    job_seconds: Annotated[
        float, typer.Option(help="Seconds that a job may take, loading its models included.")
    ] = 600,
    keep_days: Annotated[
        float | None,
        typer.Option(
            help="Remove ended jobs and unused uploads after so many days.", show_default="never"
        ),
    ] = None,
    keep_gb: Annotated[
        float | None,
        typer.Option(
            help="Remove films, then the longest unused videos, when uploads and films take more.",
            show_default="no limit",
        ),
    ] = None,
    free_gb: Annotated[
        float, typer.Option(help="Refuse uploads when less than this is left on the disk.")
    ] = 1,
) -> None:
    """Answer requests over HTTP: upload videos, queue sentences, fetch tubes. Ctrl-C ends it.

    Only this machine reaches it unless --host says otherwise. /docs shows every route.

    Example: `stvg serve --offer track_match --offer text_box=tiny --root videos --port 8000`
    """
    from platformdirs import user_data_path

    from stvg.serve.run import run
    from stvg.serve.settings import Offer, Settings

    settings = Settings.of(
        {
            "data": data or user_data_path("stvg") / "serve",
            "offers": tuple(map(Offer.read, offers or ["text_box", "track_match"])),
            "roots": tuple(roots or []),
            "host": host,
            "port": port,
            "token": _token(token_file),
            "hosts": tuple(hosts or []),
            "workers": workers,
            "threads": threads,
            "loaded": loaded,
            "queue": queue,
            "upload_mb": upload_mb,
            "video_minutes": video_minutes,
            "video_megapixels": video_megapixels,
            "video_frames": video_frames,
            "queries": queries,
            "sentence": sentence,
            "job_seconds": job_seconds,
            "keep_days": keep_days,
            "keep_gb": keep_gb,
            "free_gb": free_gb,
        }
    )
    run(settings, lambda address: note(f"{address} (data in {settings.data}; Ctrl-C ends it)"))


def _token(file: Path | None) -> str | None:
    """The token of the file, else of the environment, from where workers shall not have it."""
    of_environment = os.environ.pop(TOKEN_VARIABLE, None)
    if file is None:
        return of_environment
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"expected a text file with a token at {file}, which cannot be read: {error}"
        ) from error
