"""Intervals of time, moments and single boxes by hand."""

import numpy as np
import pytest

from stvg.errors import FormatError
from stvg.evaluate import evaluate
from stvg.evaluate.images import giou, iou, pixel_iou
from stvg.evaluate.moments import average_precision, ranking_precision, window_iou
from tests.evaluate.helpers import box_record, time_record


def time_metrics(spans, protocol, **record):
    """Metrics of answers to the same true interval [0, 10)."""
    records = [time_record(str(number), **record) for number in range(len(spans))]
    lines = [{"id": str(number), "span_s": span} for number, span in enumerate(spans)]
    return evaluate("charades_sta", records, lines, protocol=protocol, resamples=0).metrics


@pytest.mark.parametrize(
    ("span", "overlap"),
    [
        ([0, 10], 1),
        ([0, 5], 0.5),  # exactly on a threshold
        ([5, 15], 1 / 3),
        ([10, 20], 0),  # touching
        ([20, 30], 0),  # apart
        ([10, 0], 0),  # reversed
        ([5, 5], 0),  # empty
        (None, 0),  # could not be read
    ],
)
def test_overlap_of_intervals(span, overlap):
    found = time_metrics([span], "ours")
    assert found["mIoU"] == pytest.approx(overlap)
    assert found["R@1@0.5"] == float(overlap >= 0.5)


def test_strict_and_non_strict_thresholds_differ_on_the_threshold():
    assert time_metrics([[0, 5]], "timezero")["R@1@0.5"] == 1
    assert time_metrics([[0, 5]], "time_r1")["R@1@0.5"] == 0


def test_the_average_of_time_r1_is_of_miou_and_recalls():
    found = time_metrics([[0, 10], [0, 4], None], "time_r1")
    assert found["mIoU"] == pytest.approx(1.4 / 3)
    recalls = [found[f"R@1@{each}"] for each in ("0.3", "0.5", "0.7")]
    assert recalls == pytest.approx([2 / 3, 1 / 3, 1 / 3])
    assert found["avg"] == pytest.approx((1.4 / 3 + 4 / 3) / 4)


def test_vtimellm_writes_percentages_and_rounds():
    # 0 to 10 of 30 s are 0 to 33 %: IoU 0.33 / (1 / 3) = 0.99
    assert time_metrics([[0, 10]], "vtimellm")["mIoU"] == pytest.approx(0.99)
    assert time_metrics([[-5, 10]], "vtimellm")["mIoU"] == 0  # a sign cannot be read back


def test_a_protocol_that_needs_the_length_says_so():
    with pytest.raises(FormatError, match="needs the length of the video"):
        time_metrics([[0, 10]], "vtimellm", duration_s=float("nan"))


def moments(windows, answer, **extra):
    """All metrics of one query of QVHighlights."""
    record = time_record("1", windows=windows, duration_s=150.0, **extra)
    return evaluate("qvhighlights", [record], [{"id": "1", **answer}], resamples=0).metrics


def test_moments_by_hand():
    # Two true windows. The best-scored answer is right, the second misses, the third is right.
    answer = {"windows": [[0, 20, 0.9], [60, 80, 0.8], [100, 140, 0.7]]}
    found = moments([[0, 20], [100, 140]], answer)
    assert found["MR-full-R1@0.5"] == 1
    assert found["MR-full-mAP"] == pytest.approx((1 + 2 / 3) / 2)  # precision 1/1 and 2/3
    assert found["MR-middle-mAP"] == 1  # only [0, 20] is 10 to 30 s long
    assert found["MR-long-mAP"] == pytest.approx(1 / 3)
    assert "MR-short-mAP" not in found
    assert not any(name.startswith("HL") for name in found)


def test_the_first_window_counts_for_r1_and_the_score_for_map():
    answer = {"windows": [[60, 80, 0.1], [0, 20, 0.9]]}
    found = moments([[0, 20]], answer)
    assert found["MR-full-R1@0.5"] == 0
    assert found["MR-full-mAP"] == 1


def test_only_ten_windows_count():
    answer = {"windows": [[60, 80, 0.1]] * 10 + [[0, 20, 0.9]]}
    assert moments([[0, 20]], answer)["MR-full-mAP"] == 0


def test_highlights_by_hand():
    extra = {"relevant_clip_ids": [0, 1], "saliency_scores": [[4, 4, 0], [2, 2, 2]]}
    saliency = [0.5, 0.9] + [0.1] * 73
    found = moments([[0, 4]], {"windows": [[0, 4, 1.0]], "saliency": saliency}, **extra)
    # At least 4: annotators 1 and 2 like clip 0, which comes second: precision 1/2; 3 likes none.
    assert found["HL-min-VeryGood-mAP"] == pytest.approx((0.5 + 0.5 + 0) / 3)
    assert found["HL-min-VeryGood-Hit1"] == 0  # the best clip is clip 1
    # At least 2: annotators 1 and 2 like both clips, 3 likes clip 1.
    assert found["HL-min-Fair-mAP"] == pytest.approx(1)
    assert found["HL-min-Fair-Hit1"] == 1


def test_saliency_that_does_not_fit_is_named():
    extra = {"relevant_clip_ids": [80], "saliency_scores": [[4, 4, 4]]}
    with pytest.raises(FormatError, match="saliency_scores: expected three scores"):
        moments([[0, 4]], {"windows": [[0, 4, 1]], "saliency": [1.0]}, **extra)


def test_precision_of_rankings():
    assert ranking_precision(np.array([False, False]), np.array([1.0, 2.0])) == 0
    assert ranking_precision(np.array([True, True]), np.array([1.0, 2.0])) == 1
    # Equal scores enter together: one of two is liked.
    assert ranking_precision(np.array([True, False]), np.array([1.0, 1.0])) == 0.5


def test_a_reversed_window_as_long_as_the_truth_counts_as_for_the_authors():
    windows, true = np.array([[20.0, 0.0, 1.0]]), np.array([[40.0, 60.0]])
    assert np.isinf(window_iou(windows[:, :2], true)).all()
    assert average_precision(windows, true).tolist() == [1.0] * 10


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((0, 0, 10, 10), (0, 0, 10, 10), (1, 1, 1)),
        ((0, 0, 10, 10), (0, 0, 10, 5), (0.5, 0.5, 0.5)),
        ((0, 0, 10, 10), (20, 0, 30, 10), (0, -1 / 3, 0)),  # hull 30 x 10, a third is empty
        ((0, 0, 10, 10), (9, 9, 20, 20), (1 / 220, 1 / 220 - 180 / 400, 0)),
        ((0, 0, 10, 10), (5, 5, 5, 5), (0, 0, 0)),
    ],
)
def test_overlaps_of_boxes(a, b, expected):
    # Hull of the fourth pair: 20 x 20, of which 400 - 220 = 180 belong to neither.
    assert iou(a, b) == pytest.approx(expected[0], abs=1e-6)
    assert giou(a, b) == pytest.approx(expected[1], abs=1e-6)
    assert pixel_iou(a, b) == pytest.approx(expected[2], abs=1e-6)


def box_metrics(boxes, protocol):
    """Metrics of answers to the same true box (0, 0, 10, 10) on 100 x 80."""
    records = [box_record(str(number)) for number in range(len(boxes))]
    lines = [
        {"id": str(number), "boxes": {} if box is None else {"0": box}}
        for number, box in enumerate(boxes)
    ]
    return evaluate("refcoco", records, lines, protocol=protocol, resamples=0)


def test_accuracy_and_what_unread_answers_do():
    boxes = [[0, 0, 10, 10], [0, 0, 10, 5], [0, 0, 2, 2], None]
    assert box_metrics(boxes, "ours").metrics["accuracy@0.5"] == 2 / 4
    left_out = box_metrics(boxes, "llava_st_rec")
    assert left_out.metrics["accuracy@0.5"] == 2 / 3
    assert left_out.result.left_out == 1
    assert box_metrics(boxes, "vlm_r1_rec").metrics["accuracy@0.5"] == 1 / 4  # strict
    assert box_metrics(boxes, "ours").nothing_found == ("3",)


def test_shikra_pads_the_image_and_needs_its_size():
    assert box_metrics([[0, 0, 10, 6]], "shikra").metrics["mIoU"] == pytest.approx(0.6)
    with pytest.raises(FormatError, match="needs the size of the image"):
        evaluate(
            "refcoco", [box_record(width=0)], [{"id": "q", "boxes": {"0": [0, 0, 1, 1]}}],
            protocol="shikra",
        )  # fmt: skip


def test_text_of_llava_st_is_compared_in_shares_with_a_rounded_truth():
    record = box_record(box=(100.4, 200, 500, 800), width=1000, height=1000)
    text = [{"id": "q", "answer": "[0.1,0.2,0.3,0.8]"}]
    found = evaluate("refcoco", [record], text, protocol="llava_st_rec", resamples=0)
    assert found.metrics["mIoU"] == pytest.approx(0.5)  # the truth becomes 0.1, 0.2, 0.5, 0.8
    pixels = [{"id": "q", "boxes": {"0": [100, 200, 300, 800]}}]
    found = evaluate("refcoco", [record], pixels, protocol="llava_st_rec", resamples=0)
    assert found.metrics["mIoU"] == pytest.approx(199.6 / 400)
