"""Benchmarks are found by name, and a file of another benchmark is recognised."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import stvg.data
from stvg.data import available_benchmarks, find_benchmark
from stvg.data.base import Benchmark
from stvg.data.catalogue import benchmark_of
from stvg.errors import FormatError, UsageError
from tests.data import annotations as made_up

NAMES = [
    "activitynet_captions", "charades_sta", "hcstvg_v1", "hcstvg_v2", "mevis", "qvhighlights",
    "ref_davis17", "refcoco", "refcoco_plus", "refcocog", "refer_youtube_vos", "st_align",
    "tvgbench", "vidstg",
]  # fmt: skip
FILES = [
    ("activitynet_captions", made_up.CAPTIONS),
    ("charades_sta", made_up.CHARADES_LINES),
    ("charades_sta", {"AB12C": made_up.CAPTIONS["v_def"]}),
    ("charades_sta", [{"image_id": "a.mp4", "caption": "b", "timestamp": [0, 1]}]),
    ("hcstvg_v1", made_up.HCSTVG_V1),
    ("hcstvg_v2", made_up.HCSTVG_V2),
    ("hcstvg_v2", {"a.mp4": "The man sits."}),
    ("mevis", made_up.MEVIS),
    ("qvhighlights", "\n".join(map(__import__("json").dumps, made_up.QVHIGHLIGHTS))),
    ("qvhighlights", made_up.QVHIGHLIGHTS),
    ("ref_davis17", made_up.DAVIS),
    ("refcoco", made_up.MDETR),
    ("refcoco_plus", made_up.changed(made_up.MDETR, ["images", 0, "dataset_name"], "refcoco+")),
    ("refcocog", made_up.changed(made_up.MDETR, ["images", 0, "dataset_name"], "refcocog")),
    ("refer_youtube_vos", made_up.YOUTUBE),
    ("st_align", made_up.ST_ALIGN),
    ("tvgbench", made_up.TVGBENCH),
    ("vidstg", made_up.VIDSTG),
    ("vidstg", made_up.STCAT),
    ("vidstg", made_up.TUBEDETR),
]


def test_all_are_found() -> None:
    assert set(NAMES) <= set(available_benchmarks())


def test_nothing_lists_them() -> None:
    """No module but its own names a benchmark in quotes, apart from one built on another."""
    for path in Path(stvg.data.__file__).parent.glob("*.py"):
        quoted = {
            node.value
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Constant) and node.value in NAMES
        }
        doctests = {"catalogue", "refcoco"}
        assert quoted <= {path.stem} or path.stem in doctests, path.name


@pytest.mark.parametrize("name", NAMES)
def test_each_says_what_it_is(name) -> None:
    benchmark = find_benchmark(name)
    assert isinstance(benchmark, Benchmark)
    assert benchmark.name == name
    assert benchmark.title
    assert benchmark.protocols
    assert benchmark.source.startswith("https://")
    assert benchmark.licence
    assert benchmark.files


def test_unknown_name_suggests() -> None:
    with pytest.raises(UsageError, match="did you mean 'vidstg'"):
        find_benchmark("vidsgt")
    with pytest.raises(UsageError, match="there is no benchmark 'json_stream'"):
        find_benchmark("json_stream")


def test_a_reader_of_your_own(tmp_path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "from stvg.data.hcstvg_v1 import Benchmark\n\n\n"
        "class Mine(Benchmark):\n    title = 'Mine'\n\n\nnumber = 5\n"
    )
    assert find_benchmark(f"{path}:Mine").title == "Mine"
    with pytest.raises(UsageError, match=r"subclass of stvg\.data\.base\.Benchmark, found 5"):
        find_benchmark(f"{path}:number")


@pytest.mark.parametrize(("name", "document"), FILES)
def test_files_are_recognised(name, document, store) -> None:
    found = benchmark_of(store(document))
    assert found is not None
    assert found.name == name


@pytest.mark.parametrize(
    "text", ["", "hello", "{}", "[]", "[1, 2]", '{"format": "stvg.tracks/1"}', b"\0\1"]
)
def test_others_are_not(text, store) -> None:
    assert benchmark_of(store(text)) is None


@pytest.mark.parametrize(("name", "document"), FILES)
@pytest.mark.parametrize("reader", NAMES)
def test_every_reader_refuses_every_other_file(reader, name, document, store) -> None:
    benchmark = find_benchmark(reader)
    path = store(document)
    if reader == name or (reader, name) in {("hcstvg_v2", "hcstvg_v1")}:
        list(benchmark.attempt(path))
        return  # v2 has files with the field names of v1
    if {reader, name} <= {"charades_sta", "activitynet_captions"} and isinstance(document, dict):
        list(benchmark.read(path))
        return  # one schema
    if {reader, name} == {"refer_youtube_vos", "ref_davis17"}:
        list(benchmark.read(path))
        return  # one schema
    with pytest.raises((FormatError, UsageError)) as caught:
        list(benchmark.read(path))
    message = str(caught.value)
    assert "file.json" in message
    assert "\n" not in message
    if isinstance(caught.value, FormatError):
        assert find_benchmark(name).title in message


def test_unknown_companion_suggests(store) -> None:
    with pytest.raises(UsageError, match="did you mean 'trajectories'"):
        list(find_benchmark("vidstg").read(store(made_up.VIDSTG), trajectorys=Path("x")))
    with pytest.raises(UsageError, match="it reads no other file"):
        list(find_benchmark("tvgbench").read(store(made_up.TVGBENCH), masks=Path("x")))


@pytest.mark.parametrize("name", NAMES)
def test_documented(name) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "data.md").read_text()
    benchmark = find_benchmark(name)
    assert f"`{name}`" in page
    assert benchmark.title in page.replace("v1 and v2", "v1 HC-STVG v2")
    assert all(f"`{companion}`" in page for companion in benchmark.companions)
