"""How large the pictures of a video become: a stream may change their size in the middle.

What a container declares is the size of the first picture. Any key picture may bring another one,
and so a small file can hold enormous pictures. Nearly all of this is found without decoding.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Final, TypeAlias

import av
import av.bitstream
import av.container
import av.video.stream

from stvg.video.container import open_video, packets_of

_SETS = {
    "av1": "extract_extradata",
    "h264": "h264_mp4toannexb,extract_extradata",
    "hevc": "hevc_mp4toannexb,extract_extradata",
}
"""The codecs that tell the size in parameter sets, mostly the same ones again and again, and what
finds these in packets."""

_NEW: Final = "new_extradata"  # where FFmpeg puts them

_Packets: TypeAlias = "Iterator[av.Packet[av.video.stream.VideoStream]]"


def picture_sizes(path: str) -> Iterator[tuple[int, int]]:
    """The size of a stream's pictures, again and again: each size that a key picture brings.

    Most decoders read the headers and pass over the pictures. Where parameter sets tell the size,
    key pictures are decoded once these change; where a decoder cannot pass over pictures (VP9), all
    key pictures are.

    Args:
        path: The file; what cannot be read of it is left out.

    Yields:
        Width and height, pixels as stored.

    Raises:
        VideoError: If the file is no video.
    """
    with open_video(path) as (container, stream):
        context = stream.codec_context
        yield context.width, context.height
        packets = _readable(container, stream)
        if stream.codec.canonical_name in _SETS:
            packets = _under_new_sets(packets, stream)
            context.skip_frame = "NONKEY"
        else:
            context.skip_frame = "ALL"
        keys_only = False
        for packet in packets:
            if keys_only and not packet.is_keyframe:
                continue
            with suppress(av.FFmpegError):
                keys_only = bool(context.decode(packet)) or keys_only
            yield context.width, context.height


def _readable(
    container: av.container.InputContainer, stream: av.video.stream.VideoStream
) -> _Packets:
    """The packets of a stream up to where the file breaks off."""
    with suppress(av.FFmpegError):
        yield from packets_of(container, stream)


def _under_new_sets(packets: _Packets, stream: av.video.stream.VideoStream) -> _Packets:
    """The key packets from the first that comes with other parameter sets than those before it.

    A packet whose sets cannot be read counts as one with others.
    """
    extract = av.bitstream.BitStreamFilterContext(_SETS[stream.codec.canonical_name], stream)
    known: set[bytes] = set()
    differs = False
    for packet in packets:
        try:
            for each in (packet, *extract.filter(av.Packet(bytes(packet)))):
                if each.has_sidedata(_NEW):
                    known.add(bytes(each.get_sidedata(_NEW)))
        except av.FFmpegError:
            differs = True
            extract.flush()
        differs = differs or len(known) > 1
        if differs and packet.is_keyframe:
            yield packet
