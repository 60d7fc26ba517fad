"""Rows of attention against ``output_attentions`` of the eager kernel, on the real classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from stvg.backbones.attention_rows import RowTap, first_layers, reading_rows
from stvg.backbones.positions import continue_positions
from stvg.backbones.qwen import QwenBackbone
from stvg.errors import UsageError
from tests.backbones.tiny_qwen import framed, tiny_model, torch, transformers, video_of, words

EXACT = 1e-6
IMAGE, VIDEO, START, END = 60, 61, 62, 63
TEXT = {
    "vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 512,
    "initializer_range": 0.1, "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": None,
}  # fmt: skip
ROPE = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 1, 1]}
ROWS, COLUMNS = [-4, -1], range(2, 9)

Made = tuple[Any, dict[str, Any]]


def qwen2() -> Made:
    """Two steps of 2 x 2 tokens."""
    config = transformers.Qwen2VLConfig(
        text_config={**TEXT, "rope_parameters": ROPE},
        vision_config={
            "depth": 1, "embed_dim": 16, "hidden_size": 32, "num_heads": 2, "patch_size": 4,
            "mlp_ratio": 2,
        },
        image_token_id=IMAGE, video_token_id=VIDEO, vision_start_token_id=START,
        vision_end_token_id=END,
    )  # fmt: skip
    ids = torch.tensor([[5, START, *[VIDEO] * 8, END, 7, 8, 9]])
    return transformers.Qwen2VLForConditionalGeneration(config), {
        "input_ids": ids,
        "pixel_values_videos": torch.randn(2 * 4 * 4, 3 * 2 * 4 * 4),
        "video_grid_thw": torch.tensor([[2, 4, 4]]),
        "mm_token_type_ids": (ids == VIDEO).long() * 2,
    }


def qwen2_5() -> Made:
    """The same without pixels: the language model is what is read."""
    model = tiny_model()
    return model, {"input_ids": torch.tensor([[*words(1, 9), *words(2, 5)]])}


def llava(kind: str, text: str, vision: dict[str, Any], tokens: int) -> Made:
    """Two frames of 4 x 4 patches; each becomes 2 x 2 tokens."""
    config = getattr(transformers, f"{kind}Config")(
        text_config={**TEXT, "model_type": text},
        vision_config={
            "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2,
            "num_attention_heads": 2, "image_size": 16, "patch_size": 4, **vision,
        },
        image_token_index=IMAGE, video_token_index=VIDEO, image_token_id=IMAGE,
        video_token_id=VIDEO, image_grid_pinpoints=[[16, 16]],
    )  # fmt: skip
    model = getattr(transformers, f"{kind}ForConditionalGeneration")(config)
    return model, {
        "input_ids": torch.tensor([[5, *[VIDEO] * tokens, 7, 8, 9]]),
        "pixel_values_videos": torch.randn(1, 2, 3, 16, 16),
    }


def next_video() -> Made:
    vision = {"model_type": "clip_vision_model", "projection_dim": 16}
    return llava("LlavaNextVideo", "llama", vision, tokens=8)


def onevision() -> Made:
    vision = {"model_type": "siglip_vision_model", "vision_use_head": False}
    return llava("LlavaOnevision", "qwen2", vision, tokens=9)  # the last is a new line


@pytest.fixture(params=[qwen2, qwen2_5, next_video, onevision], ids=lambda make: make.__name__)
def made(request: pytest.FixtureRequest) -> Made:
    make: Callable[[], Made] = request.param
    torch.manual_seed(0)
    model, inputs = make()
    return model.eval(), inputs


def test_rows_are_those_of_the_eager_model(made: Made) -> None:
    model, inputs = made
    rows = np.array(ROWS) + inputs["input_ids"].shape[1]
    tap = RowTap(rows, list(COLUMNS), layers=[0, 1], heads=[1])
    with torch.no_grad():
        with reading_rows(model.model.language_model, tap):
            ours = model(**inputs).logits
        model.set_attn_implementation("eager")
        theirs = model(**inputs, output_attentions=True)
    torch.testing.assert_close(ours, theirs.logits, rtol=0, atol=1e-5)
    assert sorted(tap.found) == [0, 1]
    for layer, found in tap.found.items():
        expected = theirs.attentions[layer][:, [1]][:, :, rows][..., COLUMNS]
        torch.testing.assert_close(found, expected, rtol=0, atol=EXACT)
    mean = torch.stack([theirs.attentions[layer][:, 1] for layer in (0, 1)]).mean(0)
    torch.testing.assert_close(tap.mean(), mean[:, rows][..., COLUMNS], rtol=0, atol=EXACT)


def test_gradients_are_those_of_the_eager_model(made: Made) -> None:
    model, _ = made
    language_model = model.model.language_model
    torch.manual_seed(1)
    size = (2, 12, language_model.config.hidden_size)
    embeds = torch.randn(size, requires_grad=True)
    weights = torch.randn(2, 2, 7)  # of the rows in the loss

    def gradient(rows: Any) -> Any:
        (found,) = torch.autograd.grad((rows * weights).sum(), embeds)
        return found

    tap = RowTap([8, 11], list(COLUMNS), layers=[1])
    with reading_rows(language_model, tap):
        language_model(inputs_embeds=embeds)
    ours = gradient(tap.mean())
    model.set_attn_implementation("eager")
    attention = language_model(inputs_embeds=embeds, output_attentions=True).attentions[1]
    theirs = gradient(attention.mean(1)[:, [8, 11]][..., COLUMNS])
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=EXACT)


def test_rows_of_a_model_in_16_bits_are_computed_in_32() -> None:
    torch.manual_seed(0)
    queries, keys = torch.randn(1, 4, 3, 8) * 6, torch.randn(1, 2, 5, 8) * 6
    queries, keys = queries.bfloat16(), keys.bfloat16()
    tap = RowTap([2], range(5), layers=[0])
    tap.read(0, queries, keys, None, 0.5)
    for head in range(4):
        products = keys[0, head // 2].double() @ queries[0, head, 2].double() * 0.5
        expected = products.softmax(0).float()
        torch.testing.assert_close(tap.found[0][0, head, 0], expected, rtol=1e-5, atol=EXACT)


def test_behind_a_cached_video_questions_are_read_together() -> None:
    backbone = QwenBackbone(tiny_model())
    prompt, questions = [*words(1, 2), *framed(36)], [words(3, 5), words(4, 3)]
    last_two = np.array([[3, 4], [1, 2]])
    tap = RowTap(last_two, np.arange(3, 39), layers=[0, 1])
    with torch.no_grad():
        video = backbone.encode_video(*video_of(backbone))
        prefix = backbone.prefill(prompt, [video])
        with reading_rows(backbone.model.model.language_model, tap):
            backbone.extend(prefix, questions)
        backbone.model.set_attn_implementation("eager")
        for number, question in enumerate(questions):
            embeds = backbone.embed([*prompt, *question], [video])
            places = np.concatenate(
                [positions_of(backbone, prompt, video), after(prefix, len(question))], axis=2
            )
            whole = backbone.model.model.language_model(
                inputs_embeds=embeds,
                position_ids=torch.from_numpy(places),
                output_attentions=True,
            )
            for layer in (0, 1):
                expected = whole.attentions[layer][0][:, last_two[number] + len(prompt)]
                torch.testing.assert_close(
                    tap.found[layer][number], expected[..., 3:39], rtol=0, atol=EXACT
                )


def positions_of(backbone: QwenBackbone, prompt: list[int], video: Any) -> Any:
    from stvg.backbones.positions import positions, token_types

    config = backbone.model.config
    types = token_types(prompt, config.image_token_id, config.video_token_id)
    return positions(types, [video.block], backbone.rule).ids


def after(prefix: Any, count: int) -> Any:
    return continue_positions(prefix.following, count)


def test_first_layers_give_the_rows_of_the_whole_model() -> None:
    language_model = tiny_model().model.language_model
    embeds = torch.randn(1, 6, 64)
    runs: list[int] = []
    language_model.layers[1].register_forward_hook(lambda *_: runs.append(1))
    found = []
    with torch.no_grad():
        for count in (2, 1):
            tap = RowTap([5], [0, 1, 2], layers=[0])
            with first_layers(language_model, count), reading_rows(language_model, tap):
                language_model(inputs_embeds=embeds)
            found.append(tap.mean())
    torch.testing.assert_close(*found, rtol=0, atol=0)
    assert len(runs) == 1  # by the whole model only
    assert len(language_model.layers) == 2


def test_a_model_is_read_once_at_a_time_and_goes_back_to_its_own_attention() -> None:
    language_model = tiny_model().model.language_model
    tap = RowTap([0], [0], layers=[0])
    with (
        pytest.raises(UsageError, match="one thread at a time"),
        reading_rows(language_model, tap),
        reading_rows(language_model, tap),
    ):
        pass
    assert language_model.config._attn_implementation == "sdpa"
    language_model(inputs_embeds=torch.randn(1, 3, 64))
    assert not tap.found


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"layers": []}, "at least one layer"),
        ({"layers": [-1]}, r"layer of attention, counted from 0, found \[-1\]"),
        ({"layers": [0], "heads": []}, "at least one head"),
        ({"layers": [0], "rows": [-1]}, r"row of attention, counted from 0, found \[-1\]"),
        ({"layers": [0], "columns": [3, -2]}, "column of attention, counted from 0"),
        ({"layers": [1, 2]}, r"layers 0 to 1, found \[1, 2\]"),
        ({"layers": [0], "heads": [2]}, r"heads 0 to 1, found \[2\]"),
    ],
)
def test_what_the_model_lacks_is_refused(wanted: dict[str, Any], message: str) -> None:
    language_model = tiny_model().model.language_model
    with (
        pytest.raises(UsageError, match=message),
        reading_rows(language_model, RowTap(**{"rows": [0], "columns": [0], **wanted})),
    ):
        pass
