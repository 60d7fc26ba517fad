"""``stvg evaluate`` from the command line: tables, files, and every kind of bad input."""

import csv
import json

import pytest

from stvg.cli.main import main
from tests.evaluate.helpers import tube_line, write_lines

BOXES = [[0, 0, 10, 10]] * 10  # frames 10 to 19, counted from 0


def hcstvg(**changes):
    """One annotated video of HC-STVG v1."""
    return {
        "bbox": BOXES, "st_frame": 11, "st_time": 0.4, "ed_time": 0.8, "img_num": 500,
        "caption": "the dog", "width": 100, "height": 80,
    } | changes  # fmt: skip


@pytest.fixture
def files(tmp_path):
    """An annotation file of two videos and predictions that are right and half right."""
    truth = tmp_path / "test.json"
    truth.write_text(json.dumps({"a.mp4": hcstvg(), "b.mp4": hcstvg()}))
    good = write_lines(
        tmp_path / "p.jsonl", [tube_line("a.mp4"), tube_line("b.mp4", box=(0, 0, 10, 5))]
    )
    return truth, good


@pytest.fixture
def run(files, capsys):
    """Runs ``stvg evaluate hcstvg_v1`` on the two files; gives code, output, errors."""

    def call(*words, benchmark="hcstvg_v1", truth=None, predictions=None):
        words = [
            "evaluate", benchmark, "-a", str(truth or files[0]),
            "-p", str(predictions or files[1]), *(str(word) for word in words),
        ]  # fmt: skip
        code = main(words)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_a_table_names_protocol_queries_failures_rule(run):
    code, out, err = run("--protocol", "ours,stvg_r1")
    assert (code, err) == (0, "")
    assert "hcstvg_v1: 2 queries, 2 answered, 0 failed, 0 without a line" in out
    assert "protocol ours" in out
    assert "2 queries, 0 failed; percent; thresholds strict, value > threshold" in out
    assert "thresholds non-strict, value >= threshold" in out
    rows = {line.split()[0]: line.split() for line in out.splitlines() if line.strip()}
    assert rows["gt_vIoU"][1] == "75.00"
    assert "95 % interval" in out


def test_failures_are_named(run, tmp_path):
    lines = [{"id": "a.mp4", "span_frames": None, "boxes": {}, "error": "no frames: v.mp4"}]
    code, out, _ = run(predictions=write_lines(tmp_path / "f.jsonl", lines))
    assert code == 0
    assert "failed 1 x no frames: a.mp4" in out
    assert "without a line: b.mp4" in out
    assert "2 queries, 1 failed" in out


def test_everything_is_written(run, tmp_path):
    out, table, page = tmp_path / "m.json", tmp_path / "q.csv", tmp_path / "r.html"
    code, _, err = run("--protocol", "all", "--out", out, "--per-query", table, "--report", page)
    assert code == 0
    assert all(str(path) in err for path in (out, table, page))
    document = json.loads(out.read_text())
    assert document["protocols"]["ours"]["per_query"]["b.mp4"]["vIoU"] == 0.5
    assert set(document["protocols"]) == {
        "ours", "tubedetr", "stcat", "cgstvg", "llava_next_stvg", "challenge", "stvg_r1",
    }  # fmt: skip
    rows = list(csv.DictReader(table.open()))
    assert len(rows) == 2 * 7
    assert rows[1]["id"] == "b.mp4"
    assert float(rows[1]["vIoU"]) == 0.5
    assert next(row for row in rows if row["protocol"] == "challenge")["gt_vIoU"] == ""
    assert page.read_text().startswith("<!doctype html>")


def test_parquet_holds_the_same_as_csv(run, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    path = tmp_path / "q.parquet"
    assert run("--per-query", path, "-q")[0] == 0
    table = parquet.read_table(path).to_pydict()
    assert table["id"] == ["a.mp4", "b.mp4"]
    assert table["vIoU"] == [1.0, 0.5]


def test_json_on_standard_output_is_only_json(run):
    code, out, err = run("--json", "--protocol", "stcat", "--resamples", 0)
    document = json.loads(out)
    assert (code, err) == (0, "")
    assert document["protocols"]["stcat"]["metrics"]["m_tIoU"] == pytest.approx(0.9)
    assert document["protocols"]["stcat"]["rule"] == ">"
    assert "per_query" not in document["protocols"]["stcat"]


def test_against_prints_paired_differences(run, files, tmp_path):
    other = write_lines(tmp_path / "o.jsonl", [tube_line("a.mp4"), tube_line("b.mp4")])
    code, out, _ = run("--against", other, "--report", tmp_path / "folder")
    assert code == 0
    assert f"ours: this file minus {other}, 2 queries in both" in out
    assert "-25.00" in out  # m_vIoU
    assert "changed most" in out
    assert "against the other file" in (tmp_path / "folder" / "index.html").read_text()
    code, out, _ = run("--against", other, "--json")
    assert json.loads(out)["against"]["ours"]["changed"][0]["id"] == "b.mp4"


GOOD = json.dumps(tube_line("a.mp4"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD + "\n" + GOOD + "\n", "line 2, field id: expected every query once"),
        (GOOD.replace("[0.0, 0.0, 10.0, 10.0]", "[0, 0, 9, 9, 1]", 1), "line 1, field boxes"),
        (GOOD.replace("10.0]", "NaN]", 1), 'line 1, field boxes["10"]'),
        (GOOD[:60], "line 1, column 60: the line is cut off"),
        (GOOD[:60] + "\n" + GOOD, "line 1, column 60: not a JSON object on one line"),
        (GOOD.replace("[10, 20]", '["x", 20]'), "line 1, field span_frames[0]"),
        (GOOD.replace("[10, 20]", "[10]"), "line 1, field span_frames: expected at least 2"),
        (GOOD.replace("[10, 20]", "[-1, 20]"), "line 1, field span_frames[0]"),
        (GOOD.replace("a.mp4", "x.mp4"), "line 1, field id: expected a query of hcstvg_v1"),
        ('{"format": "stvg.prediction/1"}', 'a document with a field "format"'),
    ],
)
def test_predictions_that_cannot_be_understood(run, tmp_path, text, message):
    path = tmp_path / "bad.jsonl"
    path.write_text(text)
    code, out, err = run(predictions=path)
    assert (code, out) == (1, "")
    assert message in err
    assert "bad.jsonl" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (tube_line("b.mp4", box=(9, 0, 1, 9)), "10 x box with reversed corners"),
        (tube_line("b.mp4", span=(20, 10), frames=range(10, 20)), "1 x span that is empty"),
        (tube_line("b.mp4", span=(10, 900), frames=range(10, 20)), "1 x span outside the video"),
        (tube_line("b.mp4", frames=[12]), "9 x true frame without a predicted box"),
        (tube_line("x.mp4"), "1 x answer to a query that is not annotated"),
        (tube_line("b.mp4") | {"span_frames": None}, "1 x boxes without a span"),
    ],
)
def test_what_is_forgiven_is_counted_and_printed(run, tmp_path, line, message):
    path = write_lines(tmp_path / "odd.jsonl", [tube_line("a.mp4"), line])
    code, out, _ = run(predictions=path)
    assert code == 0
    assert f"forgiven {message}" in out
    assert "odd.jsonl, line 2" in out
    code, out, err = run("--strict", predictions=path)
    assert (code, out) == (1, "")
    assert "odd.jsonl, line 2" in err


def test_annotations_of_another_benchmark(run, tmp_path):
    truth = tmp_path / "vidstg.json"
    truth.write_text('[{"vid": "1", "used_segment": {}, "captions": [], "questions": []}]')
    code, _, err = run(truth=truth)
    assert code == 1
    assert "vidstg.json" in err
    assert "VidSTG" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--protocol", "stcatt"], "did you mean 'stcat'"),
        (["--fill", "spline"], "--fill expects none, linear or hold"),
        (["--with", "boxes"], "--with expects NAME=PATH"),
        (["--per-query", "q.xlsx"], ".csv or .parquet"),
        (["--against", "missing.jsonl"], "there is no such file"),
        (["--videos", "nowhere"], "--videos expects a folder"),
    ],
)
def test_wrong_usage(run, words, message):
    code, _, err = run(*words)
    assert code == 2
    assert message in err


def test_no_output_replaces_an_input(run, files, tmp_path):
    further = tmp_path / "further.json"
    further.write_text("{}")
    for words in (["--out", files[1]], ["--out", further, "--with", f"trajectories={further}"]):
        code, _, err = run(*words)
        assert code == 2
        assert "would replace" in err


def test_wrong_usage_is_found_before_anything_is_written(run, tmp_path):
    out = tmp_path / "m.json"
    assert run("--out", out, "--per-query", tmp_path / "q.xlsx")[0] == 2
    assert not out.exists()


def test_missing_files_and_benchmarks(run, tmp_path):
    assert run(truth=tmp_path / "none.json")[0] == 2
    code, _, err = run(benchmark="hcstvg_v3")
    assert code == 2
    assert "did you mean" in err
