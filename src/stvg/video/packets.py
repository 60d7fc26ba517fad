"""The vocabulary of :mod:`stvg.video.bitstream`: what one packet announces before it is decoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

NO_ENTRY, SOFT_ENTRY, HARD_ENTRY = 0, 1, 2
"""Whether decoding may start at a picture: no; yes, for what is shown from it on; yes, for
everything that follows it in the stream."""


class UncountableError(Exception):
    """The packets of this stream do not tell which pictures come out; only decoding does."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What one packet announces.

    Attributes:
        entry: ``NO_ENTRY``, ``SOFT_ENTRY`` or ``HARD_ENTRY``.
        layer: Temporal sub-layer, from 0.
        unreferenced: No picture of the same or a lower sub-layer refers to it.
        shown: Whether it puts a picture on the screen (VP8 and VP9 have hidden ones).
    """

    entry: int = NO_ENTRY
    layer: int = 0
    unreferenced: bool = False
    shown: bool = True


class PacketReader(Protocol):
    """Reads the packets of one stream in order.

    Attributes:
        exact_entries: False once something was seen that makes starting in the middle unsafe.
        reorders_safely: False when the stream does not declare how far pictures are reordered,
            so that a decoder may drop some while it finds out.
        starts_with_entry: Whether a stream whose first packet is no entry is a cut one, of which
            the decoder leaves pictures out.
    """

    exact_entries: bool
    reorders_safely: bool
    starts_with_entry: bool

    def picture(self, data: bytes) -> Picture:
        """What ``data``, one packet, announces.

        Raises:
            UncountableError: If the packet is not exactly one picture or cannot be read.
        """
        ...
