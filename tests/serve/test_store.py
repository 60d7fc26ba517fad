"""What the store keeps, and what it refuses to do."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from pathlib import Path

import pytest

from stvg.errors import OutputError, UsageError
from stvg.serve.store import ConflictError, Job, Outcome, QueueFullError, Store, Video

FACTS = {"width": 4, "height": 4, "plays": True}
ANSWERED = Outcome("done", predictions={"m": ["first", "second"]})


@pytest.fixture
def store(tmp_path: Path):
    store = Store(tmp_path / "serve.sqlite3")
    yield store
    store.close()


def add_video(store: Store, name: str = "a", *, looked_at: bool = True) -> str:
    store.add_video(Video(name, f"{name}.mp4", f"/videos/{name}", uploaded=True, bytes=10))
    if looked_at:
        finish_look(store, Outcome("done", facts=FACTS))
    return name


def finish_look(store: Store, outcome: Outcome) -> list[str]:
    look = store.claim("look")
    assert look is not None
    return store.finish(look, outcome)


def add_job(store: Store, video: str = "a", **more: object) -> Job:
    job, is_new = store.add_job("ground", video, {"queries": ["x"]}, **{"room": 9, **more})
    assert is_new
    return job


def started(store: Store) -> Job:
    job = store.claim("ground")
    assert job is not None
    return job


def test_a_job_goes_its_way(store: Store) -> None:
    add_video(store)
    job = add_job(store)
    assert (job.state, job.attempts, job.started_s) == ("queued", 0, None)
    running = started(store)
    assert (running.id, running.state, running.attempts) == (job.id, "running", 1)
    assert store.claim("ground") is None
    assert store.finish(running, ANSWERED) == [job.id]
    done = store.job(job.id)
    assert done is not None
    assert done.state == "done"
    assert done.ended_s is not None
    assert [each.document for each in store.predictions(job.id, "m")] == ["first", "second"]


def test_jobs_start_in_the_order_in_which_they_came(store: Store) -> None:
    add_video(store)
    ids = [add_job(store).id for _ in range(3)]
    assert [started(store).id for _ in range(3)] == ids


def test_a_result_is_taken_once_and_from_the_running_attempt_only(store: Store) -> None:
    add_video(store)
    add_job(store)
    first = started(store)
    store.requeue(first)
    second = started(store)
    assert second.attempts == 2
    assert store.finish(first, ANSWERED) == []  # the first attempt was given up
    assert store.predictions(first.id, "m") == []
    assert store.finish(second, ANSWERED) == [second.id]
    assert store.finish(second, Outcome("failed", "late")) == []
    assert len(store.predictions(first.id, "m")) == 2


def test_an_ended_job_never_starts_again(store: Store) -> None:
    add_video(store)
    add_job(store)
    job = started(store)
    store.finish(job, Outcome("failed", "no"))
    store.requeue(job)
    store.recover()
    assert store.cancel(job.id) == "failed"
    assert store.claim("ground") is None


def test_every_job_is_started_by_one_thread_only(store: Store) -> None:
    add_video(store)
    wanted = {add_job(store, room=100).id for _ in range(40)}
    found: list[str] = []

    def work() -> None:
        while (job := store.claim("ground")) is not None:
            found.append(job.id)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(found) == dict.fromkeys(wanted, 1)


def test_jobs_wait_for_the_look_at_their_video(store: Store) -> None:
    add_video(store, looked_at=False)
    job = add_job(store)
    assert store.claim("ground") is None
    finish_look(store, Outcome("done", facts=FACTS))
    assert started(store).id == job.id


def test_a_refused_video_fails_the_jobs_that_wait_for_it(store: Store) -> None:
    add_video(store, looked_at=False)
    job = add_job(store)
    assert job.id in finish_look(store, Outcome("failed", "rubbish"))
    failed, video = store.job(job.id), store.video("a")
    assert failed is not None
    assert video is not None
    assert (failed.state, failed.reason) == ("failed", "rubbish")
    assert (video.state, video.reason) == ("refused", "rubbish")
    with pytest.raises(ConflictError, match="refused: rubbish"):
        add_job(store)


def test_frame_times_come_with_the_look_and_go_with_the_video(store: Store) -> None:
    add_video(store, looked_at=False)
    assert store.times("a") is None
    finish_look(store, Outcome("done", facts=FACTS, times_s=[0.0, 0.04, 0.1]))
    assert store.times("a") == "[0.0, 0.04, 0.1]"
    store.delete_video("a")
    assert store.times("a") is None


def test_a_video_that_browsers_do_not_play_gets_a_preview(store: Store) -> None:
    add_video(store, looked_at=False)
    finish_look(store, Outcome("done", facts={**FACTS, "plays": False}))
    job = store.claim("preview")
    assert job is not None
    assert job.video == "a"


def test_the_same_video_is_kept_once(store: Store) -> None:
    first, is_new = store.add_video(Video("a", "one.mp4", "/videos/a", uploaded=True, bytes=10))
    again, is_new_again = store.add_video(
        Video("a", "two.mp4", "/videos/a", uploaded=True, bytes=10)
    )
    assert (is_new, is_new_again) == (True, False)
    assert again.name == first.name == "one.mp4"
    assert store.counts() == {("look", "queued"): 1}


def test_the_queue_has_an_end(store: Store) -> None:
    add_video(store)
    add_job(store, room=2)
    add_job(store, room=2)
    with pytest.raises(QueueFullError, match="2 jobs wait"):
        add_job(store, room=2)
    started(store)  # leaves room
    add_job(store, room=2)


def test_a_key_gives_one_job(store: Store) -> None:
    add_video(store)
    job = add_job(store, key="k", room=1)
    again, is_new = store.add_job("ground", "a", {"queries": ["x"]}, key="k", room=1)
    assert (again.id, is_new) == (job.id, False)
    with pytest.raises(ConflictError, match="another request"):
        store.add_job("ground", "a", {"queries": ["y"]}, key="k", room=1)


def test_what_ran_when_a_service_died_is_queued_once_more(store: Store) -> None:
    add_video(store)
    job = add_job(store)
    started(store)
    store.recover()
    assert started(store).attempts == 2
    store.recover()
    failed = store.job(job.id)
    assert failed is not None
    assert failed.state == "failed"
    assert failed.reason == "the service died twice while this job ran"


def test_a_clean_stop_costs_no_attempt(store: Store) -> None:
    add_video(store)
    add_job(store)
    for _ in range(3):
        job = started(store)
        assert job.attempts == 1
        store.requeue(job, counts=False)


def test_cancelling(store: Store) -> None:
    add_video(store)
    waiting, running = add_job(store), add_job(store)
    assert store.cancel(waiting.id) == "cancelled"
    assert started(store).id == running.id
    assert store.cancel(running.id) == "running"
    store.recover()  # the service died before the worker had stopped
    cancelled = store.job(running.id)
    assert cancelled is not None
    assert cancelled.state == "cancelled"
    assert store.cancel("0" * 32) is None


def test_a_cancelled_job_is_not_queued_again(store: Store) -> None:
    add_video(store)
    job = add_job(store)
    running = started(store)
    store.cancel(job.id)
    store.requeue(running, counts=False)  # the service stopped before the worker had
    ended = store.job(job.id)
    assert ended is not None
    assert (ended.state, ended.ended_s is not None) == ("cancelled", True)


def test_corrections_stand_beside_the_original(store: Store) -> None:
    add_video(store)
    job = add_job(store)
    store.finish(started(store), ANSWERED)
    versions = [store.add_version(job.id, "m", 1, text) for text in ("better", "best")]
    assert [each and each.version for each in versions] == [2, 3]
    texts = [each.document for each in store.predictions(job.id, "m")]
    assert texts == ["first", "best"]
    originals = [each.document for each in store.predictions(job.id, "m", original=True)]
    assert originals == ["first", "second"]
    kept = [(each.version, each.document) for each in store.versions(job.id, "m", 1)]
    assert kept == [(1, "second"), (2, "better"), (3, "best")]
    assert store.add_version(job.id, "m", 7, "nowhere") is None


def test_deleting_waits_for_the_end(store: Store) -> None:
    add_video(store)
    job = add_job(store)
    with pytest.raises(ConflictError, match="1 jobs"):
        store.delete_video("a")
    with pytest.raises(ConflictError, match="queued"):
        store.delete_job(job.id)
    store.finish(started(store), ANSWERED)
    store.delete_video("a")
    assert store.job(job.id) is None
    assert store.predictions(job.id, "m") == []


def test_a_failed_change_leaves_nothing(store: Store) -> None:
    add_video(store)
    job = add_job(store)
    with pytest.raises(sqlite3.IntegrityError):  # a document must be text
        store.finish(started(store), Outcome("done", predictions={"m": ["text", None]}))  # type: ignore[list-item]
    kept = store.job(job.id)
    assert kept is not None
    assert kept.state == "running"
    assert store.predictions(job.id, "m") == []


def test_a_change_that_cannot_be_kept_holds_up_no_other(store: Store) -> None:
    add_video(store)

    def add_orphan() -> None:
        with store._change() as change:
            change.execute("PRAGMA defer_foreign_keys = ON")  # refused by COMMIT
            change.execute("INSERT INTO predictions VALUES ('nobody', 'm', 0, 1, 0.0, 'text')")

    with pytest.raises(sqlite3.IntegrityError):
        add_orphan()
    add_job(store)
    assert store.predictions("nobody", "m") == []


def test_everything_is_there_after_opening_again(store: Store, tmp_path: Path) -> None:
    add_video(store)
    job = add_job(store)
    store.finish(started(store), ANSWERED)
    again = Store(tmp_path / "serve.sqlite3")
    assert again.job(job.id) == store.job(job.id)
    assert again.predictions(job.id, "m") == store.predictions(job.id, "m")
    again.close()


@pytest.mark.parametrize("content", [b"not a database, but long enough" * 50, None])
def test_another_file_is_not_touched(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite3"
    if content is None:
        with sqlite3.connect(path) as other:
            other.execute("CREATE TABLE theirs (x)")
        other.close()
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    with pytest.raises(UsageError, match="expected a database of stvg serve"):
        Store(path)
    assert path.read_bytes() == before


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="unable to open"):
        Store(tmp_path / "missing" / "serve.sqlite3")
