"""Figures in the README of ``dsth`` are those of the last full run of its benchmark."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
SHOWN = ("m_tIoU", "m_vIoU", "gt_vIoU", "vIoU@0.3", "vIoU@0.5")
OF_HARD = ("m_tIoU", "m_vIoU", "vIoU@0.5")
ANSWERS = {
    "middle box": "middle_box",
    "random object, whole video": "random_object",
    "right object, whole video": "oracle_object",
    "all parts, split by rules": "full method",
    "no decomposition (default of the embedded model)": "no decomposition",
    "all parts, no tuning (LRA)": "no tuning (LRA)",
    "all parts, no reverse (TAS)": "no reverse (TAS)",
    "all parts, published window of 0.55": "window 0.55, as published",
    "all parts, highest token for time too": "highest token for time too",
    "all parts, mean of all tokens": "mean of all tokens",
    "all parts, asked as yes/no questions": "yes/no questions",
    "values of the released code, split by rules": "values of the released code",
    "values of the paper, split by rules": "values of the paper",
    "none of the parts: one reading, no gradient": "neither",
    "none of the parts": "neither",
    "none of the parts, window of 0.55": "neither, window 0.55",
    "none of the parts, window of 0.4": "neither, window 0.4",
    "all parts, detector figures": "full method, detector figures",
    "none of the parts, detector figures": "neither, detector figures",
    "text_box, trained, writes its boxes itself": "text_box, trained",
    "fitted interval": "neither",
    "window of 0.55, as published": "neither, window 0.55",
    "window of 0.4": "neither, window 0.4",
}
"""Rows of the README by the name that the benchmark gives them."""


@pytest.fixture(scope="module")
def result() -> Any:
    return json.loads((ROOT / "benchmarks/results/dsth.json").read_text())["result"]


def tables() -> list[list[list[str]]]:
    """Rows of each table of the README, cells without marks."""
    found: list[list[list[str]]] = [[]]
    for line in (ROOT / "src/stvg/methods/dsth/README.md").read_text().splitlines():
        if line.startswith("|"):
            plain = line.replace("*", "").replace("`", "")
            found[-1].append([cell.strip() for cell in plain.strip("|").split("|")])
        elif found[-1]:
            found.append([])
    return found


def rows_under(*head: str) -> list[list[str]]:
    """The rows of the one table with this head."""
    (rows,) = [table[2:] for table in tables() if table and tuple(table[0]) == head]
    return rows


@pytest.mark.parametrize(("level", "shown"), [("standard", SHOWN), ("hard", OF_HARD)])
def test_scores_on_the_world(result: Any, level: str, shown: tuple[str, ...]) -> None:
    (world,) = [each for each in result["worlds"] if each["level"] == level]
    assert (world["clips"], world["split"]) == (200, "test")
    rows = rows_under("answer", *shown)
    assert len(rows) >= 5
    for label, *cells in rows:
        scores = world["scores"][ANSWERS[label]]
        assert cells == [f"{scores[name]:.1f}" for name in shown], label


def test_pointing(result: Any) -> None:
    (world,) = [each for each in result["worlds"] if each["level"] == "standard"]
    tokens = ("<vision_end>", "<im_end>", "<im_start>", "assistant")
    for label, *cells in rows_under("", *tokens, "mean of all", "highest peak"):
        found = world["pointing"][ANSWERS[label]]
        shown = [*found["tokens"], found["mean of all"], found["highest activation"]]
        assert cells == [f"{share:.1f}" for share in shown], label


def test_costs(result: Any) -> None:
    seconds, memory = result["passes"]["cpu_s"], result["memory_mib"]
    plain, mixed, ours = (f"{value:.1f} s" for value in seconds.values())
    page = (ROOT / "src/stvg/methods/dsth/README.md").read_text()
    assert f"| {plain} | {ours} ({result['goals']['passes']['measured']:.1f} times faster)" in page
    assert f"| {mixed} | {ours} (" in page
    asked, eager = (
        memory["plain forward with gradient"],
        memory["plain forward with gradient, eager"],
    )
    both = memory["ours, looks and action"]
    tuning = (
        f"| {asked:.0f} MiB ({eager:,.0f} with `output_attentions`) | {memory['ours, looks']:.0f}"
    )
    assert f"{tuning} MiB; with both parts {both:.0f} |" in page


def test_what_a_dense_target_head_changes() -> None:
    path = ROOT / "benchmarks/results/dsth_models.json"
    worlds = json.loads(path.read_text())["result"]["worlds"]
    rows = rows_under("trained", "m_tIoU", "m_vIoU", "pointing, %", "tokens of answers right, %")
    for (_, *cells, _), world in zip(rows, worlds, strict=True):
        scores, pointing = world["scores"]["neither"], world["pointing"]["neither"]
        assert cells == [
            f"{value:.1f}"
            for value in (scores["m_tIoU"], scores["m_vIoU"], pointing["highest activation"])
        ]
