"""A whole evaluation: failures, missing and unknown queries, strict mode, intervals, comparison."""

import json

import numpy as np
import pytest

from stvg.errors import FormatError, UsageError
from stvg.evaluate import compare, evaluate
from stvg.evaluate.bootstrap import intervals
from stvg.evaluate.ledger import Ledger
from stvg.evaluate.protocols import (
    ALIASES,
    TABLES,
    find_protocols,
    markdown_table,
    protocols_for,
)
from tests.evaluate.helpers import box_record, time_record, tube_line, tube_record

FAILED = {"span_frames": None, "boxes": {}, "error": "cannot decode v.mp4: it ends early"}
NOTHING = {"span_frames": None, "boxes": {}}


def test_failures_are_counted_by_name_and_score_nothing():
    records = [tube_record(name) for name in "abcd"]
    lines = [tube_line("a"), {"id": "b", **FAILED}, {"id": "c", **NOTHING}]
    report = evaluate("hcstvg_v1", records, lines, protocol="ours,stcat", resamples=0)
    assert report.failures == {"cannot decode v.mp4": ("b",)}
    assert (report.missing, report.nothing_found, report.answered) == (("d",), ("c",), 2)
    ours, stcat = report.results["ours"], report.results["stcat"]
    assert ours.metrics["m_vIoU"] == 1 / 4
    assert stcat.metrics["m_vIoU"] == pytest.approx(0.9 / 3)  # "d" is left out, "b" is not
    assert (ours.left_out, stcat.left_out) == (0, 1)
    assert stcat.of("d") == dict.fromkeys(stcat.columns)
    assert set(stcat.per_query()) == {"a", "b", "c"}


def test_splits_by_form_and_the_mean_of_both():
    from stvg.types import Query

    records = [
        tube_record(str(n), query=Query("a dog", form))
        for n, form in enumerate(["declarative", "interrogative", "interrogative"])
    ]
    lines = [tube_line("0"), tube_line("1"), {"id": "2", **NOTHING}]
    result = evaluate("vidstg", records, lines).result
    assert [(part.name, part.queries) for part in result.parts] == [
        ("all", 3),
        ("declarative", 1),
        ("interrogative", 2),
        ("mean of both forms", 3),
    ]
    assert result.metrics["m_vIoU"] == pytest.approx(2 / 3)
    assert result.splits["mean of both forms"]["m_vIoU"] == pytest.approx(0.75)
    assert set(result.parts[1].intervals) == set(result.metrics)


def test_what_is_forgiven_is_counted_with_its_place():
    records = [tube_record("a", box=(0, 0, 200, 10)), tube_record("b")]
    lines = [
        tube_line("a", span=(90, 120), frames=range(10, 15)),
        tube_line("b", box=(9, 0, 1, 9)),
        tube_line("x"),
    ]
    report = evaluate("hcstvg_v1", records, lines)
    assert report.forgiven.counts() == {
        "true box outside the image or of negative size": 10,
        "span outside the video": 1,
        "true frame without a predicted box": 5,
        "box with reversed corners": 10,
        "answer to a query that is not annotated": 1,
    }
    text = "\n".join(report.forgiven.lines())
    assert "prediction 1 ([90, 120], the video has 100 frames)" in text
    assert "truth.json, record 'a'" in text


@pytest.mark.parametrize(
    ("protocol", "lines", "message"),
    [
        ("ours", [tube_line(span=(20, 10))], "span that is empty"),
        ("ours", [tube_line(box=(9, 0, 1, 9))], "reversed corners"),
        ("ours", [tube_line(span=(10, 120), frames=range(10, 20))], "span outside the video"),
        ("ours", [tube_line(frames=[10])], "without a predicted box"),
        ("ours", [], "query without an answer"),
        ("ours", [{"id": "q", **FAILED}], "query without an answer"),
        ("stcat", [tube_line(frames=[10])], r"without a predicted box \(frame 11, 9 in all\)"),
        ("tubedetr", [tube_line(frames=[10])], "without a predicted box"),
        ("tubedetr", [], "query without an answer"),
        ("challenge", [tube_line(), tube_line("x")], "which the annotations do not have"),
    ],
)
def test_strict_mode_refuses_what_the_official_code_refuses(protocol, lines, message):
    with pytest.raises(FormatError, match=message):
        evaluate("hcstvg_v1", [tube_record()], lines, protocol=protocol, strict=True)


@pytest.mark.parametrize(
    ("protocol", "lines"),
    [
        ("stcat", []),  # the mean runs over predictions
        ("stcat", [tube_line(box=(9, 0, 1, 9))]),
        ("cgstvg", [tube_line(frames=[10])]),
        ("challenge", [tube_line(span=(20, 10), frames=[])]),
    ],
)
def test_strict_mode_lets_pass_what_the_official_code_lets_pass(protocol, lines):
    report = evaluate("hcstvg_v1", [tube_record()], lines, protocol=protocol, strict=True)
    assert report.metrics["m_vIoU"] in (0, 0.1)


def test_strict_mode_refuses_a_truth_outside_the_image_and_a_low_rate():
    wide, slow = tube_record(box=(0, 0, 200, 10)), tube_record(fps=4.0)
    with pytest.raises(FormatError, match=r"record 'q': .* true box outside the image"):
        evaluate("hcstvg_v1", [wide], [tube_line()], protocol="stcat", strict=True)
    evaluate("hcstvg_v1", [wide], [tube_line()], protocol="tubedetr")
    with pytest.raises(FormatError, match="frame rate below 5"):
        evaluate("hcstvg_v1", [slow], [tube_line()], protocol="tubedetr", strict=True)


def test_files_that_do_not_belong_together():
    lines = [tube_line(), tube_line("x"), tube_line("y")]
    with pytest.raises(FormatError, match=r"2 of 3 answers .* for example, 'q'.*do not belong"):
        evaluate("hcstvg_v1", [tube_record()], lines)


def test_records_that_cannot_be_scored():
    hidden = tube_record("h", boxes=np.zeros((0, 4)), extra={"no_boxes": "not public"})
    report = evaluate("hcstvg_v2", [tube_record(), hidden], [tube_line()])
    assert report.queries == 1
    assert report.forgiven.counts() == {"annotated query without public truth": 1}
    with pytest.raises(UsageError, match=r"nothing can be scored, .*not public"):
        evaluate("hcstvg_v2", [hidden], [])
    with pytest.raises(UsageError, match="holds no query"):
        evaluate("hcstvg_v2", [], [])
    with pytest.raises(FormatError, match="expected every query once"):
        evaluate("hcstvg_v2", [tube_record(), tube_record()], [])


def test_filling_changes_frames_between_boxes_only():
    line = tube_line(frames=[10, 19])
    plain = evaluate("hcstvg_v1", [tube_record()], [line], resamples=0)
    assert plain.metrics["gt_vIoU"] == 0.2
    for fill in ("linear", "hold"):
        found = evaluate("hcstvg_v1", [tube_record()], [line], fill=fill, resamples=0)
        assert found.metrics["gt_vIoU"] == 1
    with pytest.raises(UsageError, match="fill must be"):
        evaluate("hcstvg_v1", [tube_record()], [line], fill="spline")


def test_names_of_protocols():
    assert [p.name for p in find_protocols("hcstvg_challenge", "tubes", "hcstvg_v1")] == [
        "challenge"
    ]
    assert find_protocols("stvg_r1", "times", "charades_sta")[0].name == "timezero"
    assert find_protocols("every_frame", "tubes", "vidstg")[0].name == "ours"
    assert find_protocols("ours", "windows", "qvhighlights")[0].name == "moment_detr"
    assert len(find_protocols("all", "tubes", "vidstg")) == len(protocols_for("tubes", "vidstg"))
    with pytest.raises(UsageError, match="did you mean 'stcat'"):
        find_protocols("stcatt", "tubes", "vidstg")
    with pytest.raises(UsageError, match="no protocol 'challenge' for vidstg"):
        find_protocols("challenge", "tubes", "vidstg")
    with pytest.raises(UsageError, match="expected a protocol"):
        find_protocols(",", "tubes", "vidstg")
    names = {each.name for table in TABLES.values() for each in table}
    assert set(ALIASES.values()) <= names


def test_protocols_of_the_loaders_exist():
    from stvg.data import available_benchmarks, find_benchmark
    from stvg.evaluate.tasks import task_for

    offered = {"davis_unsupervised"}  # docs/evaluate.md says that it is not
    for name in available_benchmarks():
        benchmark = find_benchmark(name)
        known = protocols_for(task_for(benchmark.kind, name).kind, name)
        for protocol in benchmark.protocols:
            assert protocol in known or protocol in offered or protocol in ALIASES, (name, protocol)


def test_the_documentation_has_the_tables(request):
    text = (request.config.rootpath / "docs" / "evaluate.md").read_text()
    for task, protocols in TABLES.items():
        groups = {task: list(protocols)}
        if task == "tubes":
            groups = {
                f"tubes {family}": [p for p in protocols if p.family in ("any", family)]
                for family in ("HC-STVG", "VidSTG", "ST-Align")
            }
        for name, group in groups.items():
            table = markdown_table(group)
            assert f"<!-- {name} -->\n{table}\n<!-- /{name} -->" in text, f"needs:\n{table}"


def test_the_python_of_the_documentation_runs(request, tmp_path, monkeypatch, capsys):
    text = (request.config.rootpath / "docs" / "evaluate.md").read_text()
    code = text.split("```python\n")[1].split("```")[0]
    truth = {
        "some id": {
            "bbox": [[0, 0, 10, 10]] * 10, "st_frame": 11, "st_time": 0.5, "ed_time": 1.0,
            "img_num": 500, "caption": "the dog", "width": 100, "height": 80,
        }
    }  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "test.json").write_text(json.dumps(truth))
    for name in ("mine", "theirs"):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(tube_line("some id")) + "\n")
    exec(compile(code, "evaluate.md", "exec"), {})
    assert "0.9" in capsys.readouterr().out


def test_intervals_hold_the_mean_and_shrink():
    values = np.random.default_rng(0).random(400)
    low, high = intervals({"x": values}, resamples=300)["x"]
    assert low < values.mean() < high
    fewer = intervals({"x": values[:50]}, resamples=300)["x"]
    assert fewer[1] - fewer[0] > high - low
    # 95 % of a mean of n uniform numbers: 2 * 1.96 * sqrt(1 / 12 / n)
    assert high - low == pytest.approx(3.92 * np.sqrt(1 / 12 / 400), rel=0.25)


def test_intervals_pass_over_what_takes_no_part():
    values = np.array([np.nan, 0.5, 0.5, np.nan])
    low, high = intervals({"x": values}, resamples=200)["x"]
    assert high == 0.5
    assert low in (0.0, 0.5)  # a draw may hold no value at all
    assert intervals({"x": values}, resamples=0) == {}
    assert intervals({"x": np.zeros(0)}, resamples=5) == {}


def test_the_same_seed_gives_the_same_interval():
    values = {"x": np.random.default_rng(1).random(30)}
    assert intervals(values, resamples=50, seed=3) == intervals(values, resamples=50, seed=3)
    assert intervals(values, resamples=50, seed=3) != intervals(values, resamples=50, seed=4)


def two_reports(protocol="ours"):
    records = [tube_record(str(number)) for number in range(20)]
    worse = [tube_line(str(number), box=(0, 0, 10, 5)) for number in range(20)]
    better = [tube_line(str(n), box=(0, 0, 10, 8 if n else 2)) for n in range(20)]
    return (
        evaluate("hcstvg_v1", records, worse, protocol=protocol),
        evaluate("hcstvg_v1", records, better, protocol=protocol),
    )


def test_paired_differences_by_hand():
    found = compare(*two_reports())["ours"]
    change = found.differences["m_vIoU"]
    assert change.first == pytest.approx(0.5)
    assert change.second == pytest.approx((19 * 0.8 + 0.2) / 20)
    assert change.difference == pytest.approx(change.second - change.first)
    assert change.low <= change.difference <= change.high
    assert change.is_clear
    same = found.differences["m_tIoU"]
    assert (same.difference, same.low, same.high, same.is_clear) == (0, 0, 0, False)
    assert found.changed[0].id in {"0", "1"}  # 0.3 either way
    assert found.queries == 20
    assert json.loads(json.dumps(found.as_json()))["column"] == "vIoU"


def test_only_comparable_reports_are_compared():
    first, second = two_reports()
    with pytest.raises(UsageError, match="same protocols"):
        compare(first, two_reports("stcat")[1])
    with pytest.raises(UsageError, match="at least 1 resample"):
        compare(first, second, resamples=0)
    other = evaluate("hcstvg_v1", [tube_record("z")], [tube_line("z")])
    with pytest.raises(UsageError, match="same queries"):
        compare(first, other)


def test_reports_as_json_have_no_nan():
    records = [tube_record("a"), tube_record("b")]
    for protocol in ("all", "challenge"):
        report = evaluate("hcstvg_v1", records, [tube_line("a")], protocol=protocol)
        document = json.loads(json.dumps(report.as_json(), allow_nan=False))
        assert document["format"] == "stvg.metrics/1"
        assert document["missing"] == ["b"]


def test_access_to_several_results():
    report = evaluate("hcstvg_v1", [tube_record()], [tube_line()], protocol="ours,stcat")
    with pytest.raises(UsageError, match="results of ours, stcat"):
        _ = report.metrics
    with pytest.raises(UsageError, match="expected the id"):
        report.results["ours"].of("unknown")


def test_every_kind_of_task_scores_nothing_for_no_answer():
    for name, record in (
        ("charades_sta", time_record()),
        ("qvhighlights", time_record()),
        ("refcoco", box_record()),
    ):
        report = evaluate(name, [record], [], resamples=0)
        assert set(report.metrics.values()) == {0.0}
        assert report.missing == ("q",)


def test_more_places_are_promised_only_where_there_are_more():
    ledger = Ledger()
    ledger.note("odd box", "line 1", 122)
    assert list(ledger.lines()) == ["122 x odd box: line 1"]
    for number in (2, 3, 4):
        ledger.note("odd box", f"line {number}")
    assert list(ledger.lines()) == ["125 x odd box: line 1; line 2; line 3, ..."]


def test_boxes_alone_are_an_answer_where_the_protocol_needs_no_span():
    line = tube_line() | {"span_frames": None}
    kinds = {
        name: evaluate("st_align", [tube_record()], [line], protocol=name).forgiven.counts()
        for name in ("st_align", "ours", "stvg_r1")
    }
    assert kinds["st_align"] == {}
    assert kinds["ours"] == kinds["stvg_r1"] == {"boxes without a span": 1}
    in_seconds = evaluate("st_align", [tube_record()], [line | {"span_s": [0.4, 0.8]}],
                          protocol="stvg_r1")  # fmt: skip
    assert in_seconds.forgiven.counts() == {}
