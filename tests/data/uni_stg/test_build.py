"""A build: what is drawn, what is told, what happens when it is stopped."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stvg.data import find_benchmark
from stvg.data.uni_stg.build import build
from stvg.data.uni_stg.filters import Limits
from stvg.data.uni_stg.reader import rows_in
from stvg.data.uni_stg.recipe import (
    BenchmarkSource,
    ChatSource,
    Recipe,
    SyntheticSource,
    load_recipe,
)
from stvg.errors import FormatError, OutputError, StvgError, UsageError
from tests.data.annotations import CAPTIONS, HCSTVG_V1, MDETR

pytest.importorskip("datasets", reason="the data extra is not installed")

Make = Callable[..., Recipe]
LINES = "".join(f"V{n:04d} 0.0 {n + 1}.0##a person does thing {n}.\n" for n in range(40))
TALK = [
    {"from": "human", "value": "<video>\nWhat is this?"},
    {"from": "gpt", "value": "A dog."},
]


def charades(store: Any, lines: str = LINES, **changes: Any) -> dict[str, Any]:
    path = store(lines, "charades_sta_train.txt")
    return {"name": "charades", "benchmark": "charades_sta", "annotations": path, **changes}


def ids_in(folder: Path, task: str) -> list[str]:
    files = sorted((folder / task).glob("*.parquet"))
    return [row["id"] for file in files for row in rows_in(file)]


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*.parquet"))}  # fmt: skip


class StoppedError(Exception):
    """What a killed build is here."""


def stop_at(count: int) -> Callable[[str], Callable[[int, int], None]]:
    """Stages that stop a build once it has so many samples of a source."""

    def stage(name: str) -> Callable[[int, int], None]:
        del name

        def report(done: int, total: int) -> None:
            del total
            if done >= count:
                raise StoppedError

        return report

    return stage


def test_all_kinds_become_one_set(recipe: Make, store: Any, tmp_path: Path) -> None:
    chat = [{"id": "a", "video": "a.mp4", "conversations": TALK},
            {"id": "b", "video": "b.mp4", "conversations": TALK[:1]}]  # fmt: skip
    made = recipe(
        {"name": "ref", "benchmark": "refcoco", "annotations": store(MDETR, "mdetr.json")},
        charades(store),
        {"name": "hc", "benchmark": "hcstvg_v1", "annotations": store(HCSTVG_V1, "test.json")},
        {"name": "talk", "kind": "chat", "file": store(chat, "talk.json")},
    )
    card = build(made, tmp_path / "set")
    found = {each["name"]: each for each in card["sources"]}
    assert {name: (each["seen"], each["written"]) for name, each in found.items()} == {
        "ref": (len(MDETR["images"]),) * 2,
        "charades": (40, 40),
        "hc": (len(HCSTVG_V1),) * 2,
        "talk": (2, 1),
    }
    assert found["talk"]["drops"] == {"turns not in order": 1}
    assert card["short"] == []
    assert json.loads((tmp_path / "set" / "card.json").read_text()) == card
    (said,) = rows_in(tmp_path / "set" / "chat" / "talk-00000.parquet")
    assert said["turns"] == [{"role": "user", "text": "What is this?"},
                             {"role": "assistant", "text": "A dog."}]  # fmt: skip
    counts = {"uni_stg": len(HCSTVG_V1), "uni_stg_rec": len(MDETR["images"]), "uni_stg_vtg": 40}
    for name, count in counts.items():
        records = list(find_benchmark(name).read(tmp_path / "set"))
        assert len(records) == count
        assert all(isinstance(each, find_benchmark(name).kind) for each in records)


def test_the_card_says_where_the_tasks_are(recipe: Make, store: Any, tmp_path: Path) -> None:
    """The head of README.md is what ``datasets`` reads."""
    datasets = pytest.importorskip("datasets")
    build(recipe(charades(store, count=12), shard=5), tmp_path / "set")
    loaded = datasets.load_dataset(
        str(tmp_path / "set"), "vtg", split="train", cache_dir=str(tmp_path / "cache")
    )
    assert len(loaded) == 12
    page = (tmp_path / "set" / "README.md").read_text()
    assert "| charades | vtg | 40 | 12 | 12 |" in page
    assert "| charades | not drawn | 28 |" in page


def test_a_draw_depends_on_the_seed_and_not_on_the_order(
    recipe: Make, store: Any, tmp_path: Path
) -> None:
    def drawn(name: str, lines: str, seed: int) -> set[str]:
        build(recipe(charades(store, lines, count=10), seed=seed), tmp_path / name)
        return set(ids_in(tmp_path / name, "vtg"))

    first = drawn("a", LINES, 0)
    assert len(first) == 10
    assert drawn("b", "\n".join(reversed(LINES.splitlines())), 0) == first
    assert drawn("c", LINES, 1) != first
    # whoever is drawn stays drawn when others are taken out
    kept = "\n".join(line for line in LINES.splitlines() if f"charades/{line[:5]}_0" in first)
    assert drawn("d", kept, 0) == first


def test_too_few_samples_are_told(recipe: Make, store: Any, tmp_path: Path) -> None:
    card = build(recipe(charades(store, count=50)), tmp_path / "set")
    assert card["short"] == ["charades: 40 of 50 samples, there are no more"]
    assert card["tasks"] == {"vtg": {"wanted": 50, "written": 40}}


def test_media_are_looked_for_and_named_from_the_common_folder(
    recipe: Make, store: Any, tmp_path: Path
) -> None:
    videos = tmp_path / "media" / "charades" / "part"
    videos.mkdir(parents=True)
    (videos / "V0003.mkv").touch()
    made = recipe(charades(store, folder="charades"), media=tmp_path / "media")
    card = build(made, tmp_path / "set")
    assert card["sources"][0]["drops"] == {"media missing": 39}
    (row,) = rows_in(tmp_path / "set" / "vtg" / "charades-00000.parquet")
    assert row["media"] == "charades/part/V0003.mkv"


@pytest.mark.parametrize("done", [1, 5, 13, 25])
def test_a_build_that_was_stopped_goes_on(
    recipe: Make, store: Any, tmp_path: Path, done: int
) -> None:
    made = recipe(charades(store, count=25), shard=5)
    build(made, tmp_path / "whole")
    stopped = tmp_path / "stopped"
    with pytest.raises(StoppedError):
        build(made, stopped, stop_at(done))
    finished = {path: path.stat().st_mtime_ns for path in stopped.rglob("*.parquet")}
    assert len(finished) == (done - 1) // 5
    card = build(made, stopped)
    assert files_of(stopped) == files_of(tmp_path / "whole")
    assert all(path.stat().st_mtime_ns == changed for path, changed in finished.items())
    assert card["sources"][0]["drops"] == {"not drawn": 15}
    again = {path: path.stat().st_mtime_ns for path in stopped.rglob("*.parquet")}
    build(made, stopped)
    assert {path: path.stat().st_mtime_ns for path in stopped.rglob("*.parquet")} == again


def test_a_shard_without_its_note_is_made_again(recipe: Make, store: Any, tmp_path: Path) -> None:
    made, folder = recipe(charades(store), shard=10), tmp_path / "set"
    build(made, folder)
    before = files_of(folder)
    for number in (2, 3, 4):  # the fourth shard filled exactly, so that the fifth note has none
        (folder / "progress" / f"charades-{number:05d}.json").unlink()
    (folder / "vtg" / "charades-00002.parquet").write_bytes(b"half")
    build(made, folder)
    assert files_of(folder) == before


def test_another_recipe_needs_another_folder(recipe: Make, store: Any, tmp_path: Path) -> None:
    build(recipe(charades(store)), tmp_path / "set")
    with pytest.raises(UsageError, match="another recipe"):
        build(recipe(charades(store), seed=1), tmp_path / "set")
    changed = recipe(charades(store, LINES + "V9999 1.0 2.0##a person sits.\n"))
    with pytest.raises(UsageError, match="files that have changed"):
        build(changed, tmp_path / "set")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(OutputError, match="not an empty folder"):
        build(changed, tmp_path / "other")


def test_what_is_missing_is_told_at_once(recipe: Make, store: Any, tmp_path: Path) -> None:
    made = recipe(
        charades(store, folder="videos") | {"annotations": "absent.txt"},
        {"name": "talk", "kind": "chat", "file": "talk.json"},
        media=tmp_path,
    )
    with pytest.raises(UsageError) as caught:
        build(made, tmp_path / "set")
    for part in ("absent.txt (charades)", "talk.json (talk)", "videos (charades)"):
        assert part in str(caught.value)
    assert not (tmp_path / "set").exists()


def test_a_source_without_samples_is_refused(recipe: Make, store: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="in the source charades, found none"):
        build(recipe(charades(store, "\n")), tmp_path / "a")
    useless = recipe(charades(store, "AB12C 5.0 5.0##a person sits.\n"))
    with pytest.raises(StvgError, match="dropped: 1 empty interval"):
        build(useless, tmp_path / "b")
    wrong = recipe(charades(store) | {"annotations": store(HCSTVG_V1, "test.json")})
    with pytest.raises(FormatError, match="looks like HC-STVG v1"):
        build(wrong, tmp_path / "c")


def test_wrong_recipes(recipe: Make, store: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'count'"):
        recipe(charades(store, cuont=3))
    with pytest.raises(UsageError, match="two sources are called charades"):
        recipe(charades(store), charades(store))
    with pytest.raises(UsageError, match="the recipe needs media"):
        recipe(charades(store, folder="videos"))
    with pytest.raises(UsageError, match="of the kinds benchmark, synthetic, chat"):
        recipe({"name": "a", "kind": "audio"})
    with pytest.raises(UsageError, match="a list of sources"):
        load_recipe(store("media: here\n", "recipe.yaml"))
    with pytest.raises(UsageError, match="expected a recipe at"):
        load_recipe(tmp_path / "absent.yaml")
    masks = recipe({"name": "m", "benchmark": "mevis", "annotations": store(CAPTIONS)})
    with pytest.raises(UsageError, match="boxes, times or tubes in the source m, found MeViS"):
        build(masks, tmp_path / "set")


def test_readers_refuse_what_they_cannot_read(recipe: Make, store: Any, tmp_path: Path) -> None:
    build(recipe(charades(store)), tmp_path / "set")
    shard = tmp_path / "set" / "vtg" / "charades-00000.parquet"
    assert len(list(find_benchmark("uni_stg_vtg").read(shard))) == 40
    with pytest.raises(FormatError, match="of the task stvg, found vtg"):
        list(find_benchmark("uni_stg").read(shard))
    with pytest.raises(UsageError, match=r"stvg/\*.parquet, found none"):
        list(find_benchmark("uni_stg").read(tmp_path / "set"))
    with pytest.raises(FormatError, match="cannot be opened"):
        list(find_benchmark("uni_stg").read(store("hello")))
    with pytest.raises(UsageError, match="no such file"):
        list(find_benchmark("uni_stg").read(tmp_path / "absent.parquet"))


ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "uni_stg.md"


@pytest.mark.parametrize("options", [Recipe, BenchmarkSource, SyntheticSource, ChatSource, Limits])
def test_options_are_documented(options: Any) -> None:
    page = PAGE.read_text()
    for name, _, description in options.describe():
        described = description != "this kind"
        assert not described or f"| `{name}` | {description}" in page, name


def test_measured_figures_come_from_the_benchmark() -> None:
    page = PAGE.read_text()
    result = json.loads((ROOT / "benchmarks/results/uni_stg.json").read_text())["result"]
    for row in result["sources"]:
        figures = (f"{row['samples']:,}", f"{row['samples_a_cpu_s']:,.0f}",
                   f"{row['bytes_a_sample']:,}")  # fmt: skip
        assert f"| {row['source']} | {' | '.join(figures)} |" in page
    assert f"overlap with the true object {result['made']['mean_iou']:.2f}" in page


def test_shipped_recipes_are_in_order() -> None:
    folder = ROOT / "recipes" / "uni_stg"
    load_recipe(folder / "samples.yaml")
    paper = load_recipe(folder / "paper.yaml")
    counts: dict[str, int] = {}
    for source in paper.sources:
        kind = getattr(source, "benchmark", "") if source.kind == "benchmark" else source.kind
        task = {"refcoco": "rec", "refcoco_plus": "rec", "refcocog": "rec", "charades_sta": "vtg",
                "activitynet_captions": "vtg", "chat": "chat"}.get(kind, "stvg")  # fmt: skip
        counts[task] = counts.get(task, 0) + (source.count or 0)
    assert counts == {"rec": 320_000, "vtg": 50_000, "stvg": 110_000, "chat": 200_000}
