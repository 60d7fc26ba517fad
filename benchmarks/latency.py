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

Then long clips: 256 frames of the world at 112x112 pixels with an event of 20 frames, which is the
answer that is put into both mouths. `spacevllm` has a box for every frame of the clip; `bridge_stg`
tells the time of each step in as many tokens and decodes the frames of the event alone, from the
same states of the vision tower. Both have the sizes of their options' defaults, but for the 64
places of a frame, of which `bridge_stg` takes 48 candidates. Memory is what a process of its own
needs at most while it answers, beyond what it had before (Linux). `where_s` is the part of the
seconds that boxes take; other clips and events show what it depends on.

CPU seconds are of the process, without reading and cutting frames, ways in turns, median.

Run:  python benchmarks/latency.py [--quick] [--json]
Takes four minutes on one core, 50 s with --quick. Exits with 1 when the answer of `spacevllm` grows
with the number of boxes, or it is not the faster one.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from fractions import Fraction
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _models import make_model
from rich.console import Console
from rich.table import Table

from stvg.backbones.asking import answer
from stvg.backbones.qwen import QwenBackbone
from stvg.data.world import draw_clip, plan_clip
from stvg.methods.bridge_stg import Method as BridgeStg
from stvg.methods.spacevllm import Method as SpaceVllm
from stvg.methods.text_box import Method as TextBox
from stvg.text.constrain import Literal, begin
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

LONG = ((256, 20), (64, 20), (256, 80))
"""Frames of a clip, and of its event."""
LONG_SIDE = 112
LONG_WAYS: dict[str, Any] = {
    "spacevllm": (SpaceVllm, {"query": "pair"}),
    "bridge_stg": (BridgeStg, {"det": "<box>", "candidates": 48}),
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
    long_rows = measure_long(2 if options.quick else 5)
    document = {
        "benchmark": "latency", "machine": platform.processor() or platform.machine(),
        "torch": torch.__version__, "rows": rows, "long": long_rows,
    }  # fmt: skip
    if options.json:
        print(json.dumps(document))
    else:
        show(rows)
        show(long_rows)
    ours = [row for row in rows if row["way"] != "text_box"]
    is_constant = len({row["answer_tokens"] for row in ours}) == 1
    is_faster = all(row["against_text_box"] > 1 for row in ours)
    return 0 if is_constant and is_faster else 1


def make_backbone(frames: int = 0) -> QwenBackbone:
    """The model with the words, and so the placeholders, of the embedded one, and more frames."""
    model, tokenizer = make_model(), fresh_tokenizer()
    tokenizer.add_tokens([f"<t_{number}>" for number in range(frames + 1)])
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


def measure_long(repeats: int) -> list[dict[str, Any]]:
    """Long clips with a short event: each measured in a process of its own."""
    with ProcessPoolExecutor(
        1, mp_context=get_context("spawn"), max_tasks_per_child=1
    ) as processes:
        cases = [(way, *case, repeats) for case in LONG for way in LONG_WAYS]
        return list(processes.map(measure_one, *zip(*cases, strict=True)))


def measure_one(way: str, frames: int, event: int, repeats: int) -> dict[str, Any]:
    """Seconds and memory of one way on one clip."""
    torch.set_num_threads(1)
    kind, options = LONG_WAYS[way]
    backbone, clip = make_backbone(frames), long_clip(frames)
    config = {**COMMON, **options, "frames": frames, "side": LONG_SIDE, "grammar": "frames"}
    method: Any = kind(backbone, kind.options.of(config))
    method.parts = method.new_parts().eval()
    first = (frames - event) // 2
    told = f"<t_{first}> to <t_{first + event}>"
    method.grammar = lambda view, marked: begin(
        lambda taken: None if taken else Literal(told), method.vocabulary
    )
    encoded = [method.encode(clip, Query(SENTENCES[0]))]
    find, where_s = method.parts.find, [0.0]

    def timed(*arguments: Any) -> Any:
        before = time.process_time()
        found = find(*arguments)
        where_s[-1] += time.process_time() - before
        return found

    method.parts.find = timed
    output = method.run(encoded)[0]
    taken, where_s = [], []
    before = resident_mib("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here on
    for _ in range(repeats):
        where_s.append(0.0)
        start = time.process_time()
        output = method.run(encoded)[0]
        taken.append(time.process_time() - start)
    memory = resident_mib("VmHWM") - before
    found = method.decode(output, clip, Query(SENTENCES[0]))
    return {
        "frames": frames, "event": event, "way": way, "boxes": len(method_boxes(output)),
        "tube_boxes": len(found.tube), "prompt_tokens": len(encoded[0].question.ids),
        "cpu_s_a_query": round(statistics.median(taken), 4),
        "where_s": round(statistics.median(where_s), 4), "memory_mib": round(memory),
    }  # fmt: skip


def resident_mib(name: str) -> float:
    """Memory of this process, now (``VmRSS``) or at most so far (``VmHWM``)."""
    (line,) = [each for each in Path("/proc/self/status").read_text().splitlines() if name in each]
    return int(line.split()[1]) / 1024


def method_boxes(output: Any) -> Any:
    """The boxes that were decoded for an answer."""
    seen = output[1].seen
    return seen[0] if isinstance(seen, tuple) else seen


def long_clip(frames: int) -> Clip:
    """A drawn clip whose objects rest in front of it and behind it."""
    drawn = draw_clip(plan_clip(0, level="hard"), LONG_SIDE).frames
    before = (frames - len(drawn)) // 2
    pixels = np.concatenate([
        drawn[:1].repeat(before, 0), drawn, drawn[-1:].repeat(frames - len(drawn) - before, 0),
    ])  # fmt: skip
    meta = VideoMeta("world.mp4", LONG_SIDE, LONG_SIDE, Fraction(FPS), frames / FPS, frames)
    return Clip(meta, pixels, np.arange(frames) / FPS, np.arange(frames))


def show(rows: list[dict[str, Any]]) -> None:
    """A table on the terminal."""
    table = Table(*(name.replace("_", " ") for name in rows[0]), box=None)
    for row in rows:
        table.add_row(*map(str, row.values()))
    Console().print(table)


if __name__ == "__main__":
    raise SystemExit(main())
