"""Writing frames to an MP4 file that any browser plays, each at its true presentation time.

The writer takes one RGB picture and one time after the other, so videos of any length pass through
it and a variable frame rate stays what it is. The same pictures give the same bytes, however many
cores a machine has. It does not resize, draw or carry sound. What it decides for you:

* H.264 (libx264), 4:2:0, BT.709 colours written into the file, so players do not guess them.
* H.264 in 4:2:0 needs even sizes; an odd width or height grows by one pixel, a copy of the last
  column or row. Nothing is cropped and no coordinate moves.
* No B-frames: frames leave in the order they came, which keeps the length of the file exact when
  the frame rate varies (an MP4 with B-frames and uneven times loses its last frames in players).
* The index stands before the pictures ("fast start"), so a browser plays while it loads.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import numpy as np
from av.codec.codec import UnknownCodecError
from av.container import OutputContainer
from av.error import FFmpegError
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream

from stvg.errors import OutputError, UsageError
from stvg.formats.atomic import atomic_path
from stvg.types import ByteArray

TICKS_PER_S = {"libx264": 120_000, "mpeg4": 60_000}
"""Clock of the file by encoder. 120000 has whole ticks for 24, 25, 30, 50, 60 and 120 frames a
second and their 1000/1001 variants; MPEG-4 part 2 allows no clock above 65535."""

MUXERS = {".mp4": "mp4", ".mov": "mov"}
BT709 = (
    1  # primaries, transfer and matrix have the same number in the H.264 standard (tables E-3..5)
)
LIMITED_RANGE = 1
KEYFRAME_EVERY_S = 2  # ours: short enough to jump to any time at once, costs a few percent of size
THREADS = 4  # fixed, because the number of threads changes what x264 writes


class VideoWriter:
    """Writes one video; a context manager.

    The file appears under its name only when the block ends without an error; otherwise nothing
    is left behind. Times count from the first frame written: it stands at 0 in the file.

    Args:
        path: Where to write; ``.mp4`` or ``.mov``.
        fps: Frames per second, exact. Says how long the last frame is shown when ``duration_s``
            does not, and steers the encoder; the times of the frames come from :meth:`write`.
        duration_s: Seconds from the first frame to the end of the last; default: the last frame
            is shown for ``1 / fps``.
        quality: Constant rate factor of H.264, 1 (best, big) to 51 (worst, small). 20 looks like
            the original; 10 or less where pixels are measured afterwards.
        title: What the file says that it shows.

    Attributes:
        frames: Number of frames written so far.

    Raises:
        UsageError: If the suffix, frame rate or quality cannot be written.
        OutputError: When the file cannot be written, or no frame was.

    Example:
        >>> import tempfile
        >>> black = np.zeros((48, 64, 3), np.uint8)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with VideoWriter(Path(folder) / "two.mp4", fps=Fraction(25)) as writer:
        ...         writer.write(black, 0.0)
        ...         writer.write(black, 0.04)
        ...     writer.frames
        2
    """

    def __init__(
        self,
        path: str | Path,
        *,
        fps: Fraction,
        duration_s: float | None = None,
        quality: int = 20,
        title: str | None = None,
    ) -> None:
        self.path = Path(path)
        if self.path.suffix.lower() not in MUXERS:
            raise UsageError(
                f"videos are written as {' or '.join(MUXERS)}, found {self.path.name!r}; choose a "
                "name with one of these suffixes"
            )
        if fps <= 0 or not 1 <= quality <= 51:
            raise UsageError(
                "a video needs a frame rate above 0 and a quality of 1 to 51, found "
                f"{fps} fps and quality {quality}"
            )
        self.frames = 0
        self._fps = fps
        self._duration_s = duration_s
        self._quality = quality
        self._title = title
        self._first_time_s = 0.0
        self._last_tick = -1
        self._size = (0, 0)
        self._codec = _available_encoder()
        self._stack: ExitStack | None = None
        self._output: tuple[OutputContainer, VideoStream] | None = None
        self._held_back: av.Packet[VideoStream] | None = None

    def __enter__(self) -> VideoWriter:
        self._stack = ExitStack()
        with _as_output_error(self.path):
            self._temporary = self._stack.enter_context(atomic_path(self.path))
        self._stack.callback(self._abandon)  # before the temporary file is renamed or removed
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._stack is not None
        stack, self._stack = self._stack, None
        if kind is None:
            with _as_output_error(self.path), stack:
                self._finish()
        else:
            stack.__exit__(kind, error, trace)

    def write(self, rgb: ByteArray, time_s: float) -> None:
        """Append one picture.

        Args:
            rgb: Picture, (H, W, 3) uint8; all of one size.
            time_s: When it appears, seconds; later than the one before.

        Raises:
            UsageError: If the picture has another form or size, or its time does not increase.
            OutputError: When the file cannot be written.
        """
        if self._stack is None:
            raise UsageError("write frames inside the block: with VideoWriter(...) as writer: ...")
        self._check(rgb, time_s)
        if not self.frames:
            self._first_time_s = time_s
        ticks_per_s = TICKS_PER_S[self._codec]
        tick = round((time_s - self._first_time_s) * ticks_per_s)
        if tick <= self._last_tick:
            raise UsageError(
                f"frame times must increase, found {time_s:.6f} s after "
                f"{self._first_time_s + self._last_tick / ticks_per_s:.6f} s in {self.path.name}"
            )
        with _as_output_error(self.path):
            container, stream = self._output or self._open(rgb)
            picture = _to_yuv420(rgb)
            picture.pts, picture.time_base = tick, Fraction(1, ticks_per_s)
            for packet in stream.encode(picture):
                self._mux(container, packet)
        self._last_tick = tick
        self.frames += 1

    def _check(self, rgb: ByteArray, time_s: float) -> None:
        """Refuse what is no picture, has another size than the first, or has no time."""
        if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or not rgb.size:
            raise UsageError(
                "a frame is an RGB picture (H, W, 3) of uint8, found "
                f"{rgb.shape} of {rgb.dtype} at {time_s} s"
            )
        if not np.isfinite(time_s):
            raise UsageError(f"a frame needs a time in seconds, found {time_s}")
        size = (rgb.shape[1], rgb.shape[0])
        if self.frames and size != self._size:
            raise UsageError(
                f"all frames of a video have one size, found {size[0]}x{size[1]} at {time_s:.3f} s "
                f"after {self._size[0]}x{self._size[1]}"
            )
        self._size = size

    def _open(self, rgb: ByteArray) -> tuple[OutputContainer, VideoStream]:
        """Start the file in the size of the first picture (H, W, 3)."""
        height, width = rgb.shape[:2]
        container = av.open(
            str(self._temporary),
            "w",
            format=MUXERS[self.path.suffix.lower()],
            options={"movflags": "+faststart"},
        )
        if self._title is not None:
            container.metadata["title"] = self._title
        self._output = (container, _add_stream(container, self._codec, self._fps, self._quality))
        stream = self._output[1]
        stream.width, stream.height = width + width % 2, height + height % 2
        return self._output

    def _mux(self, container: OutputContainer, packet: av.Packet[VideoStream]) -> None:
        """Write the packet before this one: the last is held back until its length is known."""
        if self._held_back is not None:
            container.mux(self._held_back)
        self._held_back = packet

    def _finish(self) -> None:
        """Write what the encoder still holds, give the last frame its length, close the file."""
        if self._output is None:
            raise OutputError(f"no frame was written to {self.path}, so there is no video to keep")
        container, stream = self._output
        for packet in stream.encode():
            self._mux(container, packet)
        assert self._held_back is not None
        ticks_per_s = TICKS_PER_S[self._codec]
        left = round((self._duration_s or 0.0) * ticks_per_s) - self._last_tick
        self._held_back.duration = left if left > 0 else round(ticks_per_s / self._fps)
        container.mux(self._held_back)
        container.close()
        self._output = None

    def _abandon(self) -> None:
        """Close a file that was not finished; it is removed, so what goes wrong says nothing."""
        if self._output is not None:
            with suppress(OSError, FFmpegError):
                self._output[0].close()
            self._output = None


def _available_encoder() -> str:
    """The best encoder that this PyAV has; says so when browsers will not play the result."""
    for name in TICKS_PER_S:
        try:
            av.codec.Codec(name, "w")
        except UnknownCodecError:
            continue
        if name != "libx264":
            warnings.warn(
                f"this PyAV has no H.264 encoder; videos are written as {name}, which browsers do "
                "not play. Install PyAV from PyPI (pip install av), which brings libx264.",
                RuntimeWarning,
                stacklevel=3,
            )
        return name
    raise OutputError(
        "this PyAV has neither libx264 nor mpeg4 to write videos with; install it from PyPI (pip "
        "install av)"
    )


def _add_stream(container: OutputContainer, codec: str, fps: Fraction, quality: int) -> VideoStream:
    """The video stream of a new file, all but its size."""
    # MPEG-4 part 2 has quantisers of 1 to 31, in units of 118; a sixth of the H.264 rate factor
    # looks about the same.
    options = {
        "libx264": {"crf": str(quality), "preset": "veryfast"},
        "mpeg4": {"flags": "+qscale", "global_quality": str(118 * max(1, round(quality / 6)))},
    }[codec]
    stream = container.add_stream(codec, rate=fps, options=options)
    assert isinstance(stream, VideoStream)
    stream.pix_fmt = "yuv420p"
    stream.time_base = Fraction(1, TICKS_PER_S[codec])
    context = stream.codec_context
    context.time_base = stream.time_base
    context.max_b_frames = 0
    context.gop_size = max(1, round(KEYFRAME_EVERY_S * fps))
    context.thread_count = THREADS
    context.thread_type = "AUTO"
    context.color_primaries = context.color_trc = context.colorspace = BT709
    context.color_range = LIMITED_RANGE
    return stream


def _to_yuv420(rgb: ByteArray) -> av.VideoFrame:
    """A picture (H, W, 3) as an encoder wants it, even in both directions."""
    height, width = rgb.shape[:2]
    if width % 2 or height % 2:
        rgb = np.pad(rgb, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
    return frame.reformat(
        format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
    )


@contextmanager
def _as_output_error(path: Path) -> Iterator[None]:
    """Turn what the disk or the encoder has to say into one sentence about ``path``."""
    try:
        yield
    except (OSError, FFmpegError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise OutputError(
            f"cannot write the video {path}: {reason}; check the folder, its permissions and the "
            "free space"
        ) from error
