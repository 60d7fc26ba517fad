"""ActivityNet Captions: sentences with times on untrimmed videos, one JSON object by video.

``{v_ID: {duration, timestamps: [[start, end], ...], sentences: [...]}}``. In papers on grounding
``val_1.json`` is validation and ``val_2.json`` is test, a second annotation of the same videos:
check which file a paper means. Sentences carry a leading blank, which is removed.

Source: the archive that ranjaykrishna/densevid_eval downloads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from .captions import TimedSentences, is_listed
from .reading import Part
from .recognise import Head, head_of


class Benchmark(TimedSentences):
    """ActivityNet Captions; ids ``<video>_<sentence>``, sentences counted from 0 in the video."""

    name = "activitynet_captions"
    title = "ActivityNet Captions"
    source = "https://github.com/ranjaykrishna/densevid_eval"
    licence = "none stated; research use is customary"
    files = ("train.json", "val_1.json", "val_2.json")

    def parts(self, path: Path, companions: Mapping[str, Path]) -> Iterator[Part]:
        """One part a video, or a query of the plain list."""
        yield from self.listed(path) if is_listed(head_of(path)) else self.captioned(path)

    def recognises(self, head: Head) -> bool:
        """Videos named ``v_...`` with sentences and times."""
        return head.first_key.startswith("v_") and head.has("duration", "timestamps")
