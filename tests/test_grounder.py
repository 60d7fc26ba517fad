"""``stvg.load``: one sentence or several, loaded once, the same answers as ``stvg.ground``."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stvg
from stvg.data.world import draw_clip, plan_clip
from stvg.data.world.files import write_clip
from stvg.errors import UsageError, WeightsError
from stvg.grounder import Grounder
from tests.predict_methods import Perfect, reference

SENTENCE = "the orange bug grows"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("world") / "clip.mp4"
    write_clip(path, draw_clip(plan_clip(21, split="val"), 64))
    return path


@pytest.fixture(scope="module")
def tiny() -> Grounder:
    return stvg.load("tiny")


def test_one_sentence_one_prediction(tiny: Grounder, clip: Path) -> None:
    one = tiny.ground(clip, SENTENCE)
    assert isinstance(one, stvg.Prediction)
    (listed,) = tiny.ground(clip, [SENTENCE])
    (plain,) = stvg.ground(clip, SENTENCE)
    assert one.tube is not None
    for other in (listed, plain):
        assert other.tube is not None
        assert other.answer == one.answer
        assert other.tube.boxes.tolist() == one.tube.boxes.tolist()
    assert tiny.ground(clip, stvg.Query(SENTENCE)).answer == one.answer


def test_the_model_is_read_once(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from stvg.backbones.qwen import QwenBackbone

    loads = []
    load = QwenBackbone.load

    def counted(*args: object, **options: object) -> object:
        loads.append(args)
        return load(*args, **options)

    monkeypatch.setattr(QwenBackbone, "load", counted)
    grounder = stvg.load("tiny")
    for _ in range(3):
        grounder.ground(clip, SENTENCE)
    assert len(loads) == 1


def test_detectors_are_kept(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from stvg import grounding

    loads = []
    load = grounding.load_detector

    def counted(*args: object, **options: object) -> object:
        loads.append(args)
        return load(*args, **options)

    monkeypatch.setattr(grounding, "load_detector", counted)
    grounder = stvg.load("blobs", "track_match")
    for _ in range(2):
        grounder.ground(clip, "the red ball")
    assert len(loads) == 1


def test_names(tmp_path: Path) -> None:
    assert stvg.load("track_match").method.name == "track_match"
    queries = tmp_path / "queries.json"
    queries.write_text('{"a.mp4": "The man sits."}')
    shifted: Any = stvg.load(f"hcstvg_v2={queries}", reference(), shift=2).method
    assert shifted.config.shift == 2
    built = Perfect({}, None)
    assert stvg.load(built).method is built


def test_options_of_every_kind_arrive(tmp_path: Path) -> None:
    queries = tmp_path / "queries.json"
    queries.write_text('{"a.mp4": "The man sits."}')
    load = partial(stvg.load, f"hcstvg_v2={queries}", reference())
    method: Any = load(shift=np.int64(2)).method
    assert method.config.shift == 2
    with pytest.raises(UsageError, match="😀"):
        load(shift="😀")
    with pytest.raises(UsageError, match="absent"):
        load(shift=Path("absent"))


def test_a_folder_may_be_a_path(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=re.escape(str(tmp_path))):
        stvg.load(tmp_path)


def test_options_are_checked() -> None:
    with pytest.raises(UsageError, match="there is no option 'frame', did you mean 'frames'"):
        stvg.load("tiny", frame=8)
    with pytest.raises(UsageError, match="there is no method 'tracks'"):
        stvg.load("yolox_nano", "tracks")
    with pytest.raises(UsageError, match="expected a built method alone"):
        stvg.load(Perfect({}, None), shift=2)
