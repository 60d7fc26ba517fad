"""A model that is loaded once and asked as often as one likes, from Python and notebooks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

from stvg.errors import UsageError
from stvg.grounding import Detectors, build_method, ground
from stvg.methods.base import Method
from stvg.registry import available
from stvg.types import Prediction, Query


def load(name: str | Path | Method, method: str | None = None, **options: Any) -> Grounder:
    """A model or method, to be asked with :meth:`Grounder.ground`.

    Weights are read once and kept for all questions.

    Args:
        name: A model (``tiny``, a folder, a hub id), the name of a method for its default model
            (``track_match``), or a built method.
        method: Name of the method, or ``file.py:Class``; default ``text_box``, as on the command
            line.
        **options: Options of the method, e.g. ``frames=16``; a group of options is a dictionary.

    Raises:
        UsageError: If there is no such method or option, or a built method is given either.

    Example:
        >>> load("tiny", frames=8).method.name
        'text_box'
        >>> load("track_match").method.name
        'track_match'
    """
    assignments = [  # JSON is YAML; paths and the numbers of NumPy are no JSON
        f"{key}={json.dumps(value, ensure_ascii=False, default=str)}"
        for key, value in options.items()
    ]
    if isinstance(name, Method):
        if method is not None or options:
            raise UsageError(
                f"expected a built method alone, found method={method!r} and options {options} "
                f"with {name.name}; give the options when it is built"
            )
        return Grounder(name)
    if method is None and str(name) in available("stvg.methods"):
        return Grounder(build_method(str(name), None, assignments))
    return Grounder(build_method(method or "text_box", str(name), assignments))


class Grounder:
    """A method with its model, which it keeps between questions.

    Args:
        method: The method, built.

    Attributes:
        method: The same.
    """

    def __init__(self, method: Method) -> None:
        self.method = method
        self._detectors = Detectors()

    @overload
    def ground(  # type: ignore[overload-overlap]  # a text is a sequence of texts too
        self, video: str | Path, queries: str | Query
    ) -> Prediction: ...

    @overload
    def ground(self, video: str | Path, queries: Sequence[str | Query]) -> list[Prediction]: ...

    def ground(
        self, video: str | Path, queries: str | Query | Sequence[str | Query]
    ) -> Prediction | list[Prediction]:
        """Find what sentences describe in a video.

        Several sentences on one video cost little more than one: ask them together.

        Args:
            video: Path of the video.
            queries: One sentence or several.

        Returns:
            A prediction for one sentence, a list of them in order for a list of sentences. Nothing
            found is a prediction without a tube.

        Raises:
            UsageError: If a sentence is empty, or there is none.
            VideoError: If the video cannot be read.
            MissingExtraError: If the method needs a package that is not installed.
            WeightsError: If model weights cannot be had.
        """
        found = ground(video, queries, method=self.method, detectors=self._detectors)
        return found[0] if isinstance(queries, (str, Query)) else found
