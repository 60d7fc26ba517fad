"""The files of the viewer, for whoever gives them out; loads nothing else."""

from __future__ import annotations

from importlib.resources import files

STATIC = files("stvg.view") / "static"
SCRIPTS = (
    "tube.js", "mask.js", "reading.js",
    "player.js", "stage.js", "timeline.js", "panel.js", "viewer.js",
)  # fmt: skip
"""The viewer, in the order in which a page needs it."""
