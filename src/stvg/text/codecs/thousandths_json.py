"""JSON with thousandths of the frame's sides, as Qwen3-VL and Qwen2-VL write boxes.

The models use 0 to 1000 (QwenLM/Qwen3-VL, issue 1486), which is read. Three digits reach 999, so
that is written for the right and bottom edge: a thousandth of the frame is lost there.

Qwen2-VL puts boxes between tokens of their own, ``<|box_start|>(x1,y1),(x2,y2)<|box_end|>``; they
are read with these tokens or without, as decoding may have dropped them.
"""

from __future__ import annotations

from stvg.text.box_json import BoxJson
from stvg.text.units import Units
from stvg.text.view import View


class Codec(BoxJson):
    """Whole thousandths of the width and height."""

    name = "thousandths_json"
    reads_pairs = True

    def units(self, view: View) -> Units:
        """See :meth:`BoxJson.units`."""
        del view
        return Units(1000, 1000, 999, 999)

    def unit_words(self, view: View) -> str:
        """See :meth:`BoxJson.unit_words`."""
        del view
        return "thousandths of the width and height of the frame (0 left and top, 999 at the end)"
