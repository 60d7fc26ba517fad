"""``bridge_stg`` with a detector: the numbers are the detector's, frames are of files, a run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="the models extra is not installed")
transformers = pytest.importorskip("transformers", reason="the models extra is not installed")

from stvg.backbones.learned import PARTS  # noqa: E402
from stvg.data.world.files import write_world  # noqa: E402
from stvg.errors import UsageError, WeightsError  # noqa: E402
from stvg.excerpt import Excerpt  # noqa: E402
from stvg.grounding import ground  # noqa: E402
from stvg.methods.bridge_stg import Method as BridgeStg  # noqa: E402
from stvg.methods.bridge_stg.config import BridgeStgConfig  # noqa: E402
from stvg.methods.bridge_stg.decoder import QueryGuidedDecoder, Views  # noqa: E402
from stvg.methods.bridge_stg.dino import (  # noqa: E402
    Asked,
    Detector,
    DinoViews,
    Sentences,
    padded_ids,
    sentence_ids,
)
from stvg.methods.bridge_stg.files import check_file, frames_at, frames_in  # noqa: E402
from stvg.methods.bridge_stg.frames import Lesson  # noqa: E402
from stvg.methods.bridge_stg.parts import Wanted  # noqa: E402
from stvg.predicting.pictures import picture_meta  # noqa: E402
from stvg.progress import no_progress  # noqa: E402
from stvg.train.methods import check_lessons  # noqa: E402
from stvg.train.recipe import load_recipe  # noqa: E402
from stvg.train.sft import train  # noqa: E402
from stvg.train.starting import without_weights  # noqa: E402
from stvg.train.student import Student  # noqa: E402
from stvg.train.tasks.benchmark import Task  # noqa: E402
from stvg.train.tasks.world import Task as WorldTask  # noqa: E402
from stvg.types import Interval, Query, VideoMeta  # noqa: E402
from stvg.video import SamplingPlan, probe, read_clip  # noqa: E402
from tests.barcode import read_number, write_barcode_video  # noqa: E402
from tests.perception.tiny_models import save_detr, save_grounding_dino  # noqa: E402
from tests.train.small import TEXT_BOX, WORLD, backbone, recipe, tokenizer  # noqa: E402

torch.set_num_threads(1)
OPTIONS = {"grammar": "frames", "frames": 16, "side": 64, "query_first": True, "even_steps": True,
           "det": "<box>", "vectors": 3, "candidates": 6, "width": 32, "inside": 3, "outside": 1,
           "box_side": 160, "max_new_tokens": 8}  # fmt: skip
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SENTENCES = ("a red cup", "the dog, St. Bernard? and a skateboard")
QUERIES = 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector of two layers each and five levels, two of which its backbone lacks."""
    found = save_grounding_dino(tmp_path_factory.mktemp("models") / "dino")
    config = transformers.AutoConfig.from_pretrained(found)
    config.update({"encoder_layers": 2, "num_feature_levels": 5})
    torch.manual_seed(0)
    model = transformers.GroundingDinoForObjectDetection(config)
    for name, values in model.named_parameters():
        if "bbox" in name:  # fresh heads leave boxes where they are
            values.data = torch.randn(values.shape) / 4
        if name.endswith(("vision_param", "text_param")):  # fresh layers hardly mix both
            values.data.fill_(0.5)
        if name.endswith(("sampling_offsets.weight", "attention_weights.weight")):
            values.data = torch.randn(values.shape) / 10  # fresh ones do not look at positions
    model.save_pretrained(found)
    return found


@pytest.fixture(scope="module")
def detector(folder: Path) -> Detector:
    """In float64: norms of levels of a pixel or two make much of rounding."""
    found = Detector.load(str(folder), width=32)
    found.model.double()
    return found


def padded() -> tuple[Any, Any]:
    """Three frames of two sizes in one batch."""
    pixels = np.random.default_rng(0).integers(0, 256, (3, 3, 72, 96), dtype=np.uint8)
    is_real = torch.ones(3, 72, 96, dtype=torch.bool)
    is_real[1, 48:], is_real[1, :, 80:], is_real[2, :, 50:] = False, False, False
    return torch.from_numpy(pixels), is_real


def asked_of(folder: Path, detector: Detector) -> tuple[Asked, dict[str, Any]]:
    """What is looked for in these frames, and the same as the detector takes it."""
    ids, is_text = padded_ids([sentence_ids(str(folder), text) for text in SENTENCES], "cpu")
    rows = torch.tensor([0, 1, 0])
    with torch.no_grad():
        asked = Sentences(detector)(ids, is_text).of(rows)
    return asked, {"input_ids": ids[rows], "attention_mask": is_text[rows].long()}


def views_of(detector: Detector, asked: Asked) -> Views:
    with torch.no_grad():
        found: Views = DinoViews(detector).double().eval()(*padded(), asked)
    return found


def decoder_of(detector: Detector, layers: int, candidates: int = QUERIES) -> QueryGuidedDecoder:
    return QueryGuidedDecoder.of_detector(detector.model, layers, candidates).double().eval()


# --- check 5 of the specification: the same as the detector -----------------------------------


def test_the_last_layer_alone_with_ordinary_text_is_the_detector(
    folder: Path, detector: Detector
) -> None:
    """Frames of several sizes and sentences of several lengths, filled up."""
    frames, is_real = padded()
    asked, texts = asked_of(folder, detector)
    mean, std = (torch.tensor(each).double()[:, None, None] for each in (MEAN, STD))
    stock = transformers.GroundingDinoForObjectDetection.from_pretrained(folder).double().eval()
    with torch.no_grad():
        found = decoder_of(detector, 1)(views_of(detector, asked))
        expected = stock(
            pixel_values=((frames.double() / 255 - mean) / std) * is_real[:, None],
            pixel_mask=is_real.long(), **texts,
        )  # fmt: skip
    logits = expected.logits[..., : found.by_token.shape[-1]]
    assert torch.isinf(expected.logits[..., found.by_token.shape[-1] :]).all()
    is_text = texts["attention_mask"].bool()[:, None].expand_as(logits)
    assert torch.equal(found.by_token.isfinite(), is_text)
    assert torch.allclose(found.by_token[is_text], logits[is_text].double(), atol=1e-4)
    assert torch.allclose(found.scores[-1], logits.amax(-1).double(), atol=1e-4)
    assert torch.allclose(found.boxes[0], expected.init_reference_points, atol=1e-5)
    assert torch.allclose(found.boxes[-1], expected.pred_boxes, atol=1e-5)
    assert expected.pred_boxes[..., :2].std(1).min() > 0.05  # not the same box again and again
    assert logits[is_text].std() > 0.1


def test_all_layers_give_their_own_candidates(folder: Path, detector: Detector) -> None:
    """Those of the last layer are the best of those that it gives alone; the others its own."""
    views = views_of(detector, asked_of(folder, detector)[0])
    with torch.no_grad():
        all_layers = decoder_of(detector, 2)(views)
        alone = decoder_of(detector, 1)
        last, first = alone(views), alone(replace(views, layers=views.layers[:1]))
    assert len(views.layers) == 2
    assert torch.equal(views.layers[1], views.memory)
    expected = torch.cat([first.boxes[0][:, :3], last.boxes[0][:, :3]], dim=1)
    assert torch.allclose(all_layers.boxes[0], expected, atol=1e-8)
    assert not torch.allclose(all_layers.boxes[-1], last.boxes[-1], atol=1e-3)


@pytest.mark.parametrize("candidates", [4, 9])
def test_candidates_are_as_many_as_asked_for(
    folder: Path, detector: Detector, candidates: int
) -> None:
    """The detector has six queries: their embeddings are cut, or begin again."""
    decoder = decoder_of(detector, 2, candidates)
    with torch.no_grad():
        found = decoder(views_of(detector, asked_of(folder, detector)[0]))
    assert found.boxes[-1].shape == (3, candidates, 4)
    own = detector.model.model.query_position_embeddings.weight
    assert torch.equal(decoder.content.weight, torch.cat([own, own])[:candidates])


def test_queries_of_the_bridge_all_see_each_other(detector: Detector) -> None:
    """As a sentence whose words do, at positions 0, 1, ..."""
    features = torch.randn(3, 4, 32, dtype=torch.float64)
    told = Asked(
        features, torch.ones(3, 4, dtype=torch.bool), torch.ones(3, 4, 4, dtype=torch.bool),
        torch.arange(4).expand(3, -1),
    )  # fmt: skip
    apart = replace(told, sees=torch.eye(4, dtype=torch.bool).expand(3, -1, -1))
    expected, found, other = (views_of(detector, each) for each in (told, Asked(features), apart))
    assert torch.allclose(found.text, expected.text, atol=1e-8)
    assert torch.allclose(found.memory, expected.memory, atol=1e-8)
    assert not torch.allclose(found.text, other.text, atol=1e-3)


# --- what is learned --------------------------------------------------------------------------


def method(folder: Path, **options: Any) -> BridgeStg:
    values = {**OPTIONS, "detector": str(folder), **options}
    made = BridgeStg(backbone(), BridgeStgConfig.of(values))
    torch.manual_seed(0)
    made.parts = made.new_parts()
    return made


def lesson(side: int, words: tuple[int, ...] = ()) -> Lesson:
    """Two frames, the object in the first of them."""
    pixels = np.random.default_rng(side).integers(0, 256, (2, side, 96, 3), dtype=np.uint8)
    goals = np.array([[0.2, 0.3, 0.6, 0.7], [np.nan] * 4])
    return Lesson(
        1, words, np.array([3, 9]), np.array([0.4, 1.2]), goals, np.full((2, 4), np.nan),
        pixels=pixels,
    )  # fmt: skip


@pytest.mark.parametrize("bridge", ["states", "sentence"])
def test_what_learns_from_boxes(folder: Path, bridge: str) -> None:
    """All but the frozen: the backbone and BERT, which also stay as in evaluation."""
    parts = method(folder, bridge=bridge).parts.train()
    words = sentence_ids(str(folder), SENTENCES[0]) if bridge == "sentence" else ()
    states = torch.randn(1, 6, 32, requires_grad=True)
    sums, _ = parts.judge(states, [lesson(64, words)], [])
    (sums["space_score"] + sums["space_l1"] + sums["space_giou"]).backward()
    learned = {name for name, each in parts.named_parameters()
               if each.grad is not None and each.grad.any()}  # fmt: skip
    groups = {name.split(".")[1] for name in learned if name.startswith("images.")}
    assert groups == {"inputs", "level", "encoder"}
    assert any(name.startswith("decoder.decoder.layers") for name in learned)
    assert "decoder.project.0.weight" in learned
    assert ("words.project.weight" in learned) == (bridge == "sentence")
    is_told = states.grad is not None and bool(states.grad[:, 2:5].any())
    assert is_told == (bridge == "states")
    frozen = {name for name, each in parts.named_parameters() if not each.requires_grad}
    assert frozen == {name for name, _ in parts.named_parameters()
                      if name.startswith(("images.backbone.", "words.bert."))}  # fmt: skip
    assert parts.images.training
    assert not any(each.training for each in parts.images.backbone.modules())


def test_nothing_is_dropped_out_in_training(folder: Path) -> None:
    parts = method(folder).parts
    wanted = [Wanted(torch.randn(4, 32), (), None,
                     pixels=torch.from_numpy(lesson(64).pixels))]  # fmt: skip
    with torch.no_grad():
        expected, found = (parts.train(mode).find(wanted).boxes[-1] for mode in (False, True))
    assert torch.equal(found, expected)


def test_videos_of_several_sizes_are_learned_as_one_by_one(folder: Path) -> None:
    parts = method(folder).parts
    lessons, states = [lesson(64), lesson(48), lesson(64)], torch.randn(3, 6, 32)
    with torch.no_grad():
        together, seen = parts.judge(states, lessons, [])
        alone = [parts.judge(states[n : n + 1], [each], []) for n, each in enumerate(lessons)]
    for name, value in together.items():
        assert value.item() == pytest.approx(sum(each[name].item() for each, _ in alone), rel=1e-4)
    assert seen["box_iou"][1] == 3


# --- frames of files --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> VideoMeta:
    """Three seconds of ten frames a second that carry their numbers."""
    path = tmp_path_factory.mktemp("videos") / "numbers.mp4"
    write_barcode_video(path, frames=30, fps=10, size=(192, 128))
    return probe(path)


@pytest.mark.parametrize(
    ("start_s", "end_s", "rate", "numbers", "times_s"),
    [
        (0.55, 1.6, 5, [5, 7, 9, 11, 13, 15], [0.55, 0.7, 0.9, 1.1, 1.3, 1.5]),
        (0.5, 0.9, 30, [5, 6, 7, 8], [0.5, 0.6, 0.7, 0.8]),  # each once
        (1.02, 1.05, 5, [10], [1.02]),  # between two frames: the one on screen
        (2.0, 3.0, 2, [20, 25], [2.0, 2.5]),
    ],
)
def test_frames_of_an_interval_are_those_on_screen(
    video: VideoMeta, start_s: float, end_s: float, rate: float, numbers: Any, times_s: Any
) -> None:
    interval = Interval(start_s, end_s)
    parts = list(frames_in(interval, video, rate=rate, side=96, most=4))
    assert [len(each) for each, _ in parts] == [len(numbers[:4]), len(numbers[4:])][: len(parts)]
    found = np.concatenate([each for each, _ in parts])
    assert found == pytest.approx(times_s)
    assert interval.mask(found).all()
    pixels = np.concatenate([each for _, each in parts])
    assert pixels.shape[1:] == (96, 144, 3)
    assert [read_number(each) for each in pixels] == numbers


def test_frames_at_times_keep_their_order(video: VideoMeta) -> None:
    assert [read_number(each) for each in frames_at(video, np.array([0.3, 1.1, 2.9]), 128)] == [
        3, 11, 29,
    ]  # fmt: skip


def test_a_picture_is_its_own_frame(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    picture = picture_meta(tmp_path / "a.png")
    check_file(picture)
    ((times_s, pixels),) = frames_in(Interval(0, 1), picture, rate=5, side=40, most=8)
    assert times_s.tolist() == [0]
    assert np.array_equal(pixels, noise[None])


def test_pictures_are_learned_from(folder: Path, tmp_path: Path) -> None:
    """A referring expression: one frame, at the detector's size, with its box."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    (tmp_path / "train2014").mkdir()
    Image.fromarray(noise).save(tmp_path / "train2014" / "a.jpg")
    annotations = tmp_path / "finetune_refcoco_val.json"
    annotations.write_text(json.dumps({
        "images": [{"id": 7, "file_name": "a.jpg", "width": 96, "height": 64, "caption": "ball",
                    "dataset_name": "refcoco"}],
        "annotations": [{"bbox": [24, 16, 48, 32]}],
    }))  # fmt: skip
    task = Task.of({
        "kind": "benchmark", "benchmark": "refcoco", "annotations": str(annotations),
        "videos": str(tmp_path), "method": "bridge_stg", "clips": 1,
        "options": {**OPTIONS, "detector": str(folder)},
    })  # fmt: skip
    made = method(folder)
    batch = task.maker(without_weights(made.backbone)).batch([0])
    (learned,) = batch.lessons
    assert learned.pixels.shape == (1, 160, 240, 3)
    np.testing.assert_allclose(learned.goals, [[0.25, 0.25, 0.75, 0.75]])
    sums, gauges = Student(made.backbone.model, tokenizer(), (0.7, 0.4), made.parts)(batch)
    assert sums["space_giou"] > 0
    assert gauges["box_iou"][1] == 1


# --- a run ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("files") / "world"
    write_world(found, split="train", clips=2, side=64)
    return found


@pytest.fixture(scope="module")
def last(world: Path, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two steps on files, from the embedded model and a detector, and answers by prediction."""
    options = {**OPTIONS, "detector": str(folder)}
    where = {"benchmark": "hcstvg_v2", "annotations": str(world / "annotations.json")}
    task = {"kind": "benchmark", **where, "method": "bridge_stg", "clips": 2, "cache_gb": 0,
            "options": options}  # fmt: skip
    return train(
        recipe(
            tmp_path_factory.mktemp("run") / "run", fresh=None, model="tiny/base", tasks=[task],
            card={"method": "bridge_stg", "data": "world", "options": options},
            evaluate={**where, "limit": 1}, samples=4, save_every=1,
        )
    )  # fmt: skip


def test_a_run_learns_boxes_and_predicts(last: Path, world: Path) -> None:
    log = [json.loads(line) for line in (last.parent / "log.jsonl").read_text().splitlines()]
    losses = [entry["hcstvg_v2/loss/space_giou"] for entry in log if "rate" in entry]
    assert len(losses) == 2
    assert all(np.isfinite(losses))
    assert log[-1]["evaluate/queries"] == 1
    assert log[-1]["evaluate/failed"] == 0
    file = sorted((world / "videos").iterdir())[0]
    (found,) = ground(file, "the red ball", method="bridge_stg", model=str(last), threads=1)
    assert found.tube is not None


def begun(folder: Path) -> dict[str, Any]:
    """The weights of the detector."""
    return dict(Detector.load(str(folder), width=32).model.state_dict())


def test_what_is_saved_is_what_was_learned(last: Path, folder: Path) -> None:
    """Without the frozen weights, which the detector brings; boxes are the same again."""
    from safetensors.torch import load_file

    saved = load_file(last / PARTS)
    made = BridgeStg.create(str(last))
    assert set(saved) == {name for name, each in made.parts.named_parameters()
                          if each.requires_grad}  # fmt: skip
    layer = "encoder.layers.0.deformable_layer.fc1.weight"
    assert not torch.equal(saved[f"images.{layer}"], begun(folder)[f"model.{layer}"])
    heads = [saved[f"decoder.decoder.bbox_embed.{layer}.layers.0.weight"] for layer in (0, 1)]
    assert not torch.equal(*heads)  # one each from the first step on
    wanted = [Wanted(torch.randn(4, made.parts.behind.shape[1]), (), None,
                     pixels=torch.from_numpy(lesson(64).pixels))]  # fmt: skip
    again = BridgeStg.create(str(last))
    with torch.no_grad():
        expected = made.parts.eval().find(wanted).boxes[-1]
        assert torch.equal(again.parts.eval().find(wanted).boxes[-1], expected)


def test_boxes_stand_at_the_decoders_own_times(last: Path, world: Path) -> None:
    """Three a second of the file's eight, though the model saw four frames in all."""
    made = BridgeStg.create(str(last), ["frames=4", "box_rate=3", "box_side=128"])
    file = sorted((world / "videos").iterdir())[0]
    query = Query("the red ball")
    clip = read_clip(file, made.plan(probe(file), query).frames)
    ((said, item),) = made.run([made.encode(clip, query)])
    interval = made.codec.parse(said.text, item.view).interval
    grid = np.arange(interval.start_s, interval.end_s - 1e-6, 1 / 3)
    shown = np.unique(clip.meta.frame_at(grid))
    boxes, scores, times_s = item.seen
    assert times_s == pytest.approx(np.maximum(shown / 8, interval.start_s))
    assert boxes.shape == (len(times_s), 4)
    tube = made.read_for(query, said.text, item, clip).parsed.tube
    assert tube.times_s == pytest.approx(times_s)
    assert tube.scores == pytest.approx(scores)
    assert made.decode((said, item), clip, query).tube is not None
    assert made._maps == {}


# --- time alone -------------------------------------------------------------------------------


def test_moments_teach_time_alone(world: Path, folder: Path, tmp_path: Path) -> None:
    """The answer is the interval and the token that calls boxes, and no box is learned."""
    names = sorted(path.stem for path in (world / "videos").iterdir())
    (tmp_path / "moments.txt").write_text(
        f"{names[0]} 0.5 1.25##the red ball moves left\n{names[1]} 3.0 9.0##the star\n"
    )
    task = Task.of({
        "kind": "benchmark", "benchmark": "charades_sta", "clips": 2, "method": "bridge_stg",
        "annotations": str(tmp_path / "moments.txt"), "videos": str(world / "videos"),
        "options": {**OPTIONS, "detector": str(folder)}, "max_broken": 0.5,
    })  # fmt: skip
    made = method(folder)
    batch = task.maker(without_weights(made.backbone)).batch([0, 1])
    assert list(batch.broken) == [f"{names[1]}"]  # its moment lies behind the end
    (answer,) = batch.rows.ids
    said = [tokenizer().decode([int(answer[n])]) for n in batch.rows.judged[0].nonzero()]
    assert said == ["<t_4>", "to", "<t_10>", "<box>"]
    assert batch.counts["space"] == 0
    sums, gauges = Student(made.backbone.model, tokenizer(), (0.7, 0.4), made.parts)(batch)
    assert sums["answer"] > 0
    assert all(sums[name] == 0 for name in made.parts.weights)
    assert gauges["box_iou"] == (0, 0)
    with pytest.raises(UsageError, match="found Charades-STA for text_box"):
        Task.of({**task.model_dump(), "method": "text_box", "options": TEXT_BOX}).maker(
            without_weights(made.backbone)
        )


def test_the_recipe_names_options_that_agree() -> None:
    recipe_path = Path(__file__).parents[2] / "recipes/bridge_stg/hcstvg_v2_lora.yaml"
    loaded = load_recipe(recipe_path)
    check_lessons(loaded.card, loaded.tasks)
    assert BridgeStgConfig.of(loaded.card["options"]).box_side == 640
    sizes = [BridgeStgConfig.of(task.options).box_side for task in loaded.tasks]
    assert sizes == [480] * 3


# --- what is refused --------------------------------------------------------------------------


def test_what_is_no_such_detector(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="there is no folder of that name"):
        Detector.load(str(tmp_path / "none"), width=32)
    with pytest.raises(WeightsError, match="holds a DetrForObjectDetection, not a Gr"):
        Detector.load(str(save_detr(tmp_path / "detr")), width=32)
    with pytest.raises(UsageError, match=r"option width to be 32, .* found 256; set width=32"):
        Detector.load(str(folder), width=256)
    with pytest.raises(UsageError, match="lower the option candidates"):
        method(folder, candidates=5000).parts.judge(torch.randn(1, 6, 32), [lesson(64)], [])


def test_clips_without_a_file_are_refused(folder: Path) -> None:
    """Drawn in memory."""
    options = {**OPTIONS, "detector": str(folder)}
    task = WorldTask.of({**WORLD, "numbered": 0, "method": "bridge_stg", "options": options})
    with pytest.raises(UsageError, match="found none at 'world'; write clips of the world with"):
        task.maker(without_weights(backbone())).batch([0])


def test_a_part_of_a_video_is_looked_at_from_its_own_beginning(video: VideoMeta) -> None:
    part = Excerpt.of(video, (4, 20))
    plan = SamplingPlan(count=4, fixed_size=(64, 64))
    clip = part.read(plan, threads=1, progress=no_progress)
    (found,) = frames_in(Interval(0.5, 1.0), clip.meta, rate=5, side=96, most=8, first=clip.first)
    assert found[0] == pytest.approx([0.5, 0.7, 0.9])
    assert [read_number(each) for each in found[1]] == [9, 11, 13]
    drawn = frames_at(clip.meta, clip.times_s, 96, first=clip.first)
    assert [read_number(each) for each in drawn] == (clip.frame_indices + 4).tolist()
