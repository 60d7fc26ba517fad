"""How a prediction shows in a notebook: sentence, time line, a few frames with the box.

One piece of HTML that needs nothing else: styles stand in it, pictures are embedded as JPEG.
Colours follow the page (``currentColor``), so that it reads on a light and on a dark background.
Without the video the rest is shown and the reason said.
"""

from __future__ import annotations

import base64
import io
from html import escape

import numpy as np
from PIL import Image

from stvg.errors import StvgError
from stvg.formats.documents import clean_text
from stvg.types import ByteArray, Prediction, Tube
from stvg.video import SamplingPlan, iter_frames
from stvg.video.draw import PALETTE, draw_box

FRAMES = 4
SIDE = 240
"""Long side of the pictures in pixels."""

_COLOR = "#{:02x}{:02x}{:02x}".format(*PALETTE[0])
_BAR = (
    '<div style="position:relative;height:8px;border-radius:4px;background:'
    'color-mix(in srgb,currentColor 15%,transparent);margin:6px 0">{}</div>'
)


def to_html(prediction: Prediction) -> str:
    """A prediction as HTML; what Jupyter shows of it.

    Args:
        prediction: The answer. Its video is read where it is there.
    """
    facts = [f"{prediction.method}, {prediction.model}", prediction.video.name]
    if prediction.score is not None:
        facts.append(f"score {prediction.score:.2f}")
    parts = [
        f"<b>{escape(prediction.query.text)}</b> · {escape(' · '.join(facts))}",
        _time_line(prediction),
    ]
    if prediction.tube is not None:
        parts.append(_pictures(prediction, prediction.tube))
    parts += [f'<div style="opacity:.7">{escape(each)}</div>' for each in prediction.warnings]
    style = f"font-family:sans-serif;font-size:13px;max-width:{FRAMES * (SIDE + 6)}px"
    return clean_text(f'<div style="{style}">{"".join(parts)}</div>')


def _time_line(prediction: Prediction) -> str:
    """When, in words and as a bar over the length of the video."""
    if prediction.tube is None:
        return "<div>not found</div>" + _BAR.format("")
    interval = prediction.tube.interval
    length_s = max(prediction.video.duration_s, interval.end_s)
    left, width = (100 * value / length_s for value in (interval.start_s, interval.duration_s))
    bar = (
        f'<div style="position:absolute;left:{left:.2f}%;width:{width:.2f}%;min-width:2px;'
        f'height:100%;border-radius:4px;background:{_COLOR}"></div>'
    )
    words = f"{interval.start_s:.2f} to {interval.end_s:.2f} s of {length_s:.2f} s"
    return f"<div>{words}</div>" + _BAR.format(bar)


def _pictures(prediction: Prediction, tube: Tube) -> str:
    """Frames in the middle of equal parts of the interval, with their boxes."""
    plan = SamplingPlan(count=FRAMES, interval=tube.interval, long_side=SIDE)
    try:
        pictures = [
            _picture(rgb, tube, time_s, prediction)
            for _, time_s, rgb in iter_frames(prediction.video.path, plan)
        ]
    except StvgError as error:
        return f'<div style="opacity:.7">no pictures: {escape(str(error))}</div>'
    return f'<div style="display:flex;gap:6px;flex-wrap:wrap">{"".join(pictures)}</div>'


def _picture(rgb: ByteArray, tube: Tube, time_s: float, prediction: Prediction) -> str:
    """A frame with its box, and its time."""
    drawn = rgb.copy()
    height, width = drawn.shape[:2]
    scale = np.array([width / prediction.video.width, height / prediction.video.height] * 2)
    inside_s = np.clip(time_s, tube.times_s[0], tube.times_s[-1])
    draw_box(drawn, tube.at(inside_s)[0] * scale, PALETTE[0], width=2)
    buffer = io.BytesIO()
    Image.fromarray(drawn).save(buffer, "JPEG", quality=80, subsampling=0)  # thin lines keep colour
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    image = f'<img width="{width}" height="{height}" src="data:image/jpeg;base64,{data}">'
    return f'<figure style="margin:0">{image}<figcaption>{time_s:.2f} s</figcaption></figure>'
