"""A page on one evaluation: tables, plots, the worst and best queries; one file, no network.

Plots are inline SVG, pictures are embedded, colours follow the reader's light or dark theme.
"""

from __future__ import annotations

import base64
import io
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from stvg import __version__
from stvg.data.base import BoxRecord, Record, TimeRecord, TubeRecord
from stvg.errors import StvgError
from stvg.formats.atomic import atomic_path
from stvg.types import FloatArray, Interval, Prediction, Query, Tube, VideoMeta

from .answers import Answer, AnswerLike, read_answers
from .compare import MAIN_COLUMNS, Comparison
from .plots import Axis, histogram, scatter_plot
from .report import Report, Result
from .runner import Truth

SHOWN: Final = 6
"""How many of the worst and of the best queries are shown."""

_PICTURE_WIDTH = 960
_STYLE = """
:root { color-scheme: light dark; --back: #ffffff; --text: #1c2024; --quiet: #5f6b76;
  --rule: #dfe3e8; --card: #f6f7f9; --accent: #0b63c4; --dot: #0b63c455; --good: #1a7f45;
  --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --back: #14171a; --text: #e6e9ec; --quiet: #9aa5b1;
  --rule: #343a41; --card: #1d2125; --accent: #6cb2ff; --dot: #6cb2ff55; --good: #5fcf8f;
  --bad: #ff8a80; } }
body { margin: 0 auto; padding: 1.5rem; max-width: 84rem; background: var(--back);
  color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .3rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .6rem; }
p, li { max-width: 60rem; } .quiet { color: var(--quiet); }
.scroll { overflow-x: auto; }
.tables { display: flex; flex-wrap: wrap; gap: 0 3rem; align-items: flex-start; }
.tables section > p { max-width: 34rem; } .tables h2 + p { margin-top: 0; min-height: 3em; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: .4rem; color: var(--quiet); white-space: nowrap; }
th, td { padding: .2rem .8rem .2rem 0; text-align: right; border-bottom: 1px solid var(--rule);
  white-space: nowrap; }
th:first-child, td:first-child, td.text { text-align: left; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 1rem; }
figure { margin: 0; padding: .6rem; background: var(--card); border-radius: .5rem; }
figcaption { color: var(--quiet); font-size: .85rem; }
svg { width: 100%; height: auto; display: block; }
svg text { fill: var(--text); font: 11px system-ui, sans-serif; } svg .label { fill: var(--quiet); }
svg .grid { stroke: var(--rule); } svg .axis { stroke: var(--quiet); }
svg .dot { fill: var(--dot); } svg .mean { fill: var(--accent); } svg .bar { fill: var(--accent); }
svg .trend { fill: none; stroke: var(--accent); stroke-width: 1.5; }
svg .error { stroke: var(--accent); stroke-width: 2; opacity: .5; }
.queries { display: grid; grid-template-columns: repeat(auto-fit, minmax(24rem, 1fr)); gap: 1rem; }
.queries img { width: 100%; height: auto; border-radius: .3rem; }
.good { color: var(--good); } .bad { color: var(--bad); }
"""


def write_page(
    report: Report,
    truth: Truth,
    predictions: str | Path | Iterable[AnswerLike],
    path: Path,
    *,
    videos: Path | None = None,
    comparisons: Mapping[str, Comparison] | None = None,
) -> None:
    """Write the page.

    Args:
        report: What to show; plots are of its first protocol.
        truth: The annotations it is about.
        predictions: Its answers, read again for pictures.
        path: The HTML file; appears whole or not at all.
        videos: Folder with the videos; pictures are left out without it or where one is missing.
        comparisons: With another prediction file, by protocol.

    Raises:
        OutputError: If the file cannot be written.
    """
    result = next(iter(report.results.values()))
    column = next(
        (name for name in MAIN_COLUMNS if name in result.columns), next(iter(result.columns))
    )
    body = [
        f"<h1>{escape(report.benchmark)}</h1>",
        *_summary(report),
        "<div class='tables'>",
        *(_table(each) for each in report.results.values()),
        "</div>",
        *(_comparison(each) for each in (comparisons or {}).values()),
        *_plots(result, column, truth),
        *_queries(result, column, truth, predictions, videos),
    ]
    text = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(report.benchmark)}, {escape(result.protocol.name)}</title>"
        f"<style>{_STYLE}</style></head>\n<body>\n" + "\n".join(body) + "\n</body></html>\n"
    )
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _summary(report: Report) -> Iterator[str]:
    """Counts, failures, what was forgiven."""
    failed = sum(map(len, report.failures.values()))
    yield (
        f'<p class="quiet">{report.queries:,} queries, {report.answered:,} answered, {failed:,} '
        f"failed, {len(report.missing):,} without a line, {len(report.nothing_found):,} nothing "
        f"found. stvg {escape(__version__)}.</p>"
    )
    notes = [
        f"failed {len(ids):,} x {name}: {', '.join(ids[:3])}"
        for name, ids in report.failures.items()
    ]
    notes += [f"forgiven {line}" for line in report.forgiven.lines()]
    if notes:
        items = "".join(f"<li>{escape(note)}</li>" for note in notes)
        yield f"<details open><summary>Failures and faults</summary><ul>{items}</ul></details>"


def _table(result: Result) -> str:
    """The metrics of one protocol."""
    protocol, whole, splits = result.protocol, result.parts[0], result.parts[1:]
    names = [whole.name, *(["95 % interval"] if whole.intervals else [])]
    head = "".join(
        f'<th scope="col">{escape(name)}</th>' for name in [*names, *(part.name for part in splits)]
    )
    rows = []
    for name in result.metrics:
        cells = [f"{100 * whole.metrics[name]:.2f}"]
        if whole.intervals:
            low, high = whole.intervals[name]
            cells.append(f"{100 * low:.1f} to {100 * high:.1f}")
        cells += [f"{100 * part.metrics[name]:.2f}" for part in splits]
        rows.append(f"<tr><td>{escape(name)}</td>{_cells(cells)}</tr>")
    counts = [f"{whole.queries:,}", *([""] if whole.intervals else [])]
    counts += [f"{part.queries:,}" for part in splits]
    rule = f"thresholds {escape(protocol.rule)}" if protocol.thresholds else "no thresholds"
    return (
        f"<section><h2>Protocol {escape(protocol.name)}</h2><p class='quiet'>"
        f"{escape(protocol.source)}; percent, {rule}, {result.left_out:,} queries left out of the "
        f"mean.</p><div class='scroll'><table><thead><tr><th scope='col'>metric</th>{head}</tr>"
        f"</thead><tbody><tr class='quiet'><td>queries</td>{_cells(counts)}</tr>"
        f"{''.join(rows)}</tbody></table></div></section>"
    )


def _cells(texts: Iterable[str]) -> str:
    """Cells of a table."""
    return "".join(f"<td>{text}</td>" for text in texts)


def _comparison(comparison: Comparison) -> str:
    """Differences to another prediction file."""
    rows = []
    for name, each in comparison.differences.items():
        kind = ("good" if each.difference > 0 else "bad") if each.is_clear else "quiet"
        rows.append(
            f"<tr><td>{escape(name)}</td><td>{100 * each.first:.2f}</td>"
            f"<td>{100 * each.second:.2f}</td>"
            f"<td class='{kind}'>{100 * each.difference:+.2f}</td>"
            f"<td>{100 * each.low:+.2f} to {100 * each.high:+.2f}</td></tr>"
        )
    changed = "".join(
        f"<tr><td>{escape(each.id)}</td><td>{100 * each.first:.1f}</td>"
        f"<td>{100 * each.second:.1f}</td></tr>"
        for each in comparison.changed
    )
    return (
        f"<h2>{escape(comparison.protocol)}: against the other file</h2><p class='quiet'>"
        f"{comparison.queries:,} queries in both; percent, thresholds {escape(comparison.rule)}; "
        "differences in percentage points with the 95 % interval of the paired bootstrap.</p>"
        "<div class='tables scroll'><table><thead><tr><th>metric</th><th>other</th><th>this</th>"
        f"<th>difference</th><th>interval</th></tr></thead><tbody>{''.join(rows)}</tbody></table>"
        f"<table><thead><tr><th>{escape(comparison.column)} changed most</th><th>other</th>"
        f"<th>this</th></tr></thead><tbody>{changed}</tbody></table></div>"
    )


def properties(record: Record) -> dict[str, float]:
    """What a score is plotted against, by title with unit; NaN where it is not known.

    Length of the true span, size of the true box and position of the span's middle in the video.
    """
    if isinstance(record, TubeRecord):
        rate = record.fps if record.fps > 0 else np.nan
        boxes = record.boxes[np.isfinite(record.boxes).all(axis=1)]
        sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
        area = float(record.width * record.height)
        size = float(np.median(sides.prod(axis=1))) / area if len(boxes) and area else np.nan
        begin, end = record.segment
        middle = (sum(record.span) / 2 - begin) / (end - begin) if end > begin else np.nan
        return {
            "length of the true span, seconds": (record.span[1] - record.span[0]) / rate,
            "size of the true box, percent of the picture": 100 * size,
            "position in the video, percent": 100 * middle,
        }
    if isinstance(record, TimeRecord):
        first, last = (float(edge) for edge in record.windows[0])
        duration = record.duration_s if record.duration_s > 0 else np.nan
        return {
            "length of the true interval, seconds": last - first,
            "share of the video, percent": 100 * (last - first) / duration,
            "position in the video, percent": 50 * (first + last) / duration,
        }
    if isinstance(record, BoxRecord):
        width, height = (float(side) for side in record.box[2:] - record.box[:2])
        area = float(record.width * record.height) or np.nan
        return {
            "size of the true box, percent of the picture": 100 * width * height / area,
            "width over height of the true box": width / height if height else np.nan,
        }
    return {}


def _plots(result: Result, column: str, truth: Truth) -> Iterator[str]:
    """The score over every property, and its distribution."""
    scores = result.columns[column]
    rows = [properties(record) for record in truth.records.values()]
    figures = [(histogram(np.clip(scores, 0, 1), column), f"Distribution of {column}.")]
    for title in rows[0] if rows else ():
        values: FloatArray = np.array([row[title] for row in rows])
        if not np.isfinite(values).any():
            continue
        axis = Axis.around(title, values, is_log=not title.startswith("position"))
        plot = scatter_plot(axis, values, np.clip(scores, 0, 1), result.ids, column)
        figures.append((plot, "Means of equally large groups with two standard errors."))
    yield f"<h2>{escape(column)} under {escape(result.protocol.name)}</h2><div class='plots'>"
    for plot, caption in figures:
        yield f"<figure>{plot}<figcaption>{escape(caption)}</figcaption></figure>"
    yield "</div>"


def _queries(
    result: Result,
    column: str,
    truth: Truth,
    predictions: str | Path | Iterable[AnswerLike],
    videos: Path | None,
) -> Iterator[str]:
    """The worst and best queries, with pictures where there are videos."""
    scores = result.columns[column]
    rows = np.flatnonzero(~np.isnan(scores))
    order = rows[np.argsort(scores[rows], kind="stable")]
    count = min(SHOWN, max(len(order) // 2, 1))
    worst, best = order[:count].tolist(), order[len(order) - count :][::-1].tolist()
    wanted = {result.ids[row] for row in worst + best}
    answers: dict[str, Answer] = {}
    if videos is not None and isinstance(predictions, str | Path):
        answers = {each.id: each for each in read_answers(predictions) if each.id in wanted}
    for title, chosen in (("Worst queries", worst), ("Best queries", best)):
        yield f"<h2>{title}</h2><div class='queries'>"
        for row in chosen:
            id_ = result.ids[row]
            record = truth.records[id_]
            picture = _picture(record, answers.get(id_), videos)
            values = ", ".join(
                f"{name} {100 * each:.1f}"
                for name, each in result.of(id_).items()
                if each is not None and "@" not in name
            )
            yield (
                f"<figure>{picture}<figcaption><strong>{escape(id_)}</strong> "
                f"{escape(record.query.text)}<br>{escape(values)}</figcaption></figure>"
            )
        yield "</div>"


def _picture(record: Record, answer: Answer | None, videos: Path | None) -> str:
    """Some frames with truth and answer as an ``<img>``, or why there are none."""
    if videos is None or not isinstance(record, TubeRecord):
        return ""
    path = videos / record.media
    if not path.is_file():
        return f"<p class='quiet'>no video {escape(record.media)}</p>"
    try:
        return _sheet(record, answer, path)
    except StvgError as error:
        return f"<p class='quiet'>no picture: {escape(str(error))}</p>"


def _sheet(record: TubeRecord, answer: Answer | None, path: Path) -> str:
    """A contact sheet of truth and answer, embedded."""
    from stvg.video.index import probe
    from stvg.video.overlay import contact_sheet

    meta = probe(path)
    true = record.first_box_frame + np.arange(len(record.boxes))
    shown = [_prediction("truth", record.query, meta, record.span, true, record.boxes)]
    if answer is not None:
        span = answer.span_frames or (0, 0)
        ends = (int(span[0]), int(span[1]))
        shown.append(_prediction("answer", record.query, meta, ends, answer.frames, answer.boxes))
    with tempfile.TemporaryDirectory() as folder:
        png = Path(folder) / "sheet.png"
        contact_sheet(shown, png, width=_PICTURE_WIDTH)
        jpeg = io.BytesIO()
        Image.open(png).convert("RGB").save(jpeg, "JPEG", quality=82)
    data = base64.b64encode(jpeg.getvalue()).decode("ascii")
    return f'<img alt="frames with truth and answer" src="data:image/jpeg;base64,{data}">'


def _prediction(
    name: str,
    query: Query,
    meta: VideoMeta,
    span: tuple[int, int],
    frames: FloatArray | np.ndarray[tuple[int, ...], np.dtype[np.int64]],
    boxes: FloatArray,
) -> Prediction:
    """Truth or answer in the form that is drawn: clipped, in seconds."""
    start, end = max(span[0], 0), min(span[1], meta.frames)
    limit = np.array([meta.width, meta.height] * 2)
    cut = np.clip(boxes, 0, limit)
    usable = (
        np.isfinite(boxes).all(axis=1)
        & (cut[:, 2:] > cut[:, :2]).all(axis=1)
        & (frames >= start)
        & (frames < end)
    )
    tube = None
    if start < end and usable.any():
        interval: Interval = meta.span_of(start, end)
        tube = Tube(interval, meta.times_s[frames[usable].astype(np.int64)], cut[usable])
    warnings = () if tube is not None else ("no box inside the span",)
    shown = Query(f"{name}: {query.text}")
    return Prediction(shown, meta, tube, method=name, model="file", warnings=warnings)
