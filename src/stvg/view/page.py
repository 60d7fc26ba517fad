"""Predictions as one HTML file: the viewer, the documents and the video, without a server.

Nothing is loaded from elsewhere, and a content security policy sees to it: the page may run the
scripts that were put into it, known by their hashes, and nothing else. Sentences and answers are
strangers' texts; they stand in a block of JSON and are shown as text.
"""

from __future__ import annotations

import base64
import hashlib
import json
import tempfile
from collections.abc import Sequence
from html import escape
from os.path import relpath
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import quote

from stvg import __version__
from stvg.errors import UsageError
from stvg.formats.atomic import atomic_path
from stvg.formats.prediction import LIST_FORMAT, read_predictions
from stvg.progress import Stages, no_stages
from stvg.types import VideoMeta
from stvg.video import probe

from .media import PREVIEW_TYPE, media_type, write_preview
from .parts import SCRIPTS, STATIC

MOST_EMBEDDED_MB = 64
"""A larger video is not put into a page; browsers become slow with it."""

_SAME = ("width", "height", "frames", "fps")


def write_view(
    predictions: Sequence[Path],
    path: Path,
    *,
    video: Path | None = None,
    link: bool = False,
    stages: Stages = no_stages,
) -> None:
    """Write a page that shows predictions on their video.

    Args:
        predictions: Files with one prediction or several each, all on one video. What one method
            and model answered in a file is shown side by side with the others.
        path: The HTML file to write; appears whole or not at all.
        video: The video; default: where the first file says, or beside that file.
        link: Refer to the video, or to a preview that is written beside the page, instead of
            putting it into the page.
        stages: Told how far a preview is, where one is made.

    Raises:
        UsageError: If there is no such file, the predictions are on several videos or on another
            one than ``video``, or the video is too large to be put into a page.
        FormatError: If a file is not in order.
        VideoError: If the video cannot be read.
        OutputError: If a file cannot be written.
    """
    columns = _columns(predictions)
    about = columns[0]["documents"][0]["video"]
    meta = probe(video or _beside(predictions[0], about["path"]))
    _require_same_video(columns, predictions, about)
    _require_same(about, _facts(meta), f"the video {meta.path}")
    data = {
        "columns": columns,
        "times": meta.times_s.tolist(),
        "media": _linked(meta, path, stages) if link else _embedded(meta, stages),
    }
    page = _page(f"{meta.name} · stvg", data)
    with atomic_path(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _columns(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """The documents by file, method and model, with a title that tells them apart."""
    found: dict[tuple[Path, str], list[dict[str, Any]]] = {}
    for path in paths:
        read_predictions(path)  # refuses what is not in order
        document = json.loads(path.read_text(encoding="utf-8"))
        listed = document["format"] == LIST_FORMAT
        for each in document["predictions"] if listed else [document]:
            found.setdefault((path, f"{each['method']}, {each['model']}"), []).append(each)
    if not found:
        raise UsageError(f"expected predictions in {paths[0]}, found an empty list")
    titles = [title for _, title in found]
    return [
        {
            "title": title if titles.count(title) == 1 else f"{path.stem}: {title}",
            "documents": documents,
        }
        for (path, title), documents in found.items()
    ]


def _beside(prediction: Path, named: str) -> Path:
    """The video of a prediction: where it was, else in the folder of the prediction."""
    for candidate in (Path(named), prediction.parent / named, prediction.parent / Path(named).name):
        if candidate.is_file():
            return candidate
    raise UsageError(
        f"the video of {prediction} was {named} and is not there any more, nor in the folder of "
        "the prediction; name it with --video"
    )


def _facts(meta: VideoMeta) -> dict[str, Any]:
    fps = f"{meta.fps.numerator}/{meta.fps.denominator}"
    return {"width": meta.width, "height": meta.height, "frames": meta.frames, "fps": fps}


def _require_same_video(
    columns: Sequence[dict[str, Any]], paths: Sequence[Path], about: dict[str, Any]
) -> None:
    """Refuse predictions on several videos."""
    where = " and ".join(map(str, paths))
    for column in columns:
        for document in column["documents"]:
            _require_same(about, document["video"], f"a prediction in {where}")


def _require_same(expected: dict[str, Any], found: dict[str, Any], what: str) -> None:
    """Refuse a video of another size, rate or length."""
    for name in _SAME:
        if _normal(expected[name]) != _normal(found[name]):
            raise UsageError(
                f"expected one video for all, with {name} {expected[name]}, found {found[name]} in "
                f"{what}; view them apart, or name the right video with --video"
            )


def _normal(value: Any) -> Any:
    """``25`` and ``25/1`` are one frame rate."""
    return value.removesuffix("/1") if isinstance(value, str) else value


def _embedded(meta: VideoMeta, stages: Stages) -> dict[str, str]:
    """The video as text for the page."""
    kind = media_type(meta)
    if kind is not None:
        return _as_text(Path(meta.path), kind)
    with tempfile.TemporaryDirectory() as folder:
        preview = Path(folder) / "preview.mp4"
        write_preview(meta, preview, stages=stages)
        return _as_text(preview, PREVIEW_TYPE)


def _as_text(path: Path, kind: str) -> dict[str, str]:
    size_mb = path.stat().st_size / 1e6
    if size_mb > MOST_EMBEDDED_MB:
        raise UsageError(
            f"expected a video of at most {MOST_EMBEDDED_MB} MB to put into a page, found "
            f"{size_mb:.0f} MB in {path.name}; let the page refer to it with --link"
        )
    return {"type": kind, "base64": base64.b64encode(path.read_bytes()).decode("ascii")}


def _linked(meta: VideoMeta, page: Path, stages: Stages) -> dict[str, str]:
    """Where the page finds the video, from its own folder."""
    video = Path(meta.path)
    if media_type(meta) is None:
        video = page.with_name(f"{page.stem}_preview.mp4")
        write_preview(meta, video, stages=stages)
    way = Path(relpath(video.resolve(), page.resolve().parent)).as_posix()
    return {"link": quote(f"./{way}")}


def _page(title: str, data: dict[str, Any]) -> str:
    """The page with all it needs."""
    scripts = [(STATIC / name).read_text(encoding="utf-8") for name in (*SCRIPTS, "file.js")]
    style = (STATIC / "viewer.css").read_text(encoding="utf-8")
    policy = (
        f"default-src 'none'; script-src {' '.join(map(_hash, scripts))}; "
        f"style-src {_hash(style)}; img-src data:; media-src blob: 'self' file:; "
        "base-uri 'none'; form-action 'none'"
    )
    template = Template((STATIC / "file.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=escape(title),
        generator=f"stvg {__version__}",
        policy=policy,
        style=f"<style>{style}</style>",
        data=_inside_script(data),
        scripts="\n".join(f"<script>{script}</script>" for script in scripts),
    )


def _hash(text: str) -> str:
    """How a content security policy names an inline script or style."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def _inside_script(data: dict[str, Any]) -> str:
    r"""JSON that cannot end the element it stands in.

    Example:
        >>> _inside_script({"query": "</script>"})
        '{"query": "\\u003c/script>"}'
    """
    return json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")
