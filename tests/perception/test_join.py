"""Joining pieces of tracks: objects that leave and return, cross, flicker, change their label."""

from __future__ import annotations

import copy
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from stvg.perception.appearance import COLOURS
from stvg.perception.join import Fragment, JoinConfig, join_cost, join_fragments
from stvg.types import FloatArray, VideoMeta

FPS, WIDTH, HEIGHT = 30, 400, 300
META = VideoMeta("made.mp4", WIDTH, HEIGHT, Fraction(FPS), 20.0, 20 * FPS)

Place = Callable[[int], tuple[float, float]]


def still(x: float, y: float = 150) -> Place:
    """An object that stays where it is."""
    return lambda frame: (x, y)


def moving(start: float, step: float, y: float = 150) -> Place:
    """An object at ``start`` in frame 0 that moves by ``step`` pixels a frame."""
    return lambda frame: (start + step * frame, y)


def colour_table(name: str) -> FloatArray:
    table = np.zeros((3, len(COLOURS)))
    table[:, [known == name for known in COLOURS]] = 1
    return table


def piece(
    frames: range | list[int],
    place: Place,
    colour: str | Callable[[int], str] = "red",
    label: str | Callable[[int], str] = "ball",
    *,
    number: int = 0,
    size: float = 40,
    score: float = 0.8,
) -> Fragment:
    """What a tracker gave one number: a square of ``size`` around ``place(frame)``."""
    made = Fragment(number=number)
    for frame in frames:
        x, y = place(frame)
        made.frames.append(frame)
        made.boxes.append(np.array([x - size / 2, y - size / 2, x + size / 2, y + size / 2]))
        made.scores.append(score)
        made.labels.append(label if isinstance(label, str) else label(frame))
        made.colours.append(colour_table(colour if isinstance(colour, str) else colour(frame)))
    return made


def spans(fragments: list[Fragment]) -> list[list[tuple[int, int]]]:
    """First and last frame of the stretches without a missing frame, for each fragment."""
    result = []
    for fragment in fragments:
        breaks = np.flatnonzero(np.diff(fragment.frames) > 1) + 1
        runs = np.split(np.array(fragment.frames), breaks)
        result.append([(int(run[0]), int(run[-1])) for run in runs])
    return result


def colours_of(fragment: Fragment) -> list[str]:
    """Colour words in the order they appear."""
    names = [COLOURS[int(table[0].argmax())] for table in fragment.colours]
    return [name for place, name in enumerate(names) if place == 0 or names[place - 1] != name]


def joined(
    *fragments: Fragment, meta: VideoMeta = META, looks: range | None = None, **options: float
) -> list[Fragment]:
    return join_fragments(
        list(fragments), meta, JoinConfig(**options), None if looks is None else np.array(looks)
    )


# ------------------------------------------------------------------------------------- situations


def test_nothing() -> None:
    assert joined() == []
    assert joined(Fragment()) == []


def test_a_single_piece() -> None:
    (only,) = joined(piece(range(30), still(100), number=7))
    assert spans([only]) == [[(0, 29)]]
    assert only.number == 7


SITUATIONS = [
    (
        # leaves the picture to the right and comes back a second later
        [piece(range(30), moving(235, 5)), piece(range(60, 90), moving(680, -5), number=1)],
        [[(0, 29), (60, 89)]],
    ),
    (
        # hidden while it goes on: found again where its speed took it
        [piece(range(30), moving(20, 5)), piece(range(45, 75), moving(20, 5), number=1)],
        [[(0, 29), (45, 74)]],
    ),
    (
        # another colour in the same place is another object
        [piece(range(30), still(100)), piece(range(36, 66), still(100), "blue", number=1)],
        [[(0, 29)], [(36, 65)]],
    ),
    (
        # the same colour far away at once is another object
        [piece(range(30), still(30)), piece(range(32, 62), still(370), number=1)],
        [[(0, 29)], [(32, 61)]],
    ),
    (
        # a ball that the detector calls first this, then that
        [
            piece(range(30), moving(50, 2), "white", "sports ball"),
            piece(range(40, 70), moving(50, 2), "white", "frisbee", number=1),
        ],
        [[(0, 29), (40, 69)]],
    ),
    (
        # away for three seconds: still the same; for five: nobody knows
        [piece(range(30), still(100)), piece(range(120, 150), still(110), number=1)],
        [[(0, 29), (120, 149)]],
    ),
    (
        [piece(range(30), still(100)), piece(range(180, 210), still(100), number=1)],
        [[(0, 29)], [(180, 209)]],
    ),
    (
        # the tracker itself bridged five seconds: not believed either
        [piece([*range(30), *range(180, 210)], still(100))],
        [[(0, 29)], [(180, 209)]],
    ),
    (
        # missed for three frames by the detector: nothing happens
        [piece([*range(30), *range(33, 60)], still(100))],
        [[(0, 29), (33, 59)]],
    ),
    (
        # pieces at the same time never become one
        [piece(range(30), still(100)), piece(range(20, 50), still(100), number=1)],
        [[(0, 29)], [(20, 49)]],
    ),
    (
        # three pieces of one object
        [
            piece(range(20), still(100)),
            piece(range(30, 50), still(104), number=1),
            piece(range(60, 80), still(108), number=2),
        ],
        [[(0, 19), (30, 49), (60, 79)]],
    ),
]


@pytest.mark.parametrize(("fragments", "expected"), SITUATIONS)
def test_situations(fragments: list[Fragment], expected: list[list[tuple[int, int]]]) -> None:
    assert spans(joined(*fragments)) == expected
    # the order in which the tracker gave them does not matter
    assert spans(joined(*reversed(fragments))) == expected


def test_a_flicker_does_not_steal_a_join() -> None:
    """A false detection lies nearer to the end of the first piece than its true continuation."""
    first = piece(range(60), still(100))
    flicker = piece(range(61, 64), still(100), number=1)
    true = piece(range(63, 123), still(115), number=2)
    found = joined(first, flicker, true)
    assert spans(found) == [[(0, 59), (63, 122)], [(61, 63)]]
    alone = joined(first, flicker)  # without a rival it may be a short sight of the object
    assert spans(alone) == [[(0, 59), (61, 63)]]


def crossing(hole: int, first: str, second: str) -> list[Fragment]:
    """Two objects that run into each other and on; the tracker swaps their numbers there.

    Args:
        hole: Frames after frame 30 in which neither is seen.
        first: Colour of the one that goes right.
        second: Colour of the one that goes left.
    """
    right, left = moving(100, 3, y=150), moving(280, -3, y=156)
    later = range(30 + hole, 60 + hole)
    swapped = [piece(range(30), right, first), piece(range(30), left, second, number=1)]
    swapped[0].extend(piece(later, left, second))
    swapped[1].extend(piece(later, right, first))
    return swapped


@pytest.mark.parametrize("hole", [0, 1, 4, 10])
def test_objects_of_different_colours_that_cross_are_not_swapped(hole: int) -> None:
    found = joined(*crossing(hole, "red", "blue"))
    assert len(found) == 2
    assert sorted(colours_of(fragment) for fragment in found) == [["blue"], ["red"]]
    for fragment in found:
        assert len(fragment.frames) == 60
        direction = fragment.boxes[-1][0] - fragment.boxes[0][0]
        assert (direction > 0) == (colours_of(fragment) == ["red"])


def test_one_goes_on_as_the_other_that_is_hidden_for_a_while() -> None:
    """The tracker goes on with the wrong one at once, and names the right one as the hidden."""
    right, left = moving(100, 3, y=150), moving(280, -3, y=156)
    first = piece(range(30), right, "red")
    first.extend(piece(range(30, 80), left, "blue"))
    second = piece(range(30), left, "blue", number=1)
    second.extend(piece(range(45, 80), right, "red"))
    found = joined(first, second)
    assert [colours_of(fragment) for fragment in found] == [["red"], ["blue"]]
    assert spans(found) == [[(0, 29), (45, 79)], [(0, 79)]]


def test_objects_of_one_colour_stay_as_the_tracker_says() -> None:
    before = crossing(0, "red", "red")
    assert spans(joined(*before)) == spans(before)


def test_one_object_that_turns_round_stays_one() -> None:
    """Its back has another colour than its front, at once; nobody else is there."""
    turning = piece(range(90), moving(50, 2), lambda frame: "blue" if 30 <= frame < 60 else "white")
    (only,) = joined(turning)
    assert only.frames == list(range(90))
    # nor does another of its colours change anything that is there all the time
    other = piece(range(90), moving(60, 2), "white", number=1)
    assert spans(joined(turning, other)) == [[(0, 89)], [(0, 89)]]


def test_label_shares() -> None:
    flips = piece(
        range(10), still(50), label=lambda frame: "frisbee" if frame % 5 == 0 else "sports ball"
    )
    assert flips.label_shares == pytest.approx({"sports ball": 0.8, "frisbee": 0.2})
    assert next(iter(flips.label_shares)) == "sports ball"  # largest first
    flips.scores = [0.0] * 10  # a detector that is sure of nothing
    assert sum(flips.label_shares.values()) == pytest.approx(1)


def test_shares_count_confidence_not_boxes() -> None:
    mixed = piece(range(2), still(50), label=lambda frame: "dog" if frame else "cat")
    mixed.scores = [0.1, 0.9]
    assert mixed.label_shares == pytest.approx({"dog": 0.9, "cat": 0.1})


# ----------------------------------------------------------------------------------- invariants


def random_fragments(seed: int) -> list[Fragment]:
    random = np.random.default_rng(seed)
    fragments = []
    for number in range(12):
        start = int(random.integers(0, 200))
        frames = start + np.flatnonzero(random.random(60) < random.uniform(0.3, 1.0))
        palette = random.choice(["red", "blue", "white"], 2)
        change = int(random.integers(start, start + 60))
        fragments.append(
            piece(
                frames.tolist(),
                moving(float(random.uniform(0, 300)), float(random.uniform(-1, 1))),
                lambda frame, change=change, palette=palette: str(palette[int(frame > change)]),
                str(random.choice(["dog", "cat"])),
                number=number,
                size=float(random.uniform(10, 60)),
            )
        )
    return fragments


def boxes_in(fragments: list[Fragment]) -> list[tuple[float, ...]]:
    return sorted(
        (frame, *box.tolist(), score)
        for fragment in fragments
        for frame, box, score in zip(fragment.frames, fragment.boxes, fragment.scores, strict=True)
    )


@pytest.mark.parametrize("seed", range(10))
def test_every_box_ends_in_exactly_one_piece(seed: int) -> None:
    fragments = random_fragments(seed)
    before = copy.deepcopy(fragments)
    found = joined(*fragments)
    assert boxes_in(found) == boxes_in(before)
    for fragment in found:
        assert (np.diff(fragment.frames) > 0).all()
        sizes = {len(getattr(fragment, name)) for name in ("frames", "boxes", "labels", "colours")}
        assert sizes == {len(fragment.scores)}
    starts = [fragment.frames[0] for fragment in found]
    assert starts == sorted(starts)
    assert boxes_in(fragments) == boxes_in(before)  # the input is as it was
    assert [len(fragment.frames) for fragment in fragments] == [len(f.frames) for f in before]


@pytest.mark.parametrize("seed", range(3))
def test_without_a_gap_nothing_changes(seed: int) -> None:
    fragments = random_fragments(seed)
    found = joined(*fragments, max_gap_s=0)
    assert len(found) == len(fragments)
    assert {f.number: f.frames for f in found} == {f.number: f.frames for f in fragments}


def test_the_cheapest_set_of_joins_is_taken() -> None:
    """Against trying all: three pieces before, three after, each pair with its own cost."""
    config = JoinConfig()
    before = [piece(range(30), still(x), number=n) for n, x in enumerate((60, 100, 150))]
    after = [piece(range(40, 70), still(x), number=n) for n, x in enumerate((95, 140, 200), 3)]
    found = joined(*before, *after)
    cost = np.array([[join_cost(a, b, META, config) for b in after] for a in before])
    orders = [
        (i, j, k) for i in range(3) for j in range(3) for k in range(3) if len({i, j, k}) == 3
    ]
    best = min(orders, key=lambda order: sum(cost[row, column] for row, column in enumerate(order)))
    assert max(cost[row, column] for row, column in enumerate(best)) < config.max_cost
    ends = {f.boxes[0][0]: f.boxes[-1][0] for f in found}
    assert ends == {
        before[row].boxes[0][0]: after[column].boxes[0][0] for row, column in enumerate(best)
    }


# ------------------------------------------------------------------------------------------ costs


COSTS = [
    # first piece, second piece, cost worked out by hand
    (  # the same after a second, standing still: the second costs 0.05
        piece(range(30), still(100)),
        piece(range(59, 80), still(100), number=1),
        0.05,
    ),
    (  # the tracker agrees
        piece(range(30), still(100)),
        piece(range(59, 80), still(100)),
        0.05 - 0.3,
    ),
    (  # nothing of the class in common
        piece(range(30), still(100)),
        piece(range(59, 80), still(100), label="dog", number=1),
        0.05 + 0.3,
    ),
    (  # half of the boxes in common
        piece(range(30), still(100)),
        piece(range(59, 79), still(100), label=lambda f: "dog" if f % 2 else "ball", number=1),
        0.05 + 0.15,
    ),
    (  # another colour
        piece(range(30), still(100)),
        piece(range(59, 80), still(100), "blue", number=1),
        0.05 + 1.2,
    ),
    (  # colours at the ends count, not those before
        piece(range(30), still(100), lambda frame: "blue" if frame < 22 else "red"),
        piece(range(59, 80), still(100), number=1),
        0.05,
    ),
    (  # twice as wide and high: four times the area
        piece(range(30), still(100), size=20),
        piece(range(59, 80), still(100), size=40, number=1),
        0.05 + 0.25 * np.log(4),
    ),
    (  # 60 pixels away after a second; the reach is the size of 40, times 3 after a second
        piece(range(30), still(100)),
        piece(range(59, 80), still(160), number=1),
        0.05 + 0.25 * 60 / 120,
    ),
    (  # moved on at 2 pixels a frame for 30 frames: just where it was going
        piece(range(30), moving(100, 2)),
        piece(range(59, 80), moving(100, 2), number=1),
        0.05,
    ),
    (  # a single box has no speed
        piece([29], still(100)),
        piece(range(59, 80), still(160), number=1),
        0.05 + 0.25 * 60 / 120,
    ),
]


@pytest.mark.parametrize(("first", "second", "expected"), COSTS)
def test_costs(first: Fragment, second: Fragment, expected: float) -> None:
    assert join_cost(first, second, META, JoinConfig()) == pytest.approx(expected)


def test_too_long_an_absence_costs_more_than_anything() -> None:
    first, second = piece(range(30), still(100)), piece(range(160, 190), still(100))
    assert join_cost(first, second, META, JoinConfig()) > 1000
    assert join_cost(first, second, META, JoinConfig(max_gap_s=5)) < 1


# ------------------------------------------------------------------------- seldom, uneven looks


def test_looking_seldom_makes_no_holes() -> None:
    """At 2 looks a second neighbours are half a second apart; one missed look is no hole."""
    looks = range(0, 600, 15)
    frames = [frame for frame in looks if frame < 300 and frame != 150]
    slow = piece(frames, moving(20, 0.5))
    assert [f.frames for f in joined(slow, looks=looks)] == [frames]


def test_seldom_looks_and_a_swap() -> None:
    looks = range(0, 600, 15)
    change = [piece(range(0, 150, 15), still(100), "red")]
    change[0].extend(piece(range(150, 300, 15), still(105), "blue"))
    change.append(piece(range(0, 150, 15), still(105), "blue", number=1))
    change[1].extend(piece(range(150, 300, 15), still(100), "red"))
    assert sorted(colours_of(f) for f in joined(*change, looks=looks)) == [["blue"], ["red"]]


def test_a_long_frame_of_an_uneven_video_is_no_hole() -> None:
    """A recording of a screen that stood still for three seconds: no frame was missed."""
    times = np.concatenate([np.arange(30) / 30, 4 + np.arange(30) / 30])
    meta = VideoMeta("screen.mp4", WIDTH, HEIGHT, Fraction(12), 5.0, 60, times)
    (only,) = joined(piece(range(60), still(100), lambda f: "red" if f < 30 else "blue"), meta=meta)
    assert only.frames == list(range(60))
