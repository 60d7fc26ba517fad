"""``text_box`` from prompt to tube, with random models of the real class."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the models extra is not installed")
transformers = pytest.importorskip("transformers", reason="the models extra is not installed")

from stvg.backbones.asking import Answer, answer  # noqa: E402
from stvg.backbones.qwen import QwenBackbone  # noqa: E402
from stvg.backbones.tiny import read_card, resolve_model  # noqa: E402
from stvg.data.world import draw_clip, plan_clip  # noqa: E402
from stvg.data.world.files import is_world_video, write_clip  # noqa: E402
from stvg.errors import UsageError, WeightsError  # noqa: E402
from stvg.grounding import ground  # noqa: E402
from stvg.methods.text_box import Method as TextBox  # noqa: E402
from stvg.methods.text_box.config import TextBoxConfig  # noqa: E402
from stvg.train.fresh import FreshConfig, fresh_model, fresh_tokenizer  # noqa: E402
from stvg.types import Clip, Interval, Query, Tube, VideoMeta  # noqa: E402
from tests.text.tokenizers_for_tests import byte_pairs  # noqa: E402

torch.set_num_threads(1)
TINY_OPTIONS = {
    "grammar": "compact", "frames": 16, "side": 64, "query_first": True, "even_steps": True,
    "max_new_tokens": 96,
}  # fmt: skip
META = VideoMeta("clip.mp4", 256, 128, Fraction(8), 2.0, 16)


@pytest.fixture(scope="module")
def backbone() -> QwenBackbone:
    config = FreshConfig(hidden=32, layers=2, inner=32, tower_hidden=32, tower_inner=32)
    return QwenBackbone(fresh_model(config), fresh_tokenizer(), "random")


@pytest.fixture
def method(backbone: QwenBackbone) -> Any:
    return TextBox(backbone, TextBoxConfig.of(TINY_OPTIONS))


def clip_of(seed: int = 0) -> Clip:
    frames = np.random.default_rng(seed).integers(0, 256, (16, 64, 64, 3), dtype=np.uint8)
    return Clip(META, frames, np.arange(16) / 8, np.arange(16))


def decode(method: Any, text: str, *, finished: bool = True, query: str = "the red ball") -> Any:
    encoded = method.encode(clip_of(), Query(query))
    said = Answer(text, (1, 2, 3), 0.5, finished)
    return method.decode((said, encoded), clip_of(), Query(query))


def test_target_and_answer_are_inverse(method: Any) -> None:
    boxes = np.array([[25.6, 12.8, 51.2, 64.0]] * 4)  # 10, 10, 20 and 50 percent of 256 x 128
    target = Tube(Interval(0.375, 0.875), [0.375, 0.5, 0.625, 0.75], boxes)
    encoded = method.encode(clip_of(), Query("the red ball"), target)
    text = method.backbone.tokenizer.decode(encoded.target)
    box = "10 10 20 50"
    assert text == f"<t_3> <t_7> : <t_2> {box} <t_4> {box} <t_6> {box} <|im_end|>"
    found = decode(method, text.removesuffix(" <|im_end|>"))
    assert found.tube.interval == Interval(0.375, 0.875)
    assert found.tube.times_s.tolist() == [0.375, 0.5, 0.625, 0.75]  # every frame of the video
    np.testing.assert_allclose(found.tube.boxes, boxes)
    assert (found.score, found.answer) == (0.5, text.removesuffix(" <|im_end|>"))
    assert found.warnings == ()


def test_prompt_has_the_sentence_first_and_all_visual_tokens(method: Any) -> None:
    ids = method.encode(clip_of(), Query("The red ball spins")).question.ids
    text = method.backbone.tokenizer.decode(ids)
    pads = " ".join(["<|video_pad|>"] * 8 * 16)  # steps of two frames, four by four tokens
    assert text == (
        f"<|im_start|> user the red ball spins <|vision_start|> {pads} <|vision_end|> <|im_end|> "
        "<|im_start|> assistant"
    )


def test_video_first_puts_the_sentence_last(backbone: QwenBackbone) -> None:
    method = TextBox(backbone, TextBoxConfig.of({**TINY_OPTIONS, "query_first": False}))
    text = backbone.tokenizer.decode(method.encode(clip_of(), Query("the ball")).question.ids)
    assert text.startswith("<|im_start|> user <|vision_start|> <|video_pad|>")
    assert text.endswith("<|vision_end|> the ball <|im_end|> <|im_start|> assistant")


@pytest.mark.parametrize("first", [True, False], ids=["sentence first", "video first"])
def test_several_questions_are_answered_as_one_by_one(backbone: QwenBackbone, first: bool) -> None:
    method = TextBox(backbone, TextBoxConfig.of({**TINY_OPTIONS, "query_first": first}))
    queries = [Query("the red ball"), Query("what spins?"), Query("the blue house moves up")]
    clips = [clip_of(1), clip_of(2)]
    together = [method.encode(clip, query) for clip in clips for query in queries]
    assert together[0].question.pixels is together[2].question.pixels
    assert together[0].question.pixels is not together[3].question.pixels
    found = [said.ids for said, _ in method.run(together)]
    alone = [method.run([item])[0][0].ids for item in together]
    assert found == alone
    assert [said.ids for said, _ in method.run(together[:3])] == alone[:3]  # one video


@pytest.mark.parametrize("first", [True, False], ids=["sentence first", "video first"])
def test_many_questions_are_answered_a_few_at_a_time(
    backbone: QwenBackbone, first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = TextBox(backbone, TextBoxConfig.of({**TINY_OPTIONS, "query_first": first}))
    clip, words = clip_of(1), ["ball", "house", "red bug", "star spins", "ball moves"]
    items = [method.encode(clip, Query(f"the {text}")) for text in words]
    at_once = [said.ids for said, _ in method.run(items)]
    rows: list[int] = []
    write = QwenBackbone.generate

    def counted(self: QwenBackbone, prefix: Any, **options: Any) -> Any:
        rows.append(len(prefix))
        return write(self, prefix, **options)

    monkeypatch.setattr(QwenBackbone, "generate", counted)
    longest = max(len(item.question.ids) for item in items)
    monkeypatch.setattr("stvg.backbones.asking._MOST_TOKENS", 2 * longest)
    assert [said.ids for said, _ in method.run(items)] == at_once
    assert rows == [2, 2, 1]


def test_constrained_answers_always_mean_a_tube(method: Any) -> None:
    queries = [Query("the red ball"), Query("what spins?")]
    clip = clip_of(3)
    outputs = method.run([method.encode(clip, query) for query in queries])
    for output, query in zip(outputs, queries, strict=True):
        prediction = method.decode(output, clip, query)
        assert not prediction.is_empty
        assert prediction.warnings == ()
        assert 0 < prediction.score <= 1


def test_free_answers_of_a_random_model_are_empty_with_a_reason(backbone: QwenBackbone) -> None:
    method = TextBox(backbone, TextBoxConfig.of({**TINY_OPTIONS, "constrained": False}))
    encoded = method.encode(clip_of(), Query("the red ball"))
    assert encoded.question.grammar is None
    prediction = method.decode(
        (Answer("no idea", (5,), 0.5, True), encoded), clip_of(), encoded_query := Query("the ball")
    )
    assert prediction.is_empty
    assert prediction.query is encoded_query
    assert prediction.score is None
    assert prediction.warnings[0].startswith("nothing found: expected")


def test_what_was_forgiven_and_cut_and_unknown_is_told(method: Any) -> None:
    found = decode(
        method, "<t_3> <t_4> : <t_2> 50 10 20 50", finished=False, query="the zebra xylophone"
    )
    assert found.warnings == (
        "swapped corners in box 1",
        "the answer was cut off after 3 tokens (max_new_tokens)",
        "words that the model does not know: zebra, xylophone",
    )


def test_a_model_of_the_world_says_so_on_other_videos(
    backbone: QwenBackbone, tmp_path: Path
) -> None:
    method = TextBox(backbone, TextBoxConfig.of(TINY_OPTIONS), name="tiny", trained_on_world=True)
    assert any("procedural world" in line for line in decode(method, "<t_0> <t_2> :").warnings)
    drawn = draw_clip(plan_clip(0, split="val"), 64)
    write_clip(tmp_path / "world.mp4", drawn)
    assert is_world_video(tmp_path / "world.mp4")
    assert not is_world_video(tmp_path / "missing.mp4")
    (prediction,) = ground(tmp_path / "world.mp4", "the red ball", method=method)
    assert not any("procedural world" in line for line in prediction.warnings)


def test_positions_count_steps_or_seconds(backbone: QwenBackbone) -> None:
    steps = TextBox(backbone, TextBoxConfig.of(TINY_OPTIONS))
    seconds = TextBox(backbone, TextBoxConfig.of({**TINY_OPTIONS, "even_steps": False}))
    query = Query("the ball")
    assert steps.encode(clip_of(), query).question.pixels.seconds_per_step == 1.0
    assert seconds.encode(clip_of(), query).question.pixels.seconds_per_step == 0.25


def test_checkpoint_brings_its_options(backbone: QwenBackbone, tmp_path: Path) -> None:
    backbone.model.save_pretrained(tmp_path)
    backbone.tokenizer.save_pretrained(tmp_path)
    card = {"format": "stvg.checkpoint/1", "method": "text_box", "options": TINY_OPTIONS}
    (tmp_path / "stvg.json").write_text(json.dumps(card))
    method = TextBox.create(str(tmp_path), ["frames=8"])
    assert method.config == TextBoxConfig.of({**TINY_OPTIONS, "frames": 8})
    assert not method.trained_on_world
    assert method.plan(META, Query("x")).frames.fixed_size == (64, 64)
    (tmp_path / "stvg.json").write_text(json.dumps({**card, "method": "spacevllm"}))
    with pytest.raises(UsageError, match="for the method spacevllm, not for text_box"):
        TextBox.create(str(tmp_path))
    (tmp_path / "stvg.json").write_text("{")
    with pytest.raises(WeightsError, match="not readable as JSON"):
        TextBox.create(str(tmp_path))


@pytest.mark.parametrize(
    ("card", "expected"),
    [
        ({"format": "stvg.checkpoint/2"}, "stvg.checkpoint/1 in .*, found 'stvg.checkpoint/2'"),
        ([], r"found \[\]"),
        ({"format": "stvg.checkpoint/1", "options": [1]}, r"options by name in .*found \[1\]"),
        ({"format": "stvg.checkpoint/1", "options": {"framez": 8}}, r"stvg\.json .*'framez'"),
        ({"format": "stvg.checkpoint/1", "options": {"frames": 0}}, r"stvg\.json .*frames: "),
    ],
    ids=["newer", "a list", "options in a list", "unknown option", "option out of range"],
)
def test_a_card_that_cannot_be_used_is_the_checkpoints_fault(
    card: Any, expected: str, tmp_path: Path
) -> None:
    (tmp_path / "stvg.json").write_text(json.dumps(card))
    with pytest.raises(WeightsError, match=expected):
        TextBox.create(str(tmp_path))


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (None, "chat template .* which failed: .*not set"),
        ("{{ messages", "chat template .* which failed: unexpected end"),
        ("{% for message in messages %}{{ message['role'] }}{% endfor %}", "found it 0 times"),
        ("<|video_pad|> <|video_pad|>", "found it 2 times"),
    ],
    ids=["none", "damaged", "no place for a video", "two places"],
)
def test_a_chat_template_that_cannot_be_used_is_told_at_once(
    template: str | None, expected: str, backbone: QwenBackbone, tmp_path: Path
) -> None:
    tokenizer = copy.deepcopy(backbone.tokenizer)
    tokenizer.chat_template = template
    backbone.model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(WeightsError, match=expected):
        TextBox.create(str(tmp_path))


def test_a_side_that_the_model_cannot_cut_is_told_before_a_video_is_read(
    backbone: QwenBackbone,
) -> None:
    with pytest.raises(UsageError, match=r"multiple of 16 pixels, .* found 60; 64 is near"):
        TextBox(backbone, TextBoxConfig.of({**TINY_OPTIONS, "side": 60}))


@pytest.mark.parametrize("word", ["<|video_pad|>", "<|image_pad|>", "<|im_end|>"])
def test_a_sentence_with_a_special_token_is_refused(method: Any, word: str) -> None:
    with pytest.raises(UsageError, match=re.escape(f"found {word} in it")):
        method.encode(clip_of(), Query(f"the {word} ball"))


def test_an_answer_between_two_frames_is_for_the_one_on_screen(backbone: QwenBackbone) -> None:
    # frames are 0.125 s apart: none appears between 1.01 and 1.02 s, that of 1.0 s is shown
    options = {**TINY_OPTIONS, "grammar": "qwen2_5_json", "constrained": False}
    found = decode(
        TextBox(backbone, TextBoxConfig.of(options)),
        '{"time": [1.01, 1.02], "boxes": [{"time": 1.01, "bbox_2d": [16, 16, 32, 32]}]}',
    )
    assert found.tube.interval == Interval(1.0, 1.02)
    assert found.tube.times_s.tolist() == [1.0]
    np.testing.assert_allclose(found.tube.boxes, [[64, 32, 128, 64]])
    assert found.warnings == ("no frame appears in the interval: begun at the one on screen",)


def test_names_of_models(tmp_path: Path) -> None:
    assert resolve_model("Qwen/Qwen2.5-VL-3B-Instruct", "text_box") == "Qwen/Qwen2.5-VL-3B-Instruct"
    assert read_card(tmp_path) == {}
    with pytest.raises(UsageError, match="no checkpoint for 'no_such_method'"):
        resolve_model("tiny", "no_such_method")
    with pytest.raises(WeightsError, match="there is no folder runs/mine/last"):
        resolve_model("runs/mine/last", "text_box")  # a hub id has one slash
    assert resolve_model(str(tmp_path), "text_box") == str(tmp_path)


def test_sampling_follows_the_seed(backbone: QwenBackbone) -> None:
    hot = {**TINY_OPTIONS, "temperature": 1.0}
    clip, query = clip_of(), Query("the ball")

    def said(**changes: Any) -> tuple[int, ...]:
        method = TextBox(backbone, TextBoxConfig.of({**hot, **changes}))
        (output,) = method.run([method.encode(clip, query)])
        return output[0].ids

    assert said(seed=3) == said(seed=3)
    assert len({said(seed=number) for number in range(4)}) > 1


def test_an_unfinished_answer_is_told(backbone: QwenBackbone) -> None:
    method = TextBox(backbone, TextBoxConfig.of({**TINY_OPTIONS, "max_new_tokens": 2}))
    encoded = method.encode(clip_of(), Query("the ball"))
    (said,) = answer(backbone, [encoded.question], max_new_tokens=2)
    assert not said.finished
    assert len(said.ids) == 2
    prediction = method.decode((said, replace(encoded)), clip_of(), Query("the ball"))
    assert any("cut off after 2 tokens" in line for line in prediction.warnings)


QWEN_TEMPLATE = (
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% for message in messages %}"
    "<|im_start|>{{ message['role'] }}\n{% for part in message['content'] %}"
    "{% if part['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="module")
def hub_folder(tmp_path_factory: Any) -> Path:
    """A hub checkpoint of the family as it lies on disk: no card, byte pairs, patches of 14."""
    tokenizer = copy.deepcopy(byte_pairs())
    names = ["<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>",
             "<|video_pad|>"]  # fmt: skip
    tokenizer.add_special_tokens({"additional_special_tokens": names, "eos_token": "<|im_end|>"})
    tokenizer.chat_template = QWEN_TEMPLATE
    ids = dict(zip(names, tokenizer.convert_tokens_to_ids(names), strict=True))
    config = transformers.Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(tokenizer), "hidden_size": 64, "intermediate_size": 64,
            "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1,
            "initializer_range": 0.1, "bos_token_id": None, "eos_token_id": ids["<|im_end|>"],
            "rope_parameters": {
                "rope_type": "default", "rope_theta": 1e6, "mrope_section": [6, 5, 5],
            },
        },
        vision_config={
            "depth": 2, "hidden_size": 32, "intermediate_size": 32, "num_heads": 2,
            "out_hidden_size": 64, "window_size": 112, "fullatt_block_indexes": [1],
            "tokens_per_second": 2,
        },
        image_token_id=ids["<|image_pad|>"], video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"], vision_end_token_id=ids["<|vision_end|>"],
    )  # fmt: skip
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("hub") / "Qwen2.5-VL-two-layers"
    transformers.Qwen2_5_VLForConditionalGeneration(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_hub_checkpoint_grounds_in_its_native_format(hub_folder: Path, tmp_path: Path) -> None:
    video = tmp_path / "clip.mp4"
    write_clip(video, draw_clip(plan_clip(0, split="val"), 128))
    options = ["frames=4", "pixels=12544"]
    found = ground(video, ["the ball", "what spins?"], method="text_box", model=str(hub_folder),
                   options=options)  # fmt: skip
    for prediction in found:
        assert not prediction.is_empty, prediction.warnings  # the grammar cannot be left
        said = re.match(r'\{"time": \[([\d.]+), ([\d.]+)\], "boxes": \[\{"time"', prediction.answer)
        assert said is not None, prediction.answer
        # written with a digit behind the point, meant is the nearest border between frames
        assert prediction.tube.interval.start_s == pytest.approx(float(said[1]), abs=0.07)
        assert prediction.tube.interval.end_s == pytest.approx(float(said[2]), abs=0.07)
        assert not any("procedural world" in line for line in prediction.warnings)
        assert prediction.model == str(hub_folder)
    (free,) = ground(video, "the ball", method="text_box", model=str(hub_folder),
                     options=[*options, "constrained=false", "max_new_tokens=20"])  # fmt: skip
    assert free.is_empty  # a random model does not hit upon JSON
    assert any("cut off after 20 tokens" in line for line in free.warnings)


def test_prompt_of_a_hub_checkpoint_follows_its_template(hub_folder: Path) -> None:
    method = TextBox.create(str(hub_folder), [])
    frames = np.zeros((16, 56, 84, 3), np.uint8)
    clip = Clip(META, frames, np.arange(16) / 8, np.arange(16))
    encoded = method.encode(clip, Query("the ball"))
    text = method.backbone.tokenizer.decode(encoded.question.ids)
    pads = "<|video_pad|>" * (8 * 2 * 3)
    assert text.startswith(
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
        f"<|vision_start|>{pads}<|vision_end|>Find in the video"
    )
    assert '"the ball"' in text
    assert text.endswith("<|im_end|>\n<|im_start|>assistant\n")
    assert encoded.question.pixels.seconds_per_step == 0.25
