"""JSON with pixels of the frames that the model sees, as Qwen2.5-VL writes boxes.

Qwen2.5-VL counts pixels of its input after resizing (QwenLM/Qwen3-VL, issues 676 and 721).
"""

from __future__ import annotations

from stvg.text.box_json import BoxJson
from stvg.text.units import Units
from stvg.text.view import View


class Codec(BoxJson):
    """Whole pixels of the model's frames, up to their width and height."""

    name = "qwen2_5_json"

    def units(self, view: View) -> Units:
        """See :meth:`BoxJson.units`."""
        width, height = view.model_size
        return Units(width, height, width, height)

    def unit_words(self, view: View) -> str:
        """See :meth:`BoxJson.unit_words`."""
        width, height = view.model_size
        return f"whole pixels of a frame {width} wide and {height} high"
