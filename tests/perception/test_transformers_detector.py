"""Detectors of ``transformers``: tiny models of the real classes, and outputs set by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stvg.errors import UsageError, WeightsError
from stvg.perception.choose import load_detector
from stvg.perception.transformers_detector import (
    TransformersDetector,
    caption_of,
    phrase_scores,
    prompt_of,
    token_spans,
)
from stvg.types import ByteArray
from tests.perception import tiny_models
from tests.perception.tiny_models import torch, transformers

WIDTH, HEIGHT = 80, 40
SAVERS: dict[str, Callable[[Path], Path]] = {
    "detr": tiny_models.save_detr,
    "rt_detr": tiny_models.save_rt_detr,
    "owlv2": tiny_models.save_owlv2,
    "grounding_dino": tiny_models.save_grounding_dino,
}
OPEN = ("owlv2", "grounding_dino")


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One saved model of each kind."""
    base = tmp_path_factory.mktemp("models")
    return {kind: save(base / kind) for kind, save in SAVERS.items()}


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here may ask the hub."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def noise(count: int = 1, width: int = WIDTH, height: int = HEIGHT) -> ByteArray:
    """Frames of coloured noise (count, height, width, 3)."""
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3)).astype(np.uint8)


class SetModel:
    """Stands where the network stands; gives outputs set by hand and keeps what it was given."""

    device = torch.device("cpu")
    dtype = torch.float32

    def __init__(self, config: Any, logits: Any, boxes: Any) -> None:
        self.config = config
        self.inputs: dict[str, Any] = {}
        self.in_inference_mode = False
        self.outputs = SimpleNamespace(
            logits=torch.as_tensor(logits, dtype=torch.float32)[None],
            pred_boxes=torch.as_tensor(boxes, dtype=torch.float32)[None],
        )

    def __call__(self, **inputs: Any) -> Any:
        self.inputs = inputs
        self.in_inference_mode = torch.is_inference_mode_enabled()
        return self.outputs


def with_outputs(
    folder: Path, logits: Any, boxes: Any, threshold: float = 0.1
) -> TransformersDetector:
    """A loaded detector whose network is replaced by outputs: boxes are cxcywh in [0, 1]."""
    detector = TransformersDetector.load(str(folder), threshold=threshold)
    return replace(detector, model=SetModel(detector.model.config, logits, boxes))


def logit(chance: float) -> float:
    """The number whose sigmoid is ``chance``."""
    return float(np.log(chance / (1 - chance)))


# ---------------------------------------------------------------------------- the real classes


@pytest.mark.parametrize("kind", SAVERS)
def test_a_saved_model_detects(kind: str, folders: dict[str, Path]) -> None:
    detector = load_detector(str(folders[kind]), threshold=0.05)
    frames = noise(2)
    found = detector.detect(frames, ["red cup", "dog"])

    assert len(found) == 2
    assert detector.name == kind
    assert detector.long_side == 64
    names = ("red cup", "dog") if kind in OPEN else ("person", "dog", "cup")
    assert detector.classes == (None if kind in OPEN else names)
    for one in found:
        assert len(one) > 0
        assert set(one.labels) <= set(names)
        assert one.boxes.dtype == one.scores.dtype == np.float64
        assert (one.boxes >= 0).all()
        assert (one.boxes <= [WIDTH, HEIGHT, WIDTH, HEIGHT]).all()
        assert (one.boxes[:, 2:] - one.boxes[:, :2] >= 1).all()
        assert (one.scores > 0.05).all()
        assert (np.diff(one.scores) <= 0).all()
        assert one.scores[0] <= 1
    (alone,) = detector.detect(frames[1:], ["red cup", "dog"])
    np.testing.assert_allclose(alone.boxes, found[1].boxes, atol=1e-3)
    np.testing.assert_allclose(alone.scores, found[1].scores, atol=1e-5)


@pytest.mark.parametrize("kind", SAVERS)
def test_a_higher_threshold_keeps_a_part(kind: str, folders: dict[str, Path]) -> None:
    low = TransformersDetector.load(str(folders[kind]), threshold=0.0)
    (everything,) = low.detect(noise(), ["dog"])
    between = float(everything.scores[len(everything) // 2])
    (some,) = replace(low, threshold=between).detect(noise(), ["dog"])
    np.testing.assert_array_equal(some.scores, everything.scores[everything.scores > between])
    (none,) = replace(low, threshold=1.0).detect(noise(), ["dog"])
    assert len(none) == 0
    assert none.boxes.shape == (0, 4)


@pytest.mark.parametrize(
    ("kind", "task", "label", "options"),
    [
        ("detr", "object-detection", None, {}),
        ("rt_detr", "object-detection", None, {}),
        ("owlv2", "zero-shot-object-detection", "dog", {"candidate_labels": ["a photo of a dog"]}),
    ],
)
def test_like_the_pipeline_of_transformers(
    kind: str, task: str, label: str | None, options: dict[str, Any], folders: dict[str, Path]
) -> None:
    """The pipelines cut boxes to whole pixels and let them reach over the edge of the picture."""
    detector = TransformersDetector.load(str(folders[kind]), threshold=0.2)
    pipeline = transformers.pipeline(
        task,
        model=detector.model,
        image_processor=detector.image_processor,
        tokenizer=detector.tokenizer,
    )
    (frame,) = noise()
    results = pipeline(Image.fromarray(frame), threshold=0.2, **options)
    corners = ("xmin", "ymin", "xmax", "ymax")
    expected = {
        (round(item["score"], 4), label or item["label"], *(item["box"][name] for name in corners))
        for item in results
    }
    (found,) = detector.detect(frame[None], ["dog"])
    ours = {
        (round(float(score), 4), name, *np.trunc(box).astype(int).tolist())
        for box, score, name in zip(found.boxes, found.scores, found.labels, strict=True)
    }
    inside = {
        item
        for item in expected
        if min(item[2:4]) > 0 and item[4] < WIDTH and item[5] < HEIGHT
        and item[4] - item[2] > 1 and item[5] - item[3] > 1 and item[1] != "N/A"
    }  # fmt: skip
    assert len(inside) > 0
    assert inside <= ours


def test_weights_saved_in_half_precision_run_in_single(tmp_path: Path) -> None:
    folder = tiny_models.save_owlv2(tmp_path / "half", half=True)
    detector = TransformersDetector.load(str(folder), threshold=0.0)
    assert {values.dtype for values in detector.model.parameters()} == {torch.float32}
    assert not detector.model.training
    (found,) = detector.detect(noise(), ["dog"])
    assert np.isfinite(found.scores).all()


def test_old_names_of_image_processors_load(tmp_path: Path) -> None:
    """Models published before 2023 name a feature extractor and give the size as numbers."""
    folder = tiny_models.save_detr(
        tmp_path / "old",
        image_processor={
            "feature_extractor_type": "DetrFeatureExtractor", "size": 32, "max_size": 64,
        },
    )  # fmt: skip
    detector = TransformersDetector.load(str(folder), threshold=0.0)
    assert detector.long_side == 64
    assert len(detector.detect(noise())[0]) > 0


def test_loading_a_folder_prints_nothing(
    folders: dict[str, Path], capfd: pytest.CaptureFixture[str]
) -> None:
    bars = transformers.utils.logging.is_progress_bar_enabled()
    TransformersDetector.load(str(folders["rt_detr"]))
    assert capfd.readouterr() == ("", "")
    assert transformers.utils.logging.is_progress_bar_enabled() == bars


# ------------------------------------------------------------------ boxes, by outputs set by hand


def chances(*values: float) -> list[float]:
    """Logits whose softmax is ``values``."""
    return np.log(values).tolist()


def test_detr_boxes_in_pixels_of_the_frame(folders: dict[str, Path]) -> None:
    # person, dog, N/A, cup, nothing
    logits = [
        chances(0.1, 0.6, 0.1, 0.1, 0.1),  # a dog in the middle
        chances(0.8, 0.05, 0.05, 0.05, 0.05),  # a person over the right and lower edge
        chances(0.05, 0.05, 0.8, 0.05, 0.05),  # a class that fills a gap
        chances(0.04, 0.04, 0.04, 0.08, 0.8),  # below the threshold
        chances(0.1, 0.1, 0.1, 0.5, 0.2),  # a cup beyond the left edge
    ]
    boxes = [
        [0.5, 0.5, 0.5, 0.5], [0.9, 0.9, 0.4, 0.4], [0.5, 0.5, 0.5, 0.5], [0.5, 0.5, 0.5, 0.5],
        [-0.1, 0.5, 0.2, 0.5],
    ]  # fmt: skip
    detector = with_outputs(folders["detr"], logits, boxes)
    (found,) = detector.detect(noise())
    assert found.labels == ("person", "dog")
    np.testing.assert_allclose(found.scores, [0.8, 0.6], atol=1e-5)
    np.testing.assert_allclose(found.boxes, [[56, 28, 80, 40], [20, 10, 60, 30]], atol=1e-4)
    assert detector.model.in_inference_mode


def test_rt_detr_boxes_in_pixels_of_the_frame(folders: dict[str, Path]) -> None:
    high, low = logit(0.9), logit(0.01)
    detector = with_outputs(
        folders["rt_detr"],
        [[low, high, low, low], [low, low, low, logit(0.3)]],
        [[0.25, 0.5, 0.5, 1.0], [0.5, 0.25, 0.25, 0.5]],
    )
    (found,) = detector.detect(noise())
    assert found.labels == ("dog", "cup")
    np.testing.assert_allclose(found.scores, [0.9, 0.3], atol=1e-5)
    np.testing.assert_allclose(found.boxes, [[0, 0, 40, 40], [30, 0, 50, 20]], atol=1e-4)


OWL_BOXES = [
    # frame (width, height), box of the network as cxcywh, box in the frame
    ((80, 40), [0.25, 0.25, 0.5, 0.5], [0, 0, 40, 40]),  # wide: the square is padded below
    ((40, 80), [0.25, 0.25, 0.5, 0.5], [0, 0, 40, 40]),  # high: padded on the right
    ((64, 64), [0.25, 0.25, 0.5, 0.5], [0, 0, 32, 32]),  # a square is not padded
    ((80, 40), [0.5, 0.5, 0.5, 0.5], [20, 20, 60, 40]),  # reaches into the padding: cut
    ((80, 40), [0.5, 0.8, 0.5, 0.4], None),  # all in the padding
    ((40, 80), [0.8, 0.5, 0.4, 0.5], None),  # all in the padding on the right
]


@pytest.mark.parametrize(("size", "box", "expected"), OWL_BOXES)
def test_owlv2_boxes_in_pixels_of_the_frame(
    size: tuple[int, int], box: list[float], expected: list[float] | None, folders: dict[str, Path]
) -> None:
    detector = with_outputs(folders["owlv2"], [[logit(0.2), logit(0.7)]], [box])
    (found,) = detector.detect(noise(1, *size), ["dog", "red cup"])
    if expected is None:
        assert len(found) == 0
        return
    assert found.labels == ("red cup",)
    np.testing.assert_allclose(found.scores, [0.7], atol=1e-5)
    np.testing.assert_allclose(found.boxes, [expected], atol=1e-4)


def test_owlv2_sees_the_picture_in_the_upper_left_of_a_square(folders: dict[str, Path]) -> None:
    """The assumption of the boxes above: white picture above, black padding below."""
    detector = with_outputs(folders["owlv2"], [[0.0]], [[0.5, 0.5, 0.5, 0.5]])
    detector.detect(np.full((1, 40, 80, 3), 255, np.uint8), ["dog"])
    seen = detector.model.inputs["pixel_values"][0].mean(dim=0)  # (64, 64)
    assert seen.shape == (64, 64)
    assert seen[:31].min() > 1.5
    assert seen[33:].max() < -1.5


def test_owl_vit_stretches_the_picture(folders: dict[str, Path], tmp_path: Path) -> None:
    """The predecessor does not pad: boxes scale with width and height apart."""
    (tmp_path / "preprocessor_config.json").write_text(
        json.dumps({"image_processor_type": "OwlViTImageProcessor",
                    "size": {"height": 64, "width": 64}})
    )  # fmt: skip
    image_processor = transformers.AutoImageProcessor.from_pretrained(tmp_path, backend="pil")
    detector = with_outputs(folders["owlv2"], [[2.0]], [[0.25, 0.25, 0.5, 0.5]])
    (found,) = replace(detector, image_processor=image_processor).detect(noise(), ["dog"])
    np.testing.assert_allclose(found.boxes, [[0, 0, 40, 20]], atol=1e-4)


# ---------------------------------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("dog", "a photo of a dog"),
        ("Red Cup", "a photo of a red cup"),  # the models know lower case
        ("the dog", "a photo of the dog"),  # has its article
        ("an apple", "a photo of an apple"),
        ("theatre", "a photo of a theatre"),  # no article, only its letters
    ],
)
def test_prompts_of_owl(word: str, expected: str) -> None:
    assert prompt_of(word) == expected


def test_owlv2_reads_one_prompt_a_word(folders: dict[str, Path]) -> None:
    detector = with_outputs(folders["owlv2"], [[2.0, 0.0]], [[0.5, 0.5, 0.5, 0.5]])
    (found,) = detector.detect(noise(), ["Red  cup", "dog", "dog", " "])
    ids, mask = detector.model.inputs["input_ids"], detector.model.inputs["attention_mask"]
    texts = [
        detector.tokenizer.decode(row[rest.bool()], skip_special_tokens=True)
        for row, rest in zip(ids, mask, strict=True)
    ]
    # the tiny tokenizer knows letters only, and a prompt is cut after 16 tokens
    assert [text.replace(" ", "") for text in texts] == ["aphotoofaredcu", "aphotoofadog"]
    assert ids.shape == (2, 16)
    assert found.labels == ("Red cup",)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["dog"], "dog."),
        (["red cup", "Dog"], "red cup. dog."),
        (["St. Bernard", "who?"], "st bernard. who."),  # marks that separate are taken out
    ],
)
def test_captions_of_grounding_dino(words: list[str], expected: str) -> None:
    assert caption_of(words) == expected


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ([101, 102], []),  # no word
        ([101, 7, 9, 102], [slice(1, 2)]),
        ([101, 7, 8, 9, 6, 9, 102], [slice(1, 3), slice(4, 5)]),  # a word of two, a word of one
    ],
)
def test_token_spans(tokens: list[int], expected: list[slice]) -> None:
    assert token_spans(tokens, separator=9) == expected


def test_phrase_scores_are_means_over_the_tokens_of_a_word() -> None:
    # [CLS] red cup . blue cup . [SEP] padding
    rows = [
        [0.01, 0.01, 0.01, 0.01, 0.8, 0.6, 0.01, 0.01],  # a blue cup
        [0.01, 0.9, 0.1, 0.01, 0.02, 0.1, 0.01, 0.01],  # something red
        [0.99, 0.04, 0.02, 0.99, 0.01, 0.01, 0.01, 0.99],  # only marks, no word
    ]
    logits = np.array([[logit(chance) for chance in row] + [-np.inf] for row in rows])
    scores, best = phrase_scores(logits, [slice(1, 3), slice(4, 6)])
    np.testing.assert_allclose(scores, [0.7, 0.5, 0.03])
    assert best.tolist() == [1, 0, 0]


def test_grounding_dino_gives_every_box_one_asked_word(folders: dict[str, Path]) -> None:
    # [CLS] red cup . blue cup . [SEP]
    rows = [
        [0.01, 0.05, 0.3, 0.01, 0.8, 0.6, 0.01, 0.01],  # a blue cup
        [0.01, 0.6, 0.7, 0.01, 0.4, 0.5, 0.01, 0.01],  # a red cup that is a little blue
        [0.01, 0.2, 0.14, 0.01, 0.01, 0.01, 0.01, 0.01],  # unsure, above the threshold
        [0.99, 0.02, 0.02, 0.9, 0.02, 0.02, 0.9, 0.9],  # fits no word
    ]
    logits = [[logit(chance) for chance in row] for row in rows]
    boxes = [
        [0.5, 0.5, 0.5, 0.5], [0.25, 0.5, 0.5, 1.0], [0.5, 0.25, 0.25, 0.5], [0.5, 0.5, 1, 1],
    ]  # fmt: skip
    detector = with_outputs(folders["grounding_dino"], logits, boxes)
    (found,) = detector.detect(noise(), ["Red cup", "blue cup"])
    assert found.labels == ("blue cup", "Red cup", "Red cup")
    np.testing.assert_allclose(found.scores, [0.7, 0.65, 0.17], atol=1e-6)
    np.testing.assert_allclose(
        found.boxes, [[20, 10, 60, 30], [0, 0, 40, 40], [30, 0, 50, 20]], atol=1e-4
    )
    assert detector.model.in_inference_mode
    read = detector.tokenizer.decode(detector.model.inputs["input_ids"][0])
    assert read == "[CLS] red cup. blue cup. [SEP]"

    # what the processor of transformers makes of the same output: mixtures and empty labels
    processor = transformers.GroundingDinoProcessor(detector.image_processor, detector.tokenizer)
    (theirs,) = processor.post_process_grounded_object_detection(
        detector.model.outputs, detector.model.inputs["input_ids"], threshold=0.1,
        text_threshold=0.25, target_sizes=[(HEIGHT, WIDTH)],
    )  # fmt: skip
    assert theirs["text_labels"][:3] == ["cup blue cup", "red cup blue cup", ""]
    np.testing.assert_allclose(theirs["boxes"][[0, 1, 2]].numpy(), found.boxes, atol=1e-4)


def test_grounding_dino_agrees_with_the_processor_on_words_of_one_token(
    folders: dict[str, Path],
) -> None:
    # [CLS] dog . cup . [SEP]
    rows = [[0.01, 0.8, 0.01, 0.1, 0.01, 0.01], [0.01, 0.2, 0.01, 0.6, 0.01, 0.01]]
    logits = [[logit(chance) for chance in row] for row in rows]
    detector = with_outputs(folders["grounding_dino"], logits, [[0.5, 0.5, 0.5, 0.5]] * 2)
    (found,) = detector.detect(noise(), ["dog", "cup"])
    processor = transformers.GroundingDinoProcessor(detector.image_processor, detector.tokenizer)
    (theirs,) = processor.post_process_grounded_object_detection(
        detector.model.outputs, detector.model.inputs["input_ids"], threshold=0.1,
        target_sizes=[(HEIGHT, WIDTH)],
    )  # fmt: skip
    assert list(found.labels) == theirs["text_labels"] == ["dog", "cup"]
    np.testing.assert_allclose(found.scores, theirs["scores"].numpy(), atol=1e-6)
    np.testing.assert_allclose(found.boxes, theirs["boxes"].numpy(), atol=1e-4)


@pytest.mark.parametrize("kind", OPEN)
@pytest.mark.parametrize("words", [[], [""], ["  ", "?"]])
def test_words_are_needed(kind: str, words: list[str], folders: dict[str, Path]) -> None:
    detector = TransformersDetector.load(str(folders[kind]))
    with pytest.raises(UsageError, match=f"{kind} looks for the words it is given and was given"):
        detector.detect(noise(), words)


def test_more_words_than_the_model_reads(folders: dict[str, Path]) -> None:
    detector = TransformersDetector.load(str(folders["grounding_dino"]))
    words = [f"{colour} {thing}" for colour in ("red", "blue", "a", "the") for thing in
             ("dog", "cup")]  # fmt: skip
    with pytest.raises(UsageError, match="at most 24 pieces of words at once, found 26 in 8 words"):
        detector.detect(noise(), words)


def test_a_single_picture_is_refused(folders: dict[str, Path]) -> None:
    detector = TransformersDetector.load(str(folders["detr"]))
    with pytest.raises(UsageError, match=r"expected frames \(B, H, W, 3\), found \(40, 80, 3\)"):
        detector.detect(noise()[0])


# --------------------------------------------------------------------------------------- errors


def empty(folder: Path) -> None:
    folder.mkdir()


def not_json(folder: Path) -> None:
    folder.mkdir()
    (folder / "config.json").write_text("{")


def unknown_kind(folder: Path) -> None:
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "no_such_model"}')


def text_model(folder: Path) -> None:
    config = transformers.BertConfig(
        vocab_size=8, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8
    )
    transformers.BertModel(config).save_pretrained(folder)


def without_head(folder: Path) -> None:
    tiny_models.save_detr(folder)
    config = json.loads((folder / "config.json").read_text())
    config["architectures"] = ["DetrModel"]
    (folder / "config.json").write_text(json.dumps(config))


def other_words_model(folder: Path) -> None:
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "omdet-turbo"}')


def without_image_processor(folder: Path) -> None:
    tiny_models.save_detr(folder)
    (folder / "preprocessor_config.json").unlink()


def cut_weights(folder: Path) -> None:
    tiny_models.save_detr(folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (empty, "config.json"),  # nothing in it
        (not_json, "config.json"),  # unreadable
        (unknown_kind, "no_such_model"),  # a model that transformers does not know
        (text_model, "BertConfig"),  # a model, but no detector
        (without_head, "it holds a DetrModel, not a DetrForObjectDetection"),  # random head
        (other_words_model, "omdet-turbo are not supported"),  # reads words in yet another way
        (without_image_processor, "preprocessor_config.json"),  # incomplete
        (cut_weights, "did not load"),  # a broken download
    ],
)
def test_a_wrong_folder_is_one_paragraph(
    spoil: Callable[[Path], None], reason: str, tmp_path: Path
) -> None:
    folder = tmp_path / "wrong"
    spoil(folder)
    with pytest.raises(WeightsError) as caught:
        load_detector(str(folder))
    message = str(caught.value)
    assert message.startswith(f"expected a detector of transformers in the folder {folder} ")
    assert reason in message
    assert "\n" not in message
    assert len(message) < 700


def test_a_hub_id_without_network_is_one_paragraph() -> None:
    with pytest.raises(WeightsError) as caught:
        load_detector("IDEA-Research/grounding-dino-tiny")
    message = str(caught.value)
    assert message.startswith("the detector 'IDEA-Research/grounding-dino-tiny' could not be")
    assert message.endswith("fetch it elsewhere and give the folder it lies in")
    assert "\n" not in message
