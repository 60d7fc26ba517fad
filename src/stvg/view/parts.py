"""The files of the viewer, for whoever gives them out; loads nothing else."""

from __future__ import annotations

from importlib.resources import files

STATIC = files("stvg.view") / "static"
SCRIPTS = ("tube.js", "reading.js", "player.js", "stage.js", "timeline.js", "viewer.js")
"""The viewer, in the order in which a page needs it."""
