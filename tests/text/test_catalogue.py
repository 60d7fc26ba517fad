"""Grammars by name, what a prompt says about them, and that none of it loads torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stvg.errors import UsageError
from stvg.text import View, available_codecs, find_codec, prompt_of
from stvg.types import Query

VIEW = View(np.arange(8) + 0.5, np.arange(9.0), (200, 100), (100, 50), 2)
OWN = """
from stvg.text.answers import Reading
from stvg.text.codec import Codec

class Mine(Codec):
    name = "mine"
    looks_like = "two numbers"
    def render(self, tube, view): return f"{tube.interval.start_s} {tube.interval.end_s}"
    def read(self, text, view): return Reading(tuple(map(float, text.split())))
    def instruction(self, view): return "Two numbers."
    def grammar(self, view, vocabulary): raise NotImplementedError

class Nothing: pass
"""


def test_names() -> None:
    assert available_codecs() == ["compact", "o1", "o1_compact", "qwen2_5_json", "thousandths_json"]
    assert [find_codec(name).name for name in available_codecs()] == available_codecs()


def test_a_codec_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(OWN)
    codec = find_codec(f"{path}:Mine")
    assert codec.name == "mine"
    parsed = codec.parse("6 2", VIEW)
    assert parsed.interval is not None
    assert (parsed.interval.start_s, parsed.interval.end_s) == (2, 6)
    assert parsed.repairs == ("swapped the ends of the interval",)
    assert parsed.problem == "there is no box"
    with pytest.raises(UsageError, match=r"to be a subclass of stvg\.text\.codec\.Codec"):
        find_codec(f"{path}:Nothing")


def test_unknown_names() -> None:
    with pytest.raises(UsageError, match="did you mean 'compact'"):
        find_codec("compct")


def test_a_trained_grammar_is_asked_with_the_sentence_alone() -> None:
    assert prompt_of(Query("the dog jumps"), find_codec("compact"), VIEW) == "the dog jumps"


def test_other_models_are_told_what_they_see_and_what_to_write() -> None:
    prompt = prompt_of(Query("the dog jumps"), find_codec("qwen2_5_json"), VIEW)
    assert '"the dog jumps"' in prompt
    assert "8 frames from 0.5 s to 7.5 s of a video of 8.0 s" in prompt
    assert (
        '{"time": [start, end], "boxes": [{"time": t, "bbox_2d": [x1, y1, x2, y2]}, ...]}' in prompt
    )
    assert "from start to end: 1.0, 3.0, 5.0, 7.0." in prompt
    assert "whole pixels of a frame 100 wide and 50 high" in prompt
    assert "always 3 digits each, with zeros in front (seven is 007)" in prompt


def test_units_and_single_frames_are_told() -> None:
    view = View([0.5], [0.0, 1.0], (200, 100), (100, 50), 2)
    prompt = prompt_of(Query("the dog"), find_codec("thousandths_json"), view)
    assert "1 frame at 0.5 s of a video of 1.0 s" in prompt
    assert "thousandths of the width and height" in prompt


def test_long_clips_list_no_moments() -> None:
    times = np.arange(200) / 4 + 0.125  # 100 steps, half a second apart
    view = View(times, np.arange(201) / 4, (200, 100), (100, 50), 2)
    instruction = find_codec("thousandths_json").instruction(view)
    assert "Give one box for about every 0.50 seconds from start to end." in instruction
    assert len(instruction) < 600


def test_the_example_of_an_instruction_would_be_forgiven() -> None:
    # A model that copies the words of the instruction gives a reason, not a tube.
    instruction = find_codec("thousandths_json").instruction(VIEW)
    parsed = find_codec("thousandths_json").parse(instruction, VIEW)
    assert parsed.tube is None


def test_the_package_loads_nothing_heavy() -> None:
    program = "import stvg.text, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"torch", "transformers", "tokenizers", "scipy", "av"} & set(loaded)
