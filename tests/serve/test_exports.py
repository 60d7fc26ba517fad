"""Answers in the formats of other tools, over HTTP."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree as XML  # noqa: N814

import pytest

from stvg.cli.main import main
from stvg.data import find_benchmark
from stvg.data.base import TubeRecord
from stvg.export.base import available_formats, find_format
from stvg.serve import exporting
from stvg.serve.settings import Settings
from tests.serve.conftest import Client, draw_clip
from tests.serve.methods import NAME

Start = Callable[..., Client]


@pytest.fixture
def answered(start: Start, clip: Path) -> tuple[Client, str]:
    """A service with a job that answered two sentences: the left half of 20 frames of 320x180."""
    client = start()
    job = client.submit(client.upload(clip), "the left half", "the same half")
    assert client.ended(job)["state"] == "done"
    return client, job


def export(client: Client, job: str, to: str, **more: str) -> Any:
    return client.http.get(f"/api/jobs/{job}/export", params={"to": to, **more})


def correct(client: Client, job: str, query: int, box: list[float]) -> None:
    """Save a correction: another box in frame 3."""
    versions = f"/api/jobs/{job}/predictions/{query}/versions"
    document = client.http.get(f"{versions}/1").json()
    document["boxes"][3]["xyxy"] = box
    assert client.http.post(versions, json=document).status_code == 201


def test_every_format_is_on_offer_and_is_a_file_to_save(answered: tuple[Client, str]) -> None:
    client, job = answered
    offered = client.http.get("/api").json()["formats"]
    assert [each["name"] for each in offered] == available_formats()
    assert {"name": "cvat", "title": "CVAT for video 1.1", "suffix": ".xml"} in offered
    kinds = {".json": "application/json", ".xml": "application/xml",
             ".csv": "text/csv; charset=utf-8", ".txt": "text/plain; charset=utf-8"}  # fmt: skip
    for each in offered:
        answer = export(client, job, each["name"])
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == kinds[each["suffix"]]
        assert answer.headers["content-length"] == str(len(answer.content))
        name = find_format(each["name"]).file_name("drawn")
        assert answer.headers["content-disposition"].startswith("attachment; ")
        assert answer.headers["content-disposition"].endswith(f"filename*=UTF-8''{name}")


def test_the_file_is_the_one_of_the_command(answered: tuple[Client, str], tmp_path: Path) -> None:
    client, job = answered
    predictions = tmp_path / "predictions.json"
    predictions.write_text(client.http.get(f"/api/jobs/{job}/predictions").text)
    for name in available_formats():
        path = tmp_path / "exported"
        assert main(["export", str(predictions), "--to", name, "--out", str(path)]) == 0
        assert export(client, job, name).content == path.read_bytes()


def test_a_corrected_tube_comes_back_as_training_data(
    answered: tuple[Client, str], clip: Path, tmp_path: Path
) -> None:
    client, job = answered
    correct(client, job, 1, [8, 4, 168, 150])
    archive, annotations = tmp_path / "corrected.xml", tmp_path / "annotations.json"
    archive.write_bytes(export(client, job, "cvat").content)
    words = ["data", "from-cvat", archive, "--videos", clip, "--out", annotations]
    assert main([str(word) for word in words]) == 0
    untouched, corrected = find_benchmark("vidstg").read(annotations)
    assert isinstance(untouched, TubeRecord)
    assert isinstance(corrected, TubeRecord)
    assert [each.query.text for each in (untouched, corrected)] == [
        "the left half",
        "the same half",
    ]
    assert untouched.boxes.tolist() == [[0, 0, 160, 180]] * 20
    assert corrected.boxes[3].tolist() == [8, 4, 168, 150]
    assert corrected.boxes[[2, 4]].tolist() == [[0, 0, 160, 180]] * 2


def test_with_and_without_corrections(answered: tuple[Client, str]) -> None:
    client, job = answered
    correct(client, job, 0, [8, 4, 168, 150])

    def left_edges(which: str) -> list[float]:
        rows = csv.DictReader(io.StringIO(export(client, job, "csv", which=which).text))
        return [float(row["x1_px"]) for row in rows if row["object"] == "1"]

    assert left_edges("latest") == [0, 0, 0, 8, *[0] * 16]
    assert left_edges("original") == [0] * 20


def test_refusals_are_clear(answered: tuple[Client, str], clip: Path) -> None:
    client, job = answered
    failed = client.submit(client.upload(clip), "raise")
    client.ended(failed)
    film = client.http.post(f"/api/jobs/{job}/overlay").json()["id"]
    cases: list[tuple[str, dict[str, str], int, str]] = [
        (job, {}, 422, "query.to: Field required"),
        (job, {"to": "cvatt"}, 422, "did you mean 'cvat'"),
        (job, {"to": f"{__file__}:Format"}, 422, "there is no format"),
        (job, {"to": "cvat", "which": "best"}, 422, "query.which"),
        (job, {"to": "cvat", "method": "another"}, 422, NAME),
        ("0" * 32, {"to": "cvat"}, 404, "there is no job"),
        (failed, {"to": "cvat"}, 409, "the job is failed"),
        (film, {"to": "cvat"}, 422, "one of none"),
    ]
    for asked, query, status, reason in cases:
        answer = client.http.get(f"/api/jobs/{asked}/export", params=query)
        assert (answer.status_code, reason in answer.json()["detail"]) == (status, True), (
            answer.text
        )


def test_names_of_files_stay_names(start: Start, tmp_path: Path) -> None:
    client = start()
    names = {  # as sent: as saved
        "dog.mp4": "dog",
        'a "quoted" name.mp4': 'a "quoted" name',
        "line\r\nSet-Cookie: a=b.mp4": "lineSet-Cookie: a=b",
        "犬 и кот.mp4": "犬 и кот",
        "a;b=c,d%0A'.mp4": "a;b=c,d%0A'",
        "../../etc/no suffix": "no suffix",
    }
    for frames, (name, stem) in enumerate(names.items(), start=2):
        uploaded = client.http.post(
            "/api/videos", params={"name": name}, headers={"Content-Type": "video/mp4"},
            content=draw_clip(tmp_path / "clip.mp4", frames).read_bytes(),
        ).json()  # fmt: skip
        job = client.submit(uploaded["id"], "one")
        client.ended(job)
        answer = export(client, job, "cvat")
        head, _, encoded = answer.headers["content-disposition"].partition("filename*=UTF-8''")
        assert head == 'attachment; filename="answers.cvat.xml"; '
        assert unquote(encoded) == f"{stem}.cvat.xml"
        assert re.fullmatch(r"[\w.%~-]+", encoded, re.ASCII)
        assert "set-cookie" not in answer.headers


def test_a_sentence_cannot_leave_its_place(start: Start, clip: Path) -> None:
    client = start()
    sentence = "</attribute><track label='x'/> & \"]]><!-- <script>alert(1)</script>"
    job = client.submit(client.upload(clip), sentence)
    client.ended(job)
    root = XML.fromstring(export(client, job, "cvat").content)
    (track,) = root.iter("track")
    assert {each.text for each in track.iter("attribute")} == {sentence}
    assert json.loads(export(client, job, "coco").content)["categories"][0]["name"] == sentence
    answer = export(client, job, "cvat")
    assert "sandbox" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_nothing_is_left_behind(
    answered: tuple[Client, str], make_settings: Callable[..., Settings]
) -> None:
    client, job = answered
    export(client, job, "cvat")
    assert list((make_settings().data / "exports").iterdir()) == []


def test_a_job_that_is_deleted_while_it_is_exported(
    answered: tuple[Client, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, job = answered
    service, real = client.http.app.state.service, exporting.export

    def deleting(*args: Any, **more: Any) -> Any:
        service.forget_job(job)
        return real(*args, **more)

    monkeypatch.setattr(exporting, "export", deleting)
    answer = export(client, job, "cvat")
    assert answer.status_code == 200
    assert len(list(XML.fromstring(answer.content).iter("track"))) == 2
    assert export(client, job, "cvat").status_code == 404


def test_several_at_once(answered: tuple[Client, str]) -> None:
    client, job = answered
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(export(client, job, "cvat").content))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1


def slow(*_: object) -> None:
    """An export that does not end."""
    time.sleep(3600)


def broken(*_: object) -> None:
    """An export that fails."""
    sys.exit(1)


@pytest.mark.parametrize(
    ("write", "limits", "status", "reason"),
    [
        (slow, {"job_seconds": 3}, 503, "in 3 seconds"),
        (broken, {}, 503, "cannot be written now"),
    ],
)
def test_exports_that_do_not_come_off(
    write: Callable[..., None], limits: dict[str, Any], status: int, reason: str,
    start: Start, clip: Path, make_settings: Callable[..., Settings],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    client = start(**limits)
    job = client.submit(client.upload(clip), "one")
    client.ended(job)
    monkeypatch.setattr(exporting, "_write", write)
    answer = export(client, job, "cvat")
    assert answer.status_code == status
    assert reason in answer.json()["detail"]
    assert list((make_settings().data / "exports").iterdir()) == []
    monkeypatch.undo()


def test_a_service_that_ends_waits_for_no_export(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(exporting, "_write", slow)
    stopping = threading.Event()
    stopping.set()
    with pytest.raises(exporting.ExportError, match="the service ends"):
        exporting.export([], "cvat", tmp_path, limit_s=3600, stopping=stopping)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_takes_no_export(answered: tuple[Client, str], monkeypatch) -> None:
    client, job = answered
    folders = client.http.app.state.service.folders
    monkeypatch.setattr(folders, "free_gb", lambda: -1.0)
    assert export(client, job, "cvat").status_code == 507
