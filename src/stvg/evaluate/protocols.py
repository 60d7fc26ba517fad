"""Protocols: how published evaluators differ, as small tables of choices.

A protocol is data, not code: every field is a choice that some public evaluator makes, and
``tubes.py``, ``times.py``, ``images.py`` and ``masks.py`` compute from it. Nothing here was copied
from an evaluator; the choices are stated in the benchmark notes and checked against their output.
The same name may stand for different choices on HC-STVG and on VidSTG, because the authors' code
does; hence :attr:`TubeProtocol.family`. docs/evaluate.md shows these tables, generated from here.

Spans are compared as ``[start, end)`` of 0-based frames, whatever an evaluator calls them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from stvg.errors import UsageError
from stvg.registry import suggest

MISSING_BOX = "true frame without a predicted box"
MISSING_QUERY = "query without an answer"
TRUTH_OUTSIDE = "true box outside the image or of negative size"
LOW_RATE = "frame rate below 5"
NOTHING_FOUND = "answer that could not be read, or nothing found"
EMPTY_WINDOWS = "empty list of windows"
ANY_FAULT = "any fault of an answer"

THIRDS = (0.3, 0.5, 0.7)


def choice(text: str, default: Any = ...) -> Any:
    """A field with the sentence that docs and tables print for it."""
    if default is ...:
        return field(metadata={"doc": text})
    return field(default=default, metadata={"doc": text})


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """What all protocols have.

    Attributes:
        name: What users type.
        family: Benchmarks it is for.
        source: Paper or repository whose numbers it gives.
        thresholds: Shares at which queries are counted.
        strict: Whether a value must be larger than (``>``) or may equal (``>=``) a threshold.
        missing_query: What a query without a line in the file does to the mean. A line whose
            ``error`` is set counts 0 in all of them.
        refuses: What the official code stops on, and strict mode with it.
    """

    name: str
    family: str
    source: str
    thresholds: tuple[float, ...] = choice("thresholds", THIRDS)
    strict: bool = choice("threshold must be exceeded", True)
    missing_query: Literal["counts 0", "left out"] = choice("query without a line", "counts 0")
    refuses: tuple[str, ...] = choice("strict mode stops on", ())

    @property
    def rule(self) -> str:
        """``>`` or ``>=``, as tables print it."""
        return ">" if self.strict else ">="

    def choices(self) -> dict[str, str]:
        """Every choice in words, by what it is about, as docs and tables print it."""
        return {
            each.metadata["doc"]: _in_words(getattr(self, each.name))
            for each in fields(self)
            if "doc" in each.metadata
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class TubeProtocol(Protocol):
    """A way of scoring tubes: one column of the table in docs/evaluate.md.

    Attributes:
        grid: Frames that vIoU looks at.
        first_frame_shift: Added to the frames of the truth: 1 where the 1-based number of the
            file is taken for a 0-based one.
        true_end: End of the true span in frames.
        end_frame_counts: Whether vIoU runs over the end frame of both spans too.
        tiou: What tIoU compares.
        gt_viou: Frames over which gt_vIoU is the mean; None where there is no such metric.
        clips_truth: Whether true boxes are cut at the right and bottom edge of the image.
        missing_box: What a true frame without a predicted box counts (strict mode may refuse).
        unit: Unit of spans.
    """

    grid: Literal["every frame", "5 fps, at most 200", "frames with boxes"] = choice(
        "grid for vIoU", "every frame"
    )
    first_frame_shift: int = choice("shift of the true frames", 0)
    true_end: Literal["as annotated", "one frame short", "cut at the segment's last frame"] = (
        choice("end of the true span", "as annotated")
    )
    end_frame_counts: bool = choice("vIoU counts the end frame too", False)
    tiou: Literal["spans", "frames with both boxes", "seconds", "shares of the segment"] = choice(
        "tIoU compares", "spans"
    )
    gt_viou: (
        Literal["true span", "all true boxes", "true boxes and the end frame", "common frames"]
        | None
    ) = choice("gt_vIoU is the mean over", "true span")
    clips_truth: bool = choice("true boxes cut at right and bottom", False)
    missing_box: Literal["counts 0"] = choice("true frame without a predicted box", "counts 0")
    unit: Literal["frames", "seconds"] = choice("unit of spans", "frames")


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeProtocol(Protocol):
    """A way of scoring intervals of time.

    Attributes:
        overlap: How the two intervals are compared.
        has_mean_iou: Whether mIoU is reported.
        has_average: Whether ``avg``, the mean of mIoU and the recalls, is reported.
        unread: What an answer that could not be read counts.
    """

    overlap: Literal[
        "seconds", "shares of the video", "two-digit percent, IoU rounded to 0.01", "windows"
    ] = choice("intervals are compared in", "seconds")
    has_mean_iou: bool = choice("reports mIoU", True)
    has_average: bool = choice("reports avg of mIoU and recalls", False)
    unread: Literal["counts 0"] = choice("answer that could not be read", "counts 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxProtocol(Protocol):
    """A way of scoring one box on an image.

    Attributes:
        overlap: Which measure of overlap.
        unread: What an answer that could not be read does.
    """

    thresholds: tuple[float, ...] = choice("thresholds", (0.5,))
    overlap: Literal[
        "IoU",
        "IoU of shares of the image, true ones to 0.001",
        "generalised IoU",
        "IoU of pixels -1 / +1",
        "IoU on padded square",
    ] = choice("overlap", "IoU")
    unread: Literal["counts 0", "left out"] = choice("answer that could not be read", "counts 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskProtocol(Protocol):
    """A way of averaging J and F over the frames of an expression.

    Attributes:
        frames: Which frames.
    """

    thresholds: tuple[float, ...] = choice("thresholds", ())
    frames: Literal["all", "without first and last"] = choice("frames", "all")


_EVERY_FAULT = (MISSING_BOX, MISSING_QUERY, TRUTH_OUTSIDE, ANY_FAULT)
_HCSTVG, _VIDSTG, _ST_ALIGN, _ANY = "HC-STVG", "VidSTG", "ST-Align", "any"
_TUBEDETR = "antoyang/TubeDETR"
_STCAT = "jy0205/STCAT"
_CGSTVG = "HengLan/CGSTVG, HengLan/TA-STVG"
_LLAVA_NEXT = "zaiquanyang/LLaVA_Next_STVG"
_LLAVA_ST = "appletea233/LLaVA-ST"
_STVG_R1 = "XiaowZhang00/stvg-r1"

_TUBES = (
    TubeProtocol(
        name="ours",
        family=_ANY,
        source="the definition all share, no quirk: every frame, half-open spans",
        refuses=_EVERY_FAULT,
    ),
    TubeProtocol(
        name="tubedetr",
        family=_HCSTVG,
        source=_TUBEDETR,
        grid="5 fps, at most 200",
        first_frame_shift=1,
        refuses=(MISSING_BOX, MISSING_QUERY, LOW_RATE),
    ),
    TubeProtocol(
        name="tubedetr",
        family=_VIDSTG,
        source=_TUBEDETR,
        grid="5 fps, at most 200",
        refuses=(MISSING_BOX, MISSING_QUERY, LOW_RATE),
    ),
    TubeProtocol(
        name="stcat",
        family=_HCSTVG,
        source=_STCAT,
        true_end="one frame short",
        gt_viou="all true boxes",
        missing_query="left out",
        refuses=(MISSING_BOX, TRUTH_OUTSIDE),
    ),
    TubeProtocol(
        name="stcat",
        family=_VIDSTG,
        source=_STCAT,
        true_end="cut at the segment's last frame",
        gt_viou="true boxes and the end frame",
        missing_query="left out",
        refuses=(MISSING_BOX, TRUTH_OUTSIDE),
    ),
    TubeProtocol(
        name="cgstvg",
        family=_HCSTVG,
        source=_CGSTVG,
        true_end="one frame short",
        gt_viou="all true boxes",
        clips_truth=True,
        missing_query="left out",
        refuses=(TRUTH_OUTSIDE,),
    ),
    TubeProtocol(
        name="cgstvg",
        family=_VIDSTG,
        source=_CGSTVG,
        true_end="cut at the segment's last frame",
        gt_viou="true boxes and the end frame",
        clips_truth=True,
        missing_query="left out",
        refuses=(MISSING_BOX, TRUTH_OUTSIDE),
    ),
    TubeProtocol(
        name="llava_next_stvg",
        family=_HCSTVG,
        source=_LLAVA_NEXT,
        true_end="one frame short",
        end_frame_counts=True,
        gt_viou="all true boxes",
        clips_truth=True,
        missing_query="left out",
        refuses=(TRUTH_OUTSIDE,),
    ),
    TubeProtocol(
        name="llava_next_stvg",
        family=_VIDSTG,
        source=_LLAVA_NEXT + "; its 0.5 is 0.48",
        true_end="cut at the segment's last frame",
        gt_viou="true boxes and the end frame",
        clips_truth=True,
        thresholds=(0.3, 0.48, 0.7),
        missing_query="left out",
        refuses=(MISSING_BOX, TRUTH_OUTSIDE),
    ),
    TubeProtocol(
        name="challenge",
        family=_HCSTVG,
        source="tzhhhh123/HC-STVG, the only script by the makers of the data",
        tiou="frames with both boxes",
        gt_viou=None,
    ),
    TubeProtocol(
        name="stvg_r1",
        family=_ANY,
        source=_STVG_R1 + "; annotated seconds",
        end_frame_counts=True,
        tiou="seconds",
        gt_viou=None,
        strict=False,
        unit="seconds",
    ),
    TubeProtocol(
        name="st_align",
        family=_ST_ALIGN,
        source=_LLAVA_ST + ", eval_stvg",
        grid="frames with boxes",
        tiou="shares of the segment",
        gt_viou="common frames",
        strict=False,
    ),
)

_TIMES = (
    TimeProtocol(
        name="ours",
        family=_ANY,
        source="the habit of the field",
        strict=False,
        refuses=(MISSING_QUERY, NOTHING_FOUND, ANY_FAULT),
    ),
    TimeProtocol(name="time_r1", family=_ANY, source="xiaomi-research/time-r1", has_average=True),
    TimeProtocol(
        name="timezero",
        family=_ANY,
        source=f"www-Ye/Time-R1 (TimeZero), {_STVG_R1}",
        strict=False,
    ),
    TimeProtocol(
        name="tall", family=_ANY, source="jiyanggao/TALL", strict=False, has_mean_iou=False
    ),
    TimeProtocol(
        name="moment_detr_paired",
        family=_ANY,
        source="jayleicn/moment_detr, paired helper",
        strict=False,
        thresholds=(0.5, 0.7),
        refuses=(MISSING_QUERY, NOTHING_FOUND),
    ),
    TimeProtocol(
        name="vtimellm",
        family=_ANY,
        source="huangb23/VTimeLLM",
        strict=False,
        overlap="two-digit percent, IoU rounded to 0.01",
    ),
    TimeProtocol(
        name="llava_st", family=_ANY, source=_LLAVA_ST + ", eval_tvg", overlap="shares of the video"
    ),
)

_WINDOWS = (
    TimeProtocol(
        name="moment_detr",
        family="QVHighlights",
        source="jayleicn/moment_detr, standalone_eval",
        strict=False,
        thresholds=(0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95),
        overlap="windows",
        has_mean_iou=False,
        refuses=(MISSING_QUERY, EMPTY_WINDOWS),
    ),
    TimeProtocol(
        name="moment_detr_shared",
        family="QVHighlights",
        source="jayleicn/moment_detr, standalone_eval with match_number off",
        strict=False,
        thresholds=(0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95),
        overlap="windows",
        has_mean_iou=False,
        missing_query="left out",
        refuses=(EMPTY_WINDOWS,),
    ),
)

_BOXES = (
    BoxProtocol(
        name="ours",
        family=_ANY,
        source="the habit of the field; apple/ml-ferret",
        strict=False,
        refuses=(MISSING_QUERY, NOTHING_FOUND, ANY_FAULT),
    ),
    BoxProtocol(
        name="llava_st_rec",
        family=_ANY,
        source=_LLAVA_ST + ", eval_rec",
        overlap="IoU of shares of the image, true ones to 0.001",
        strict=False,
        unread="left out",
        missing_query="left out",
    ),
    BoxProtocol(
        name="vlm_r1_rec",
        family=_ANY,
        source="om-ai-lab/VLM-R1",
        overlap="IoU of pixels -1 / +1",
    ),
    BoxProtocol(
        name="mdetr_refexp",
        family=_ANY,
        source="ashkamath/mdetr RefExpEvaluator",
        overlap="generalised IoU",
        strict=False,
        refuses=(MISSING_QUERY, NOTHING_FOUND),
    ),
    BoxProtocol(
        name="shikra", family=_ANY, source="shikras/shikra", overlap="IoU on padded square"
    ),
)

_MASKS = (
    MaskProtocol(
        name="ours",
        family=_ANY,
        source="MeViS eval_mevis.py, Sa2VA eval_davis.py; J and F of davis2017-evaluation",
        refuses=(MISSING_BOX, MISSING_QUERY),
    ),
    MaskProtocol(
        name="davis_semi",
        family=_ANY,
        source="davisvideochallenge/davis2017-evaluation, semi-supervised",
        frames="without first and last",
        refuses=(MISSING_QUERY,),
    ),
)

ALIASES = {
    "every_frame": "ours",
    "hcstvg_challenge": "challenge",
    "ta_stvg": "cgstvg",
    "llava_st": "st_align",
    "vtimellm_percent_text": "vtimellm",
    "acc_iou_ge_0.5_all_queries": "ours",
    "ferret": "ours",
    "mevis": "ours",
    "sa2va": "ours",
    "davis": "davis_semi",
    "stvg_r1": "timezero",
    "qvhighlights": "moment_detr",
}
"""Other names that are understood where they are not a protocol of their own."""

TABLES: dict[str, tuple[Protocol, ...]] = {
    "tubes": _TUBES,
    "times": _TIMES,
    "windows": _WINDOWS,
    "images": _BOXES,
    "masks": _MASKS,
}
"""All protocols by kind of task."""


def family_of(benchmark: str) -> str:
    """Whose quirks a benchmark of tubes shows: ``HC-STVG``, ``VidSTG`` or ``ST-Align``.

    What is in the schema of HC-STVG (our own world too) counts as HC-STVG.

    Example:
        >>> family_of("vidstg"), family_of("hcstvg_v2")
        ('VidSTG', 'HC-STVG')
    """
    key = benchmark.lower()
    if "vidstg" in key:
        return _VIDSTG
    return _ST_ALIGN if "st_align" in key else _HCSTVG


def protocols_for(task: str, benchmark: str) -> dict[str, Protocol]:
    """Protocols that make sense for a benchmark, by name.

    Args:
        task: A key of :data:`TABLES`.
        benchmark: Name of the benchmark.

    Example:
        >>> list(protocols_for("tubes", "vidstg"))
        ['ours', 'tubedetr', 'stcat', 'cgstvg', 'llava_next_stvg', 'stvg_r1']
    """
    family = family_of(benchmark)
    return {
        each.name: each for each in TABLES[task] if task != "tubes" or each.family in (_ANY, family)
    }


def find_protocols(wanted: str, task: str, benchmark: str) -> list[Protocol]:
    """The protocols that a user named.

    Args:
        wanted: Names separated by commas, or ``all``.
        task: A key of :data:`TABLES`.
        benchmark: Name of the benchmark.

    Raises:
        UsageError: If a name is unknown here; suggests the nearest.

    Example:
        >>> [each.family for each in find_protocols("stcat", "tubes", "vidstg")]
        ['VidSTG']
    """
    known = protocols_for(task, benchmark)
    if wanted == "all":
        return list(known.values())
    found = []
    for name in [part.strip() for part in wanted.split(",") if part.strip()]:
        key = name if name in known else ALIASES.get(name, name)
        if key == "ours" and key not in known:
            key = next(iter(known))  # there is but one way to score this benchmark
        if key not in known:
            raise UsageError(
                f"there is no protocol {name!r} for {benchmark}; {suggest(name, list(known))}; "
                "docs/evaluate.md describes them"
            )
        found.append(known[key])
    if not found:
        raise UsageError(f"expected a protocol or 'all', found {wanted!r}")
    return found


def markdown_table(protocols: Sequence[Protocol]) -> str:
    """Protocols side by side, one choice a row, as docs/evaluate.md shows them.

    Args:
        protocols: Of one kind of task.

    Returns:
        A Markdown table. A name that has several families says which.

    Example:
        >>> print(markdown_table(TABLES["masks"][1:]).splitlines()[2])
        | source | davisvideochallenge/davis2017-evaluation, semi-supervised |
    """
    names = [each.name for each in protocols]
    heads = [
        f"`{each.name}`" + (f" ({each.family})" if names.count(each.name) > 1 else "")
        for each in protocols
    ]
    lines = [f"| | {' | '.join(heads)} |", "|---" * (len(protocols) + 1) + "|"]
    lines.append(f"| source | {' | '.join(each.source for each in protocols)} |")
    choices = [each.choices() for each in protocols]
    for title in choices[0]:
        lines.append(f"| {title} | {' | '.join(each[title] for each in choices)} |")
    return "\n".join(lines)


def _in_words(value: Any) -> str:
    """A choice as docs print it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "not reported"
    if isinstance(value, tuple):
        return ", ".join(str(each) for each in value) or "none"
    return str(value)
