"""Records and answers made by hand, and comparison with stored results of official evaluators."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from stvg.data.base import BoxRecord, MaskRecord, TimeRecord, TubeRecord
from stvg.errors import FormatError
from stvg.evaluate.runner import Truth, load_truth, score_file
from stvg.types import Query

NAMES = {"tiou": "m_tIoU", "viou": "m_vIoU", "gt_viou": "gt_vIoU"}
COLUMNS = {"tiou": "tIoU", "viou": "vIoU", "gt_viou": "gt_vIoU"}
FORMS = {
    "declarative_": "declarative",
    "interrogative_": "interrogative",
    "declar_": "declarative",
    "inter_": "interrogative",
}


def tube_record(name="q", *, span=(10, 20), frames=100, box=(0, 0, 10, 10), **changes):
    """A tube that stays where it is, at 25 frames a second in a picture of 100 x 80."""
    count = span[1] - span[0]
    values: dict[str, Any] = {
        "id": name,
        "query": Query("the dog", id=name),
        "media": "dog.mp4",
        "place": f"truth.json, record {name!r}",
        "width": 100,
        "height": 80,
        "fps": 25.0,
        "frame_count": frames,
        "segment": (0, frames),
        "span": span,
        "boxes": np.tile(np.array(box, np.float64), (count, 1)),
        "first_box_frame": span[0],
    }
    return TubeRecord(**values | changes)


def tube_line(name="q", *, span=(10, 20), box=(0, 0, 10, 10), frames=None):
    """An answer with the same box on every frame of its span, or on ``frames``."""
    numbers = range(*span) if frames is None else frames
    return {
        "id": name,
        "span_frames": list(span),
        "boxes": {str(frame): [float(each) for each in box] for frame in numbers},
    }


def time_record(name="q", *, windows=((0.0, 10.0),), duration_s=30.0, **extra):
    """An interval in a video."""
    return TimeRecord(
        id=name,
        query=Query("a dog runs"),
        media="dog.mp4",
        place=f"truth.json, record {name!r}",
        duration_s=duration_s,
        windows=np.array(windows, np.float64).reshape(-1, 2),
        extra=extra,
    )


def box_record(name="q", *, box=(0, 0, 10, 10), width=100, height=80):
    """A box on an image."""
    return BoxRecord(
        id=name,
        query=Query("the dog"),
        media="dog.jpg",
        place=f"truth.json, record {name!r}",
        width=width,
        height=height,
        box=np.array(box, np.float64),
    )


def mask_record(name, objects, **extra):
    """An expression with masks, for each object one a frame."""
    return MaskRecord(
        id=name,
        query=Query("the dog"),
        media="dog",
        place=f"truth.json, record {name!r}",
        extra=extra,
        frames=tuple(f"{number:05d}" for number in range(len(objects[0]))),
        objects=tuple(str(number) for number in range(len(objects))),
        masks=tuple(tuple(each) for each in objects),
    )


def write_lines(path: Path, lines) -> Path:
    """Answers as a predictions JSONL."""
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def lines_of(case) -> list[dict[str, Any]]:
    """A case of a golden file of tubes as prediction lines."""
    return [
        {"id": id_, "span_frames": each["sted"], "boxes": each["boxes"]}
        for id_, each in case.items()
    ]


def profiles(cases):
    """Case, fill rule, profile and expected value of a golden file of tubes."""
    for case, by_profile in cases.items():
        if "as_is" in by_profile:
            for fill, name in (("none", "as_is"), ("linear", "after_linear_interpolation")):
                for profile, expected in by_profile[name].items():
                    yield case, fill, profile, expected
        else:
            for profile, expected in by_profile.items():
                yield case, "none", profile, expected


def check_tubes(folder: Path, benchmark: str, annotations: str, expected: str, tmp_path, **with_):
    """Compare everything in a golden folder; gives the number of values and the largest gap."""
    truth = load_truth(benchmark, folder / annotations, with_)
    cases = json.loads((folder / "predictions.json").read_text())["cases"]
    stored = json.loads((folder / expected).read_text())
    kept = stored.get("records") or list(truth.records)
    truth = Truth(benchmark, truth.task, {id_: truth.records[id_] for id_ in kept})
    count, worst = 0, 0.0
    for case, fill, profile, values in profiles(stored["cases"]):
        lines = [line for line in lines_of(cases[case]) if line["id"] in truth.records]
        path = write_lines(tmp_path / "p.jsonl", lines)
        name = profile.removesuffix("_zero_fill")
        # The authors' code ran with its assertions off where the file's name says so.
        strict = name == profile and "disabled" not in expected
        if "error" in values:
            try:
                score_file(truth, path, protocol=name, strict=True, fill=fill, resamples=0)
            except FormatError:
                count += 1
                continue
            raise AssertionError(f"{case}, {profile}: strict mode must refuse this")
        report = score_file(truth, path, protocol=name, strict=strict, fill=fill, resamples=0)
        for gap in [*_metric_gaps(report, values["metrics"]), *_query_gaps(report, values)]:
            assert gap <= 1e-6, f"{case}, {profile}: off by {gap}"
            count, worst = count + 1, max(worst, gap)
    return count, worst


def _metric_gaps(report, metrics):
    """Absolute differences of the means."""
    has_nan = "NaN" in metrics.values()  # then ours is 0 where theirs is not a number
    for name, value in metrics.items():
        prefix = next((each for each in FORMS if name.startswith(each)), "")
        short = name.removeprefix(prefix)
        if value == "NaN" or (has_nan and "@" not in short and short != "tiou"):
            continue
        part = report.result.splits[FORMS[prefix]] if prefix else report.metrics
        ours = part[NAMES.get(short, short.replace("viou", "vIoU"))]
        assert 0 <= ours <= 1
        gap = abs(ours - value)
        assert "@" not in name or gap <= 1e-9
        yield gap


def _query_gaps(report, values):
    """Absolute differences of every query."""
    if "per_sample" not in values:
        return
    found = report.per_query()
    assert set(found) == set(values["per_sample"])
    for id_, expected in values["per_sample"].items():
        for name, value in expected.items():
            if value != "NaN":
                yield abs(found[id_][COLUMNS[name]] - value)
