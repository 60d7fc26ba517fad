"""Which part of a video a visual token shows, and back.

A model of the Qwen2-VL family sees a clip as a grid of tokens: steps in time (each of a few
frames), rows and columns (each a square of model pixels), numbered row by row and step by step.
:class:`TokenGrid` translates between a token's number, its place (step, row, column), boxes in
pixels of the original frame and seconds of the original video. All of it is NumPy; the model's
own conventions (resized pixels, steps) appear only here and in the names of arguments.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from stvg.backbones.preprocess import Grid, PatchLayout
from stvg.errors import UsageError
from stvg.types import Clip, FloatArray, IntArray, Interval
from stvg.video.sampling import TIME_TOLERANCE_S


@dataclass(frozen=True, slots=True, eq=False)
class TokenGrid:
    """The tokens of one clip in time and space.

    Attributes:
        rows: Tokens from top to bottom.
        columns: Tokens from left to right.
        layout: How the model cuts the frames.
        width: Pixels of the original frame.
        height: Pixels of the original frame.
        frame_times_s: Presentation time of each frame of the clip, (T,) strictly increasing.
        end_s: Where the last step ends, after the last frame's time.

    Raises:
        UsageError: If there are no tokens, or times do not increase up to ``end_s``.

    Example:
        >>> grid = TokenGrid(2, 4, PatchLayout(), 640, 320, np.arange(6) / 2, 3.0)
        >>> len(grid), grid.steps, [int(part) for part in grid.place(13)]
        (24, 3, [1, 1, 1])
        >>> grid.boxes([13]).tolist(), grid.step_interval(1)
        ([[160.0, 160.0, 320.0, 320.0]], Interval(start_s=1.0, end_s=2.0))
    """

    rows: int
    columns: int
    layout: PatchLayout
    width: int
    height: int
    frame_times_s: FloatArray
    end_s: float

    def __post_init__(self) -> None:
        times = np.array(self.frame_times_s, np.float64)
        times.setflags(write=False)
        object.__setattr__(self, "frame_times_s", times)
        if min(self.rows, self.columns, self.width, self.height) < 1 or not times.size:
            raise UsageError(
                f"a token grid needs tokens, found {self.rows} rows, {self.columns} columns, "
                f"{times.size} frames of {self.width}x{self.height}"
            )
        if times.ndim != 1 or not np.all(np.diff([*times, self.end_s]) > 0):
            raise UsageError(
                f"the frame times of a token grid must increase strictly up to its end "
                f"{self.end_s}, found {times.tolist()}"
            )

    @classmethod
    def of(cls, clip: Clip, layout: PatchLayout) -> TokenGrid:
        """The grid of a clip that is at model size.

        The last frame stands for as long as the frames before it do on average, but not past the
        end of the video, and at least until the source shows its next frame.

        Raises:
            UsageError: If the clip is empty or its sides are no multiples of the layout's cell.
        """
        width, height = clip.size
        if not len(clip) or width % layout.cell or height % layout.cell:
            raise UsageError(
                f"expected a clip of frames whose sides are multiples of {layout.cell} pixels, "
                f"found {len(clip)} frames of {width}x{height}"
            )
        last_s = float(clip.times_s[-1])
        shown_until_s = float(clip.meta.frame_ends_s[clip.frame_indices[-1]])
        usual_s = (last_s - float(clip.times_s[0])) / max(len(clip) - 1, 1)
        return cls(
            height // layout.cell,
            width // layout.cell,
            layout,
            clip.meta.width,
            clip.meta.height,
            clip.times_s,
            max(shown_until_s, min(last_s + usual_s, clip.meta.duration_s), last_s + 1e-6),
        )

    def __len__(self) -> int:
        return self.steps * self.rows * self.columns

    @property
    def steps(self) -> int:
        """Tokens in time: frames by ``temporal_patch``, rounded up."""
        return -(-len(self.frame_times_s) // self.layout.temporal_patch)

    @property
    def grid_thw(self) -> Grid:
        """Patches in time, height and width before merging, as in ``video_grid_thw``."""
        return self.steps, self.rows * self.layout.merge, self.columns * self.layout.merge

    @property
    def model_size(self) -> tuple[int, int]:
        """Width and height of the frames in model pixels."""
        return self.columns * self.layout.cell, self.rows * self.layout.cell

    @property
    def step_starts_s(self) -> FloatArray:
        """Time of the first frame of each step, (steps,)."""
        return self.frame_times_s[:: self.layout.temporal_patch]

    @property
    def seconds_per_step(self) -> float:
        """Mean time from a step to the next (``second_per_grid_ts``); 1 for a single frame."""
        times = self.frame_times_s
        if len(times) == 1:
            return 1.0
        return float(times[-1] - times[0]) / (len(times) - 1) * self.layout.temporal_patch

    def place(self, tokens: ArrayLike) -> tuple[IntArray, IntArray, IntArray]:
        """Step, row and column of each token, three arrays of the shape of ``tokens``.

        Raises:
            UsageError: If a token is not in [0, len(self)).
        """
        steps, rest = np.divmod(self._checked(tokens, len(self), "token"), self.rows * self.columns)
        rows, columns = np.divmod(rest, self.columns)
        return steps, rows, columns

    def tokens(self, steps: ArrayLike, rows: ArrayLike, columns: ArrayLike) -> IntArray:
        """Numbers of the tokens at these places (broadcast); inverse of :meth:`place`.

        Raises:
            UsageError: If a place is outside the grid.
        """
        step = self._checked(steps, self.steps, "step")
        row = self._checked(rows, self.rows, "row")
        column = self._checked(columns, self.columns, "column")
        return (step * self.rows + row) * self.columns + column

    def boxes(self, tokens: ArrayLike) -> FloatArray:
        """What each token (N,) shows, ``xyxy`` pixels of the original frame, (N, 4)."""
        _, rows, columns = self.place(np.atleast_1d(tokens))
        corners = np.stack([columns, rows, columns + 1, rows + 1], axis=-1)
        return self.to_original(corners * self.layout.cell)

    def to_model(self, boxes: ArrayLike) -> FloatArray:
        """Boxes (..., 4) from pixels of the original frame to model pixels."""
        scaled: FloatArray = np.asarray(boxes, np.float64) / self._scale_xyxy
        return scaled

    def to_original(self, boxes_model_px: ArrayLike) -> FloatArray:
        """Boxes (..., 4) from model pixels to pixels of the original frame."""
        scaled: FloatArray = np.asarray(boxes_model_px, np.float64) * self._scale_xyxy
        return scaled

    def step_at(self, times_s: ArrayLike) -> IntArray:
        """The step that stands for each time: the last that has begun, before the first the first.

        As for frames, a time a tenth of a millisecond before a step counts as that step.
        """
        times = np.asarray(times_s, np.float64) + TIME_TOLERANCE_S
        return np.maximum(np.searchsorted(self.step_starts_s, times, side="right") - 1, 0)

    def step_interval(self, step: int) -> Interval:
        """When a step is on: from its first frame to that of the next step.

        Raises:
            UsageError: If there is no such step.
        """
        knots = self._knots_s
        number = int(self._checked(step, self.steps, "step"))
        return Interval(float(knots[number]), float(knots[number + 1]))

    def to_seconds(self, model_steps: ArrayLike) -> FloatArray:
        """Times of positions counted in steps (1.5: halfway through the second step), any shape.

        Linear within each step; positions outside [0, steps] are clipped to it.
        """
        found: FloatArray = np.interp(
            np.asarray(model_steps), np.arange(self.steps + 1), self._knots_s
        )
        return found

    def to_steps(self, times_s: ArrayLike) -> FloatArray:
        """Positions in steps of times in seconds; inverse of :meth:`to_seconds`."""
        found: FloatArray = np.interp(
            np.asarray(times_s), self._knots_s, np.arange(self.steps + 1.0)
        )
        return found

    def token_at(self, times_s: ArrayLike, xs: ArrayLike, ys: ArrayLike) -> IntArray:
        """The token that shows a point of the original frame at a time (broadcast).

        Points outside the frame belong to the nearest token.
        """
        scale_x, scale_y = self._scale
        cell = self.layout.cell
        columns = np.floor(np.asarray(xs, np.float64) / (scale_x * cell)).astype(np.int64)
        rows = np.floor(np.asarray(ys, np.float64) / (scale_y * cell)).astype(np.int64)
        return self.tokens(
            self.step_at(times_s),
            np.clip(rows, 0, self.rows - 1),
            np.clip(columns, 0, self.columns - 1),
        )

    @property
    def _scale(self) -> tuple[float, float]:
        """Original pixels in a model pixel, across and down."""
        width, height = self.model_size
        return self.width / width, self.height / height

    @property
    def _scale_xyxy(self) -> FloatArray:
        """The same for a box, (4,)."""
        return np.tile(self._scale, 2)

    @property
    def _knots_s(self) -> FloatArray:
        """Where steps begin and the last one ends, (steps + 1,)."""
        return np.append(self.step_starts_s, self.end_s)

    def _checked(self, numbers: ArrayLike, limit: int, what: str) -> IntArray:
        """Whole numbers in [0, limit) as int64."""
        array = np.asarray(numbers, np.int64)
        if array.size and not ((array >= 0) & (array < limit)).all():
            raise UsageError(
                f"this grid of {self.steps} steps, {self.rows} rows and {self.columns} columns has "
                f"{what}s [0, {limit}), found {array.min()} to {array.max()}"
            )
        return array
