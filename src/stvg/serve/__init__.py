"""``stvg serve``: grounding over HTTP, for a team, a page in the browser or another program.

One process answers requests and never opens a video; worker processes do, so that whatever a file
or a model does to them is one failed job. Jobs, results and corrections lie in SQLite: a restart
loses nothing. docs/serve.md has every option and route.

The way of a job through the files: ``routes/`` take it in, ``store`` keeps it, ``workers`` hands it
to a process that runs ``worker``, and ``events`` tells those who watch.
"""

from __future__ import annotations

from stvg.extras import require

for _package in ("fastapi", "fastapi_offline", "prometheus_client", "uvicorn"):
    require(_package, "serve", "stvg serve")
