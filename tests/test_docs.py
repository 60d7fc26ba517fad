"""The documentation runs: commands, Python, links and tables of the README and its kin."""

from __future__ import annotations

import json
import re
import shlex
from fractions import Fraction
from pathlib import Path

import pytest

from stvg.cli.main import main
from stvg.methods.track_match.config import TrackMatchConfig
from stvg.video import SamplingPlan, iter_frames
from stvg.video.writer import VideoWriter

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("**/*.md"),
                *(ROOT / "src").glob("**/*.md")])  # fmt: skip


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} points at {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_speak_of_nothing_but_the_project(page: Path) -> None:
    text = page.read_text()
    assert not re.search(r"(?<![\w.])/(?:work|root|tmp|home)/", text)


@pytest.fixture
def folder_with_dog(
    shared_data: Path, yolox_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """An empty folder with the first second and a half of a real clip as ``dog.mp4``."""
    del yolox_weights
    with VideoWriter(tmp_path / "dog.mp4", fps=Fraction(30000, 1001)) as writer:
        plan = SamplingPlan(long_side=640)
        for number, time_s, frame in iter_frames(shared_data / "real" / "01_dog.mp4", plan):
            if number < 45:
                writer.write(frame, time_s)
    (tmp_path / "sentences.txt").write_text("the dog\nthe elephant\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.shared
@pytest.mark.usefixtures("folder_with_dog")
def test_commands_of_the_readme() -> None:
    lines = [
        line.split("#")[0].strip()
        for block in blocks(ROOT / "README.md", "bash")
        for line in block.splitlines()
        if line.startswith("stvg ")
    ]
    assert len(lines) >= 3
    for line in lines:
        assert main(shlex.split(line)[1:]) == 0, line


@pytest.mark.shared
@pytest.mark.usefixtures("folder_with_dog")
def test_python_of_the_readme(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = blocks(ROOT / "README.md", "python")
    exec(compile(code, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "Interval(" in printed
    assert "'class'" in printed


def test_commands_named_in_the_readme_exist() -> None:
    named = set(re.findall(r"^\| `stvg (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE))
    existing = {path.stem for path in (ROOT / "src/stvg/cli").glob("*.py")}
    assert named == existing - {"__init__", "main", "common"}


def test_options_of_track_match_are_documented() -> None:
    page = (ROOT / "src/stvg/methods/track_match/README.md").read_text()
    table = page.split("<!-- options -->")[1].split("<!-- /options -->")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\S+) \| (.+) \|$", table, re.MULTILINE)
    expected = [
        (name, str(default), description)
        for name, default, description in TrackMatchConfig.describe()
        if name not in ("detector", "tracking")  # --model, and the tracking options below
    ]
    assert rows == expected


def test_figures_of_the_benchmarks_come_from_their_results() -> None:
    page = (ROOT / "benchmarks/README.md").read_text()
    results = {
        path.stem: json.loads(path.read_text())["result"]
        for path in (ROOT / "benchmarks/results").glob("*.json")
    }
    scored = next(row for row in results["evaluate"]["rows"] if row["protocol"] == "stcat")
    assert f"{scored['cpu_s']:.1f} CPU seconds, {scored['peak_mib']:.0f} MiB" in page
    assert f"{results['masks']['times_faster_than_plain']:.0f} times faster" in page
    shares = {
        (row["by"], row["video"]): f"{row['share']:.1%}" for row in results["painting"]["rows"]
    }
    painted = (ROOT / "docs/paint.md").read_text()
    for by in ("boxes", "masks"):
        large, small = shares[by, "1280x720"], shares[by, "336x188"]
        assert f"| numbers by {by} | {large} | {small} |" in painted
    served = results["serve"]
    assert served["states"] == {"done": served["jobs"]}
    assert (
        f"all {served['jobs']} done, {served['lost']} lost, {served['duplicated']} duplicated; the "
        f"status call takes {served['status_ms']['median']:.0f} ms in the median, "
        f"{served['status_ms']['p95']:.0f} ms at p95" in page
    )
    for clip in results["video"]["clips"]:
        for way, ratio in clip["against_ours"].items():
            if not way.startswith("ours"):
                assert re.search(rf"\| {re.escape(way)} \|.*\({ratio:.1f}x ours\)", page), way
    standard = results["tiny"]["levels"]["standard"]["text_box"]
    reached = (
        rf"m_tIoU\s+of\s+{standard['m_tIoU']:.1f}\s+and\s+an\s+m_vIoU\s+of\s+"
        rf"{standard['m_vIoU']:.1f}"
    )
    assert re.search(reached, (ROOT / "README.md").read_text())
    card = (ROOT / "src/stvg/tiny/README.md").read_text()
    for level, rows in results["tiny"]["levels"].items():
        values = [f"{rows['text_box'][name]:.1f}" for name in ("m_tIoU", "m_vIoU", "gt_vIoU")]
        assert f"| {level} | **`tiny`, text_box** | {' | '.join(values)} |" in card


@pytest.mark.parametrize("method", ["stvg_o1", "stvg_r1", "spacevllm", "bridge_stg"])
def test_tables_of_arms_come_from_their_results(method: str) -> None:
    result = json.loads((ROOT / f"benchmarks/results/{method}.json").read_text())["result"]
    table = (ROOT / f"src/stvg/methods/{method}/README.md").read_text()
    arms: dict[str, list[dict[str, float]]] = {}
    for row in result["rows"]:
        arms.setdefault(row["arm"], []).append(row)
    for arm, rows in arms.items():
        means = [
            f"{sum(row[name] for row in rows) / len(rows):.1f}" for name in ("m_tIoU", "m_vIoU")
        ]
        told = rf"^\| {re.escape(arm)} \| {len(rows)} \| {means[0]} \| {means[1]}"
        assert re.search(told, table, re.M), arm
        if "told" in rows[0]:  # with the true interval
            given = sum(row["told"] for row in rows) / len(rows)
            assert re.search(rf"^\| {re.escape(arm)} \|.*\| {given:.1f} \|", table, re.M), arm
    if "tiny" in arms:
        shown = ("m_tIoU", "m_vIoU", "gt_vIoU", "vIoU@0.3", "vIoU@0.5", "vIoU@0.7")
        values = " | ".join(f"{arms['tiny'][0][name]:.1f}" for name in shown)
        card = (ROOT / "src/stvg/tiny/README.md").read_text()
        assert f"| standard | **`tiny`, {method}** | {values} |" in card


def test_latency_comes_from_its_results() -> None:
    rows = json.loads((ROOT / "benchmarks/results/latency.json").read_text())["result"]["rows"]
    table = (ROOT / "src/stvg/methods/spacevllm/README.md").read_text()
    ways = {
        "text_box": "`text_box`",
        "spacevllm, query a frame": "`spacevllm`, `query=frame`",
        "spacevllm, query a step": "`spacevllm`, `query=pair`",
    }
    for row in rows:
        if row["sentences"] == 1:
            cells = (
                row["frames"], ways[row["way"]], row["boxes"], f"{row['prompt_tokens']:,}",
                row["answer_tokens"], f"{row['cpu_s_a_query']:.2f}",
            )  # fmt: skip
            assert f"| {' | '.join(map(str, cells))} |" in table


def test_long_clips_come_from_their_results() -> None:
    rows = json.loads((ROOT / "benchmarks/results/latency.json").read_text())["result"]["long"]
    table = (ROOT / "src/stvg/methods/bridge_stg/README.md").read_text()
    for row in rows:
        cells = (
            row["frames"], row["event"], f"`{row['way']}`", row["boxes"],
            f"{row['prompt_tokens']:,}", f"{row['cpu_s_a_query']:.2f}", f"{row['where_s']:.2f}",
            row["memory_mib"],
        )  # fmt: skip
        assert f"| {' | '.join(map(str, cells))} |" in table
