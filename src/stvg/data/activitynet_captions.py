"""ActivityNet Captions: sentences with times on untrimmed videos, one JSON object by video.

``{v_ID: {duration, timestamps: [[start, end], ...], sentences: [...]}}``. In papers on grounding
``val_1.json`` is validation and ``val_2.json`` is test, a second annotation of the same videos:
check which file a paper means. Sentences carry a leading blank, which is removed.

Source: the archive that ranjaykrishna/densevid_eval downloads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from .captions import TimedSentences
from .reading import Part
from .recognise import Head


class Benchmark(TimedSentences):
    """ActivityNet Captions; ids ``<video>_<sentence>``, sentences counted from 0 in the video."""

    name = "activitynet_captions"
    title = "ActivityNet Captions"
    source = "https://github.com/ranjaykrishna/densevid_eval"
    licence = "none stated; research use is customary"
    files = ("train.json", "val_1.json", "val_2.json")

    def parts(self, path: Path, companions: Mapping[str, Path]) -> Iterator[Part]:
        """One part a video."""
        yield from self.captioned(path)

    def recognises(self, head: Head) -> bool:
        """Videos named ``v_...`` with sentences and times."""
        return head.first_key.startswith("v_") and head.has("duration", "timestamps")
