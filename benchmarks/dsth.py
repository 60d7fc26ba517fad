"""What `dsth` costs beside the published order of passes, and what each of its parts is worth.

Passes: a random model in the proportions of Qwen2.5-VL-7B with 8 layers (32-bit floats, one
thread), a clip of 20 steps of 64 tokens. The plain way is the published one, rebuilt from its
calls: for looks, action and looks in reverse, twice, the question and the general question are read
whole by the class's own forward with gradient, then both once more for their attention; each of
these 18 prompts is answered with 8 tokens (142 in all). It asks for `output_attentions` in every
pass, which in transformers means the eager kernel; a second plain way does so only where attention
is read and has `sdpa` while tuning. Ours is the method's own code. The vision tower is left out.

Rows: attention of 6 tokens on 2,000 visual ones in all layers, against `output_attentions`: from
the whole prompt, and for a question on a video that was read before. Memory is the largest resident
size above that of the same forward without attention.

Tuning: memory of a step for looks, beside the plain forward with gradient of its two questions;
that of looks and action together is given too.

World: the embedded `text_box` model on the procedural world, the tubes to choose from being the
true ones, as for the baselines, so that detector and tracker do not blur the comparison; rows with
the detector say so. `pointing` is how often the highest value of a token's map lies on the target
(at least half of the cell, or of the target where it is smaller). `--models` compares other models
in the same way and does nothing else.

CPU seconds are of the process, ways in turns (A B, B A), median of the repetitions. Memory is
measured in a process of its own for each way (Linux).

Run:  python benchmarks/dsth.py [--quick] [--json] [--repetitions N] [--only PART] [--split val]
      python benchmarks/dsth.py --models FOLDER FOLDER ... [--quick] [--json] [--split val]
Takes ten minutes on one core, 50 s with --quick (640 visual tokens, no memory, 10 clips). Exits
with 1 when maps of a way differ from the plain ones by more than 1e-5, or rows by more than 1e-6.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from _models import IMAGE, VIDEO, VISION_END, VISION_START, make_model
from rich.console import Console
from rich.table import Table

from stvg.backbones.attention_rows import RowTap, reading_rows
from stvg.backbones.positions import positions, token_types
from stvg.backbones.prefix import Features
from stvg.backbones.qwen import QwenBackbone
from stvg.data.world.files import write_world
from stvg.evaluate import evaluate
from stvg.formats.predictions_jsonl import PredictionsWriter, record_of
from stvg.formats.tracks import read_tracks
from stvg.methods.dsth import Method as Dsth
from stvg.methods.dsth.candidates import Candidates
from stvg.methods.dsth.config import DsthConfig
from stvg.methods.dsth.highlight import Branch, choose_token, highlight
from stvg.methods.dsth.method import Output, layers_of
from stvg.methods.dsth.prompts import Prompt
from stvg.methods.dsth.watching import Watcher
from stvg.methods.dsth.where import cell_weights
from stvg.predicting import Questions, predict, predict_baseline
from stvg.predicting.baselines import middle_box, oracle_object, random_object
from stvg.types import Clip, Scene, SceneObject
from stvg.video import probe, read_clip

YES, NO = 300, 301
WATCHED = 6
PASSES, WRITTEN = 18, 142
RATE, STEPS, LEAST = 8.0, 2, 1e-4
PLAIN, MIXED, OURS = "published order", "published, sdpa while tuning", "ours"
EXACT_MAPS, EXACT_ROWS = 1e-5, 1e-6
GOALS = {
    "passes": 3.0,
    "rows": 3.0,
    "rows_cached": 50.0,
    "rows_memory": 0.05,
    "tuning_memory": 2 / 3,
}
SHOWN = ("m_tIoU", "m_vIoU", "gt_vIoU", "vIoU@0.3", "vIoU@0.5")
CLIPS, QUICK_CLIPS = 200, 10

FULL, NEITHER = ["split=rules"], ["split=none", "steps=0", "reverse=false"]
VARIANTS: dict[str, list[str]] = {
    "full method": FULL,
    "no decomposition": ["split=none"],
    "no tuning (LRA)": [*FULL, "steps=0"],
    "no reverse (TAS)": [*FULL, "reverse=false"],
    "window 0.55, as published": [*FULL, "time=window"],
    "highest token for time too": [*FULL, "time_token=activation"],
    "mean of all tokens": [*FULL, "token=mean"],
    "neither": NEITHER,
    "neither, window 0.55": [*NEITHER, "time=window"],
    "neither, window 0.4": [*NEITHER, "time=window", "keep=0.4"],
    "yes/no questions": [*FULL, "question=Is there {} in this video?"],
    "values of the released code": [*FULL, "reproduce=authors", "repeat_frames=false"],
    "values of the paper": [*FULL, "reproduce=paper", "repeat_frames=false"],
}
OF_DECISION = {"reproduce", "token", "time_token", "mask", "time", "keep", "ties_stop"}
"""Options that change no map."""
OF_TIME = ("neither", "neither, window 0.55", "neither, window 0.4")
POINTED = ("full method", "neither")
"""Options by name; "neither" is without decomposition, tuning and reverse."""

Way = Callable[[], Any]


# --- passes ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A random model and three questions on a random video.

    Attributes:
        layers: Of the language model.
        steps: Of the video, each 8 x 8 tokens.
    """

    layers: int
    steps: int

    @cached_property
    def backbone(self) -> QwenBackbone:
        """The model of `queries.py` with more layers; no weight wants a gradient."""
        config = make_model().config
        config.text_config.num_hidden_layers = self.layers
        config.text_config.layer_types = ["full_attention"] * self.layers
        torch.manual_seed(0)
        model = transformers.Qwen2_5_VLForConditionalGeneration(config)
        return QwenBackbone(model.eval().requires_grad_(False))

    @cached_property
    def video(self) -> Features:
        """Visual tokens at random."""
        torch.manual_seed(1)
        return Features(torch.randn(self.steps * 64, 256), (self.steps, 16, 16))

    @cached_property
    def watcher(self) -> Watcher:
        """The questions on the video."""
        trunk = (302, 303, 304, VISION_START, *[VIDEO] * len(self.video.tokens))
        rng = np.random.default_rng(0)
        prompts = {
            name: Prompt(trunk, (VISION_END, *rng.integers(305, 1000, 20).tolist()), WATCHED)
            for name in ("looks", "action", "general")
        }
        layers = layers_of("middle", self.layers)
        return Watcher(self.backbone, self.video, prompts, layers, (YES, NO))

    def read(self, name: str, added: Any, *, reverse: bool, attentions: bool, written: int) -> Any:
        """The class's own forward on a whole prompt, and an answer written behind it."""
        prompt, video = self.watcher.prompts[name], self.video
        ids = [*prompt.trunk, *prompt.tail]
        tokens = video.tokens
        if reverse:
            tokens = tokens.reshape(self.steps, 64, -1).flip(0).flatten(0, 1)
        found = positions(token_types(ids, IMAGE, VIDEO), [video.block], self.backbone.rule)
        place = torch.from_numpy(found.ids)
        model = self.backbone.model
        first = out = model(
            inputs_embeds=self.backbone.embed(ids, [replace(video, tokens=tokens + added)]),
            position_ids=place, output_attentions=attentions, use_cache=True,
        )  # fmt: skip
        for number in range(written - 1):
            out = model(
                input_ids=out.logits[:, -1:].argmax(-1),
                position_ids=place[..., -1:] + 1 + number, past_key_values=out.past_key_values,
                output_attentions=attentions, use_cache=True,
            )  # fmt: skip
        return first


def plain(case: Case, *, eager_always: bool) -> Any:
    """Relative maps (3, R, M) by the published order of passes."""
    model, watcher = case.backbone.model, case.watcher
    written = [WRITTEN // PASSES + (number < WRITTEN % PASSES) + 1 for number in range(PASSES)]
    maps = []
    for asked, reverse in (("looks", False), ("action", False), ("looks", True)):
        value = before = torch.zeros_like(case.video.tokens)
        for step in range(STEPS):
            point = (0.5 * value + 0.5 * before).requires_grad_()
            model.set_attn_implementation("eager" if eager_always else "sdpa")
            given = []
            for name in (asked, "general"):
                logits = case.read(
                    name, point, reverse=reverse, attentions=eager_always, written=written.pop()
                ).logits[0, -1]
                given.append(logits[YES] - logits[NO])
            (1 - (given[0] - given[1])).backward()
            share = 1.0 if step == 0 else 0.5
            value, before = value - RATE * share * point.grad, value
        model.set_attn_implementation("eager")
        rows = []
        with torch.no_grad():
            for name in (asked, "general"):
                point = 0.5 * value + 0.5 * before
                out = case.read(
                    name, point, reverse=reverse, attentions=True, written=written.pop()
                )
                first = len(watcher.prompts[name].trunk) - len(point)
                chosen = [out.attentions[layer][0, :, -WATCHED:] for layer in watcher.layers]
                part = torch.stack(chosen).mean((0, 1))[:, first : first + len(point)]
                rows.append(part.reshape(WATCHED, case.steps, -1))
        relative = rows[0] / (rows[1] + LEAST)
        maps.append(relative.flip(1) if reverse else relative)
    model.set_attn_implementation("sdpa")
    return torch.stack(maps).numpy()


def ours(case: Case) -> Any:
    """The same maps by the method."""
    branches = [
        Branch("looks", "looks"),
        Branch("action", "action"),
        Branch("looks", "looks", True),
    ]
    found = highlight(case.watcher, branches, "general", DsthConfig(rate=RATE, steps=STEPS))
    maps = [found[branch].relative for branch in branches]
    return np.stack([each.reshape(WATCHED, case.steps, -1) for each in maps])


def compare_passes(case: Case, repetitions: int) -> dict[str, Any]:
    """CPU seconds of all passes on a video, and how far maps are apart."""
    ways = {
        PLAIN: lambda: plain(case, eager_always=True),
        MIXED: lambda: plain(case, eager_always=False),
        OURS: lambda: ours(case),
    }
    seconds, results = measure(ways, repetitions)
    apart = max(float(np.abs(found - results[PLAIN]).max()) for found in results.values())
    shifted = float(np.abs(results[OURS] - untuned(case)).max())
    return {
        "layers": case.layers, "visual_tokens": len(case.video.tokens), **seconds,
        "map_difference": apart, "moved_by_tuning": shifted, "is_exact": apart <= EXACT_MAPS,
    }  # fmt: skip


def untuned(case: Case) -> Any:
    """Maps without tuning, to see that tuning moves them."""
    branches = [
        Branch("looks", "looks"),
        Branch("action", "action"),
        Branch("looks", "looks", True),
    ]
    found = highlight(case.watcher, branches, "general", DsthConfig(steps=0))
    maps = [found[branch].relative for branch in branches]
    return np.stack([each.reshape(WATCHED, case.steps, -1) for each in maps])


# --- rows -----------------------------------------------------------------------------------------


def row_ways(case: Case) -> dict[str, Way]:
    """Attention of the watched tokens of one question, all layers: (R, M), or nothing."""
    watcher, model = case.watcher, case.backbone.model
    prompt, nothing = watcher.prompts["looks"], watcher.nothing()
    count, first = len(prompt.trunk) + len(prompt.tail), len(prompt.trunk) - len(nothing)
    columns = np.arange(first, first + len(nothing))
    features = [case.video]

    def forward(implementation: str, *, attentions: bool) -> Any:
        model.set_attn_implementation(implementation)
        out = case.read("looks", nothing, reverse=False, attentions=attentions, written=1)
        model.set_attn_implementation("sdpa")
        return out.attentions

    def theirs() -> Any:
        found = forward("eager", attentions=True)
        rows = torch.stack([each[0, :, -WATCHED:] for each in found]).mean((0, 1))
        return rows[:, first : first + len(nothing)].numpy()

    def tapped(rows: Any, call: Way) -> Any:
        tap = RowTap(rows, columns, layers=range(case.layers))
        with reading_rows(model.model.language_model, tap):
            call()
        return tap.mean()[0].numpy()

    prefix = case.backbone.prefill(prompt.trunk, features)
    behind = np.arange(len(prompt.tail) - WATCHED, len(prompt.tail))
    whole = np.arange(count - WATCHED, count)
    ids = [*prompt.trunk, *prompt.tail]
    return {
        "no attention": lambda: forward("sdpa", attentions=False),
        "output_attentions": theirs,
        "rows": lambda: tapped(whole, lambda: case.backbone.prefill(ids, features)),
        "rows, video read before": lambda: tapped(
            behind, lambda: case.backbone.states_behind(prefix, [prompt.tail])
        ),
    }


def compare_rows(case: Case, repetitions: int) -> dict[str, Any]:
    """CPU seconds of reading rows."""
    with torch.no_grad():
        seconds, results = measure(row_ways(case), repetitions)
    reference = results["output_attentions"]
    apart = max(
        float(np.abs(results[way] - reference).max()) for way in results if way.startswith("rows")
    )
    faster = {
        way: round(seconds["cpu_s"]["output_attentions"] / max(value, 1e-3), 1)
        for way, value in seconds["cpu_s"].items()
    }
    return {
        "layers": case.layers, "visual_tokens": len(case.video.tokens), **seconds,
        "faster_than_output_attentions": faster, "row_difference": apart,
        "is_exact": apart <= EXACT_ROWS,
    }  # fmt: skip


# --- memory ---------------------------------------------------------------------------------------


def memory_ways(case: Case) -> dict[str, Way]:
    """What is measured in a process of its own."""
    point = case.watcher.nothing().requires_grad_()

    def plainly(names: Sequence[str], implementation: str) -> None:
        case.backbone.model.set_attn_implementation(implementation)
        logits = [
            case.read(
                name, point, reverse=False, attentions=implementation == "eager", written=1
            ).logits[0, -1]
            for name in names
        ]
        given = [each[YES] - each[NO] for each in logits]
        (1 - sum(given[:1]) + sum(given[1:])).backward()

    def tune(*names: str) -> None:
        values = case.watcher.yes_over_no(point, [*names, "general"])
        for name in names:
            loss = 1 - (values[name] - values["general"])
            torch.autograd.grad(loss, point, retain_graph=name != names[-1])

    rows = row_ways(case)

    def without_gradient(way: str) -> Way:
        return torch.no_grad()(rows[way])

    return {
        "plain forward with gradient, eager": lambda: plainly(["looks", "general"], "eager"),
        "plain forward with gradient": lambda: plainly(["looks", "general"], "sdpa"),
        "the same of one question alone": lambda: plainly(["looks"], "sdpa"),
        "ours, looks": lambda: tune("looks"),
        "ours, looks and action": lambda: tune("looks", "action"),
        **{way: without_gradient(way) for way in ("no attention", "output_attentions", "rows")},
    }


def compare_memory() -> dict[str, float]:
    """MiB of each way, in a process of its own; nothing where the system does not tell."""
    if not Path("/proc/self/clear_refs").exists():
        return {}
    found = {}
    for way in memory_ways(Case(2, 1)):
        run = subprocess.run(
            [sys.executable, __file__, "--peak", way], capture_output=True, text=True, check=True
        )
        found[way] = float(run.stdout)
    return found


def peak_of(way: str) -> float:
    """MiB that a way takes at its highest, above what there is before."""
    run = memory_ways(Case(8, 32))[way]
    memory_ways(Case(2, 1))[way]()  # what libraries keep is there before
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the highest so far is forgotten
    run()
    return round((resident("VmHWM") - before) / 1024, 1)


def resident(name: str) -> int:
    """A size of this process in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


# --- the world ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """A query of the world with its clip, the true objects as candidates."""

    record: Any
    clip: Clip

    @classmethod
    def of(cls, record: Any, folder: Path, method: Dsth) -> Seen:
        """Read the frames that the method wants, and the tracks beside the video."""
        meta = probe(folder / "videos" / Path(record.media).name)
        tracks = read_tracks(folder / "tracks" / f"{Path(record.media).stem}.json").tracks
        found = tuple(SceneObject(each, {each.label: 1.0}, np.zeros((3, 11))) for each in tracks)
        scene = Scene(meta, found, "true tracks", np.arange(meta.frames), ("thing",))
        clip = read_clip(meta, method.plan(meta, record.query).frames)
        return cls(record, replace(clip, scene=scene))


def measure_world(
    folder: Path, clips: int, split: str, level: str, variants: dict[str, list[str]]
) -> dict[str, Any]:
    """Scores of the method with parts on and off, of baselines, and pointing; percent."""
    write_world(folder, clips=clips, split=split, level=level)
    questions = Questions("hcstvg_v2", folder / "annotations.json")
    records = questions.records(with_truth=True)
    trivial = (
        middle_box(records, "these very targets"),
        random_object(folder / "tracks"),
        oracle_object(folder / "tracks"),
    )
    found: dict[str, Any] = {}
    for baseline in trivial:
        out = folder / f"{baseline.name}.jsonl"
        predict_baseline(questions, out, baseline)
        found[baseline.name] = scores(questions.annotations, out)
    own, pointed = score_variants(None, questions, folder, variants)
    found |= own
    asked = {"text_box, trained": ("text_box", [])}
    if "full method" in variants:
        asked["full method, detector figures"] = ("dsth", FULL)
        asked["neither, detector figures"] = ("dsth", NEITHER)
    for name, (method_name, options) in asked.items():
        out = folder / f"{len(found)}.jsonl"
        predict(questions, out, method_name, options=options, videos=folder / "videos")
        found[name] = scores(questions.annotations, out)
    return {"clips": clips, "split": split, "level": level, "scores": found, "pointing": pointed}


def score_variants(
    model: str | None, questions: Questions, folder: Path, variants: dict[str, list[str]]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Scores of a model with each set of options, and where it points; percent.

    Variants that differ in the decision only share their maps.
    """
    methods = {name: Dsth.create(model, options) for name, options in variants.items()}
    records = questions.records(with_truth=True)
    seen = [Seen.of(record, folder, next(iter(methods.values()))) for record in records]
    outputs: dict[str, list[Output]] = {}
    found: dict[str, Any] = {}
    pointed = {}
    for name, method in methods.items():
        key = method.config.model_dump_json(exclude=OF_DECISION)
        began = time.process_time()
        if key not in outputs:
            outputs[key] = [
                method.run([method.encode(each.clip, each.record.query)])[0] for each in seen
            ]
        taken = round((time.process_time() - began) / len(seen), 4)
        out = folder / "variant.jsonl"
        out.unlink(missing_ok=True)
        with PredictionsWriter(out) as writer:
            for each, output in zip(seen, outputs[key], strict=True):
                query = replace(each.record.query, id=each.record.id)
                writer.write(record_of(method.decode(output, each.clip, query)))
        found[name] = {**scores(questions.annotations, out), "model_cpu_s_a_query": taken or None}
        if name in POINTED:
            pointed[name] = pointing(seen, outputs[key])
    return found, pointed


def compare_models(models: Sequence[str], split: str, clips: int) -> list[dict[str, Any]]:
    """Each model on the same clips, with all parts and with none."""
    variants = {name: VARIANTS[name] for name in POINTED}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_world(folder, clips=clips, split=split, level="standard")
        questions = Questions("hcstvg_v2", folder / "annotations.json")
        found = []
        for model in models:
            scored, pointed = score_variants(model, questions, folder, variants)
            found.append({
                "model": model, "clips": clips, "split": split, "level": "standard",
                "scores": scored, "pointing": pointed,
            })  # fmt: skip
    return found


def scores(annotations: Path, predictions: Path) -> dict[str, float]:
    """Metrics in percent."""
    report = evaluate("hcstvg_v2", annotations, predictions, resamples=0)
    return {name: round(100 * report.metrics[name], 2) for name in SHOWN}


def pointing(seen: Sequence[Seen], outputs: Sequence[Output]) -> dict[str, Any]:
    """How often a map's highest value lies on the target, in percent, by token."""
    hits, chance = [], []
    for each, output in zip(seen, outputs, strict=True):
        back = output.reversed_looks
        maps = output.looks.relative if back is None else output.looks.relative + back.relative
        on_target = target_cells(each, maps.shape[1:])
        chosen = choose_token(maps, "activation")[0]
        hits.append([on_target.flat[one.argmax()] for one in (*maps, maps.mean(0), chosen)])
        chance.append(on_target.mean())
    *tokens, mean, chosen = (100 * np.mean(hits, axis=0)).round(1).tolist()
    return {
        "tokens": tokens, "mean of all": mean, "highest activation": chosen,
        "any cell": round(100 * float(np.mean(chance)), 1),
    }  # fmt: skip


def target_cells(seen: Seen, shape: tuple[int, int, int]) -> Any:
    """Which cells show the target, (T, rows, columns) bool."""
    (steps, rows, columns), meta, record = shape, seen.clip.meta, seen.record
    boxes = Candidates.of(seen.clip, 99).boxes  # (P, F, 4)
    span = slice(record.first_box_frame, record.first_box_frame + len(record.boxes))
    frames = np.clip(np.searchsorted(seen.clip.frame_indices, np.arange(meta.frames)), 0,
                     len(seen.clip) - 1)[span]  # fmt: skip
    apart = np.abs(np.nan_to_num(boxes[:, frames], nan=1e6) - record.boxes).sum((1, 2))
    cells = [columns / meta.width, rows / meta.height] * 2
    own = cell_weights(boxes[int(apart.argmin())] * cells, rows, columns)  # (F, rows, columns)
    return own.reshape(steps, -1, rows, columns).max(1) >= 0.5


# --- all together ---------------------------------------------------------------------------------


def measure(ways: dict[str, Way], repetitions: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """CPU seconds of every way in turns, and what they gave."""
    runs: dict[str, list[float]] = {way: [] for way in ways}
    results: dict[str, Any] = {}
    for repetition in range(repetitions):
        for way in ways if repetition % 2 == 0 else reversed(ways):
            before = time.process_time()
            results[way] = ways[way]()
            runs[way].append(round(time.process_time() - before, 4))
    seconds = {way: statistics.median(times) for way, times in runs.items()}
    return {"cpu_s": seconds, "spread_s": runs}, results


def compare_worlds(split: str, *, quick: bool) -> list[dict[str, Any]]:
    """All variants at the standard level, those about time at the hard one."""
    with tempfile.TemporaryDirectory() as name:
        if quick:
            few = {each: VARIANTS[each] for each in POINTED}
            return [measure_world(Path(name), QUICK_CLIPS, split, "standard", few)]
        lengths = {each: VARIANTS[each] for each in OF_TIME}
        return [
            measure_world(Path(name) / "standard", CLIPS, split, "standard", VARIANTS),
            measure_world(Path(name) / "hard", CLIPS, split, "hard", lengths),
        ]


def goals_of(found: dict[str, Any]) -> dict[str, Any]:
    """Goals with what was measured."""
    reached: dict[str, float] = {}
    if "passes" in found:
        seconds = found["passes"]["cpu_s"]
        reached["passes"] = seconds[PLAIN] / seconds[OURS]
    if "rows" in found:
        faster = found["rows"]["faster_than_output_attentions"]
        reached["rows"] = faster["rows"]
        reached["rows_cached"] = faster["rows, video read before"]
    if found.get("memory_mib"):
        memory = found["memory_mib"]
        bare = memory["no attention"]
        extra = max(memory["rows"] - bare, 0.0)
        reached["rows_memory"] = extra / (memory["output_attentions"] - bare)
        reached["tuning_memory"] = memory["ours, looks"] / memory["plain forward with gradient"]
    return {name: {"goal": GOALS[name], "measured": round(reached[name], 3)} for name in reached}


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a smaller model, 10 clips")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    parser.add_argument("--repetitions", type=int, default=3, help="how often; 1 with --quick")
    parser.add_argument("--only", choices=["passes", "rows", "memory", "world"], help="one part")
    parser.add_argument("--split", default="test", choices=["test", "val"], help="of the world")
    parser.add_argument("--models", nargs="+", default=[], help="compare these on the world")
    parser.add_argument("--peak", help=argparse.SUPPRESS)  # in a process of its own
    options = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    if options.peak:
        print(peak_of(options.peak))
        return 0
    quick, repetitions = options.quick, 1 if options.quick else options.repetitions
    found: dict[str, Any] = {}
    only = "world" if options.models else options.only
    if only in (None, "passes"):
        found["passes"] = compare_passes(Case(8, 10) if quick else Case(8, 20), repetitions)
    if only in (None, "rows"):
        found["rows"] = compare_rows(Case(4, 32), 2 if quick else 7)
    if only in (None, "memory") and not quick:
        found["memory_mib"] = compare_memory()
    if options.models:
        clips = QUICK_CLIPS if quick else CLIPS
        found["worlds"] = compare_models(options.models, options.split, clips)
    elif only in (None, "world"):
        found["worlds"] = compare_worlds(options.split, quick=quick)
    document = {
        "benchmark": "dsth", "machine": platform.processor() or platform.machine(),
        "torch": torch.__version__, "transformers": transformers.__version__, **found,
        "goals": goals_of(found),
    }  # fmt: skip
    if options.json:
        print(json.dumps(document))
    else:
        show(document)
    return 0 if all(found[part]["is_exact"] for part in ("passes", "rows") if part in found) else 1


def show(document: dict[str, Any]) -> None:
    """Tables on the terminal."""
    console = Console()
    for part in ("passes", "rows"):
        if part in document:
            found = document[part]
            title = f"{part}: {found['layers']} layers, {found['visual_tokens']} visual tokens"
            table = Table("way", "CPU s", title=title)
            for way, seconds in found["cpu_s"].items():
                table.add_row(way, f"{seconds:.3f}")
            console.print(table)
    if document.get("memory_mib"):
        table = Table("way", "MiB", title="memory, 8 layers, 2,048 visual tokens")
        for way, size in document["memory_mib"].items():
            table.add_row(way, f"{size:.0f}")
        console.print(table)
    for world in document.get("worlds", ()):
        title = f"world, {world['level']}, {world['split']}, {world['clips']} clips"
        title = f"{world.get('model', 'embedded model')}: {title}"
        table = Table("answer", *SHOWN, title=title)
        for name, values in world["scores"].items():
            table.add_row(name, *(f"{values[metric]:.1f}" for metric in SHOWN))
        console.print(table)
        for name, values in world["pointing"].items():
            console.print(f"pointing, {name}: {values}")
    for name, goal in document["goals"].items():
        console.print(f"{name}: {goal['measured']}, goal {goal['goal']:.3g}")


if __name__ == "__main__":
    raise SystemExit(main())
