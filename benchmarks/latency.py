"""What a query costs where boxes are text, and where they come from query tokens: CPU seconds.

A random model of the real Qwen2.5-VL class with the proportions of the 7B model (that of
`queries.py`; 32-bit floats, one thread) sees 16 and 64 frames of 224x140 with the words of the
embedded model. `text_box` writes an interval and a box for every two frames in the compact grammar,
five tokens a box, the fewest of our grammars; so that it has all boxes to write, its interval is
given: the whole video. `spacevllm` reads the prompt, decodes all boxes from it and writes an
interval: with a query a frame, which it shows twice, so with twice the visual tokens and twice the
boxes of `text_box`; and with a query for two frames, with the same pictures. One sentence on a
video, and four, of which the video is read once. Both stand behind the video, and parts beside the
model have the sizes of its options' defaults.

CPU seconds are of the process, without reading and cutting frames, ways in turns, median.

Run:  python benchmarks/latency.py [--quick] [--json]
Takes two minutes on one core, 20 s with --quick. Exits with 1 when the answer of `spacevllm` grows
with the number of boxes, or it is not the faster one.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from _models import make_model
from rich.console import Console
from rich.table import Table

from stvg.backbones.asking import answer
from stvg.backbones.qwen import QwenBackbone
from stvg.methods.spacevllm import Method as SpaceVllm
from stvg.methods.text_box import Method as TextBox
from stvg.train.fresh import fresh_tokenizer
from stvg.types import Clip, Query, VideoMeta

SIZE, FPS = (224, 140), 2
FRAMES = (16, 64)
SENTENCES = ("the red ball moves left", "what spins ?", "the star grows", "the blue thing shrinks")
COMMON = {"pixels": SIZE[0] * SIZE[1], "query_first": False, "max_new_tokens": 1000}
WAYS = {
    "text_box": (TextBox, {"grammar": "compact"}),
    "spacevllm, query a frame": (SpaceVllm, {"grammar": "frames", "query": "frame"}),
    "spacevllm, query a step": (SpaceVllm, {"grammar": "frames", "query": "pair"}),
}


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one repetition")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    options = parser.parse_args()
    torch.set_num_threads(1)
    backbone = make_backbone()
    rows = [
        row
        for frames in FRAMES
        for count in (1, len(SENTENCES))
        for row in measure(backbone, frames, count, 1 if options.quick else 5)
    ]
    document = {
        "benchmark": "latency", "machine": platform.processor() or platform.machine(),
        "torch": torch.__version__, "rows": rows,
    }  # fmt: skip
    if options.json:
        print(json.dumps(document))
    else:
        show(rows)
    ours = [row for row in rows if row["way"] != "text_box"]
    is_constant = len({row["answer_tokens"] for row in ours}) == 1
    is_faster = all(row["against_text_box"] > 1 for row in ours)
    return 0 if is_constant and is_faster else 1


def make_backbone() -> QwenBackbone:
    """The model with the words, and so the placeholders, of the embedded one."""
    model, tokenizer = make_model(), fresh_tokenizer()
    for name in ("image_pad", "video_pad", "vision_start", "vision_end"):
        key = f"{name.removesuffix('_pad')}_token_id"
        setattr(model.config, key, tokenizer.convert_tokens_to_ids(f"<|{name}|>"))
    return QwenBackbone(model, tokenizer, "random")


def measure(backbone: QwenBackbone, frames: int, count: int, repeats: int) -> list[dict[str, Any]]:
    """Seconds a query of every way, for some sentences on one clip."""
    clip = clip_of(frames)
    ready = {way: prepared(backbone, way, clip, count) for way in WAYS}
    taken: dict[str, list[float]] = {way: [] for way in WAYS}
    tokens: dict[str, int] = {}
    for repeat in range(repeats + 1):
        for way, (method, encoded) in ready.items():
            before = time.process_time()
            found = run(method, encoded)
            if repeat:  # the first one warms up
                taken[way].append((time.process_time() - before) / count)
            tokens[way] = len(found[0].ids)
    seconds = {way: statistics.median(times) for way, times in taken.items()}
    return [
        {
            "frames": frames, "sentences": count, "way": way,
            "boxes": frames // 2 if way == "text_box" else len(found_boxes(ready[way], clip)),
            "prompt_tokens": len(ready[way][1][0].question.ids), "answer_tokens": tokens[way],
            "cpu_s_a_query": round(seconds[way], 4),
            "against_text_box": round(seconds["text_box"] / seconds[way], 2),
        }
        for way in WAYS
    ]  # fmt: skip


def prepared(backbone: QwenBackbone, way: str, clip: Clip, count: int) -> tuple[Any, list[Any]]:
    """A method, and what it sees; for `text_box` with the beginning of its answer."""
    kind, options = WAYS[way]
    method: Any = kind(backbone, kind.options.of({**COMMON, **options, "frames": len(clip)}))
    method.parts = method.new_parts()
    encoded = [method.encode(clip, Query(text)) for text in SENTENCES[:count]]
    return method, encoded


def run(method: Any, encoded: list[Any]) -> list[Any]:
    """The answers; those of `text_box` behind the interval of the whole video."""
    if isinstance(method, SpaceVllm):
        return [said for said, _ in method.run(encoded)]
    view = encoded[0].view
    place, head = method.grammar(view, {}), []
    for token in method.vocabulary.tokens(f"<t_0> <t_{len(view)}>"):
        place, head = place.after(token), [*head, token]
    questions = [
        replace(each.question, ids=(*each.question.ids, *head), grammar=place) for each in encoded
    ]
    return answer(method.backbone, questions, max_new_tokens=method.config.max_new_tokens)


def found_boxes(ready: tuple[Any, list[Any]], clip: Clip) -> Any:
    """The boxes of all frames that the decoder gives."""
    method, encoded = ready
    return method.run(encoded[:1])[0][1].seen


def clip_of(frames: int) -> Clip:
    """Noise of a video at its own size."""
    pixels = np.random.default_rng(0).integers(0, 256, (frames, SIZE[1], SIZE[0], 3), np.uint8)
    meta = VideoMeta("noise.mp4", *SIZE, Fraction(FPS), frames / FPS, frames)
    return Clip(meta, pixels, np.arange(frames) / FPS, np.arange(frames))


def show(rows: list[dict[str, Any]]) -> None:
    """A table on the terminal."""
    names = ("frames", "sentences", "way", "boxes", "prompt_tokens", "answer_tokens",
             "cpu_s_a_query", "against_text_box")  # fmt: skip
    table = Table(*(name.replace("_", " ") for name in names), box=None)
    for row in rows:
        table.add_row(*(str(row[name]) for name in names))
    Console().print(table)


if __name__ == "__main__":
    raise SystemExit(main())
