"""Equal to the output of the official evaluators, stored beside the predictions that made it.

The synthetic cases are in the repository; the real ones need the shared data folder. Everything
goes the way of the command line: annotation file, loader, predictions JSONL, protocol, numbers.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco

from stvg.data import find_benchmark
from stvg.errors import FormatError
from stvg.evaluate import evaluate
from stvg.evaluate.masks import boundary_radius, frame_values
from tests.evaluate.helpers import box_record, check_tubes, mask_record, time_record, write_lines

OWN = Path(__file__).resolve().parents[1] / "golden"


def load(folder, name):
    return json.loads((folder / f"{name}.json").read_text())


@pytest.fixture
def golden(shared_data):
    return shared_data / "golden"


@pytest.mark.parametrize(
    ("expected", "values"),
    [
        ("expected.json", 300),
        ("expected_clean_subset.json", 900),
        ("expected_assertions_disabled.json", 800),
    ],
)
def test_synthetic_hcstvg_v2(tmp_path, expected, values):
    count, worst = check_tubes(
        OWN / "hcstvg_v2", "hcstvg_v2", "ground_truth.json", expected, tmp_path
    )
    assert count > values
    assert worst <= 1e-6


@pytest.mark.shared
@pytest.mark.parametrize(
    ("folder", "benchmark", "annotations", "expected", "with_"),
    [
        ("hcstvg_v1", "hcstvg_v1", "ground_truth.json", "expected.json", {}),
        ("hcstvg_v2", "hcstvg_v2", "ground_truth.json", "expected.json", {}),
        ("hcstvg_v2", "hcstvg_v2", "ground_truth.json", "expected_clean_subset.json", {}),
        ("hcstvg_v2", "hcstvg_v2", "ground_truth.json", "expected_assertions_disabled.json", {}),
        (
            "vidstg",
            "vidstg",
            "annotations.json",
            "expected.json",
            {"trajectories": "vidor_trajectories_SYNTHETIC.json"},
        ),
        (
            "vidstg_real",
            "vidstg",
            "annotations.json",
            "expected.json",
            {"trajectories": "vidor_trajectories.json"},
        ),
    ],
)
def test_tubes(golden, tmp_path, folder, benchmark, annotations, expected, with_):
    paths = {name: golden / folder / path for name, path in with_.items()}
    count, _ = check_tubes(golden / folder, benchmark, annotations, expected, tmp_path, **paths)
    assert count > 900


PUBLISHED = {
    "charades_sta": "charades_sta/charades_test.json",
    "tvgbench": "tvgbench/tvgbench.json",
    "activitynet_captions": None,  # most of the queries are in no file that is at hand
}


def time_truth(shared_data, benchmark):
    """The stored queries, read from the published file where there is one."""
    queries = load(shared_data / "golden" / benchmark, "ground_truth")
    file = PUBLISHED[benchmark]
    if file is None:
        return [
            time_record(str(q["id"]), windows=[q["timestamp"]], duration_s=q["duration"])
            for q in queries
        ]
    kept = {str(query["id"]) for query in queries}
    records = find_benchmark(benchmark).read(shared_data / "annotations" / file)
    found = [record for record in records if record.id in kept]
    assert len(found) == len(queries)
    return found


@pytest.mark.shared
@pytest.mark.parametrize("benchmark", ["charades_sta", "activitynet_captions", "tvgbench"])
def test_times(shared_data, tmp_path, benchmark):
    folder = shared_data / "golden" / benchmark
    truth = time_truth(shared_data, benchmark)
    cases = load(folder, "predictions")["cases"]
    for case, by_profile in load(folder, "expected")["cases"].items():
        lines = [{"id": id_, "span_s": span} for id_, span in cases[case].items()]
        path = write_lines(tmp_path / "p.jsonl", lines)
        for profile, expected in by_profile.items():
            report = evaluate(benchmark, truth, path, protocol=profile, strict=True, resamples=0)
            for name, value in expected.items():
                if name == "iou":
                    gaps = [abs(report.result.of(i)["IoU"] - each) for i, each in value.items()]
                    assert max(gaps) <= 1e-6
                    continue
                metric = name.removesuffix("_percent").replace("R1@", "R@1@")
                factor = 100 if name.endswith("_percent") else 1
                gap = abs(factor * report.metrics[metric] - value)
                assert gap <= (1e-9 * factor if "R1" in name else 1e-6 * factor), (case, profile)
        if "moment_detr_paired" not in by_profile:  # the authors' helper stops there
            with pytest.raises(FormatError, match="could not be read"):
                evaluate(benchmark, truth, path, protocol="moment_detr_paired", strict=True)


@pytest.mark.shared
def test_qvhighlights(golden, tmp_path):
    folder = golden / "qvhighlights"
    cases = load(folder, "predictions")["cases"]
    for case, expected in load(folder, "expected")["cases"].items():
        shared_only = case.endswith("__match_number_false")
        lines = [
            {"id": str(each["qid"]), "windows": each["pred_relevant_windows"]}
            | ({"saliency": each["pred_saliency_scores"]} if "pred_saliency_scores" in each else {})
            for each in cases[case.removesuffix("__match_number_false")]
        ]
        path = write_lines(tmp_path / "p.jsonl", lines)
        options = {
            "protocol": "moment_detr_shared" if shared_only else "moment_detr",
            "strict": True,
            "resamples": 0,
        }
        if "error" in expected:
            with pytest.raises(FormatError, match="stops at"):
                evaluate("qvhighlights", folder / "ground_truth.json", path, **options)
            continue
        found = evaluate("qvhighlights", folder / "ground_truth.json", path, **options).metrics
        for name, value in expected["brief"].items():
            assert round(100 * found[name], 2) == value, (case, name)
        for part in ("full", "long", "middle", "short"):
            for threshold, value in expected[part]["MR-mAP"].items():
                name = f"MR-{part}-mAP" + ("" if threshold == "average" else f"@{threshold}")
                assert round(100 * found[name], 2) == value, (case, name)
            for threshold, value in expected[part]["MR-R1"].items():
                assert round(100 * found[f"MR-{part}-R1@{threshold}"], 2) == value
        has_highlights = any(name.startswith("HL") for name in expected["brief"])
        assert has_highlights == any(name.startswith("HL") for name in found)


@pytest.mark.shared
def test_refcoco(golden, tmp_path):
    folder = golden / "refcoco"
    truth = folder / "ground_truth.json"
    cases = load(folder, "predictions")["cases"]
    for case, expected in load(folder, "expected")["cases"].items():
        lines = [
            {"id": id_, "boxes": {} if box is None else {"0": box}}
            for id_, box in cases[case].items()
        ]
        path = write_lines(tmp_path / "p.jsonl", lines)
        found = {
            name: evaluate("refcoco", truth, path, protocol=name, resamples=0)
            for name in ("acc_iou_ge_0.5_all_queries", "llava_st_rec", "vlm_r1_rec", "mdetr_refexp")
        }
        ours, llava, vlm, mdetr = (report.result for report in found.values())
        name = "accuracy@0.5"
        assert ours.metrics[name] == pytest.approx(expected["acc_iou_ge_0.5_all_queries"], abs=1e-9)
        parsed = expected["llava_st_rec"]
        assert llava.parts[0].queries == parsed["parsed"]
        assert llava.metrics["mIoU"] == pytest.approx(parsed["mean_iou_over_parsed"], abs=1e-6)
        assert 100 * llava.metrics[name] == pytest.approx(
            parsed["acc_ge_0.5_percent_over_parsed"], abs=1e-9
        )
        assert 100 * vlm.metrics[name] == pytest.approx(
            expected["vlm_r1_rec"]["acc_gt_0.5_percent_over_all"], abs=1e-9
        )
        assert mdetr.metrics[name] == pytest.approx(
            expected["mdetr_refexp"]["acc_giou_ge_0.5_over_all"], abs=1e-9
        )
        for id_, values in expected["per_query"].items():
            if values["iou"] is not None:
                assert ours.of(id_)["IoU"] == pytest.approx(values["iou"], abs=1e-6)
                if values["giou"] is not None:
                    assert mdetr.of(id_)["GIoU"] == pytest.approx(values["giou"], abs=1e-6)
                assert vlm.of(id_)["IoU"] == pytest.approx(values["vlm_r1_iou"], abs=1e-6)


def mask_truth(sequences):
    records = []
    for name, frames in sequences.items():
        most = max(map(len, frames))
        objects = [
            [frame[number] if number < len(frame) else None for frame in frames]
            for number in range(most)
        ]
        records.append(mask_record(name, objects))
    return records


def test_masks(tmp_path):
    folder = OWN / "jf_masks"
    sequences = load(folder, "ground_truth")["sequences"]
    predicted = load(folder, "predictions")["cases"]["seeded"]
    expected = load(folder, "expected")["cases"]["seeded"]
    lines = [
        {"id": name, "masks": {str(number): mask for number, mask in enumerate(masks)}}
        for name, masks in predicted.items()
    ]
    path = write_lines(tmp_path / "p.jsonl", lines)
    truth = mask_truth(sequences)
    every = evaluate("mevis", truth, path, resamples=0)
    inner = evaluate("mevis", truth, path, protocol="davis_semi", resamples=0)
    for name, value in expected["mean_over_sequences"].items():
        assert every.metrics[name] == pytest.approx(value, abs=1e-6)
    for name, values in expected["sequences"].items():
        height, width = predicted[name][0]["size"]
        assert boundary_radius(height, width) == values["boundary_radius_pixels"]
        for metric in "JF":
            assert every.result.of(name)[metric] == pytest.approx(values[metric], abs=1e-6)
            shorter = values[f"{metric}_without_first_and_last_frame"]
            assert inner.result.of(name)[metric] == pytest.approx(shorter, abs=1e-6)
        for number, pair in enumerate(zip(predicted[name], sequences[name], strict=True)):
            found = frame_values(*pair, None, "a test")
            assert found[0] == pytest.approx(values["J_per_frame"][number], abs=1e-6)
            assert found[1] == pytest.approx(values["F_per_frame"][number], abs=1e-6)


def test_masks_with_pixels_that_do_not_count():
    folder = OWN / "jf_masks"
    sequences = load(folder, "ground_truth")["sequences"]
    predicted = load(folder, "predictions")["cases"]["seeded"]
    for name, values in load(folder, "expected")["cases"]["seeded"]["with_void_pixels"].items():
        for number, (mask, true) in enumerate(zip(predicted[name], sequences[name], strict=True)):
            height, width = mask["size"]
            hidden = np.zeros((height, width), np.uint8, order="F")
            hidden[:, : width // 4] = 1
            found = frame_values(mask, true[:1], coco.encode(hidden), "a test")
            assert found[0] == pytest.approx(values["J_per_frame"][number], abs=1e-6)
            assert found[1] == pytest.approx(values["F_per_frame"][number], abs=1e-6)


def st_align_file(records, path):
    """The records in the published schema."""
    entries = []
    for each in records:
        truth = each["gt"]
        tokens = dict(zip(("<s>", "<e>"), truth["tvg"], strict=True)) if "tvg" in truth else {}
        boxes = {
            frame: [x1, y1, x2 - x1, y2 - y1] for frame, (x1, y1, x2, y2) in truth["svg"].items()
        }
        entries.append(
            {
                "video_path": "v.mp4",
                "conversations": [{"value": "<video>\nfind it"}, {"value": ""}],
                "meta": {
                    "width": each["width"],
                    "height": each["height"],
                    "split": each["split"],
                    "spatial_token": {"<bboxes>": boxes},
                    "time_token": tokens,
                },
            }
        )
    path.write_text(json.dumps(entries))
    return path


@pytest.mark.parametrize("case", ["stvg", "svg"])
def test_st_align(tmp_path, case):
    folder = OWN / "st_align_SYNTHETIC"
    records = load(folder, "predictions")["cases"][case]
    expected = load(folder, "expected")["cases"][case]
    truth = st_align_file(records, tmp_path / f"{case}.json")
    lines = [{"id": str(each["id"]), "answer": each["outputs"]} for each in records]
    path = write_lines(tmp_path / "p.jsonl", lines)
    report = evaluate("st_align", truth, path, protocol="st_align", resamples=0)
    names = {"mtiou": "m_tIoU", "msiou": "sIoU", "mstiou": "m_vIoU"}
    for name, value in expected["metrics"].items():
        factor = 100 if "@" in name else 1
        ours = report.metrics[names.get(name, name.replace("iou", "IoU"))]
        assert factor * ours == pytest.approx(value, abs=1e-6)
    columns = {"mtiou": "tIoU", "msiou": "sIoU", "mstiou": "vIoU"}
    for id_, values in expected["per_sample"].items():
        for name, value in values.items():
            assert report.result.of(id_)[columns[name]] == pytest.approx(value, abs=1e-6)


def test_text_answers_of_llava_st():
    folder = OWN / "st_align_SYNTHETIC"
    cases, expected = load(folder, "predictions")["cases"], load(folder, "expected")["cases"]
    boxes = [
        box_record(str(number), box=each["gt_bbox"], width=1, height=1)
        for number, each in enumerate(cases["rec_text"])
    ]
    lines = [
        {"id": str(number), "answer": each["converted_outputs"]}
        for number, each in enumerate(cases["rec_text"])
    ]
    found = evaluate("refcoco", boxes, lines, protocol="llava_st_rec", resamples=0).metrics
    assert found["mIoU"] == pytest.approx(expected["rec_text"]["miou"], abs=1e-6)
    assert 100 * found["accuracy@0.5"] == expected["rec_text"]["R1@0.5_percent"]
    times = [
        time_record(str(number), windows=[each["gt"]], duration_s=1.0)
        for number, each in enumerate(cases["tvg_text"])
    ]
    lines = [
        {"id": str(number), "answer": each["converted_outputs"]}
        for number, each in enumerate(cases["tvg_text"])
    ]
    found = evaluate("charades_sta", times, lines, protocol="llava_st", resamples=0).metrics
    assert found["mIoU"] == pytest.approx(expected["tvg_text"]["miou"], abs=1e-6)
    for threshold in ("0.3", "0.5", "0.7"):
        value = expected["tvg_text"][f"R@{threshold}"]
        assert 100 * found[f"R@1@{threshold}"] == pytest.approx(value, abs=1e-6)
