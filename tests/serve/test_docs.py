"""docs/serve.md names every option and every route."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from fastapi.testclient import TestClient
from typer.main import get_command

from stvg.cli.main import app
from stvg.serve.app import create_app
from stvg.serve.settings import Settings

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "serve.md").read_text()


def test_every_option_is_documented() -> None:
    table = re.findall(r"^\| `(--[\w-]+)` \| (.*?) \| (.+) \|$", PAGE, re.MULTILINE)
    options = [each for each in get_command(app).commands["serve"].params if each.name != "help"]  # type: ignore[attr-defined]
    assert [(name, text) for name, _, text in table] == [
        (each.opts[0], each.help) for each in options
    ]
    for (name, default, _), option in zip(table, options, strict=True):
        shown = option.show_default if isinstance(option.show_default, str) else option.default
        assert default == ("" if shown is None else str(shown)), name


def test_the_defaults_of_settings_are_those_of_the_command() -> None:
    command = get_command(app).commands["serve"]  # type: ignore[attr-defined]
    for option in command.params:
        if option.name in Settings.model_fields and option.default is not None:
            assert Settings.model_fields[option.name].default == option.default, option.name


def test_every_route_is_documented(make_settings: Callable[..., Settings]) -> None:
    named = set()
    for line in re.findall(r"^\| (`(?:GET|POST|DELETE) .*?) \|", PAGE, re.MULTILINE):
        for method, path in re.findall(r"`(GET|POST|DELETE) ([^`?]+)[^`]*`", line):
            named.add((method, re.sub(r"\{\w+\}", "{}", path)))
    service = create_app(make_settings())
    there = {
        (method.upper(), re.sub(r"\{\w+\}", "{}", path))
        for path, operations in service.openapi()["paths"].items()
        for method in operations
    }
    assert named == there


def test_the_page_of_the_routes_needs_no_network(make_settings: Callable[..., Settings]) -> None:
    http = TestClient(create_app(make_settings()), base_url="http://127.0.0.1:8000")
    page = http.get("/docs")
    assert "'unsafe-inline'" in page.headers["content-security-policy"]
    parts = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(parts) == 3
    for part in parts:
        assert part.startswith("/static-offline-docs/")
        assert http.get(part).status_code == 200


def test_without_the_extra_it_is_named() -> None:
    code = "import sys; sys.modules['fastapi'] = None; import stvg.serve"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert 'install it with: pip install "stvg[serve]"' in found.stderr


def test_help_has_an_example() -> None:
    help_text = get_command(app).commands["serve"].help  # type: ignore[attr-defined]
    assert "Example: `stvg serve --offer track_match" in help_text


def test_the_service_opens_no_video_itself() -> None:
    code = "import stvg.serve.run, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not set(loaded.stdout.split()) & {"av", "torch", "stvg.serve.worker", "PIL"}
