"""``stvg_o1``: drafts of a cold start, and answers whose draft has to do."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the models extra is not installed")
pytest.importorskip("transformers", reason="the models extra is not installed")

from stvg.backbones.asking import Answer  # noqa: E402
from stvg.backbones.qwen import QwenBackbone  # noqa: E402
from stvg.errors import UsageError  # noqa: E402
from stvg.geometry.boxes import paired_iou  # noqa: E402
from stvg.methods.stvg_o1 import Method as StvgO1  # noqa: E402
from stvg.methods.stvg_o1.config import DraftConfig, StvgO1Config  # noqa: E402
from stvg.methods.stvg_o1.drafts import draft_of  # noqa: E402
from stvg.train.fresh import FreshConfig, fresh_model, fresh_tokenizer  # noqa: E402
from stvg.types import Clip, Interval, Query, Tube, VideoMeta  # noqa: E402

torch.set_num_threads(1)
OPTIONS = {"grammar": "o1_compact", "frames": 16, "side": 64, "query_first": True,
           "even_steps": True, "max_new_tokens": 128}  # fmt: skip
META = VideoMeta("clip.mp4", 200, 100, Fraction(8), 2.0, 16)
TIMES = np.arange(3, 7) / 8
TRUTH = Tube(Interval(0.375, 0.875), TIMES, [[20, 10, 40, 50]] * 4)
BOXES = {"draft": "<t_2> 10 10 20 50 <t_4> 10 10 20 50 <t_6> 10 10 20 50",
         "final": "<t_2> 12 10 22 50 <t_4> 12 10 22 50 <t_6> 12 10 22 50"}  # fmt: skip


@pytest.fixture(scope="module")
def method() -> Any:
    config = FreshConfig(hidden=32, layers=2, inner=32, tower_hidden=32, tower_inner=32)
    backbone = QwenBackbone(fresh_model(config), fresh_tokenizer(), "random")
    return StvgO1(backbone, StvgO1Config.of(OPTIONS))


def clip() -> Clip:
    frames = np.random.default_rng(0).integers(0, 256, (16, 64, 64, 3), dtype=np.uint8)
    return Clip(META, frames, np.arange(16) / 8, np.arange(16))


def decode(method: Any, text: str) -> Any:
    encoded = method.encode(clip(), Query("the red ball"))
    return method.decode((Answer(text, (1, 2), 0.5, True), encoded), clip(), Query("the red ball"))


def test_a_target_is_written_with_a_draft_that_its_seed_decides(method: Any) -> None:
    def said(seed: int) -> str:
        encoded = method.encode(clip(), Query("the red ball"), TRUTH, seed=seed)
        text: str = method.backbone.tokenizer.decode(encoded.target[:-1])
        return text

    assert said(1) == said(1)
    assert said(1) != said(2)
    for seed in range(5):
        before, after = said(seed).split("</think>")
        assert before.startswith("<time> <t_3> <t_7> </time> <think> <t_2>")
        assert after.strip() == f"<box> {BOXES['draft']} </box>"  # the truth, in percent


def test_without_noise_the_draft_is_the_truth(method: Any) -> None:
    none = {"shift": 0, "jitter": 0, "smallest": 1, "largest": 1}
    exact = StvgO1(method.backbone, StvgO1Config.of({**OPTIONS, "draft": none}))
    encoded = exact.encode(clip(), Query("the red ball"), TRUTH)
    text = method.backbone.tokenizer.decode(encoded.target[:-1])
    assert text == (
        f"<time> <t_3> <t_7> </time> <think> {BOXES['draft']} </think> "
        f"<box> {BOXES['draft']} </box>"
    )


def test_drafts_are_about_as_wrong_as_they_should_be() -> None:
    """Mean IoU with the truth near 0.75, one shift for the whole track."""
    tubes = [draft_of(TRUTH, (200, 100), DraftConfig(), seed) for seed in range(400)]
    overlaps = [paired_iou(tube.boxes, TRUTH.boxes).mean() for tube in tubes]
    assert 0.72 < np.mean(overlaps) < 0.79
    still = [draft_of(TRUTH, (200, 100), DraftConfig(jitter=0), seed).boxes for seed in range(5)]
    assert all((boxes == boxes[0]).all() for boxes in still)


def test_drafts_stay_in_the_frame_and_have_an_area() -> None:
    edge = Tube(Interval(0, 1), [0.5], [[198, 0, 200, 100]])
    config = DraftConfig(shift=3.0)
    for seed in range(50):
        (box,) = draft_of(edge, (200, 100), config, seed).boxes
        assert 0 <= box[0] < box[2] <= 200
        assert 0 <= box[1] < box[3] <= 100


def test_the_final_boxes_count(method: Any) -> None:
    found = decode(method, f"<time> <t_3> <t_7> </time> <think> {BOXES['draft']} </think> "
                           f"<box> {BOXES['final']} </box>")  # fmt: skip
    assert found.tube.interval == TRUTH.interval
    np.testing.assert_allclose(found.tube.boxes, [[24, 10, 44, 50]] * 4)
    assert found.warnings == ()


def test_the_draft_is_shown_in_pixels_and_seconds(method: Any) -> None:
    found = decode(method, f"<time> <t_3> <t_7> </time> <think> {BOXES['draft']} </think> "
                           f"<box> {BOXES['final']} </box>")  # fmt: skip
    # each box is for two frames, of which the interval leaves 3, 4 and 5, and 6; eight a second
    assert found.details == {
        "draft": [
            {"t_s": 3 / 8, "box": [20, 10, 40, 50]},
            {"t_s": 4.5 / 8, "box": [20, 10, 40, 50]},
            {"t_s": 6 / 8, "box": [20, 10, 40, 50]},
        ]
    }
    assert decode(method, "the ball is red").details is None


def test_the_draft_stands_in_for_missing_boxes_and_that_is_told(method: Any) -> None:
    found = decode(method, f"<time> <t_3> <t_7> </time> <think> {BOXES['draft']} </think>")
    np.testing.assert_allclose(found.tube.boxes, [[20, 10, 40, 50]] * 4)
    assert any("took the draft for the answer" in warning for warning in found.warnings)


def test_nothing_to_read_is_an_empty_prediction(method: Any) -> None:
    found = decode(method, "the ball is red")
    assert found.tube is None
    assert found.warnings[0].startswith("nothing found: expected")


def test_rewards_see_the_final_boxes_even_where_the_draft_would_do(method: Any) -> None:
    text = f"<time> <t_3> <t_7> </time> <think> {BOXES['draft']} </think>"
    encoded = method.encode(clip(), Query("the red ball"), TRUTH)
    ids = method.backbone.tokenizer(text, add_special_tokens=False)["input_ids"]
    judged = method.judged(ids, encoded.view, {})
    assert judged.parsed.tube is None
    (total,) = method.rewards().mix()([judged], [encoded.truth])
    assert total.value == 0  # what is not written is not paid for
    ids = encoded.target[:-1]
    (total,) = method.rewards().mix()([method.judged(ids, encoded.view, {})], [encoded.truth])
    assert 3.9 < total.value <= 5


def test_a_grammar_without_drafts_is_refused(method: Any) -> None:
    with pytest.raises(UsageError, match=r"expected a grammar with drafts .* found 'compact'"):
        StvgO1(method.backbone, StvgO1Config.of({**OPTIONS, "grammar": "compact"}))
    with pytest.raises(UsageError, match=r"smallest 2.0 is above largest 1.15"):
        StvgO1Config.of({"draft": {"smallest": 2}})
