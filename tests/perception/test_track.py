"""From videos to tracked objects: scripted detectors on numbered frames, and drawn clips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from stvg.errors import UsageError
from stvg.perception.appearance import COLOURS
from stvg.perception.blobs import BlobDetector
from stvg.perception.detect import Detections
from stvg.perception.track import TrackingConfig, _drop_doubles, perceive, tracker_names
from stvg.types import ByteArray, Scene, SceneObject
from stvg.video import probe
from stvg.video.writer import VideoWriter
from tests.barcode import read_number, write_barcode_video

TRACKERS = ("botsort", "bytetrack", "cbiou", "ocsort", "sort")
Seen = tuple[list[float], float, str]  # box, confidence, class


class Scripted:
    """A detector that knows from the number painted on a frame what to see in it."""

    name = "scripted"

    def __init__(
        self,
        script: Callable[[int], list[Seen]],
        classes: tuple[str, ...] | None = ("dog", "cat"),
        long_side: int = 96,
    ) -> None:
        self.script, self.classes, self.long_side = script, classes, long_side
        self.looked: list[int] = []
        self.words: set[tuple[str, ...]] = set()

    def number_of(self, frame: ByteArray) -> int:
        return read_number(frame)

    def detect(self, frames: ByteArray, words: Sequence[str] = ()) -> list[Detections]:
        self.words.add(tuple(words))
        results = []
        for frame in frames:
            number = self.number_of(frame)
            self.looked.append(number)
            seen = self.script(number)
            results.append(
                Detections(
                    np.array([box for box, _, _ in seen], float).reshape(-1, 4),
                    np.array([score for _, score, _ in seen], float),
                    tuple(label for _, _, label in seen),
                )
            )
        return results


class Counting(Scripted):
    """The same on frames without a number: it counts them."""

    def number_of(self, frame: ByteArray) -> int:
        return len(self.looked)


def square(x: float, y: float, size: float = 16) -> list[float]:
    return [x, y, x + size, y + size]


def two_things(number: int) -> list[Seen]:
    """A dog that goes right, a cat that goes left below it; 96 x 64 pixels."""
    return [
        (square(5 + 2 * number, 5), 0.9, "dog"),
        (square(75 - 2 * number, 40), 0.8, "cat"),
    ]


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 numbered frames of 96 x 64 pixels at 10 a second."""
    path = tmp_path_factory.mktemp("track") / "numbered.mp4"
    write_barcode_video(path)
    return path


@pytest.fixture(scope="session")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 s at 5 frames a second."""
    path = tmp_path_factory.mktemp("track") / "long.mp4"
    write_barcode_video(path, frames=60, fps=5)
    return path


@pytest.fixture(scope="session")
def resting_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same length and size; nothing moves, which matters to trackers that look at it."""
    path = tmp_path_factory.mktemp("track") / "resting.mp4"
    picture = np.random.default_rng(0).integers(60, 200, (16, 24, 3)).repeat(4, 0).repeat(4, 1)
    with VideoWriter(path, fps=Fraction(10)) as writer:
        for number in range(30):
            writer.write(picture.astype(np.uint8), number / 10)
    return path


def by_label(scene: Scene) -> dict[str, SceneObject]:
    found = {item.track.label: item for item in scene.objects}
    assert len(found) == len(scene.objects), "two objects of one label"
    return found


# ---------------------------------------------------------------------------------- every tracker


def test_trackers_that_work_on_boxes_alone() -> None:
    assert set(TRACKERS) <= set(tracker_names())
    assert "mcbyte" not in tracker_names()


@pytest.mark.parametrize("tracker", TRACKERS)
def test_every_tracker_follows_two_things(tracker: str, resting_clip: Path) -> None:
    scene = perceive(resting_clip, Counting(two_things), TrackingConfig(tracker=tracker))
    found = by_label(scene)
    assert sorted(found) == ["cat", "dog"]
    for label, row in (("dog", 0), ("cat", 1)):
        track = found[label].track
        assert track.frames.tolist() == list(range(30))  # from the first sight on
        np.testing.assert_allclose(track.boxes, [two_things(n)[row][0] for n in range(30)])
        np.testing.assert_allclose(track.scores, two_things(0)[row][1])
        assert found[label].label_shares == {label: 1.0}


@pytest.mark.parametrize("tracker", TRACKERS)
def test_every_tracker_starts_where_an_object_appears(tracker: str, resting_clip: Path) -> None:
    def script(number: int) -> list[Seen]:
        return [(square(20 + number, 20), 0.9, "dog")] if 10 <= number < 25 else []

    scene = perceive(resting_clip, Counting(script), TrackingConfig(tracker=tracker))
    (only,) = scene.objects
    assert only.track.frames.tolist() == list(range(10, 25))


@pytest.mark.parametrize(
    ("tracker", "reason"),
    [
        ("bytetrak", "there is no tracker 'bytetrak' .* did you mean 'bytetrack'"),
        ("mcbyte", "there is no tracker 'mcbyte' that works on boxes alone"),  # needs masks
        ("", "known: botsort, bytetrack, cbiou"),
        ("missing.py:Mine", "expected a Python file at missing.py"),
    ],
)
def test_unsuitable_trackers(tracker: str, reason: str, clip: Path) -> None:
    with pytest.raises(UsageError, match=reason):
        perceive(clip, Scripted(two_things), TrackingConfig(tracker=tracker))


def test_a_tracker_of_ones_own(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        """
import numpy as np

class Mine:
    def __init__(self, frame_rate):
        assert abs(frame_rate - 10) < 1e-6

    def update(self, detections, timestamp):
        detections.tracker_id = np.where(detections.class_id == 0, 4, 2)  # dogs are 4
        return detections
"""
    )
    scene = perceive(clip, Scripted(two_things), TrackingConfig(tracker=f"{path}:Mine"))
    assert [(item.track.label, len(item.track)) for item in scene.objects] == [
        ("dog", 30),
        ("cat", 30),
    ]


def test_a_tracker_that_makes_up_for_the_camera_sees_the_picture(tmp_path: Path) -> None:
    """With the colours in the order of OpenCV; others (see above) are shown nothing."""
    path = tmp_path / "mine.py"
    path.write_text(
        """
import numpy as np

class Mine:
    enable_cmc = True

    def update(self, detections, timestamp, frame):
        assert frame.shape == (180, 320, 3)
        blue, green, red = frame.reshape(-1, 3).mean(axis=0)
        assert blue > 150 > green > red
        detections.tracker_id = np.arange(len(detections))
        return detections
"""
    )

    def shapes(number: int, pen: ImageDraw.ImageDraw) -> None:
        pen.rectangle((0, 0, 319, 179), fill=BLUE)
        pen.rectangle((20, 20, 59, 59), fill=RED)

    scene = perceive(
        draw(tmp_path / "blue.mp4", 5, shapes),
        BlobDetector(),
        TrackingConfig(tracker=f"{path}:Mine"),
    )
    assert [len(item.track) for item in scene.objects] == [5]


# ------------------------------------------------------------------------------------ how often


@pytest.mark.parametrize(
    ("fps", "looks"),
    [
        (None, list(range(60))),  # every frame
        (5.0, list(range(60))),
        (2.5, list(range(0, 60, 2))),
        (1.0, list(range(0, 60, 5))),  # seldom looks must not make the tracker forget
        (0.5, list(range(0, 60, 10))),
        (0.25, [0, 20, 40]),
        (50.0, list(range(60))),  # more often than there are frames: each once
    ],
)
def test_frames_are_looked_at_as_often_as_asked(
    fps: float | None, looks: list[int], long_clip: Path
) -> None:
    def script(number: int) -> list[Seen]:
        return [(square(10 + number / 4, 20, 30), 0.9, "dog")]

    detector = Scripted(script)
    told: list[tuple[int, int]] = []
    scene = perceive(
        long_clip, detector, TrackingConfig(fps=fps), progress=lambda *step: told.append(step)
    )
    assert detector.looked == looks
    assert scene.frames_seen.tolist() == looks
    assert scene.frames_seen.dtype == np.int64
    (only,) = scene.objects
    assert only.track.frames.tolist() == looks
    assert told == [(done, len(looks)) for done in range(1, len(looks) + 1)]


@pytest.mark.parametrize("lost_s", [0.0, 0.5, 3.0])
def test_waiting_for_lost_objects(lost_s: float, clip: Path) -> None:
    """However short it waits, what is seen in every frame is one track."""
    scene = perceive(clip, Scripted(two_things), TrackingConfig(lost_s=lost_s))
    assert sorted(len(item.track) for item in scene.objects) == [30, 30]


def test_a_frame_that_lasts_long_in_an_uneven_video(tmp_path: Path) -> None:
    """The screen stands still for two seconds; the object is where it was."""
    path = tmp_path / "uneven.mp4"
    times = [0.1 * number for number in range(15)] + [3.5 + 0.1 * number for number in range(15)]
    write_barcode_video(path, times_s=times)
    scene = perceive(path, Scripted(lambda number: [(square(30, 20), 0.9, "dog")]))
    (only,) = scene.objects
    assert only.track.frames.tolist() == list(range(30))


# ------------------------------------------------------------------------------ what comes out


def test_nothing_is_found(clip: Path) -> None:
    scene = perceive(clip, Scripted(lambda number: []))
    assert scene.objects == ()
    assert scene.frames_seen.tolist() == list(range(30))
    assert len(scene.tracks) == 0


def test_a_video_of_one_frame(tmp_path: Path) -> None:
    path = tmp_path / "one.mp4"
    write_barcode_video(path, frames=1)
    scene = perceive(path, Scripted(two_things))
    assert [(item.track.label, item.track.frames.tolist()) for item in scene.objects] == [
        ("dog", [0]),
        ("cat", [0]),
    ]


def test_objects_are_numbered_by_their_first_frame(clip: Path) -> None:
    def script(number: int) -> list[Seen]:
        starts = {"late": 20, "early": 0, "middle": 10}
        return [
            (square(5 + 30 * place, 20), 0.9, label)
            for place, (label, start) in enumerate(starts.items())
            if number >= start
        ]

    scene = perceive(clip, Scripted(script))
    assert [(item.track.id, item.track.label) for item in scene.objects] == [
        (1, "early"),
        (2, "middle"),
        (3, "late"),
    ]
    assert scene.tracks.video == scene.video


def test_flickers_are_dropped(clip: Path) -> None:
    def script(number: int) -> list[Seen]:
        flicker = [(square(70, 40), 0.9, "cat")] if number in (10, 11) else []
        return [(square(5, 5), 0.9, "dog"), *flicker]

    assert list(by_label(perceive(clip, Scripted(script)))) == ["dog"]
    kept = by_label(perceive(clip, Scripted(script), TrackingConfig(min_boxes=2)))
    assert kept["cat"].track.frames.tolist() == [10, 11]


def test_boxes_in_pixels_of_the_original_frame_and_inside_it(clip: Path) -> None:
    """The detector sees half the size, and boxes that reach over the edge."""

    def script(number: int) -> list[Seen]:
        return [([-3, 10, 20, 40], 0.9, "dog")]

    detector = Scripted(script, long_side=48)
    (only,) = perceive(clip, detector).objects
    np.testing.assert_allclose(only.track.boxes, [[0, 20, 40, 64]] * 30)


def test_a_detector_that_needs_words(clip: Path) -> None:
    detector = Scripted(two_things, classes=None)
    scene = perceive(clip, detector, words=["dog", "red cup"])
    assert detector.words == {("dog", "red cup")}
    assert scene.classes == ("dog", "red cup")
    assert perceive(clip, Scripted(two_things)).classes == ("dog", "cat")


def test_what_a_scene_tells(clip: Path) -> None:
    scene = perceive(probe(clip), Scripted(two_things))
    assert scene.detector == "scripted"
    assert scene.video.frames == 30
    assert set(scene.timing_s) == {"detect", "decode_and_track"}
    assert all(seconds >= 0 for seconds in scene.timing_s.values())


def test_labels_that_flip(clip: Path) -> None:
    """The ball of a juggler: in one of three frames it is taken for a frisbee."""

    def script(number: int) -> list[Seen]:
        label = "frisbee" if number % 3 == 0 else "sports ball"
        return [(square(40, 20 + 10 * np.sin(number / 4)), 0.6, label)]

    (only,) = perceive(clip, Scripted(script)).objects
    assert only.track.label == "sports ball"
    assert only.label_shares == pytest.approx({"sports ball": 2 / 3, "frisbee": 1 / 3})


def test_unsure_detections_continue_a_track_but_start_none(clip: Path) -> None:
    def script(number: int) -> list[Seen]:
        return [
            (square(10, 10), 0.9 if number < 10 else 0.2, "dog"),
            (square(70, 40), 0.25, "cat"),
        ]

    found = by_label(perceive(clip, Scripted(script)))
    assert list(found) == ["dog"]
    assert found["dog"].track.frames.tolist() == list(range(30))


# ------------------------------------------------------------------------------- double sights


def box(x1: float, y1: float, x2: float, y2: float) -> list[float]:
    return [x1, y1, x2, y2]


DOUBLES = [
    # detections, rows that stay
    ([], []),
    ([(box(0, 0, 10, 10), 0.9, "dog")], [0]),
    (  # one thing seen as two classes: the surer stays, wherever it stands
        [(box(0, 0, 10, 10), 0.5, "cat"), (box(0, 0, 10, 9), 0.9, "dog")],
        [1],
    ),
    (  # overlap of two thirds: two things
        [(box(0, 0, 10, 10), 0.5, "cat"), (box(2, 0, 12, 10), 0.9, "dog")],
        [0, 1],
    ),
    (  # a far less sure part of one of its class goes
        [(box(0, 0, 40, 80), 0.9, "person"), (box(5, 0, 35, 40), 0.3, "person")],
        [0],
    ),
    (  # and so does a far less sure surrounding
        [(box(5, 0, 35, 40), 0.9, "person"), (box(0, 0, 40, 80), 0.3, "person")],
        [0],
    ),
    (  # nearly as sure: a child before its father
        [(box(0, 0, 40, 80), 0.9, "person"), (box(5, 40, 35, 80), 0.5, "person")],
        [0, 1],
    ),
    (  # another class inside: a cup before a person
        [(box(0, 0, 40, 80), 0.9, "person"), (box(5, 40, 15, 50), 0.2, "cup")],
        [0, 1],
    ),
    (  # three in a row, each overlapping the next: only what overlaps a kept one goes
        [
            (box(0, 0, 100, 10), 0.9, "bus"),
            (box(10, 0, 110, 10), 0.8, "truck"),
            (box(20, 0, 120, 10), 0.7, "train"),
        ],
        [0, 2],
    ),
    (  # equally sure: the first stays
        [(box(0, 0, 10, 10), 0.9, "dog"), (box(0, 0, 10, 10), 0.9, "cat")],
        [0],
    ),
    (  # boxes without area overlap nothing
        [(box(5, 5, 5, 5), 0.9, "dog"), (box(5, 5, 5, 5), 0.8, "dog")],
        [0, 1],
    ),
]


@pytest.mark.parametrize(("seen", "rows"), DOUBLES)
def test_one_detection_of_each_thing(seen: list[Seen], rows: list[int]) -> None:
    found = Detections(
        np.array([row[0] for row in seen], float).reshape(-1, 4),
        np.array([row[1] for row in seen], float),
        tuple(row[2] for row in seen),
    )
    kept = _drop_doubles(found, 0.7)
    assert kept.labels == tuple(seen[row][2] for row in rows)
    np.testing.assert_array_equal(kept.boxes, found.boxes[rows].reshape(-1, 4))


# ---------------------------------------------------------------------------------- drawn clips

RED, BLUE, GREEN, PAPER = (214, 40, 40), (40, 90, 200), (40, 150, 70), (236, 232, 224)


def draw(path: Path, frames: int, shapes: Callable[[int, ImageDraw.ImageDraw], None]) -> Path:
    """A clip of 320 x 180 at 25 frames a second."""
    with VideoWriter(path, fps=Fraction(25)) as writer:
        for number in range(frames):
            picture = Image.new("RGB", (320, 180), PAPER)
            shapes(number, ImageDraw.Draw(picture))
            writer.write(np.asarray(picture), number / 25)
    return path


def main_colour(item: SceneObject) -> str:
    return COLOURS[int(item.colours[0].argmax())]


def test_drawn_objects_are_found_where_they_were_drawn(tmp_path: Path) -> None:
    """A ball rolls right and leaves, a box goes up and down, a triangle comes in later."""

    def ball(number: int) -> list[float]:
        return [20 + 6 * number, 120, 60 + 6 * number, 160]

    def crate(number: int) -> list[float]:
        y = 50 + 20 * np.sin(number / 8)
        return [150, y, 190, y + 40]

    def wedge(number: int) -> list[float]:
        return [226 + number, 20, 268 + number, 60]

    def shapes(number: int, pen: ImageDraw.ImageDraw) -> None:
        x1, y1, x2, y2 = ball(number)
        pen.ellipse((x1, y1, x2 - 1, y2 - 1), fill=RED)
        x1, y1, x2, y2 = crate(number)
        pen.rectangle((x1, y1, x2 - 1, y2 - 1), fill=GREEN)
        if number >= 20:
            x1, y1, x2, y2 = wedge(number)
            pen.polygon([((x1 + x2) / 2, y1), (x1, y2 - 1), (x2, y2 - 1)], fill=BLUE)

    path = draw(tmp_path / "drawn.mp4", 50, shapes)
    found = by_label(perceive(path, BlobDetector()))
    drawn = {
        "ball": (ball, range(44), "red"),  # while it is whole
        "box": (crate, range(50), "green"),
        "triangle": (wedge, range(20, 50), "blue"),
    }
    assert set(found) == set(drawn)
    for label, (place, frames, colour) in drawn.items():
        item = found[label]
        assert set(frames) <= set(item.track.frames.tolist())
        assert item.track.frames[0] == frames[0]
        boxes = dict(zip(item.track.frames.tolist(), item.track.boxes, strict=True))
        np.testing.assert_allclose(
            [boxes[frame] for frame in frames], [place(frame) for frame in frames], atol=2
        )
        assert main_colour(item) == colour
        assert item.label_shares[label] > 0.9


@pytest.mark.parametrize("tracker", TRACKERS)
def test_drawn_objects_that_cross_keep_their_colours(tracker: str, tmp_path: Path) -> None:
    """While they cross they are one patch; afterwards each must go on as itself."""

    def shapes(number: int, pen: ImageDraw.ImageDraw) -> None:
        pen.ellipse((20 + 4 * number, 70, 59 + 4 * number, 109), fill=RED)
        pen.ellipse((260 - 4 * number, 74, 299 - 4 * number, 113), fill=BLUE)

    path = draw(tmp_path / "crossing.mp4", 60, shapes)
    scene = perceive(path, BlobDetector(), TrackingConfig(tracker=tracker))
    for frame, place in ((0, [20, 260]), (59, [256, 24])):  # left edges of red and blue
        boxes = {}
        for item in scene.objects:
            rows = np.flatnonzero(item.track.frames == frame)
            if len(rows):
                boxes[item.track.id] = (float(item.track.boxes[rows[0], 0]), main_colour(item))
        assert sorted(colour for _, colour in boxes.values()) == ["blue", "red"]
        for left, colour in boxes.values():
            assert left == pytest.approx(place[["red", "blue"].index(colour)], abs=2)
    assert sum(len(item.track) > 20 for item in scene.objects) == 2


def test_a_drawn_object_that_leaves_and_returns_is_one(tmp_path: Path) -> None:
    def shapes(number: int, pen: ImageDraw.ImageDraw) -> None:
        x = 200 + 8 * number if number < 40 else 200 + 8 * (79 - number)
        pen.ellipse((x, 70, x + 39, 109), fill=RED)
        pen.rectangle((20, 20, 59, 59), fill=GREEN)

    found = by_label(perceive(draw(tmp_path / "back.mp4", 80, shapes), BlobDetector()))
    assert {"ball", "box"} == set(found)
    frames = found["ball"].track.frames
    assert frames[0] == 0
    assert frames[-1] == 79
    assert (np.diff(frames) > 40).sum() == 1  # away once
