"""What is kept and what is dropped; no worker runs here."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stvg.serve.service import DAY_S, Service
from stvg.serve.settings import Settings
from stvg.serve.store import Outcome, Video

FACTS = {"width": 4, "height": 4, "plays": True}


@pytest.fixture
def make(make_settings: Callable[..., Settings]) -> Iterator[Callable[..., Service]]:
    made: list[Service] = []

    def begin(**values: object) -> Service:
        made.append(Service(make_settings(**values)))
        return made[-1]

    yield begin
    for service in made:
        service.store.close()
        service.folders.release()


def add_upload(service: Service, name: str, size: int = 1000) -> Video:
    """An upload that was looked at."""
    video_id = hashlib.sha256(name.encode()).hexdigest()
    temporary = service.folders.incoming / name
    temporary.write_bytes(bytes(size))
    path = service.folders.videos / video_id
    video, _ = service.keep(temporary, Video(video_id, name, str(path), True, size))
    look = service.store.claim("look")
    assert look is not None
    service.store.finish(look, Outcome("done", facts=FACTS))
    return video


def add_done_job(service: Service, video: Video) -> str:
    job, _ = service.store.add_job("ground", video.id, {}, room=9)
    running = service.store.claim("ground")
    assert running is not None
    service.store.finish(running, Outcome("done", predictions={"m": ["text"]}))
    (service.folders.overlays / f"{job.id}-film.mp4").write_bytes(bytes(1000))
    return job.id


def age(service: Service, days: float) -> None:
    """Make everything older."""
    with sqlite3.connect(service.folders.database) as database:
        database.execute("UPDATE videos SET used_s = used_s - ?", (days * DAY_S,))
        database.execute("UPDATE jobs SET ended_s = ended_s - ?", (days * DAY_S,))
    database.close()


def files(service: Service) -> set[str]:
    return {path.name for path, _ in service.folders.kept()}


def test_old_jobs_and_unused_uploads_are_dropped(make: Callable[..., Service]) -> None:
    service = make(keep_days=7)
    old, waiting = add_upload(service, "old"), add_upload(service, "waiting")
    job = add_done_job(service, old)
    kept, _ = service.store.add_job("ground", waiting.id, {}, room=9)
    age(service, 8)
    young = add_upload(service, "young")
    service.tidy()
    assert [each.name for each in service.store.videos()] == ["young", "waiting"]
    assert service.store.job(job) is None
    assert service.store.job(kept.id) is not None
    assert files(service) == {young.id, waiting.id}


def test_nothing_is_dropped_unless_asked(make: Callable[..., Service]) -> None:
    service = make()
    job = add_done_job(service, add_upload(service, "old"))
    age(service, 10_000)
    service.tidy()
    assert service.store.job(job) is not None
    assert len(files(service)) == 2


def test_the_longest_unused_uploads_make_room(make: Callable[..., Service]) -> None:
    service = make(keep_gb=2500e-9)  # two uploads of 1000 bytes fit
    first, second = add_upload(service, "first"), add_upload(service, "second")
    third = add_upload(service, "third")
    service.store.add_video(first)  # uploaded again: used last
    service.tidy()
    assert files(service) == {first.id, third.id}
    assert service.store.video(second.id) is None


def test_what_a_killed_service_left_is_swept(make: Callable[..., Service]) -> None:
    service = make()
    video = add_upload(service, "known")
    job = add_done_job(service, video)
    folders = service.folders
    known = {video.id, f"{job}-film.mp4", folders.preview(video.id).name}
    folders.preview(video.id).touch()
    for left in (
        folders.incoming / "half",
        folders.videos / ("f" * 64),
        folders.previews / ".stvg-partial-0123.mp4",
        folders.overlays / f"{'e' * 32}-film.mp4",
    ):
        left.touch()
    service.sweep()
    assert files(service) == known
    assert list(folders.incoming.iterdir()) == []


def test_a_refused_upload_is_swept(make: Callable[..., Service]) -> None:
    service = make()
    video_id = hashlib.sha256(b"rubbish").hexdigest()
    temporary = service.folders.incoming / "rubbish"
    temporary.touch()
    path = str(service.folders.videos / video_id)
    service.keep(temporary, Video(video_id, "rubbish", path, True, 0))
    look = service.store.claim("look")
    assert look is not None
    service.store.finish(look, Outcome("failed", "no video"))  # and then the service is killed
    service.sweep()
    assert files(service) == set()


def test_films_go_before_uploads(make: Callable[..., Service], tmp_path: Path) -> None:
    service = make(keep_gb=1500e-9)
    upload = add_upload(service, "upload")
    own = tmp_path / "own.mp4"
    own.touch()
    named, _ = service.take_in(Video("a" * 64, "own.mp4", str(own), uploaded=False, bytes=0))
    look = service.store.claim("look")
    assert look is not None
    service.store.finish(look, Outcome("done", facts=FACTS))
    job = add_done_job(service, named)  # with a film of 1000 bytes
    service.tidy()
    assert files(service) == {upload.id}
    assert service.store.job(job) is not None


def test_an_old_preview_makes_room(make: Callable[..., Service], tmp_path: Path) -> None:
    service = make(keep_gb=1500e-9)
    upload = add_upload(service, "upload")
    named, _ = service.take_in(
        Video("a" * 64, "own.avi", "/films/own.avi", uploaded=False, bytes=0)
    )
    look = service.store.claim("look")
    assert look is not None
    service.store.finish(look, Outcome("done", facts=FACTS))
    service.folders.preview(named.id).write_bytes(bytes(1000))
    service.store.add_video(upload)  # uploaded again: used last
    service.tidy()
    assert files(service) == {upload.id}


def test_tidying_goes_on_after_a_fault(make: Callable[..., Service], monkeypatch) -> None:
    tried = []

    def tidy(service: Service) -> None:
        tried.append(service)
        raise sqlite3.OperationalError("database or disk is full")

    async def until_tried_again() -> None:
        async with make().working():
            while len(tried) < 2:
                await asyncio.sleep(0.01)

    monkeypatch.setattr(Service, "tidy", tidy)
    monkeypatch.setattr("stvg.serve.service.TIDY_EVERY_S", 0.01)
    asyncio.run(asyncio.wait_for(until_tried_again(), 60))


def test_a_seat_that_is_about_to_wait_sees_the_end(make: Callable[..., Service]) -> None:
    workers = make().workers
    seat = workers._seats[0]

    class Late(threading.Event):
        """The end comes just before the seat forgets what woke it."""

        def clear(self) -> None:
            workers.stopping.set()
            self.set()
            super().clear()

    seat.awake = Late()
    seat.start()
    seat.join(60)
    assert not seat.is_alive()


def test_a_file_under_a_root_is_never_deleted(make: Callable[..., Service], tmp_path: Path) -> None:
    own = tmp_path / "own.mp4"
    own.touch()
    service = make()
    video, _ = service.take_in(Video("a" * 64, "own.mp4", str(own), uploaded=False, bytes=0))
    look = service.store.claim("look")
    assert look is not None
    service.store.finish(look, Outcome("failed", "no video"))
    service.forget_video(video)
    assert own.exists()


def test_the_folder_is_for_its_owner_alone(make: Callable[..., Service]) -> None:
    assert make().folders.data.stat().st_mode & 0o077 == 0
