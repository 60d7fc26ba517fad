"""From videos to numbered objects: what is filled in, kept, filtered, and joined across cuts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from stvg.errors import UsageError
from stvg.perception.detect import Detections
from stvg.perception.numbering import (
    NumberingConfig,
    fill_in,
    keep_most,
    number_objects,
    without_small,
)
from stvg.perception.shots import find_cuts
from stvg.types import ByteArray, Correction, Track, Tracks, VideoMeta
from stvg.video.writer import VideoWriter

VIDEO = VideoMeta("v.mp4", 100, 100, Fraction(10), 2.0, 20)
Seen = tuple[list[float], float, str]


class Scripted:
    """A detector that says what it was told for each look, in turn."""

    name, classes, long_side = "scripted", ("dog", "cat"), 64

    def __init__(self, script: Callable[[int], list[Seen]]) -> None:
        self.script, self.looks = script, 0

    def detect(self, frames: ByteArray, words: Sequence[str] = ()) -> list[Detections]:
        results = []
        for _ in frames:
            seen = self.script(self.looks)
            self.looks += 1
            results.append(
                Detections(
                    np.array([box for box, _, _ in seen], float).reshape(-1, 4),
                    np.array([score for _, score, _ in seen], float),
                    tuple(label for _, _, label in seen),
                )
            )
        return results


def write(path: Path, pictures: Sequence[ByteArray], fps: int = 10) -> Path:
    with VideoWriter(path, fps=Fraction(fps)) as writer:
        for number, rgb in enumerate(pictures):
            writer.write(rgb, number / fps)
    return path


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2 s of grey, 64 x 64, 10 frames a second."""
    path = tmp_path_factory.mktemp("numbering") / "plain.mp4"
    return write(path, [np.full((64, 64, 3), 120, np.uint8)] * 20)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two shots of 15 frames: a red patch on texture, then the same patch on another texture."""
    source = np.random.default_rng(1)
    pictures = []
    for shade in (60, 190):
        still = source.integers(shade - 30, shade + 30, (16, 16, 3)).repeat(4, 0).repeat(4, 1)
        still[10:30, 10:30] = (214, 40, 40)
        pictures += [still.astype(np.uint8)] * 15
    return write(tmp_path_factory.mktemp("numbering") / "film.mp4", pictures)


def track(number: int, frames: Sequence[int], box: Sequence[float], label: str = "dog") -> Track:
    return Track(number, label, list(frames), [box] * len(frames), [0.9] * len(frames))


# ------------------------------------------------------------------------------------- filling in


def test_short_absences_are_filled_in_and_long_ones_are_not() -> None:
    moving = Track(1, "dog", [5, 8, 19], [[20, 20, 30, 30], [50, 20, 60, 30], [60, 20, 70, 30]],
                   [0.9, 0.8, 0.7])  # fmt: skip
    found = fill_in(moving, VIDEO, NumberingConfig(fill_s=0.5, hold_s=0))
    assert found.frames.tolist() == [5, 6, 7, 8, 19]
    assert found.boxes[1:3, 0].tolist() == pytest.approx([30, 40])
    assert found.scores.tolist() == [0.9, 0, 0, 0.8, 0.7]


def test_a_box_stays_for_a_moment_before_and_after() -> None:
    found = fill_in(track(1, [5, 6], [20, 20, 30, 30]), VIDEO, NumberingConfig(hold_s=0.2))
    assert found.frames.tolist() == [3, 4, 5, 6, 7, 8]
    assert (found.boxes == [20, 20, 30, 30]).all()
    assert found.scores.tolist() == [0, 0, 0.9, 0.9, 0, 0]


def test_at_the_edge_it_goes_on_as_it_went_until_it_is_gone() -> None:
    leaving = Track(1, "dog", [5, 6], [[80, 20, 95, 30], [90, 20, 100, 30]], [0.9, 0.9])
    found = fill_in(leaving, VIDEO, NumberingConfig(hold_s=0.5))
    assert found.frames.tolist()[-2:] == [5, 6]  # 10 further to the right nothing is left
    slow = Track(1, "dog", [5, 6], [[86, 20, 100, 30], [90, 20, 100, 30]], [0.9, 0.9])
    found = fill_in(slow, VIDEO, NumberingConfig(hold_s=0.5))
    assert found.frames.tolist()[-2:] == [7, 8]
    assert found.boxes[-2:, 0].tolist() == pytest.approx([94, 98])


def test_nothing_is_filled_in_across_a_cut() -> None:
    found = fill_in(
        track(1, [4, 6], [20, 20, 30, 30]), VIDEO, NumberingConfig(hold_s=0.2), [0, 5, 20]
    )
    assert found.frames.tolist() == [2, 3, 4, 6, 7, 8]


# --------------------------------------------------------------------------------- keep and filter


def test_the_largest_are_kept_and_numbered_by_first_frame() -> None:
    tracks = (
        track(7, range(10, 20), [0, 0, 50, 50]),
        track(2, range(20), [0, 0, 5, 5]),
        track(9, range(20), [0, 0, 40, 40]),
    )
    kept = keep_most(Tracks(VIDEO, tracks), 2).tracks
    assert [(t.id, len(t)) for t in kept] == [(1, 20), (2, 10)]


def test_corrections_follow_the_new_numbers() -> None:
    tracks = (
        track(7, range(10, 20), [0, 0, 50, 50]),
        track(2, range(20), [0, 0, 5, 5]),
        track(9, range(20), [0, 0, 40, 40]),
    )
    noted = (Correction(3, 2, 7), Correction(9, 9, 7))
    assert keep_most(Tracks(VIDEO, tracks, noted), 2).corrections == (Correction(9, 1, 2),)


def test_flickers_get_no_number() -> None:
    tracks = (track(1, [3], [0, 0, 50, 50]), track(2, [3, 4], [0, 0, 50, 50]))
    assert [len(t) for t in keep_most(Tracks(VIDEO, tracks), 9, 0.2).tracks] == [2]
    single = VideoMeta("picture.mp4", 100, 100, Fraction(10), 0.1, 1)
    assert len(keep_most(Tracks(single, (track(1, [0], [0, 0, 50, 50]),)), 9, 0.2)) == 1


def test_small_ones_go_by_class_and_frame() -> None:
    tracks = Tracks(
        VIDEO,
        (
            track(1, [0, 1], [0, 0, 60, 10]),  # 600
            track(2, [0, 1, 2], [0, 0, 10, 20]),  # 200: just a third
            track(3, [0, 2], [0, 0, 10, 19]),  # 190: less in frame 0, nearly the largest in 2
            track(4, [0], [0, 0, 2, 2], "cat"),  # the only cat
        ),
    )
    found = {t.id: t.frames.tolist() for t in without_small(tracks, 1 / 3).tracks}
    assert found == {1: [0, 1], 2: [0, 1, 2], 3: [2], 4: [0]}
    assert len(without_small(tracks, 0)) == 4
    with pytest.raises(UsageError, match=r"share in \[0, 1\]"):
        without_small(tracks, 1.5)


# ---------------------------------------------------------------------------------- whole videos


def test_a_video_without_objects(plain: Path) -> None:
    assert len(number_objects(plain, Scripted(lambda _: []))) == 0


def test_numbers_count_from_one_in_order_of_appearance(plain: Path) -> None:
    def script(look: int) -> list[Seen]:
        seen: list[Seen] = [([40, 40, 60, 60], 0.9, "cat")]
        return seen + ([([5, 5, 25, 25], 0.9, "dog")] if look >= 8 else [])

    found = number_objects(plain, Scripted(script), NumberingConfig(hold_s=0)).tracks
    assert [(t.id, t.label, int(t.frames[0])) for t in found] == [(1, "cat", 0), (2, "dog", 8)]


def test_sixty_objects_become_the_thirty_largest(plain: Path) -> None:
    """A 8 x 8 grid of things that do not touch; the last 30 are a little larger."""

    def script(_: int) -> list[Seen]:
        corners = [(8 * (n % 8), 8 * (n // 8)) for n in range(60)]
        sizes = [4 if n < 30 else 5 for n in range(60)]
        return [
            ([x, y, x + s, y + s], 0.9, "dog") for (x, y), s in zip(corners, sizes, strict=True)
        ]

    found = number_objects(plain, Scripted(script)).tracks
    assert [t.id for t in found] == list(range(1, 31))
    assert {round(float(t.boxes[0, 2] - t.boxes[0, 0])) for t in found} == {5}


def test_weak_sights_before_an_object_was_sure_are_its_own(plain: Path) -> None:
    """Found surely at look 10, weakly from look 3 on: the track goes back to look 3."""

    def script(look: int) -> list[Seen]:
        return [([20, 20, 40, 40], 0.9 if look >= 10 else 0.15, "dog")] if look >= 3 else []

    (only,) = number_objects(plain, Scripted(script), NumberingConfig(hold_s=0)).tracks
    assert only.frames.tolist() == list(range(3, 20))


def test_looks_that_are_apart_give_a_box_in_every_frame(plain: Path) -> None:
    config = NumberingConfig(fps=2.5)
    (only,) = number_objects(
        plain, Scripted(lambda look: [([20 + look, 20, 40 + look, 40], 0.9, "dog")]), config
    ).tracks
    assert only.frames.tolist()[:17] == list(range(17))  # looks at 0, 4, 8, 12 and 16
    assert only.boxes[:5, 0].tolist() == pytest.approx([20, 20.25, 20.5, 20.75, 21])


def test_cuts_are_found(film: Path, plain: Path) -> None:
    assert find_cuts(film) == [15]
    assert find_cuts(plain) == []


@pytest.mark.parametrize(
    ("place", "same_look", "objects"),
    [
        ([10, 10, 30, 30], 0.8, 1),  # the red patch again
        ([34, 34, 60, 60], 0.8, 2),  # something of other colours
        ([10, 10, 30, 30], 1.0, 2),  # joining is off
    ],
)
def test_across_a_cut_looks_decide(
    film: Path, place: list[float], same_look: float, objects: int
) -> None:
    def script(look: int) -> list[Seen]:
        return [([10, 10, 30, 30] if look < 15 else place, 0.9, "dog")]

    found = number_objects(film, Scripted(script), NumberingConfig(same_look=same_look)).tracks
    assert len(found) == objects
    assert sum(len(t) for t in found) == 30
