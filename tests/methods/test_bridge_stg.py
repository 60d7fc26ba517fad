"""``bridge_stg``: the bridge, the decoder, what is learned from which frames, answers."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the models extra is not installed")
pytest.importorskip("transformers", reason="the models extra is not installed")

from stvg.backbones.asking import Answer  # noqa: E402
from stvg.backbones.learned import as_map  # noqa: E402
from stvg.backbones.qwen import QwenBackbone  # noqa: E402
from stvg.backbones.tower import can_batch, encode_alike, encode_layers  # noqa: E402
from stvg.data.world import plan_clip  # noqa: E402
from stvg.data.world.files import write_world  # noqa: E402
from stvg.errors import UsageError  # noqa: E402
from stvg.geometry.boxes import box_iou, convert_boxes, generalized_iou, paired_iou  # noqa: E402
from stvg.geometry.tubes import viou  # noqa: E402
from stvg.methods.bridge_stg import Method as BridgeStg  # noqa: E402
from stvg.methods.bridge_stg.bridge import Words  # noqa: E402
from stvg.methods.bridge_stg.config import BridgeStgConfig  # noqa: E402
from stvg.methods.bridge_stg.decoder import (  # noqa: E402
    QueryGuidedDecoder,
    Views,
    decoder_config,
)
from stvg.methods.bridge_stg.frames import (  # noqa: E402
    boxes_at,
    choose_frames,
    frames_of,
    smoothed,
    tube_of,
)
from stvg.methods.bridge_stg.loss import best_overlaps, focal, judge_stage  # noqa: E402
from stvg.methods.bridge_stg.parts import Wanted  # noqa: E402
from stvg.text import View  # noqa: E402
from stvg.train.rows import encode_layers_of, read_rows  # noqa: E402
from stvg.train.sft import train  # noqa: E402
from stvg.train.starting import load_learner, without_weights  # noqa: E402
from stvg.train.student import Student, total_loss  # noqa: E402
from stvg.train.tasks.world import Task  # noqa: E402
from stvg.types import Clip, Interval, Query, Tube, VideoMeta  # noqa: E402
from tests.backbones.tiny_qwen import tiny_model, tiny_qwen2  # noqa: E402
from tests.train.small import WORLD, backbone, drawn, recipe, tokenizer  # noqa: E402
from tests.train.small import tube_of as true_tube  # noqa: E402

torch.set_num_threads(1)
OPTIONS = {"grammar": "frames", "frames": 16, "side": 64, "query_first": True, "even_steps": True,
           "det": "<box>", "vectors": 3, "candidates": 6, "width": 32, "depth": 2, "inner": 32,
           "inside": 3, "outside": 2, "max_new_tokens": 8}  # fmt: skip
TASK = {**WORLD, "numbered": 0.0, "method": "bridge_stg", "options": OPTIONS}
CARD = {"method": "bridge_stg", "data": "world", "options": OPTIONS}
SCALES = {"answer": 1.0, "cell": 0.3, "target": 1.0}
VIEW = View(np.arange(16) / 8, np.arange(17) / 8, (200, 100), (64, 64))


def method(model: QwenBackbone | None = None, seed: int = 0, **options: Any) -> BridgeStg:
    made = BridgeStg(model or backbone(), BridgeStgConfig.of({**OPTIONS, **options}))
    torch.manual_seed(seed)
    made.parts = made.new_parts().eval()
    return made


def student_and_maker(**options: Any) -> tuple[Student, Any]:
    made = method(**options)
    task = Task.of({**TASK, "options": {**OPTIONS, **options}})
    student = Student(made.backbone.model, tokenizer(), (0.7, 0.4), made.parts)
    return student, task.maker(without_weights(made.backbone))


def clip_of(number: int = 0) -> Clip:
    return drawn(plan_clip(number, split="train", seed=WORLD["seed"]))[0]


# --- time beside the pictures -----------------------------------------------------------------


def test_the_time_of_each_step_stands_behind_it() -> None:
    made = method()
    encoded = made.encode(clip_of(), Query("the red ball"))
    names = tokenizer().convert_ids_to_tokens(encoded.question.ids)
    first = names.index("<|video_pad|>")
    video = names[first : first + 8 * 17]
    assert video[16::17] == [f"<t_{2 * step}>" for step in range(8)]
    assert video.count("<|video_pad|>") == 8 * 16
    assert "<t_0>" not in tokenizer().convert_ids_to_tokens(
        method(stamps="none").encode(clip_of(), Query("the red ball")).question.ids
    )


def test_times_are_told_once() -> None:
    """Between the pictures, or in the instruction."""
    for stamps, is_told in (("aside", False), ("pushing", False), ("none", True)):
        made = method(grammar="seconds", stamps=stamps)
        prompt = made.prompt(Query("the red ball"), VIEW)
        assert ("at 0.00s, 0.12s" in prompt) == is_told
        assert ("the time stands behind" in prompt) != is_told


def test_decoded_text_goes_on_behind_the_largest_position() -> None:
    """What is read behind a prompt stands at max + 1, and the vectors behind that."""
    made = method(query_first=False)
    question = made.encode(clip_of(), Query("the red ball")).question
    with torch.no_grad():
        prefix = made.backbone.prefill(question.ids, [made._features(question.pixels)])
    block = question.pixels.block
    after = len(question.ids) - question.ids.index(tokenizer().convert_tokens_to_ids("<t_14>")) - 1
    before = question.ids.index(tokenizer().convert_tokens_to_ids("<|video_pad|>"))
    largest = before + max(7, 4 - 1 + 1)  # time of the last step; row of the stamps
    assert prefix.following.tolist() == [largest + 1 + after]
    assert block.stamps == (1,) * 8


# --- the bridge -------------------------------------------------------------------------------


def test_vectors_behind_an_answer_change_nothing_before_them() -> None:
    student, maker = student_and_maker()
    batch = maker.batch([0, 1])
    tower = student.model.model.visual
    with torch.no_grad():
        tokens, _ = encode_layers_of(tower, batch, student.layout)
        features = torch.cat(tokens)
        ours, _ = read_rows(student.model, features, batch.rows, behind=student.parts.behind)
        others, _ = read_rows(student.model, features, batch.rows, behind=student.parts.behind + 1)
    for row in range(len(ours)):
        end = int(batch.rows.behind[row].nonzero()[0, 0])
        assert torch.equal(ours[row, :end], others[row, :end])
        assert not torch.allclose(ours[row, end : end + 3], others[row, end : end + 3], atol=1e-3)


@pytest.mark.parametrize("query_first", [True, False])
def test_answering_sees_what_training_sees(query_first: bool) -> None:
    """Right answers, written and then read with the vectors behind: the same bridge and boxes."""
    student, maker = student_and_maker(query_first=query_first)
    made = method(QwenBackbone(student.model, tokenizer()), query_first=query_first)
    made.parts = student.parts.eval()
    batch = maker.batch([0, 1])
    tower = student.model.model.visual
    compared = 0
    with torch.no_grad():
        tokens, layers = encode_layers_of(tower, batch, student.layout)
        states, _ = read_rows(
            student.model, torch.cat(tokens), batch.rows, behind=made.parts.behind
        )
        for row, lesson in enumerate(batch.lessons):
            number = int(batch.rows.clips[row])
            ids = batch.rows.ids[row]
            said = tokenizer().decode(ids[batch.rows.judged[row]][:-1])
            text = said_sentence(tokenizer().decode(ids), query_first)
            maps = (*layers[number], as_map(tokens[number], (8, 8, 8), 2))
            interval = made.codec.parse(said, VIEW_64).interval
            frames, _ = frames_of(interval, VIEW_64)
            bridge = states[row, lesson.first : lesson.first + 4]
            expected = made.parts.find([Wanted(bridge, (), torch.from_numpy(frames), maps)])
            force(made, said)
            ((answer, seen),) = made.run([made.encode(clip_of(number), Query(text))])
            assert answer.text.startswith(said)
            best = expected.scores[-1].argmax(-1)
            boxes = expected.boxes[-1][torch.arange(len(best)), best]
            np.testing.assert_allclose(seen.seen[0], boxes, atol=1e-4)
            compared += 1
    assert compared == len(batch.lessons) > 2


VIEW_64 = View(np.arange(16) / 8, np.arange(17) / 8, (64, 64), (64, 64))


def said_sentence(row: str, query_first: bool) -> str:
    if query_first:
        return row.split("user ")[1].split(" <|vision_start|>", 1)[0]
    return row.split("<|vision_end|> ")[1].split(" <|im_end|>", 1)[0]


def force(made: BridgeStg, text: str) -> None:
    """Let the method write nothing but a text."""
    from stvg.text.constrain import Literal, begin

    made.grammar = lambda view, marked: begin(  # type: ignore[method-assign]
        lambda taken: None if taken else Literal(text), made.vocabulary
    )


def test_without_vectors_the_bridge_is_the_token_that_calls_boxes() -> None:
    made = method(vectors=0)
    states = torch.randn(2, 1, 32)
    assert made.parts.bridge(states).shape == (2, 1, 32)
    found = made.decode(made.run([made.encode(clip_of(), Query("the red ball"))])[0],
                        clip_of(), Query("the red ball"))  # fmt: skip
    assert isinstance(found.tube, Tube)


def test_a_sentence_of_its_own_does_not_hear_the_model() -> None:
    """With ``bridge=sentence`` states have no part in boxes, and words have."""
    made = method(bridge="sentence")
    maps = maps_of(made, clip_of())
    ids = [tuple(tokenizer()(text)["input_ids"]) for text in ("the red ball", "the star spins")]
    one, other, third = (
        found_in(made, maps, torch.randn(4, 32), words=words) for words in (ids[0], ids[0], ids[1])
    )
    assert torch.equal(one, other)
    assert not torch.allclose(one, third, atol=1e-4)


def maps_of(made: BridgeStg, clip: Clip) -> Any:
    pixels = made.pixels(clip)
    with torch.no_grad():
        video = made.backbone.encode_video(pixels.rows, pixels.grid, layers=True)
    return (*video.layers, as_map(video.tokens, video.grid_thw, 2))


def found_in(made: BridgeStg, maps: Any, bridge: Any, words: Any = (), frames: Any = (2, 3)) -> Any:
    """Scores of the candidates of frames."""
    numbers = torch.tensor(frames)
    with torch.no_grad():
        wanted = Wanted(bridge, tuple(words), numbers, maps)
        return made.parts.find([wanted]).scores[-1]


def test_several_videos_at_once_are_one_by_one() -> None:
    made = method(bridge="sentence")
    maps = maps_of(made, clip_of())
    words = [(20, 21, 22), (23,)]
    frames = [torch.tensor([0, 5]), torch.tensor([7])]
    wanted = [Wanted(torch.randn(4, 32), own, each, maps)
              for own, each in zip(words, frames, strict=True)]  # fmt: skip
    with torch.no_grad():
        both = made.parts.find(wanted)
        alone = [made.parts.find([each]) for each in wanted]
    for stage in range(3):
        for name in ("boxes", "scores"):
            expected = torch.cat([getattr(each, name)[stage] for each in alone])
            torch.testing.assert_close(getattr(both, name)[stage], expected, atol=1e-5, rtol=1e-4)


# --- the decoder ------------------------------------------------------------------------------


def test_layers_of_the_tower_are_those_that_its_tokens_come_of() -> None:
    """The merger on the last layer's patches, gathered two by two, gives the visual tokens."""
    tower = backbone().model.model.visual
    pixels = torch.randn(2, 3 * 8 * 12, 2 * 3 * 8 * 8)
    with torch.no_grad():
        tokens, layers = encode_layers(tower, pixels, (3, 8, 12))
        assert torch.equal(tokens, encode_alike(tower, pixels, (3, 8, 12)))
        assert [each.shape for each in layers] == [(2, 3, 8, 12, 32)] * 2
        cells = layers[-1].unflatten(3, (6, 2)).unflatten(2, (4, 2)).transpose(3, 4)
        merged = tower.merger(cells.reshape(-1, 32)).reshape(2, 3 * 4 * 6, -1)
    torch.testing.assert_close(merged, tokens)


def views(layers: int = 2, frames: int = 2, seed: int = 0) -> Views:
    generator = torch.Generator().manual_seed(seed)
    states = [torch.randn(frames, 9, 32, generator=generator) for _ in range(layers)]
    memory = torch.randn(frames, 9 + 4, 32, generator=generator)
    anchors = torch.rand(frames, 9, 4, generator=generator).clamp(0.1, 0.9).logit()
    text = torch.randn(frames, 3, 32, generator=generator)
    return Views(states, anchors, memory, ((3, 3), (2, 2)), text)


def decoder(candidates: int = 5, layers: int = 2, depth: int = 2) -> QueryGuidedDecoder:
    torch.manual_seed(0)
    shape = decoder_config(width=32, depth=depth, inner=32, candidates=candidates, levels=2)
    return QueryGuidedDecoder(shape, layers).eval()


def test_candidates_are_the_best_of_every_layer() -> None:
    """By hand: project, norm, product with what is looked for, the best places of each layer."""
    made, seen = decoder(), views()
    assert made.shares == [3, 2]
    with torch.no_grad():
        found = made(seen)
        start = 0
        for number, count in enumerate(made.shares):
            states = made.norm[number](made.project[number](seen.layers[number]))
            scores = (states @ seen.text.mT).amax(-1)
            best = scores.topk(count, dim=1)
            torch.testing.assert_close(found.scores[0][:, start : start + count], best.values)
            anchors = seen.anchors.gather(1, best.indices[..., None].expand(-1, -1, 4)).sigmoid()
            torch.testing.assert_close(found.boxes[0][:, start : start + count], anchors)
            start += count
    assert [each.shape for each in found.boxes] == [(2, 5, 4)] * 3


def test_the_last_layer_alone_may_give_all() -> None:
    made, seen = decoder(layers=1), views()
    with torch.no_grad():
        found = made(seen)
        again = made(replace(seen, layers=[torch.zeros(2, 9, 32), seen.layers[1]]))
    assert torch.equal(found.boxes[-1], again.boxes[-1])


def test_the_closed_gate_keeps_features_of_candidates_out() -> None:
    """Open, what the candidates' features say reaches the decoder's queries."""
    made, seen = decoder(), views()
    with torch.no_grad():
        made.decoder.bbox_embed[0].layers[-1].weight.normal_()
        before = made(seen).boxes[1]
        made.gate.fill_(1.0)
        after = made(seen).boxes[1]
    assert not torch.allclose(before, after, atol=1e-4)


def test_padding_of_what_is_looked_for_is_not_looked_for() -> None:
    made, seen = decoder(), views()
    longer = torch.cat([seen.text, torch.full((2, 2, 32), 9.0)], dim=1)
    is_text = torch.tensor([[True] * 3 + [False] * 2] * 2)
    with torch.no_grad():
        expected, found = made(seen), made(replace(seen, text=longer, is_text=is_text))
    torch.testing.assert_close(found.boxes[-1], expected.boxes[-1])
    torch.testing.assert_close(found.scores[-1], expected.scores[-1])


def test_states_without_an_anchor_count_as_nothing() -> None:
    """All places are chosen; what stands at those without an anchor has no part in it."""
    made, seen = decoder(candidates=18), views()
    seen.anchors[:, :4] = torch.inf
    others = [torch.cat([torch.full((2, 4, 32), 9.0), each[:, 4:]], dim=1) for each in seen.layers]
    with torch.no_grad():
        found, again = made(seen), made(replace(seen, layers=others))
    for stage in range(3):
        assert torch.isfinite(found.boxes[stage]).all()
        assert torch.equal(found.boxes[stage], again.boxes[stage])
        assert torch.equal(found.scores[stage], again.scores[stage])


def test_a_score_is_the_best_or_the_mean_over_what_is_looked_for() -> None:
    shape = decoder_config(width=32, depth=2, inner=32, candidates=5, levels=2)
    seen = views()
    longer = torch.cat([seen.text, torch.full((2, 2, 32), 9.0)], dim=1)
    padded = replace(seen, text=longer, is_text=torch.tensor([[True] * 3 + [False] * 2] * 2))
    for score, rated in (
        ("best", lambda each: each.amax(-1)),
        ("mean", lambda each: each.mean(-1)),
    ):
        torch.manual_seed(0)
        made = QueryGuidedDecoder(shape, 2, score=score, is_new=True).eval()
        with torch.no_grad():
            found, again = made(seen), made(padded)
        torch.testing.assert_close(found.scores[-1], rated(found.by_token) - 4)
        torch.testing.assert_close(again.scores[-1], found.scores[-1])


def test_candidates_are_chosen_of_all_places() -> None:
    """Those of each layer are the best of its places, and have their boxes."""
    made, seen = decoder(), views()
    with torch.no_grad():
        made.propose.layers[-1].weight.normal_()
        found = made(seen, everywhere=True)
    scores, boxes = found.places
    assert scores.shape == (2, 18)
    for start, end, first in ((0, 3, 0), (3, 5, 9)):
        best = scores[:, first : first + 9].topk(end - start, dim=1)
        torch.testing.assert_close(found.scores[0][:, start:end], best.values)
        places = (first + best.indices)[..., None].expand(-1, -1, 4)
        torch.testing.assert_close(found.boxes[0][:, start:end], boxes.gather(1, places))


def flops(made: BridgeStg, maps: Any, frames: int) -> int:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        wanted = Wanted(torch.randn(4, 32), (), torch.arange(frames), maps)
        made.parts.find([wanted])
    return int(counter.get_total_flops())


def test_cost_is_linear_in_the_interval_and_knows_nothing_of_the_clip() -> None:
    made = method()
    maps = maps_of(made, clip_of())
    longer = tuple(torch.cat([each] * 16) for each in maps)
    one, two, six = (flops(made, maps, frames) for frames in (1, 2, 6))
    assert six - two == 4 * (two - one) > 0
    assert flops(made, longer, 6) == six


# --- losses -----------------------------------------------------------------------------------


def test_losses_of_a_stage_by_the_geometry() -> None:
    """One frame with a box, one where the object is seen but not meant, one without anything."""
    generator = np.random.default_rng(0)
    boxes = np.concatenate([generator.uniform(0.3, 0.7, (3, 4, 2)),
                            generator.uniform(0.1, 0.4, (3, 4, 2))], axis=2)  # fmt: skip
    corners = convert_boxes(boxes.reshape(-1, 4), "cxcywh", "xyxy").reshape(3, 4, 4)
    scores = generator.normal(size=(3, 4))
    goals = np.full((3, 4), np.nan)
    goals[0] = corners[0, 2] + 0.01
    elsewhere = np.full((3, 4), np.nan)
    elsewhere[1] = corners[1, 1]
    found = judge_stage(*(torch.from_numpy(each) for each in (scores, boxes, goals, elsewhere)))
    centre = convert_boxes(goals[:1], "xyxy", "cxcywh")[0]
    assert found["l1"].item() == pytest.approx(np.abs(boxes[0, 2] - centre).sum())
    general = generalized_iou(corners[0, 2:3], goals[:1]).item()
    assert found["giou"].item() == pytest.approx(1 - general)
    near = box_iou(corners[1], elsewhere[1:2])[:, 0] > 0.5
    assert near.tolist().count(True) >= 1
    expected = 0.0
    for frame, number in product(range(3), range(4)):
        if frame == 1 and near[number]:
            continue
        is_right = (frame, number) == (0, 2)
        chance = 1 / (1 + np.exp(-scores[frame, number]))
        right = chance if is_right else 1 - chance
        expected -= (0.25 if is_right else 0.75) * (1 - right) ** 2 * np.log(right)
    assert found["score"].item() == pytest.approx(expected)
    shares = np.exp(scores[0]) / np.exp(scores[0]).sum()
    assert found["contrast"].item() == pytest.approx(-np.log(shares[2]))
    likeliest = scores[0].argmax()
    overlap = paired_iou(corners[0, likeliest : likeliest + 1], goals[:1])
    ours = best_overlaps(*(torch.from_numpy(each) for each in (scores, boxes, goals)))
    np.testing.assert_allclose(ours, overlap, atol=1e-12)


def test_focal_loss_by_hand() -> None:
    """At even chances: a quarter of (log 2) / 4 where wanted, three quarters of it else."""
    found = focal(torch.zeros(2), torch.tensor([1.0, 0.0]))
    np.testing.assert_allclose(found, np.array([0.25, 0.75]) * 0.25 * np.log(2), rtol=1e-6)


def test_a_sure_candidate_is_matched_before_a_near_one() -> None:
    """Cost 2 of the score against 5 and 2 of place: by the numbers of Grounding DINO."""
    goals = torch.tensor([[0.4, 0.4, 0.6, 0.6]])
    boxes = torch.tensor([[[0.5, 0.5, 0.2, 0.2], [0.51, 0.5, 0.2, 0.2]]])
    none = torch.full((1, 4), torch.nan)
    sure = judge_stage(torch.tensor([[-2.0, 2.0]]), boxes, goals, none)
    assert sure["l1"].item() == pytest.approx(0.01, abs=1e-6)
    even = judge_stage(torch.tensor([[0.0, 0.0]]), boxes, goals, none)
    assert even["l1"].item() == pytest.approx(0, abs=1e-6)


def test_several_matches_count_as_one() -> None:
    """Two of three candidates, 0.01 and 0.03 off; losses are half of theirs."""
    goals = torch.tensor([[0.4, 0.4, 0.6, 0.6]])
    boxes = torch.tensor([[[0.9, 0.9, 0.1, 0.1], [0.51, 0.5, 0.2, 0.2], [0.5, 0.53, 0.2, 0.2]]])
    none = torch.full((1, 4), torch.nan)
    found = judge_stage(torch.zeros(1, 3), boxes, goals, none, 2)
    assert found["l1"].item() == pytest.approx((0.01 + 0.03) / 2, abs=1e-6)
    assert found["score"].item() == pytest.approx((2 * 0.25 + 0.75) * 0.25 * np.log(2) / 2)
    assert found["contrast"].item() == pytest.approx(np.log(3))


def test_matches_are_places_before_candidates_are_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """64 patches of two layers; behind the decoder's layers the six candidates, one of them."""
    student, maker = student_and_maker(matches=4)
    stages: list[tuple[int, int]] = []

    def judged(scores: Any, boxes: Any, goals: Any, elsewhere: Any, matches: int) -> Any:
        stages.append((scores.shape[1], matches))
        return judge_stage(scores, boxes, goals, elsewhere, matches)

    monkeypatch.setattr("stvg.methods.bridge_stg.parts.judge_stage", judged)
    with torch.no_grad():
        student(maker.batch(range(1)))
    assert stages == [(128, 4), (6, 1), (6, 1)]


def gradients(student: Student, loss: Any) -> dict[str, float]:
    """Length of the gradient of each group of weights."""
    student.zero_grad()
    loss.backward(retain_graph=True)
    groups = {"vectors": "parts.bridge.vectors", "bridge": "parts.bridge.project",
              "decoder": "parts.decoder.", "images": "parts.images.",
              "tower": "model.model.visual.", "words": "model.model.language_model."}  # fmt: skip
    return {
        group: sum(float(each.grad.norm()) for name, each in student.named_parameters()
                   if name.startswith(start) and each.grad is not None)
        for group, start in groups.items()
    }  # fmt: skip


SPACE = ("space_score", "space_l1", "space_giou")


def test_what_learns_from_what() -> None:
    """Boxes teach everything; the text neither vectors nor bridge nor decoder."""
    student, maker = student_and_maker()
    sums, _ = student(maker.batch(range(3)))
    assert min(gradients(student, sum(sums[name] for name in SPACE)).values()) > 0
    text = gradients(student, sums["answer"])
    assert text["tower"] > 0
    assert text["words"] > 0
    assert [text[each] for each in ("vectors", "bridge", "decoder", "images")] == [0] * 4


def test_a_detached_bridge_teaches_the_model_nothing() -> None:
    """The tower still learns, as the image encoder of the decoder."""
    student, maker = student_and_maker(detached=True)
    sums, _ = student(maker.batch(range(3)))
    found = gradients(student, sum(sums[name] for name in SPACE))
    assert found["vectors"] == found["words"] == 0
    assert min(found[each] for each in ("bridge", "decoder", "images", "tower")) > 0


def test_adapters_learn_from_boxes(tmp_path: Path) -> None:
    pytest.importorskip("peft", reason="the train extra is not installed")
    options = recipe(tmp_path, tasks=[TASK], card=CARD, fresh=None, model="tiny/base",
                     lora={"rank": 2, "alpha": 4})  # fmt: skip
    learner = load_learner(options, precision="fp32")
    maker = Task.of(TASK).maker(without_weights(learner.backbone))
    sums, _ = learner.student(maker.batch([0]))
    sum(sums[name] for name in SPACE).backward()
    adapters = [each.grad for name, each in learner.student.named_parameters() if "lora_B" in name]
    assert adapters
    assert all(grad is not None and float(grad.norm()) > 0 for grad in adapters)


def test_frames_without_the_event_teach_scores_alone() -> None:
    student, maker = student_and_maker()
    batch = maker.batch(range(3))
    lessons = tuple(replace(each, goals=np.full_like(each.goals, np.nan)) for each in batch.lessons)
    batch = replace(batch, lessons=lessons)
    assert batch.counts["space"] == 0
    sums, gauges = student(batch)
    assert sums["space_l1"].item() == sums["space_giou"].item() == 0
    assert sums["space_score"].item() > 0
    assert gauges["box_iou"] == (0.0, 0.0)
    assert sum(gradients(student, sums["space_l1"] + sums["space_giou"]).values()) == 0
    assert gradients(student, sums["space_score"])["vectors"] > 0


def test_visible_objects_are_judged_where_they_are_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """``visible=nothing`` judges all candidates, also those on the object outside the event."""
    student, maker = student_and_maker()
    batch = maker.batch(range(4))
    known = np.concatenate([each.elsewhere for each in batch.lessons])
    assert np.isfinite(known).any()
    seen: list[Any] = []

    def judged(scores: Any, boxes: Any, goals: Any, elsewhere: Any, matches: int) -> Any:
        seen.append(elsewhere.numpy())
        return judge_stage(scores, boxes, goals, elsewhere, matches)

    monkeypatch.setattr("stvg.methods.bridge_stg.parts.judge_stage", judged)
    with torch.no_grad():
        student(batch)
        np.testing.assert_allclose(seen[0], known, rtol=1e-6)
        student.parts.keeps_visible = True
        student(batch)
    assert np.isnan(seen[-1]).all()


def test_losses_are_means_over_frames_with_a_box() -> None:
    student, maker = student_and_maker()
    batch = maker.batch(range(2))
    sums, _ = student(batch)
    only = {name: sums[name] for name in (*SPACE, "space_contrast")}
    count = sum(int(np.isfinite(each.goals[:, 0]).sum()) for each in batch.lessons)
    assert batch.counts["space"] == count > 0
    loss = total_loss(only, batch.counts, SCALES, student.weights)
    expected = only["space_score"] + 5 * only["space_l1"] + 2 * only["space_giou"]
    assert loss.item() == pytest.approx(expected.item() / count)


# --- frames -----------------------------------------------------------------------------------


def boxes(count: int) -> np.ndarray:
    return np.tile([10.0, 20.0, 60.0, 70.0], (count, 1)) + np.arange(count)[:, None]


TARGET = Tube(Interval(0.5, 1.25), np.arange(4, 10) / 8, boxes(6))


def test_frames_to_learn_from() -> None:
    """Two of the event, one of each half; others where the object is not known to be seen."""
    outside = Tube(Interval(0, 2), np.array([*range(4), *range(12, 16)]) / 8, boxes(8))
    firsts, seconds, others = set(), set(), set()
    for seed in range(40):
        found = choose_frames(TARGET, outside, VIEW, (2, 2), np.random.default_rng(seed))
        event = [frame for frame in found if 4 <= frame < 10]
        assert len(event) == 2
        assert len(found) == 4
        firsts.add(event[0])
        seconds.add(event[1])
        others |= set(found.tolist()) - set(event)
    assert (firsts, seconds, others) == ({4, 5, 6}, {7, 8, 9}, {10, 11})


def test_few_frames_are_all_taken() -> None:
    found = choose_frames(TARGET, None, VIEW, (9, 99), np.random.default_rng(0))
    assert found.tolist() == list(range(16))
    assert choose_frames(TARGET, None, VIEW, (9, 0), np.random.default_rng(0)).tolist() == [
        4, 5, 6, 7, 8, 9
    ]  # fmt: skip


def test_no_frame_is_drawn_twice() -> None:
    """Seven frames in six shares, one of which holds two of them."""
    longer = Tube(Interval(0.5, 1.375), np.arange(4, 11) / 8, boxes(7))
    for seed in range(20):
        found = choose_frames(longer, None, VIEW, (6, 0), np.random.default_rng(seed))
        assert len(set(found.tolist()) & set(range(4, 11))) == 6


def test_a_frame_at_the_edge_of_the_event_is_not_outside_of_it() -> None:
    """Frame 1 counts until 1.5 s and the event begins at 1.4 s: its box says that it is there."""
    view = View(np.arange(4), np.array([0, 0.5, 1.5, 2.5, 3.5]), (200, 100), (64, 64))
    target = Tube(Interval(1.4, 3.5), np.array([1.4, 2.0, 3.0]), boxes(3))
    found = choose_frames(target, None, view, (9, 9), np.random.default_rng(0))
    assert found.tolist() == [0, 2, 3]


def test_frames_with_a_right_box_have_no_wrong_one() -> None:
    """Where a sampled frame stands for the last moments before the event and its beginning."""
    made, clip = method(frames=8), clip_of()
    clip = Clip(clip.meta, clip.frames[::2], clip.times_s[::2], clip.frame_indices[::2])
    target = Tube(Interval(5 / 8, 13 / 8), np.arange(5, 13) / 8, boxes(8))
    outside = Tube(Interval(0, 2), np.array([*range(5), *range(13, 16)]) / 8, boxes(8))
    lesson = made.encode(clip, Query("the red ball"), target, outside=outside).lesson
    is_right, is_wrong = (np.isfinite(each[:, 0]) for each in (lesson.goals, lesson.elsewhere))
    assert is_right.any()
    assert not (is_right & is_wrong).any()


def test_frames_of_the_event_without_a_box_teach_nothing() -> None:
    gap = Tube(TARGET.interval, np.array([4, 5, 8, 9]) / 8, boxes(4))
    found = choose_frames(gap, None, VIEW, (9, 0), np.random.default_rng(0))
    assert found.tolist() == [4, 5, 8, 9]


def test_boxes_are_shares_and_only_where_there_are_some() -> None:
    found = boxes_at(TARGET, VIEW, np.array([3, 4, 6]))
    assert np.isnan(found[0]).all()
    np.testing.assert_allclose(found[1], np.array([10, 20, 60, 70]) / [200, 100, 200, 100])
    np.testing.assert_allclose(found[2], np.array([12, 22, 62, 72]) / [200, 100, 200, 100])
    assert np.isnan(boxes_at(None, VIEW, np.array([3, 4]))).all()


def test_an_oracle_gives_the_target_back() -> None:
    """Right boxes in the frames of the right interval are the right tube."""
    frames, times_s = frames_of(TARGET.interval, VIEW)
    assert frames.tolist() == list(range(4, 10))
    goals = convert_boxes(boxes_at(TARGET, VIEW, frames), "xyxy", "cxcywh")
    found = tube_of(goals, np.ones(6), times_s, TARGET.interval, VIEW)
    assert viou(found, TARGET, np.arange(16) / 8) == pytest.approx(1.0)


def test_an_interval_between_frames_has_one_box_in_its_middle() -> None:
    frames, times_s = frames_of(Interval(0.51, 0.57), VIEW)
    assert frames.tolist() == [4]
    assert times_s.tolist() == pytest.approx([0.54])


def test_the_likeliest_path_does_not_jump() -> None:
    """A look-alike that is a little likelier for one frame is passed over; a likely one is not."""
    left, right = [0.2, 0.5, 0.2, 0.2], [0.8, 0.5, 0.2, 0.2]
    places = np.array([[left, right]] * 3)
    a_little = np.array([[0.6, 0.5], [0.5, 0.6], [0.6, 0.5]])
    assert smoothed(places, a_little).tolist() == [0, 0, 0]
    # There and back costs 2, worth it where the chance is more than e^2 times as high.
    much = np.array([[0.95, 0.01], [0.1, 0.9], [0.95, 0.01]])
    assert smoothed(places, much).tolist() == [0, 1, 0]
    assert smoothed(places[:1], much[1:2]).tolist() == [1]


# --- answers ----------------------------------------------------------------------------------


def test_an_answer_is_an_interval_and_boxes_in_its_frames() -> None:
    made, clip = method(), clip_of()
    force(made, "<t_3> to <t_9>")
    queries = [Query("the red ball"), Query("what spins ?")]
    outputs = made.run([made.encode(clip, query) for query in queries])
    for query, output in zip(queries, outputs, strict=True):
        assert len(output[1].seen[0]) == 6
        found = made.decode(output, clip, query)
        assert found.tube is not None
        assert found.tube.interval == Interval(3 / 8, 9 / 8)
        assert found.tube.scores is not None
        assert len(found.tube) == 6


def test_many_frames_are_decoded_in_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = method()
    force(made, "<t_3> to <t_9>")
    encoded = [made.encode(clip_of(number), Query("the red ball")) for number in range(3)]
    together = made.run(encoded)
    monkeypatch.setattr("stvg.methods.bridge_stg.method._AT_ONCE", 4)
    for (_, one), (_, other) in zip(made.run(encoded), together, strict=True):
        for ours, theirs in zip(one.seen, other.seen, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_a_target_is_its_interval_and_the_call() -> None:
    clip, figures = drawn(plan_clip(0, split="train", seed=WORLD["seed"]))
    target = true_tube(figures[0], 2, 9)
    made = method()
    encoded = made.encode(clip, Query("the red ball"), target)
    assert tokenizer().decode(encoded.target) == "<t_2> to <t_9> <box>"
    assert encoded.behind == 3
    assert encoded.lesson.first == len(encoded.question.ids) + 3
    again = made.encode(clip, Query("the red ball"), target)
    assert again.lesson.frames.tolist() == encoded.lesson.frames.tolist()


@pytest.mark.parametrize(
    ("text", "problem"),
    [("nothing", "expected <t_a> to <t_b>, found 'nothing'"), ("", "the answer is empty")],
)
def test_what_cannot_be_read_is_an_empty_prediction(text: str, problem: str) -> None:
    made, clip = method(), clip_of()
    said = Answer(text, (), 1.0, True)
    found = made.decode((said, made.encode(clip, Query("x"))), clip, Query("x"))
    assert found.tube is None
    assert problem in found.warnings[0]


def test_a_call_that_is_not_one_token_is_refused() -> None:
    with pytest.raises(UsageError, match=r"single token of .* in the option det"):
        method(det="<|box_start|>")


def test_more_matches_than_candidates_are_refused() -> None:
    with pytest.raises(UsageError, match="matches 9 is above candidates 6"):
        BridgeStgConfig.of({**OPTIONS, "matches": 9})


def test_frames_without_a_side_have_windows_of_one_size() -> None:
    """Windows of 32 pixels: 160 by 80 would be cut into whole and half ones."""
    model = QwenBackbone(tiny_model(), tokenizer())
    meta = VideoMeta("dog.mp4", 160, 90, Fraction(10), 4.0, 40)
    sizes = {}
    for detector in (None, "a folder"):
        options = {**OPTIONS, "side": None, "detector": detector}
        made = BridgeStg(model, BridgeStgConfig.of(options))
        sizes[detector] = made.plan(meta, Query("the red ball")).frames.size(meta)
    assert sizes == {None: (160, 64), "a folder": (160, 80)}
    tower = model.model.model.visual
    assert can_batch(tower, (1, 8, 20))
    assert not can_batch(tower, (1, 10, 20))


def test_the_tower_of_qwen2_vl_is_looked_at_too() -> None:
    """Its patches are 32 numbers long, its tokens 64, and all its layers see whole frames."""
    made = method(QwenBackbone(tiny_qwen2(), tokenizer()))
    maps = maps_of(made, clip_of())
    assert [each.shape[-1] for each in maps] == [32, 32, 64]
    assert torch.isfinite(found_in(made, maps, torch.randn(4, 64))).all()


@pytest.mark.parametrize("width", [48, 64, 112])
def test_words_are_read_at_any_width(width: int) -> None:
    """Padding is not read."""
    words = Words(9, width).eval()
    ids, is_text = torch.tensor([[3, 4, 0], [3, 4, 5]]), torch.tensor([[True] * 2 + [False],
                                                                      [True] * 3])  # fmt: skip
    with torch.no_grad():
        found, alone = words(ids, is_text), words(ids[:1, :2], is_text[:1, :2])
    torch.testing.assert_close(found[:1, :2], alone)


def test_too_many_candidates_are_refused() -> None:
    made = method(candidates=200)
    with pytest.raises(UsageError, match="at most 128 candidates in frames of 64 places"):
        made.run([made.encode(clip_of(), Query("x"))])


# --- runs -------------------------------------------------------------------------------------


def test_a_run_ends_in_a_model_that_answers(tmp_path: Path) -> None:
    last = train(recipe(tmp_path / "run", tasks=[TASK], card=CARD))
    log = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    title = "world-standard-bridge_stg"
    assert {f"{title}/loss/space_l1", f"{title}/share/box_found"} <= set(log[-1])
    made = BridgeStg.create(str(last))
    clip = clip_of()
    found = made.decode(made.run([made.encode(clip, Query("the red ball"))])[0], clip, Query("x"))
    assert isinstance(found.tube, Tube)


def test_files_of_a_benchmark_are_learned_from_too(tmp_path: Path) -> None:
    """Videos as files, at another rate than their frames are shown."""
    write_world(tmp_path / "world", split="train", clips=3, side=64)
    options = {**OPTIONS, "frames": 8, "query_first": False}
    task = {"kind": "benchmark", "benchmark": "hcstvg_v2", "method": "bridge_stg", "clips": 2,
            "annotations": str(tmp_path / "world/annotations.json"), "options": options,
            }  # fmt: skip
    train(recipe(tmp_path / "run", tasks=[task], card={**CARD, "options": options}, samples=4))
    log = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert 0 <= log[-1]["hcstvg_v2/share/box_iou"] <= 1


@pytest.mark.slow
def test_eight_clips_are_learned_by_heart() -> None:
    """Boxes to a vIoU above 0.9 in all frames of the event, and every interval as it is."""
    torch.manual_seed(0)
    options = {"vectors": 8, "candidates": 24, "inner": 64, "width": 48, "inside": 16,
               "score": "mean", "matches": 4, "space_loss": {"contrast": 1.0}}  # fmt: skip
    student, maker = student_and_maker(**options)
    batch = maker.batch(range(8))
    optimiser = torch.optim.AdamW(student.parameters(), lr=3e-3, betas=(0.9, 0.98))
    for step in range(1500):
        for group in optimiser.param_groups:
            group["lr"] = 3e-3 * (1 - step / 1500)
        loss = total_loss(student(batch)[0], batch.counts, SCALES, student.weights)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimiser.step()
    gauges = student(batch)[1]
    overlap, of = gauges["box_iou"]
    assert overlap / of > 0.9
    right, of = gauges["time"]
    assert right == of  # so the interval that is answered is the true one
