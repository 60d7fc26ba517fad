"""The kinds of streams that the reader is tested with, as orders for the bar code writer."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

FRAMES = 45
FPS = 10


@dataclass(frozen=True)
class Stream:
    """How to write a video, and what the reader must make of it.

    Attributes:
        suffix: Of the file.
        write: Arguments of :func:`tests.barcode.write_barcode_video`.
        is_short: Whether reading need not decode from the start.
        is_counted: Whether the packets tell the frames.
    """

    suffix: str
    write: dict[str, Any] = field(default_factory=dict)
    is_short: bool = True
    is_counted: bool = True


def x264(options: str, suffix: str = "mp4", **write: Any) -> Stream:
    """H.264 with these encoder parameters."""
    return Stream(suffix, {"options": {"x264-params": options}, **write})


def x265(options: str) -> Stream:
    """HEVC with these encoder parameters."""
    return Stream(
        "mp4", {"codec": "libx265", "options": {"x265-params": f"log-level=error:{options}"}}
    )


STREAMS = {
    # H.264: no key frame but the first, B-frames in a pyramid
    "h264_one_group": x264("keyint=infinite:bframes=3:b-adapt=0"),
    # a key frame every 12 pictures
    "h264_gop12": x264("keyint=12:bframes=3:b-adapt=0:scenecut=0"),
    # a key frame every 5 pictures, no B-frames: decoding order is showing order
    "h264_gop5_no_b": x264("keyint=5:bframes=0:scenecut=0"),
    # every picture a key frame
    "h264_all_intra": x264("keyint=1"),
    # open groups: pictures before a key frame refer to the group before it
    "h264_open_gop": x264("open-gop=1:keyint=12:bframes=3:b-adapt=0:scenecut=0"),
    # no key frames, columns of intra blocks instead
    "h264_intra_refresh": x264("intra-refresh=1:keyint=12"),
    # several slices a picture
    "h264_slices": x264("keyint=12:bframes=2:slices=3"),
    # 10 bits, odd size without chroma subsampling, Matroska, transport stream, Flash
    "h264_10_bit": x264("keyint=12", pix_fmt="yuv420p10le"),
    "h264_odd_size": x264("keyint=12", pix_fmt="yuv444p", size=(97, 65)),
    "h264_mkv": x264("keyint=12:bframes=3:b-adapt=0", "mkv"),
    "h264_ts": x264("keyint=12:bframes=3:b-adapt=0", "ts"),
    "h264_open_ts": x264("open-gop=1:keyint=12:bframes=3:b-adapt=0:scenecut=0", "ts"),
    "h264_flv": x264("keyint=12:bframes=2", "flv"),
    "h264_fragments": x264(
        "keyint=12:bframes=3", container_options={"movflags": "empty_moov+frag_keyframe"}
    ),
    # interlaced: two fields may come in two packets, so the packets are not believed
    "h264_interlaced": Stream(
        "mp4", {"options": {"x264-params": "tff=1:keyint=12"}}, is_short=False, is_counted=False
    ),
    "hevc_closed_gop": x265("keyint=12:bframes=3:open-gop=0:b-adapt=0:scenecut=0"),
    "hevc_open_gop": x265("keyint=12:bframes=4:open-gop=1:b-adapt=0:scenecut=0"),
    "hevc_temporal_layers": x265("keyint=12:bframes=4:b-adapt=0:scenecut=0:temporal-layers=3"),
    "vp9": Stream(
        "webm",
        {"codec": "libvpx-vp9", "options": {"g": "12", "cpu-used": "8", "deadline": "realtime"}},
    ),
    # hidden reference frames, packed together with shown ones
    "vp9_hidden_frames": Stream(
        "webm",
        {
            "codec": "libvpx-vp9",
            "options": {
                "g": "20",
                "cpu-used": "8",
                "auto-alt-ref": "1",
                "lag-in-frames": "16",
                "b": "200k",
            },
        },
    ),
    "av1": Stream(
        "mp4",
        {
            "codec": "libsvtav1",
            "size": (192, 128),
            "options": {"g": "12", "preset": "8", "crf": "20", "svtav1-params": "enable-tf=0"},
        },
    ),
    "mjpeg": Stream("mov", {"codec": "mjpeg", "pix_fmt": "yuvj420p"}),
    "mjpeg_avi": Stream("avi", {"codec": "mjpeg", "pix_fmt": "yuvj420p"}),
    "mpeg4": Stream("mp4", {"codec": "mpeg4", "options": {"g": "12", "bf": "2"}}, is_short=False),
    "mpeg4_avi": Stream("avi", {"codec": "mpeg4", "options": {"g": "12"}}, is_short=False),
    "gif": Stream("gif", {"codec": "gif", "pix_fmt": "rgb8"}, is_short=False),
    "prores": Stream("mov", {"codec": "prores_ks", "pix_fmt": "yuv422p10le"}, is_short=False),
    "ffv1": Stream("mkv", {"codec": "ffv1"}, is_short=False, is_counted=False),
    "mpeg2": Stream(
        "mpg",
        {"codec": "mpeg2video", "fps": 25, "options": {"bf": "2"}},
        is_short=False,
        is_counted=False,
    ),
}


def fps_of(name: str) -> Fraction:
    """Frame rate of a kind of stream."""
    return Fraction(STREAMS[name].write.get("fps", FPS))
