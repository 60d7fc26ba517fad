"""Jobs from the upload to the film, with real worker processes."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import sqlite3
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from stvg.formats.prediction import read_predictions, write_predictions
from stvg.grounding import ground
from stvg.serve.settings import Settings
from stvg.video import probe
from stvg.video.writer import VideoWriter
from tests.serve.conftest import Client
from tests.serve.methods import NAME

Start = Callable[..., Client]


def without_times(document: dict) -> dict:
    """Predictions without what differs between two runs."""
    for each in document["predictions"]:
        each.pop("timing_s")
    return document


def test_a_job_gives_what_ground_gives(start: Start, clip: Path, tmp_path: Path) -> None:
    client = start(offers=["track_match=blobs"])
    queries = ["the red ball", "the green box", "the elephant"]
    job = client.submit(client.upload(clip), *queries)
    assert client.ended(job)["state"] == "done"
    answer = client.http.get(f"/api/jobs/{job}/predictions")

    expected = ground(clip, queries, method="track_match", model="blobs", threads=1)
    write_predictions(expected, tmp_path / "expected.json")
    wanted = json.loads((tmp_path / "expected.json").read_text())
    for each in wanted["predictions"]:
        each["video"]["path"] = "drawn.mp4"
    assert without_times(answer.json()) == without_times(wanted)
    assert answer.headers["content-type"] == "application/json"

    path = tmp_path / "served.json"
    path.write_text(answer.text)
    assert [each.tube is None for each in read_predictions(path)] == [False, False, True]


def test_several_methods_and_one_that_fails(start: Start, clip: Path, tmp_path: Path) -> None:
    from tests.serve.methods import offer

    client = start(offers=["track_match=blobs", offer(tmp_path)])
    methods = ["track_match=blobs", NAME]
    video = client.upload(clip)
    job = client.submit(video, "raise the red ball", methods=methods)
    done = client.ended(job)
    assert done["state"] == "done"
    assert done["problems"] == {NAME: "unexpected RuntimeError: told to raise"}
    ask = f"/api/jobs/{job}/predictions"
    assert client.http.get(ask).status_code == 422  # which of the two?
    assert client.http.get(ask, params={"method": "track_match=blobs"}).status_code == 200
    assert client.http.get(ask, params={"method": NAME}).status_code == 404

    alone = client.ended(client.submit(video, "raise", methods=[NAME]))
    assert (alone["state"], alone["reason"]) == ("failed", "unexpected RuntimeError: told to raise")


def test_corrections_and_films(start: Start, clip: Path) -> None:
    client = start()
    video = client.upload(clip)
    job = client.submit(video, "one", "two")
    assert client.ended(job)["state"] == "done"
    film = f"/api/jobs/{job}/overlay"
    assert client.http.get(film).status_code == 404
    first = client.http.post(film).json()["id"]
    assert client.http.post(film).json()["id"] == first
    assert client.ended(first)["state"] == "done"
    drawn = client.http.get(film)
    assert drawn.headers["content-type"] == "video/mp4"

    versions = f"/api/jobs/{job}/predictions/1/versions"
    document = client.http.get(f"{versions}/1").json()
    assert document["boxes"][3]["xyxy"] == [0, 0, 160, 180]
    document["boxes"][3]["xyxy"] = [8, 0, 168, 180]
    document["video"]["path"] = "/etc/passwd"
    saved = client.http.post(versions, json=document)
    assert (saved.status_code, saved.json()["version"]) == (201, 2)
    assert [each["version"] for each in client.http.get(versions).json()] == [1, 2]
    latest = client.http.get(f"/api/jobs/{job}/predictions").json()["predictions"]
    assert latest[1]["boxes"][3]["xyxy"] == [8, 0, 168, 180]
    assert latest[1]["video"]["path"] == "drawn.mp4"
    original = client.http.get(f"/api/jobs/{job}/predictions", params={"which": "original"})
    assert original.json()["predictions"][1]["boxes"][3]["xyxy"] == [0, 0, 160, 180]

    assert client.http.get(film).status_code == 404  # of the corrected answers there is none
    second = client.http.post(film).json()["id"]
    assert second != first
    assert client.ended(second)["state"] == "done"
    assert client.http.get(film).content != drawn.content


def test_corrections_that_do_not_fit(start: Start, clip: Path) -> None:
    client = start()
    job = client.submit(client.upload(clip), "one")
    assert client.ended(job)["state"] == "done"
    path = f"/api/jobs/{job}/predictions/0/versions"
    changes: list[tuple[Callable, str]] = [
        (lambda one: one.update(query="three"), "expected the query"),
        (lambda one: one["video"].update(width=640), "expected the video.width"),
        (lambda one: one["boxes"].pop(3), "expected 3, because every frame has a box"),
        (lambda one: one["boxes"][0].update(xyxy=[0, 0, 999, 9]), "inside the 320x180 frame"),
        (lambda one: one.update(format="stvg.tracks/1"), "a file of another kind"),
    ]
    for change, reason in changes:
        document = client.http.get(f"{path}/1").json()
        change(document)
        answer = client.http.post(path, json=document)
        assert answer.status_code == 422
        assert reason in answer.json()["detail"]
    assert client.http.post(path, content="{}").status_code == 415
    assert len(client.http.get(path).json()) == 1


def test_a_worker_that_dies_is_replaced_and_the_job_done(start: Start, clip: Path) -> None:
    client = start()
    job = client.ended(client.submit(client.upload(clip), "die mark"))
    assert (job["state"], job["attempts"]) == ("done", 2)


def test_a_job_that_ends_two_workers_has_failed(start: Start, clip: Path, tmp_path: Path) -> None:
    client = start()
    video = client.upload(clip)
    job = client.ended(client.submit(video, "segfault"))
    assert (job["state"], job["attempts"]) == ("failed", 2)
    assert "was ended by SIGSEGV on it, twice" in job["reason"]
    assert (tmp_path / "asked.txt").read_text() == "segfault\nsegfault\n"
    assert client.ended(client.submit(video, "go on"))["state"] == "done"


def test_a_worker_that_sends_nonsense(start: Start, clip: Path) -> None:
    client = start()
    video = client.upload(clip)
    job = client.ended(client.submit(video, "babble"))
    assert (job["state"], job["attempts"]) == ("failed", 1)
    assert "cannot be kept" in job["reason"]
    assert client.ended(client.submit(video, "go on"))["state"] == "done"


def test_a_film_of_deleted_answers(start: Start, clip: Path, tmp_path: Path) -> None:
    client = start()
    jobs = [client.submit(client.upload(clip), "one") for _ in range(2)]
    for job in jobs:
        client.ended(job)
    service = client.http.app.state.service
    request = {"of": jobs[0], "method": NAME, "file": f"{jobs[0]}-film.mp4"}
    client.http.delete(f"/api/jobs/{jobs[0]}")
    film, _ = service.store.add_job("overlay", client.job(jobs[1])["video"], request, room=1)
    service.workers.wake()
    ended = client.ended(film.id)
    assert ended["state"] == "failed"
    assert ended["reason"] == "the answers that were to be drawn have been deleted"


def test_a_sentence_is_text_whatever_it_holds(start: Start, clip: Path) -> None:
    client = start()
    sentence = '<script>alert(1)</script> & the "ball" where x < 3'
    job = client.submit(client.upload(clip), sentence)
    client.ended(job)
    shown = client.http.get(f"/api/jobs/{job}")
    answers = client.http.get(f"/api/jobs/{job}/predictions")
    assert shown.json()["queries"] == [sentence]
    assert [each["query"] for each in answers.json()["predictions"]] == [sentence]
    for answer in (shown, answers):
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_query_that_no_job_could_have(start: Start, clip: Path) -> None:
    client = start()
    job = client.submit(client.upload(clip), "one")
    for number in ("-1", "9" * 30):
        path = f"/api/jobs/{job}/predictions/{number}/versions"
        assert client.http.get(path).status_code == 422


def test_a_job_has_its_time(start: Start, clip: Path) -> None:
    client = start(job_seconds=2)
    video = client.upload(clip)
    job = client.ended(client.submit(video, "wait forever"))
    assert (job["state"], job["attempts"]) == ("failed", 1)
    assert "longer than the 2 seconds" in job["reason"]


def test_a_worker_killed_from_outside(start: Start, clip: Path, tmp_path: Path) -> None:
    client = start()
    job = client.submit(client.upload(clip), "wait open")
    wait_for(tmp_path / "asked.txt")
    for worker in multiprocessing.active_children():
        worker.kill()
    (tmp_path / "open").touch()
    assert client.ended(job)["state"] == "done"


def test_cancelling_a_queued_and_a_running_job(start: Start, clip: Path, tmp_path: Path) -> None:
    client = start()
    video = client.upload(clip)
    running, queued = client.submit(video, "wait forever"), client.submit(video, "never")
    wait_for(tmp_path / "asked.txt")
    assert client.http.post(f"/api/jobs/{queued}/cancel").json()["state"] == "cancelled"
    client.http.post(f"/api/jobs/{running}/cancel")
    assert client.ended(running)["state"] == "cancelled"
    assert client.http.post(f"/api/jobs/{running}/cancel").json()["state"] == "cancelled"
    assert client.ended(client.submit(video, "go on"))["state"] == "done"
    assert "never" not in (tmp_path / "asked.txt").read_text()


def test_the_queue_is_bounded(start: Start, clip: Path, tmp_path: Path) -> None:
    client = start(queue=2)
    video = client.upload(clip)
    jobs = [client.submit(video, "wait open")]
    wait_for(tmp_path / "asked.txt")
    jobs += [client.submit(video, "next"), client.submit(video, "last")]
    refused = client.http.post("/api/jobs", json={"video": video, "queries": ["more"]})
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    (tmp_path / "open").touch()
    assert [client.ended(job)["state"] for job in jobs] == ["done"] * 3
    assert (tmp_path / "asked.txt").read_text() == "wait open\nnext\nlast\n"


def test_the_same_request_twice_is_one_job(start: Start, clip: Path) -> None:
    client = start()
    body = {"video": client.upload(clip), "queries": ["one"]}
    answers = [
        client.http.post("/api/jobs", json=body, headers={"Idempotency-Key": "k"}) for _ in range(2)
    ]
    assert [each.status_code for each in answers] == [201, 200]
    assert answers[0].json()["id"] == answers[1].json()["id"]
    other = client.http.post(
        "/api/jobs", json={**body, "queries": ["two"]}, headers={"Idempotency-Key": "k"}
    )
    assert other.status_code == 409


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"video_frames": 19}, "at most 19 frames, found 20"),
        ({"video_minutes": 0.01}, "at most 0.01 minutes, found 0.0333"),
        ({"video_megapixels": 0.05}, "at most 0.05 million pixels a frame, found 0.0576"),
    ],
)
def test_videos_beyond_the_limits(start: Start, clip: Path, limits: dict, reason: str) -> None:
    client = start(**limits)
    video = client.upload(clip)
    found = client.video(video)
    assert found["state"] == "refused"
    assert reason in found["reason"]
    late = client.http.post("/api/jobs", json={"video": video, "queries": ["one"]})
    assert late.status_code == 422
    assert reason in late.json()["detail"]


def test_rubbish_is_refused_and_not_kept(
    start: Start, tmp_path: Path, make_settings: Callable[..., Settings]
) -> None:
    rubbish = tmp_path / "rubbish.mp4"
    rubbish.write_bytes(b"PK\x03\x04" + bytes(5000))
    client = start()
    for _ in range(2):
        found = client.video(client.upload(rubbish))
        assert found["state"] == "refused"
        assert found["reason"].startswith("expected a video that can be opened, but rubbish.mp4")
    assert list((make_settings().data / "videos").iterdir()) == []


def draw_odd(path: Path) -> Path:
    """A video of ten frames that browsers do not play."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=Fraction(10))
        stream.width, stream.height = 64, 48
        for shade in range(0, 250, 25):
            picture = np.full((48, 64, 3), shade, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_what_browsers_do_not_play_gets_a_preview(start: Start, tmp_path: Path) -> None:
    odd = draw_odd(tmp_path / "odd.avi")
    client = start()
    video = client.upload(odd)
    found = client.video(video)
    assert (found["plays"], found["frames"], found["codec"]) == (False, 10, "mpeg4")
    (job,) = client.http.get("/api/jobs", params={"video": video}).json()
    assert (job["kind"], client.ended(job["id"])["state"]) == ("preview", "done")
    assert client.video(video)["watch"] == f"/api/videos/{video}/preview"
    preview = tmp_path / "preview.mp4"
    preview.write_bytes(client.http.get(client.video(video)["watch"]).content)
    with av.open(str(preview)) as container:
        assert container.streams.video[0].codec_context.name == "h264"
    assert np.allclose(probe(preview).times_s, probe(odd).times_s, atol=1e-4)


def test_a_preview_that_failed_can_be_made_again(
    start: Start, clip: Path, tmp_path: Path, make_settings: Callable[..., Settings]
) -> None:
    client = start()
    previews = make_settings().data / "previews"
    shutil.rmtree(previews)  # as good as a full disk
    video = client.upload(draw_odd(tmp_path / "odd.avi"))
    path = f"/api/videos/{video}/preview"
    (job,) = client.http.get("/api/jobs", params={"video": video}).json()
    assert client.ended(job["id"])["state"] == "failed"
    assert "POST to this path" in client.http.get(path).json()["detail"]

    previews.mkdir()
    again = client.http.post(path)
    assert (again.status_code, again.json()["kind"]) == (201, "preview")
    assert client.ended(again.json()["id"])["state"] == "done"
    assert client.http.get(path).status_code == 200
    assert client.http.post(path).json()["id"] == again.json()["id"]  # it is there
    (previews / f"{video}.mp4").unlink()
    third = client.http.post(path).json()["id"]
    assert third != again.json()["id"]
    assert client.ended(third)["state"] == "done"

    plays = client.upload(clip)
    refused = client.http.post(f"/api/videos/{plays}/preview")
    assert (refused.status_code, refused.json()["detail"]) == (
        409, "browsers play the file itself, it gets no preview"
    )  # fmt: skip


def test_frame_times_are_those_of_the_file(start: Start, tmp_path: Path) -> None:
    times_s = [0.0, 0.1, 0.15, 0.7, 0.75, 2.0]
    uneven = tmp_path / "uneven.mp4"
    with VideoWriter(uneven, fps=Fraction(10)) as writer:
        for number, time_s in enumerate(times_s):
            writer.write(np.full((48, 64, 3), 20 * number, np.uint8), time_s)
    client = start()
    video = client.upload(uneven)
    answer = client.http.get(f"/api/videos/{video}/times")
    assert answer.json()["times_s"] == pytest.approx(times_s, abs=1e-3)
    assert answer.json()["times_s"] == probe(uneven).times_s.tolist()
    assert answer.headers["cache-control"] == "private, max-age=3600"
    client.http.delete(f"/api/videos/{video}")
    assert client.http.get(f"/api/videos/{video}/times").status_code == 404


def test_times_of_a_video_that_is_not_ready(start: Start, tmp_path: Path) -> None:
    client = start()
    service = client.http.app.state.service
    service.store.claim = lambda kind: None  # nobody looks
    video = client.upload(draw_odd(tmp_path / "odd.avi"), wait=False)
    for path in ("times", "file"):
        answer = client.http.get(f"/api/videos/{video}/{path}")
        assert answer.status_code == 409
        assert "this one is new; a worker looks at it soon" in answer.json()["detail"]
    assert client.http.post(f"/api/videos/{video}/preview").status_code == 409
    del service.store.claim
    service.workers.wake()


def test_a_file_is_given_out_in_ranges(start: Start, clip: Path) -> None:
    client = start()
    path = client.video(client.upload(clip))["watch"]
    whole = client.http.get(path)
    assert whole.content == clip.read_bytes()
    assert whole.headers["content-type"] == "video/mp4"
    part = client.http.get(path, headers={"Range": "bytes=4-7"})
    assert (part.status_code, part.content) == (206, clip.read_bytes()[4:8])
    for asked, status, reason in (
        ("bytes=99999999-", 416, "within the file"),
        ("bytes=7-4", 400, "range of bytes such as"),
        ("frames=1-2", 400, "range of bytes such as"),
        ("bytes", 400, "range of bytes such as"),
    ):
        refused = client.http.get(path, headers={"Range": asked})
        assert refused.status_code == status
        assert reason in refused.json()["detail"]
        assert refused.headers["content-length"] == str(len(refused.content))
        assert refused.headers["x-content-type-options"] == "nosniff"
    beyond = client.http.get(path, headers={"Range": "bytes=99999999-"})
    assert beyond.headers["content-range"] == f"bytes */{clip.stat().st_size}"


def test_deleting(start: Start, clip: Path, make_settings: Callable[..., Settings]) -> None:
    client = start()
    video = client.upload(clip)
    job = client.submit(video, "one")
    client.ended(job)
    film = client.http.post(f"/api/jobs/{job}/overlay").json()["id"]
    client.ended(film)
    assert client.http.delete(f"/api/jobs/{film}").status_code == 204
    assert client.http.delete(f"/api/videos/{video}").status_code == 204
    for path in (f"/api/videos/{video}", f"/api/jobs/{job}", f"/api/jobs/{job}/predictions"):
        assert client.http.get(path).status_code == 404
    data = make_settings().data
    assert not any([*(data / "videos").iterdir(), *(data / "overlays").iterdir()])
    assert client.upload(clip) == video


def test_figures(start: Start, clip: Path) -> None:
    client = start()
    video = client.upload(clip)
    client.ended(client.submit(video, "one"))
    client.ended(client.submit(video, "raise"))
    client.http.request("BREW", "/secret")
    text = client.http.get("/metrics").text
    for line in (
        'stvg_jobs{kind="ground",state="done"} 1.0',
        'stvg_jobs{kind="ground",state="failed"} 1.0',
        'stvg_jobs_ended_total{kind="ground",state="done"} 1.0',
        'stvg_stage_seconds_count{stage="model"} 1.0',
        'stvg_http_requests_total{method="POST",route="/api/jobs",status="201"} 2.0',
        'stvg_http_requests_total{method="other",route="none",status="404"} 1.0',
    ):
        assert line in text.splitlines()
    assert client.http.get("/health/live").json() == {"ok": True}
    assert client.http.get("/health/ready").json() == {"ok": True, "workers": True, "disk": True}


def test_faults_are_answered_and_counted(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    client = start()

    def fail(error: Exception) -> None:
        def videos() -> None:
            raise error

        monkeypatch.setattr(client.http.app.state.service.store, "videos", videos)

    fail(sqlite3.OperationalError("database or disk is full"))
    answer = client.http.get("/api/videos")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
    fail(RuntimeError("a fault"))
    with pytest.raises(RuntimeError):  # what the log of a real service is told
        client.http.get("/api/videos")
    lines = client.http.get("/metrics").text.splitlines()
    for status in (500, 503):
        asked = f'method="GET",route="/api/videos",status="{status}"'
        assert f"stvg_http_requests_total{{{asked}}} 1.0" in lines


def test_a_full_disk_is_not_ready_and_takes_no_upload(start: Start, clip: Path) -> None:
    client = start(free_gb=10**9)
    assert client.http.get("/health/ready").status_code == 503
    answer = client.http.post(
        "/api/videos", content=clip.read_bytes(), headers={"Content-Type": "video/mp4"}
    )
    assert answer.status_code == 507


def test_the_description_names_every_refusal(start: Start) -> None:
    description = start().http.get("/openapi.json").json()
    for path, operations in description["paths"].items():
        for operation in operations.values():
            assert "$defs" not in str(operation)
            for status, answer in operation["responses"].items():
                if int(status) >= 400 and path != "/health/ready":
                    schema = answer["content"]["application/json"]["schema"]
                    assert schema["$ref"].endswith("/Problem"), (path, status)


def wait_for(path: Path) -> None:
    while not path.exists():
        time.sleep(0.02)
