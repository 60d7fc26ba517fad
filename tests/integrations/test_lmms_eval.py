"""What lmms-eval is told: against the plain forward of the model, and in its own harness.

The harness needs lmms-eval, whose pinned PyAV is older than ours, so that it is in no extra;
docs/lmms_eval.md says how to install it beside. What the model answers is tested without it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stvg.backbones.positions import Block, positions, token_types
from stvg.backbones.preprocess import normalise
from stvg.data.world.files import write_world
from stvg.errors import UsageError
from stvg.integrations.lmms_eval import Model, Options

torch = pytest.importorskip("torch", reason="the models extra is not installed")

OPTIONS = {"model": "tiny/base", "frames": 16, "side": 64, "query_first": True, "even_steps": True}
CHOICES = ["red ball", "blue", "the green box moves up"]
QUESTION = "what moves to the left?"


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("lmms") / "world"
    write_world(folder, clips=2, side=64)
    return sorted((folder / "videos").iterdir())


@pytest.fixture(scope="module")
def model(videos: list[Path]) -> Model:
    found = Model(**OPTIONS, max_batch_size=None)
    found.task_dict = {"task": {"test": [{"video": str(path)} for path in videos]}}
    return found


def visual(document: dict[str, Any]) -> list[Any]:
    return [document["video"]]


def request(*first: Any, number: int = 0, media: Any = visual) -> Any:
    """As lmms-eval makes it: question, what is wanted, media, number, task, split."""
    return SimpleNamespace(args=(*first, media, number, "task", "test"))


def logits_of(model: Model, number: int, tokens: list[int]) -> Any:
    """The model's own forward on prompt and answer in one, (S, V)."""
    backbone = model.backbone
    question = model._question(QUESTION, visual, number, "task", "test")
    config = backbone.model.config
    ids = [*question.ids, *tokens]
    types = token_types(ids, config.image_token_id, config.video_token_id)
    pixels = question.pixels
    block = Block(pixels.grid, pixels.seconds_per_step)
    with torch.no_grad():
        found = backbone.model(
            input_ids=torch.tensor([ids]),
            mm_token_type_ids=torch.from_numpy(types)[None],
            pixel_values_videos=torch.from_numpy(normalise(pixels.rows, backbone.layout)),
            video_grid_thw=torch.tensor([pixels.grid]),
            position_ids=torch.from_numpy(positions(types, [block], backbone.rule).ids),
        ).logits[0]
    found[:, list(backbone.banned_tokens)] = -torch.inf  # never written, so never likely
    return found


def test_losses_are_those_of_the_plain_forward(model: Model) -> None:
    requests = [request(QUESTION, choice, number=n) for n in (0, 1) for choice in CHOICES]
    found = model.loglikelihood(requests)
    assert len(found) == 6
    for (loss, is_greedy), each in zip(found, requests, strict=True):
        tokens = model.backbone.tokenizer(each.args[1], add_special_tokens=False)["input_ids"]
        logits = logits_of(model, each.args[3], tokens)[-len(tokens) - 1 : -1]
        expected = torch.nn.functional.cross_entropy(logits, torch.tensor(tokens))
        assert loss == pytest.approx(float(expected), abs=1e-4)
        assert is_greedy == (logits.argmax(-1).tolist() == tokens)


def test_what_it_writes_is_what_it_calls_greedy(model: Model) -> None:
    (text,) = model.generate_until([request(QUESTION, {"max_new_tokens": 5})])
    tokens = model.backbone.tokenizer(text, add_special_tokens=False)["input_ids"]
    assert 1 <= len(tokens) <= 5
    ((_, is_greedy),) = model.loglikelihood([request(QUESTION, text)])
    assert is_greedy
    (first,) = model.generate_until([request(QUESTION, {"until": [text[3:]], "temperature": 0})])
    assert first == text[:3]


def test_an_answer_may_come_from_the_document(model: Model) -> None:
    given = model.loglikelihood([request(QUESTION, "blue")])
    assert model.loglikelihood([request(QUESTION, lambda document: "blue")]) == given


def test_batches_change_nothing(videos: list[Path], model: Model) -> None:
    several = Model(**OPTIONS, batch_size=3)
    several.task_dict = model.task_dict
    asked = [request(text, {"max_new_tokens": 6}, number=n)
             for n in (0, 1) for text in (QUESTION, "which box grows?")]  # fmt: skip
    asked.insert(2, request(QUESTION, {"max_new_tokens": 1}))
    assert several.generate_until(asked) == model.generate_until(asked)


def test_pictures_are_the_frames_of_a_video(model: Model) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    pictures = [Image.fromarray(frame) for frame in frames]
    pixels = model._pixels(pictures)
    assert pixels.grid == (2, 8, 8)  # two steps of two frames, the last one twice
    assert model._pixels(pictures[:1]).grid == (1, 8, 8)


@pytest.mark.parametrize("media", [[], ["a.mp4", "b.mp4"], [3]])
def test_other_media_are_refused(model: Model, media: list[Any]) -> None:
    with pytest.raises(UsageError, match="expected one video file or pictures"):
        model.generate_until([request(QUESTION, {}, media=lambda _: media)])


def test_wrong_options() -> None:
    with pytest.raises(UsageError, match="did you mean 'frames'"):
        Model(frame=3)
    with pytest.raises(UsageError, match="of one round"):
        Model(**OPTIONS).generate_until_multi_round([])


def test_options_are_documented() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "lmms_eval.md").read_text()
    for name, default, description in Options.describe():
        is_own = name == "batch_size"  # lmms-eval's option
        assert is_own or f"| `{name}` | {default} | {description} |" in page


TASK = """\
task: drawn
dataset_path: json
dataset_kwargs: {{data_files: {documents}}}
test_split: train
output_type: generate_until
doc_to_visual: !function drawn.visual
doc_to_text: question
doc_to_target: written
process_results: !function drawn.score
generation_kwargs: {{max_new_tokens: 5}}
metric_list:
  - {{metric: score, aggregation: mean, higher_is_better: true}}
"""
FUNCTIONS = """\
def visual(document):
    return [document["video"]]

def score(document, results):
    return {"score": float(results[0] == document["written"])}
"""


@pytest.mark.skipif(
    importlib.util.find_spec("lmms_eval") is None, reason="lmms-eval is not installed"
)
def test_in_the_harness(model: Model, videos: list[Path], tmp_path: Path) -> None:
    """Two questions, scored against what the model says when it is asked directly."""
    documents = []
    for number, video in enumerate(videos):
        (written,) = model.generate_until([request(QUESTION, {"max_new_tokens": 5}, number=number)])
        expected = written if number == 0 else "nothing of the kind"  # half of them wrong
        documents.append({"video": str(video), "question": QUESTION, "written": expected})
    path = tmp_path / "documents.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in documents))
    (tmp_path / "drawn.py").write_text(FUNCTIONS)
    (tmp_path / "drawn.yaml").write_text(TASK.format(documents=path))
    arguments = ",".join(f"{name}={value}" for name, value in OPTIONS.items())
    subprocess.run(
        [sys.executable, "-m", "lmms_eval", "--model", "stvg", "--model_args", arguments,
         "--tasks", "drawn", "--include_path", str(tmp_path), "--output_path",
         str(tmp_path / "out")],
        check=True, env={**os.environ, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    (file,) = (tmp_path / "out").rglob("*results.json")
    assert json.loads(file.read_text())["results"]["drawn"]["score,none"] == 0.5
