"""``spacevllm``: the decoder by its formula, who sees what, boxes as tubes, answers."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the models extra is not installed")
pytest.importorskip("transformers", reason="the models extra is not installed")

from stvg.backbones.asking import Answer  # noqa: E402
from stvg.backbones.qwen import QwenBackbone  # noqa: E402
from stvg.data.world import plan_clip  # noqa: E402
from stvg.errors import UsageError  # noqa: E402
from stvg.geometry.boxes import convert_boxes, generalized_iou, paired_iou  # noqa: E402
from stvg.geometry.tubes import viou  # noqa: E402
from stvg.methods.boxes import box_losses  # noqa: E402
from stvg.methods.spacevllm import Method as SpaceVllm  # noqa: E402
from stvg.methods.spacevllm.config import SpaceVllmConfig  # noqa: E402
from stvg.methods.spacevllm.decoder import SpaceDecoder  # noqa: E402
from stvg.methods.spacevllm.places import (  # noqa: E402
    Lesson,
    Spots,
    goals_of,
    slots_of,
    tube_of,
)
from stvg.text import View  # noqa: E402
from stvg.train.fresh import FreshConfig, fresh_model, fresh_tokenizer  # noqa: E402
from stvg.types import Clip, Interval, Query, Tube, VideoMeta  # noqa: E402
from tests.train.small import drawn  # noqa: E402
from tests.train.small import tube_of as true_tube  # noqa: E402

torch.set_num_threads(1)
SIZES = FreshConfig(hidden=32, layers=2, inner=32, tower_hidden=32, tower_inner=32, tower_depth=2)
OPTIONS = {"grammar": "frames", "frames": 16, "side": 64, "even_steps": True, "query": "pair",
           "hidden": 48, "max_new_tokens": 8}  # fmt: skip
VIEW = View(np.arange(16) / 8, np.arange(17) / 8, (200, 100), (64, 64))
ODD = View(np.arange(5) / 2, np.arange(6) / 2, (200, 100), (64, 64))


def method(seed: int = 0, **options: Any) -> SpaceVllm:
    """With a random model and random parts."""
    backbone = QwenBackbone(fresh_model(SIZES), fresh_tokenizer(), "random")
    made = SpaceVllm(backbone, SpaceVllmConfig.of({**OPTIONS, **options}))
    torch.manual_seed(seed)
    made.parts = made.new_parts()
    return made


def clip_of(frames: int = 16, seed: int = 0) -> Clip:
    pixels = np.random.default_rng(seed).integers(0, 256, (frames, 64, 64, 3), dtype=np.uint8)
    meta = VideoMeta("clip.mp4", 200, 100, Fraction(8), frames / 8, frames)
    return Clip(meta, pixels, np.arange(frames) / 8, np.arange(frames))


# --- the decoder ------------------------------------------------------------------------------


def softmax(scores: Any) -> Any:
    shares = np.exp(scores - scores.max(-1, keepdims=True))
    return shares / shares.sum(-1, keepdims=True)


def by_formula(decoder: SpaceDecoder, visual: Any, query: Any, text: Any) -> Any:
    """One frame: visual states (K, C), its query (C,), the sentence (M, C); (N, 4)."""
    scale = np.sqrt(len(query))
    told = visual + softmax(visual @ text.T / scale) @ text
    found = query + softmax(query @ told.T / scale) @ told
    found = (found - found.mean()) / np.sqrt(found.var() + 1e-5)
    weights = {name: each.detach().double().numpy() for name, each in decoder.named_parameters()}
    found = found * weights["norm.weight"] + weights["norm.bias"]
    for layer in (0, 2, 4):
        found = weights[f"boxes.{layer}.weight"] @ found + weights[f"boxes.{layer}.bias"]
        found = np.maximum(found, 0) if layer < 4 else 1 / (1 + np.exp(-found))
    return found.reshape(-1, 4)


def test_the_decoder_is_its_formula_frame_by_frame() -> None:
    """Also in a batch whose sentences differ in length, which padding must not change."""
    torch.manual_seed(0)
    decoder = SpaceDecoder(12, hidden=20, boxes=2)
    visual, queries, text = (torch.randn(*shape) * 2
                             for shape in ((3, 4, 5, 12), (3, 4, 12), (3, 6, 12)))  # fmt: skip
    lengths = [6, 1, 4]
    is_text = torch.arange(6) < torch.tensor(lengths)[:, None]
    found = decoder(visual, queries, text.masked_fill(~is_text[..., None], 1e4), is_text)
    assert found.shape == (3, 4, 2, 4)
    for row, length in enumerate(lengths):
        for frame in range(4):
            expected = by_formula(
                decoder, *(each.double().numpy() for each in (
                    visual[row, frame], queries[row, frame], text[row, :length])),
            )  # fmt: skip
            np.testing.assert_allclose(found[row, frame].detach(), expected, atol=1e-5)


def test_the_decoder_computes_in_float32_whatever_the_model_does() -> None:
    torch.manual_seed(0)
    decoder = SpaceDecoder(12, hidden=20)
    states = [(30 * torch.randn(*shape)).bfloat16()
              for shape in ((1, 2, 5, 12), (1, 2, 12), (1, 3, 12))]  # fmt: skip
    is_text = torch.ones(1, 3, dtype=torch.bool)
    expected = decoder(*(each.float() for each in states), is_text)
    with torch.autocast("cpu", torch.bfloat16):
        found = decoder(*states, is_text)
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


def test_losses_are_those_of_the_geometry() -> None:
    rng = np.random.default_rng(0)
    low, size = rng.uniform(0, 0.6, (50, 2)), rng.uniform(0.05, 0.4, (50, 2))
    goals = np.concatenate([low, low + size], axis=1)
    found = rng.uniform(0.05, 0.9, (50, 4))
    corners = convert_boxes(found, "cxcywh", "xyxy")
    distance, apart, overlap = box_losses(torch.tensor(found), torch.tensor(goals))
    right = convert_boxes(goals, "xyxy", "cxcywh")
    np.testing.assert_allclose(distance, np.abs(found - right).sum(1))
    np.testing.assert_allclose(apart, 1 - generalized_iou(corners, goals))
    np.testing.assert_allclose(overlap, paired_iou(corners, goals))


# --- learned parts ----------------------------------------------------------------------------


def test_new_queries_lie_around_the_mean_visual_token() -> None:
    made = method()
    assert made.parts.queries.weight.shape == (8 + 1, 32)  # a step each, and one for pictures
    apart = (made.parts.queries.weight - made.parts.queries.weight.mean(0)).detach()
    assert 0.015 < float(apart.std()) < 0.025
    assert method(shared_query=True).parts.queries.weight.shape == (2, 32)
    assert method(query="frame").parts.queries.weight.shape == (16 + 1, 32)


def test_every_place_has_its_vector_and_pictures_their_own() -> None:
    parts = method().parts
    assert torch.equal(parts.queries_of(3), parts.queries.weight[:3])
    assert torch.equal(parts.queries_of(1), parts.queries.weight[8:])
    shared = method(shared_query=True).parts
    assert torch.equal(shared.queries_of(3), shared.queries.weight[[0, 0, 0]])
    tokens = torch.randn(3 * 4, 32)
    found = parts.features(tokens, (3, 4, 4)).unflatten(0, (3, 5))
    assert torch.equal(found[:, :4].flatten(0, 1), tokens)
    assert torch.equal(found[:, 4], parts.queries.weight[:3])
    assert torch.equal(method(query_tokens=False).parts.features(tokens, (3, 4, 4)), tokens)


def test_more_steps_than_vectors_are_refused() -> None:
    """The next vector is that of pictures, and stands for no step."""
    parts = method().parts
    with pytest.raises(UsageError, match=r"expected a video of at most 8 steps, .* found 9"):
        parts.features(torch.randn(9 * 4, 32), (9, 4, 4))
    assert method(shared_query=True).parts.queries_of(9).shape == (9, 32)


@pytest.mark.parametrize("options", [{}, {"query_tokens": False}, {"decoder": False}])
def test_a_batch_is_one_by_one(options: Any) -> None:
    parts = method(**options).parts
    block = 8 * (16 + parts.stand_in_prompt)
    spots = [Spots(3, 8, 16, (0, 1, 2)), Spots(5, 8, 16, (1,)),
             Spots(0, 8, 16, tuple(range(block, block + 9)))]  # fmt: skip
    states = torch.randn(3, 5 + block + 9, 32)
    found = parts.find(states, spots)
    assert found.shape == (3, 16, 4)
    for row, at in enumerate(spots):
        alone = parts.find(states[row : row + 1], [at])[0]
        assert torch.allclose(found[row], alone, atol=1e-6)


def test_losses_are_means_over_the_boxes_of_a_query() -> None:
    """Rows of two sizes, one without boxes; by hand from the boxes that are found."""
    parts = method().parts
    rng = np.random.default_rng(0)

    def lesson(steps: int, known: list[int]) -> Lesson:
        goals = np.full((2 * steps, 4), np.nan)
        low = rng.uniform(0, 0.5, (len(known), 2))
        goals[known] = np.concatenate([low, low + rng.uniform(0.1, 0.5, low.shape)], axis=1)
        return Lesson(Spots(2, steps, 4, (0, 1)), goals)

    lessons = [lesson(3, [0]), lesson(2, [1, 2, 3]), lesson(3, []), lesson(3, [2, 4])]
    assert [each.counts["box"] for each in lessons] == [1, 1, 0, 1]
    states = torch.randn(4, 2 + 3 * 5, 32)
    sums, gauges = parts.judge(states, lessons)
    l1 = giou = right = 0.0
    for row, each in enumerate(lessons):
        known = np.isfinite(each.goals).all(1)
        if known.any():
            found = parts.find(states[row : row + 1], [each.spots])[0].detach().double().numpy()
            goals, found = each.goals[known], found[known]
            corners = convert_boxes(found, "cxcywh", "xyxy")
            l1 += np.abs(found - convert_boxes(goals, "xyxy", "cxcywh")).sum(1).mean()
            giou += (1 - generalized_iou(corners, goals)).mean()
            right += paired_iou(corners, goals).sum()
    assert sums["box_l1"].item() == pytest.approx(l1, rel=1e-5)
    assert sums["box_giou"].item() == pytest.approx(giou, rel=1e-5)
    assert gauges["box_iou"] == (pytest.approx(right, rel=1e-5), 6.0)
    assert parts.weights == {"box_l1": 5.0, "box_giou": 2.0}
    assert set(parts.weights) == set(sums)


def test_nothing_to_learn_moves_nothing() -> None:
    parts = method().parts
    sums, gauges = parts.judge(
        torch.randn(1, 20, 32), [Lesson(Spots(2, 3, 4, (0,)), np.full((6, 4), np.nan))]
    )
    sum(sums.values()).backward()
    assert all(not each.grad.any() for each in parts.parameters())
    assert gauges["box_iou"] == (0.0, 0.0)


# --- boxes and times --------------------------------------------------------------------------

BOXES = np.stack([np.arange(16) * 5.0, np.full(16, 10.0), np.arange(16) * 5.0 + 40,
                  np.full(16, 60.0)], axis=1)  # fmt: skip
TRUTH = Tube(Interval(3 / 8, 9 / 8), np.arange(3, 9) / 8, BOXES[3:9])


def test_goals_by_hand() -> None:
    """Frames 3 to 8; a frame without an annotated box, or outside, teaches nothing."""
    share = BOXES / [200, 100, 200, 100]
    pair = goals_of(TRUTH, VIEW, slots_of(16, 2, "pair"))
    assert np.isnan(pair[[0, 1, 2, 9, 15]]).all()
    np.testing.assert_allclose(pair[3:9], share[3:9])
    step = goals_of(TRUTH, VIEW, slots_of(16, 2, "step"))
    assert np.isfinite(step[:, 0]).tolist() == [False, True, True, True, True, False, False, False]
    np.testing.assert_allclose(step[1], share[3])  # of its frames only the second is inside
    np.testing.assert_allclose(step[2], (share[4] + share[5]) / 2)
    gap = replace(TRUTH, times_s=TRUTH.times_s[[0, 1, 5]], boxes=TRUTH.boxes[[0, 1, 5]])
    known = goals_of(gap, VIEW, slots_of(16, 2, "frame"))
    assert np.flatnonzero(np.isfinite(known[:, 0])).tolist() == [3, 4, 8]


@pytest.mark.parametrize("query", ["frame", "pair"])
@pytest.mark.parametrize(("view", "frames"), [(VIEW, 16), (ODD, 5)])
def test_an_oracle_is_right_in_every_sampled_frame(query: str, view: View, frames: int) -> None:
    slots = slots_of(frames, 2, query)
    for first in range(frames):
        for end in range(first + 1, frames + 1):
            target = Tube(view.interval(first, end), view.times_s[first:end], BOXES[first:end])
            goals = goals_of(target, view, slots)
            boxes = convert_boxes(np.nan_to_num(goals, nan=0.5), "xyxy", "cxcywh")
            found = tube_of(boxes, target.interval, view, slots)
            assert viou(found, target, view.times_s) == pytest.approx(1)


def test_what_one_box_for_two_frames_costs_on_the_world() -> None:
    """With the right interval and the right boxes of steps, in the mean of 40 clips: 5 %."""
    slots, overlaps = slots_of(16, 2, "step"), []
    for number in range(40):
        plan = plan_clip(number, split="val", seed=3)
        clip, boxes = drawn(plan)
        for sentence in plan.sentences:
            target = true_tube(boxes[sentence.figure], sentence.start, sentence.end)
            view = View.of(clip)
            goals = goals_of(target, view, slots)
            right = convert_boxes(np.nan_to_num(goals, nan=0.5), "xyxy", "cxcywh")
            found = tube_of(right, target.interval, view, slots)
            overlaps.append(viou(found, target, clip.times_s))
    assert np.mean(overlaps) == pytest.approx(0.951, abs=5e-4)


def test_an_interval_between_frames_has_the_box_of_its_frame() -> None:
    boxes = np.tile([0.5, 0.5, 0.2, 0.4], (5, 1))
    boxes[:, 0] = np.arange(5) / 10 + 0.3
    found = tube_of(boxes, Interval(1.1, 1.3), ODD, slots_of(5, 2, "frame"))
    assert found.times_s.tolist() == pytest.approx([1.2])
    np.testing.assert_allclose(found.boxes, [[80, 30, 120, 70]])  # frame 2: from 1.0 s to 1.5 s


def test_boxes_are_cut_to_the_picture() -> None:
    boxes = np.array([[0.05, 0.9, 0.3, 0.6]])
    found = tube_of(boxes, Interval(0, 0.5), ODD, slots_of(1, 2, "frame"))
    np.testing.assert_allclose(found.boxes, [[0, 60, 40, 100]])


# --- the method -------------------------------------------------------------------------------

SENTENCES = ("the red ball moves left", "what grows", "the star that spins and then moves up")


@pytest.mark.parametrize("query_first", [True, False])
@pytest.mark.parametrize("query", ["frame", "step", "pair"])
def test_several_sentences_on_a_video_are_answered_as_one_by_one(
    query_first: bool, query: str
) -> None:
    made, clip = method(query_first=query_first, query=query), clip_of()
    encoded = [made.encode(clip, Query(text)) for text in SENTENCES]
    together = [made.decode(each, clip, Query(text))
                for each, text in zip(made.run(encoded), SENTENCES, strict=True)]  # fmt: skip
    for each, text, one in zip(encoded, SENTENCES, together, strict=True):
        alone = made.decode(made.run([each])[0], clip, Query(text))
        assert alone.answer == one.answer
        assert alone.tube.interval == one.tube.interval
        np.testing.assert_allclose(alone.tube.boxes, one.tube.boxes, atol=1e-3)
    assert len({one.tube.boxes.tobytes() for one in together}) == 3  # each its own boxes


@pytest.mark.parametrize(
    "options", [{}, {"query_tokens": False}, {"decoder": False}, {"shared_query": True}]
)
def test_an_answer_is_four_tokens_however_many_boxes_it_has(options: Any) -> None:
    made = method(query="frame", **options)
    for frames in (2, 16):
        ((said, seen),) = made.run([made.encode(clip_of(frames), Query("the ball"))])
        assert len(said.ids) == 4  # from, to, until, end
        assert len(seen.seen) == frames


def test_the_video_is_read_without_the_sentence_where_it_stands_behind() -> None:
    """States of video and queries are the same for any sentence, boxes are not; in front not."""
    for query_first, is_same in ((False, True), (True, False)):
        made, clip = method(query_first=query_first), clip_of()
        states, boxes = [], []
        for text in ("the red ball", "the big star"):
            encoded = made.encode(clip, Query(text))
            with torch.no_grad():
                video = made._features(encoded.question.pixels)
                read = made.backbone.prefill(encoded.question.ids, [video], hidden=True).hidden[0]
            spots = encoded.lesson.spots
            states.append(read[spots.first : spots.first + 8 * 17])
            boxes.append(made.run([encoded])[0][1].seen)
        assert torch.allclose(*states, atol=1e-5) == is_same
        assert not np.allclose(*boxes, atol=1e-6)


def test_without_the_first_attention_boxes_behind_the_video_know_no_sentence() -> None:
    """Why the decoder looks at the sentence at all."""
    made, clip = method(decoder=False), clip_of()
    boxes = [made.run([made.encode(clip, Query(text))])[0][1].seen for text in SENTENCES]
    np.testing.assert_allclose(boxes[0], boxes[1], atol=1e-6)
    np.testing.assert_allclose(boxes[0], boxes[2], atol=1e-6)


def test_spots_are_where_the_prompt_has_them() -> None:
    for query_first in (True, False):
        made = method(query_first=query_first)
        encoded = made.encode(clip_of(), Query(SENTENCES[0]))
        spots, ids = encoded.lesson.spots, encoded.question.ids
        video = made.backbone.model.config.video_token_id
        assert (spots.steps, spots.tokens) == (8, 16)
        assert set(ids[spots.first : spots.first + 8 * 17]) == {video}
        assert ids.count(video) == 8 * 17
        said = made.backbone.tokenizer.decode([ids[place] for place in spots.sentence])
        assert said == SENTENCES[0]


def test_a_frame_is_shown_twice_where_it_has_a_query_of_its_own() -> None:
    encoded = method(query="frame", even_steps=False).encode(clip_of(), Query("the ball"))
    pixels = encoded.question.pixels
    assert pixels.grid == (16, 8, 8)
    assert pixels.seconds_per_step == pytest.approx(1 / 8)
    half = pixels.rows.reshape(len(pixels.rows), 3, 2, -1)
    assert np.array_equal(half[:, :, 0], half[:, :, 1])


def test_a_target_is_written_as_its_interval_and_shown_as_boxes() -> None:
    made = method()
    encoded = made.encode(clip_of(), Query("the ball"), TRUTH)
    assert made.backbone.tokenizer.decode(encoded.target) == "<t_3> to <t_9> <|im_end|>"
    assert encoded.lesson.counts == {"box": 1}
    expected = goals_of(TRUTH, encoded.view, slots_of(16, 2, "pair"))
    np.testing.assert_array_equal(encoded.lesson.goals, expected)
    assert made.encode(clip_of(), Query("the ball")).lesson.goals is None


def test_a_picture_has_a_query_of_its_own_and_one_box() -> None:
    made, picture = method(query="frame"), clip_of(1)
    encoded = made.encode(picture, Query("the ball"), Tube(Interval(0, 0.125), [0.0], BOXES[:1]))
    np.testing.assert_allclose(encoded.lesson.goals, [[0, 0.1, 0.2, 0.6]])

    def found() -> Any:
        return made.decode(made.run([encoded])[0], picture, Query("the ball"))

    before = found()
    assert before.tube.boxes.shape == (1, 4)
    with torch.no_grad():
        made.parts.queries.weight[0] += 1
    np.testing.assert_array_equal(found().tube.boxes, before.tube.boxes)
    with torch.no_grad():
        made.parts.queries.weight[-1] += 1
    assert not np.allclose(found().tube.boxes, before.tube.boxes)


@pytest.mark.parametrize(
    ("text", "boxes", "problem"),
    [
        ("the ball is red", np.full((16, 4), 0.5), "nothing found: expected <t_a> to <t_b>"),
        ("<t_2> to <t_6>", np.full((16, 4), np.nan), "the boxes of the decoder are not finite"),
    ],
)
def test_what_cannot_be_used_is_an_empty_prediction(text: str, boxes: Any, problem: str) -> None:
    made, clip = method(), clip_of()
    encoded = replace(made.encode(clip, Query("the ball")), seen=boxes)
    found = made.decode((Answer(text, (1,), 0.5, True), encoded), clip, Query("the ball"))
    assert found.tube is None
    assert problem in found.warnings[0]


def test_options_that_leave_nothing_to_see_are_refused() -> None:
    with pytest.raises(UsageError, match="without query_tokens and without decoder"):
        SpaceVllmConfig.of({"query_tokens": False, "decoder": False})
